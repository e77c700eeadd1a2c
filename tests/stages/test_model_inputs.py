"""`asrkit write-inputs`: written features against the transforms applied by hand; models tell them from others."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.errors import ModelError
from asrkit.data.datadir import DataDir
from asrkit.stages.acoustic import load_acoustic_model
from asrkit.stages.model_inputs import write_inputs
from asrkit.stages.record import RunOptions
from asrkit.stages.train_mono import train_mono
from tests.stages.test_train_mono import CONFIG, OPTIONS, make_world
from tests.stages.test_train_mono import run as run_mono
from tests.stages.test_train_sat import SPEAKERS, move_speakers
from tests.stages.test_train_sat import run as run_sat


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Moved data, a monophone model, a speaker-adaptive one on it, and the adapted inputs of the training."""
    root = make_world(tmp_path_factory.mktemp("world"))
    move_speakers(root / "data")
    run_mono(root)
    run_sat(root)
    write_inputs(root / "data", root / "sat", root / "adapted", OPTIONS, root / "sat")
    return root


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["write-inputs", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_the_features_are_the_transforms_applied(world: Path) -> None:
    unadapted = load_acoustic_model(world / "sat").inputs(DataDir.load(world / "data"))
    transforms = ArchiveReader(world / "sat" / "trans.scp")
    adapted = DataDir.load(world / "adapted")
    assert list(adapted.utterances) == list(DataDir.load(world / "data").utterances)
    sums = {speaker: np.zeros(unadapted.dim) for speaker in SPEAKERS}
    for key, utterance in adapted.utterances.items():
        matrix = transforms[utterance.speaker].astype(np.float64)
        expected = unadapted[key] @ matrix[:, :-1].T + matrix[:, -1]
        np.testing.assert_allclose(adapted.features()[key], expected, atol=1e-4)
        assert not np.allclose(adapted.features()[key], unadapted[key], atol=0.1)
        sums[utterance.speaker] += expected.sum(axis=0)
    for speaker, total in sums.items():
        np.testing.assert_allclose(adapted.features("cmvn")[speaker][0, :-1], total, atol=0.05)


def test_any_number_of_jobs_writes_the_same_bytes(world: Path, tmp_path: Path) -> None:
    write_inputs(world / "data", world / "sat", tmp_path / "again", RunOptions(num_jobs=3), world / "sat")
    for name in ("feats.ark", "cmvn.ark", "inputs.json", "utt2num_frames"):
        assert (tmp_path / "again" / name).read_bytes() == (world / "adapted" / name).read_bytes()


def test_models_know_what_they_were_trained_on(world: Path, tmp_path: Path) -> None:
    assert not train_mono(world / "adapted", world / "lang", tmp_path / "mono", CONFIG, OPTIONS).skipped
    assert train_mono(world / "adapted", world / "lang", tmp_path / "mono", CONFIG, OPTIONS).skipped
    on_adapted, on_raw = load_acoustic_model(tmp_path / "mono"), load_acoustic_model(world / "sat")
    raw, adapted = DataDir.load(world / "data"), DataDir.load(world / "adapted")
    assert len(on_adapted.inputs(adapted)) == len(on_raw.inputs(raw)) == len(raw.utterances)
    with pytest.raises(ModelError, match=r"features as extracted, the model .* with fMLLR.*asrkit write-inputs"):
        on_adapted.inputs(raw)
    with pytest.raises(ModelError, match=r"with fMLLR, the model .* features as extracted"):
        on_raw.inputs(adapted)
    write_inputs(world / "data", world / "mono", tmp_path / "other", OPTIONS)
    with pytest.raises(ModelError, match="inputs of the model"):
        on_adapted.inputs(DataDir.load(tmp_path / "other"))


def test_mistakes_give_one_clean_line(world: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    with ArchiveWriter(few, "trans") as writer:
        writer.write("s0", np.eye(3, 4, dtype=np.float32))
    for arguments, message in [
        ((world / "data", world / "sat", tmp_path / "out"), "--transforms DIR"),
        ((world / "data", world / "sat", world / "data"), "OUT is DATA itself"),
        ((world / "data", world / "sat", tmp_path / "out", "--transforms", few), "no transform of 2 speakers: s1, s2"),
        ((world / "data", world / "sat", tmp_path / "out", "--transforms", tmp_path / "absent"), "no transform of 3"),
        ((world / "data", world / "absent", tmp_path / "out"), "no such model directory"),
    ]:
        result = run(*arguments)
        assert result.exit_code == 1
        assert message in result.stderr
        assert not (tmp_path / "out" / "feats.scp").exists()


def test_utterances_without_inputs_are_left_out_and_named(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "data", tmp_path / "data")
    features = {key: np.array(value) for key, value in DataDir.load(world / "data").features().items()}
    bad, empty, *good = sorted(features)
    features[bad][1, 0] = np.inf
    features[empty] = features[empty][:0]
    with ArchiveWriter(tmp_path / "data", "feats") as writer:
        for key, value in features.items():
            writer.write(key, value)
    arguments = (tmp_path / "data", world / "mono", tmp_path / "out")
    result = run(*arguments, "--max-failed", 0)
    assert result.exit_code == 3
    assert f"{bad}: features hold NaN or infinity" in result.stderr
    assert "Warning" not in result.stderr
    assert not list(tmp_path.glob("out/*.*"))
    result = run(*arguments, "--max-failed", 0.5)
    assert result.exit_code == 0, result.stderr
    assert f"failed: {empty}: no frames" in result.stdout
    written = DataDir.load(tmp_path / "out")
    assert list(written.utterances) == list(written.features()) == good
    assert str(tmp_path / "out") in (tmp_path / "out" / "feats.scp").read_text()


def test_nothing_is_written_where_no_utterance_has_inputs(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "data", tmp_path / "data")
    features = {key: np.array(value) for key, value in DataDir.load(world / "data").features().items()}
    with ArchiveWriter(tmp_path / "data", "feats") as writer:
        for key, value in features.items():
            writer.write(key, value * np.float32(np.nan))
    result = run(tmp_path / "data", world / "mono", tmp_path / "out", "--max-failed", "1")
    assert result.exit_code == 1
    assert "no utterance has such inputs; the first: " in result.stderr
    assert not (tmp_path / "out" / "feats.scp").exists()
