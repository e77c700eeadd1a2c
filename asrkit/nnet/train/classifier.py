"""Training a network to name the class of each frame: minibatches, epochs, held-out frames, checkpoints."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from asrkit.core.errors import DataError
from asrkit.core.progress import Progress, silent
from asrkit.core.streams import random_stream
from asrkit.nnet.device import matmul_precision, pick_device, torch_threads
from asrkit.nnet.network import Network
from asrkit.nnet.train.checkpoint import CheckpointStore, Snapshot
from asrkit.nnet.train.config import ClassifierConfig
from asrkit.nnet.train.frames import Frames
from asrkit.nnet.train.optimiser import Optimiser
from asrkit.nnet.train.parallel import Group
from asrkit.nnet.train.scheduled import ScheduledWeights

log = logging.getLogger("asrkit")

EVALUATION_BATCH = 2048


@dataclass(frozen=True)
class Tally:
    """Sums over frames, a monoid.

    Attributes
    ----------
    frames : int
    loss : float
        Natural log; cross-entropy in all.
    correct : int
        Frames whose class had the best score.
    """

    frames: int = 0
    loss: float = 0.0
    correct: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.frames + other.frames, self.loss + other.loss, self.correct + other.correct)

    @property
    def mean_loss(self) -> float:
        """Cross-entropy of a frame, in nats."""
        return self.loss / self.frames if self.frames else math.nan

    @property
    def accuracy(self) -> float:
        """Share of frames named rightly."""
        return self.correct / self.frames if self.frames else math.nan


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


def train_classifier(
    network: Network,
    training: Frames,
    heldout: Frames,
    config: ClassifierConfig,
    seed: int = 0,
    store: CheckpointStore | None = None,
    progress: Progress = silent,
    class_weights: NDArray[np.float32] | None = None,
    group: Group | None = None,
) -> tuple[EpochReport, ...]:
    """Train until the schedule stops; the network ends with the weights of the least held-out loss.

    Parameters
    ----------
    network : Network
        On the CPU; changed in place.
    training, heldout : Frames
        With targets, on the device of the configuration.
    config : ClassifierConfig
    seed : int
        Of the order of frames and of dropout.
    store : CheckpointStore, optional
        Where snapshots are kept; from one that is there the training goes on.
    class_weights : (num_outputs,) float32, optional
        What a frame of each class weighs in the loss that is trained on; the losses reported are not weighted.
    group : Group, optional
        The processes that train together, of which this is one: all with the same arguments, but stores that only
        the first one writes to.

    Returns
    -------
    tuple of EpochReport

    Raises
    ------
    DataError
        The held-out loss is not finite to begin with.
    ModelError
        Every epoch diverges.
    """
    with torch_threads(config.threads), matmul_precision(config.precision):
        run = _Run(
            network.to(pick_device(config.device)), training, heldout, config, seed, class_weights, group or Group()
        )
        found = None if store is None else store.load()
        if found is None:
            run.begin()
        else:
            run.load(found)
            log.info("going on in epoch %d", run.scheduled.newbob.epoch + 1)
        while not run.scheduled.newbob.stopped:
            run.epoch(store, progress)
            log.info("%s", run.reports[-1])
            if store is not None:
                store.save(run.snapshot())
        run.scheduled.end()
        network.cpu().eval()
        return tuple(run.reports)


def evaluate(network: Network, frames: Frames) -> Tally:
    """Return the sums over all frames of a network on their device."""
    network.eval()
    total = Tally()
    with torch.inference_mode():
        for chunk in frames.in_order():
            for batch in chunk.minibatches(EVALUATION_BATCH):
                assert batch.targets is not None
                scores = network(batch.inputs).float()
                loss = functional.cross_entropy(scores, batch.targets, reduction="none").double().sum()
                correct = (scores.argmax(dim=1) == batch.targets).sum()
                total = total + Tally(len(batch.targets), float(loss), int(correct))
    return total


class _Run:
    """A training under way."""

    def __init__(
        self,
        network: Network,
        training: Frames,
        heldout: Frames,
        config: ClassifierConfig,
        seed: int,
        class_weights: NDArray[np.float32] | None,
        group: Group,
    ) -> None:
        self.network, self.training, self.heldout, self.config, self.seed = network, training, heldout, config, seed
        self.optimiser = Optimiser(network.parameters(), config.optimiser, config.frames.batch_size)
        self.scheduled = ScheduledWeights(network, self.optimiser, config.newbob)
        self.device = next(network.parameters()).device
        self.weights = None if class_weights is None else torch.from_numpy(class_weights).to(self.device)
        self.group = group
        self.reports: list[EpochReport] = []
        self.tally = Tally()
        self.next_chunk = 0
        self.seconds = 0.0

    def begin(self) -> None:
        """Measure where the training starts from."""
        start = evaluate(self.network, self.heldout)
        if not math.isfinite(start.loss):
            raise DataError("the held-out loss is not finite before training", remedy="look at the features")
        self.scheduled.begin(start.mean_loss)
        log.info("at first: held out %.4f nats, %.2f%% right", start.mean_loss, 100 * start.accuracy)

    def epoch(self, store: CheckpointStore | None, progress: Progress) -> None:
        """Train one epoch, from the next chunk on, and decide what becomes of its weights."""
        number = self.scheduled.start_epoch()
        chunks = self.training.epoch(self.seed, number, self.next_chunk)
        batch_size = self.config.frames.batch_size
        for chunk in progress(chunks, total=self.training.num_chunks - self.next_chunk, label=f"epoch {number + 1}"):
            started = time.monotonic()
            minibatches = chunk.minibatches(batch_size, self.group.rank, self.group.size)
            self.tally = self.tally + self._train(minibatches, number, chunk.number)
            self.seconds += time.monotonic() - started
            self.next_chunk = chunk.number + 1
            if store is not None and store.due:
                store.save(self.snapshot())
            if not math.isfinite(self.tally.loss):
                break  # the schedule rejects it
        after = evaluate(self.network, self.heldout)
        self.scheduled.end_epoch(after.mean_loss)
        self.reports.append(
            EpochReport(
                self.scheduled.newbob.epoch,
                self.tally.mean_loss,
                self.tally.accuracy,
                after.mean_loss,
                after.accuracy,
                self.config.optimiser.rate * self.optimiser.rate_factor,
                self.scheduled.newbob.accepted,
                self.tally.frames / max(self.seconds, 1e-9),
            )
        )
        self.next_chunk, self.tally, self.seconds = 0, Tally(), 0.0

    def _train(self, minibatches: Iterator[Any], epoch: int, chunk: int) -> Tally:
        self.network.train()
        item = f"{epoch} {chunk}" + (f" {self.group.rank}" if self.group.rank else "")
        torch.manual_seed(int(random_stream(self.seed, "dropout", item).integers(1 << 62)))
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        frames = 0
        for batch in minibatches:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
                scores = self.network(batch.inputs)
            losses = functional.cross_entropy(scores.float(), batch.targets, reduction="none")
            weighted = losses if self.weights is None else losses * self.weights[batch.targets]
            (weighted.sum() / self.config.frames.batch_size).backward()
            self.group.add_gradients(self.optimiser.parameters)
            self.optimiser.step()
            loss += losses.detach().sum()
            correct += (scores.detach().argmax(dim=1) == batch.targets).sum()
            frames += len(batch.targets)
        self.group.share_buffers(self.network)
        all_frames, all_loss, all_correct = self.group.add([frames, float(loss), int(correct)])
        return Tally(int(all_frames), all_loss, int(all_correct))

    def snapshot(self) -> Snapshot:
        """Return everything that the rest of the training depends on."""
        described = {
            "reports": [asdict(report) for report in self.reports],
            "tally": asdict(self.tally),
            "next_chunk": self.next_chunk,
            "seconds": self.seconds,
        }
        return self.scheduled.snapshot(described)

    def load(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot."""
        self.scheduled.load(snapshot)
        described = snapshot.progress
        self.reports = [EpochReport(**row) for row in described["reports"]]
        self.tally, self.next_chunk = Tally(**described["tally"]), described["next_chunk"]
        self.seconds = described["seconds"]
