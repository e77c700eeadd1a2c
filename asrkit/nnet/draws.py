"""Random draws for models on any device: the same seed gives the same bits, however many threads compute."""

from __future__ import annotations

import numpy as np
import torch

from asrkit.core.streams import random_stream

_MANTISSA = 0x007FFFFF
_ONE = 0x3F800000  # 1.0 in float32
_BOTH_MANTISSAS = _MANTISSA << 32 | _MANTISSA
_BOTH_ONES = _ONE << 32 | _ONE


class Draws:
    """A stream of random numbers on a device.

    Parameters
    ----------
    seed : int
    purpose, item : str
        What the numbers are for; another purpose or item gives another stream (:func:`random_stream`).
    device : torch.device, optional
        Two kinds of devices give different numbers.
    """

    def __init__(self, seed: int, purpose: str, item: str = "", device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        key = random_stream(seed, purpose, item).integers(2**63, size=4)
        # On a CPU numpy's generator takes a third of the time of torch's, which draws number by number.
        self._host = np.random.Generator(np.random.SFC64(key)) if self.device.type == "cpu" else None
        self._generator = torch.Generator(self.device)
        self._generator.manual_seed(int(key[0]))

    def bernoulli(self, probabilities: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """Return ones with these probabilities, else zeros, in the shape and dtype of the probabilities.

        Parameters
        ----------
        probabilities : float32 or float64
            In [0, 1]; 0 never and 1 always gives a one. In float32 they count in steps of 2^-23.
        out : optional
            Where to write; not ``probabilities`` itself.
        """
        return torch.lt(self.uniform(probabilities), probabilities, out=_empty(probabilities, out))

    def normal(self, like: torch.Tensor) -> torch.Tensor:
        """Return standard normal numbers in the shape and dtype of ``like``."""
        if self._host is None:
            return torch.empty_like(like).normal_(generator=self._generator)
        dtype = np.float32 if like.dtype == torch.float32 else np.float64
        return torch.from_numpy(self._host.standard_normal(tuple(like.shape), dtype=dtype)).to(like.dtype)

    def integers(self, high: int, shape: tuple[int, ...]) -> torch.Tensor:
        """Return int64 numbers from 0 to ``high - 1``."""
        if self._host is None:
            return torch.randint(high, shape, generator=self._generator, device=self.device)
        return torch.from_numpy(self._host.integers(high, size=shape))

    def uniform(self, like: torch.Tensor) -> torch.Tensor:
        """Return uniform numbers in [0, 1) in the shape and dtype of ``like``; of float32 multiples of 2^-23."""
        if like.dtype != torch.float32:
            if self._host is None:
                return torch.rand(like.shape, generator=self._generator, device=self.device, dtype=like.dtype)
            return torch.from_numpy(self._host.random(tuple(like.shape))).to(like.dtype)
        # 64 random bits at once, read as the mantissas of two numbers in [1, 2).
        num_words = (like.numel() + 1) // 2
        if self._host is None:
            words = torch.empty(num_words, dtype=torch.int64, device=self.device)
            words.random_(-(2**63), None, generator=self._generator)
        else:
            words = torch.from_numpy(self._host.bit_generator.random_raw(num_words).view(np.int64))
        words.bitwise_and_(_BOTH_MANTISSAS).bitwise_or_(_BOTH_ONES)
        return words.view(torch.float32)[: like.numel()].view(like.shape).sub_(1.0)


def _empty(like: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
    return torch.empty_like(like) if out is None else out
