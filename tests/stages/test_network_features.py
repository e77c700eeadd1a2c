"""Features as trainings open them."""

from __future__ import annotations

from pathlib import Path

import pytest

from asrkit.core.errors import DataError
from asrkit.features.pipeline import PipelineConfig
from asrkit.stages.network_features import open_features
from tests.factories import make_data_dir


def test_features_that_nobody_described_are_refused_before_the_training(tmp_path: Path) -> None:
    data = make_data_dir(tmp_path / "data", features=True)
    pipeline = PipelineConfig(cmvn="none", splice_left=3)
    assert open_features(data, pipeline).dim == next(iter(data.features().values())).shape[1] * 3
    (tmp_path / "data" / "frontend.json").unlink()
    with pytest.raises(DataError, match=r"data: no frontend\.json .*asrkit extract"):
        open_features(data, pipeline)
