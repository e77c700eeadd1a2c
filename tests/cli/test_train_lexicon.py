"""`asrkit train-lexicon` on alignments of a planted world, and what is built on the directory it writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.files import read_lines, write_lines
from asrkit.graph.directory import load_graph_info
from asrkit.graph.fst import read_fst
from asrkit.graph.lexicon_fst import lexicon_fst
from asrkit.lang.langdir import Lang, LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.lang.lexicon_training import LexiconTrainingConfig
from asrkit.lang.silence import SilenceHabit, SilenceModel
from tests.cli.documented import parse_command
from tests.cli.test_align import LEXICON, World
from tests.graph.languages import assert_same_weights, graph_paths

# What the world says (see tests/cli/test_align.py): _ yes/1 no/1 _ | not/1 _ yes/2 | _ no/1 foo/1 _ |
# yes/2 no/1 _ not/1 _ yes/1.


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(*arguments: object) -> dict[str, float]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    figures: dict[str, float] = json.loads(result.stdout)["figures"]
    return figures


@pytest.fixture(scope="module", params=[False, True], ids=["phones", "positions"])
def aligned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("world"), positions=request.param)
    done("align", world.data, world.model, world.root / "ali")
    return world


def test_probabilities_are_those_of_what_was_said(aligned: World, tmp_path: Path) -> None:
    ali, lang, out = aligned.root / "ali", aligned.root / "lang", tmp_path / "out"
    figures = done("train-lexicon", ali, lang, out, "--silence")
    assert figures == {
        "utterances": 4,
        "words": 10,
        "pronunciations": 5,
        "pronunciations_said": 5,
        "silence_percent": pytest.approx(700 / 14),
    }
    before, trained = Lang.load(lang), Lang.load(out)
    assert (trained.words, trained.phones, trained.topology) == (before.words, before.phones, before.topology)
    assert [(p.word, p.phones) for p in trained.pronunciations] == [(p.word, p.phones) for p in before.pronunciations]
    # Both of yes were said twice; the lexicon gave 1 and 0.5.
    probabilities = {(p.word, len(p.phones)): p.probability for p in trained.pronunciations}
    expected = {("<UNK>", 1): 1.0, ("no", 2): 1.0, ("not", 3): 1.0, ("yes", 3): 1.0, ("yes", 2): 2.5 / 3}
    assert probabilities == pytest.approx(expected)
    model = trained.trained_silence
    assert model is not None
    assert (model.overall, model.start) == pytest.approx((0.5, (2 + 2 * 0.5) / (4 + 2)))
    after = {(name[0], len(name) - 1): habit.after for name, habit in model.habits.items()}
    # not is always followed by silence (2 of 2), yes/1 never but at the end (0 of 2), no/1 in 2 of 3 places.
    assert after["not", 3] == pytest.approx(3 / 4)
    assert after["yes", 3] == pytest.approx(1 / 4)
    assert after["no", 2] == pytest.approx(3 / 5)
    assert after["<UNK>", 1] == pytest.approx(2 / 3)
    for name, disambiguated in (("L.fst", False), ("L_disambig.fst", True)):
        found = graph_paths(read_fst(out / name), 4, 2)
        assert_same_weights(found, graph_paths(lexicon_fst(trained, disambiguated), 4, 2), 1e-5)
    assert json.loads(run("train-lexicon", ali, lang, out, "--silence", "--json").stdout)["skipped"]
    # Without --silence the silence probabilities of before do not stay.
    done("train-lexicon", ali, lang, out)
    assert not (out / "silence.txt").exists()
    assert Lang.load(out).pronunciations == trained.pronunciations


def test_graphs_alignments_and_models_have_the_new_probabilities(aligned: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done("train-lexicon", aligned.root / "ali", aligned.root / "lang", out, "--silence")
    (tmp_path / "phrases.txt").write_text("yes no\nnot\n")
    sizes = {}
    for name, lang in (("old", aligned.root / "lang"), ("new", out)):
        figures = done("make-graph", lang, tmp_path / "phrases.txt", aligned.model, tmp_path / name)
        sizes[name] = figures["states"]
        assert load_graph_info(tmp_path / name).described["lang"] == str(lang)
    assert sizes["new"] != sizes["old"]
    assert done("decode", tmp_path / "new", aligned.model, aligned.data, tmp_path / "decode")
    words = dict(line.split(" ", 1) for line in read_lines(tmp_path / "decode" / "hyp.txt"))
    assert words["ann-1"] == "yes no"
    # The alignment keeps the language it was made with, and is made again when that changes.
    figures = done("align", aligned.data, aligned.model, tmp_path / "ali", "--lang", out)
    assert figures["aligned"] == 4
    assert (tmp_path / "ali" / "lang" / "silence.txt").read_bytes() == (out / "silence.txt").read_bytes()
    assert done("train-lexicon", tmp_path / "ali", out, tmp_path / "again", "--silence")["words"] == 10
    text = (out / "silence.txt").read_text()
    (out / "silence.txt").write_text(text.replace("<s> 0.5", "<s> 0.4"))
    assert text != (out / "silence.txt").read_text()
    again = run("align", aligned.data, aligned.model, tmp_path / "ali", "--lang", out)
    assert "silence.txt changed" in again.stderr
    done("align", aligned.data, aligned.model, tmp_path / "ali", "--lang", aligned.root / "lang")
    assert not (tmp_path / "ali" / "lang" / "silence.txt").exists()


def test_alignments_and_languages_that_do_not_fit_are_refused(aligned: World, tmp_path: Path) -> None:
    ali, lang, out = aligned.root / "ali", aligned.root / "lang", tmp_path / "out"
    config = Lang.load(lang).config
    bare = tmp_path / "bare"
    shutil.copytree(ali, bare)
    (bare / "alignment.jsonl").unlink()

    def other(name: str, *left_out: int, **values: object) -> Path:
        entries = [entry for i, entry in enumerate(LEXICON) if i not in left_out]
        make_lang(entries, LangConfig(**{**config.__dict__, **values})).save(tmp_path / name)  # type: ignore[arg-type]
        return tmp_path / name

    line = read_json_line(ali)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    write_lines(damaged / "alignment.jsonl", [line, '{"utterance": "x", "words": [{"word": "yes"}]}'])
    empty = tmp_path / "empty"
    empty.mkdir()
    write_lines(empty / "alignment.jsonl", [])
    spoken = tmp_path / "spoken"
    spoken.mkdir()
    told = json.loads(line)
    told["words"] = [word for word in told["words"] if word["word"] is not None]
    write_lines(spoken / "alignment.jsonl", [json.dumps(told)])
    where = f"{ali}/alignment.jsonl:1: ann-1: {tmp_path}"
    for arguments, message in (
        ((tmp_path / "absent", lang, out), "absent: no alignment.jsonl (run `asrkit align` with --format json)"),
        ((bare, lang, out), "bare: no alignment.jsonl (run `asrkit align` with --format json)"),
        ((ali, tmp_path, out), "not a lang directory"),
        ((ali, lang, lang), "OUT is LANG itself"),
        ((ali, lang, ali), "OUT is ALIGNMENT itself"),
        ((ali, other("no-no", 2), out), f"{where}/no-no does not have the word 'no' (give the lang directory of"),
        ((ali, other("short", 0), out), f"{where}/short does not have the pronunciation y e s of 'yes'"),
        ((ali, other("quiet", silence_phone="sil"), out), f"{where}/quiet does not have the silence SIL"),
        ((ali, other("none", silence_probability=0.0), out, "--silence"), "none has no optional silence"),
        ((spoken, lang, out, "--silence"), "alignment.jsonl: no silence in it (align with a lang directory that has"),
        ((empty, lang, out), "alignment.jsonl: no utterances in it"),
        ((damaged, lang, out), "alignment.jsonl:2: not an utterance as `asrkit align` describes it"),
        ((ali, lang, out, "--set", "silence_smoothing=0"), "silence_smoothing is 0"),
    ):
        result = run("train-lexicon", *arguments)
        assert result.exit_code == 1, result.output
        assert message in result.stderr
        assert "Traceback" not in result.output
        assert not (out / "lang.json").exists()
    done("train-lexicon", spoken, lang, out)


def read_json_line(folder: Path) -> str:
    return read_lines(folder / "alignment.jsonl")[0]


def test_print_config_has_the_defaults() -> None:
    result = run("train-lexicon", "--print-config")
    assert result.exit_code == 0
    assert "silence = false" in result.stdout
    assert "silence_smoothing = 2.0" in result.stdout


def test_the_commands_of_the_page_are_understood_and_its_example_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "lexicon-probabilities.md").read_text(encoding="utf-8")
    commands = [line for line in page.splitlines() if line.startswith("asrkit ")]
    assert [line.split()[1] for line in commands] == ["align", "train-lexicon", "make-graph"]
    for line in commands:
        parse_command(line)
    (tmp_path / "silence.txt").write_text(page.split("```text\n")[1].split("```")[0])
    model = SilenceModel.load(tmp_path / "silence.txt", [Pronunciation("ZERO", ("Z_B", "IH_I", "R_I", "OW_E"))])
    assert model.habits["ZERO", "Z_B", "IH_I", "R_I", "OW_E"] == SilenceHabit(0.5213, 0.3256, 1.5273)
    defaults = LexiconTrainingConfig()
    for name in ("pronunciation_smoothing", "silence_smoothing", "correction_smoothing", "floor"):
        assert f"`{name}` ({getattr(defaults, name):g})" in page
