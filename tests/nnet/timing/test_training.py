"""Streams, the online training against its plain counterpart, and what it must learn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.core.streams import random_stream
from asrkit.nnet.timing.config import AnyTimingConfig, DelaysConfig, FunctionsConfig, SpikesConfig, TimingConfig
from asrkit.nnet.timing.kernels import NUM_WEIGHTS, follow, train_block
from asrkit.nnet.timing.streams import continual, draw_offsets, function_table, stream_arrays, stream_kind
from asrkit.nnet.timing.training import PEEPHOLES, initial_weights, train_run, watch

SMALL = [
    DelaysConfig(period=4, offsets=(0, 2, 3)),
    DelaysConfig(period=4, offsets=(0, 2, 3), continual=False, logistic=False),
    SpikesConfig(period=4, offsets=(1, 3)),
    SpikesConfig(period=4, offsets=(1, 3), held=False),
    FunctionsConfig(period=5, function="triangle", squashes=True),
]


def test_delays_are_asked_for_at_the_spikes_only() -> None:
    inputs, targets = stream_arrays(DelaysConfig(period=2, offsets=(0, 2)), np.array([0, 2]))
    np.testing.assert_array_equal(inputs, [0, 1, 0, 0, 0, 1])
    np.testing.assert_array_equal(targets, [np.nan, 0, np.nan, np.nan, np.nan, 1])  # in shares of the largest
    targets = stream_arrays(DelaysConfig(period=2, offsets=(0, 2), logistic=False), np.array([0, 2]))[1]
    assert targets[-1] == 2


@pytest.mark.parametrize(("held", "expected"), [(True, [0, 0, 0.5, 0.5, 0.5]), (False, [0, 0, 0.5, 0, 0])])
def test_spikes_are_due_at_the_ends_of_intervals(held: bool, expected: list[float]) -> None:
    inputs, targets = stream_arrays(SpikesConfig(period=2, offsets=(0, 1, 2), held=held), np.array([0, 1]))
    np.testing.assert_array_equal(inputs, expected)
    np.testing.assert_array_equal(targets, [0, 1, 0, 0, 1])


def test_the_functions() -> None:
    tables = [function_table(FunctionsConfig(period=4, function=name)) for name in ("cosine", "triangle", "rectangle")]
    np.testing.assert_allclose(tables[0], [0.5, 1, 0.5, 0], atol=1e-12)
    np.testing.assert_allclose(tables[1], [0.5, 1, 0.5, 0])
    np.testing.assert_array_equal(tables[2], [0, 0, 1, 0])


def plain_follow(
    config: AnyTimingConfig,
    offsets: NDArray[np.int64],
    weights: NDArray[np.float64],
    velocity: NDArray[np.float64],
    truncated: bool,
    learns: bool,
) -> tuple[int, int]:
    """The same with arrays of 17, and each step's derivatives of the sums by all weights."""
    inputs, targets = stream_arrays(config, offsets)
    ends = np.cumsum(config.period + offsets)
    s = y = 0.0
    ds, dy = np.zeros(NUM_WEIGHTS), np.zeros(NUM_WEIGHTS)

    def sums(first: int, values: list[float], state: float, d_state: NDArray[np.float64]) -> tuple[float, object]:
        total = float(np.dot(weights[first : first + len(values)], values))
        d = np.zeros(NUM_WEIGHTS)
        d[first : first + len(values)] = values
        if not truncated:
            d += weights[first + 1] * dy
            if len(values) == 4:
                d += weights[first + 3] * d_state
        return total, d

    for t, (x, target) in enumerate(zip(inputs, targets)):
        a, da = sums(0, [x, y, 1, s], s, ds)
        b, db = sums(4, [x, y, 1, s], s, ds)
        z, dz = sums(8, [x, y, 1], 0.0, ds)
        i, f = 1 / (1 + np.exp(-a)), 1 / (1 + np.exp(-b))
        g, slope = (np.tanh(z), 1 - np.tanh(z) ** 2) if config.squashes else (z, 1.0)
        ds_new = f * ds + s * f * (1 - f) * db + g * i * (1 - i) * da + i * slope * dz
        s = f * s + i * g
        c, dc = sums(11, [x, y, 1, s], s, ds_new)
        o = 1 / (1 + np.exp(-c))
        ds, dy, y = ds_new, o * ds_new + s * o * (1 - o) * dc, o * s
        output = weights[15] * y + weights[16]
        output, slope = (1 / (1 + np.exp(-output)),) * 2 if config.logistic else (output, 1.0)
        slope = output * (1 - output) if config.logistic else 1.0
        gradient = np.zeros(NUM_WEIGHTS)
        if not np.isnan(target):
            gradient = (output - target) * slope * (weights[15] * dy + np.eye(NUM_WEIGHTS)[15] * y)
            gradient[16] = (output - target) * slope
        if learns:
            velocity[:] = config.momentum * velocity - config.learning_rate * gradient
            weights += velocity
        if abs(output - target) >= config.max_error:
            return int(np.searchsorted(ends, t + 1)), t + 1
    return len(offsets), len(inputs)


@pytest.mark.parametrize("config", SMALL)
@pytest.mark.parametrize("truncated", [False, True])
def test_a_stream_is_learned_from_as_by_the_plain_loop(config: AnyTimingConfig, truncated: bool) -> None:
    config = dataclasses.replace(config, learning_rate=0.05, momentum=0.8, max_error=0.93)
    rng = np.random.default_rng(2)
    ours, theirs = (np.zeros(NUM_WEIGHTS) for _ in range(2)), (np.zeros(NUM_WEIGHTS) for _ in range(2))
    (w, v), (plain_w, plain_v) = ours, theirs
    w[:] = plain_w[:] = rng.normal(size=NUM_WEIGHTS)
    options, ended = (config.squashes, config.logistic, truncated), set()
    for _ in range(8):
        offsets = draw_offsets(config, rng, 6)
        right, steps, _ = follow(
            *stream_kind(config), offsets, w, v, np.ones(NUM_WEIGHTS), options, (0.05, 0.8), 0.93, True
        )
        assert (right, steps) == plain_follow(config, offsets, plain_w, plain_v, truncated, True)
        np.testing.assert_allclose(w, plain_w, rtol=1e-9, atol=1e-11)
        ended.add(right)
    assert len(ended) > 1 or 6 in ended


def test_testing_changes_nothing() -> None:
    config = SMALL[0]
    weights = np.random.default_rng(0).normal(size=NUM_WEIGHTS)
    before, velocity = weights.copy(), np.ones(NUM_WEIGHTS)
    offsets = draw_offsets(config, np.random.default_rng(0), 5)
    follow(
        *stream_kind(config), offsets, weights, velocity, velocity.copy(), (False, True, True), (0.1, 0.9), 2.0, False
    )
    np.testing.assert_array_equal(weights, before)
    np.testing.assert_array_equal(velocity, 1.0)


def test_training_and_testing_take_turns_until_a_test_is_passed() -> None:
    """A net whose output is right whatever comes: it passes at once, and the counts are known."""
    config = FunctionsConfig(period=4, function="rectangle", max_error=1.5)
    weights = np.zeros(NUM_WEIGHTS)
    pool = draw_offsets(config, np.random.default_rng(0), 100)
    counts = train_block(
        *stream_kind(config), True, pool, weights, np.zeros(NUM_WEIGHTS), np.ones(NUM_WEIGHTS), (False, False, True),
        (0.0, 0.0), 1.5, (7, 20), 50, 10_000,
    )  # fmt: skip
    assert counts == (True, 1, 4 * 27, 20)
    counts = train_block(
        *stream_kind(config), True, pool, weights, np.zeros(NUM_WEIGHTS), np.ones(NUM_WEIGHTS), (False, False, True),
        (0.0, 0.0), 0.5, (7, 20), 6, 10_000,
    )  # fmt: skip
    assert counts == (False, 6, 6 * 6, 0)  # each stream ends at its third step, where the target is 1


def test_single_delays_are_tested_as_many_streams() -> None:
    config = DelaysConfig(period=3, offsets=(0,), continual=False)
    pool = draw_offsets(config, np.random.default_rng(0), 100)
    weights = np.zeros(NUM_WEIGHTS)
    weights[16] = -9.0
    counts = train_block(
        *stream_kind(config), continual(config), pool, weights, np.zeros(NUM_WEIGHTS), np.ones(NUM_WEIGHTS),
        (False, True, True), (0.0, 0.0), 0.49, (1, 20), 50, 10_000,
    )  # fmt: skip
    assert counts == (True, 1, 3 * 21, 20)


def test_nets_without_peepholes_begin_alike_and_never_get_any() -> None:
    config = SpikesConfig(period=4, max_streams=300, learning_rate=1e-3, test_periods=20, training_periods=5)
    with_them, mask = initial_weights("peephole", config, random_stream(1, "timing", "2"))
    without, masked = initial_weights("plain", config, random_stream(1, "timing", "2"))
    rest = np.setdiff1d(np.arange(NUM_WEIGHTS), PEEPHOLES)
    np.testing.assert_array_equal(with_them[rest], without[rest])
    assert mask.all()
    assert not masked[PEEPHOLES].any()
    assert masked[rest].all()
    assert (with_them[[2, 6, 13]] == [0, 2, -2]).all()
    assert not train_run(("plain", 2), config, 1).weights[PEEPHOLES].any()
    assert train_run(("peephole", 2), config, 1).weights[PEEPHOLES].all()


def test_one_cell_learns_to_time_spikes_and_goes_on_for_ever() -> None:
    config = SpikesConfig(period=5, max_steps=20_000_000)
    run = train_run(("peephole", 0), config, 0)
    assert run.solved
    assert run.best == 1000
    offsets = np.random.default_rng(5).integers(0, 2, 3000)
    _, targets, rows = watch(run, config, offsets)
    assert np.abs(rows[:, 0] - targets).max() < 0.5
    assert run.root_mean_square is not None
    assert run.root_mean_square < 0.49
    again = train_run(("peephole", 0), config, 0)
    np.testing.assert_array_equal(run.weights, again.weights)
    assert not np.array_equal(run.weights, train_run(("peephole", 1), config, 0).weights)


def test_a_run_that_diverges_says_so() -> None:
    config = FunctionsConfig(period=5, learning_rate=100.0, momentum=0.0, max_streams=5000, max_error=1e300)
    run = train_run(("full", 0), config, 0)
    assert run.diverged
    assert not run.solved
    assert run.root_mean_square is None


def test_a_run_gives_up_at_its_bounds() -> None:
    run = train_run(("peephole", 0), FunctionsConfig(period=25, max_streams=37), 0)
    assert (run.solved, run.streams) == (False, 37)
    run = train_run(("peephole", 0), FunctionsConfig(period=25, max_steps=500), 0)
    assert not run.solved
    assert 500 <= run.steps < 600


@pytest.mark.parametrize(
    "values",
    [
        {"period": 0}, {"runs": 0}, {"momentum": 1.0}, {"learning_rate": 0.0}, {"learners": ()}, {"spread": -1.0},
        {"learners": ("plain", "plain")}, {"max_error": float("inf")}, {"test_periods": 10**9},
    ],
)  # fmt: skip
def test_settings_out_of_range(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        TimingConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("offsets", [(), (-1, 0), (10**9,)])
def test_offsets_out_of_range(offsets: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="offsets"):
        SpikesConfig(offsets=offsets)
