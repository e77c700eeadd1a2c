"""Choosing utterances: against plain sorting, and what the written directory holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asrkit.core.errors import ConfigError, DataError
from asrkit.core.files import read_lines
from asrkit.data.datadir import DataDir
from asrkit.data.subset import SubsetConfig, choose_utterances, write_subset
from tests.factories import make_data_dir

SECS = {"spk1-utt1": 3.0, "spk1-utt2": 1.0, "spk1-utt3": 2.0, "spk2-utt1": 0.5, "spk2-utt2": 2.5, "spk2-utt3": 0.25}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    return make_data_dir(tmp_path_factory.mktemp("data"), features=True)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (SubsetConfig(order="shortest", num=3), ["spk1-utt2", "spk2-utt1", "spk2-utt3"]),
        (SubsetConfig(order="longest", num=2), ["spk1-utt1", "spk2-utt2"]),
        (SubsetConfig(order="longest", num=1, per_speaker=True), ["spk1-utt1", "spk2-utt2"]),
        (SubsetConfig(num=4), ["spk1-utt1", "spk1-utt2", "spk1-utt3", "spk2-utt1"]),
        (SubsetConfig(secs=3.5), ["spk1-utt1", "spk1-utt2"]),
        (SubsetConfig(secs=3.0, per_speaker=True), ["spk1-utt1", "spk2-utt1", "spk2-utt2"]),
        (SubsetConfig(speakers=("spk2",), order="shortest", secs=0.5), ["spk2-utt1", "spk2-utt3"]),
        (SubsetConfig(), sorted(SECS)),
    ],
)
def test_utterances_by_hand(data: DataDir, config: SubsetConfig, expected: list[str]) -> None:
    assert choose_utterances(data, config, SECS, seed=0) == expected


def test_a_random_choice_depends_on_the_seed_and_grows_with_the_number(data: DataDir) -> None:
    def drawn(num: int, seed: int) -> set[str]:
        return set(choose_utterances(data, SubsetConfig(order="random", num=num), {}, seed))

    assert drawn(3, 1) < drawn(5, 1)
    assert drawn(3, 1) == drawn(3, 1)
    assert len({frozenset(drawn(3, seed)) for seed in range(8)}) > 1
    assert not drawn(6, 1) - set(SECS)


def test_without_leaves_the_rest_and_nothing_is_an_error(data: DataDir) -> None:
    rest = choose_utterances(data, SubsetConfig(), {}, 0, {"spk1-utt1", "spk2-utt3"})
    assert rest == ["spk1-utt2", "spk1-utt3", "spk2-utt1", "spk2-utt2"]
    with pytest.raises(DataError, match="no utterance is left"):
        choose_utterances(data, SubsetConfig(), {}, 0, set(SECS))
    with pytest.raises(DataError, match=r"no speaker 'spk3'.*did you mean spk"):
        choose_utterances(data, SubsetConfig(speakers=("spk3",)), {}, 0)
    with pytest.raises(ConfigError, match="not negative"):
        SubsetConfig(num=-1)


@pytest.mark.parametrize("segments", [False, True])
def test_all_tables_come_along_and_features_are_found(tmp_path: Path, segments: bool) -> None:
    full = make_data_dir(tmp_path / "full", features=True, segments=segments)
    (tmp_path / "full" / "spk2gender").write_text("spk1 f\nspk2 m\n")
    (tmp_path / "full" / "spk2warp").write_text("spk1 0.92\nspk2 1.04\n")
    keep = {"spk2-utt1", "spk2-utt3"}
    write_subset(full, keep, tmp_path / "deep" / "part")
    part = DataDir.load(tmp_path / "deep" / "part")
    assert part.utterances == {key: full.utterances[key] for key in sorted(keep)}
    assert set(part.recordings) == {full.utterances[key].recording_id for key in keep}
    assert all(Path(name).is_file() for name in part.recordings.values())
    for key in keep:
        np.testing.assert_array_equal(part.features()[key], full.features()[key])
    np.testing.assert_array_equal(part.features("cmvn")["spk2"], full.features("cmvn")["spk2"])
    assert set(part.features("cmvn")) == {"spk2"}
    assert list(read_lines(part.path / "spk2gender")) == ["spk2 m"]
    assert list(read_lines(part.path / "spk2warp")) == ["spk2 1.04"]
    assert list(read_lines(part.path / "spk2utt")) == ["spk2 spk2-utt1 spk2-utt3"]
    assert {line.split()[0] for line in read_lines(part.path / "utt2num_frames")} == keep


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    full = make_data_dir(tmp_path / "full")
    (tmp_path / "full" / "spk2gender").write_text("spk1 f\n\nspk2 m\n")
    with pytest.raises(DataError, match=r"spk2gender:2.*validate .* --fix"):
        write_subset(full, {"spk1-utt1"}, tmp_path / "part")
    assert not (tmp_path / "part").exists()
