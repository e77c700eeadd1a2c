"""Steps along gradients: stochastic gradient descent with momentum, and Adam."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.nnet.train.config import OptimiserConfig


class Optimiser:
    """Moves the parameters of a network by their gradients.

    Parameters
    ----------
    parameters : iterable of Parameter
        Those that are to move.
    config : OptimiserConfig
    batch_size : int
        Frames of a whole minibatch.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], config: OptimiserConfig, batch_size: int) -> None:
        self.config = config
        self.parameters = list(parameters)
        self.rate_factor = 1.0
        self._step_size = config.rate * (batch_size if config.kind == "sgd" else 1)
        self._engine: torch.optim.Optimizer
        if config.kind == "sgd":
            self._engine = torch.optim.SGD(
                self.parameters, self._step_size, momentum=config.momentum, weight_decay=config.l2, fused=True
            )
        else:
            self._engine = torch.optim.Adam(self.parameters, self._step_size, weight_decay=config.l2, fused=True)

    def step(self) -> None:
        """Move by the mean gradient of a minibatch, and forget it."""
        if self.config.clip:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        for group in self._engine.param_groups:
            group["lr"] = self._step_size * self.rate_factor
        self._engine.step()
        if self.config.max_norm:
            self._limit_norms()
        self._engine.zero_grad(set_to_none=True)

    @torch.no_grad()
    def _limit_norms(self) -> None:
        for parameter in self.parameters:
            if parameter.dim() > 1:
                rows = parameter.view(len(parameter), -1)
                norms = rows.norm(dim=1, keepdim=True)
                rows.mul_((self.config.max_norm / norms.clamp_min(torch.finfo(norms.dtype).tiny)).clamp_max(1.0))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what it remembers of earlier steps, by name."""
        state = self._engine.state_dict()["state"]
        return {
            f"{index}.{name}": np.asarray(value.detach().cpu().numpy())
            for index, entries in state.items()
            for name, value in entries.items()
            if isinstance(value, torch.Tensor)
        }

    def load_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put back what :meth:`to_arrays` gave."""
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, array in arrays.items():
            index, _, name = key.partition(".")
            state.setdefault(int(index), {})[name] = torch.from_numpy(np.array(array))
        self._engine.load_state_dict({**self._engine.state_dict(), "state": state})
