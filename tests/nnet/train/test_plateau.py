"""The rule of patience: when the rate falls, when training goes back, and when it stops."""

from __future__ import annotations

import math

import pytest

from asrkit.core.errors import ConfigError
from asrkit.nnet.train.plateau import Plateau, PlateauConfig


def run(losses: list[float], config: PlateauConfig) -> list[Plateau]:
    states = [Plateau(config)]
    for loss in losses:
        assert not states[-1].stopped
        states.append(states[-1].after(loss))
    return states[1:]


def test_patience_by_hand() -> None:
    config = PlateauConfig(max_epochs=50, patience=2, factor=0.5, num_reductions=1)
    states = run([5.0, 6.0, 4.0, 4.5, 4.1, 3.9, 4.0, 4.0], config)
    assert [state.improved for state in states] == [True, False, True, False, False, True, False, False]
    assert [state.goes_back for state in states] == [False, False, False, False, True, False, False, True]
    assert [state.rate_factor for state in states] == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5]
    assert [state.stopped for state in states] == [False] * 7 + [True]
    assert (states[-1].loss, states[-1].best_epoch, states[-1].epoch) == (3.9, 6, 8)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_patience_at_once(bad: float) -> None:
    states = run([2.0, bad, 1.0], PlateauConfig(patience=5, num_reductions=1, factor=0.1))
    assert (states[1].goes_back, states[1].rate_factor, states[1].stopped) == (True, 0.1, False)
    assert (states[2].loss, states[2].improved) == (1.0, True)


def test_epochs_are_limited() -> None:
    states = run([3.0, 2.0, 1.0], PlateauConfig(max_epochs=3))
    assert [state.stopped for state in states] == [False, False, True]


def test_the_rate_decays_with_epochs_too() -> None:
    states = run([3.0, 4.0, 2.0], PlateauConfig(patience=1, factor=0.5, decay=0.8))
    assert [state.rate_factor for state in states] == pytest.approx([0.8, 0.5 * 0.64, 0.5 * 0.512])


@pytest.mark.parametrize(
    "values", [{"decay": 1.1}, {"max_epochs": 0}, {"patience": 0}, {"factor": 1.0}, {"num_reductions": -1}]
)
def test_what_is_no_rule_is_refused(values: dict) -> None:
    with pytest.raises(ConfigError):
        PlateauConfig(**values)
