from __future__ import annotations

import numpy as np
import pytest

from asrkit.core.errors import ModelError
from asrkit.hmm.convert_alignment import convert_alignment
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lang.topology import make_topology
from tests.hmm.phone_sounds import MODEL, MONO, TOPOLOGY, talk
from tests.hmm.test_tree_building import grown_tree

TREE = grown_tree()
NEW = TransitionModel.from_tree(TREE, TOPOLOGY)


def test_phones_states_and_arcs_are_kept_and_the_pdf_is_that_of_the_context() -> None:
    for one in talk(1, 6):
        old = one.alignment(MODEL, MONO)
        new = convert_alignment(MODEL, NEW, TREE, old)
        assert new.dtype == np.int32
        assert new.tolist() == one.alignment(NEW, TREE).tolist()
        assert NEW.phone_segments(new) == MODEL.phone_segments(old)
        assert NEW.tid_to_hmm_state[new].tolist() == MODEL.tid_to_hmm_state[old].tolist()
        assert NEW.is_self_loop[new].tolist() == MODEL.is_self_loop[old].tolist()


def test_there_and_back_again() -> None:
    one = talk(2, 1)[0]
    old = one.alignment(MODEL, MONO)
    new = convert_alignment(MODEL, NEW, TREE, old)
    assert new.tolist() != old.tolist()
    assert convert_alignment(NEW, MODEL, MONO, new).tolist() == old.tolist()
    assert convert_alignment(MODEL, MODEL, MONO, old).tolist() == old.tolist()
    assert convert_alignment(NEW, NEW, TREE, new).tolist() == new.tolist()


def test_no_frames() -> None:
    assert convert_alignment(MODEL, NEW, TREE, np.zeros(0, np.int32)).shape == (0,)


def test_other_topologies_are_refused() -> None:
    other = make_topology([2, 3, 4, 5], [1], num_states=2, num_silence_states=2)
    tree = monophone_tree(other)
    with pytest.raises(ModelError, match="different topologies"):
        convert_alignment(MODEL, TransitionModel.from_tree(tree, other), tree, np.ones(3, np.int32))
