"""Deep belief networks: an RBM on top of directed layers (Hinton, Osindero and Teh 2006).

With hidden layers h_1, ..., h_L above the visible units v, of which the last two form an RBM, the model is ::

    p(v, h_1, ..., h_L) = p(v | h_1) p(h_1 | h_2) ... p(h_{L-2} | h_{L-1}) p_top(h_{L-1}, h_L)

where p(h_{l-1} | h_l), of the *generative* weights, has the form of an RBM's visible units. What inference takes for
the posterior is factorial, from the *recognition* weights: q(h_l | h_{l-1}), of the form of an RBM's hidden units.
After greedy training both are the weights of the RBM that the layer was trained as; up-down training parts them. For
any q ::

    log p(v) >= E_q[log p(v | h_1) + ... + log p(h_{L-2} | h_{L-1}) - F_top(h_{L-1})] - log Z_top + H(q)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from asrkit.core.errors import ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.config import Visible
from asrkit.nnet.energy.rbm import LOG_TWO_PI, Rbm
from asrkit.nnet.stack import StackLayer


@dataclass(eq=False)
class DirectedLayer:
    """V units below, H Bernoulli units above, and weights of their own for either direction.

    Attributes
    ----------
    visible : {'bernoulli', 'gaussian'}
        The units below.
    weights, hidden_bias : (V, H), (H,)
        Recognition: q(h_j = 1 | v) = sigmoid(c_j + Σ_i (v_i / σ_i²) W_ij).
    generative_weights, visible_bias : (V, H), (V,)
        Generation: the units below have the inputs b + h Gᵀ.
    log_variance : (V,) or None
        Of Gaussian units below; None is unit variance.
    """

    visible: Visible
    weights: torch.Tensor
    hidden_bias: torch.Tensor
    generative_weights: torch.Tensor
    visible_bias: torch.Tensor
    log_variance: torch.Tensor | None = None

    @classmethod
    def of_rbm(cls, rbm: Rbm) -> DirectedLayer:
        """Return an RBM's layer with its weights for both directions, copied.

        Raises
        ------
        ModelError
            Hidden units are rectified.
        """
        if rbm.hidden != "bernoulli":
            raise ModelError(
                f"a deep belief network has Bernoulli units in its lower layers, found {rbm.hidden} ones",
                remedy="train the stack with --set rbm.hidden=bernoulli",
            )
        variance = None if rbm.log_variance is None else rbm.log_variance.clone()
        weights, hidden_bias, visible_bias = rbm.weights.clone(), rbm.hidden_bias.clone(), rbm.visible_bias.clone()
        return cls(rbm.visible, weights, hidden_bias, weights.clone(), visible_bias, variance)

    def scaled(self, v: torch.Tensor) -> torch.Tensor:
        """Return v / σ², (N, V)."""
        return v if self.log_variance is None else v * torch.exp(-self.log_variance)

    def recognition_input(self, v: torch.Tensor) -> torch.Tensor:
        """Return the inputs of the units above, (N, H)."""
        return torch.addmm(self.hidden_bias, self.scaled(v), self.weights)

    def generative_input(self, h: torch.Tensor) -> torch.Tensor:
        """Return the inputs of the units below, (N, V)."""
        return functional.linear(h, self.generative_weights, self.visible_bias)

    def generative_mean(self, h: torch.Tensor) -> torch.Tensor:
        """Return E[v | h], (N, V)."""
        inputs = self.generative_input(h)
        return torch.sigmoid(inputs) if self.visible == "bernoulli" else inputs

    def generate(self, h: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Draw the units below given those above, (N, V)."""
        mean = self.generative_mean(h)
        if self.visible == "bernoulli":
            return draws.bernoulli(mean)
        noise = draws.normal(mean)
        return mean + (noise if self.log_variance is None else noise * torch.exp(0.5 * self.log_variance))

    def log_generative(self, v: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """Return log p(v | h), (N,); of Gaussian units a density."""
        inputs = self.generative_input(h)
        if self.visible == "bernoulli":
            return (v * inputs - functional.softplus(inputs)).sum(dim=1)
        log_variance = torch.zeros_like(self.visible_bias) if self.log_variance is None else self.log_variance
        return -0.5 * ((v - inputs) ** 2 * torch.exp(-log_variance) + log_variance + LOG_TWO_PI).sum(dim=1)

    def parameters(self) -> dict[str, torch.Tensor]:
        """Return the tensors by name."""
        named = {
            "weights": self.weights,
            "hidden_bias": self.hidden_bias,
            "generative_weights": self.generative_weights,
            "visible_bias": self.visible_bias,
        }
        return named if self.log_variance is None else {**named, "log_variance": self.log_variance}

    def layer(self) -> StackLayer:
        """Return the layer as one of a stack, a copy in float32."""
        arrays = {name: value.cpu().numpy().astype(np.float32) for name, value in self.parameters().items()}
        return StackLayer("directed", self.visible, "bernoulli", arrays)


@dataclass(eq=False)
class Dbn:
    """A deep belief network.

    Attributes
    ----------
    lower : list of DirectedLayer
        From the bottom; none: the model is the RBM alone.
    top : Rbm
    """

    lower: list[DirectedLayer]
    top: Rbm

    @classmethod
    def of_rbms(cls, rbms: Sequence[Rbm]) -> Dbn:
        """Return the network of RBMs that were trained one on the other, from the bottom; copies.

        Raises
        ------
        ModelError
            There is none, they do not fit, or hidden units below the top are rectified.
        """
        if not rbms:
            raise ModelError("a deep belief network without layers")
        top = rbms[-1]
        copied = Rbm(top.visible, top.hidden, **{name: value.clone() for name, value in top.parameters().items()})
        return cls([DirectedLayer.of_rbm(rbm) for rbm in rbms[:-1]], copied)

    @classmethod
    def of_layers(cls, layers: Sequence[StackLayer], device: torch.device | None = None) -> Dbn:
        """Return the network of a stack's layers, whether up-down training came after the greedy one or not.

        Raises
        ------
        ModelError
            A layer is an autoencoder, or hidden units below the top are rectified.
        """
        lower = []
        for layer in layers[:-1]:
            if layer.kind == "directed":
                tensors = {name: torch.from_numpy(value.copy()).to(device) for name, value in layer.parameters.items()}
                lower.append(DirectedLayer(layer.visible, **tensors))  # type: ignore[arg-type]
            else:
                lower.append(DirectedLayer.of_rbm(Rbm.of_layer(layer, device)))
        return cls(lower, Rbm.of_layer(layers[-1], device))

    def layers(self) -> tuple[StackLayer, ...]:
        """Return the network as layers of a stack, copies."""
        return (*(layer.layer() for layer in self.lower), self.top.layer())

    def __post_init__(self) -> None:
        above = [layer.weights.shape[0] for layer in self.lower[1:]] + [self.top.num_visible]
        for number, (layer, expected) in enumerate(zip(self.lower, above), 1):
            if layer.weights.shape[1] != expected:
                raise ModelError(f"layer {number} has {layer.weights.shape[1]} units, the next expects {expected}")
        for number, kind in enumerate([*(layer.visible for layer in self.lower), self.top.visible]):
            if number and kind != "bernoulli":
                raise ModelError(f"layer {number + 1} has {kind} units below it, expected bernoulli")

    # Upwards

    def recognise(self, v: torch.Tensor, draws: Draws) -> list[torch.Tensor]:
        """Draw h_1, ..., h_{L-1} from q given frames v (N, V); an empty list where there is the top alone."""
        states: list[torch.Tensor] = []
        for layer in self.lower:
            below = states[-1] if states else v
            states.append(draws.bernoulli(torch.sigmoid(layer.recognition_input(below))))
        return states

    @torch.no_grad()
    def log_likelihood_bound(
        self, v: torch.Tensor, log_partition: float, draws: Draws, num_samples: int = 1
    ) -> torch.Tensor:
        """Return an unbiased estimate of the variational bound on log p(v) of each frame, (N,), in nats.

        Of the RBM alone it is log p(v) itself.

        Parameters
        ----------
        v : (N, V)
        log_partition : float
            log Z of the top RBM (:mod:`asrkit.nnet.energy.partition`); its error is the bound's.
        num_samples : int
            Draws from q for each frame.
        """
        total = v.new_zeros(len(v))
        for _ in range(num_samples):
            states = [v, *self.recognise(v, draws)]
            total -= self.top.free_energy(states[-1])
            for layer, below, above in zip(self.lower, states, states[1:]):
                total += layer.log_generative(below, above) + bernoulli_entropy(layer.recognition_input(below))
        return total / num_samples - log_partition

    # Downwards

    @torch.no_grad()
    def sample(
        self, count: int, num_steps: int, draws: Draws, start: torch.Tensor | None = None, means: bool = True
    ) -> torch.Tensor:
        """Draw frames (N, V): Gibbs steps in the top RBM, then down through the directed layers.

        Parameters
        ----------
        count : int
            N: chains, each of which gives a frame.
        num_steps : int
            Gibbs steps, 1 or more.
        start : (N, V), optional
            Frames from whose recognition the chains start; otherwise units of the top RBM's lower layer are drawn
            by their biases alone.
        means : bool
            The frame is E[v | h_1], as pictures are made, and not a draw.
        """
        if start is not None:
            states = self.recognise(start, draws)
            below = states[-1] if states else start
        else:
            none = self.top.weights.new_zeros((count, self.top.num_hidden))
            below = self.top.sample_visible(none, draws)
        for _ in range(num_steps):
            hidden = self.top.sample_hidden(below, draws)
            below = self.top.sample_visible(hidden, draws)
        if not self.lower:
            return self.top.visible_mean(hidden) if means else below
        for layer in self.lower[:0:-1]:
            below = layer.generate(below, draws)
        bottom = self.lower[0]
        return bottom.generative_mean(below) if means else bottom.generate(below, draws)


def bernoulli_entropy(x: torch.Tensor) -> torch.Tensor:
    """Return the entropy of independent Bernoulli units with the inputs x (N, H), in nats, (N,)."""
    return (functional.softplus(x) - x * torch.sigmoid(x)).sum(dim=1)
