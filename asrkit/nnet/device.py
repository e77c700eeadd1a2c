"""Where a network computes, and with how many threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from asrkit.core.errors import ConfigError
from asrkit.nnet.train.config import Device, Precision

MAX_THREADS = 1024
"""Where the system refuses so many, OpenMP ends the process without a word to Python."""


def pick_device(name: Device = "auto") -> torch.device:
    """Return the device to compute on.

    Parameters
    ----------
    name : {'auto', 'cpu', 'cuda'}
        ``auto`` is the GPU where there is one; of several, that which torchrun gave this process.

    Raises
    ------
    ConfigError
        A GPU is asked for and torch finds none.
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise ConfigError(
            f"device is 'cuda', and torch {torch.__version__} finds no GPU",
            remedy="--set device=cpu, or install a build of torch for your GPU",
        )
    if not found or name == "cpu":
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Compute with ``count`` threads, and afterwards with as many as before.

    A product's last bit can depend on how many threads share it, so the number is part of a training's configuration.

    Raises
    ------
    ConfigError
        ``count`` is below 1, or above :data:`MAX_THREADS`.
    """
    if not 1 <= count <= MAX_THREADS:
        raise ConfigError(
            f"threads is {count}, expected 1 to {MAX_THREADS}", remedy="give the number of cores, or fewer"
        )
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def matmul_precision(name: Precision) -> Iterator[None]:
    """Multiply float32 matrices with TF32 where that is asked for, and afterwards as before."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
