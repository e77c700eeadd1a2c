"""Random draws for models on any device: the same seed gives the same bits, however many threads compute."""

from __future__ import annotations

import numpy as np
import torch

from asrkit.core.streams import random_stream
from asrkit.nnet.draw_kernels import LANES, draw_bernoulli


class Draws:
    """A stream of random numbers on a device.

    Parameters
    ----------
    seed : int
    purpose, item : str
        What the numbers are for; another purpose or item gives another stream (:func:`random_stream`).
    device : torch.device, optional
        A CPU and a GPU give different numbers.
    """

    def __init__(self, seed: int, purpose: str, item: str = "", device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        stream = random_stream(seed, purpose, item)
        self._generator = torch.Generator(self.device)
        self._generator.manual_seed(int(stream.integers(2**63)))
        # On a CPU torch draws number by number, which takes ten times as long as these do.
        self._host = np.random.Generator(np.random.SFC64(stream.integers(2**63, size=4)))
        self._lanes = stream.integers(1, 2**32, size=(4, LANES), dtype=np.uint32)

    def bernoulli(self, probabilities: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """Return ones with these probabilities, else zeros, in the shape and dtype of the probabilities.

        Parameters
        ----------
        probabilities : float32 or float64
            In [0, 1]; 0 never and 1 always gives a one. In float32 they count in steps of 2^-24.
        out : optional
            Where to write; not ``probabilities`` itself.
        """
        if out is None:
            out = torch.empty_like(probabilities, memory_format=torch.contiguous_format)
        if self.device.type == "cpu" and probabilities.dtype == torch.float32 and out.is_contiguous():
            flat = probabilities.detach().reshape(-1).numpy()
            draw_bernoulli(self._lanes, flat, out.detach().view(-1).numpy())
            return out
        return torch.lt(self.uniform(probabilities), probabilities, out=out)

    def normal(self, like: torch.Tensor) -> torch.Tensor:
        """Return standard normal numbers in the shape and dtype of ``like``."""
        if self.device.type != "cpu":
            return torch.empty_like(like).normal_(generator=self._generator)
        dtype = np.float32 if like.dtype == torch.float32 else np.float64
        return torch.from_numpy(self._host.standard_normal(tuple(like.shape), dtype=dtype)).to(like.dtype)

    def integers(self, high: int, shape: tuple[int, ...]) -> torch.Tensor:
        """Return int64 numbers from 0 to ``high - 1``."""
        if self.device.type != "cpu":
            return torch.randint(high, shape, generator=self._generator, device=self.device)
        return torch.from_numpy(self._host.integers(high, size=shape))

    def uniform(self, like: torch.Tensor) -> torch.Tensor:
        """Return uniform numbers in [0, 1) in the shape and dtype of ``like``."""
        if self.device.type != "cpu":
            return torch.rand(like.shape, generator=self._generator, device=self.device, dtype=like.dtype)
        dtype = np.float32 if like.dtype == torch.float32 else np.float64
        return torch.from_numpy(self._host.random(tuple(like.shape), dtype=dtype)).to(like.dtype)
