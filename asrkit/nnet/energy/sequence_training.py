"""Training of models of sequences of frames: chunk by chunk, until held-out sequences gain nothing more."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.core.progress import Progress, silent
from asrkit.core.streams import random_stream
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.cd import ContrastiveDivergence
from asrkit.nnet.energy.config import CdConfig, RbmConfig, Visible
from asrkit.nnet.energy.rbm import LEAST_ACTIVITY, new_rbm
from asrkit.nnet.energy.recurrence import ConditionalModel
from asrkit.nnet.energy.rnn_rbm import RbmSteps
from asrkit.nnet.energy.sequence_batches import Sequences, chunks, minibatches
from asrkit.nnet.energy.sequence_config import SequenceTrainingConfig
from asrkit.nnet.energy.sequence_scores import score_sequences
from asrkit.nnet.train.checkpoint import CheckpointStore, Snapshot, with_prefix, without_prefix
from asrkit.nnet.train.optimiser import Optimiser
from asrkit.nnet.train.plateau import Plateau

log = logging.getLogger("asrkit")

Variation = Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]
"""Makes another sequence of the same length of one that is trained on."""

_PRETRAINING_BATCH = 100


@torch.no_grad()
def begin_with_means(model: ConditionalModel, sequences: Sequences) -> None:
    """Set the visible biases, and variances, to where units alone have those that they have in the sequences."""
    count = sum(len(one) for one in sequences)
    mean = sum(one.sum(axis=0, dtype=np.float64) for one in sequences) / count
    found = torch.from_numpy(np.asarray(mean, np.float32))
    model.unit_means.copy_(found)
    if model.binary:
        model.visible_bias.copy_(torch.logit(found, eps=LEAST_ACTIVITY))
        return
    assert isinstance(model, RbmSteps)
    assert model.log_variance is not None
    assert model.unit_variances is not None
    squares = sum(np.square(one - mean).sum(axis=0) for one in sequences) / count
    model.visible_bias.copy_(found)
    model.unit_variances.copy_(torch.from_numpy(np.asarray(squares, np.float32)))
    model.log_variance.copy_(model.unit_variances.log())


@torch.no_grad()
def pretrain_rbm(
    model: ConditionalModel,
    sequences: Sequences,
    num_epochs: int,
    config: CdConfig,
    seed: int,
    progress: Progress = silent,
) -> None:
    """Set the weights and biases of a model of RBMs to those of an RBM of single frames, trained by CD.

    Parameters
    ----------
    num_epochs : int
        0: only the visible biases and variances are set, by :func:`begin_with_means`.
    """
    begin_with_means(model, sequences)
    if not num_epochs:
        return
    frames = np.concatenate([np.asarray(one, np.uint8 if model.binary else np.float32) for one in sequences])
    device = model.weights.device
    draws = Draws(seed, "sequence pretraining", device=device)
    visible: Visible = "bernoulli" if model.binary else "gaussian"
    variance = torch.ones_like(model.unit_means) if model.binary else model.unit_variances
    assert isinstance(variance, torch.Tensor)
    shape = RbmConfig(learn_variance=not model.binary)
    rbm = new_rbm(visible, model.num_hidden, model.unit_means, variance, shape, draws)
    trainer = ContrastiveDivergence(rbm, config)
    for epoch in range(num_epochs):
        order = random_stream(seed, "sequence pretraining order", str(epoch)).permutation(len(frames))
        starts = range(0, len(frames), _PRETRAINING_BATCH)
        for start in progress(starts, total=len(starts), label=f"RBM, epoch {epoch + 1}"):
            batch = torch.from_numpy(frames[order[start : start + _PRETRAINING_BATCH]].astype(np.float32))
            trainer.step(batch.to(device), draws, epoch)
    for name, value in rbm.parameters().items():
        getattr(model, name).copy_(value)


class SequenceTrainer:
    """Trains a model in place.

    Parameters
    ----------
    model : ConditionalModel
        On the device where it is to be trained.
    config : SequenceTrainingConfig
    seed : int
    store : CheckpointStore
        Of the training's snapshots, each taken at the end of an epoch.

    Attributes
    ----------
    history : list of dict
        A row an epoch, JSON-serialisable.
    """

    def __init__(
        self, model: ConditionalModel, config: SequenceTrainingConfig, seed: int, store: CheckpointStore
    ) -> None:
        self.model, self.config, self.seed, self._store = model, config, seed, store
        self.history: list[dict[str, Any]] = []
        self._device = model.weights.device
        self._plateau = Plateau(config.plateau)
        self._optimiser = self._new_optimiser()
        self._best = _arrays_of(model)

    def resume(self) -> bool:
        """Go on from the store's snapshot; return whether there is one."""
        snapshot = self._store.load()
        if snapshot is None:
            return False
        self._best = without_prefix("best.", snapshot.arrays)
        _load_arrays(self.model, without_prefix("model.", snapshot.arrays))
        self._plateau = Plateau(self.config.plateau, **snapshot.progress["plateau"])
        self._optimiser = self._new_optimiser()
        self._optimiser.load_arrays(without_prefix("optimiser.", snapshot.arrays))
        self.history = list(snapshot.progress["history"])
        log.info("going on after epoch %d", self._plateau.epoch)
        return True

    def train(
        self, training: Sequences, held_out: Sequences, progress: Progress = silent, vary: Variation | None = None
    ) -> Plateau:
        """Train until the held-out loss stays where it is, and leave the model with its best weights.

        Parameters
        ----------
        vary : callable, optional
            Each epoch trains on what this makes of the sequences, with random numbers of the epoch's own.

        Raises
        ------
        ModelError
            No epoch had a finite held-out loss.
        """
        while not self._plateau.stopped:
            self._epoch(training, held_out, progress, vary)
        if not self._plateau.best_epoch:
            raise ModelError("no epoch had a finite held-out loss", remedy="lower optimiser.learning_rate")
        _load_arrays(self.model, self._best)
        return self._plateau

    def _epoch(self, training: Sequences, held_out: Sequences, progress: Progress, vary: Variation | None) -> None:
        started = time.monotonic()
        number = self._plateau.epoch + 1
        if vary is not None:
            stream = random_stream(self.seed, "sequence variation", str(number))
            training = [vary(one, stream) for one in training]
        self._optimiser.rate_factor = rate_factor = self._plateau.rate_factor
        draws = Draws(self.seed, "sequence training", str(number), self._device)
        batches = minibatches(
            [len(one) for one in training],
            self.config.batch_size,
            random_stream(self.seed, "sequence order", str(number)),
        )
        cost, steps = 0.0, 0
        for batch in progress(batches, total=len(batches), label=f"epoch {number}"):
            of_batch, num_steps = self._minibatch([training[one] for one in batch], draws)
            cost, steps = cost + of_batch, steps + num_steps
        loss = self._loss(held_out)
        self._plateau = self._plateau.after(loss)
        if self._plateau.improved:
            self._best = _arrays_of(self.model)
        elif self._plateau.goes_back:
            _load_arrays(self.model, self._best)
            self._optimiser = self._new_optimiser()
        seconds = time.monotonic() - started
        self.history.append(
            {
                "epoch": number,
                "cost": cost / steps,
                "held_out_log_likelihood": -loss,
                "rate_factor": rate_factor,
                "seconds": round(seconds, 2),
                "steps_per_sec": round(steps / seconds),
            }
        )
        log.info("epoch %d: cost %.4f, held out %.4f nats a step, %.1f s", number, cost / steps, -loss, seconds)
        if self._store.due or self._plateau.stopped:
            self._store.save(self._snapshot())

    def _minibatch(self, sequences: Sequences, draws: Draws) -> tuple[float, int]:
        """Update after each chunk; return the sum of costs over steps, and how many these were."""
        total, steps = 0.0, 0
        state = self.model.start(len(sequences))
        for chunk in chunks(sequences, self.config.chunk_steps, self._device):
            state = tuple(one[: len(chunk.frames)] for one in state)
            before, state = self.model.scan(chunk.frames, state, draws)
            rows = chunk.rows
            cost = self.model.cost(rows, before[chunk.inside], draws)
            cost.backward()
            self._optimiser.step()
            state = tuple(one.detach() for one in state)
            total, steps = total + float(cost.detach()) * len(rows), steps + len(rows)
        return total, steps

    def _loss(self, held_out: Sequences) -> float:
        # The same draws each time: what differs is the model.
        draws = Draws(self.seed, "sequence watching", device=self._device)
        score = score_sequences(self.model, held_out, self.config.watch, draws, self.config.watched_steps)
        return -score.log_likelihood

    def _new_optimiser(self) -> Optimiser:
        return Optimiser(self.model.parameters(), self.config.optimiser, self.config.batch_size)

    def _snapshot(self) -> Snapshot:
        arrays = {
            **with_prefix("model.", _arrays_of(self.model)),
            **with_prefix("best.", self._best),
            **with_prefix("optimiser.", self._optimiser.to_arrays()),
        }
        plateau = {name: value for name, value in asdict(self._plateau).items() if name != "config"}
        return Snapshot(arrays, {"plateau": plateau, "history": self.history})


def _arrays_of(model: ConditionalModel) -> dict[str, NDArray[Any]]:
    return {name: np.array(value.detach().cpu().numpy()) for name, value in model.state_dict().items()}


def _load_arrays(model: ConditionalModel, arrays: Mapping[str, NDArray[Any]]) -> None:
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()})
