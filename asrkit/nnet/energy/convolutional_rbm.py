"""Convolutional restricted Boltzmann machines with probabilistic max pooling, over time.

Visible units are T frames v of C channels. A base j has one filter W_j of K frames, and a hidden unit h_sj at each of
the S = T - K + 1 places where the filter fits; P neighbouring ones are a block, S a multiple of P. Of a block one unit
at most is on, and its pooling unit p_αj says whether one is (Lee, Grosse, Ranganath and Ng 2009, "Convolutional deep
belief networks for scalable unsupervised learning of hierarchical representations", section 3.3). With visible biases
b, hidden biases c, and over those h that keep to that,

Bernoulli visible units::

    E(v, h)     = - Σ_ti b_i v_ti - Σ_sj c_j h_sj - Σ_sj h_sj Σ_ki v_(s+k)i W_kij

Gaussian visible units of variance σ² (Lee, Pham, Largman and Ng 2009, "Unsupervised feature learning for audio
classification using convolutional deep belief networks", where σ is 1; their program divides all of the energy by
σ²)::

    E(v, h)     = (Σ_ti (v_ti - b_i)² / 2 - Σ_sj c_j h_sj - Σ_sj h_sj Σ_ki v_(s+k)i W_kij) / σ²

So with σ = 1 for Bernoulli units, and the inputs x_sj = (c_j + Σ_ki v_(s+k)i W_kij) / σ², a block B and its state of
all off are one softmax::

    p(h_sj = 1 | v) = exp(x_sj) / (1 + Σ_r∈B exp(x_rj))
    p(p_αj = 0 | v) = 1 / (1 + Σ_r∈B exp(x_rj))
    F(v)            = visible part - Σ_αj log(1 + Σ_r∈B exp(x_rj))
    E[v_ti | h]     = b_i + Σ_kj W_kij h_(t-k)j,    of Bernoulli units the sigmoid of it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from asrkit.core.errors import ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.config import Visible
from asrkit.nnet.energy.convolutional_config import ConvolutionalRbmConfig
from asrkit.nnet.energy.rbm import LEAST_ACTIVITY

BLOCK_PLACES = 4096
"""Places of hidden units that are computed at once where features are: bounds memory, whatever the utterance."""

PARAMETERS = ("weights", "visible_bias", "hidden_bias")


@dataclass(eq=False)
class ConvolutionalRbm:
    """A convolutional RBM of C channels, H bases; see the module for its equations.

    Attributes
    ----------
    visible : {'bernoulli', 'gaussian'}
    weights : (K, C, H)
        Filters, earliest frame first.
    visible_bias : (C,)
    hidden_bias : (H,)
    pooling : int
        P.
    visible_std : float
        σ of Gaussian visible units; 1 for Bernoulli ones.

    Notes
    -----
    All tensors are float32, or all float64, on one device. A batch of N configurations is (N, T, C), (N, S, H), and of
    pooling units (N, S / P, H).
    """

    visible: Visible
    weights: torch.Tensor
    visible_bias: torch.Tensor
    hidden_bias: torch.Tensor
    pooling: int
    visible_std: float = 1.0

    def __post_init__(self) -> None:
        channels, bases = self.weights.shape[1:]
        if self.visible_bias.shape != (channels,) or self.hidden_bias.shape != (bases,):
            raise ModelError(
                f"biases of {len(self.visible_bias)} channels and {len(self.hidden_bias)} bases, filters of "
                f"{channels} and {bases}"
            )
        if self.visible == "bernoulli" and self.visible_std != 1:
            raise ModelError("bernoulli visible units have no standard deviation of their own")

    @property
    def filter_length(self) -> int:
        """K."""
        return int(self.weights.shape[0])

    @property
    def num_channels(self) -> int:
        """C."""
        return int(self.weights.shape[1])

    @property
    def num_bases(self) -> int:
        """H."""
        return int(self.weights.shape[2])

    def num_places(self, num_frames: int) -> int:
        """Return S of T frames.

        Raises
        ------
        ModelError
            They are no whole number of blocks, or none.
        """
        places = num_frames - self.filter_length + 1
        if places < self.pooling or places % self.pooling:
            raise ModelError(
                f"{num_frames} frames, expected {self.filter_length - 1} and a positive multiple of {self.pooling}"
            )
        return places

    # Conditionals

    def stretches(self, v: torch.Tensor) -> torch.Tensor:
        """Return what the filters see at each place, (N * S, K * C)."""
        places = self.num_places(v.shape[1])
        stretches = v.contiguous().unfold(1, self.filter_length, 1).transpose(2, 3)
        return stretches.reshape(len(v) * places, -1)

    def hidden_input(self, v: torch.Tensor) -> torch.Tensor:
        """Return x, (N, S, H)."""
        return self.input_of_stretches(self.stretches(v)).view(len(v), -1, self.num_bases)

    def input_of_stretches(self, stretches: torch.Tensor) -> torch.Tensor:
        """Return x of what :meth:`stretches` returns, (N * S, H)."""
        scale = self.visible_std**-2
        flat = self.weights.view(-1, self.num_bases)
        return torch.addmm(self.hidden_bias, stretches, flat, beta=scale, alpha=scale)

    def mean_of_input(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return E[h | v] (N, S, H) and E[p | v] (N, S / P, H) of the inputs x."""
        blocks = x.view(len(x), -1, self.pooling, self.num_bases)
        # The state of all off has the input 0.
        highest = blocks.amax(dim=2, keepdim=True).clamp_(min=0.0)
        raised = torch.exp(blocks - highest)
        on = raised.sum(dim=2, keepdim=True)
        total = on + torch.exp(-highest)
        return (raised / total).view_as(x), (on / total).squeeze(2)

    def hidden_mean(self, v: torch.Tensor) -> torch.Tensor:
        """Return E[h | v], (N, S, H)."""
        return self.mean_of_input(self.hidden_input(v))[0]

    def pooled_mean(self, v: torch.Tensor) -> torch.Tensor:
        """Return E[p | v], (N, S / P, H)."""
        return self.mean_of_input(self.hidden_input(v))[1]

    def sample_of_mean(self, mean: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Draw hidden units with these means (N, S, H), one of a block at most."""
        blocks = mean.view(len(mean), -1, self.pooling, self.num_bases)
        upper = blocks.cumsum(dim=2)
        drawn = draws.uniform(blocks[:, :, :1])
        return ((drawn < upper) & (drawn >= upper - blocks)).to(mean.dtype).view_as(mean)

    def sample_hidden(self, v: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Draw hidden units given visible ones, (N, S, H)."""
        return self.sample_of_mean(self.hidden_mean(v), draws)

    def pooled(self, h: torch.Tensor) -> torch.Tensor:
        """Return the pooling units of hidden ones (N, S, H): (N, S / P, H)."""
        return h.view(len(h), -1, self.pooling, self.num_bases).sum(dim=2)

    def visible_mean(self, h: torch.Tensor) -> torch.Tensor:
        """Return E[v | h], (N, T, C)."""
        count, places, _ = h.shape
        parts = functional.linear(h.reshape(count * places, -1), self.weights.view(-1, self.num_bases))
        parts = parts.view(count, places, self.filter_length, self.num_channels)
        mean = self.visible_bias.repeat(count, places + self.filter_length - 1, 1)
        for k in range(self.filter_length):
            mean[:, k : k + places] += parts[:, :, k]
        return torch.sigmoid(mean) if self.visible == "bernoulli" else mean

    def sample_visible(self, h: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Draw visible units given hidden ones, (N, T, C)."""
        mean = self.visible_mean(h)
        if self.visible == "bernoulli":
            return draws.bernoulli(mean)
        return mean + self.visible_std * draws.normal(mean)

    def gibbs(self, v: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Draw hidden units given v, and visible ones given these, (N, T, C)."""
        return self.sample_visible(self.sample_hidden(v, draws), draws)

    # Energies

    def energy(self, v: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """Return E(v, h), (N,); infinity where more than one unit of a block is on."""
        energy = self._visible_energy(v) - (self.hidden_input(v) * h).sum(dim=(1, 2))
        return energy.masked_fill((self.pooled(h) > 1).flatten(1).any(dim=1), float("inf"))

    def free_energy(self, v: torch.Tensor) -> torch.Tensor:
        """Return F(v) = -log of the sum over h of exp(-E(v, h)), (N,)."""
        x = self.hidden_input(v)
        blocks = x.view(len(x), -1, self.pooling, self.num_bases)
        gain = functional.softplus(torch.logsumexp(blocks, dim=2)).sum(dim=(1, 2))
        return self._visible_energy(v) - gain

    def _visible_energy(self, v: torch.Tensor) -> torch.Tensor:
        if self.visible == "bernoulli":
            return -(v * self.visible_bias).sum(dim=(1, 2))
        return ((v - self.visible_bias) ** 2).sum(dim=(1, 2)) / (2 * self.visible_std**2)

    # Features

    def padding(self, num_frames: int) -> tuple[int, int]:
        """Return how many frames are repeated before and behind T frames, so that these have ceil(T / P) blocks.

        The block α then stands for the frames from α P on: its units see K - 1 frames more, as many before as behind
        (behind one more, where K is even).
        """
        blocks = -(-num_frames // self.pooling)
        left = (self.filter_length - 1) // 2
        return left, blocks * self.pooling + self.filter_length - 1 - num_frames - left

    @torch.no_grad()
    def features(self, frames: torch.Tensor, pooled: bool = True) -> torch.Tensor:
        """Return the means of the pooling units over an utterance, (ceil(T / P), H); or of the hidden ones, (T, H).

        Parameters
        ----------
        frames : (T, C)
            At least one; the first and the last frame stand for those beyond the ends.
        """
        num_frames = len(frames)
        left, right = self.padding(num_frames)
        padded = torch.cat([frames[:1].expand(left, -1), frames, frames[-1:].expand(right, -1)])
        step = max(1, BLOCK_PLACES // self.pooling) * self.pooling
        rows = []
        for start in range(0, len(padded) - self.filter_length + 1, step):
            part = padded[start : start + step + self.filter_length - 1]
            hidden, pool = self.mean_of_input(self.hidden_input(part[None]))
            rows.append((pool if pooled else hidden)[0])
        return torch.cat(rows) if pooled else torch.cat(rows)[:num_frames]

    def projected(self, pooled: torch.Tensor) -> torch.Tensor:
        """Return what pooling units (B, H), of any values, add to the visible units: (B * P + K - 1, C).

        Each is shared by the hidden units of its block, which stand where those of :meth:`features` do.
        """
        h = pooled.repeat_interleave(self.pooling, dim=0) / self.pooling
        length, width = self.filter_length, self.num_channels
        parts = functional.linear(h, self.weights.view(-1, self.num_bases)).view(len(h), length, width)
        visible = pooled.new_zeros((len(h) + length - 1, width))
        for k in range(length):
            visible[k : k + len(h)] += parts[:, k]
        return visible

    # Parameters

    def parameters(self) -> dict[str, torch.Tensor]:
        """Return the tensors by name."""
        return {name: getattr(self, name) for name in PARAMETERS}

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the parameters as copies in float32."""
        return {name: value.cpu().numpy().astype(np.float32) for name, value in self.parameters().items()}

    def described(self) -> dict[str, object]:
        """Return all but the parameters, for JSON."""
        return {"visible": self.visible, "pooling": self.pooling, "visible_std": self.visible_std}

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, NDArray[np.float32]],
        described: Mapping[str, object],
        device: torch.device | None = None,
    ) -> ConvolutionalRbm:
        """Return what :meth:`to_arrays` and :meth:`described` wrote.

        Raises
        ------
        ModelError
            They do not fit, or hold NaN or infinity.
        """
        absent = [name for name in PARAMETERS if name not in arrays]
        if absent or any(arrays[name].ndim != dims for name, dims in zip(PARAMETERS, (3, 1, 1))):
            raise ModelError(f"a convolutional layer lacks {', '.join(absent) or 'parameters of the right shapes'}")
        if not all(np.isfinite(arrays[name]).all() for name in PARAMETERS):
            raise ModelError("parameters of a convolutional layer are not finite")
        visible, pooling, std = (described.get(name) for name in ("visible", "pooling", "visible_std"))
        if visible not in ("gaussian", "bernoulli") or not isinstance(pooling, int) or pooling < 1:
            raise ModelError(f"a convolutional layer with {visible} units and pooling {pooling}")
        if not isinstance(std, (int, float)) or not std > 0:
            raise ModelError(f"a convolutional layer whose units have the standard deviation {std}")
        tensors = {name: torch.from_numpy(arrays[name].astype(np.float32)).to(device) for name in PARAMETERS}
        return cls(visible, **tensors, pooling=pooling, visible_std=float(std))


def new_convolutional_rbm(
    visible: Visible, mean: torch.Tensor, config: ConvolutionalRbmConfig, draws: Draws
) -> ConvolutionalRbm:
    """Return a convolutional RBM to be trained.

    Parameters
    ----------
    mean : (C,)
        Of each channel in the data: the visible bias begins where the model without weights has it.
    """
    shape = (config.filter_length, len(mean), config.bases)
    weights = config.weight_std * draws.normal(mean.new_empty(shape))
    gaussian = visible == "gaussian"
    visible_bias = mean.clone() if gaussian else torch.logit(mean, eps=LEAST_ACTIVITY)
    hidden_bias = mean.new_full((config.bases,), config.hidden_bias)
    std = config.visible_std if gaussian else 1.0
    return ConvolutionalRbm(visible, weights, visible_bias, hidden_bias, config.pooling, std)
