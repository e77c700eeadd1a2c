"""Training a recurrent network on whole utterances: by the class of each frame, or by another objective."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from asrkit.core.errors import ConfigError
from asrkit.core.progress import Progress, silent
from asrkit.nnet.device import matmul_precision, pick_device, torch_threads
from asrkit.nnet.layers.recurrent import SequenceNetwork, State, detached, first_of
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.nnet.train.config import RecurrentTrainingConfig
from asrkit.nnet.train.epochs import EpochReport, EpochRun, Sums, Tally
from asrkit.nnet.train.parallel import Group
from asrkit.nnet.train.utterances import Read, UtteranceBatch, Utterances


class Objective(Protocol):
    """What a training makes less."""

    def __call__(self, scores: torch.Tensor, batch: UtteranceBatch, sums: Sums, /) -> torch.Tensor:
        """Return the loss of a minibatch with these scores (N, num_outputs), and add what is reported to the sums."""
        ...


class FrameClasses:
    """The cross-entropy of the class of each frame.

    Parameters
    ----------
    weights : (num_outputs,) float32, optional
        What a frame of each class weighs in the loss returned; the losses reported are not weighted.
    """

    def __init__(self, weights: torch.Tensor | None = None) -> None:
        self._weights = weights

    def __call__(self, scores: torch.Tensor, batch: UtteranceBatch, sums: Sums, /) -> torch.Tensor:
        """Return the loss; see :class:`Objective`."""
        losses = functional.cross_entropy(scores, batch.targets, reduction="none")
        sums.add(scores, losses, batch.targets)
        return (losses if self._weights is None else losses * self._weights[batch.targets]).sum()


FRAME_CLASSES = FrameClasses()


def train_recurrent(
    network: SequenceNetwork,
    training: Utterances,
    heldout: Utterances,
    config: RecurrentTrainingConfig,
    seed: int = 0,
    store: CheckpointStore | None = None,
    progress: Progress = silent,
    class_weights: NDArray[np.float32] | None = None,
    group: Group | None = None,
    objective: Objective | None = None,
) -> tuple[EpochReport, ...]:
    """Train until the schedule stops; the network ends with the weights of the least held-out loss.

    Parameters
    ----------
    network : SequenceNetwork
        On the CPU; changed in place.
    training, heldout : Utterances
        On the device of the configuration.
    seed : int
        Of the order of utterances and of dropout.
    store : CheckpointStore, optional
        Where snapshots are kept; from one that is there the training goes on.
    class_weights : (num_outputs,) float32, optional
        What a frame of each class weighs in the loss that is trained on; the losses reported are not weighted.
    group : Group, optional
        The processes that train together, each on its share of every minibatch's utterances.
    objective : Objective, optional
        By default the classes of frames. Another one has no use for ``class_weights``.

    Raises
    ------
    ConfigError
        Truncated training of a network that reads backwards.
    DataError
        The held-out loss is not finite to begin with.
    ModelError
        Every epoch diverges.
    """
    if network.needs_whole and config.utterances.chunk_frames:
        raise ConfigError(
            "chunk_frames is for networks that read forwards alone, and this one reads utterances from their ends",
            remedy="set training.utterances.chunk_frames to 0, or network.bidirectional and backwards to false",
        )
    group = group or Group()
    with torch_threads(config.threads), matmul_precision(config.precision):
        network.to(pick_device(config.device))
        run = _Run(network, training, heldout, config, seed, class_weights, group, objective)
        return run.until_stopped(store, progress)


def evaluate_utterances(
    network: SequenceNetwork, utterances: Utterances, objective: Objective = FRAME_CLASSES
) -> Tally:
    """Return the sums over all utterances of a network on their device."""
    network.eval()
    total = Tally()
    with torch.inference_mode():
        for batch in utterances.in_order():
            sums = Sums(batch.inputs.device)
            for scores, chunk, _ in _scored(network, batch.chunks(utterances.config.chunk_frames)):
                objective(scores, chunk, sums)
            total = total + sums.tally()
    return total


def _scored(
    network: SequenceNetwork, chunks: list[UtteranceBatch]
) -> Iterator[tuple[torch.Tensor, UtteranceBatch, State]]:
    """Yield scores of each chunk in turn; the state goes on from one to the next, gradients do not."""
    state: State | None = None
    for chunk in chunks:
        before = None if state is None else first_of(detached(state), chunk.packing.num_sequences)
        scores, state = network.scores(chunk.inputs, chunk.packing, before)
        yield scores, chunk, state


class _Run(EpochRun[Read]):
    """A training under way, minibatch by minibatch."""

    def __init__(
        self,
        network: SequenceNetwork,
        training: Utterances,
        heldout: Utterances,
        config: RecurrentTrainingConfig,
        seed: int,
        class_weights: NDArray[np.float32] | None,
        group: Group,
        objective: Objective | None,
    ) -> None:
        super().__init__(network, config, config.utterances.batch_frames, seed, class_weights, group)
        self.sequences, self.training, self.heldout = network, training, heldout
        self.chunk_frames = config.utterances.chunk_frames
        self.objective, self.measure = objective or FrameClasses(self.weights), objective or FRAME_CLASSES

    @property
    def num_pieces(self) -> int:
        """Minibatches of the epoch at hand."""
        return len(self.training.batches(self.seed, self.scheduled.newbob.epoch))

    def pieces(self, epoch: int, first: int) -> Iterator[tuple[int, Read]]:
        """Yield minibatches."""
        for read in self.training.epoch(self.seed, epoch, first, self.group.rank, self.group.size):
            yield read.number, read

    def train(self, piece: Read) -> Tally:
        """Take a step for each chunk of a minibatch of utterances."""
        sums = Sums(self.device)
        steps = -(-piece.longest // self.chunk_frames) if self.chunk_frames else 1
        chunks = [] if piece.batch is None else piece.batch.chunks(self.chunk_frames)
        scored = _scored(self.sequences, chunks)
        for _ in range(steps):
            found = next(scored, None)
            if found is not None:
                scores, chunk, _state = found
                (self.objective(scores, chunk, sums) / self.batch_frames).backward()
            # A process whose utterances have ended still takes the steps of the others.
            self.group.add_gradients(self.optimiser.parameters)
            self.optimiser.step()
        return sums.tally()

    def evaluate(self) -> Tally:
        """Return the sums over the held-out utterances."""
        return evaluate_utterances(self.sequences, self.heldout, self.measure)
