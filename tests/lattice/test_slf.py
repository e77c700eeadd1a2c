"""SLF: read back by a few lines that know the format, and compared path by path."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.errors import ConfigError, FormatError
from asrkit.lattice.lattice import LatticeScales
from asrkit.lattice.slf import slf_lines, write_slf
from tests.lattice.lattices import all_paths, random_lattice

WORDS = ("<eps>", "one", "'tis", "two\\three")


def parse(text: str) -> tuple[dict[str, str], dict[int, dict[str, str]], dict[int, dict[str, str]]]:
    head: dict[str, str] = {}
    nodes: dict[int, dict[str, str]] = {}
    links: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        fields = dict(field.split("=", 1) for field in line.split())
        for name, table in (("I", nodes), ("J", links)):
            if name in fields:
                table[int(fields.pop(name))] = fields
                break
        else:
            head |= fields
    return head, nodes, links


def walk(head: dict[str, str], links: dict[int, dict[str, str]]) -> Counter[tuple[tuple[str, ...], float]]:
    """Return words and HTK's score (rounded) of every path."""
    found: Counter[tuple[tuple[str, ...], float]] = Counter()
    todo: list[tuple[int, tuple[str, ...], float]] = [(int(head["start"]), (), 0.0)]
    while todo:
        node, words, score = todo.pop()
        if node == int(head["end"]):
            found[words, round(score, 4)] += 1
        for link in links.values():
            if int(link["S"]) == node:
                spoken = () if link["W"] == "!NULL" else (link["W"],)
                step = float(head["acscale"]) * float(link["a"]) + float(head["lmscale"]) * float(link["l"])
                step += float(head["wdpenalty"]) * len(spoken)
                todo.append((int(link["E"]), words + spoken, score + step))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_the_paths_are_the_lattices(tmp_path: Path, seed: int) -> None:
    lattice = random_lattice(np.random.default_rng(seed), num_frames=4, longest_arc=2)
    scales = LatticeScales(acoustic_scale=0.1, graph_scale=0.9, word_insertion_penalty=0.5)
    write_slf(tmp_path / "u.slf", "u", lattice, WORDS, 0.01, scales)
    head, nodes, links = parse((tmp_path / "u.slf").read_text())
    assert (head["VERSION"], head["UTTERANCE"], float(head["base"])) == ("1.0", "u", math.e)
    assert (int(head["N"]), int(head["L"])) == (len(nodes), len(links))
    names = {1: "one", 2: "\\'tis", 3: "two\\\\three"}
    expected = Counter(
        (tuple(names[word] for word in path.words), round(-path.cost(scales), 4)) for path in all_paths(lattice)
    )
    found = walk(head, links)
    assert {words: n for (words, _), n in found.items()}.keys() == {words for words, _ in expected}
    assert sorted(score for _, score in found.elements()) == pytest.approx(
        sorted(score for _, score in expected.elements()), abs=2e-4
    )
    times = [float(nodes[node]["t"]) for node in range(len(nodes))]
    assert times == pytest.approx([*(lattice.state_frames * 0.01), 0.04])
    # A single end, a single start: what HTK asks of a lattice.
    ends = {int(link["E"]) for link in links.values()}
    assert set(nodes) - ends == {0}
    assert set(nodes) - {int(link["S"]) for link in links.values()} == {int(head["end"])}


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    lattice = random_lattice(np.random.default_rng(0))
    with pytest.raises(FormatError, match="u: word id 3 is not among the 3 words"):
        write_slf(tmp_path / "u.slf", "u", lattice, WORDS[:3], 0.01)
    with pytest.raises(ConfigError, match="frame shift"):
        slf_lines("u", lattice, WORDS, 0.0)
