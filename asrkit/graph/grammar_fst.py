"""G: a language model as an acceptor of words."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import GraphError
from asrkit.graph.fst import FstArrays
from asrkit.lang.lexicon import is_reserved
from asrkit.lang.symbols import SymbolTable
from asrkit.lm.acceptor import Acceptor
from asrkit.lm.model import BOS, EOS, NgramModel

log = logging.getLogger("asrkit")

BACKOFF = "#0"
_SAME_CASE = "do both write words in the same case?"

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Grammar:
    """G with what was left out of it.

    Attributes
    ----------
    fst : FstArrays
        Labels are word ids; a back-off arc reads ``#0`` and writes epsilon.
    dropped_words : tuple of str
        Words of the language model that the lexicon has no pronunciation for.
    dropped_ngrams : int
        N-grams (or arcs of a finite-state grammar) left out with them.
    """

    fst: FstArrays
    dropped_words: tuple[str, ...] = ()
    dropped_ngrams: int = 0


def ngram_grammar(model: NgramModel, words: SymbolTable) -> Grammar:
    """Return the back-off n-gram model as an acceptor (Kaldi's ``arpa2fst --disambig-symbol=#0``).

    A state is a context that some n-gram continues; a context that none continues is replaced by the longest
    suffix of it that some n-gram does, its back-off weights added to the arc. ``<s>`` is the start state, the
    probability of ``</s>`` the final cost. Costs are natural-log.

    Raises
    ------
    GraphError
        No word of the model is in the lexicon.
    """
    return _NgramCompiler(model, words).compile()


def acceptor_grammar(acceptor: Acceptor, words: SymbolTable) -> Grammar:
    """Return a finite-state grammar as an acceptor of word ids; arcs with words outside the lexicon are left out.

    Raises
    ------
    GraphError
        No word of the grammar is in the lexicon.
    """
    vocabulary = acceptor.words()
    dropped = tuple(word for word in vocabulary if not _is_spoken(word, words))
    if len(dropped) == len(vocabulary):
        raise GraphError(f"none of the {len(vocabulary)} words of the grammar is in the lexicon", remedy=_SAME_CASE)
    arcs = [arc for arc in acceptor.arcs if _is_spoken(arc.word, words)]
    labels = [words.ids[arc.word] for arc in arcs]
    final = np.full(acceptor.num_states, np.inf)
    final[list(acceptor.finals)] = list(acceptor.finals.values())
    fst = FstArrays.from_arcs(
        acceptor.start,
        final,
        [arc.source for arc in arcs],
        labels,
        labels,
        [arc.cost for arc in arcs],
        [arc.target for arc in arcs],
    )
    return Grammar(fst, dropped, len(acceptor.arcs) - len(arcs))


def _is_spoken(word: str, words: SymbolTable) -> bool:
    return word in words.ids and not is_reserved(word)


class _NgramCompiler:
    """Turns the layers of a model into states and arcs, a whole order at a time."""

    def __init__(self, model: NgramModel, words: SymbolTable) -> None:
        self.model = model
        self.words = words
        self.num_words = len(model.words)
        spoken = [_is_spoken(word, words) for word in model.words]
        self.word_id = np.array([words.ids[w] if said else 0 for w, said in zip(model.words, spoken, strict=True)])
        self.dropped = tuple(
            word for word, said in zip(model.words, spoken, strict=True) if not said and word not in (BOS, EOS)
        )
        self.rows = [model.ngrams(order)[0] for order in range(1, model.order + 1)]
        self.kept = [self._usable(ids) & (layer.log10_prob > -np.inf) for ids, layer in zip(self.rows, model.layers)]
        self._number_states()

    def compile(self) -> Grammar:
        bos = self.model.ids_by_word.get(BOS)
        has_bos = bos is not None and self.model.order > 1
        start = int(self.state_of[1][bos]) if has_bos else 0
        final = np.full(self.num_states, np.inf)
        columns: list[tuple[Ints, Ints, Ints, Floats, Ints]] = []
        for order in range(1, self.model.order + 1):
            columns.append(self._word_arcs(order, final))
        for order in range(1, self.model.order):
            columns.append(self._backoff_arcs(order))
        src, ilabel, olabel, cost, dst = (np.concatenate([column[i] for column in columns]) for i in range(5))
        if not (olabel > 0).any():
            raise GraphError(
                f"none of the {self.num_words} words of the language model is in the lexicon",
                remedy=_SAME_CASE,
            )
        if not np.isfinite(final).any():
            raise GraphError("the language model never ends a sentence", remedy=f"give {EOS} a probability")
        missing = sum(int((~self._spellable(ids)).sum()) for ids in self.rows)
        return Grammar(FstArrays.from_arcs(start, final, src, ilabel, olabel, cost, dst), self.dropped, missing)

    def _spellable(self, ids: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Rows without a word that the lexicon lacks."""
        known = np.array([word in (BOS, EOS) for word in self.model.words]) | (self.word_id > 0)
        return np.asarray(known[ids].all(axis=1))

    def _usable(self, ids: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Rows that can be arcs: all words known, ``<s>`` only in front, ``</s>`` only at the end."""
        usable = self._spellable(ids)
        for word, allowed in ((BOS, 0), (EOS, ids.shape[1] - 1)):
            if word in self.model.ids_by_word:
                elsewhere = np.delete(ids, allowed, axis=1)
                usable &= ~(elsewhere == self.model.ids_by_word[word]).any(axis=1)
        return usable

    def _number_states(self) -> None:
        """State 0 is the empty context; ``state_of[m][i]`` is the state of n-gram i of order m, or -1."""
        self.state_of: list[Ints] = [np.zeros(1, dtype=np.int64)]
        self.num_states = 1
        for order in range(1, self.model.order):
            kept = np.zeros(len(self.rows[order - 1]), dtype=bool)
            kept[self._parents(order + 1)[self.kept[order]]] = True
            if order == 1 and BOS in self.model.ids_by_word:
                kept[self.model.ids_by_word[BOS]] = True
            states = np.full(len(kept), -1, dtype=np.int64)
            states[kept] = self.num_states + np.arange(kept.sum())
            self.num_states += int(kept.sum())
            self.state_of.append(states)

    def _parents(self, order: int) -> Ints:
        return np.asarray(self.model.layers[order - 1].keys // self.num_words)

    def _word_arcs(self, order: int, final: Floats) -> tuple[Ints, Ints, Ints, Floats, Ints]:
        """Arcs of the n-grams of one order; those of ``</s>`` become final costs."""
        ids = self.rows[order - 1]
        take = self.kept[order - 1].copy()
        if order == 1 and BOS in self.model.ids_by_word:
            take[self.model.ids_by_word[BOS]] = False
        src = self.state_of[order - 1][self._parents(order)]
        cost = -math.log(10) * self.model.layers[order - 1].log10_prob
        if EOS in self.model.ids_by_word:
            ends = take & (ids[:, -1] == self.model.eos_id)
            final[src[ends]] = cost[ends]
            take &= ~ends
        ids, src, cost = ids[take], src[take], cost[take]
        dst, extra = self._resolve(ids if order < self.model.order else ids[:, 1:])
        labels = self.word_id[ids[:, -1]]
        return src, labels, labels, cost + extra, dst

    def _backoff_arcs(self, order: int) -> tuple[Ints, Ints, Ints, Floats, Ints]:
        """Arc from every context of one order to the longest suffix of it that is a state."""
        take = self.state_of[order] >= 0
        weight = -math.log(10) * self.model.layers[order - 1].log10_backoff[take]
        dst, extra = self._resolve(self.rows[order - 1][take][:, 1:])
        possible = np.isfinite(weight + extra)
        src = self.state_of[order][take][possible]
        ilabel = np.full(len(src), self.words.ids[BACKOFF])
        return src, ilabel, np.zeros(len(src), dtype=np.int64), (weight + extra)[possible], dst[possible]

    def _resolve(self, contexts: NDArray[np.int32]) -> tuple[Ints, Floats]:
        """Return the state that each context leads to, and the cost of the back-offs on the way there."""
        state = np.full(len(contexts), -1, dtype=np.int64)
        cost = np.zeros(len(contexts))
        for size in range(contexts.shape[1], 0, -1):
            todo = np.flatnonzero(state < 0)
            index = self._find(contexts[todo, contexts.shape[1] - size :])
            listed = index >= 0
            state[todo[listed]] = self.state_of[size][index[listed]]
            backoff = self.model.layers[size - 1].log10_backoff[index[listed]]
            passed = state[todo[listed]] < 0
            cost[todo[listed][passed]] -= math.log(10) * backoff[passed]
        state[state < 0] = 0
        return state, cost

    def _find(self, rows: NDArray[np.int32]) -> Ints:
        """Index of each n-gram in the layer of its order, -1 where it is not listed."""
        index = rows[:, 0].astype(np.int64)
        for order in range(2, rows.shape[1] + 1):
            keys = self.model.layers[order - 1].keys
            wanted = index * self.num_words + rows[:, order - 1]
            place = np.searchsorted(keys, wanted)
            inside = np.minimum(place, len(keys) - 1)
            found = (index >= 0) & (keys[inside] == wanted) if len(keys) else np.zeros(len(rows), dtype=bool)
            index = np.where(found, inside, -1)
        return index
