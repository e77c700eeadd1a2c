"""`asrkit align` on a planted world: frames from a model whose Gaussians stand far apart, so that times are known."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from praatio import textgrid as praat

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.files import read_json, read_lines, write_lines
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import save_front_end
from asrkit.features.pipeline import PipelineConfig
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.model import GmmHmm
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lang.langdir import LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.stages.acoustic import load_acoustic_model, save_model_folder
from tests.factories import make_samples, write_wav

LEXICON = (
    Pronunciation("yes", ("y", "e", "s")),
    Pronunciation("yes", ("y", "e"), 0.5),
    Pronunciation("no", ("n", "o")),
    Pronunciation("not", ("n", "o", "t")),
)
# What is said: word/pronunciation (from 1), "_" is silence, "foo" is not in the lexicon.
SAID = {
    "ann-1": "_ yes/1 no/1 _",
    "ann-2": "not/1 _ yes/2",
    "bob-1": "_ no/1 foo/1 _",
    "cat-1": "yes/2 no/1 _ not/1 _ yes/1",
}
# Recording, and start in it; bob speaks while ann does; cat's recording is one utterance.
PLACES = {"ann-1": ("call", 0.25), "ann-2": ("call", 1.0), "bob-1": ("call", 0.5), "cat-1": ("cat", 0.0)}
RATE, LENGTH = 16000, 400
DIM, FRAMES_PER_STATE = 6, 3
Segments = list[tuple[str, int, int]]


class World:
    """Paths of model and data, and what was planted: phones and words of each utterance with their frames."""

    def __init__(self, root: Path, shift_ms: float = 10.0, positions: bool = False) -> None:
        self.root, self.model, self.data = root, root / "model", root / "my data"
        self.front_end = FrontEndConfig(frame_shift_ms=shift_ms)
        config = LangConfig(num_states=2, num_silence_states=3, position_dependent=positions)
        self.lang = make_lang(LEXICON, config)
        self.lang.save(root / "lang")
        tree = monophone_tree(self.lang.topology)
        self.transitions = TransitionModel.from_tree(tree, self.lang.topology)
        self.pdfs = {(phone, state): pdf for phone, state, pdf in self.transitions.triples}
        self.means = (10 * np.random.default_rng(0).normal(size=(tree.num_pdfs, DIM))).astype(np.float32)
        ones = np.ones(tree.num_pdfs, dtype=np.float32)
        offsets = np.arange(tree.num_pdfs + 1, dtype=np.int32)
        gmms = DiagGmms(ones, self.means, np.ones_like(self.means), offsets)
        model = GmmHmm(tree, self.transitions, gmms)
        save_model_folder(self.model, self.front_end, PipelineConfig(cmvn="none", delta_order=0), root / "lang", model)
        self.phones: dict[str, Segments] = {}
        self.words: dict[str, Segments] = {}
        self.pdf_path: dict[str, list[int]] = {}
        self._make_data()

    def _make_data(self) -> None:
        rng = np.random.default_rng(1)
        frames = {key: self._plant(key, rng) for key in SAID}
        write_features(self.data, frames)
        ends = {key: PLACES[key][1] + self.num_samples(key) / RATE for key in SAID}
        utterances = {}
        for key, said in SAID.items():
            words = tuple(word.split("/")[0] for word in said.split() if word != "_")
            recording, start = PLACES[key]
            utterances[key] = Utterance(key, recording, key[:3], words, start, ends[key])
        recordings = {}
        for name in ("call", "cat"):
            num_samples = round(RATE * max(end for key, end in ends.items() if PLACES[key][0] == name))
            recordings[name] = str(write_wav(self.root / f"{name}.wav", make_samples(num_samples), RATE))
        DataDir(self.data, utterances, recordings).save()
        save_front_end(self.data, self.front_end)

    def num_samples(self, key: str) -> int:
        return (len(self.pdf_path[key]) - 1) * self.front_end.shift + LENGTH + 48

    def _plant(self, key: str, rng: np.random.Generator) -> np.ndarray:
        entries = {f"{word}/{n}": e for word in ("yes", "no", "not") for n, e in enumerate(self.entries(word), 1)}
        unknown = self.lang.entries_of_word[self.lang.unknown_word][0].phones
        names = {phone: symbol for symbol, phone in self.lang.inventory.ids.items()}
        pdfs: list[int] = []
        self.phones[key], self.words[key] = [], []
        for said in SAID[key].split():
            begin = len(pdfs)
            for phone in (self.lang.phones.ids["SIL"],) if said == "_" else entries.get(said, unknown):
                first = len(pdfs)
                states = itertools.takewhile(lambda at: (phone, at) in self.pdfs, itertools.count())  # noqa: B023
                pdfs += [self.pdfs[phone, state] for state in states for _ in range(FRAMES_PER_STATE)]
                self.phones[key].append((names[phone].split("_")[0], first, len(pdfs)))
            if said != "_":
                self.words[key].append((said.split("/")[0], begin, len(pdfs)))
        self.pdf_path[key] = pdfs
        return self.means[pdfs] + rng.normal(size=(len(pdfs), DIM)).astype(np.float32)

    def entries(self, word: str) -> list[tuple[int, ...]]:
        return [entry.phones for entry in self.lang.entries_of_word[self.lang.words.ids[word]]]

    def secs(self, key: str, frame: int) -> float:
        """Where the boundary before a frame should lie: half-way between window centres."""
        shift, start = self.front_end.shift, PLACES[key][1]
        if frame == 0:
            return start
        if frame == len(self.pdf_path[key]):
            return start + self.num_samples(key) / RATE
        return start + ((frame - 1) * shift + LENGTH / 2 + frame * shift + LENGTH / 2) / 2 / RATE

    def timed(self, segments: dict[str, Segments], recording: str) -> list[tuple[float, float, str]]:
        """Planted segments of a recording in seconds, by time."""
        return sorted(
            (self.secs(key, first), self.secs(key, last), name)
            for key, found in segments.items()
            if PLACES[key][0] == recording
            for name, first, last in found
        )


def write_features(folder: Path, features: dict[str, np.ndarray]) -> None:
    with ArchiveWriter(folder, "feats") as writer:
        for key, frames in features.items():
            writer.write(key, frames)


def read_features(folder: Path) -> dict[str, np.ndarray]:
    return {key: np.array(frames) for key, frames in ArchiveReader(folder / "feats.scp").items()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
def world(built: World, tmp_path: Path) -> World:
    """The world, with data and model of its own to damage."""
    mine = World.__new__(World)
    mine.__dict__.update(built.__dict__)
    for name in ("model", "data"):
        shutil.copytree(getattr(built, name), tmp_path / getattr(built, name).name)
        setattr(mine, name, tmp_path / getattr(built, name).name)
    write_features(mine.data, read_features(built.data))
    return mine


def run(world: World, out: Path, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["align", *map(str, (world.data, world.model, out, *arguments))])


def figures(result: Result) -> dict[str, float]:
    assert result.exit_code == 0, result.output
    found: dict[str, float] = json.loads(result.stdout)["figures"]
    return found


def read_rows(path: Path) -> dict[str, list[tuple[float, float, str]]]:
    table: dict[str, list[tuple[float, float, str]]] = {}
    for line in read_lines(path):
        recording, _, start, duration, text = line.split()
        table.setdefault(recording, []).append((float(start), float(start) + float(duration), text))
    return table


def assert_same_spans(found: list[tuple[float, float, str]], expected: list[tuple[float, float, str]]) -> None:
    assert [text for _, _, text in found] == [text for _, _, text in expected]
    np.testing.assert_allclose([s[:2] for s in found], [s[:2] for s in expected], atol=1.1e-4)


def test_phones_and_words_get_their_planted_times(world: World, tmp_path: Path) -> None:
    report = figures(run(world, tmp_path / "out", "--json"))
    for name, planted in (("phones.ctm", world.phones), ("words.ctm", world.words)):
        found = read_rows(tmp_path / "out" / name)
        assert list(found) == ["call", "cat"]
        for recording, rows in found.items():
            assert_same_spans(rows, world.timed(planted, recording))
    counts = {name: report[name] for name in ("aligned", "retried", "failed", "words", "phones", "oov_words")}
    num_phones = sum(map(len, world.phones.values()))
    assert counts == {"aligned": 4, "retried": 0, "failed": 0, "words": 10, "phones": num_phones, "oov_words": 1}
    assert report["frames"] == sum(map(len, world.pdf_path.values()))
    assert report["loglike_per_frame"] == pytest.approx(-DIM / 2 * (1 + np.log(2 * np.pi)), abs=0.6)
    assert read_lines(tmp_path / "out" / "failed.txt") == []
    assert read_lines(tmp_path / "out" / "oov.txt") == ["foo\t1\tbob-1"]


@pytest.mark.parametrize(("shift_ms", "positions"), [(5.0, False), (10.0, True)])
def test_frames_of_5_ms_and_phones_that_know_their_place(tmp_path: Path, shift_ms: float, positions: bool) -> None:
    world = World(tmp_path, shift_ms, positions)
    figures(run(world, tmp_path / "out", "--json"))
    for name, planted in (("phones.ctm", world.phones), ("words.ctm", world.words)):
        for recording, rows in read_rows(tmp_path / "out" / name).items():
            assert_same_spans(rows, world.timed(planted, recording))


def test_json_nests_phones_in_words_and_says_what_was_pronounced_and_how_well(world: World, tmp_path: Path) -> None:
    assert run(world, tmp_path / "out", "--set", "goodness=true").exit_code == 0
    found = {row["utterance"]: row for row in map(json.loads, read_lines(tmp_path / "out" / "alignment.jsonl"))}
    assert set(found) == set(SAID)
    features = read_features(world.data)
    for key, row in found.items():
        assert (row["recording"], row["speaker"], row["beam"]) == (PLACES[key][0], key[:3], 10.0)
        said = ["_" if word["word"] is None else f"{word['word']}/{word['pronunciation']}" for word in row["words"]]
        assert " ".join(said) == SAID[key]
        assert [word["word"] for word in row["words"] if word.get("unknown")] == ["foo"] * (key == "bob-1")
        phones = [phone for word in row["words"] for phone in word["phones"]]
        assert [phone["phone"] for phone in phones] == [name for name, _, _ in world.phones[key]]
        assert all(word["start"] == word["phones"][0]["start"] for word in row["words"])
        assert all(word["end"] == word["phones"][-1]["end"] for word in row["words"])
        # Unit Gaussians: the log density along the planted path, averaged over the frames of a phone.
        distance = ((features[key] - world.means[world.pdf_path[key]]) ** 2).sum(axis=1)
        along = -0.5 * (distance + DIM * np.log(2 * np.pi))
        expected = [along[first:last].mean() for _, first, last in world.phones[key]]
        np.testing.assert_allclose([phone["loglike"] for phone in phones], expected, atol=2e-3)
        assert row["loglike"] == pytest.approx(along.mean(), abs=2e-3)
        # So far apart, no other pdf fits a frame better.
        np.testing.assert_allclose([phone["goodness"] for phone in phones], 0.0, atol=1e-6)


def test_goodness_falls_where_something_else_was_said(world: World, tmp_path: Path) -> None:
    text = (world.data / "text").read_text().replace("cat-1 yes no", "cat-1 yes not")
    (world.data / "text").write_text(text)
    assert run(world, tmp_path / "out", "--set", "goodness=true").exit_code == 0
    rows = [json.loads(line) for line in read_lines(tmp_path / "out" / "alignment.jsonl")]
    words = next(row["words"] for row in rows if row["utterance"] == "cat-1")
    scores = {phone["phone"]: phone["goodness"] for phone in words[1]["phones"]}
    assert scores["t"] < -10
    assert scores["n"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("form", ["textgrid", "textgrid-short"])
def test_praatio_reads_textgrids_with_a_tier_for_each_speaker(world: World, tmp_path: Path, form: str) -> None:
    figures(run(world, tmp_path / "out", "--json", "--format", form, "--format", "ctm"))
    folder = tmp_path / "out" / "textgrid"
    assert sorted(path.name for path in folder.iterdir()) == ["call.TextGrid", "cat.TextGrid"]
    call, cat = (
        praat.openTextgrid(str(folder / f"{name}.TextGrid"), includeEmptyIntervals=True, reportingMode="error")
        for name in ("call", "cat")
    )
    assert call.tierNames == ("ann - words", "ann - phones", "bob - words", "bob - phones")
    assert cat.tierNames == ("words", "phones")
    for name, planted in (("words", world.words), ("phones", world.phones)):
        tiers = [(cat.getTier(name), ["cat-1"])]
        tiers += [(call.getTier(f"ann - {name}"), ["ann-1", "ann-2"]), (call.getTier(f"bob - {name}"), ["bob-1"])]
        for tier, keys in tiers:
            entries = [tuple(entry) for entry in tier.entries]
            recording = PLACES[keys[0]][0]
            expected = world.timed({key: planted[key] for key in keys}, recording)
            assert_same_spans([entry for entry in entries if entry[2]], expected)
            assert entries[0][0] == 0.0
            assert all(a[1] == b[0] for a, b in itertools.pairwise(entries))
            last = max(world.secs(key, len(world.pdf_path[key])) for key in SAID if PLACES[key][0] == recording)
            assert entries[-1][1] == pytest.approx(last, abs=1e-4)


def test_overlapping_utterances_of_one_speaker_get_tiers_of_their_own(world: World, tmp_path: Path) -> None:
    lines = [line.replace("bob-1 bob", "bob-1 ann") for line in read_lines(world.data / "utt2spk")]
    write_lines(world.data / "utt2spk", lines)
    assert run(world, tmp_path / "out", "--format", "textgrid").exit_code == 0
    grid = praat.openTextgrid(str(tmp_path / "out" / "textgrid" / "call.TextGrid"), includeEmptyIntervals=False)
    assert grid.tierNames == ("words", "phones", "words (2)", "phones (2)")
    said = {name: " ".join(e.label for e in grid.getTier(name).entries) for name in ("words", "words (2)")}
    assert said == {"words": "yes no not yes", "words (2)": "no foo"}


def test_boundaries_as_kaldi_says_them(world: World, tmp_path: Path) -> None:
    assert run(world, tmp_path / "out", "--set", "boundaries=kaldi").exit_code == 0
    expected = [(first / 100, last / 100, name) for name, first, last in world.phones["cat-1"]]
    assert_same_spans(read_rows(tmp_path / "out" / "phones.ctm")["cat"], expected)


def test_where_the_audio_is_gone_the_end_is_that_of_the_last_frame(world: World, tmp_path: Path) -> None:
    lines = ["call nowhere.wav", "cat nowhere.wav"]
    write_lines(world.data / "wav.scp", lines)
    segments = [line for line in read_lines(world.data / "segments") if not line.startswith("cat")]
    write_lines(world.data / "segments", [*segments, "cat-1 cat 0.000 -1"])
    assert run(world, tmp_path / "out", "--format", "ctm", "--format", "textgrid").exit_code == 0
    ends = [end for _, end, _ in read_rows(tmp_path / "out" / "phones.ctm")["cat"]]
    assert ends[-1] == pytest.approx((world.num_samples("cat-1") - 48) / RATE, abs=1e-4)


def test_results_do_not_depend_on_the_number_of_jobs(world: World, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("asrkit.stages.aligner.UTTERANCES_AT_ONCE", 1)
    formats = [f"--format={name}" for name in ("ctm", "json", "textgrid")]
    for jobs in (1, 2, 4):
        assert run(world, tmp_path / f"out{jobs}", "-j", jobs, *formats).exit_code == 0
    names = ["ali.ark", "phones.ctm", "words.ctm", "alignment.jsonl", "textgrid/call.TextGrid", "oov.txt", "failed.txt"]
    for jobs, name in itertools.product((2, 4), names):
        assert (tmp_path / f"out{jobs}" / name).read_bytes() == (tmp_path / "out1" / name).read_bytes()


def test_the_output_is_a_model_with_alignments(world: World, tmp_path: Path) -> None:
    assert run(world, tmp_path / "out").exit_code == 0
    alignments = ArchiveReader(tmp_path / "out" / "ali.scp")
    assert list(alignments) == sorted(SAID)
    transitions = load_acoustic_model(tmp_path / "out").transitions
    for key, alignment in alignments.items():
        assert transitions.tid_to_pdf[alignment].tolist() == world.pdf_path[key]
    world.model = tmp_path / "out"
    assert run(world, tmp_path / "again").exit_code == 0
    assert (tmp_path / "again" / "ali.ark").read_bytes() == (tmp_path / "out" / "ali.ark").read_bytes()


@pytest.mark.parametrize("name", ["model.safetensors", "tree.json", "lang/lexicon.txt"])
def test_a_lost_part_of_the_model_is_made_again(world: World, tmp_path: Path, name: str) -> None:
    run(world, tmp_path / "ali")
    kept = (tmp_path / "ali" / name).read_bytes()
    (tmp_path / "ali" / name).unlink()
    assert "up to date" not in run(world, tmp_path / "ali").output
    assert (tmp_path / "ali" / name).read_bytes() == kept


def test_a_second_run_does_nothing_even_when_a_textgrid_was_edited(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(world, out, "--format", "textgrid").exit_code == 0
    (out / "textgrid" / "cat.TextGrid").write_text("mended by hand")
    assert "up to date" in run(world, out, "--format", "textgrid").output
    assert (out / "textgrid" / "cat.TextGrid").read_text() == "mended by hand"
    assert "acoustic_scale was 0.1, is 0.2" in run(world, out, "--set", "acoustic_scale=0.2").output


def test_a_lost_path_is_searched_again_with_wider_beams(world: World, tmp_path: Path) -> None:
    assert run(world, tmp_path / "wide").exit_code == 0
    # Silence is cheap, and far too good a start into the wrong path.
    report = figures(run(world, tmp_path / "out", "--json", "--set", "beam=0.01", "--set", "retry_beam=0.02"))
    assert report["retried"] > 0
    assert report["failed"] == 0
    beams = [json.loads(line)["beam"] for line in read_lines(tmp_path / "out" / "alignment.jsonl")]
    assert sum(beam != 0.01 for beam in beams) == report["retried"]


def damage(world: World) -> None:
    """ann-1 has NaN, ann-2 is too short, bob-1 has no features, cat-1 nothing to align."""
    features = read_features(world.data)
    features["ann-1"][3] = np.nan
    features["ann-2"] = features["ann-2"][:7]
    del features["bob-1"]
    write_features(world.data, features)
    lines = [line for line in read_lines(world.data / "text") if not line.startswith("cat-1")]
    write_lines(world.data / "text", [*lines, "cat-1"])


REASONS = {
    "ann-1": "loglikes hold NaN, first at frame 3",
    "ann-2": "too short for its transcript: 7 frames, the shortest path needs 10",
    "bob-1": "no features (see the report of `asrkit extract`)",
    "cat-1": "empty transcript",
}


def test_every_failure_is_listed_with_its_reason_also_when_there_are_too_many(world: World, tmp_path: Path) -> None:
    damage(world)
    out = tmp_path / "out"
    result = run(world, out)
    assert result.exit_code == 3
    assert "4 of 4 utterances failed" in result.output
    assert not (out / "ali.scp").exists()
    assert not (out / "phones.ctm").exists()
    listed = dict(line.split("\t") for line in read_lines(out / "failed.txt"))
    assert list(listed) == sorted(SAID)
    for key, reason in REASONS.items():
        assert listed[key].startswith(reason)
    allowed = run(world, out, "--max-failed", 1, "--format", "ctm", "--format", "textgrid")
    assert allowed.exit_code == 0
    assert "failed: cat-1: empty transcript" in allowed.output
    assert read_json(out / "stage.json")["align"]["figures"]["failed"] == 4
    assert read_lines(out / "phones.ctm") == []


def test_one_failure_among_others_leaves_them_alone(world: World, tmp_path: Path) -> None:
    features = read_features(world.data)
    write_features(world.data, {**features, "ann-2": features["ann-2"][:7]})
    report = figures(run(world, tmp_path / "out", "--json", "--max-failed", 0.25))
    assert (report["aligned"], report["failed"]) == (3, 1)
    assert_same_spans(
        read_rows(tmp_path / "out" / "words.ctm")["call"],
        world.timed({key: world.words[key] for key in ("ann-1", "bob-1")}, "call"),
    )


def test_unknown_words_can_be_refused_or_given_their_phones(world: World, tmp_path: Path) -> None:
    refused = run(world, tmp_path / "out", "--oov", "error")
    assert refused.exit_code == 1
    assert "1 words are not in the lexicon: foo" in refused.output
    assert "--lexicon" in refused.output
    write_lines(tmp_path / "more.txt", ["foo SPN"])
    report = figures(run(world, tmp_path / "out", "--json", "--oov", "error", "--lexicon", tmp_path / "more.txt"))
    assert report["oov_words"] == 0
    assert [word for _, _, word in read_rows(tmp_path / "out" / "words.ctm")["call"]].count("foo") == 1
    write_lines(tmp_path / "wrong.txt", ["foo f u"])
    wrong = run(world, tmp_path / "out", "--lexicon", tmp_path / "wrong.txt")
    assert wrong.exit_code == 1
    assert "wrong.txt: word 'foo' has the phone 'f', which the model does not" in wrong.output


def test_another_language_must_have_the_phones_of_the_model(world: World, tmp_path: Path) -> None:
    same = make_lang([*LEXICON, Pronunciation("foo", ("t", "o"))], LangConfig(num_states=2, num_silence_states=3))
    same.save(tmp_path / "same")
    assert figures(run(world, tmp_path / "out", "--json", "--lang", tmp_path / "same"))["oov_words"] == 0
    more = make_lang([*LEXICON, Pronunciation("foo", ("f", "u"))], LangConfig(num_states=2, num_silence_states=3))
    more.save(tmp_path / "more")
    other_hmms = make_lang(LEXICON, LangConfig(num_states=3))
    other_hmms.save(tmp_path / "other")
    for name, message in (("more", "they differ: f, u"), ("other", "they differ in their numbers or topologies")):
        result = run(world, tmp_path / "out", "--lang", tmp_path / name)
        assert result.exit_code == 1
        assert f"{tmp_path / name}: the phones are not those of the model" in result.output
        assert message in result.output
        assert "--lexicon" in result.output


def test_bad_input_is_one_clean_line(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    both = run(world, out, "--format", "textgrid", "--format", "textgrid-short")
    assert both.exit_code == 1
    assert "both textgrid and textgrid-short" in both.output
    assert "OUT is the model's own directory" in run(world, world.model).output
    assert "OUT is one of the directories that are read" in run(world, world.data).output
    assert "0 < beam <= retry_beam" in run(world, out, "--set", "beam=50").output
    (world.data / "text").unlink()
    no_text = run(world, out)
    assert no_text.exit_code == 1
    assert "no transcripts" in no_text.output
    save_front_end(world.data, FrontEndConfig(num_mel_bins=30))
    (world.model / "tree.json").unlink()
    assert "not a finished model directory: tree.json missing" in run(world, out).output
    world.model = tmp_path / "nowhere"
    result = run(world, out)
    assert result.exit_code == 1
    assert "no such model directory" in result.output
    assert not (out / "ali.scp").exists()
