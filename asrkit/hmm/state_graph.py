"""The graph of emitting arcs that alignment, forward-backward and the stand-alone HMM all run on."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import GraphError

_INT_FIELDS = ("arc_src", "arc_dst", "arc_label")


@dataclass(frozen=True, eq=False)
class StateGraph:
    """A weighted graph of S states and A arcs, every one of which emits exactly one frame.

    A path of T arcs from an initial to a final state explains T frames; the arc taken at frame t emits that
    frame. Its weight is ``initial_logprob[first] + sum of arc_logprob + final_logprob[last]``, to which the
    caller of an algorithm adds transition log probabilities (by label) and acoustic log-likelihoods (by pdf).
    Several states may be initial or final, parallel arcs and cycles are allowed, and nothing depends on the
    numbering of the states, although states in topological order (self-loops apart) are searched fastest.

    Attributes
    ----------
    num_states : int
        S, >= 1; states are 0-based.
    arc_src : (A,) int32
        Source state of each arc; ascending.
    arc_dst : (A,) int32
        Destination state of each arc.
    arc_label : (A,) int32
        1-based label of each arc, in a recogniser the transition_id; there are no epsilons.
    arc_logprob : (A,) float32
        Natural log weight of the graph alone (pronunciation, optional silence), without transition
        probabilities; -inf = impossible.
    initial_logprob, final_logprob : (S,) float32
        Natural log weight of starting or ending in each state; -inf = not there.

    Raises
    ------
    GraphError
        An array has another dtype, length or layout, arcs are not sorted by source, a state or label is out of
        range, or a weight is NaN or +inf.
    """

    num_states: int
    arc_src: NDArray[np.int32]
    arc_dst: NDArray[np.int32]
    arc_label: NDArray[np.int32]
    arc_logprob: NDArray[np.float32]
    initial_logprob: NDArray[np.float32]
    final_logprob: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.num_states < 1:
            raise GraphError(f"a graph of {self.num_states} states, expected at least 1")
        lengths = dict.fromkeys((*_INT_FIELDS, "arc_logprob"), len(self.arc_src))
        lengths |= dict.fromkeys(("initial_logprob", "final_logprob"), self.num_states)
        for name, length in lengths.items():
            _check_array(name, getattr(self, name), np.int32 if name in _INT_FIELDS else np.float32, length)
        if len(self.arc_src) == 0:
            return
        if (self.arc_src[1:] < self.arc_src[:-1]).any():
            raise GraphError("arcs are not sorted by source state", remedy="build the graph with StateGraph.from_arcs")
        for name in ("arc_src", "arc_dst"):
            states = getattr(self, name)
            if states.min() < 0 or states.max() >= self.num_states:
                raise GraphError(
                    f"{name} holds states {states.min()} to {states.max()}, expected 0 to {self.num_states - 1}"
                )
        if self.arc_label.min() < 1:
            raise GraphError(f"arc_label holds {self.arc_label.min()}, expected 1-based labels: every arc emits")

    @property
    def num_arcs(self) -> int:
        """A, the number of arcs."""
        return len(self.arc_src)

    @cached_property
    def arc_begin(self) -> NDArray[np.int32]:
        """(S + 1,) int32: the arcs of state s are ``arc_begin[s]`` up to, not including, ``arc_begin[s + 1]``."""
        return np.searchsorted(self.arc_src, np.arange(self.num_states + 1)).astype(np.int32)

    @classmethod
    def from_arcs(
        cls,
        num_states: int,
        arcs: Iterable[tuple[int, int, int, float]],
        initial: Iterable[tuple[int, float]] = ((0, 0.0),),
        final: Iterable[tuple[int, float]] = (),
    ) -> StateGraph:
        """Build a graph from ``(src, dst, label, logprob)`` arcs in any order (kept among arcs of one source).

        Parameters
        ----------
        num_states : int
            S.
        arcs : iterable of (src, dst, label, logprob)
            States 0-based, labels 1-based.
        initial, final : iterable of (state, logprob)
            The states where paths start and end; all others get -inf. The default starts in state 0.
        """
        rows = sorted(arcs, key=lambda arc: arc[0])
        src, dst, label = (np.array([row[k] for row in rows], dtype=np.int32) for k in range(3))
        weight = np.array([row[3] for row in rows], dtype=np.float32)
        ends = []
        for pairs in (initial, final):
            weights = np.full(num_states, -np.inf, dtype=np.float32)
            for state, logprob in pairs:
                if not 0 <= state < num_states:
                    raise GraphError(f"initial or final state {state}, expected 0 to {num_states - 1}")
                weights[state] = logprob
            ends.append(weights)
        return cls(num_states, src, dst, label, weight, ends[0], ends[1])

    def min_num_frames(self) -> int | None:
        """Return the number of arcs on the shortest path from an initial to a final state, None if there is none.

        Arcs and ends of weight -inf do not count as there. An empty path (a state both initial and final) has 0.
        """
        depth = {int(state): 0 for state in np.flatnonzero(self.initial_logprob > -np.inf)}
        queue = deque(depth)
        while queue:
            state = queue.popleft()
            if self.final_logprob[state] > -math.inf:
                return depth[state]
            for arc in range(self.arc_begin[state], self.arc_begin[state + 1]):
                successor = int(self.arc_dst[arc])
                if successor not in depth and self.arc_logprob[arc] > -math.inf:
                    depth[successor] = depth[state] + 1
                    queue.append(successor)
        return None


def _check_array(name: str, array: object, dtype: type[np.generic], length: int) -> None:
    expected = f"expected a C-contiguous array of {length} {np.dtype(dtype)}"
    if not isinstance(array, np.ndarray):
        raise GraphError(f"{name} is a {type(array).__name__}, {expected}")
    if array.dtype != dtype or array.shape != (length,) or not array.flags.c_contiguous:
        raise GraphError(f"{name} has dtype {array.dtype} and shape {array.shape}, {expected}")
    if name not in _INT_FIELDS and length and not array.max() < np.inf:
        raise GraphError(f"{name} holds NaN or +inf, expected natural log weights")
