"""An n-gram model as a deterministic automaton that is asked word by word, for lattices and the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import GraphError
from asrkit.graph.fst import FstArrays, read_fst

if TYPE_CHECKING:
    from asrkit.graph.automaton_kernels import NgramArrays

MOST_WORDS = 1 << 24
_REMEDY = "build it again with `asrkit make-graph`"


@dataclass(frozen=True, eq=False)
class NgramAutomaton:
    """G of an n-gram model, its back-off arcs taken only where the word has no arc: then it is deterministic.

    It accepts the words of a lang directory, and gives exactly the probabilities of the ARPA file: P(w | h) of the
    n-gram ``h w`` where it is listed, else the back-off weight of ``h`` times P(w | h'). A state is the longest end
    of the history that some n-gram continues. It is made from the G of :func:`asrkit.graph.grammar_fst.ngram_grammar`,
    so words mean what they mean in a graph: one that the model does not list is impossible, also where the model
    lists an unknown symbol (which is a word like others, if the lexicon has it).

    An n-gram takes 12 bytes and a state 16, beside 4 for each word.

    Attributes
    ----------
    start : int
        State of the beginning of a sentence, 0-based.
    offsets : int32, shape (num_states + 1,)
        The n-grams that continue state s are rows ``offsets[s]`` up to ``offsets[s + 1]`` of the next three.
    words : int32, shape (num_ngrams,)
        Word ids, 1-based, increasing within a state.
    costs : float32, shape (num_ngrams,)
        Negative natural logs; with the back-off weights of contexts that nothing continues.
    destinations : int32, shape (num_ngrams,)
        State behind the word.
    backoffs : int32, shape (num_states,)
        State of the shorter history, always of a lower number; -1 for the empty one, state 0.
    backoff_costs : float32, shape (num_states,)
        Negative natural logs; +inf where there is no way to back off.
    final_costs : float32, shape (num_states,)
        Cost of ``</s>`` where it is listed behind this very history, else +inf.
    """

    start: int
    offsets: NDArray[np.int32]
    words: NDArray[np.int32]
    costs: NDArray[np.float32]
    destinations: NDArray[np.int32]
    backoffs: NDArray[np.int32]
    backoff_costs: NDArray[np.float32]
    final_costs: NDArray[np.float32]

    @classmethod
    def from_fst(cls, grammar: FstArrays, where: Path | str | None = None) -> NgramAutomaton:
        """Take G apart: arcs without output label are its back-off arcs.

        Raises
        ------
        GraphError
            It is no n-gram model: two arcs of a state have the same word, or a state backs off twice, or not to a
            state of lower number.
        """
        if grammar.olabel.max(initial=0) >= MOST_WORDS:
            raise GraphError(
                f"word ids up to {grammar.olabel.max()}, expected less than {MOST_WORDS}", where=where, remedy=_REMEDY
            )
        back = grammar.olabel == 0
        sources = grammar.sources()
        states = sources[back]
        if len(np.unique(states)) != len(states) or np.any(grammar.dst[back] >= states):
            raise GraphError("the back-off arcs are not those of an n-gram model", where=where, remedy=_REMEDY)
        backoffs = np.full(grammar.num_states, -1, dtype=np.int32)
        backoff_costs = np.full(grammar.num_states, np.inf, dtype=np.float32)
        backoffs[states], backoff_costs[states] = grammar.dst[back], grammar.cost[back]
        # A state without a way to back off does so at no finite cost.
        backoffs[1:][backoffs[1:] < 0] = 0
        sources = sources[~back]
        words, costs, destinations = (column[~back] for column in (grammar.olabel, grammar.cost, grammar.dst))
        place = sources.astype(np.int64) << 32 | words
        if np.any(place[1:] <= place[:-1]):
            order = np.argsort(place, kind="stable")
            place, words, costs, destinations = place[order], words[order], costs[order], destinations[order]
            if np.any(place[1:] == place[:-1]):
                raise GraphError("a state has two arcs of one word, as no n-gram model", where=where, remedy=_REMEDY)
        offsets = np.zeros(grammar.num_states + 1, dtype=np.int32)
        np.cumsum(np.bincount(sources, minlength=grammar.num_states), out=offsets[1:])
        return cls(grammar.start, offsets, words, costs, destinations, backoffs, backoff_costs, grammar.final_cost)

    @classmethod
    def load(cls, path: Path | str) -> NgramAutomaton:
        """Read G from an OpenFst file.

        Raises
        ------
        GraphError
            The file is damaged or holds no n-gram model.
        """
        return cls.from_fst(read_fst(path), path)

    def to_fst(self, backoff_label: int) -> FstArrays:
        """Return it as G again, with back-off arcs that read ``backoff_label`` (#0) and write epsilon."""
        states = np.flatnonzero(np.isfinite(self.backoff_costs))
        sources = np.repeat(np.arange(self.num_states), np.diff(self.offsets))
        return FstArrays.from_arcs(
            self.start,
            self.final_costs,
            np.concatenate([states, sources]),
            np.concatenate([np.full(len(states), backoff_label), self.words]),
            np.concatenate([np.zeros(len(states), dtype=np.int32), self.words]),
            np.concatenate([self.backoff_costs[states], self.costs]),
            np.concatenate([self.backoffs[states], self.destinations]),
        )

    @property
    def num_states(self) -> int:
        """Number of histories."""
        return len(self.final_costs)

    @property
    def num_ngrams(self) -> int:
        """Number of n-grams that end in a word."""
        return len(self.words)

    @cached_property
    def order(self) -> int:
        """Length of the longest chain of back-offs; no more than the order of the model."""
        depth, at = 0, np.arange(self.num_states, dtype=np.int32)
        while len(at):
            at = np.unique(self.backoffs[at])
            at = at[at >= 0]
            depth += 1
        return depth

    @property
    def num_bytes(self) -> int:
        """Memory that the arrays take."""
        return sum(array.nbytes for array in self.arrays)

    @cached_property
    def arrays(self) -> NgramArrays:
        """The arrays that the kernels take."""
        # Numba comes with it.
        from asrkit.graph.automaton_kernels import NgramArrays

        first = slice(0, int(self.offsets[1]))
        unigrams = np.full(int(self.words.max(initial=0)) + 1, -1, dtype=np.int32)
        unigrams[self.words[first]] = np.arange(first.stop, dtype=np.int32)
        return NgramArrays(
            self.offsets,
            self.words,
            self.costs,
            self.destinations,
            self.backoffs,
            self.backoff_costs,
            self.final_costs,
            unigrams,
        )

    def step(self, state: int, word: int) -> tuple[int, float]:
        """Return the state behind a word and the word's cost; (-1, inf) where it is impossible."""
        from asrkit.graph import automaton_kernels

        next_state, cost = automaton_kernels.step(self.arrays, state, word)
        return int(next_state), float(cost)

    def final_cost(self, state: int) -> float:
        """Return the cost of ending a sentence in a state; +inf where it is impossible."""
        from asrkit.graph import automaton_kernels

        return float(automaton_kernels.end(self.arrays, state))

    def words_cost(self, words: Sequence[int]) -> tuple[int, float]:
        """Return the state behind the words of a sentence's beginning, and their cost; (-1, inf) where impossible."""
        state, total = self.start, 0.0
        for word in words:
            state, cost = self.step(state, word)
            total += cost
            if state < 0:
                break
        return state, total

    def sentence_cost(self, words: Sequence[int]) -> float:
        """Return the cost of a sentence of word ids, its end included."""
        state, total = self.words_cost(words)
        return total + self.final_cost(state)
