"""Several processes that train one network, each on its share of every minibatch, as torchrun starts them.

All hold the same weights: they begin with the same, sum their gradients, and take the same step. The first process
alone writes.
"""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Iterable

import torch
from torch import distributed

from asrkit.core.errors import ConfigError


class Group:
    """The processes, and which of them this is.

    Parameters
    ----------
    rank : int
        0-based.
    size : int
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def agree(self, value: bool) -> bool:
        """Return what the first process says."""
        if self.size == 1:
            return value
        said = torch.tensor([int(value)], device=self._device)
        distributed.broadcast(said, 0)
        return bool(said)

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace the gradients by their sums over the processes."""
        if self.size == 1:
            return
        gradients = [one.grad if one.grad is not None else torch.zeros_like(one) for one in parameters]
        together = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(together)
        at = 0
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = together[at : at + gradient.numel()].view_as(gradient)
            at += gradient.numel()

    def add(self, values: list[float]) -> list[float]:
        """Return the sums of some numbers over the processes."""
        if self.size == 1:
            return values
        sums = torch.tensor(values, dtype=torch.float64, device=self._device)
        distributed.all_reduce(sums)
        found: list[float] = sums.tolist()
        return found

    def share_buffers(self, network: torch.nn.Module) -> None:
        """Give all processes what the first one has seen in passing (the statistics of batch normalisation)."""
        if self.size > 1:
            for buffer in network.buffers():
                distributed.broadcast(buffer, 0)

    @property
    def _device(self) -> torch.device:
        return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")


@functools.cache
def join_group(on_gpu: bool) -> Group:
    """Return the group that torchrun put this process into; one of its own where it did not start it.

    Raises
    ------
    ConfigError
        torchrun's variables are incomplete, or it started more processes than there are GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Group()
    try:
        local = int(os.environ["LOCAL_RANK"])
    except (KeyError, ValueError):
        raise ConfigError(
            f"WORLD_SIZE is {size}, and LOCAL_RANK is not set", remedy="start several processes with torchrun"
        ) from None
    if on_gpu:
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"this is process {local + 1} of this machine, and torch finds {torch.cuda.device_count()} GPUs",
                remedy="torchrun --nproc-per-node with as many processes as GPUs, or --set training.device=cpu",
            )
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    atexit.register(
        distributed.destroy_process_group
    )  # its threads, left alone, sometimes abort the process at its end
    return Group(distributed.get_rank(), distributed.get_world_size())
