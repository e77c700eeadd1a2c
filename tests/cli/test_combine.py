"""`asrkit combine` on decodings of the planted world."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader
from asrkit.core.files import read_lines, write_json, write_lines
from asrkit.data.datadir import DataDir, read_text, save_text
from asrkit.data.labels.ctm import read_ctm
from asrkit.stages.combined_files import read_hypotheses
from tests.cli.test_decode import OFFSET_SECS, SAID, World, words_of

FREQUENCY = ("--set", "method=frequency")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world, decoded twice: clearly, and so badly that much is wrong."""
    made = World(tmp_path_factory.mktemp("world"))
    for name, weight in (("clear", 10), ("deaf", 1500)):
        places = [made.graph, made.model, made.data, made.root / name]
        settings = ("--set", f"lm_weights={weight}", "--set", "lattice_beam=7", "--set", "beam=25")
        result = CliRunner().invoke(main, ["decode", *map(str, places), *settings])
        assert result.exit_code == 0, result.output
    return made


def run(kind: str, world: World, out: Path, *arguments: object) -> Result:
    named = [world.root / one if one in ("clear", "deaf") else one for one in arguments]
    graph = [world.graph] if kind == "lattices" else []
    return CliRunner().invoke(main, ["combine", kind, *map(str, [*graph, world.data, *named, out])])


def figures(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)["figures"]
    return found


@pytest.mark.parametrize("kind", ["hypotheses", "lattices"])
def test_a_decoding_with_itself_changes_nothing(world: World, tmp_path: Path, kind: str) -> None:
    found = figures(run(kind, world, tmp_path / "out", "--json", "clear", "clear"))
    assert found["systems"] == 2
    assert (tmp_path / "out/hyp.txt").read_bytes() == (world.root / "clear/hyp.txt").read_bytes()
    before, after = (read_hypotheses(folder / "hyp.jsonl") for folder in (world.root / "clear", tmp_path / "out"))
    rows = list(read_ctm(tmp_path / "out/hyp.ctm"))
    assert len(rows) == len(list(read_ctm(world.root / "clear/hyp.ctm"))) == 8
    for key in SAID:
        assert [one.word for one in after[key]] == list(words_of(SAID[key]))
        for one, other in zip(after[key], before[key], strict=True):
            assert one.confidence == pytest.approx(other.confidence, abs=2e-4)
            assert (one.start_secs, one.end_secs) == pytest.approx((other.start_secs, other.end_secs), abs=1e-4)
        assert after[key][0].start_secs >= OFFSET_SECS[key]
        said = [row for row in rows if row.recording_id == f"{key}-rec"]
        assert [row.label.text for row in said] == [one.word for one in after[key]]
    assert json.loads(run(kind, world, tmp_path / "out", "--json", "clear", "clear").stdout)["skipped"]


@pytest.mark.parametrize("kind", ["hypotheses", "lattices"])
def test_weights_of_one_and_nothing_leave_one_system(world: World, tmp_path: Path, kind: str) -> None:
    least_risk = ("--set", "least_risk=true") if kind == "lattices" else ()
    for name, weight, weights in (("clear", 10, "[1, 0]"), ("deaf", 1500, "[0, 1]")):
        places = [world.graph, world.model, world.data, tmp_path / f"alone_{name}"]
        settings = ("--set", f"lm_weights={weight}", "--set", "lattice_beam=7", "--set", "beam=25", *least_risk)
        assert CliRunner().invoke(main, ["decode", *map(str, places), *settings]).exit_code == 0
        assert run(kind, world, tmp_path / name, "clear", "deaf", "--set", f"weights={weights}").exit_code == 0
        assert read_text(tmp_path / f"alone_{name}/hyp.txt") == read_text(tmp_path / name / "hyp.txt")
    assert read_text(tmp_path / "clear/hyp.txt") != read_text(tmp_path / "deaf/hyp.txt")


def test_a_majority_of_files_outvotes_each_of_them(world: World, tmp_path: Path) -> None:
    """Each file has an error of its own in every utterance."""
    said = {key: words_of(words) for key, words in SAID.items()}
    save_text(tmp_path / "a", {key: ("uh", *words[1:]) for key, words in said.items()})
    save_text(tmp_path / "b", {key: (*words[:-1], "um") for key, words in said.items()})
    save_text(tmp_path / "c", {key: (*words, "er") for key, words in said.items()})
    files = [tmp_path / name for name in "abc"]
    found = figures(run("hypotheses", world, tmp_path / "out", "--json", *files, *FREQUENCY))
    assert read_text(tmp_path / "out/hyp.txt") == said
    assert (found["unanimous"], found["words"]) == (0, 8)
    # There are neither times nor confidences to write.
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["hyp.txt", "stage.json"]
    refused = run("hypotheses", world, tmp_path / "new", *files)
    assert refused.exit_code == 1
    assert "has no confidence, which the method 'average' needs" in refused.stderr
    weighted = run("hypotheses", world, tmp_path / "out", *files, *FREQUENCY, "--set", "weights=[5, 1, 1]")
    assert weighted.exit_code == 0
    assert read_text(tmp_path / "out/hyp.txt") == read_text(tmp_path / "a")


def test_what_came_of_it_is_scored(world: World, tmp_path: Path) -> None:
    save_text(tmp_path / "text", {key: words_of(words) for key, words in SAID.items()})
    for kind in ("hypotheses", "lattices"):
        assert run(kind, world, tmp_path / kind, "clear", "deaf", "--set", "weights=[0.6, 0.4]").exit_code == 0
        scored = CliRunner().invoke(main, ["score", str(tmp_path / "text"), str(tmp_path / kind), "--json"])
        found = figures(scored)
        assert found["wer"] < 40  # type: ignore[operator]
        assert found["confidences"]["num_words"] > 0  # type: ignore[index]
        assert not (tmp_path / kind / "best.json").exists()


def test_lattices_are_combined_the_same_by_any_number_of_jobs(world: World, tmp_path: Path) -> None:
    for jobs in (1, 2):
        assert run("lattices", world, tmp_path / f"out{jobs}", "clear", "deaf", "-j", jobs).exit_code == 0
    for name in ("hyp.txt", "hyp.ctm", "hyp.jsonl"):
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()


def test_settings_of_lattices_may_be_given(world: World, tmp_path: Path) -> None:
    """At the LM weight of the other decoding the lattices of a decoding say what that one says."""
    chosen = ("--set", "lm_weights=[1500, 1500]", "--set", "insertion_penalties=[0, 0]")
    assert run("lattices", world, tmp_path / "given", "deaf", "deaf", *chosen).exit_code == 0
    assert run("lattices", world, tmp_path / "own", "deaf", "deaf").exit_code == 0
    assert (tmp_path / "given/hyp.jsonl").read_bytes() == (tmp_path / "own/hyp.jsonl").read_bytes()
    chosen = ("--set", "lm_weights=[10, 10]")
    assert run("lattices", world, tmp_path / "other", "deaf", "deaf", *chosen).exit_code == 0
    assert (tmp_path / "other/hyp.jsonl").read_bytes() != (tmp_path / "own/hyp.jsonl").read_bytes()
    few = run("lattices", world, tmp_path / "few", "deaf", "deaf", "--set", "lm_weights=[10]")
    assert "lm_weights has 1 numbers for 2 systems" in few.stderr


def test_mistakes_are_named(world: World, tmp_path: Path) -> None:
    def refused(kind: str, *arguments: object, out: str = "out") -> str:
        result = run(kind, world, tmp_path / out, *arguments)
        assert result.exit_code not in (0, None)
        assert "Traceback" not in result.output
        return result.output

    for kind in ("hypotheses", "lattices"):
        assert "1 system, expected two or more" in refused(kind, "clear")
        assert "3 weights for 2 systems" in refused(kind, "clear", "deaf", "--set", "weights=[1, 2, 3]")
        assert "OUT is one of the directories" in refused(kind, "clear", tmp_path / "out")
    assert "no hypotheses here" in refused("hypotheses", "clear", tmp_path / "absent")
    shutil.copytree(world.root / "clear", tmp_path / "bad")
    lines = read_lines(tmp_path / "bad/hyp.jsonl")
    write_lines(tmp_path / "bad/hyp.jsonl", [lines[0], lines[1].replace('"confidence": 0', '"confidence": 7'), "{}"])
    assert "bad/hyp.jsonl:" in refused("hypotheses", "clear", tmp_path / "bad")
    write_lines(tmp_path / "bad/hyp.jsonl", lines[:-1])
    output = refused("hypotheses", "clear", tmp_path / "bad")
    assert "nothing of it in" in output
    assert "1 of 3 utterances failed" in output
    partly = run("hypotheses", world, tmp_path / "out", "clear", tmp_path / "bad", "--max-failed", "0.5")
    assert partly.exit_code == 0
    assert len(read_text(tmp_path / "out/hyp.txt")) == 2
    shutil.copytree(world.graph, tmp_path / "graph")
    with (tmp_path / "graph/words.txt").open("a") as handle:
        handle.write("maybe 8\n")
    places = [tmp_path / "graph", world.data, world.root / "clear", world.root / "deaf", tmp_path / "new"]
    result = CliRunner().invoke(main, ["combine", "lattices", *map(str, places)])
    assert result.exit_code == 1
    assert "was decoded with other words" in result.stderr


def test_words_that_no_system_timed_have_expected_times(world: World, tmp_path: Path) -> None:
    """Which are those of arcs: a graph may pass a word late."""
    shutil.copytree(world.root / "clear", tmp_path / "plain")
    (tmp_path / "plain/hyp.jsonl").unlink()
    write_json(tmp_path / "plain/best.json", {"lm_weight": 10, "insertion_penalty": 0})
    assert run("lattices", world, tmp_path / "out", tmp_path / "plain", tmp_path / "plain").exit_code == 0
    data, features = DataDir.load(world.data), ArchiveReader(world.data / "feats.scp")
    for key, words in read_hypotheses(tmp_path / "out/hyp.jsonl").items():
        begin = data.utterances[key].start_secs or 0.0
        secs = [secs for word in words for secs in (word.start_secs, word.end_secs)]
        assert secs == sorted(secs)
        assert secs[0] >= begin
        assert secs[-1] <= begin + 0.01 * len(features[key]) + 1e-6
        assert [word.word for word in words] == list(words_of(SAID[key]))
        for word, (_, last) in zip(words, world.spans[key], strict=True):
            assert word.end_secs > begin + last / 100 - 0.05
    (tmp_path / "plain/best.json").unlink()
    refused = run("lattices", world, tmp_path / "out", "clear", tmp_path / "plain")
    assert "neither best.json nor hyp.jsonl says which LM weight" in refused.stderr
