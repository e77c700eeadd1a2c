"""Contrastive divergence: an RBM trained by what distinguishes the data from the end of a Markov chain.

The gradient that is followed is that of the cost ::

    C = mean of F(v) over the data - mean of F(v) over the ends of the chains

with the chain ends held constant (Hinton 2002, "Training products of experts by minimizing contrastive divergence").
Where the chains have reached their equilibrium it is the gradient of -log p, since ∂ log Z = -E[∂F]. Its parts are::

    ∂F/∂W_ij = - (v_i / σ_i²) E[h_j | v]          ∂F/∂c_j = - E[h_j | v]
    ∂F/∂b_i  = - v_i                               Bernoulli visible units
             = - (v_i - b_i) / σ_i²                Gaussian ones
    ∂F/∂z_i  = - (v_i - b_i)² / 2σ_i² + (v_i / σ_i²) Σ_j W_ij E[h_j | v],     z = log σ²

Weights and biases of a Gaussian unit move by σ_i² times their derivatives, which is how they would move if the data and
the unit were scaled to unit variance: one learning rate suits units of any scale, and does not grow as variances fall.

Centred units (Montavon and Müller 2012, "Deep Boltzmann machines and the centering trick") are those of the same model
with offsets subtracted: its weights W and the biases b + W λ and c + Wᵀ (μ / σ²) follow the derivatives by themselves.
That the means of units are no part of what weights learn makes the gradient better conditioned.

CD-k starts a chain of k Gibbs steps at each frame of the minibatch; persistent CD (Tieleman 2008) goes on with chains
of its own from step to step.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from asrkit.core.errors import ConfigError, ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.config import CdConfig
from asrkit.nnet.energy.rbm import Rbm, noisy_rectified

log = logging.getLogger("asrkit")

OFFSET_RATE = 0.01
"""How far the offsets of centred units move to the means of each minibatch (Melchior, Fischer and Wiskott 2016)."""


class ContrastiveDivergence:
    """Trains an RBM in place, minibatch by minibatch.

    Parameters
    ----------
    rbm : Rbm
    config : CdConfig
    learn_variance : bool
        Of Gaussian visible units; the RBM must have a ``log_variance``.

    Attributes
    ----------
    num_frames : int
        Frames seen.
    num_guarded : int
        Updates that the guard refused.
    """

    def __init__(self, rbm: Rbm, config: CdConfig, learn_variance: bool = False) -> None:
        if learn_variance and rbm.log_variance is None:
            raise ModelError("learning the variance needs Gaussian visible units with a log_variance")
        if config.sparsity_cost and rbm.hidden != "bernoulli":
            raise ConfigError("sparsity_cost is for Bernoulli hidden units", remedy="--set sparsity_cost=0")
        self.rbm, self.config = rbm, config
        self.num_frames = self.num_guarded = 0
        names = [name for name in rbm.parameters() if name != "log_variance" or learn_variance]
        self._velocity = {name: torch.zeros_like(rbm.parameters()[name]) for name in names}
        self._learn_variance = learn_variance
        self._rate_scale, self._rate_period = 1.0, 0
        self._activity: torch.Tensor | None = None
        self._chains: torch.Tensor | None = None
        self._offsets: tuple[torch.Tensor, torch.Tensor] | None = None
        self._error = torch.zeros((), dtype=torch.float64, device=rbm.weights.device)
        self._error_frames = 0
        self._buffers: dict[str, torch.Tensor] = {}

    # One update

    @torch.no_grad()
    def step(self, v: torch.Tensor, draws: Draws, epoch: int = 0) -> None:
        """Update the RBM from a minibatch.

        Parameters
        ----------
        v : (N, V)
            Frames; of Bernoulli units also probabilities.
        epoch : int
            0-based, for the decay of the learning rate.

        Raises
        ------
        ModelError
            The chain ends are no longer finite.
        """
        self._reserve(v)
        self._run_chains(v, draws)
        momentum = self.config.momentum_at(self.num_frames)
        self.num_frames += len(v)
        if self._guarded(v):
            return
        rate = self.config.learning_rate * self.config.learning_rate_decay**epoch * self._rate_scale
        self._accumulate(momentum, rate * (1 - momentum))
        self._move()
        self._keep_within_limits()

    @property
    def chain_end(self) -> torch.Tensor:
        """Visible units at the ends of the chains of the last minibatch, (num_chains, V)."""
        return self._end

    def _reserve(self, v: torch.Tensor) -> None:
        """Make room for the operands of the products: visible units as the weights see them, and hidden units."""
        num_ends = len(v)
        if self.config.persistent:
            if self._chains is None:
                self._chains = _repeated(v, self.config.num_chains or len(v))
            num_ends = len(self._chains)
        self._data_hidden = self._room("data hidden", len(v), self.rbm.num_hidden)
        self._states = self._room("states", num_ends, self.rbm.num_hidden)
        # Two rows more, for the correction of centred units.
        self._end_rows = self._room("end", num_ends + 2, self.rbm.num_visible)
        self._end_hidden_rows = self._room("end hidden", num_ends + 2, self.rbm.num_hidden)
        self._end, self._end_hidden = self._end_rows[:num_ends], self._end_hidden_rows[:num_ends]

    def _room(self, name: str, num_rows: int, num_columns: int) -> torch.Tensor:
        """Return a buffer that is kept from minibatch to minibatch: their sizes differ by one."""
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < num_rows:
            buffer = self._buffers[name] = self.rbm.weights.new_empty((num_rows, num_columns))
        return buffer[:num_rows]

    def _run_chains(self, v: torch.Tensor, draws: Draws) -> None:
        rbm, config = self.rbm, self.config
        self._data = v
        torch.addmm(rbm.hidden_bias, rbm.scaled(v), rbm.weights, out=self._data_hidden)
        if self._chains is None:
            state = self._hidden_state(self._data_hidden, draws)
        else:
            self._to_mean(self._data_hidden)
            torch.addmm(rbm.hidden_bias, rbm.scaled(self._chains), rbm.weights, out=self._end_hidden)
            state = self._hidden_state(self._end_hidden, draws)
        for number in range(config.steps):
            torch.addmm(rbm.visible_bias, state, rbm.weights.T, out=self._end)
            if rbm.visible == "bernoulli":
                self._end.sigmoid_()
            if number == 0 and self._chains is None:
                self._note_error(v)
            if config.chain_visible == "samples":
                self._end.copy_(self._sampled(self._end, draws))
            torch.addmm(rbm.hidden_bias, rbm.scaled(self._end), rbm.weights, out=self._end_hidden)
            if number + 1 < config.steps:
                state = self._hidden_state(self._end_hidden, draws)
            else:
                self._to_mean(self._end_hidden)
        if self._chains is not None:
            self._chains.copy_(self._end)

    def _sampled(self, mean: torch.Tensor, draws: Draws) -> torch.Tensor:
        return draws.bernoulli(mean) if self.rbm.visible == "bernoulli" else mean + self.rbm.noise(mean, draws)

    def _to_mean(self, x: torch.Tensor) -> None:
        if self.rbm.hidden == "bernoulli":
            x.sigmoid_()
        else:
            x.copy_(functional.softplus(x))

    def _hidden_state(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Turn the inputs x into means, in place, and return what drives the visible units."""
        if self.rbm.hidden == "relu" and self.config.chain_hidden == "samples":
            state = noisy_rectified(x, draws)
            self._to_mean(x)
            return state
        self._to_mean(x)
        if self.config.chain_hidden == "means":
            return x
        return draws.bernoulli(x, out=self._states)

    def _accumulate(self, momentum: float, rate: float) -> None:
        """Put the gradient's part into the velocities, the products straight into that of the weights."""
        config, velocity = self.config, self._velocity["weights"]
        num_data, num_ends = len(self._data), len(self._end)
        visible_mean, hidden_mean = _mean(self._data), _mean(self._data_hidden)
        visible_part, hidden_part = visible_mean - _mean(self._end), hidden_mean - _mean(self._end_hidden)
        self._velocity["visible_bias"].mul_(momentum).add_(visible_part, alpha=rate)
        self._velocity["hidden_bias"].mul_(momentum).add_(hidden_part, alpha=rate)
        if self._learn_variance:
            self._accumulate_variance(momentum, rate)
        velocity.addmm_(self._data.T, self._data_hidden, beta=momentum, alpha=rate / num_data)
        if config.centered:
            # The weights of centred units move by G - μ dᵀ - g λᵀ: with two rows more it is the chain ends' product.
            visible_mean = visible_mean - self._move_offsets(visible_mean, hidden_mean)
            assert self._offsets is not None
            torch.stack([self._offsets[0], visible_part], out=self._end_rows[num_ends:])
            torch.stack([num_ends * hidden_part, num_ends * self._offsets[1]], out=self._end_hidden_rows[num_ends:])
            velocity.addmm_(self._end_rows.T, self._end_hidden_rows, alpha=-rate / num_ends)
        else:
            velocity.addmm_(self._end.T, self._end_hidden, alpha=-rate / num_ends)
        if config.l2:
            velocity.add_(self.rbm.weights, alpha=-rate * config.l2)
        if config.sparsity_cost:
            pull = self._sparsity_pull(hidden_mean) * (rate * config.sparsity_cost)
            self._velocity["hidden_bias"].sub_(pull)
            velocity.addr_(visible_mean, pull, alpha=-1.0)

    def _move(self) -> None:
        """Move the parameters by their velocities: of centred units those of W, b + W λ and c + Wᵀ (μ / σ²)."""
        rbm, velocity = self.rbm, self._velocity
        if self.config.centered:
            assert self._offsets is not None
            visible_mean, hidden_mean = self._offsets
            rbm.visible_bias.addmv_(velocity["weights"], hidden_mean, alpha=-1.0)
            rbm.hidden_bias.addmv_(velocity["weights"].T, rbm.scaled(visible_mean), alpha=-1.0)
        for name, value in velocity.items():
            rbm.parameters()[name].add_(value)

    def _move_offsets(self, visible: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Bring the offsets nearer to the means of a minibatch, and return that of the visible units."""
        if self._offsets is not None:
            visible = torch.lerp(self._offsets[0], visible, OFFSET_RATE)
            hidden = torch.lerp(self._offsets[1], hidden, OFFSET_RATE)
        self._offsets = visible, hidden
        return visible

    def _accumulate_variance(self, momentum: float, rate: float) -> None:
        rbm, velocity = self.rbm, self._velocity["log_variance"].mul_(momentum)
        assert rbm.log_variance is not None
        precision = torch.exp(-rbm.log_variance)
        for visible, hidden, sign in ((self._data, self._data_hidden, 1), (self._end, self._end_hidden, -1)):
            pulled = (visible * functional.linear(hidden, rbm.weights)).sum(dim=0)
            part = (0.5 * ((visible - rbm.visible_bias) ** 2).sum(dim=0) - pulled) * precision
            velocity.add_(part, alpha=sign * rate * self.config.variance_rate / len(visible))

    def _sparsity_pull(self, activity: torch.Tensor) -> torch.Tensor:
        """Return running mean of activities less target: the cross-entropy's derivative by the inputs of the units."""
        if self._activity is None:
            self._activity = activity
        else:
            self._activity = torch.lerp(activity, self._activity, self.config.sparsity_decay)
        return self._activity - self.config.sparsity_target

    def _keep_within_limits(self) -> None:
        if self.config.max_norm:
            norms = torch.linalg.vector_norm(self.rbm.weights, dim=0)
            self.rbm.weights.mul_((self.config.max_norm / norms).clamp_(max=1.0))
        if self._learn_variance:
            assert self.rbm.log_variance is not None
            self.rbm.log_variance.clamp_(min=float(np.log(self.config.least_variance)))

    # The guard

    def _guarded(self, v: torch.Tensor) -> bool:
        """Refuse the update, and draw the parameters back, where the chain ends spread far beyond the data."""
        config = self.config
        if self.rbm.visible != "gaussian":
            return False
        period = self.num_frames // config.guard_frames
        if period != self._rate_period:
            self._rate_scale, self._rate_period = 1.0, period
        data_std, end_std = torch.stack([_std(v), _std(self._end)]).tolist()
        if not np.isfinite(end_std):
            raise ModelError(
                f"the RBM's reconstructions are no longer finite after {self.num_frames} frames",
                remedy="lower learning_rate, or set guard_ratio",
            )
        # A minibatch that does not vary, of digital silence, does not say how far is too far.
        if not config.guard_ratio or not data_std or end_std <= config.guard_ratio * data_std:
            return False
        ratio = data_std / end_std
        for value in (self.rbm.weights, self.rbm.visible_bias, self.rbm.hidden_bias):
            value.mul_(ratio)
        for velocity in self._velocity.values():
            velocity.zero_()
        self._rate_scale *= 0.9
        self.num_guarded += 1
        log.debug("chain ends spread %.3g times as far as the data: weights scaled by %.3g", 1 / ratio, ratio)
        if self._chains is not None:
            self._chains = _repeated(v, len(self._chains))
        return True

    # Progress and checkpoints

    def _note_error(self, v: torch.Tensor) -> None:
        difference = torch.sub(v, self._end, out=self._room("difference", *v.shape)).view(-1)
        self._error += difference @ difference
        self._error_frames += len(v)

    def take_error(self) -> float | None:
        """Return the mean squared error of a unit's reconstruction since the last call; None of persistent chains."""
        frames, self._error_frames = self._error_frames, 0
        error = float(self._error) / (frames * self.rbm.num_visible) if frames else None
        self._error.zero_()
        return error

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return all that an update depends on beside its minibatch and draws: arrays, and numbers for JSON."""
        arrays = {f"rbm.{name}": value for name, value in self.rbm.parameters().items()}
        arrays |= {f"velocity.{name}": value for name, value in self._velocity.items()}
        if self._activity is not None:
            arrays["activity"] = self._activity
        if self._chains is not None:
            arrays["chains"] = self._chains
        if self._offsets is not None:
            arrays["visible_offset"], arrays["hidden_offset"] = self._offsets
        numbers = {
            "num_frames": self.num_frames,
            "num_guarded": self.num_guarded,
            "rate_scale": self._rate_scale,
            "rate_period": self._rate_period,
            "error": float(self._error),
            "error_frames": self._error_frames,
        }
        return {name: np.array(value.cpu().numpy()) for name, value in arrays.items()}, numbers

    def restore(self, arrays: Mapping[str, NDArray[Any]], numbers: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`."""
        device = self.rbm.weights.device
        own = {f"rbm.{name}": value for name, value in self.rbm.parameters().items()}
        own |= {f"velocity.{name}": value for name, value in self._velocity.items()}
        for name, value in own.items():
            value.copy_(torch.from_numpy(arrays[name]))
        self._activity, self._chains, visible, hidden = (
            torch.from_numpy(arrays[name].copy()).to(device) if name in arrays else None
            for name in ("activity", "chains", "visible_offset", "hidden_offset")
        )
        self._offsets = None if visible is None or hidden is None else (visible, hidden)
        self.num_frames, self.num_guarded = int(numbers["num_frames"]), int(numbers["num_guarded"])
        self._rate_scale, self._rate_period = float(numbers["rate_scale"]), int(numbers["rate_period"])
        self._error.fill_(float(numbers["error"]))
        self._error_frames = int(numbers["error_frames"])


def contrastive_cost(rbm: Rbm, data: torch.Tensor, chain_end: torch.Tensor) -> torch.Tensor:
    """Return the cost C: mean F over data (N, V) less mean F over chain ends (M, V), which are constants."""
    return rbm.free_energy(data).mean() - rbm.free_energy(chain_end.detach()).mean()


def _repeated(v: torch.Tensor, count: int) -> torch.Tensor:
    """Return ``count`` rows of a minibatch, from the first again where it has fewer."""
    return v[torch.arange(count, device=v.device) % len(v)]


def _mean(values: torch.Tensor) -> torch.Tensor:
    """Return the mean of rows: by a product, which takes half the time of a sum."""
    return values.T @ values.new_full((len(values),), 1 / len(values))


def _std(values: torch.Tensor) -> torch.Tensor:
    flat = values.reshape(-1)
    return (flat @ flat / len(flat) - flat.mean() ** 2).clamp_(min=0.0).sqrt_()
