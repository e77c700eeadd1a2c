"""Epochs of a training: what they tell, and what every training does in them, whatever its minibatches are."""

from __future__ import annotations

import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.core.progress import Progress
from asrkit.core.streams import random_stream
from asrkit.nnet.network import Network
from asrkit.nnet.train.checkpoint import CheckpointStore, Snapshot
from asrkit.nnet.train.config import OptimiserConfig
from asrkit.nnet.train.newbob import NewbobConfig
from asrkit.nnet.train.optimiser import Optimiser
from asrkit.nnet.train.parallel import Group
from asrkit.nnet.train.scheduled import ScheduledWeights

log = logging.getLogger("asrkit")

P = TypeVar("P")


@dataclass(frozen=True)
class Tally:
    """Sums over targets, a monoid: over the frames where each has a class, over labels where utterances have these.

    Attributes
    ----------
    frames : int
    targets : int
    loss : float
        Natural log; cross-entropy in all.
    correct : int
        Frames whose class had the best score; of labels those that were found, less those that were put in.
    """

    frames: int = 0
    targets: int = 0
    loss: float = 0.0
    correct: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.frames + other.frames,
            self.targets + other.targets,
            self.loss + other.loss,
            self.correct + other.correct,
        )

    @property
    def mean_loss(self) -> float:
        """Cross-entropy of a target, in nats."""
        return self.loss / self.targets if self.targets else math.nan

    @property
    def accuracy(self) -> float:
        """Share of targets named rightly."""
        return self.correct / self.targets if self.targets else math.nan


@dataclass(frozen=True)
class EpochReport:
    """What an epoch did.

    Attributes
    ----------
    epoch : int
        From 1.
    loss, accuracy : float
        While training: of weights that changed from minibatch to minibatch.
    heldout_loss, heldout_accuracy : float
        Afterwards.
    learning_rate : float
    accepted : bool
        Whether its weights were kept.
    frames_per_sec : float
    """

    epoch: int
    loss: float
    accuracy: float
    heldout_loss: float
    heldout_accuracy: float
    learning_rate: float
    accepted: bool
    frames_per_sec: float

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}: {self.loss:.4f} nats, {self.accuracy:.2%} right; held out {self.heldout_loss:.4f}, "
            f"{self.heldout_accuracy:.2%}{'' if self.accepted else ', rejected'}; rate {self.learning_rate:g}, "
            f"{self.frames_per_sec:,.0f} frames/s"
        )


class EpochsConfig(Protocol):
    """What every training needs to know."""

    @property
    def optimiser(self) -> OptimiserConfig: ...

    @property
    def newbob(self) -> NewbobConfig: ...


class EpochRun(ABC, Generic[P]):
    """A training under way, whose epochs consist of pieces: between two of them it can be killed, and goes on there.

    Parameters
    ----------
    network : Network
        Where it is trained; changed in place.
    config : EpochsConfig
    batch_frames : int
        Frames of a whole minibatch.
    seed : int
        Of the order of pieces and of dropout.
    class_weights : (num_outputs,) float32, optional
        What a frame of each class weighs in the loss that is trained on; the losses reported are not weighted.
    group : Group
        The processes that train together.
    """

    def __init__(
        self,
        network: Network,
        config: EpochsConfig,
        batch_frames: int,
        seed: int,
        class_weights: NDArray[np.float32] | None,
        group: Group,
    ) -> None:
        self.network, self.seed, self.group = network, seed, group
        self.batch_frames = batch_frames
        self.optimiser = Optimiser(network.parameters(), config.optimiser, batch_frames)
        self.scheduled = ScheduledWeights(network, self.optimiser, config.newbob)
        self.rate = config.optimiser.rate
        self.device = next(network.parameters()).device
        self.weights = None if class_weights is None else torch.from_numpy(class_weights).to(self.device)
        self.reports: list[EpochReport] = []
        self.tally = Tally()
        self.next_piece = 0
        self.seconds = 0.0

    @property
    @abstractmethod
    def num_pieces(self) -> int:
        """Pieces of an epoch."""

    @abstractmethod
    def pieces(self, epoch: int, first: int) -> Iterator[tuple[int, P]]:
        """Yield the pieces of an epoch and their numbers, both 0-based, from one of them on."""

    @abstractmethod
    def train(self, piece: P) -> Tally:
        """Train on a piece: this process's share; return the sums of that share."""

    @abstractmethod
    def evaluate(self) -> Tally:
        """Return the sums over the held-out frames."""

    def until_stopped(self, store: CheckpointStore | None, progress: Progress) -> tuple[EpochReport, ...]:
        """Train from the beginning, or from the snapshot that is there, until the schedule stops."""
        found = None if store is None else store.load()
        if found is None:
            self._begin()
        else:
            self._load(found)
            log.info("going on in epoch %d", self.scheduled.newbob.epoch + 1)
        while not self.scheduled.newbob.stopped:
            self._epoch(store, progress)
            log.info("%s", self.reports[-1])
            if store is not None:
                store.save(self._snapshot())
        self.scheduled.end()
        self.network.cpu().eval()
        return tuple(self.reports)

    def _begin(self) -> None:
        start = self.evaluate()
        if not math.isfinite(start.loss):
            raise DataError("the held-out loss is not finite before training", remedy="look at the features")
        self.scheduled.begin(start.mean_loss)
        log.info("at first: held out %.4f nats, %.2f%% right", start.mean_loss, 100 * start.accuracy)

    def _epoch(self, store: CheckpointStore | None, progress: Progress) -> None:
        """Train one epoch, from the next piece on, and decide what becomes of its weights."""
        number = self.scheduled.start_epoch()
        pieces = self.pieces(number, self.next_piece)
        for place, piece in progress(pieces, total=self.num_pieces - self.next_piece, label=f"epoch {number + 1}"):
            started = time.monotonic()
            self.tally = self.tally + self._train(piece, number, place)
            self.seconds += time.monotonic() - started
            self.next_piece = place + 1
            if store is not None and store.due:
                store.save(self._snapshot())
            if not math.isfinite(self.tally.loss):
                break  # the schedule rejects it
        after = self.evaluate()
        self.scheduled.end_epoch(after.mean_loss)
        self.reports.append(
            EpochReport(
                self.scheduled.newbob.epoch,
                self.tally.mean_loss,
                self.tally.accuracy,
                after.mean_loss,
                after.accuracy,
                self.rate * self.optimiser.rate_factor,
                self.scheduled.newbob.accepted,
                self.tally.frames / max(self.seconds, 1e-9),
            )
        )
        self.next_piece, self.tally, self.seconds = 0, Tally(), 0.0

    def _train(self, piece: P, epoch: int, place: int) -> Tally:
        self.network.train()
        item = f"{epoch} {place}" + (f" {self.group.rank}" if self.group.rank else "")
        torch.manual_seed(int(random_stream(self.seed, "dropout", item).integers(1 << 62)))
        mine = self.train(piece)
        self.group.share_buffers(self.network)
        frames, targets, loss, correct = self.group.add([mine.frames, mine.targets, mine.loss, mine.correct])
        return Tally(int(frames), int(targets), loss, int(correct))

    def _snapshot(self) -> Snapshot:
        """Return everything that the rest of the training depends on."""
        described: dict[str, Any] = {
            "reports": [asdict(report) for report in self.reports],
            "tally": asdict(self.tally),
            "next_piece": self.next_piece,
            "seconds": self.seconds,
        }
        return self.scheduled.snapshot(described)

    def _load(self, snapshot: Snapshot) -> None:
        self.scheduled.load(snapshot)
        described = snapshot.progress
        self.reports = [EpochReport(**row) for row in described["reports"]]
        self.tally, self.next_piece = Tally(**described["tally"]), described["next_piece"]
        self.seconds = described["seconds"]


class Sums:
    """A tally that is added to on the device, and read once.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)
        self._frames = self._targets = 0

    def add(self, scores: torch.Tensor, losses: torch.Tensor, targets: torch.Tensor) -> None:
        """Add frames: scores (B, K), losses (B,), classes (B,)."""
        self.count(len(targets), len(targets), losses, (scores.detach().argmax(dim=1) == targets).sum())

    def count(self, frames: int, targets: int, losses: torch.Tensor, correct: torch.Tensor | int) -> None:
        """Add so many frames and targets with their losses (n,), and how many were named rightly."""
        self._loss += losses.detach().sum()
        self._correct += correct
        self._frames += frames
        self._targets += targets

    def tally(self) -> Tally:
        """Return the sums."""
        return Tally(self._frames, self._targets, float(self._loss), int(self._correct))
