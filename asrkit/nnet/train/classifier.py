"""Training a network to name the class of each frame: minibatches of frames in random order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from asrkit.core.progress import Progress, silent
from asrkit.nnet.device import matmul_precision, pick_device, torch_threads
from asrkit.nnet.network import Network
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.nnet.train.config import ClassifierConfig
from asrkit.nnet.train.epochs import EpochReport, EpochRun, Sums, Tally
from asrkit.nnet.train.frames import Chunk, Frames
from asrkit.nnet.train.parallel import Group

EVALUATION_BATCH = 2048


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
    group = group or Group()
    with torch_threads(config.threads), matmul_precision(config.precision):
        network.to(pick_device(config.device))
        run = _Run(network, training, heldout, config, seed, class_weights, group)
        return run.until_stopped(store, progress)


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
                total = total + Tally(len(batch.targets), len(batch.targets), float(loss), int(correct))
    return total


class _Run(EpochRun[Chunk]):
    """A training under way, chunk by chunk."""

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
        super().__init__(network, config, config.frames.batch_size, seed, class_weights, group)
        self.training, self.heldout = training, heldout
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bfloat16")

    @property
    def num_pieces(self) -> int:
        """Chunks of an epoch."""
        return self.training.num_chunks

    def pieces(self, epoch: int, first: int) -> Iterator[tuple[int, Chunk]]:
        """Yield chunks."""
        for chunk in self.training.epoch(self.seed, epoch, first):
            yield chunk.number, chunk

    def train(self, piece: Chunk) -> Tally:
        """Take a step for each minibatch of a chunk."""
        sums = Sums(self.device)
        for batch in piece.minibatches(self.batch_frames, self.group.rank, self.group.size):
            assert batch.targets is not None
            with self.autocast:
                scores = self.network(batch.inputs)
            losses = functional.cross_entropy(scores.float(), batch.targets, reduction="none")
            weighted = losses if self.weights is None else losses * self.weights[batch.targets]
            (weighted.sum() / self.batch_frames).backward()
            self.group.add_gradients(self.optimiser.parameters)
            self.optimiser.step()
            sums.add(scores, losses, batch.targets)
        return sums.tally()

    def evaluate(self) -> Tally:
        """Return the sums over the held-out frames."""
        return evaluate(self.network, self.heldout)
