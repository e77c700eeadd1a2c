"""Training a network by a criterion over utterances: minibatches of utterances, epochs, held-out ones, checkpoints."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from asrkit.core.errors import AsrkitError, DataError
from asrkit.core.progress import Progress, silent
from asrkit.core.streams import random_stream
from asrkit.features.splice import splice
from asrkit.nnet.device import matmul_precision, pick_device, torch_threads
from asrkit.nnet.network import Network, scores_of
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.sequence.config import SequenceConfig
from asrkit.nnet.sequence.criterion import Criterion, Evaluation
from asrkit.nnet.train.checkpoint import CheckpointStore, Snapshot
from asrkit.nnet.train.optimiser import Optimiser
from asrkit.nnet.train.scheduled import ScheduledWeights

log = logging.getLogger("asrkit")

DIVERGED = "the network's outputs are not finite"

Check = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True, eq=False)
class SequenceData:
    """Utterances to train on.

    Attributes
    ----------
    features : mapping of str to (T, D) float32
        Neither spliced nor normalised; read when needed.
    normalisation : InputNormalisation
        Of D dimensions.
    left, right : int
        Neighbours that stand beside each frame.
    log_priors : (num_pdfs,) float32
        The loglikes that a criterion sees are log posteriors less these.
    targets : mapping of str to (T,) int32
        The pdf_id, 0-based, of each frame of the reference.
    num_frames : mapping of str to int
    training, heldout : tuple of str
        Utterances.
    """

    features: Mapping[str, NDArray[np.float32]]
    normalisation: InputNormalisation
    left: int
    right: int
    log_priors: NDArray[np.float32]
    targets: Mapping[str, NDArray[np.int32]]
    num_frames: Mapping[str, int]
    training: tuple[str, ...]
    heldout: tuple[str, ...]

    def inputs(self, keys: Sequence[str], device: torch.device) -> torch.Tensor:
        """Return what the network sees of all frames of some utterances, one below the other."""
        rows = [self._spliced(key) for key in keys]
        return torch.from_numpy(np.concatenate(rows)).to(device)

    def _spliced(self, key: str) -> NDArray[np.float32]:
        features = self.features[key]
        expected = (self.num_frames[key], self.normalisation.dim)
        if features.shape != expected:
            raise DataError(
                f"features of shape {features.shape}, expected {expected}", where=key, remedy="extract them again"
            )
        return splice(self.normalisation.apply(features), self.left, self.right)


@dataclass(frozen=True)
class Tally:
    """Sums over utterances, a monoid.

    Attributes
    ----------
    frames : int
    value : float
        The criterion.
    cross_entropy : float
        Of the references' pdfs, natural log.
    correct : int
        Frames whose most probable pdf is the reference's.
    """

    frames: int = 0
    value: float = 0.0
    cross_entropy: float = 0.0
    correct: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.frames + other.frames,
            self.value + other.value,
            self.cross_entropy + other.cross_entropy,
            self.correct + other.correct,
        )

    def per_frame(self) -> tuple[float, float, float]:
        """Return the means of criterion and cross-entropy, and the share of frames named rightly."""
        if not self.frames:
            return math.nan, math.nan, math.nan
        return self.value / self.frames, self.cross_entropy / self.frames, self.correct / self.frames


@dataclass(frozen=True)
class SequenceReport:
    """What an epoch did; epoch 0 is the network that training starts from.

    Attributes
    ----------
    epoch : int
    criterion, cross_entropy, accuracy : float or None
        Means over the frames while training, of weights that changed from minibatch to minibatch; None in epoch 0.
    heldout_criterion, heldout_cross_entropy, heldout_accuracy : float
        Afterwards.
    learning_rate : float
    accepted : bool
        Whether its weights were kept.
    frames_per_sec : float
    """

    epoch: int
    criterion: float | None
    cross_entropy: float | None
    accuracy: float | None
    heldout_criterion: float
    heldout_cross_entropy: float
    heldout_accuracy: float
    learning_rate: float
    accepted: bool
    frames_per_sec: float

    def __str__(self) -> str:
        held = f"held out {self.heldout_criterion:.5f}, {self.heldout_accuracy:.2%} of frames right"
        if self.criterion is None:
            return f"at first: {held}"
        return (
            f"epoch {self.epoch}: criterion {self.criterion:.5f} a frame; {held}"
            f"{'' if self.accepted else ', rejected'}; rate {self.learning_rate:g}, {self.frames_per_sec:,.0f} frames/s"
        )


def train_sequences(
    network: Network,
    data: SequenceData,
    criterion: Criterion,
    config: SequenceConfig,
    seed: int = 0,
    num_jobs: int = 1,
    store: CheckpointStore | None = None,
    progress: Progress = silent,
    check: Check = lambda failures: None,
) -> tuple[tuple[SequenceReport, ...], dict[str, str]]:
    """Train until the schedule stops; the network ends with the weights of the best held-out criterion.

    Nothing is left out at random, and the statistics of batch normalisation stay.

    Parameters
    ----------
    network : Network
        On the CPU; changed in place.
    seed : int
        Of the order of utterances.
    num_jobs : int
        Threads that sum over the paths of a minibatch's utterances; no result depends on it.
    store : CheckpointStore, optional
        Where snapshots are kept; from one that is there the training goes on.
    check : callable
        Is given the utterances that could not be used so far, with the reasons, after each pass; may raise.

    Returns
    -------
    reports : tuple of SequenceReport
        From epoch 0 on.
    failures : dict of str to str
        Utterance -> why it could not be used.

    Raises
    ------
    DataError
        The held-out criterion is not finite to begin with.
    ModelError
        Every epoch diverges.
    """
    with torch_threads(config.threads), matmul_precision(config.precision), ThreadPoolExecutor(num_jobs) as workers:
        run = _Run(network.to(pick_device(config.device)), data, criterion, config, seed, workers)
        found = None if store is None else store.load()
        if found is None:
            run.begin(progress)
            check(run.failures)
            log.info("%s", run.reports[-1])
        else:
            run.load(found)
            log.info("going on in epoch %d", run.scheduled.newbob.epoch + 1)
        while not run.scheduled.newbob.stopped:
            run.epoch(store, progress)
            check(run.failures)
            log.info("%s", run.reports[-1])
            if store is not None:
                store.save(run.snapshot())
        run.scheduled.end()
        network.cpu()
        return tuple(run.reports), dict(run.failures)


class _Run:
    """A training under way."""

    def __init__(
        self,
        network: Network,
        data: SequenceData,
        criterion: Criterion,
        config: SequenceConfig,
        seed: int,
        workers: ThreadPoolExecutor,
    ) -> None:
        self.network, self.data, self.criterion, self.config, self.seed = network.eval(), data, criterion, config, seed
        self.workers = workers
        self.optimiser = Optimiser(network.parameters(), config.optimiser, config.batch_frames)
        self.scheduled = ScheduledWeights(network, self.optimiser, config.newbob)
        self.device = next(network.parameters()).device
        self.log_priors = torch.from_numpy(data.log_priors).to(self.device)
        self.reports: list[SequenceReport] = []
        self.failures: dict[str, str] = {}
        self.tally = Tally()
        self.next_batch = 0
        self.seconds = 0.0

    def begin(self, progress: Progress) -> None:
        """Measure where the training starts from."""
        start = self._evaluate(progress, "held out")
        loss = self._loss(start)
        if not math.isfinite(loss):
            reason = next(iter(self.failures.values()), "it is not finite")
            raise DataError(f"the held-out criterion cannot be computed before training: {reason}")
        self.scheduled.begin(loss)
        self.reports.append(SequenceReport(0, None, None, None, *start.per_frame(), 0.0, True, 0.0))

    def _loss(self, tally: Tally) -> float:
        """Return how far a frame is from the best that the criterion could be."""
        return self.criterion.ceiling - tally.per_frame()[0]

    def epoch(self, store: CheckpointStore | None, progress: Progress) -> None:
        """Train one epoch, from the next minibatch on, and decide what becomes of its weights."""
        number = self.scheduled.start_epoch()
        order = random_stream(self.seed, "utterance order", str(number)).permutation(len(self.data.training))
        batches = self._batches([self.data.training[place] for place in order])[self.next_batch :]
        for keys in progress(batches, total=len(batches), label=f"epoch {number + 1}"):
            started = time.monotonic()
            self.tally = self.tally + self._train(keys)
            self.seconds += time.monotonic() - started
            self.next_batch += 1
            if not math.isfinite(self.tally.value + self.tally.cross_entropy):
                break  # the schedule rejects it
            if store is not None and store.due:
                store.save(self.snapshot())
        diverged = not math.isfinite(self.tally.value + self.tally.cross_entropy)
        after = Tally(1, math.nan, math.nan) if diverged else self._evaluate(progress, f"held out, epoch {number + 1}")
        self.scheduled.end_epoch(self._loss(after))
        self.reports.append(
            SequenceReport(
                self.scheduled.newbob.epoch,
                *self.tally.per_frame(),
                *after.per_frame(),
                self.config.optimiser.rate * self.optimiser.rate_factor,
                self.scheduled.newbob.accepted,
                self.tally.frames / max(self.seconds, 1e-9),
            )
        )
        self.next_batch, self.tally, self.seconds = 0, Tally(), 0.0

    def _batches(self, keys: Sequence[str]) -> list[list[str]]:
        """Cut an order of utterances where a minibatch has frames enough."""
        batches: list[list[str]] = []
        left = 0
        for key in keys:
            if left <= 0:
                batches.append([])
                left = self.config.batch_frames
            batches[-1].append(key)
            left -= self.data.num_frames[key]
        return batches

    def _evaluate(self, progress: Progress, label: str) -> Tally:
        total = Tally()
        batches = self._batches(self.data.heldout)
        with torch.inference_mode():
            for keys in progress(batches, total=len(batches), label=label):
                _, tally = self._loss_of(keys)
                total = total + tally
        return total

    def _train(self, keys: Sequence[str]) -> Tally:
        loss, tally = self._loss_of(keys)
        if tally.frames and math.isfinite(tally.value + tally.cross_entropy):
            (loss / self.config.batch_frames).backward()
            self.optimiser.step()
        return tally

    def _loss_of(self, keys: Sequence[str]) -> tuple[torch.Tensor, Tally]:
        """Return something that has the gradient of the loss of some utterances, and their sums."""
        inputs = self.data.inputs(keys, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            scores = scores_of(self.network, inputs, [self.data.num_frames[key] for key in keys])
        scores = scores.float()
        if not bool(torch.isfinite(scores).all()):
            return scores.sum(), Tally(len(scores), math.nan, math.nan)
        posteriors = functional.log_softmax(scores, dim=1)
        loglikes = posteriors - self.log_priors
        used, value, derivative = self._sum_paths(keys, loglikes.detach().cpu().numpy())
        weights = used.to(self.device)
        targets = np.concatenate([self.data.targets[key] for key in keys]).astype(np.int64)
        losses = functional.nll_loss(posteriors, torch.from_numpy(targets).to(self.device), reduction="none")
        cross_entropy = (losses * weights).sum()
        loss = -(loglikes * derivative.to(self.device)).sum() + self.config.ce_weight * cross_entropy
        if self.config.output_l2:
            loss = loss + 0.5 * self.config.output_l2 * (scores.square().sum(dim=1) * weights).sum()
        right = (scores.argmax(dim=1).cpu() == torch.from_numpy(targets)) & (used > 0)
        return loss, Tally(int(used.sum()), value, float(cross_entropy.detach().double()), int(right.sum()))

    def _sum_paths(
        self, keys: Sequence[str], loglikes: NDArray[np.float32]
    ) -> tuple[torch.Tensor, float, torch.Tensor]:
        """Return 1 for each frame of an utterance that could be used, the sum of their values, and the derivative."""
        ends = np.cumsum([self.data.num_frames[key] for key in keys])
        pieces = np.split(loglikes, ends[:-1])
        used = np.zeros(len(loglikes), dtype=np.float32)
        derivative = np.zeros(loglikes.shape, dtype=np.float32)
        value = 0.0
        for key, end, found in zip(keys, ends.tolist(), self.workers.map(self._evaluate_one, keys, pieces)):
            if isinstance(found, Evaluation):
                rows = slice(end - found.num_frames, end)
                used[rows], derivative[rows] = 1.0, found.derivative
                value += float(found.value)
            else:
                self.failures[key] = found
        return torch.from_numpy(used), value, torch.from_numpy(derivative)

    def _evaluate_one(self, key: str, loglikes: NDArray[np.float32]) -> Evaluation | str:
        try:
            return self.criterion(key, loglikes)
        except AsrkitError as error:
            return str(error)

    def snapshot(self) -> Snapshot:
        """Return everything that the rest of the training depends on."""
        described = {
            "reports": [asdict(report) for report in self.reports],
            "failures": self.failures,
            "tally": asdict(self.tally),
            "next_batch": self.next_batch,
            "seconds": self.seconds,
        }
        return self.scheduled.snapshot(described)

    def load(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot."""
        self.scheduled.load(snapshot)
        described = snapshot.progress
        self.reports = [SequenceReport(**row) for row in described["reports"]]
        self.failures = dict(described["failures"])
        self.tally, self.next_batch = Tally(**described["tally"]), described["next_batch"]
        self.seconds = described["seconds"]
