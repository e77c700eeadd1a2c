"""Runs of the timing tasks: from initial weights to a net that passes the test, or gives up."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.streams import random_stream
from asrkit.nnet.timing.config import AnyTimingConfig, DelaysConfig, Learner
from asrkit.nnet.timing.kernels import NUM_WEIGHTS, follow, trace, train_block
from asrkit.nnet.timing.streams import continual, draw_offsets, stream_arrays, stream_kind

PEEPHOLES = [3, 7, 14]
_INPUT_BIAS, _FORGET_BIAS, _OUTPUT_BIAS = 2, 6, 13

POOL = 1 << 17
"""Offsets drawn at a time, at least; part of what a seed means."""


@dataclass(frozen=True, eq=False)
class TimingRun:
    """How a run ended.

    Attributes
    ----------
    learner : str
    number : int
        0-based; runs of one number begin with the same weights.
    solved, diverged : bool
    streams : int
        That it was trained on.
    steps : int
        Of training and tests.
    best : int
        Periods, or intervals, that its best test went right for.
    root_mean_square : float
        Error over a further test; none where it went wrong at the first step already.
    weights : (17,) float64
        In the order of :mod:`asrkit.nnet.timing.kernels`.
    """

    learner: Learner
    number: int
    solved: bool
    diverged: bool
    streams: int
    steps: int
    best: int
    root_mean_square: float | None
    weights: NDArray[np.float64]

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers, which :meth:`from_json` makes the same run of."""
        weights = [float(w) if np.isfinite(w) else None for w in self.weights]
        return {**{field.name: getattr(self, field.name) for field in dataclasses.fields(self)}, "weights": weights}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TimingRun:
        """Raise KeyError, TypeError or ValueError where something is missing or of another kind."""
        weights = np.array([np.nan if w is None else float(w) for w in values["weights"]])
        if weights.shape != (NUM_WEIGHTS,):
            raise ValueError(f"{len(weights)} weights, expected {NUM_WEIGHTS}")
        return cls(**{**values, "weights": weights})


def train_run(job: tuple[Learner, int], config: AnyTimingConfig, seed: int) -> TimingRun:
    """Train a net on streams until it passes the test.

    Parameters
    ----------
    job : (Learner, int)
        The learner and the number of its run.
    """
    learner, number = job
    stream = random_stream(seed, "timing", str(number))
    weights, free = initial_weights(learner, config, stream)
    velocity = np.zeros(NUM_WEIGHTS)
    options, rates = (config.squashes, config.logistic, not full(learner)), (config.learning_rate, config.momentum)
    periods = (config.training_periods if continual(config) else 1, config.test_periods)
    solved, streams, steps, best = False, 0, 0, 0
    while not solved and streams < config.max_streams and steps < config.max_steps:
        pool = draw_offsets(config, stream, max(POOL, 16 * sum(periods)))
        solved, new_streams, new_steps, new_best = train_block(
            *stream_kind(config), continual(config), pool, weights, velocity, free, options, rates,
            config.max_error, periods, config.max_streams - streams, config.max_steps - steps,
        )  # fmt: skip
        streams, steps, best = streams + new_streams, steps + new_steps, max(best, new_best)
        if not np.isfinite(weights).all():
            break
    diverged = not bool(np.isfinite(weights).all())
    return TimingRun(
        learner, number, solved, diverged, streams, steps, best, None if diverged else _test(weights, config, stream),
        weights,
    )  # fmt: skip


def full(learner: Learner) -> bool:
    """Return whether it goes by the full gradient."""
    return learner in ("full", "plain-full")


def initial_weights(
    learner: Learner, config: AnyTimingConfig, stream: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights, and 1 for each that is to be learned, (17,) each."""
    weights = stream.uniform(-config.spread, config.spread, NUM_WEIGHTS)
    weights[_INPUT_BIAS] = config.input_bias
    weights[_FORGET_BIAS] = config.forget_bias
    weights[_OUTPUT_BIAS] = config.output_bias
    free = np.ones(NUM_WEIGHTS)
    if learner in ("plain", "plain-full"):
        weights[PEEPHOLES] = free[PEEPHOLES] = 0.0
    return weights, free


def watch(
    run: TimingRun, config: AnyTimingConfig, offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return inputs, targets, and what the net of a run does: (T,), (T,) and (T, 6), see ``trace`` of the kernels."""
    inputs, targets = stream_arrays(config, offsets)
    return inputs, targets, trace(run.weights, inputs, config.squashes, config.logistic)


def _test(weights: NDArray[np.float64], config: AnyTimingConfig, stream: np.random.Generator) -> float | None:
    """Return the root mean square error of a test, up to its first large error."""
    size = config.test_periods if continual(config) else 1
    options, squares, aims = (config.squashes, config.logistic, True), 0.0, 0
    unchanged = np.zeros(NUM_WEIGHTS)
    for _ in range(config.test_periods // size):
        right, steps, more = follow(
            *stream_kind(config), draw_offsets(config, stream, size), weights, unchanged, unchanged, options,
            (0.0, 0.0), config.max_error, False,
        )  # fmt: skip
        squares += more
        aims += min(right + 1, size) if isinstance(config, DelaysConfig) else steps
        if right < size:
            break
    return float(np.sqrt(squares / aims)) if np.isfinite(squares) else None
