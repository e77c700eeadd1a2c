from __future__ import annotations

import itertools

import numpy as np
import pytest

from asrkit.core.errors import ModelError
from asrkit.hmm.tree import PDF_CLASS, ContextTree, Leaf, Node, Split, Table
from asrkit.hmm.tree_lookup import lookup_pdfs, reachable_pdfs

PHONES = (1, 2, 3, 4)


def random_tree(seed: int, width: int = 3, central: int = 1) -> ContextTree:
    """A tree that asks anything anywhere, the same thing twice included."""
    rng = np.random.default_rng(seed)
    numbers = itertools.count()

    def grow(depth: int) -> Node:
        if depth == 0 or rng.random() < 0.2:
            return Leaf(next(numbers))
        place = int(rng.integers(-1, width))
        values = range(3) if place == PDF_CLASS else (0, *PHONES)
        if rng.random() < 0.3:
            return Table(place, {value: grow(depth - 1) for value in values})
        chosen = frozenset(int(value) for value in rng.choice(values, size=2))
        return Split(place, chosen, grow(depth - 1), grow(depth - 1))

    return ContextTree(width, central, Table(central, {phone: grow(5) for phone in PHONES}))


@pytest.mark.parametrize("seed", range(5))
def test_many_are_answered_as_one(seed: int) -> None:
    tree = random_tree(seed)
    events = list(itertools.product((0, *PHONES), PHONES, (0, *PHONES), range(3)))
    shuffled = np.random.default_rng(seed).permutation(np.array(events, dtype=np.int32))
    expected = [tree.pdf_id(event[:3], event[3]) for event in shuffled.tolist()]
    assert lookup_pdfs(tree, shuffled).tolist() == expected
    assert len(set(expected)) > 3
    assert lookup_pdfs(tree, shuffled[:0]).shape == (0,)


@pytest.mark.parametrize(("width", "central"), [(3, 1), (2, 0), (1, 0)])
@pytest.mark.parametrize("seed", range(4))
def test_reachable_pdfs_are_those_of_all_contexts(seed: int, width: int, central: int) -> None:
    tree = random_tree(10 + seed, width, central)
    for phone, pdf_class in itertools.product(PHONES, range(3)):
        values = [(0, 1, 2, 3, 4)] * width
        values[central] = (phone,)
        asked = {tree.pdf_id(window, pdf_class) for window in itertools.product(*values)}
        assert reachable_pdfs(tree, phone, pdf_class, PHONES) == asked


def test_what_the_tree_does_not_know_is_named() -> None:
    tree = ContextTree(2, 1, Table(1, {1: Table(0, {0: Leaf(0), 1: Leaf(1)}), 2: Leaf(2)}))
    with pytest.raises(ModelError, match=r"no branch for phones \(0, 3\), pdf class 0"):
        lookup_pdfs(tree, np.array([[0, 1, 0], [0, 3, 0]], dtype=np.int32))
    with pytest.raises(ModelError, match=r"no branch for phones \(0, 3\), pdf class 0"):
        reachable_pdfs(tree, 3, 0, (1, 2, 3))
    with pytest.raises(ModelError, match=r"no branch for phones \(2, 1\), pdf class 0"):
        reachable_pdfs(tree, 1, 0, (1, 2))
    assert reachable_pdfs(tree, 1, 0, (1,)) == {0, 1}
