"""Which models how much speech gets."""

from __future__ import annotations

import pytest

from asrkit.core.errors import ConfigError
from asrkit.stages.ladder import LadderConfig, Rung, plan_ladder

CONFIG = LadderConfig()


def test_an_hour_of_several_speakers_gets_every_rung() -> None:
    assert plan_ladder(CONFIG, 3600.0, 10) == (
        Rung("mono", 1000),
        Rung("deltas", 5000, 625),
        Rung("lda-mllt", 5000, 625),
        Rung("sat", 5000, 625),
    )


def test_one_speaker_has_nobody_to_be_adapted_from() -> None:
    assert [rung.name for rung in plan_ladder(CONFIG, 3600.0, 1)] == ["mono", "deltas", "lda-mllt"]


def test_little_speech_gets_few_gaussians_and_no_context() -> None:
    # 5000 sqrt(0.04) / 3
    assert plan_ladder(CONFIG, 144.0, 8) == (Rung("mono", 333),)
    assert [rung.name for rung in plan_ladder(CONFIG, 599.0, 8)] == ["mono"]
    assert len(plan_ladder(CONFIG, 600.0, 8)) == 4
    assert plan_ladder(CONFIG, 0.01, 1)[0].total_gaussians >= 1


@pytest.mark.parametrize(("hours", "gaussians", "leaves"), [(4.0, 10000, 1250), (100.0, 50000, 5000)])
def test_sizes_grow_with_the_root_of_the_hours(hours: float, gaussians: int, leaves: int) -> None:
    assert plan_ladder(CONFIG, 3600 * hours, 2)[-1] == Rung("sat", gaussians, leaves)


@pytest.mark.parametrize("values", [{"gaussians_per_leaf": 0}, {"mono_share": 0.0}, {"min_context_secs": -1.0}])
def test_configurations_that_make_no_sense(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        LadderConfig(**values)  # type: ignore[arg-type]
