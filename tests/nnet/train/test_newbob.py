"""The schedule, against Kaldi's rule told step by step."""

from __future__ import annotations

import math

import pytest

from asrkit.core.errors import ConfigError
from asrkit.nnet.train.newbob import Newbob, NewbobConfig


def follow(losses: list[float], config: NewbobConfig | None = None, start: float = 3.0) -> list[Newbob]:
    states = [Newbob(config or NewbobConfig(), start)]
    for loss in losses:
        assert not states[-1].stopped
        states.append(states[-1].after(loss))
    return states


def test_the_rate_halves_from_the_first_small_gain_on_and_training_stops_at_the_first_tiny_one() -> None:
    states = follow([2.0, 1.5, 1.49, 1.4, 1.3995])
    assert [state.rate_factor for state in states] == [1.0, 1.0, 1.0, 0.5, 0.25, 0.125]
    assert [state.stopped for state in states] == [False] * 5 + [True]
    assert states[-1].loss == 1.3995


def test_an_epoch_that_makes_it_worse_is_rejected_and_halves_the_rate() -> None:
    states = follow([2.0, 2.1, 1.9])
    assert [state.accepted for state in states] == [True, True, False, True]
    assert [state.loss for state in states] == [3.0, 2.0, 2.0, 1.9]
    assert states[2].rate_factor == 0.5


def test_a_diverged_epoch_is_rejected_even_where_none_is() -> None:
    states = follow([math.nan], NewbobConfig(keep_rate_epochs=2))
    assert not states[-1].accepted
    assert states[-1].loss == 3.0


def test_a_diverged_epoch_lowers_the_rate_and_says_nothing_of_when_to_stop() -> None:
    states = follow([math.nan, math.inf, 2.0, 1.5, 1.495])
    assert [state.rate_factor for state in states] == [1.0, 0.5, 0.25, 0.25, 0.25, 0.125]
    assert [state.diverged for state in states] == [False, True, True, False, False, False]
    assert [state.num_accepted for state in states] == [0, 0, 0, 1, 2, 3]
    assert not any(state.stopped for state in states)


def test_within_the_first_epochs_nothing_is_rejected_or_lowered() -> None:
    states = follow([3.5, 3.6, 3.7], NewbobConfig(keep_rate_epochs=2))
    assert [state.accepted for state in states[1:]] == [True, True, False]
    assert [state.rate_factor for state in states[1:]] == [1.0, 1.0, 0.5]
    assert states[-1].loss == 3.6


def test_the_numbers_of_epochs_are_kept() -> None:
    assert follow([2.0, 1.0], NewbobConfig(max_epochs=2))[-1].stopped
    patient = NewbobConfig(min_epochs=4)
    assert [state.stopped for state in follow([2.99, 2.99, 2.99, 2.99, 2.99], patient)[1:]] == [False] * 4 + [True]


@pytest.mark.parametrize("wrong", [{"max_epochs": 0}, {"factor": 1.0}, {"min_epochs": -1}])
def test_impossible_schedules_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        NewbobConfig(**wrong)  # type: ignore[arg-type]
