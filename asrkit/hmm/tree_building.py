"""Building context trees: top-down splitting by likelihood gain, then leaf clustering (Kaldi's build-tree).

S. J. Young, J. J. Odell and P. C. Woodland, "Tree-based state tying for high accuracy acoustic modelling", 1994.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError
from asrkit.hmm.leaf_clustering import merge_leaves
from asrkit.hmm.questions import Questions
from asrkit.hmm.roots import Root
from asrkit.hmm.tree import PDF_CLASS, ContextTree, Leaf, Node, Split, Table
from asrkit.hmm.tree_report import AskedQuestion, TreeReport
from asrkit.hmm.tree_stats import Sums, TreeStats, check_window, gaussian_loglikes, group_rows
from asrkit.lang.topology import Topology

Rows = NDArray[np.intp]

TIE = 1e-9
"""Gains that differ by less than this share are equal; the question that stands first is asked."""


@dataclass(frozen=True)
class TreeConfig:
    """How context is seen, and how far a tree grows.

    Attributes
    ----------
    context_width, central_position : int
        Phones in the window, and the 0-based place of the one modelled in it: (1, 0) monophone, (2, 1) left biphone,
        (2, 0) right biphone, (3, 1) triphone, (5, 2) quinphone.
    max_leaves : int
        No leaf is split once there are this many, roots included; clustering makes fewer of them.
    min_gain : float
        Least rise of the log-likelihood by which a leaf is split (Kaldi's --thresh).
    cluster_threshold : float
        Leaves of one root are merged while that loses less; -1: the smallest gain of a split made; 0: never.
    variance_floor : float
        Of the Gaussians by which likelihoods are judged.
    min_count : float
        Least frames of each side of a split.
    """

    context_width: int = 3
    central_position: int = 1
    max_leaves: int = 500
    min_gain: float = 300.0
    cluster_threshold: float = -1.0
    variance_floor: float = 0.01
    min_count: float = 0.0

    def __post_init__(self) -> None:
        check_window(self.context_width, self.central_position)
        if self.max_leaves < 1:
            raise ConfigError(f"max_leaves is {self.max_leaves}, expected at least 1")
        if not self.variance_floor > 0:
            raise ConfigError(f"variance_floor is {self.variance_floor}, expected above 0")
        if self.min_gain < 0:
            raise ConfigError(f"min_gain is {self.min_gain}, expected at least 0")


def build_tree(
    stats: TreeStats, topology: Topology, config: TreeConfig, questions: Questions, roots: Sequence[Root]
) -> tuple[ContextTree, TreeReport]:
    """Build a context tree.

    Parameters
    ----------
    stats : TreeStats
        Of the window that ``config`` names.
    roots : sequence of Root
        Every phone of the topology stands in one.

    Returns
    -------
    ContextTree
        It answers for every window and pdf class of the topology, seen or not; pdf_ids number the leaves in the
        order of the roots' first phones, pdf classes, and yes before no.
    TreeReport
        Its leaves, gains and questions.

    Raises
    ------
    ModelError
        A phone stands in no root or in two, phones of unshared pdf classes have different numbers of them, or the
        statistics are of another window.
    """
    if (stats.context_width, stats.central_position) != (config.context_width, config.central_position):
        raise ModelError(
            f"statistics of windows ({stats.context_width}, {stats.central_position}), "
            f"expected ({config.context_width}, {config.central_position})"
        )
    ordered = sorted(roots, key=lambda root: min(root.phones))
    _check_roots(ordered, topology)
    growth = _Growth(stats, config, questions)
    starts = [_plant(root, topology, growth) for root in ordered]
    growth.grow()
    split_gain = sum(asked.gain for asked in growth.asked)
    num_split = growth.num_leaves
    loss = growth.cluster()
    numbering = _Numbering(growth)
    branches: dict[int, Node] = {}
    leaves_per_phone: dict[int, int] = {}
    for root, nodes in zip(ordered, starts, strict=True):
        before = numbering.count
        built = [numbering.build(node) for node in nodes]
        node = built[0] if root.shared else Table(PDF_CLASS, dict(enumerate(built)))
        branches.update(dict.fromkeys(root.phones, node))
        leaves_per_phone.update(dict.fromkeys(root.phones, numbering.count - before))
    frames = max(growth.num_frames, 1.0)
    report = TreeReport(
        num_roots=sum(map(len, starts)),
        num_leaves_split=num_split,
        num_leaves=numbering.count,
        num_frames=growth.num_frames,
        gain_split=split_gain / frames,
        gain=(split_gain - loss) / frames,
        leaves_per_phone=dict(sorted(leaves_per_phone.items())),
        questions=tuple(growth.asked),
    )
    tree = ContextTree(config.context_width, config.central_position, Table(config.central_position, branches))
    return tree, report


def _check_roots(roots: Sequence[Root], topology: Topology) -> None:
    named = [phone for root in roots for phone in root.phones]
    if len(set(named)) != len(named):
        raise ModelError("a phone stands in two roots")
    absent = sorted(set(topology.phones) - set(named))
    if absent:
        raise ModelError(f"phone ids {absent[:5]} stand in no root")
    for root in roots:
        if not root.shared and len({topology.num_pdf_classes(phone) for phone in root.phones}) != 1:
            raise ModelError(
                f"phones {root.phones} have separate roots for each pdf class, but their numbers of them differ"
            )


def _plant(root: Root, topology: Topology, growth: _Growth) -> list[_Bud]:
    """Return the first leaves of a root: one, or one for each pdf class."""
    rows = np.flatnonzero(np.isin(growth.stats.phones, root.phones))
    if root.shared:
        return [growth.add_root(root, rows)]
    classes = growth.stats.events[rows, PDF_CLASS]
    return [
        growth.add_root(root, rows[classes == pdf_class])
        for pdf_class in range(topology.num_pdf_classes(root.phones[0]))
    ]


@dataclass(frozen=True)
class _Proposal:
    """The best question of a leaf."""

    gain: float
    position: int
    values: frozenset[int]


@dataclass(eq=False)
class _Bud:
    """A node while the tree grows: a leaf as long as ``split`` is None.

    ``merged`` is the leaf that stands for it after clustering.
    """

    root: Root
    rows: Rows
    split: tuple[int, frozenset[int], _Bud, _Bud] | None = None
    merged: _Bud | None = None

    def leaves(self) -> list[_Bud]:
        if self.split is None:
            return [self]
        return [*self.split[2].leaves(), *self.split[3].leaves()]


class _Growth:
    """Best-first splitting: the leaf whose best question gains most is next."""

    def __init__(self, stats: TreeStats, config: TreeConfig, questions: Questions) -> None:
        self.stats = stats
        self.config = config
        self.asked: list[AskedQuestion] = []
        self.num_leaves = 0
        self.num_frames = 0.0
        self._roots: list[_Bud] = []
        self._queue: list[tuple[float, int, _Proposal, _Bud]] = []
        self._pushed = 0
        self._places = [(place, _membership(stats, place, sets), sets) for place, sets in sorted(questions.at.items())]

    def add_root(self, root: Root, rows: Rows) -> _Bud:
        bud = _Bud(root, rows)
        self._roots.append(bud)
        self.num_leaves += 1
        if root.split:
            self.num_frames += float(self.stats.counts[rows].sum())
            self._consider(bud)
        return bud

    def grow(self) -> None:
        while self._queue and self.num_leaves < self.config.max_leaves:
            _, _, proposal, bud = heapq.heappop(self._queue)
            self._split(bud, proposal)

    def cluster(self) -> float:
        """Merge leaves of the same root; return the log-likelihood lost."""
        threshold = self.config.cluster_threshold
        if threshold < 0:
            threshold = min((asked.gain for asked in self.asked), default=0.0)
        lost = 0.0
        for root in self._roots:
            leaves = root.leaves()
            table = np.stack([self.stats.table[leaf.rows].sum(axis=0) for leaf in leaves])
            floor = self.config.variance_floor
            clusters = merge_leaves(table, threshold, floor)
            for leaf, number in zip(leaves, clusters, strict=True):
                leaf.merged = leaves[number]
            _, merged = group_rows(np.array(clusters), table)
            lost += float(gaussian_loglikes(table, floor).sum() - gaussian_loglikes(merged, floor).sum())
        return lost

    def _split(self, bud: _Bud, proposal: _Proposal) -> None:
        answers = np.isin(self.stats.events[bud.rows, proposal.position], list(proposal.values))
        yes, no = _Bud(bud.root, bud.rows[answers]), _Bud(bud.root, bud.rows[~answers])
        bud.split = (proposal.position, proposal.values, yes, no)
        self.num_leaves += 1
        self.asked.append(
            AskedQuestion(
                bud.root.phones,
                proposal.position,
                tuple(sorted(proposal.values)),
                proposal.gain,
                float(self.stats.counts[bud.rows].sum()),
            )
        )
        self._consider(yes)
        self._consider(no)

    def _consider(self, bud: _Bud) -> None:
        proposal = self._best_question(bud.rows)
        if proposal is not None and proposal.gain > self.config.min_gain:
            heapq.heappush(self._queue, (-proposal.gain, self._pushed, proposal, bud))
            self._pushed += 1

    def _best_question(self, rows: Rows) -> _Proposal | None:
        table = self.stats.table[rows]
        total = table.sum(axis=0)
        before = float(gaussian_loglikes(total, self.config.variance_floor))
        best: _Proposal | None = None
        for place, membership, sets in self._places:
            values, sums = group_rows(self.stats.events[rows, place], table)
            answers = membership[:, values]
            telling = _distinct_questions(answers)
            if not len(telling):
                continue
            yes = answers[telling].astype(np.float64) @ sums
            gains = self._gains(yes, total - yes, before)
            top = gains.max()
            if top > (best.gain if best else 0.0) * (1 + TIE):
                # rounding must not choose between questions that say the same of all phones seen
                choice = int(np.argmax(gains >= top * (1 - TIE)))
                best = _Proposal(float(gains[choice]), place, sets[telling[choice]])
        return best

    def _gains(self, yes: Sums, no: Sums, before: float) -> Sums:
        floor = self.config.variance_floor
        gains = gaussian_loglikes(yes, floor) + gaussian_loglikes(no, floor) - before
        enough = np.minimum(yes[:, 0], no[:, 0]) >= max(self.config.min_count, 0.5)
        return np.where(enough, gains, -np.inf)


def _distinct_questions(answers: NDArray[np.bool_]) -> Rows:
    """Return the rows (questions) of answers (questions, values seen) that split the values, one for each way to do so.

    Of more values than fit a machine word few questions split them alike, and all that split are returned.
    """
    if answers.shape[1] < 2 or not len(answers):
        return np.zeros(0, np.intp)
    other = answers ^ answers[:, :1]
    telling = np.flatnonzero(other.any(axis=1))
    if answers.shape[1] > 64:
        return telling
    packed = np.zeros((len(telling), 8), np.uint8)
    bits = np.packbits(other[telling], axis=1)
    packed[:, : bits.shape[1]] = bits
    _, first = np.unique(packed.view(np.uint64)[:, 0], return_index=True)
    return telling[np.sort(first)]


def _membership(stats: TreeStats, place: int, sets: Sequence[frozenset[int]]) -> NDArray[np.bool_]:
    """Return which values (columns, from 0) are in which set (rows)."""
    size = 1 + int(stats.events[:, place].max(initial=0))
    membership = np.zeros((len(sets), size), dtype=np.bool_)
    for row, values in enumerate(sets):
        membership[row, [value for value in values if value < size]] = True
    return membership


class _Numbering:
    """Turns grown nodes into those of a ContextTree, and numbers their leaves in the order of first sight."""

    def __init__(self, growth: _Growth) -> None:
        self.count = 0
        self._ids: dict[int, int] = {}

    def build(self, bud: _Bud) -> Node:
        if bud.split is not None:
            position, values, yes, no = bud.split
            built = self.build(yes)
            return Split(position, values, built, self.build(no))
        key = id(bud.merged or bud)
        if key not in self._ids:
            self._ids[key] = self.count
            self.count += 1
        return Leaf(self._ids[key])
