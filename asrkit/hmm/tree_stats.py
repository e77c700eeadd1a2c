"""Statistics for context trees: what each phone in context, at each HMM position, sounds like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree
from asrkit.hmm.tree_lookup import lookup_pdfs

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
Sums = NDArray[np.float64]

MERGE_ROWS = 20_000
"""Rows that :meth:`TreeStats.sum` gathers before it merges them (13 MB at 40 dimensions)."""


@dataclass(frozen=True)
class TreeStats:
    """Count, sum and sum of squares of the frames of each event; a monoid under ``+``.

    An event is a window of phones together with the pdf class of the one in its middle (Kaldi's EventType).

    Attributes
    ----------
    context_width : int
        Number of phones in a window.
    central_position : int
        0-based place of the phone that emits the frames.
    events : int32, shape (num_events, context_width + 1)
        Phone ids of the window (0: outside the utterance, or context that must not matter), then the pdf class;
        distinct rows in lexicographic order, so that column ``PDF_CLASS`` (-1) is the pdf class.
    table : float64, shape (num_events, 1 + 2 * dim)
        Number of frames, sum, and sum of squares of each event.
    """

    context_width: int
    central_position: int
    events: IntArray
    table: Sums

    @classmethod
    def zero(cls, dim: int, context_width: int = 3, central_position: int = 1) -> TreeStats:
        """Return the neutral element for features of ``dim`` dimensions.

        Raises
        ------
        ConfigError
            The central position lies outside the window.
        """
        check_window(context_width, central_position)
        return cls(
            context_width, central_position, np.zeros((0, context_width + 1), np.int32), np.zeros((0, 1 + 2 * dim))
        )

    @property
    def dim(self) -> int:
        """Number of feature dimensions."""
        return (self.table.shape[1] - 1) // 2

    @property
    def counts(self) -> Sums:
        """Frames of each event (num_events,)."""
        return self.table[:, 0]

    @property
    def num_frames(self) -> float:
        """Number of frames in all."""
        return float(self.table[:, 0].sum())

    @property
    def phones(self) -> IntArray:
        """The central phone of each event (num_events,)."""
        return self.events[:, self.central_position]

    def __add__(self, other: TreeStats) -> TreeStats:
        return TreeStats.sum([self, other])

    @classmethod
    def sum(cls, parts: Iterable[TreeStats]) -> TreeStats:
        """Add up at least one, in their order; many small ones faster than ``+`` does.

        Raises
        ------
        ModelError
            Windows or dimensions differ.
        """
        pending: list[TreeStats] = []
        rows = 0
        for part in parts:
            pending.append(part)
            rows += len(part.events)
            if rows > MERGE_ROWS + 2 * len(pending[0].events):
                pending = [_merged(pending)]
                rows = len(pending[0].events)
        return _merged(pending)


def check_window(context_width: int, central_position: int) -> None:
    """Raise ConfigError unless ``central_position`` is a place in a window of ``context_width`` phones."""
    if not 0 <= central_position < context_width:
        raise ConfigError(f"central position {central_position} of a window of {context_width} phones")


def accumulate_tree_stats(
    transitions: TransitionModel,
    alignment: IntArray,
    features: FloatArray,
    context_width: int = 3,
    central_position: int = 1,
    ci_phones: Iterable[int] = (),
) -> TreeStats:
    """Return the statistics of one utterance (Kaldi's acc-tree-stats).

    Parameters
    ----------
    transitions : TransitionModel
        The model whose transition ids the alignment holds.
    alignment : int32, shape (T,)
        Transition ids (1-based), one a frame.
    features : float32, shape (T, dim)
        What the leaves of the tree are to model.
    ci_phones : iterable of int
        Phones whose context must not matter (silence): their windows hold 0 around them. They still are context
        to their neighbours.

    Raises
    ------
    ModelError
        Alignment and features differ in length.
    """
    check_window(context_width, central_position)
    if len(alignment) != len(features):
        raise ModelError(
            f"alignment of {len(alignment)} frames, features of {len(features)}",
            remedy="align with the features that the tree is built from",
        )
    events = frame_events(transitions, alignment, context_width, central_position, ci_phones)
    frames = features.astype(np.float64)
    table = np.concatenate([np.ones((len(frames), 1)), frames, frames * frames], axis=1)
    return TreeStats(context_width, central_position, *_grouped(events, table))


def frame_events(
    transitions: TransitionModel,
    alignment: IntArray,
    context_width: int,
    central_position: int,
    ci_phones: Iterable[int] = (),
) -> IntArray:
    """Return the event of each frame of an alignment, int32 (T, context_width + 1); see :class:`TreeStats`."""
    segments = transitions.phone_segments(alignment)
    phones = np.array([phone for phone, _, _ in segments], dtype=np.int32)
    lengths = [end - begin for _, begin, end in segments]
    padded = np.concatenate(
        [np.zeros(central_position, np.int32), phones, np.zeros(context_width - 1 - central_position, np.int32)]
    )
    windows = np.stack([padded[place : place + len(phones)] for place in range(context_width)], axis=1)
    context = np.arange(context_width) != central_position
    windows[np.isin(phones, list(ci_phones))[:, None] & context] = 0
    classes = _pdf_classes(transitions, alignment)
    return np.concatenate([np.repeat(windows, lengths, axis=0), classes[:, None]], axis=1)


def leaf_stats(stats: TreeStats, tree: ContextTree) -> tuple[Sums, Sums, Sums]:
    """Return what the frames of each leaf add up to: the first Gaussian of each pdf (Kaldi's gmm-init-model).

    Returns
    -------
    counts : float64, shape (num_pdfs,)
    sums, squares : float64, shape (num_pdfs, dim)
        Pdfs without frames take the statistics of all frames.

    Raises
    ------
    ModelError
        The statistics are of another window than the tree, or hold no frames.
    """
    if (stats.context_width, stats.central_position) != (tree.context_width, tree.central_position):
        raise ModelError(
            f"statistics of windows ({stats.context_width}, {stats.central_position}) for a tree of windows "
            f"({tree.context_width}, {tree.central_position})"
        )
    if stats.num_frames == 0:
        raise ModelError("the statistics hold no frames")
    pdfs = lookup_pdfs(tree, stats.events)
    sums = np.tile(stats.table.sum(axis=0), (tree.num_pdfs, 1))
    present, rows = group_rows(pdfs, stats.table)
    sums[present] = rows
    return sums[:, 0], sums[:, 1 : 1 + stats.dim], sums[:, 1 + stats.dim :]


def gaussian_loglikes(table: Sums, variance_floor: float) -> Sums:
    """Return the log-likelihood of frames under the diagonal Gaussian fitted to them (Kaldi's GaussClusterable).

    Parameters
    ----------
    table : float64, shape (..., 1 + 2 * dim)
        Count, sum, sum of squares; as :attr:`TreeStats.table`.
    variance_floor : float
        Least variance of the Gaussian in each dimension.

    Returns
    -------
    float64, shape (...,)
        Natural log, summed over the frames; 0 without frames.
    """
    dim = (table.shape[-1] - 1) // 2
    count = table[..., 0]
    safe = np.where(count > 0, count, 1.0)[..., None]
    mean = table[..., 1 : 1 + dim] / safe
    variance = table[..., 1 + dim :] / safe - mean * mean
    floored = np.maximum(variance, variance_floor)
    per_frame = (np.log(floored) + variance / floored).sum(axis=-1) + dim * np.log(2 * np.pi)
    return np.where(count > 0, -0.5 * count * per_frame, 0.0)


def group_rows(keys: NDArray[np.integer], table: Sums) -> tuple[NDArray[np.integer], Sums]:
    """Return the distinct keys in ascending order, and for each the sum of its rows, added in their order."""
    if not len(keys):
        return keys, table
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return ordered[starts], np.add.reduceat(table[order], starts, axis=0)


def _pdf_classes(transitions: TransitionModel, alignment: IntArray) -> IntArray:
    tids, inverse = np.unique(alignment, return_inverse=True)
    topology = transitions.topology
    classes = [
        topology.states(phone)[state].pdf_class
        for phone, state in zip(
            transitions.tid_to_phone[tids].tolist(), transitions.tid_to_hmm_state[tids].tolist(), strict=True
        )
    ]
    return np.array(classes, dtype=np.int32)[inverse]


def _grouped(events: IntArray, table: Sums) -> tuple[IntArray, Sums]:
    """Sort events and add the rows of equal ones."""
    radices = (events.max(axis=0, initial=0) + 1).tolist()
    keys = np.zeros(len(events), dtype=np.int64)
    for column, radix in enumerate(radices):
        keys = keys * radix + events[:, column]
    distinct, sums = group_rows(keys, table)
    return _digits(distinct.astype(np.int64), radices), sums


def _digits(keys: NDArray[np.int64], radices: Sequence[int]) -> IntArray:
    columns = []
    for radix in reversed(radices):
        columns.append(keys % radix)
        keys = keys // radix
    return np.stack(columns[::-1], axis=1).astype(np.int32)


def _merged(parts: Sequence[TreeStats]) -> TreeStats:
    first = parts[0]
    for part in parts:
        shapes = [(p.context_width, p.central_position, p.dim) for p in (first, part)]
        if shapes[0] != shapes[1]:
            raise ModelError(f"tree statistics of different (window, place, dimension): {shapes[0]} and {shapes[1]}")
    events = np.concatenate([part.events for part in parts])
    table = np.concatenate([part.table for part in parts])
    return TreeStats(first.context_width, first.central_position, *_grouped(events, table))
