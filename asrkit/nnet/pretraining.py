"""Greedy pretraining: one layer after the other, each on the outputs of those below it, with checkpoints.

What a layer is and how it learns is a :class:`Phase`'s affair; a deep belief network's up-down training, which moves
all layers at once, is a phase like the others.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.core.progress import Progress, silent
from asrkit.nnet.draws import Draws
from asrkit.nnet.stack import StackLayer
from asrkit.nnet.train.checkpoint import CheckpointStore, Snapshot
from asrkit.nnet.train.frames import Frames

log = logging.getLogger("asrkit")

Layers = tuple[StackLayer, ...]

_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sigmoid": torch.sigmoid_,
    "tanh": torch.tanh_,
    "relu": torch.relu_,
    "linear": lambda x: x,
}
_BLOCK = 4096


class Trainer(Protocol):
    """Learns from minibatches, and can be stopped between any two of them."""

    def step(self, v: torch.Tensor, draws: Draws, epoch: int = 0) -> None:
        """Learn from a minibatch (N, V) in an epoch, 0-based."""

    def take_error(self) -> float | None:
        """Return the mean error since the last call, where there is one."""

    def watch(self, training: torch.Tensor, held_out: torch.Tensor | None, draws: Draws) -> dict[str, Any]:
        """Return what a reader should see after an epoch, computed on some frames of either kind (N, V)."""

    def trained(self, below: Layers) -> Layers:
        """Return the layers of the stack as they are now, given those before this phase."""

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays, and numbers for JSON."""

    def restore(self, arrays: Mapping[str, NDArray[Any]], numbers: Mapping[str, Any]) -> None:
        """Go on from a state."""


@dataclass(frozen=True)
class Phase:
    """A part of a pretraining.

    Attributes
    ----------
    name : str
        E.g. ``"layer 2"``; also what its random numbers depend on.
    num_epochs : int
    begin : callable
        From the layers so far, mean and variance (V,) of the phase's inputs over some training frames, draws and a
        device to a :class:`Trainer`.
    on_outputs : bool
        Whether its inputs are the outputs of the layers so far, and not the frames themselves.
    """

    name: str
    num_epochs: int
    begin: Callable[[Layers, torch.Tensor, torch.Tensor, Draws, torch.device], Trainer]
    on_outputs: bool = True


@dataclass(frozen=True, eq=False)
class Pretrained:
    """What a pretraining made.

    Attributes
    ----------
    layers : tuple of StackLayer
    history : list of dict
        One for each epoch of each phase, in order: ``phase``, ``epoch`` (from 1), ``frames_per_sec``, ``error``, and
        whatever else the phase watches; JSON-serialisable.
    watched : tensor (N, V)
        The frames that were watched, held-out ones where there are any.
    """

    layers: Layers
    history: list[dict[str, Any]]
    watched: torch.Tensor


def pretrain(
    phases: Sequence[Phase],
    training: Frames,
    held_out: Frames | None,
    seed: int,
    device: torch.device,
    num_watched: int = 5000,
    store: CheckpointStore | None = None,
    progress: Progress = silent,
) -> Pretrained:
    """Train the phases one after the other.

    Parameters
    ----------
    training, held_out : Frames
        Learned from, and only watched.
    seed : int
        With the frames and the phases, what the layers depend on (their last bits also on the device and its threads).
    num_watched : int
        Frames of either kind on which the phases are watched, at most.
    store : CheckpointStore, optional
        Where a run that was killed is gone on with, and this one is saved.

    Raises
    ------
    DataError
        An utterance does not fit.
    ModelError
        What is watched is no longer finite.
    """
    run = _Run(phases, training, held_out, seed, device, num_watched)
    snapshot = store.load() if store is not None else None
    if snapshot is not None:
        run.load(snapshot)
        log.info(
            "going on with %s, epoch %d", phases[run.phase].name if run.phase < len(phases) else "it", run.epoch + 1
        )
    while run.phase < len(phases):
        run.train(store, progress)
    return Pretrained(run.layers, run.history, run.watched_held_out if held_out is not None else run.watched)


class Forward:
    """The forward network of some layers, on a device."""

    def __init__(self, layers: Layers, device: torch.device) -> None:
        self._layers = [
            (
                torch.from_numpy(np.ascontiguousarray(layer.weights)).to(device),
                torch.from_numpy(np.ascontiguousarray(layer.bias)).to(device),
                _ACTIVATIONS[layer.activation],
            )
            for layer in layers
        ]

    @torch.no_grad()
    def __call__(self, v: torch.Tensor) -> torch.Tensor:
        """Return the outputs of the last layer, (N, H); without layers v itself."""
        for weights, bias, activation in self._layers:
            v = activation(torch.addmm(bias, v, weights))
        return v

    def in_blocks(self, v: torch.Tensor) -> torch.Tensor:
        """Return the same for many frames at once."""
        return torch.cat([self(block) for block in v.split(_BLOCK)]) if self._layers else v


class _Run:
    """A pretraining under way."""

    def __init__(
        self,
        phases: Sequence[Phase],
        training: Frames,
        held_out: Frames | None,
        seed: int,
        device: torch.device,
        num_watched: int,
    ) -> None:
        self.phases, self.training, self.seed, self.device = phases, training, seed, device
        self.watched = some_frames(training, num_watched, seed)
        self.watched_held_out = some_frames(held_out, num_watched, seed) if held_out is not None else self.watched
        self._has_held_out = held_out is not None
        self.layers: Layers = ()
        self.history: list[dict[str, Any]] = []
        self.phase = self.epoch = self.next_chunk = self.frames = 0
        self.seconds = 0.0
        self._trainer: Trainer | None = None

    def train(self, store: CheckpointStore | None, progress: Progress) -> None:
        """Train a phase, from the next chunk on."""
        phase = self.phases[self.phase]
        forward = Forward(self.layers if phase.on_outputs else (), self.device)
        watched = forward.in_blocks(self.watched)
        held_out = forward.in_blocks(self.watched_held_out) if self._has_held_out else None
        if self._trainer is None:
            self._trainer = self._begin(watched)
        while self.epoch < phase.num_epochs:
            self._train_epoch(self._trainer, forward, store, progress)
            self._report(self._trainer, watched, held_out)
            self.epoch, self.next_chunk, self.frames, self.seconds = self.epoch + 1, 0, 0, 0.0
            if store is not None and store.due:
                store.save(self.snapshot())
        self.layers = self._trainer.trained(self.layers)
        self._trainer = None
        self.phase, self.epoch = self.phase + 1, 0
        if store is not None:
            store.save(self.snapshot())

    def _begin(self, watched: torch.Tensor) -> Trainer:
        phase = self.phases[self.phase]
        mean, variance = watched.double().mean(dim=0), watched.double().var(dim=0, correction=0)
        draws = Draws(self.seed, "first weights", phase.name, self.device)
        return phase.begin(self.layers, mean.to(watched.dtype), variance.to(watched.dtype), draws, self.device)

    def _train_epoch(
        self, trainer: Trainer, forward: Forward, store: CheckpointStore | None, progress: Progress
    ) -> None:
        phase, batch_size = self.phases[self.phase], self.training.config.batch_size
        order = self.phase * 1_000_000 + self.epoch  # no two epochs of all phases share one
        chunks = self.training.epoch(self.seed, order, self.next_chunk)
        label = f"{phase.name}, epoch {self.epoch + 1} of {phase.num_epochs}"
        started = time.monotonic()
        for chunk in progress(chunks, total=self.training.num_chunks - self.next_chunk, label=label):
            draws = Draws(self.seed, "pretraining", f"{phase.name} {self.epoch} {chunk.number}", self.device)
            for batch in chunk.minibatches(batch_size):
                trainer.step(forward(batch.inputs), draws, self.epoch)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            self.seconds += time.monotonic() - started
            self.frames += len(chunk)
            self.next_chunk = chunk.number + 1
            if store is not None and store.due:
                store.save(self.snapshot())
            started = time.monotonic()

    def _report(self, trainer: Trainer, watched: torch.Tensor, held_out: torch.Tensor | None) -> None:
        phase = self.phases[self.phase]
        error = trainer.take_error()
        row: dict[str, Any] = {
            "phase": phase.name,
            "epoch": self.epoch + 1,
            "frames_per_sec": round(self.frames / max(self.seconds, 1e-9), 1),
            "training_error": error,
        }
        draws = Draws(self.seed, "watching", f"{phase.name} {self.epoch}", self.device)
        row |= trainer.watch(watched, held_out, draws)
        wrong = [key for key, value in row.items() if isinstance(value, float) and not math.isfinite(value)]
        if wrong:
            raise ModelError(
                f"{phase.name} diverges: {wrong[0]} is {row[wrong[0]]} after epoch {self.epoch + 1}",
                remedy="lower the learning rate",
            )
        self.history.append(row)
        numbers = ", ".join(f"{key} {value:.4g}" for key, value in row.items() if isinstance(value, float))
        log.info("%s, epoch %d of %d: %s", phase.name, self.epoch + 1, phase.num_epochs, numbers)

    def snapshot(self) -> Snapshot:
        """Return everything that the rest of the pretraining depends on."""
        arrays: dict[str, NDArray[Any]] = {}
        described = []
        for number, layer in enumerate(self.layers):
            arrays |= {f"layers.{number}.{name}": value for name, value in layer.parameters.items()}
            described.append({"kind": layer.kind, "visible": layer.visible, "hidden": layer.hidden})
        numbers: dict[str, Any] | None = None
        if self._trainer is not None:
            own, numbers = self._trainer.state()
            arrays |= {f"trainer.{name}": value for name, value in own.items()}
        progress = {
            "layers": described,
            "trainer": numbers,
            "history": self.history,
            "phase": self.phase,
            "epoch": self.epoch,
            "next_chunk": self.next_chunk,
            "frames": self.frames,
            "seconds": self.seconds,
        }
        return Snapshot(arrays, progress)

    def load(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot."""
        progress = snapshot.progress
        self.layers = tuple(
            StackLayer(one["kind"], one["visible"], one["hidden"], _named(snapshot.arrays, f"layers.{number}."))
            for number, one in enumerate(progress["layers"])
        )
        self.history = list(progress["history"])
        self.phase, self.epoch, self.next_chunk, self.frames = (
            int(progress[name]) for name in ("phase", "epoch", "next_chunk", "frames")
        )
        self.seconds = float(progress["seconds"])
        if progress["trainer"] is not None:
            phase = self.phases[self.phase]
            forward = Forward(self.layers if phase.on_outputs else (), self.device)
            self._trainer = self._begin(forward.in_blocks(self.watched))
            self._trainer.restore(_named(snapshot.arrays, "trainer."), progress["trainer"])


def some_frames(frames: Frames, count: int, seed: int) -> torch.Tensor:
    """Return at most ``count`` frames with their neighbours, (N, V), drawn from a buffer's worth of utterances."""
    found: list[torch.Tensor] = []
    left = count
    for batch in next(iter(frames.epoch(seed, -1))).minibatches(_BLOCK):
        found.append(batch.inputs[:left])
        left -= len(found[-1])
        if left <= 0:
            break
    return torch.cat(found)


def _named(arrays: Mapping[str, NDArray[Any]], start: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}
