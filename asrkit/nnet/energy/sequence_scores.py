"""How well a model foretells sequences: nats a step, and the mean of each unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.progress import Progress, silent
from asrkit.core.streams import random_stream
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.recurrence import ConditionalModel, Prediction
from asrkit.nnet.energy.sequence_batches import Sequences, chunks, minibatches
from asrkit.nnet.energy.sequence_config import PredictionConfig

SCORED_SEQUENCES = 16
SCORED_CHUNK = 500

_ROWS = 256
"""Steps foretold together: what AIS has of them fits the caches."""

Listener = Callable[[NDArray[np.float32], NDArray[np.float32]], None]


@dataclass(frozen=True)
class SequenceScore:
    """The mean over steps of log p(v_t | v_1, ..., v_{t-1}).

    Attributes
    ----------
    log_likelihood : float
        Nats a step; of RBMs as annealed importance sampling estimates it.
    error : float
        Standard error that the estimates of the partition functions give it: 0 of a tractable model.
    excess : float
        By how much the estimate is expected to be too high, to second order; see
        :class:`~asrkit.nnet.energy.recurrence.Prediction`.
    least : float
        Of the least likely step.
    num_steps : int
    """

    log_likelihood: float
    error: float
    excess: float
    least: float
    num_steps: int


@torch.no_grad()
def score_sequences(
    model: ConditionalModel,
    sequences: Sequences,
    config: PredictionConfig,
    draws: Draws,
    num_steps: int = 0,
    listener: Listener | None = None,
    progress: Progress = silent,
) -> SequenceScore:
    """Foretell each step of sequences from those before it.

    Parameters
    ----------
    sequences : sequence of (T, V) array
    num_steps : int
        Steps to foretell, drawn at random, always the same ones; 0: all of them. All are read. Evenly spaced ones
        would keep step with the music: every ninth of Nottingham's jigs is 0.13 nats from the mean.
    listener : callable, optional
        Is called with frames (N, V) and the means of their units (N, V) as foretold, part by part.
    """
    total = sum(len(one) for one in sequences)
    chosen = np.ones(total, np.bool_)
    if num_steps and num_steps < total:
        chosen[random_stream(0, "scored steps").permutation(total)[num_steps:]] = False
    found: list[Prediction] = []
    rows = _rows(model, sequences, chosen, draws.device)
    for v, before in progress(rows, total=-(-int(chosen.sum()) // _ROWS), label="foretelling"):
        prediction = model.predict(v, before, config, draws, listener is not None)
        found.append(Prediction(prediction.log_likelihood.cpu(), prediction.variance.cpu(), None))
        if listener is not None and prediction.means is not None:
            listener(v.cpu().numpy(), prediction.means.cpu().numpy())
    log_likelihood = torch.cat([one.log_likelihood for one in found])
    variance = torch.cat([one.variance for one in found])
    return SequenceScore(
        float(log_likelihood.mean()),
        float(variance.sum().sqrt()) / len(variance),
        float(variance.mean()) / 2,
        float(log_likelihood.min()),
        len(log_likelihood),
    )


def _rows(
    model: ConditionalModel, sequences: Sequences, chosen: NDArray[np.bool_], device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the chosen steps' frames (N, V) and what the recurrence has before them, in parts of equal size."""
    seen = 0
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    for batch in minibatches([len(one) for one in sequences], SCORED_SEQUENCES):
        state = model.start(len(batch))
        for chunk in chunks([sequences[number] for number in batch], SCORED_CHUNK, device):
            state = tuple(one[: len(chunk.frames)] for one in state)
            before, state = model.scan(chunk.frames, state)
            rows = chunk.rows
            wanted = torch.from_numpy(chosen[seen : seen + len(rows)]).to(device)
            seen += len(rows)
            kept.append((rows[wanted], before[chunk.inside][wanted]))
            if sum(len(v) for v, _ in kept) >= _ROWS:
                v, before = (torch.cat(parts) for parts in zip(*kept))
                whole = len(v) - len(v) % _ROWS
                yield from zip(v[:whole].split(_ROWS), before[:whole].split(_ROWS))
                kept = [(v[whole:], before[whole:])]
    v, before = (torch.cat(parts) for parts in zip(*kept))
    if len(v):
        yield v, before
