"""What a network of connectionist temporal classification says, in the terms of HMMs.

Each set of phones that share their pdfs has one pdf, that of silence being the blank, and each phone is an HMM of one
state. So transition_ids say which phone, or blank, a frame belongs to, and that it is the first frame of it or a
further one. What HMMs do not say, that blanks may stand anywhere and must stand between two of the same, the graph
does (:mod:`asrkit.graph.tlg`).
"""

from __future__ import annotations

from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree, Leaf, Table
from asrkit.lang.phones import PhoneInventory
from asrkit.lang.topology import Topology, left_to_right

BLANK = 0
"""pdf_id of the blank."""


def ctc_structure(inventory: PhoneInventory) -> tuple[ContextTree, TransitionModel]:
    """Return the tree and the transitions of a network whose outputs are sets of shared phones.

    The tree does not ask for a pdf class, as no tree of HMMs does: so none of these passes for it.
    """
    pdfs = {phone: Leaf(number) for number, phones in enumerate(inventory.shared) for phone in phones}
    tree = ContextTree(1, 0, Table(0, pdfs))
    topology = Topology((left_to_right(1, 0.5),), dict.fromkeys(sorted(pdfs), 0))
    return tree, TransitionModel.from_tree(tree, topology)


def blank_phone(inventory: PhoneInventory) -> int:
    """Return the phone id of silence, whose transition_ids are those of the blank."""
    return inventory.silence[0]
