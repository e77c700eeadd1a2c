"""Autoencoders: denoising, contractive, with tied weights or a decoder of their own.

From V inputs x, of which a corrupted copy x̃ is seen, H hidden units and a reconstruction are computed ::

    h = f(x̃ W + c)        z = h Uᵀ + b        U = W where weights are tied

and the loss of a frame is ::

    ½ Σ_i (x_i - z_i)²                              Gaussian inputs
    Σ_i [log(1 + exp(z_i)) - x_i z_i]               Bernoulli ones: the cross-entropy of x and sigmoid(z)

(Vincent et al. 2010, "Stacked denoising autoencoders"), to which a contractive one adds, of the clean input, the
squares of all derivatives of h by x (Rifai et al. 2011, "Contractive auto-encoders")::

    contraction · Σ_j f'(a_j)² Σ_i W_ij²,           a = x W + c
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from asrkit.core.errors import DataError, ModelError
from asrkit.nnet.autoencoders.config import AutoencoderConfig, Encoder, Inputs
from asrkit.nnet.draws import Draws
from asrkit.nnet.pretraining import Layers, Phase
from asrkit.nnet.stack import StackLayer
from asrkit.nnet.train.optimiser import Optimiser


@dataclass(eq=False)
class Autoencoder:
    """An autoencoder of V inputs and H hidden units; see the module for its equations.

    Attributes
    ----------
    inputs : {'gaussian', 'bernoulli'}
    activation : {'sigmoid', 'tanh', 'relu'}
    weights : (V, H)
        W.
    visible_bias, hidden_bias : (V,), (H,)
        b and c.
    decoder_weights : (V, H) or None
        U; None: tied.
    """

    inputs: Inputs
    activation: Encoder
    weights: torch.Tensor
    visible_bias: torch.Tensor
    hidden_bias: torch.Tensor
    decoder_weights: torch.Tensor | None = None

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return hidden units of inputs (N, V), (N, H)."""
        a = torch.addmm(self.hidden_bias, x, self.weights)
        return {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}[self.activation](a)

    def decode(self, h: torch.Tensor) -> torch.Tensor:
        """Return reconstructions of hidden units (N, H), (N, V); of Bernoulli inputs their probabilities."""
        z = self._decoder_input(h)
        return torch.sigmoid(z) if self.inputs == "bernoulli" else z

    def loss(self, x: torch.Tensor, corrupted: torch.Tensor, contraction: float = 0.0) -> torch.Tensor:
        """Return the mean loss of frames x (N, V) that are seen as ``corrupted``, a scalar."""
        z = self._decoder_input(self.encode(corrupted))
        if self.inputs == "bernoulli":
            loss = (functional.softplus(z) - x * z).sum(dim=1)
        else:
            loss = 0.5 * ((x - z) ** 2).sum(dim=1)
        if contraction:
            loss = loss + contraction * self.squared_derivatives(x)
        return loss.mean()

    def squared_derivatives(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of the squares of all derivatives of h by x, (N,)."""
        h = self.encode(x)
        if self.activation == "sigmoid":
            slope = h * (1 - h)
        elif self.activation == "tanh":
            slope = 1 - h * h
        else:
            slope = (h > 0).to(h.dtype)
        return slope**2 @ (self.weights**2).sum(dim=0)

    def _decoder_input(self, h: torch.Tensor) -> torch.Tensor:
        weights = self.weights if self.decoder_weights is None else self.decoder_weights
        return functional.linear(h, weights, self.visible_bias)

    def parameters(self) -> dict[str, torch.Tensor]:
        """Return the tensors by name."""
        named = {"weights": self.weights, "visible_bias": self.visible_bias, "hidden_bias": self.hidden_bias}
        return named if self.decoder_weights is None else {**named, "decoder_weights": self.decoder_weights}

    def layer(self) -> StackLayer:
        """Return the autoencoder as a layer of a stack, a copy in float32."""
        arrays = {name: value.detach().cpu().numpy().astype(np.float32) for name, value in self.parameters().items()}
        return StackLayer("autoencoder", self.inputs, self.activation, arrays)

    @classmethod
    def of_layer(cls, layer: StackLayer, device: torch.device | None = None) -> Autoencoder:
        """Return the autoencoder that :meth:`layer` wrote.

        Raises
        ------
        ModelError
            The layer is none.
        """
        if layer.kind != "autoencoder":
            raise ModelError(f"a layer of the kind {layer.kind!r}, expected an autoencoder")
        tensors = {name: torch.from_numpy(value.copy()).to(device) for name, value in layer.parameters.items()}
        return cls(layer.visible, layer.hidden, **tensors)  # type: ignore[arg-type]


def new_autoencoder(
    inputs: Inputs, num_hidden: int, mean: torch.Tensor, config: AutoencoderConfig, draws: Draws
) -> Autoencoder:
    """Return an autoencoder to be trained.

    Weights are uniform within the bounds of Glorot and Bengio 2010, or normal of variance 2 / V for rectified units (He
    et al. 2015). Bounds four times as wide, as in networks of sigmoids, would make reconstructions of Gaussian inputs
    spread further than these.

    Parameters
    ----------
    mean : (V,)
        Of the inputs; the decoder's bias begins with it.
    """
    num_inputs = len(mean)

    def drawn() -> torch.Tensor:
        empty = mean.new_empty((num_inputs, num_hidden))
        if config.activation == "relu":
            return draws.normal(empty) * math.sqrt(2 / num_inputs)
        return (2 * draws.uniform(empty) - 1) * math.sqrt(6 / (num_inputs + num_hidden))

    bias = torch.logit(mean, eps=1e-4) if inputs == "bernoulli" else mean.clone()
    weights = drawn()
    decoder = None if config.tied else drawn()
    return Autoencoder(inputs, config.activation, weights, bias, mean.new_zeros(num_hidden), decoder)


def corrupt(x: torch.Tensor, config: AutoencoderConfig, draws: Draws) -> torch.Tensor:
    """Return a corrupted copy of inputs (N, V), or these themselves where nothing is to be corrupted."""
    if config.corruption == "none" or not config.corruption_level:
        return x
    if config.corruption == "gaussian":
        return x + config.corruption_level * draws.normal(x)
    return x * draws.bernoulli(torch.full_like(x, 1 - config.corruption_level))


class AutoencoderTraining:
    """Trains an autoencoder in place, minibatch by minibatch.

    Parameters
    ----------
    autoencoder : Autoencoder
    config : AutoencoderConfig
    batch_size : int
        Frames of a whole minibatch, for the learning rate.
    """

    def __init__(self, autoencoder: Autoencoder, config: AutoencoderConfig, batch_size: int) -> None:
        self.autoencoder, self.config = autoencoder, config
        for name, value in autoencoder.parameters().items():
            setattr(autoencoder, name, torch.nn.Parameter(value))
        parameters = autoencoder.parameters()
        self._optimiser = Optimiser(
            (value for value in parameters.values() if isinstance(value, torch.nn.Parameter)),
            config.optimiser,
            batch_size,
        )
        self._loss = torch.zeros((), dtype=torch.float64, device=autoencoder.weights.device)
        self._frames = 0

    def step(self, v: torch.Tensor, draws: Draws, epoch: int = 0) -> None:
        """Update the autoencoder from a minibatch (N, V)."""
        loss = self.autoencoder.loss(v, corrupt(v, self.config, draws), self.config.contraction)
        loss.backward()
        self._optimiser.step()
        self._loss += loss.detach() * len(v)
        self._frames += len(v)

    def take_error(self) -> float | None:
        """Return the mean loss of a frame since the last call, None where there was none.

        Raises
        ------
        DataError
            It is not finite.
        """
        frames, self._frames = self._frames, 0
        error = float(self._loss) / frames if frames else None
        self._loss.zero_()
        if error is not None and not math.isfinite(error):
            raise DataError("the autoencoder's loss is no longer finite", remedy="lower optimiser.learning_rate")
        return error

    @torch.no_grad()
    def watch(self, training: torch.Tensor, held_out: torch.Tensor | None, draws: Draws) -> dict[str, Any]:
        """Return what shows how well frames that are not corrupted are reconstructed (N, V), for a JSON file."""
        found = {"error": self._squared_error(training)}
        if held_out is not None:
            found["held_out_error"] = self._squared_error(held_out)
        if self.config.contraction:
            found["squared_derivatives"] = float(self.autoencoder.squared_derivatives(training).mean())
        return found

    def _squared_error(self, v: torch.Tensor) -> float:
        return float(functional.mse_loss(self.autoencoder.decode(self.autoencoder.encode(v)), v))

    def trained(self, below: tuple[StackLayer, ...]) -> tuple[StackLayer, ...]:
        """Return the layers of the stack with this one on top."""
        return (*below, self.autoencoder.layer())

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return all that an update depends on beside its minibatch and draws: arrays, and numbers for JSON."""
        arrays = {
            f"autoencoder.{name}": np.array(value.detach().cpu().numpy())
            for name, value in self.autoencoder.parameters().items()
        }
        arrays |= {f"optimiser.{name}": np.array(value) for name, value in self._optimiser.to_arrays().items()}
        return arrays, {"loss": float(self._loss), "frames": self._frames}

    @torch.no_grad()
    def restore(self, arrays: Mapping[str, NDArray[Any]], numbers: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`."""
        for name, value in self.autoencoder.parameters().items():
            value.copy_(torch.from_numpy(arrays[f"autoencoder.{name}"]))
        start = "optimiser."
        self._optimiser.load_arrays(
            {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}
        )
        self._loss.fill_(float(numbers["loss"]))
        self._frames = int(numbers["frames"])


def autoencoder_phases(
    units: Sequence[int], inputs: Inputs, num_epochs: int, config: AutoencoderConfig, batch_size: int
) -> list[Phase]:
    """Return one phase for each autoencoder of a stack.

    Parameters
    ----------
    units : sequence of int
        Hidden units of each, from the bottom.
    inputs : {'gaussian', 'bernoulli'}
        The frames. The outputs of sigmoid units count as Bernoulli inputs, others as Gaussian ones.
    batch_size : int
        Frames of a whole minibatch.
    """
    above: Inputs = "bernoulli" if config.activation == "sigmoid" else "gaussian"
    kinds = [inputs, *[above] * (len(units) - 1)]
    return [
        Phase(f"layer {number}", num_epochs, functools.partial(_begin, num_hidden, kind, config, batch_size))
        for number, (num_hidden, kind) in enumerate(zip(units, kinds), 1)
    ]


def _begin(
    num_hidden: int,
    inputs: Inputs,
    config: AutoencoderConfig,
    batch_size: int,
    _below: Layers,
    mean: torch.Tensor,
    _variance: torch.Tensor,
    draws: Draws,
    _device: torch.device,
) -> AutoencoderTraining:
    return AutoencoderTraining(new_autoencoder(inputs, num_hidden, mean, config, draws), config, batch_size)
