from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from asrkit.core.errors import FormatError
from asrkit.lang.topology import (
    HmmState,
    Topology,
    left_to_right,
    make_topology,
    read_topology_toml,
    silence,
)

PHONES = {"SIL": 1, "SPN": 2, "a": 3, "b": 4, "c": 5}

GOOD = """
[[hmm]]
phones = "silence"
states = [{ pdf_class = 0, transitions = [[0, 0.75], [1, 0.25]] }]

[[hmm]]
phones = ["b"]
states = [
    { pdf_class = 0, transitions = [[0, 0.5], [1, 0.4], [2, 0.1]] },
    { pdf_class = 1, transitions = [[1, 0.6], [2, 0.4]] },
]

[[hmm]]
phones = ["a", "c"]
states = [
    { pdf_class = 1, transitions = [[1, 1.0]] },
    { pdf_class = 0, transitions = [[0, 0.2], [1, 0.3], [2, 0.5]] },
]
"""


def read(tmp_path: Path, text: str) -> Topology:
    path = tmp_path / "topology.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_topology_toml(path, PHONES, [1, 2])


def test_kaldi_defaults() -> None:
    """The numbers that Kaldi's utils/gen_topo.pl prints for 3 and 5 states."""
    topology = make_topology([3, 4, 5], [1, 2])
    assert topology.states(4) == (
        HmmState(0, ((0, 0.75), (1, 0.25))),
        HmmState(1, ((1, 0.75), (2, 0.25))),
        HmmState(2, ((2, 0.75), (3, 0.25))),
        HmmState(None),
    )
    sil = topology.states(2)
    assert sil[0].transitions == ((0, 0.25), (1, 0.25), (2, 0.25), (3, 0.25))
    for middle in sil[1:4]:
        assert middle.transitions == ((1, 0.25), (2, 0.25), (3, 0.25), (4, 0.25))
    assert sil[4].transitions == ((4, 0.75), (5, 0.25))
    assert [state.pdf_class for state in sil] == [0, 1, 2, 3, 4, None]


def test_toml(tmp_path: Path) -> None:
    topology = read(tmp_path, GOOD)
    assert topology.phones == (1, 2, 3, 4, 5)
    assert topology.states(1) == topology.states(2) == left_to_right(1)
    assert topology.states(4)[0].transitions == ((0, 0.5), (1, 0.4), (2, 0.1))
    assert topology.states(3) is topology.states(5)
    assert [topology.num_pdf_classes(phone) for phone in (1, 3, 4)] == [1, 2, 2]


def test_speech_means_all_but_silence(tmp_path: Path) -> None:
    text = GOOD.replace('["b"]', '"speech"').split("\n[[hmm]]\nphones = [")[0]
    topology = read(tmp_path, text)
    assert {phone for phone in topology.phones if len(topology.states(phone)) == 3} == {3, 4, 5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[[hmm]]", "[[hmm"), "not a topology in TOML"),
        (("[[hmm]]", "[[model]]"), "unknown key 'model'.*known keys: hmm"),
        (('phones = "silence"', 'phone = "silence"'), "number 1: unknown key 'phone'.*known keys: phones, states"),
        (("{ pdf_class = 1, trans", "{ pdf_class = 1, loop = 1, trans"), "number 2: unknown key 'loop'"),
        (('phones = "silence"', 'phones = "noise"'), "phones is 'noise', expected a list, 'speech' or 'silence'"),
        (('["b"]', '["b", "x"]'), "unknown phone 'x'"),
        (('["b"]', '["b", "c"]'), "phone id 5 is named twice"),
        (('["a", "c"]', '["a"]'), r"no \[\[hmm\]\] names phone ids \[5\]"),
        (("pdf_class = 0, transitions = [[0, 0.75]", "transitions = [[0, 0.75]"), "number 1: states need pdf_class"),
        (("[[1, 1.0]]", "[[1]]"), "number 3: states need pdf_class and transitions"),
        (("[[1, 1.0]]", "[]"), "number 3: transition probabilities of state 0 are"),
        (("[0, 0.5], [1, 0.4]", "[0, 0.5], [1, 0.5]"), "number 2: transition probabilities of state 0 .* do not sum"),
        (("[0, 0.5], [1, 0.4], [2, 0.1]", "[0, 0.5], [1, 0.5], [2, 0.0]"), "not above 0.*leave out transitions"),
        (("[0, 0.5], [1, 0.4], [2, 0.1]", "[0, 0.7], [1, 0.5], [2, -0.2]"), "one is not above 0"),
        (("pdf_class = 1, transitions = [[1, 0.6]", "pdf_class = 2, transitions = [[1, 0.6]"), "without a gap"),
        (("[1, 0.6], [2, 0.4]", "[1, 0.6], [3, 0.4]"), r"state 1 goes to \[1, 3\], of 3 states"),
        (("[1, 0.6], [2, 0.4]", "[1, 0.6], [1, 0.4]"), r"state 1 goes to \[1, 1\]"),
        (("[[0, 0.75], [1, 0.25]]", "[[0, 1.0]]"), "number 1: the final state cannot be reached"),
        (("[0, 0.5], [1, 0.4], [2, 0.1]", "[0, 0.9], [2, 0.1]"), "number 2: state 1 cannot be reached"),
        (("[1, 0.6], [2, 0.4]", "[1, 1.0]"), "number 2: state 1 never gets to the final state"),
        (("states = [{ pdf_class = 0, transitions = [[0, 0.75], [1, 0.25]] }]", "states = []"), "an emitting state"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(FormatError, match=message) as caught:
        read(tmp_path, GOOD.replace(change[0], change[1], 1))
    assert str(tmp_path / "topology.toml") in str(caught.value)


def test_a_file_that_is_no_text_or_no_list(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not a topology in TOML"):
        read(tmp_path, b"\xff\xfe")  # type: ignore[arg-type]
    with pytest.raises(FormatError, match="not a topology in TOML"):
        read(tmp_path, "hmm = 3")
    with pytest.raises(FormatError, match=r"not a topology in TOML.*see docs/topology\.md"):
        read(tmp_path, "")
    with pytest.raises(FormatError, match="not a topology in TOML"):
        read_topology_toml(tmp_path / "absent.toml", PHONES, [1, 2])


def test_saved_and_loaded(tmp_path: Path) -> None:
    topology = read(tmp_path, GOOD)
    topology.save(tmp_path / "topology.json")
    assert Topology.load(tmp_path / "topology.json") == topology


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: [],
        lambda d: {**d, "phone_to_entry": [1, 2]},
        lambda d: {**d, "phone_to_entry": {"1": 9}},
        lambda d: {"entries": d["entries"]},
        lambda d: {**d, "entries": [[{"pdf_class": 0}]]},
    ],
)
def test_a_damaged_json_is_named(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "topology.json"
    read(tmp_path, GOOD).save(path)
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))  # type: ignore[operator]
    with pytest.raises(FormatError):
        Topology.load(path)


def test_unknown_phone() -> None:
    with pytest.raises(FormatError, match="phone id 9 has no topology"):
        make_topology([3], [1]).states(9)


@pytest.mark.parametrize("entry", [left_to_right(1), left_to_right(4), silence(5), silence(3), silence(2)])
def test_min_frames_is_the_shortest_way(entry: tuple[HmmState, ...]) -> None:
    final = len(entry) - 1
    shortest = next(
        size
        for size in range(1, 9)
        if any(
            all(b in [t for t, _ in entry[a].transitions] for a, b in itertools.pairwise((0, *middle, final)))
            for middle in itertools.product(range(final), repeat=size - 1)
        )
    )
    assert Topology((entry,), {1: 0}).min_frames(1) == shortest


def test_the_example_of_the_documentation_is_a_topology(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "topology.md").read_text(encoding="utf-8")
    (tmp_path / "t.toml").write_text(page.split("```toml\n")[1].split("```")[0])
    topology = read_topology_toml(tmp_path / "t.toml", {"SIL": 1, "SPN": 2, "A": 3, "B": 4}, [1, 2])
    assert [topology.min_frames(phone) for phone in (1, 3)] == [1, 1]
    assert topology.num_pdf_classes(4) == 2
