"""The transition model: what a transition_id is, and the probability of each.

The words are those of Kaldi's ``transition-model.h``:

- *transition state* (1-based): a triple (phone, HMM state, pdf_id) that occurs in some context;
- *transition index* (0-based): which of the HMM state's arcs is taken;
- *transition_id* (1-based): a pair (transition state, transition index). It is the input label of decoding graphs and
  the unit of alignments: it tells phone, HMM state, pdf and arc. 0 is epsilon.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError
from asrkit.hmm.tree import ContextTree
from asrkit.hmm.tree_lookup import reachable_pdfs
from asrkit.lang.topology import Topology

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]

LOG_PROBS = "transitions.log_probs"
"""Name of the probabilities among the arrays of a model file."""


@dataclass(frozen=True)
class TransitionConfig:
    """How transition probabilities are re-estimated (Kaldi's MleTransitionUpdateConfig)."""

    floor: float = 0.01
    min_count: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.floor <= 0.5:
            raise ConfigError(f"transition floor is {self.floor}, expected 0 < floor <= 0.5")


@dataclass(frozen=True)
class TransitionModel:
    """Transition ids with their probabilities.

    Attributes
    ----------
    topology : Topology
        The HMM of each phone.
    triples : tuple of (int, int, int)
        (phone 1-based, HMM state 0-based, pdf_id 0-based), sorted; a transition state is a place in it plus 1.
    log_probs : float32, shape (num_transition_ids + 1,)
        Natural log of the probability of each transition_id; entry 0 is unused and 0.
    """

    topology: Topology
    triples: tuple[tuple[int, int, int], ...]
    log_probs: FloatArray

    @classmethod
    def from_tree(cls, tree: ContextTree, topology: Topology) -> TransitionModel:
        """Return the model with the probabilities of the topology; its triples come from asking the tree everywhere."""
        triples = tuple(sorted(set(_triples(tree, topology))))
        probs = [prob for phone, state, _ in triples for _, prob in topology.states(phone)[state].transitions]
        return cls(topology, triples, np.concatenate([[0.0], np.log(probs)]).astype(np.float32))

    @classmethod
    def load(cls, folder: Path, tree: ContextTree, arrays: Mapping[str, FloatArray]) -> TransitionModel:
        """Rebuild the model of a model folder from its topology, its tree and the log probabilities of its arrays.

        What is missing or does not belong together is a :class:`ModelError`.
        """
        if LOG_PROBS not in arrays:
            raise ModelError("the model file has no transition probabilities", where=folder / "model.safetensors")
        flat = cls.from_tree(tree, Topology.load(folder / "topology.json"))
        return cls(flat.topology, flat.triples, arrays[LOG_PROBS])

    def __post_init__(self) -> None:
        if self.log_probs.shape != (len(self.tid_to_pdf),):
            raise ModelError(
                f"{self.log_probs.shape[0] - 1} transition probabilities, expected {len(self.tid_to_pdf) - 1}",
                remedy="the model's topology, tree and transition probabilities do not belong together",
            )
        if np.isnan(self.log_probs).any():
            raise ModelError("a transition probability is not a number", remedy="train the model again")

    @cached_property
    def _rows(self) -> list[tuple[int, int, int, int, int]]:
        """(transition state, phone, hmm_state, pdf_id, next hmm_state) of each transition_id, from 1."""
        return [
            (number, phone, state, pdf, target)
            for number, (phone, state, pdf) in enumerate(self.triples, 1)
            for target, _ in self.topology.states(phone)[state].transitions
        ]

    def _column(self, index: int) -> IntArray:
        return np.array([0] + [row[index] for row in self._rows], dtype=np.int32)

    @property
    def num_transition_ids(self) -> int:
        """Number of transition ids; they run from 1 to this number."""
        return len(self._rows)

    @cached_property
    def num_pdfs(self) -> int:
        """One more than the largest pdf_id."""
        return 1 + max(pdf for _, _, pdf in self.triples)

    @cached_property
    def tid_to_pdf(self) -> IntArray:
        """pdf_id (0-based) of each transition_id; entry 0 is unused."""
        return self._column(3)

    @cached_property
    def tid_to_phone(self) -> IntArray:
        """Phone id (1-based) of each transition_id; entry 0 is 0."""
        return self._column(1)

    @cached_property
    def tid_to_hmm_state(self) -> IntArray:
        """HMM state (0-based) of each transition_id; entry 0 is unused."""
        return self._column(2)

    @cached_property
    def tid_to_transition_state(self) -> IntArray:
        """Transition state (1-based) of each transition_id; entry 0 is 0."""
        return self._column(0)

    @cached_property
    def is_self_loop(self) -> NDArray[np.bool_]:
        """Whether a transition_id stays in its HMM state; entry 0 is False."""
        return np.array([False] + [row[2] == row[4] for row in self._rows])

    @cached_property
    def is_final(self) -> NDArray[np.bool_]:
        """Whether a transition_id leaves its phone; entry 0 is False."""
        return np.array([False] + [row[4] == len(self.topology.states(row[1])) - 1 for row in self._rows])

    @cached_property
    def _state_first_tid(self) -> dict[tuple[int, int, int], int]:
        first: dict[tuple[int, int, int], int] = {}
        for tid, (_, phone, state, pdf, _) in enumerate(self._rows, 1):
            first.setdefault((phone, state, pdf), tid)
        return first

    def transition_id(self, phone: int, hmm_state: int, pdf_id: int, index: int) -> int:
        """Return the 1-based transition_id of arc ``index`` (0-based) of a transition state."""
        return self._state_first_tid[phone, hmm_state, pdf_id] + index

    @cached_property
    def self_loop_tid(self) -> IntArray:
        """The self-loop's transition_id of the transition state that a transition_id leaves; 0 where there is none."""
        by_state = np.zeros(len(self.triples) + 1, dtype=np.int32)
        loops = np.flatnonzero(self.is_self_loop)
        by_state[self.tid_to_transition_state[loops]] = loops
        return by_state[self.tid_to_transition_state]

    @cached_property
    def non_self_loop_log_probs(self) -> FloatArray:
        """log(1 - self-loop probability) of the state that each transition_id leaves; shape as ``log_probs``."""
        loop = self.self_loop_tid
        stay = np.where(loop > 0, np.exp(self.log_probs[loop].astype(np.float64)), 0.0)
        with np.errstate(divide="ignore"):
            return np.log1p(-np.minimum(stay, 1.0)).astype(np.float32)

    def scaled_log_probs(self, transition_scale: float = 1.0, self_loop_scale: float = 0.1) -> FloatArray:
        """Return the log weight of each transition_id in a graph (Kaldi's AddTransitionProbs).

        A self-loop weighs ``self_loop_scale * log p``; another arc ``self_loop_scale * log(1 - p_loop) +
        transition_scale * log(p / (1 - p_loop))``.
        """
        leave = self.non_self_loop_log_probs
        scaled = np.where(
            self.is_self_loop,
            self_loop_scale * self.log_probs,
            self_loop_scale * leave + transition_scale * (self.log_probs - leave),
        )
        scaled[0] = 0.0
        return scaled.astype(np.float32)

    def updated(self, occupancy: NDArray[np.float64], config: TransitionConfig) -> tuple[TransitionModel, float, float]:
        """Return the maximum-likelihood update, the gain in log-likelihood, and the count it was measured on.

        Parameters
        ----------
        occupancy : float64, shape (num_transition_ids + 1,)
            Expected number of times each transition_id was taken; entry 0 is ignored.

        Notes
        -----
        Kaldi's TransitionModel::MleUpdate: states seen less than ``min_count`` times stay as they are; probabilities
        below ``floor`` are raised to it and the rest renormalised, three times over.
        """
        before = self.log_probs.astype(np.float64)
        states = self.tid_to_transition_state
        starts = np.flatnonzero(np.diff(states, prepend=states[0]))
        sizes = np.diff(starts, append=len(states))
        counts = occupancy[starts[0] :]
        totals = np.add.reduceat(counts, starts - starts[0])
        changes = np.repeat((sizes > 1) & (totals > 0) & (totals >= config.min_count), sizes)

        def normalised(values: NDArray[np.float64]) -> NDArray[np.float64]:
            sums = np.add.reduceat(values, starts - starts[0])
            return values / np.repeat(np.where(sums > 0, sums, 1.0), sizes)

        probs = counts
        for _ in range(3):
            probs = np.maximum(normalised(probs), config.floor)
        new = before.copy()
        new[starts[0] :][changes] = np.log(normalised(probs)[changes])
        gain = float(counts[changes] @ (new - before)[starts[0] :][changes])
        return TransitionModel(self.topology, self.triples, new.astype(np.float32)), gain, float(totals.sum())

    def pdf_columns(self, labels: IntArray) -> tuple[IntArray, IntArray]:
        """Return the distinct pdf_ids of transition ids, ascending, and each transition_id's place among them.

        Places are 0-based, and 0 for transition ids of other pdfs.
        """
        pdf_ids = np.unique(self.tid_to_pdf[labels]).astype(np.int32)
        place = np.zeros(self.num_pdfs, dtype=np.int32)
        place[pdf_ids] = np.arange(len(pdf_ids), dtype=np.int32)
        return pdf_ids, place[self.tid_to_pdf]

    def phone_segments(self, alignment: IntArray) -> list[tuple[int, int, int]]:
        """Cut an alignment of transition ids (T,) into phones: (phone, first frame, one past the last frame).

        Graphs put a state's self-loops behind its forward arc (Kaldi's ``--reorder=true``), so a phone ends with the
        last self-loop that follows the arc which leaves it.
        """
        final = self.is_final[alignment].tolist()
        states = self.tid_to_transition_state[alignment]
        stays = np.zeros(len(alignment), bool)
        stays[:-1] = self.is_self_loop[alignment[1:]] & (states[1:] == states[:-1])
        segments: list[tuple[int, int, int]] = []
        begin, left = 0, False
        for t, held in enumerate(stays.tolist()):
            left = left or final[t]
            if (left and not held) or t + 1 == len(final):
                segments.append((int(self.tid_to_phone[alignment[begin]]), begin, t + 1))
                begin, left = t + 1, False
        return segments


def _triples(tree: ContextTree, topology: Topology) -> Iterable[tuple[int, int, int]]:
    """Ask the tree what each phone's states may be, in every context."""
    for phone in topology.phones:
        for state_id, state in enumerate(topology.states(phone)[:-1]):
            assert state.pdf_class is not None
            for pdf_id in reachable_pdfs(tree, phone, state.pdf_class, topology.phones):
                yield phone, state_id, pdf_id
