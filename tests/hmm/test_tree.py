from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from asrkit.core.errors import FormatError, ModelError
from asrkit.hmm.tree import PDF_CLASS, ContextTree, Leaf, Split, Table, monophone_tree
from asrkit.lang.topology import HmmState, Topology, make_topology

TOPOLOGY = make_topology([3, 4, 5], [1, 2], 2, 3)


def asking_tree() -> ContextTree:
    """A triphone tree: phone 2 looks to the left, phone 1 to the right and at the pdf class."""
    left = Split(0, frozenset({0, 2}), Leaf(3), Leaf(1))
    right = Split(2, frozenset({1}), Leaf(0), Table(PDF_CLASS, {0: Leaf(2), 1: Leaf(4)}))
    return ContextTree(3, 1, Table(1, {1: right, 2: left}))


def test_monophones_have_a_pdf_for_each_class() -> None:
    tree = monophone_tree(TOPOLOGY)
    pdfs = [tree.pdf_id((phone,), c) for phone in (1, 2, 3, 4, 5) for c in range(TOPOLOGY.num_pdf_classes(phone))]
    assert sorted(pdfs) == list(range(3 + 3 + 2 + 2 + 2))
    assert pdfs == sorted(pdfs)
    assert tree.num_pdfs == 12
    assert (tree.context_width, tree.central_position) == (1, 0)


def test_shared_phones_have_the_same_pdfs() -> None:
    tree = monophone_tree(TOPOLOGY, [(5, 3), (1, 2)])
    assert [tree.pdf_id((3,), c) for c in (0, 1)] == [tree.pdf_id((5,), c) for c in (0, 1)]
    assert tree.pdf_id((1,), 2) == tree.pdf_id((2,), 2)
    assert tree.pdf_id((4,), 0) != tree.pdf_id((3,), 0)
    assert tree.num_pdfs == 3 + 2 + 2


def test_shared_phones_must_be_alike_and_named_once() -> None:
    with pytest.raises(ModelError, match=r"phones \[1, 3\] share pdfs, but their numbers of pdf classes differ"):
        monophone_tree(TOPOLOGY, [(3, 1)])
    with pytest.raises(ModelError, match="stands in two shared sets"):
        monophone_tree(TOPOLOGY, [(3, 4), (4, 5)])


def test_questions_look_where_they_say() -> None:
    tree = asking_tree()
    found = {window: tree.pdf_id(window, 1) for window in itertools.product([0, 1, 2], [1, 2], [0, 1, 2])}
    for (left, phone, right), pdf in found.items():
        if phone == 2:
            assert pdf == (3 if left in (0, 2) else 1)
        else:
            assert pdf == (0 if right == 1 else 4)
    assert tree.pdf_id((0, 1, 2), 0) == 2
    assert tree.num_pdfs == 5


def test_an_unknown_phone_or_class_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"no branch for phones \(0, 7, 0\), pdf class 0.*belong together"):
        asking_tree().pdf_id((0, 7, 0), 0)
    with pytest.raises(ModelError, match="pdf class 2"):
        asking_tree().pdf_id((0, 1, 2), 2)


def test_saved_and_loaded(tmp_path: Path) -> None:
    asking_tree().save(tmp_path / "tree.json")
    loaded = ContextTree.load(tmp_path / "tree.json")
    assert loaded == asking_tree()
    assert loaded.to_json() == asking_tree().to_json()
    assert monophone_tree(TOPOLOGY).to_json() != loaded.to_json()


@pytest.mark.parametrize(
    "damaged",
    [
        "[]",
        '{"N": 1, "P": 0}',
        '{"N": 1, "P": 0, "root": {"at": 0, "table": [1]}}',
        '{"N": "x", "P": 0, "root": 0}',
        '{"N": 0, "P": 0, "root": 0}',
        '{"N": 1e30, "P": 0, "root": 0}',
        '{"N": 1, "P": [], "root": 0}',
        '{"N": 1, "P": 1, "root": 0}',
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "tree.json"
    path.write_text(json.dumps(json.loads(damaged)))
    with pytest.raises(FormatError, match="tree.json: not a context tree"):
        ContextTree.load(path)


def test_states_of_one_class_share_a_pdf() -> None:
    tied = (HmmState(0, ((0, 0.5), (1, 0.5))), HmmState(0, ((1, 0.5), (2, 0.5))), HmmState(None))
    assert monophone_tree(Topology((tied,), {1: 0, 2: 0})).num_pdfs == 2
