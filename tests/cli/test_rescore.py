"""`asrkit rescore` on the planted world of `asrkit decode`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.files import read_lines
from asrkit.data.datadir import read_text
from asrkit.lattice.archive import LatticeReader
from asrkit.lattice.lattice import LatticeScales
from asrkit.lattice.paths import n_best
from asrkit.stages.make_graph import MakeGraphConfig, make_graph
from asrkit.stages.record import RunOptions
from tests.cli.test_decode import SAID, UNIGRAM, World
from tests.graph.languages import write_arpa

BIGRAM = {
    **{word: (prob, -0.1) for word, (prob, _) in UNIGRAM.items()},
    "</s>": (-0.5, 0.0),
    "<s> no": (-0.3, 0.0),
    "no </s>": (-1.5, 0.0),  # less than by backing off
    "yes no": (-0.4, 0.0),
}
# So little is heard that the language models matter.
DEAF = ("--set", "lm_weights=1500", "--set", "lattice_beam=7", "--set", "beam=25")
SCALES = LatticeScales(1 / 1500, 1.0, 0.0)
QUANTISED = 5e-2


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world, decoded with its unigram, with the graphs of a bigram, and decoded with those."""
    made = World(tmp_path_factory.mktemp("world"))
    write_arpa(made.root / "bigram.arpa", BIGRAM, 2)
    for name, on_the_fly in (("static", False), ("fly", True)):
        config = MakeGraphConfig(on_the_fly=on_the_fly)
        make_graph(made.root / "lang", made.root / "bigram.arpa", made.model, made.root / name, config, RunOptions())
        decode(made, made.root / name, made.root / f"decode_{name}")
    decode(made, made.graph, made.root / "decode")
    return made


def decode(world: World, graph: Path, out: Path) -> None:
    places = [str(path) for path in (graph, world.model, world.data, out)]
    result = CliRunner().invoke(main, ["decode", *places, *DEAF])
    assert result.exit_code == 0, result.output


def run(
    world: World,
    out: Path,
    *arguments: object,
    graph: str = "graph",
    decoded: str = "decode",
    lm: str = "bigram.arpa",
) -> Result:
    root = world.root
    places = [root / graph, world.model, world.data, root / decoded, root / lm, out]
    return CliRunner().invoke(main, ["rescore", *map(str, places), "--set", "lm_weights=1500", *map(str, arguments)])


def best_sentences(folder: Path) -> dict[str, dict[tuple[int, ...], float]]:
    """The best word sequences of each lattice with their weighed costs."""
    lattices = LatticeReader(folder / "lat.scp")
    return {key: {path.words: path.cost for path in n_best(lattice, 10, SCALES)} for key, lattice in lattices.items()}


def test_it_is_as_if_decoded_with_the_other_model(world: World, tmp_path: Path) -> None:
    result = run(world, tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["figures"]["utterances"] == len(SAID)
    before, expected = world.root / "decode", world.root / "decode_static"
    assert read_text(tmp_path / "out" / "hyp.txt") == read_text(expected / "hyp.txt")
    none, ours, theirs = map(best_sentences, (before, tmp_path / "out", expected))
    compared = changed = 0
    for key in SAID:
        for words in set(ours[key]) & set(theirs[key]):
            assert ours[key][words] == pytest.approx(theirs[key][words], abs=QUANTISED)
            compared += 1
            changed += abs(none[key].get(words, 0.0) - theirs[key][words]) > 0.2
    assert compared > 8
    assert changed > 5
    for name in ("hyp.ctm", "hyp.jsonl", "hyp.w1500_p0.txt"):
        assert len(read_lines(tmp_path / "out" / name)) == len(read_lines(expected / name))
    assert json.loads(run(world, tmp_path / "out", "--json").stdout)["skipped"]


@pytest.mark.parametrize(("graph", "name"), [("static", "decode_static"), ("fly", "decode_fly")])
def test_the_model_that_is_there_already_changes_nothing(world: World, tmp_path: Path, graph: str, name: str) -> None:
    """Each graph charges in its own way, and a graph made on the fly what the file says."""
    chosen = ("--set", "exact=true") if graph == "fly" else ()
    result = run(world, tmp_path / "out", *chosen, graph=graph, decoded=name)
    assert result.exit_code == 0, result.output
    ours, theirs = best_sentences(tmp_path / "out"), best_sentences(world.root / name)
    for key in SAID:
        assert list(ours[key]) == list(theirs[key])
        np.testing.assert_allclose(list(ours[key].values()), list(theirs[key].values()), atol=1e-3)


def test_half_a_model_is_half_the_way(world: World, tmp_path: Path) -> None:
    assert run(world, tmp_path / "half", "--set", "new_weight=0.5").exit_code == 0
    assert run(world, tmp_path / "whole").exit_code == 0
    places = world.root / "decode", tmp_path / "half", tmp_path / "whole"
    none, half, whole = map(best_sentences, places)
    compared = 0
    for key in SAID:
        for words in set(none[key]) & set(half[key]) & set(whole[key]):
            assert half[key][words] == pytest.approx((none[key][words] + whole[key][words]) / 2, abs=1e-3)
            compared += abs(none[key][words] - whole[key][words]) > 0.1
    assert compared > 3


def test_lattices_of_another_graph_are_refused(world: World, tmp_path: Path) -> None:
    """The words are the same, so that nothing else would tell."""
    result = run(world, tmp_path / "out", graph="static", decoded="decode")
    assert result.exit_code == 1
    assert f"was made with another graph, {world.root / 'graph'}" in result.stderr
    assert not (tmp_path / "out").exists()
    assert run(world, tmp_path / "once").exit_code == 0
    again = run(world, tmp_path / "twice", decoded=str(tmp_path / "once"), lm="lm.arpa")
    assert again.exit_code == 1
    assert "rescored already" in again.stderr
    back = ("--old-lm", world.root / "bigram.arpa")
    assert run(world, tmp_path / "twice", *back, decoded=str(tmp_path / "once"), lm="lm.arpa").exit_code == 0


def test_words_that_the_new_model_lacks_are_named_at_the_start_and_where_they_are_missed(
    world: World, tmp_path: Path
) -> None:
    few = {word: prob for word, prob in UNIGRAM.items() if word != "no"}
    write_arpa(tmp_path / "few.arpa", few, 1)
    # So clear that next to nothing else is in the lattices.
    places = [world.graph, world.model, world.data, tmp_path / "clear", "--set", "lattice_beam=1"]
    assert CliRunner().invoke(main, ["decode", *map(str, places)]).exit_code == 0
    result = run(
        world,
        tmp_path / "out",
        "--max-failed",
        "0.99",
        decoded=str(tmp_path / "clear"),
        lm=str(tmp_path / "few.arpa"),
    )
    assert result.exit_code == 0, result.output
    assert result.output.count("few.arpa lacks 1 word (no); paths of the lattices with these are lost") == 1
    failed = [line for line in result.output.splitlines() if line.startswith("  failed: ")]
    assert failed == [
        f"  failed: {key}: no path without words that the language model lacks: 1 word (no)"
        for key in ("ann-1", "bob-1")
    ]
    assert "lacks" not in run(world, tmp_path / "whole").output


def test_mistakes_are_named(world: World, tmp_path: Path) -> None:
    def refused(*arguments: object, **places: str) -> str:
        result = run(world, tmp_path / "out", *arguments, **places)
        assert result.exit_code != 0
        assert "Traceback" not in result.output
        return result.output

    write_arpa(tmp_path / "other.arpa", {"<s>": (-99.0, 0.0), "</s>": (-0.3, 0.0), "ja": (-0.3, 0.0)}, 1)
    assert "new_weight is 2" in refused("--set", "new_weight=2")
    assert "no such file" in refused(lm="absent.arpa")
    assert "none of the 3 words" in refused(lm=str(tmp_path / "other.arpa"))
    assert "OUT is one of the directories that are read" in refused_into(world, world.root / "decode")
    # The old model has changed since.
    arpa = world.root / "bigram.arpa"
    kept = arpa.read_bytes()
    try:
        write_arpa(arpa, {**BIGRAM, "yes no": (-0.5, 0.0)}, 2)
        output = refused(graph="static", decoded="decode_static", lm="lm.arpa")
        assert "has changed since the graph was made from it" in output
        assert "--old-lm" in output
        arpa.unlink()
        assert "is not there" in refused(graph="static", decoded="decode_static", lm="lm.arpa")
    finally:
        arpa.write_bytes(kept)


def refused_into(world: World, out: Path) -> str:
    result = run(world, out)
    assert result.exit_code != 0
    return result.output
