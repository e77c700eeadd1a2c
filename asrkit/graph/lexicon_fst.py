"""L: the lexicon as a transducer from phones to words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from asrkit.graph.fst import FstArrays
from asrkit.lang.langdir import Lang
from asrkit.lang.silence import Weights


def lexicon_fst(lang: Lang, disambiguated: bool, optional_silence: bool = True) -> FstArrays:
    """Return L, with optional silence before, between and behind words (Kaldi's ``make_lexicon_fst.py``).

    Input labels are phone ids, output labels word ids. A word's cost is minus the log of its pronunciation's
    probability; going through the optional silence costs -log(silence_probability), passing by it
    -log(1 - silence_probability). Where the language has silence probabilities by pronunciation, L has them
    (``make_lexicon_fst_silprob.py``), see :class:`asrkit.lang.silence.SilenceModel`.

    Parameters
    ----------
    disambiguated : bool
        L_disambig: with the disambiguation symbols behind pronunciations that need one and behind the optional
        silence, and a loop that lets the grammar's ``#0`` through.
    optional_silence : bool
        False: without silence between words, whatever the language says of it.
    """
    entries = lang.lexicon
    pronunciations = [entry.phones for entry in entries]
    if disambiguated:
        first = lang.inventory.disambiguation[0]
        pronunciations = [
            (*entry.phones, first + entry.disambiguation) if entry.disambiguation else entry.phones for entry in entries
        ]
    if optional_silence and lang.trained_silence is not None:
        return _with_trained_silence(lang, pronunciations, disambiguated)
    prob = lang.config.silence_probability if optional_silence else 0.0
    sizes = np.array([len(phones) for phones in pronunciations])
    phones = np.fromiter(itertools.chain.from_iterable(pronunciations), dtype=np.int64, count=int(sizes.sum()))
    words = np.array([entry.word_id for entry in entries])
    costs = -np.array([entry.log_probability for entry in entries])

    loop, num_special = (0, 1) if prob == 0 else (1, 4 if disambiguated else 3)
    begin = np.concatenate([[0], np.cumsum(sizes)])
    # Arc k of an entry leaves the loop state (k = 0) or the entry's own state k - 1.
    place = np.arange(len(phones)) - np.repeat(begin[:-1], sizes)
    own = num_special + np.repeat(begin[:-1] - np.arange(len(sizes)), sizes) + place
    src = np.where(place == 0, loop, own - 1)
    is_last = np.zeros(len(phones), dtype=bool)
    is_last[begin[1:] - 1] = True
    dst = np.where(is_last, loop, own)
    olabel = np.where(place == 0, np.repeat(words, sizes), 0)
    cost = np.where(place == 0, np.repeat(costs, sizes), 0.0)
    arcs = [np.stack([src, phones, olabel, dst]).astype(np.int64)]
    arc_costs = [cost]
    if prob > 0:
        sil_cost, no_sil_cost = -math.log(prob), -math.log1p(-prob)
        arc_costs = [np.where(is_last, cost + no_sil_cost, cost), cost[is_last] + sil_cost]
        to_silence = np.full(len(sizes), 2)
        arcs.append(np.stack([src[is_last], phones[is_last], olabel[is_last], to_silence]))
        special = _silence_arcs(lang, disambiguated, sil_cost, no_sil_cost)
        arcs.append(np.array([row[:4] for row in special]).T)
        arc_costs.append(np.array([row[4] for row in special]))
    if disambiguated:
        arcs.append(np.array([[loop, lang.inventory.disambiguation[0], lang.words.ids["#0"], loop]]).T)
        arc_costs.append(np.zeros(1))
    src, ilabel, olabel, dst = np.concatenate(arcs, axis=1)
    final = np.full(num_special + int((sizes - 1).sum()), np.inf)
    final[loop] = 0.0
    return FstArrays.from_arcs(0, final, src, ilabel, olabel, np.concatenate(arc_costs), dst)


def _silence_arcs(
    lang: Lang, disambiguated: bool, sil_cost: float, no_sil_cost: float
) -> list[tuple[int, int, int, int, float]]:
    """(src, ilabel, olabel, dst, cost) around states 0 start, 1 loop, 2 before silence, 3 behind silence."""
    assert lang.optional_silence is not None
    arcs = [(0, 0, 0, 1, no_sil_cost), (0, 0, 0, 2, sil_cost)]
    if not disambiguated:
        return [*arcs, (2, lang.optional_silence, 0, 1, 0.0)]
    return [*arcs, (2, lang.optional_silence, 0, 3, 0.0), (3, lang.inventory.disambiguation[-1], 0, 1, 0.0)]


_JOINED, _SILENT = 1, 2


def _with_trained_silence(lang: Lang, pronunciations: Sequence[tuple[int, ...]], disambiguated: bool) -> FstArrays:
    """Return L whose loop has two states, behind no silence and behind silence, so that a word knows what it follows.

    A silence stands on the arc into the second state, its disambiguation symbol on the arc into the first: so each
    of the two ways on begins with a label of its own.
    """
    assert lang.optional_silence is not None
    label = (lang.inventory.disambiguation[-1] if disambiguated else 0, lang.optional_silence)
    loops = (_JOINED, _SILENT)
    arcs: list[tuple[int, int, int, int, float]] = []  # (src, ilabel, olabel, dst, cost)

    def leave(state: int, weights: Weights) -> None:
        arcs.extend((state, label[i], 0, loops[i], -weights[i]) for i in (0, 1))

    leave(0, lang.silence.start_weights)
    num_states = 3
    for entry, phones in zip(lang.lexicon, pronunciations, strict=True):
        for loop, weight in zip(loops, entry.before, strict=True):
            arcs.append((loop, phones[0], entry.word_id, num_states, -weight - entry.log_probability))
        for phone in phones[1:]:
            arcs.append((num_states, phone, 0, num_states + 1, 0.0))
            num_states += 1
        leave(num_states, entry.after)
        num_states += 1
    if disambiguated:
        back_off = lang.inventory.disambiguation[0], lang.words.ids["#0"]
        arcs.extend((loop, *back_off, loop, 0.0) for loop in loops)
    final = np.full(num_states, np.inf)
    final[list(loops)] = -np.array(lang.silence.end_weights)
    src, ilabel, olabel, dst, cost = (np.array(column) for column in zip(*arcs, strict=True))
    return FstArrays.from_arcs(0, final, src, ilabel, olabel, cost, dst)
