"""`asrkit train-gmm mono` end to end on features drawn from a planted model: results, resuming, skipping, bad input."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.errors import DataError, TooManyFailedError
from asrkit.core.files import read_json, write_lines
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import save_front_end
from asrkit.features.pipeline import PipelineConfig
from asrkit.gmm.em import EmConfig, EmState
from asrkit.lang.langdir import LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.stages.acoustic import load_acoustic_model
from asrkit.stages.checkpoint import Checkpoint
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.train_mono import MonoConfig, train_mono

DIM = 4
NUM_STATES = 2
FRAMES_PER_STATE = 4
LEXICON = {"pa": ("p", "a"), "tu": ("t", "u"), "at": ("a", "t"), "up": ("u", "p"), "a": ("a",)}
PHONES = ("SIL", "SPN", "a", "p", "t", "u")
MEANS = dict(zip(PHONES, np.random.default_rng(5).normal(scale=5.0, size=(6, NUM_STATES, DIM)), strict=True))
CONFIG = MonoConfig(
    pipeline=PipelineConfig(cmvn="none", delta_order=0),
    em=EmConfig(num_iters=6, total_gaussians=20, last_mix_up_iter=4, realign_iters=(1, 2, 3, 4), acoustic_scale=1.0),
)
OPTIONS = RunOptions(max_failed=0.2)
SETTINGS = [
    *("--set", "pipeline.cmvn=none", "--set", "pipeline.delta_order=0", "--set", "em.num_iters=6"),
    *("--set", "em.total_gaussians=20", "--set", "em.last_mix_up_iter=4", "--set", "em.realign_iters=[1,2,3,4]"),
    *("--set", "em.acoustic_scale=1.0", "--max-failed", "0.2"),
]


def features_of(words: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    """Silence, the words, silence; each state lasts about FRAMES_PER_STATE frames."""
    phones = ["SIL", *(phone for word in words for phone in LEXICON.get(word, ("SPN",))), "SIL"]
    means = [
        MEANS[phone][state]
        for phone in phones
        for state in range(NUM_STATES)
        for _ in range(FRAMES_PER_STATE + int(rng.integers(-2, 3)))
    ]
    return (np.array(means) + rng.normal(size=(len(means), DIM))).astype(np.float32)


def make_world(root: Path, num_utterances: int = 24) -> Path:
    """Make ``root/data`` with features and ``root/lang``; utterances hold 1 to 4 words."""
    rng = np.random.default_rng(0)
    made = make_lang(
        [Pronunciation(word, phones) for word, phones in LEXICON.items()],
        LangConfig(num_states=NUM_STATES, num_silence_states=NUM_STATES),
    )
    made.save(root / "lang")
    said = {f"u{i:02d}": tuple(rng.choice(list(LEXICON), 1 + i % 4).tolist()) for i in range(num_utterances)}
    utterances = {key: Utterance(key, key, f"s{key[1]}", words) for key, words in said.items()}
    data = DataDir(root / "data", utterances, {key: f"{key}.wav" for key in said})
    data.path.mkdir()
    data.save()
    write_features(data.path, {key: features_of(words, rng) for key, words in said.items()})
    save_front_end(data.path, FrontEndConfig(num_ceps=DIM))
    return root


def write_features(folder: Path, features: dict[str, np.ndarray]) -> None:
    with ArchiveWriter(folder, "feats") as writer:
        for key, frames in features.items():
            writer.write(key, frames)


def read_features(folder: Path) -> dict[str, np.ndarray]:
    return {key: np.array(frames) for key, frames in ArchiveReader(folder / "feats.scp").items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world whose ``mono`` is trained; tests only read it."""
    root = make_world(tmp_path_factory.mktemp("world"))
    run(root)
    return root


@pytest.fixture
def world(trained: Path, tmp_path: Path) -> Path:
    """A copy of the data and lang, without a model."""
    for name in ("data", "lang"):
        shutil.copytree(trained / name, tmp_path / name)
    write_features(tmp_path / "data", read_features(trained / "data"))
    return tmp_path


def run(root: Path, config: MonoConfig = CONFIG, options: RunOptions = OPTIONS, out: str = "mono") -> StageReport:
    return train_mono(root / "data", root / "lang", root / out, config, options)


def command(root: Path, *arguments: str) -> Result:
    paths = [str(root / name) for name in ("data", "lang", "mono")]
    return CliRunner().invoke(main, ["train-gmm", "mono", *paths, *SETTINGS, *arguments])


def outputs(root: Path, out: str = "mono") -> dict[str, bytes]:
    names = ("model.safetensors", "tree.json", "topology.json", "pipeline.json", "ali.ark", "iterations.json")
    return {name: (root / out / name).read_bytes() for name in names}


def test_every_phone_finds_its_planted_means(trained: Path) -> None:
    loaded = load_acoustic_model(trained / "mono")
    gmms, names = loaded.model.gmms, dict(enumerate(("<eps>", *PHONES)))
    planted = {(name, state): MEANS[name][state] for name in PHONES if name != "SPN" for state in range(NUM_STATES)}
    nearest = {}
    for phone, state, pdf in loaded.transitions.triples:
        rows = slice(gmms.offsets[pdf], gmms.offsets[pdf + 1])
        mean = gmms.weights[rows] @ gmms.means[rows]
        nearest[names[phone], state] = min(planted, key=lambda at: float(np.linalg.norm(planted[at] - mean)))
    # The spoken-noise phone is never said; the two states of a phone may change places, they always come together.
    phones = {at: found[0] for at, found in nearest.items() if at[0] != "SPN"}
    assert phones == {at: at[0] for at in planted}


def test_alignments_are_paths_through_the_transcripts(trained: Path) -> None:
    transitions = load_acoustic_model(trained / "mono").transitions
    alignments = ArchiveReader(trained / "mono" / "ali.scp")
    data = DataDir.load(trained / "data")
    assert list(alignments) == list(data.utterances)
    names = dict(enumerate(("<eps>", *PHONES)))
    for key, frames in read_features(trained / "data").items():
        assert alignments[key].shape == (len(frames),)
        phones = [names[phone] for phone, _, _ in transitions.phone_segments(np.asarray(alignments[key]))]
        spoken = [phone for word in data.utterances[key].words or () for phone in LEXICON[word]]
        assert [phone for phone in phones if phone != "SIL"] == spoken


def test_the_report_and_the_rows_of_iterations_agree(trained: Path) -> None:
    rows = read_json(trained / "mono" / "iterations.json")
    figures = read_json(trained / "mono" / "stage.json")["train-gmm mono"]["figures"]
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["realigned"] for row in rows] == [False, True, True, True, True, False]
    assert rows[-1]["loglike_per_frame"] > rows[0]["loglike_per_frame"] + 1
    assert figures["num_gaussians"] == rows[-1]["num_gaussians"] == 20
    assert figures["num_frames"] == sum(map(len, read_features(trained / "data").values()))
    assert not (trained / "mono" / "checkpoint").exists()


def test_a_second_run_does_nothing(world: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="asrkit")
    logging.getLogger("asrkit").propagate = True
    first = run(world)
    stamps = {path: path.stat().st_mtime_ns for path in (world / "mono").iterdir()}
    second = run(world)
    assert (first.skipped, second.skipped) == (False, True)
    assert second.figures == first.figures
    assert stamps == {path: path.stat().st_mtime_ns for path in (world / "mono").iterdir()}
    write_lines(world / "data" / "text", [*(world / "data" / "text").read_text().splitlines()[:-1], "u23 pa"])
    third = run(world)
    assert not third.skipped
    assert "data/text changed" in caplog.text


def test_any_number_of_jobs_gives_the_same_files(world: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asrkit.gmm.training.UTTERANCES_AT_ONCE", 5)
    for jobs in (1, 2, 4):
        run(world, options=replace(OPTIONS, num_jobs=jobs), out=f"jobs{jobs}")
    assert outputs(world, "jobs1") == outputs(world, "jobs2") == outputs(world, "jobs4")
    assert outputs(world, "jobs1").keys() == outputs(trained).keys()


def test_another_seed_gives_another_model(world: Path, trained: Path) -> None:
    run(world)
    assert outputs(world) == outputs(trained)
    run(world, options=replace(OPTIONS, seed=1))
    assert outputs(world)["model.safetensors"] != outputs(trained)["model.safetensors"]


def interrupt_after(monkeypatch: pytest.MonkeyPatch, iteration: int, before: bool = False) -> None:
    """Let the checkpoint of an iteration be the last thing that happens (or, ``before``, not happen any more)."""
    save = Checkpoint.save

    def interrupted(self: Checkpoint, state: EmState) -> None:
        if not before:
            save(self, state)
        if state.iteration == iteration:
            raise KeyboardInterrupt
        if before:
            save(self, state)

    monkeypatch.setattr(Checkpoint, "save", interrupted)


@pytest.mark.parametrize(("iteration", "before"), [(1, True), (3, False), (5, True), (6, False)])
def test_an_interrupted_training_goes_on_to_the_same_bits(
    world: Path, trained: Path, iteration: int, before: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="asrkit")
    logging.getLogger("asrkit").propagate = True
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, iteration, before)
        with pytest.raises(KeyboardInterrupt):
            run(world)
    assert not (world / "mono" / "model.safetensors").exists()
    run(world)
    done = iteration - before
    assert (f"going on after iteration {done} of 6" in caplog.text) == (done > 0)
    assert outputs(world) == outputs(trained)
    assert not (world / "mono" / "checkpoint").exists()


def test_baum_welch_goes_on_to_the_same_bits(world: Path) -> None:
    config = replace(CONFIG, em=replace(CONFIG.em, estimator="baum-welch"))
    run(world, config, out="whole")
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            run(world, config)
    run(world, config)
    assert outputs(world)["model.safetensors"] == outputs(world, "whole")["model.safetensors"]
    assert outputs(world)["iterations.json"] == outputs(world, "whole")["iterations.json"]


def test_the_checkpoint_of_another_configuration_is_not_used(world: Path, trained: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run(world, replace(CONFIG, em=replace(CONFIG.em, transition_scale=0.5)))
    run(world)
    assert outputs(world) == outputs(trained)


KILLED = """
import os, sys
from asrkit.stages.checkpoint import Checkpoint
save = Checkpoint.save
def save_and_die(self, state):
    save(self, state)
    if state.iteration == 2:
        os.kill(os.getpid(), 9)
Checkpoint.save = save_and_die
from asrkit.cli.main import main
main(sys.argv[1:])
"""


def test_a_killed_process_is_resumed_by_the_same_command(world: Path, trained: Path) -> None:
    paths = [str(world / name) for name in ("data", "lang", "mono")]
    arguments = ["train-gmm", "mono", *paths, *SETTINGS]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()
    assert read_json(world / "mono" / "checkpoint" / "state.json")["iteration"] == 2
    again = command(world)
    assert again.exit_code == 0, again.output
    assert "going on after iteration 2 of 6" in again.stderr
    assert outputs(world) == outputs(trained)


def test_ctrl_c_is_exit_130(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_after(monkeypatch, 2)
    stopped = command(world, "--num-jobs", "2")
    assert stopped.exit_code == 130
    assert "interrupted" in stopped.stderr
    assert "Traceback" not in stopped.output


def test_the_shortest_utterances_are_chosen(world: Path) -> None:
    lengths = {key: len(frames) for key, frames in read_features(world / "data").items()}
    run(world, replace(CONFIG, shortest=6))
    assert list(ArchiveReader(world / "mono" / "ali.scp")) == sorted(
        sorted(lengths, key=lambda key: (lengths[key], key))[:6]
    )


def test_unusable_utterances_are_named_with_the_reason(world: Path) -> None:
    features = read_features(world / "data")
    features.pop("u01")
    features["u03"] = features["u03"][:3]
    features["u04"] = features["u04"][:0]
    write_features(world / "data", features)
    lines = (world / "data" / "text").read_text().splitlines()
    write_lines(world / "data" / "text", ("u02" if line.startswith("u02 ") else line for line in lines))
    report = run(world)
    reasons = {failure.utterance_id: failure.reason for failure in report.failures}
    assert reasons.keys() == {"u01", "u02", "u03", "u04"}
    assert "no features" in reasons["u01"]
    assert reasons["u02"] == "empty transcript"
    assert "too short for its transcript: 3 frames" in reasons["u03"]
    assert "no frames" in reasons["u04"]
    assert len(ArchiveReader(world / "mono" / "ali.scp")) == 20
    with pytest.raises(TooManyFailedError, match="4 of 24 utterances failed"):
        run(world, options=RunOptions(max_failed=0.1, force=True))


def test_too_many_failures_are_exit_3(world: Path) -> None:
    features = read_features(world / "data")
    write_features(world / "data", {key: frames for key, frames in features.items() if key > "u05"})
    result = command(world, "--max-failed", "0.1")
    assert result.exit_code == 3
    assert "6 of 24 utterances failed" in result.stderr
    assert not (world / "mono" / "model.safetensors").exists()


def test_words_outside_the_lexicon_are_counted(world: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("asrkit").propagate = True
    lines = (world / "data" / "text").read_text().splitlines()
    write_lines(world / "data" / "text", [f"{lines[0].split()[0]} zebra", *lines[1:]])
    run(world)
    assert f"1 of {sum(len(line.split()) - 1 for line in lines)} words" in caplog.text


def remove(*names: str):  # type: ignore[no-untyped-def]
    def damage(root: Path) -> None:
        for name in names:
            (root / name).unlink()

    return damage


def empty_tables(root: Path) -> None:
    for name in ("wav.scp", "utt2spk", "text"):
        (root / "data" / name).write_text("")


def cut_features(root: Path) -> None:
    archive = root / "data" / "feats.ark"
    archive.write_bytes(archive.read_bytes()[:100])


DAMAGES = {
    "no such data directory": lambda root: shutil.rmtree(root / "data"),
    "no transcripts": remove("data/text"),
    "asrkit extract": remove("data/feats.scp"),
    "no frontend.json": remove("data/frontend.json"),
    "not a lang directory": remove("lang/lang.json"),
    "topology.json: no such file": remove("lang/topology.json"),
    "utt2spk: no utterances": empty_tables,
    "is damaged or cut off": cut_features,
    "mono": lambda root: (root / "mono").write_text("a file where a directory should be"),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_bad_input_is_one_line_and_exit_1(world: Path, message: str) -> None:
    DAMAGES[message](world)
    result = command(world)
    assert result.exit_code == 1
    assert message in result.stderr.splitlines()[-1]
    assert "internal error" not in result.stderr
    assert "Traceback" not in result.output


def test_features_without_statistics_of_the_speaker_are_refused(world: Path) -> None:
    with pytest.raises(DataError, match=r"no cmvn\.scp"):
        run(world, replace(CONFIG, pipeline=PipelineConfig(cmvn="speaker")))


def test_an_unknown_key_is_an_error_with_advice(world: Path) -> None:
    result = command(world, "--set", "em.num_iter=3")
    assert result.exit_code == 1
    assert "did you mean em.num_iters?" in result.stderr


def test_the_report_is_one_json_object(world: Path) -> None:
    result = command(world, "--json", "--quiet")
    report = json.loads(result.stdout)
    assert report["stage"] == "train-gmm mono"
    assert report["figures"]["num_gaussians"] == 20
    assert report["failures"] == {}
