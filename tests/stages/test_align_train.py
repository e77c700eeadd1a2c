"""`asrkit align --train` on some minutes of AN4: the rungs, their alignments, killed and run again."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader
from asrkit.core.files import read_json, read_lines
from asrkit.data.corpora import an4
from asrkit.data.datadir import DataDir
from asrkit.data.subset import SubsetConfig
from asrkit.gmm.em import EmState
from asrkit.lang.g2p import G2pConfig, gather_words, train_g2p
from asrkit.lang.langdir import LangConfig, make_lang
from asrkit.lang.lexicon import read_lexicon
from asrkit.stages.acoustic import load_acoustic_model
from asrkit.stages.align_train import train_and_align
from asrkit.stages.aligner import AlignStageConfig
from asrkit.stages.checkpoint import Checkpoint
from asrkit.stages.extract import ExtractConfig, extract
from asrkit.stages.ladder import LadderConfig
from asrkit.stages.prepare import prepare
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.subset import subset

OPTIONS = RunOptions()
ALL_RUNGS = AlignStageConfig(ladder=LadderConfig(min_context_secs=60.0))
"""So that a little more than a minute is enough for every rung."""

ONE_SPEAKER = AlignStageConfig(ladder=LadderConfig(min_context_secs=10.0))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``data``: 80 s of four speakers; ``one``: those of one of them; ``lang`` without the word HUNDRED."""
    root = tmp_path_factory.mktemp("an4")
    prepare("an4", corpora / "an4", root / "corpus", an4.Config(), OPTIONS)
    names = sorted({u.speaker for u in DataDir.load(root / "corpus" / "train").utterances.values()})[:4]
    chosen = SubsetConfig(speakers=tuple(names), secs=20.0, per_speaker=True)
    subset(root / "corpus" / "train", root / "data", chosen, OPTIONS)
    subset(root / "data", root / "one", SubsetConfig(speakers=(names[0],)), OPTIONS)
    for part in ("data", "one"):
        extract(root / part, ExtractConfig(), OPTIONS)
    make_lang(read_lexicon(root / "corpus" / "local" / "lexicon.txt"), LangConfig()).save(root / "lang")
    return root


def run(root: Path, out: str, config: AlignStageConfig = ALL_RUNGS, data: str = "data") -> StageReport:
    return train_and_align(root / data, root / "lang", root / out, config, OPTIONS)


@pytest.fixture(scope="module")
def whole(world: Path) -> Path:
    run(world, "whole")
    return world / "whole"


@pytest.fixture(scope="module")
def alone(world: Path) -> Path:
    run(world, "alone", ONE_SPEAKER, "one")
    return world / "alone"


def rungs(out: Path) -> list[str]:
    order = ["mono", "deltas", "lda-mllt", "sat"]
    return sorted((path.parent.name for path in (out / "train").glob("*/model.safetensors")), key=order.index)


def test_four_speakers_climb_to_the_last_rung(world: Path, whole: Path) -> None:
    report = run(world, "whole")
    assert report.skipped
    assert report.figures["trained"] == "sat"
    assert rungs(whole) == ["mono", "deltas", "lda-mllt", "sat"]
    model = load_acoustic_model(whole / "train" / "sat").model
    assert model.is_speaker_adaptive
    assert list(ArchiveReader(whole / "trans.scp")) == sorted(
        {u.speaker for u in DataDir.load(world / "data").utterances.values()}
    )
    # 5000 sqrt(80 / 3600) and an eighth of it.
    record = read_json(whole / "train" / "sat" / "stage.json")["train-gmm sat"]["config"]
    assert 740 < record["em"]["total_gaussians"] < 800
    assert record["context"]["tree"]["max_leaves"] == record["em"]["total_gaussians"] // 8


def test_the_alignment_says_every_word_and_pauses_are_not_speech(world: Path, whole: Path) -> None:
    data = DataDir.load(world / "data")
    rows = {row["utterance"]: row for row in map(json.loads, read_lines(whole / "alignment.jsonl"))}
    assert set(rows) == set(data.utterances)
    energy: dict[str, list[float]] = {"silence": [], "speech": []}
    features = data.features()
    for key, row in rows.items():
        assert tuple(w["word"] for w in row["words"] if w["word"] is not None) == data.utterances[key].words
        for phone in (phone for word in row["words"] for phone in word["phones"]):
            first, last = (round(100 * phone[at]) for at in ("start", "end"))
            kind = "silence" if phone["phone"] == "SIL" else "speech"
            energy[kind] += features[key][first:last, 0].tolist()
    assert np.mean(energy["speech"]) > np.mean(energy["silence"]) + 2.0


def test_a_single_speaker_stops_before_adaptation(world: Path, alone: Path) -> None:
    report = run(world, "alone", ONE_SPEAKER, "one")
    assert (report.skipped, report.figures["trained"], report.figures["failed"]) == (True, "lda-mllt", 0)
    assert rungs(alone) == ["mono", "deltas", "lda-mllt"]
    assert not (alone / "trans.scp").exists()
    # 20 s say few phones, in hardly any context: fewer classes than LDA needs for 40 dimensions.
    assert load_acoustic_model(alone / "train" / "lda-mllt").model.gmms.dim < 40


def test_killed_in_the_third_rung_it_goes_on_to_the_same_alignment(
    world: Path, alone: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="asrkit")
    logging.getLogger("asrkit").propagate = True
    save = Checkpoint.save

    def save_and_die(self: Checkpoint, state: EmState) -> None:
        save(self, state)
        if state.iteration == 20 and "lda-mllt" in str(self.folder):
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        run(world, "killed", ONE_SPEAKER, "one")
    assert rungs(world / "killed") == ["mono", "deltas"]
    monkeypatch.setattr(Checkpoint, "save", save)
    run(world, "killed", ONE_SPEAKER, "one")
    assert "train-gmm deltas: up to date" in caplog.text
    assert "going on after iteration 20 of 35" in caplog.text
    for name in ("ali.ark", "phones.ctm"):
        assert (world / "killed" / name).read_bytes() == (alone / name).read_bytes()


def test_killed_with_more_words_it_goes_on(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="asrkit")
    logging.getLogger("asrkit").propagate = True
    (tmp_path / "more.txt").write_text("HUNDREDFOLD HH AH N D R AH D F OW L D\n")
    save = Checkpoint.save

    def save_and_die(self: Checkpoint, state: EmState) -> None:
        save(self, state)
        if state.iteration == 5:
            raise KeyboardInterrupt

    def train(more: str = "more.txt") -> StageReport:
        few = AlignStageConfig()
        return train_and_align(world / "one", world / "lang", tmp_path / "out", few, OPTIONS, tmp_path / more)

    monkeypatch.setattr(Checkpoint, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        train()
    monkeypatch.setattr(Checkpoint, "save", save)
    assert not train().skipped
    assert "going on after iteration 5 of 40" in caplog.text
    assert train().skipped
    (tmp_path / "other.txt").write_text("HUNDREDTH HH AH N D R AH D TH\n")
    assert not train("other.txt").skipped
    assert "HUNDREDTH" in (tmp_path / "out" / "train" / "mono" / "lang" / "words.txt").read_text()


def test_little_speech_stops_at_monophones_over_all_paths(world: Path) -> None:
    few = run(world, "few", AlignStageConfig(), "one")
    assert few.figures["trained"] == "mono"
    assert rungs(world / "few") == ["mono"]
    config = read_json(world / "few" / "train" / "mono" / "stage.json")["train-gmm mono"]["config"]
    assert config["em"]["estimator"] == "baum-welch"


def command(root: Path, out: Path, *arguments: object) -> Result:
    paths = (root / "one", root / "lang", out)
    return CliRunner().invoke(main, ["align", "--train", *map(str, (*paths, *arguments))])


def test_words_outside_the_lexicon_are_trained_with_their_guessed_phones(world: Path, tmp_path: Path) -> None:
    entries = read_lexicon(world / "corpus" / "local" / "lexicon.txt")
    train_g2p(gather_words(entries, G2pConfig()), G2pConfig(order=3))[0].save(tmp_path / "g2p")
    said = {word for u in DataDir.load(world / "one").utterances.values() for word in u.words or ()}
    gone = sorted(said)[0]
    poor = [entry for entry in entries if entry.word != gone]
    assert {p for e in poor for p in e.phones} == {p for e in entries for p in e.phones}
    (tmp_path / "few").mkdir()
    make_lang(poor, LangConfig()).save(tmp_path / "few" / "lang")
    (tmp_path / "few" / "one").symlink_to(world / "one")
    out = tmp_path / "out"
    refused = command(tmp_path / "few", out, "--oov", "error")
    assert refused.exit_code == 1
    assert f"not in the lexicon: {gone}" in refused.output
    assert not (out / "train").exists()
    done = command(tmp_path / "few", out, "--oov", "g2p", "--g2p", tmp_path / "g2p", "--json")
    assert done.exit_code == 0, done.output
    assert [line.split("\t")[0] for line in read_lines(out / "g2p.txt")] == [gone]
    # The models know it too: without the G2P model it is in their lexicon.
    lexicon = read_lines(out / "train" / "mono" / "lang" / "lexicon.txt")
    assert any(line.split()[0] == gone for line in lexicon)
    assert json.loads(done.stdout)["figures"]["oov_types"] == 0


def test_the_lang_directory_is_given_once(world: Path, tmp_path: Path) -> None:
    result = command(world, tmp_path / "out", "--lang", world / "lang")
    assert result.exit_code == 2
    assert "DATA LANG OUT" in result.output
    nowhere = CliRunner().invoke(main, ["align", "--train", str(world / "data"), str(world / "data"), str(tmp_path)])
    assert nowhere.exit_code == 1
    assert "not a lang directory" in nowhere.output
