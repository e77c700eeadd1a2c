"""`asrkit lattice-to-slf`: every path of a lattice is in the file, with HTK's score; what is no lattice is named."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.lattice.archive import LatticeWriter
from asrkit.lattice.lattice import Lattice, LatticeScales
from tests.lattice.lattices import all_paths, random_lattice
from tests.lattice.test_slf import parse, walk

NAMES = {1: "one", 2: "two", 3: "three"}


@pytest.fixture
def lattices() -> dict[str, Lattice]:
    generator = np.random.default_rng(3)
    return {key: random_lattice(generator, num_frames=frames) for key, frames in (("ann/1", 4), ("bob-2", 6))}


@pytest.fixture
def place(tmp_path: Path, lattices: dict[str, Lattice]) -> Path:
    """A decode directory, and the graph directory's words."""
    (tmp_path / "graph").mkdir()
    (tmp_path / "graph" / "words.txt").write_text("<eps> 0\none 1\ntwo 2\nthree 3\n")
    with LatticeWriter(tmp_path / "decode", "lat") as writer:
        for key, lattice in lattices.items():
            writer.write(key, lattice)
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["lattice-to-slf", *map(str, arguments)])


def listed(out: Path) -> dict[str, Path]:
    lines = (line.split() for line in (out / "slf.scp").read_text().splitlines())
    return {key: Path(path) for key, path in lines}


@pytest.mark.parametrize("source", ["decode", "decode/lat.scp", "decode/lat.ark"])
@pytest.mark.parametrize("words", ["graph", "graph/words.txt"])
def test_the_paths_are_those_of_the_lattices(
    place: Path, lattices: dict[str, Lattice], source: str, words: str
) -> None:
    settings = ("--set", "lm_weight=8", "--set", "insertion_penalty=0.5", "--set", "frame_shift_ms=5")
    result = run(place / source, place / words, place / "slf", *settings, "--json")
    assert result.exit_code == 0, result.output
    arcs = sum(lattice.num_arcs for lattice in lattices.values())
    assert json.loads(result.stdout)["figures"] == {"lattices": 2, "arcs": arcs}
    assert listed(place / "slf") == {"ann/1": place / "slf" / "ann%2F1.slf", "bob-2": place / "slf" / "bob-2.slf"}
    for key, path in listed(place / "slf").items():
        head, nodes, links = parse(path.read_text())
        assert head["UTTERANCE"] == key
        assert (float(head["acscale"]), float(head["wdpenalty"])) == (1 / 8, -0.5)
        assert math.isclose(max(float(node["t"]) for node in nodes.values()), 0.005 * lattices[key].num_frames)
        # The archive holds costs as float32.
        scales = LatticeScales(1 / 8, 1.0, 0.5)
        paths = list(all_paths(lattices[key]))
        found = walk(head, links)
        assert {said for said, _ in found} == {tuple(NAMES[word] for word in path.words) for path in paths}
        expected = sorted(-path.cost(scales) for path in paths)
        assert sorted(score for _, score in found.elements()) == pytest.approx(expected, abs=2e-4)


def test_settings_may_be_those_that_score_chose_and_a_second_run_does_nothing(place: Path) -> None:
    (place / "best.json").write_text('{"lm_weight": 20.0, "insertion_penalty": 2.0}')
    arguments = (place / "decode", place / "graph", place / "slf", "--from", place / "best.json", "--json")
    assert [json.loads(run(*arguments).stdout)["skipped"] for _ in range(2)] == [False, True]
    head, _, _ = parse(listed(place / "slf")["bob-2"].read_text())
    assert (float(head["acscale"]), float(head["wdpenalty"])) == (0.05, -2.0)


@pytest.mark.parametrize("source", ["decode", "decode/lat.scp"])
@pytest.mark.parametrize(("figures", "expected"), [({}, 10), ({"frame_shift_ms": 30.0}, 30)])
def test_frames_are_as_long_as_the_record_of_the_lattices_tells(
    place: Path, lattices: dict[str, Lattice], source: str, figures: dict[str, float], expected: int
) -> None:
    (place / "decode" / "stage.json").write_text(json.dumps({"decode": {"figures": figures}}))
    assert run(place / source, place / "graph", place / "slf").exit_code == 0
    _, nodes, _ = parse(listed(place / "slf")["bob-2"].read_text())
    assert math.isclose(max(float(node["t"]) for node in nodes.values()), 0.001 * expected * 6)


def test_what_cannot_be_written_is_said(place: Path) -> None:
    result = run(place / "graph", place / "graph", place / "slf")
    assert result.exit_code == 1
    assert "lat.scp: no such file" in result.output
    result = run(place / "decode", place, place / "slf")
    assert result.exit_code == 1
    assert "words.txt: no such file" in result.output
    (place / "few.txt").write_text("<eps> 0\none 1\n")
    result = run(place / "decode", place / "few.txt", place / "slf")
    assert result.exit_code == 1
    assert "is not among the 2 words" in result.output
    ark = (place / "decode" / "lat.ark").read_bytes()
    (place / "twice.ark").write_bytes(ark + ark)
    result = run(place / "twice.ark", place / "graph", place / "slf")
    assert result.exit_code == 1
    assert "ann/1 has two lattices" in result.output
    assert run(place / "decode", place / "graph", place / "decode").exit_code == 1
    assert run(place / "decode", place / "graph", place / "slf", "--set", "lm_weight=0").exit_code == 1
    assert not (place / "slf" / "slf.scp").exists()
