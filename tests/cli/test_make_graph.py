"""`asrkit make-graph` with a small model: graphs of n-grams, grammars and phrases, and every mistake."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.files import write_json
from asrkit.decode.config import SearchConfig
from asrkit.decode.graph import SearchGraph
from asrkit.decode.search import BeamSearch
from asrkit.features.frontend import FrontEndConfig, save_front_end
from asrkit.gmm.model import GmmHmm
from asrkit.graph.arrays import load_graph
from asrkit.graph.directory import check_graph_fits, load_difference, load_graph_info, load_words
from asrkit.graph.fst import read_fst
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lang.langdir import Lang
from asrkit.lm.arpa import write_arpa as write_model
from asrkit.lm.counts import count_ngrams
from asrkit.lm.smoothing import NgramConfig, estimate
from tests.gmm.models import random_gmms
from tests.graph.languages import BIGRAM, QUANTISED, graph_paths, tiny_lang, write_arpa


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["make-graph", *map(str, arguments)])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with ``lang``, ``model`` and ``lm.arpa``."""
    lang = tiny_lang(num_states=1, num_silence_states=1)
    lang.save(tmp_path / "lang")
    make_model(tmp_path / "model", lang)
    write_arpa(tmp_path / "lm.arpa", BIGRAM, 2)
    return tmp_path


def make_model(path: Path, lang: Lang) -> None:
    tree = monophone_tree(lang.topology, lang.shared_phones)
    gmms = random_gmms(np.random.default_rng(1), (2,) * tree.num_pdfs)
    GmmHmm(tree, TransitionModel.from_tree(tree, lang.topology), gmms).save(path)
    save_front_end(path, FrontEndConfig())
    write_json(path / "pipeline.json", {})
    (path / "lang").mkdir()
    lang.phones.save(path / "lang" / "phones.txt")


def test_writes_a_graph_directory(place: Path) -> None:
    result = run(place / "lang", place / "lm.arpa", place / "model", place / "graph", "--json")
    assert result.exit_code == 0, result.output
    graph = load_graph(place / "graph" / "HCLG.fst")
    figures = json.loads(result.stdout)["figures"]
    assert (figures["states"], figures["arcs"]) == (graph.num_states, graph.num_arcs)
    assert figures["dropped_words"] == 0
    info = load_graph_info(place / "graph")
    config = info.described["config"]
    assert (config["transition_scale"], config["self_loop_scale"], config["kind"]) == (1.0, 0.1, "auto")
    assert len(info.described["language_model_sha256"]) == 64
    words = load_words(place / "graph")
    assert {words.symbols[i] for i in graph.olabels} == {"<eps>", "A", "T", "TA", "TOO", "TWO"}
    assert graph.ilabels.max() <= info.num_transition_ids
    model = GmmHmm.load(place / "model")
    check_graph_fits(place / "graph", model.tree, model.transitions)
    assert json.loads(run(place / "lang", place / "lm.arpa", place / "model", place / "graph", "--json").stdout)[
        "skipped"
    ]


def test_on_the_fly_it_finds_what_the_static_graph_does(place: Path) -> None:
    """With an interpolated bigram, which no graph charges less for backing off where it need not."""
    rng = np.random.default_rng(4)
    text = [[str(w) for w in rng.choice(["A", "T", "TA", "TOO", "TWO"], size=rng.integers(1, 6))] for _ in range(40)]
    write_model(place / "kn.arpa", estimate(count_ngrams(text, 2), NgramConfig(order=2)))
    static, on_the_fly = place / "graph", place / "fly"
    assert run(place / "lang", place / "kn.arpa", place / "model", static).exit_code == 0
    for chosen in (("--on-the-fly", "--json"), ("--on-the-fly", "--json", "--set", "lookahead_threshold=1")):
        result = run(place / "lang", place / "kn.arpa", place / "model", on_the_fly, *chosen)
        assert result.exit_code == 0, result.output
        figures = json.loads(result.stdout)["figures"]
        assert figures["full_ngrams"] > figures["grammar_arcs"]
        assert load_graph(on_the_fly / "HCLG.fst").num_arcs < load_graph(static / "HCLG.fst").num_arcs
        transitions = GmmHmm.load(place / "model").transitions
        said = set()
        for seed in range(20):
            loglikes = np.random.default_rng(seed).normal(0, 3, (25, transitions.num_pdfs)).astype(np.float32)
            results = []
            for path in (static, on_the_fly):
                hclg = load_graph(path / "HCLG.fst")
                graph = SearchGraph(hclg, transitions.tid_to_pdf, transitions.num_pdfs, load_difference(path))
                results.append(
                    BeamSearch(graph, SearchConfig(beam=1e3, max_active=10**6, acoustic_scale=1.0)).decode(loglikes)
                )
            assert results[0].words == results[1].words
            assert results[1].total_cost == pytest.approx(results[0].total_cost, abs=5 * QUANTISED)
            assert results[1].graph_cost == pytest.approx(results[0].graph_cost, abs=5 * QUANTISED)
            said.add(results[0].words)
        assert len(said) > 5
    assert load_difference(static) is None
    assert run(place / "lang", place / "kn.arpa", place / "model", on_the_fly).exit_code == 0
    assert not (on_the_fly / "difference.fst").exists()


def test_a_graph_that_would_fill_the_memory_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = (place / "lang", place / "lm.arpa", place / "model", place / "graph")
    result = run(*places, "--set", "max_memory_gb=1e-5")
    assert result.exit_code == 1
    for said in ("would take about", "GB", "--on-the-fly", "lm.arpa", "train-lm prune"):
        assert said in result.output
    assert not (place / "graph" / "graph.json").exists()

    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("asrkit.stages.make_graph.compile_graph", exhausted)
    result = run(*places)
    assert result.exit_code == 1
    assert "not enough memory for a graph of" in result.output
    assert "--on-the-fly" in result.output


def test_a_grammar_is_not_for_composing(place: Path) -> None:
    (place / "phrases.txt").write_text("A T\n")
    result = run(place / "lang", place / "phrases.txt", place / "model", place / "graph", "--on-the-fly")
    assert result.exit_code == 1
    assert "only an n-gram model can be composed on the fly" in result.output


def test_scales_and_model_changes_make_it_again(place: Path) -> None:
    first = run(place / "lang", place / "lm.arpa", place / "model", place / "graph")
    assert first.exit_code == 0
    before = read_fst(place / "graph" / "HCLG.fst").cost.sum()
    again = run(
        place / "lang", place / "lm.arpa", place / "model", place / "graph", "--set", "self_loop_scale=1", "--json"
    )
    assert not json.loads(again.stdout)["skipped"]
    assert read_fst(place / "graph" / "HCLG.fst").cost.sum() > before + 1


@pytest.mark.parametrize("name", ["lm.arpa.gz", "commands.jsgf", "phrases.txt"])
def test_every_kind_of_language_model(place: Path, name: str) -> None:
    (place / "lm.arpa.gz").write_bytes(gzip.compress((place / "lm.arpa").read_bytes()))
    (place / "commands.jsgf").write_text("#JSGF V1.0;\ngrammar g;\npublic <g> = (A | TA) [T];\n")
    (place / "phrases.txt").write_text("A\nA T\nTA\nTA T\n")
    result = run(place / "lang", place / name, place / "model", place / "graph")
    assert result.exit_code == 0, result.output
    if name != "lm.arpa.gz":
        lang = Lang.load(place / "lang")
        said = {words for _, words in graph_paths(read_fst(place / "graph" / "HCLG.fst"), 4)}
        sentences = {" ".join(lang.words.symbols[i] for i in words) for words in said}
        assert sentences == {"A", "A T", "TA", "TA T"}


def test_words_outside_the_lexicon_are_said(place: Path) -> None:
    write_arpa(place / "lm.arpa", {**BIGRAM, "ELSE": (-1.0, 0.0), "A ELSE": (-1.0, 0.0)}, 2)
    result = run(place / "lang", place / "lm.arpa", place / "model", place / "graph")
    assert result.exit_code == 0
    assert "lm.arpa: 1 words are not in the lexicon and were left out, with 2 n-grams: ELSE" in result.stderr
    assert "dropped_words 1" in result.stdout


def test_mistakes_are_one_line(place: Path) -> None:
    lang, lm, model, graph = (place / name for name in ("lang", "lm.arpa", "model", "graph"))
    write_arpa(place / "foreign.arpa", {"<s>": (-99.0, 0.0), "</s>": (-0.3, 0.0), "nothing": (-0.3, 0.0)}, 1)
    cases = [
        ((place, lm, model, graph), "not a lang directory"),
        ((lang, place / "absent.arpa", model, graph), "absent.arpa: no such language model file"),
        ((lang, lm, place / "absent", graph), "absent: no such model directory"),
        ((lang, lm, place, graph), "not a finished model directory"),
        ((lang, place / "foreign.arpa", model, graph), "words of the language model is in the lexicon"),
        ((lang, lm, model, graph, "--set", "self_loop_scale=-1"), "self_loop_scale is -1"),
        ((lang, lm, model, graph, "--set", "kind=fst"), "kind is 'fst', expected one of auto, arpa, grammar"),
    ]
    for arguments, message in cases:
        result = run(*arguments)
        assert result.exit_code == 1
        assert message in result.stderr
        assert "Traceback" not in result.output
        assert not (graph / "graph.json").exists()


def test_phones_and_topology_must_be_the_models(place: Path) -> None:
    lm, model, graph = place / "lm.arpa", place / "model", place / "graph"
    for name, config, message in (
        ("longer", {"num_states": 2, "num_silence_states": 1}, "the topology differs from that of the model"),
        ("noisy", {"num_states": 1, "num_silence_states": 1, "noise_phones": ("NSN",)}, "the phones differ"),
    ):
        tiny_lang(**config).save(place / name)
        result = run(place / name, lm, model, graph)
        assert result.exit_code == 1
        assert message in result.stderr
        assert "make the lang directory with the phones and topology of the training" in result.stderr


def test_other_words_and_disambiguation_symbols_are_fine(place: Path) -> None:
    """Only the phones must be the training's: a bigger lexicon makes no new model."""
    from asrkit.lang.langdir import LangConfig, make_lang
    from asrkit.lang.lexicon import Pronunciation

    entries = [Pronunciation(word, tuple("tiau")[:size]) for size, word in enumerate(["T", "TI", "TIA", "TIAU"], 1)]
    more = [*entries, Pronunciation("TEA", ("t", "i")), Pronunciation("TEE", ("t", "i"))]
    make_lang(more, LangConfig(num_states=1, num_silence_states=1)).save(place / "bigger")
    (place / "phrases.txt").write_text("TEA TEE\nTIAU\n")
    result = run(place / "bigger", place / "phrases.txt", place / "model", place / "graph")
    assert result.exit_code == 0, result.output
