"""TLG: from what a network of connectionist temporal classification says to words.

Y. Miao, M. Gowayyed, F. Metze, "EESEN: end-to-end speech recognition using deep RNN models and WFST-based decoding"
(2015): T, which turns outputs of frames into phones, composed with the lexicon and the grammar.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import ArrayLike, NDArray

from asrkit.graph.epsilons import remove_epsilons_locally
from asrkit.graph.fst import FstArrays, from_openfst, to_openfst
from asrkit.graph.hclg import GraphConfig, compile_hclg, compose, compose_lg
from asrkit.hmm.ctc import BLANK, blank_phone
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree
from asrkit.lang.langdir import Lang

log = logging.getLogger("asrkit")

START, AFTER_BLANK, FIRST_PHONE = 0, 1, 2

Ints = NDArray[np.int32]


def compile_graph(
    lang: Lang,
    grammar: FstArrays,
    tree: ContextTree,
    transitions: TransitionModel,
    config: GraphConfig,
    has_blank: bool,
) -> FstArrays:
    """Return the graph of a model: TLG where it has a blank, else HCLG.

    TLG takes nothing of the configuration: frames of a phone, and blanks, cost nothing by themselves.
    """
    if has_blank:
        return compile_tlg(lang, grammar, transitions)
    return compile_hclg(lang, grammar, tree, transitions, config)


def compile_tlg(lang: Lang, grammar: FstArrays, transitions: TransitionModel) -> FstArrays:
    """Return TLG: T ∘ min(det(L ∘ G)), without optional silence between words, which is the blank's place.

    Parameters
    ----------
    grammar : FstArrays
        G over the word ids of ``lang``; ``#0`` marks back-off arcs.
    transitions : TransitionModel
        Of :func:`asrkit.hmm.ctc.ctc_structure`.

    Returns
    -------
    FstArrays
        Input labels are transition ids, output labels word ids; 0 = epsilon in both.

    Raises
    ------
    GraphError
        The graph is empty: no sentence of the grammar can be said.
    """
    import kaldifst

    blank = blank_phone(lang.inventory)
    silent = _silent_words(lang, grammar)
    if silent:
        log.warning("%d words are pronounced as silence, which CTC does not say: %s", len(silent), ", ".join(silent))
    lg = compose_lg(lang, grammar, optional_silence=False)
    tokens = to_openfst(token_fst(transitions, blank, lang.inventory.disambiguation))
    graph = to_openfst(remove_epsilons_locally(from_openfst(compose(tokens, lg))))
    kaldifst.connect(graph)
    result = from_openfst(graph)
    log.debug("TLG: %d states, %d arcs", result.num_states, result.num_arcs)
    return result


def _silent_words(lang: Lang, grammar: FstArrays) -> list[str]:
    """Return the words of a grammar that have no pronunciation without silence in it."""
    silence = set(lang.inventory.shared[BLANK])
    words = np.unique(grammar.olabel).tolist()
    entries = {word: lang.entries_of_word.get(word, ()) for word in words}
    return [
        lang.words.symbols[word]
        for word, own in entries.items()
        if own and all(silence.intersection(entry.phones) for entry in own)
    ]


def token_fst(transitions: TransitionModel, blank: int, disambiguation: tuple[int, ...]) -> FstArrays:
    """Return T: from the transition ids of frames to phones.

    A phone is one frame of its forward transition_id and any number of its self-loop; the blank is the same of the
    silence phone, and writes nothing. Blanks may stand before, between and behind phones, and must stand between two
    of one pdf. The states are the start, one behind a blank, and one for each phone, which has just been said.
    Disambiguation symbols are let through where a phone was said, before any blank, so that each sequence of outputs
    has one path for each sequence of phones. All states are final; there are no costs.

    Parameters
    ----------
    blank : int
        Phone id of silence.
    disambiguation : tuple of int
        Ids of the disambiguation symbols.

    Notes
    -----
    A word whose pronunciation has a phone of the blank's pdf in it cannot be said.
    """
    pdfs = np.array([pdf for _, _, pdf in transitions.triples])
    phones = np.array([phone for phone, _, _ in transitions.triples])
    loops, enters = _transition_ids(transitions)
    said = pdfs != BLANK
    blank_loop, blank_enter = (int(column[phones == blank][0]) for column in (loops, enters))
    phones, pdfs, loops, enters = phones[said], pdfs[said], loops[said], enters[said]
    states = FIRST_PHONE + np.arange(len(phones))
    # Into each phone from the start, from behind a blank, and from behind a phone of another pdf.
    before = np.concatenate([[START, AFTER_BLANK], states])
    pdf_before = np.concatenate([[BLANK, BLANK], pdfs])
    source, target = np.nonzero(pdf_before[:, None] != pdfs[None, :])
    spoken = np.concatenate([[START], states])
    symbols = np.array(disambiguation)
    arcs = [
        _arcs(before[source], enters[target], phones[target], states[target]),
        _arcs(states, loops, 0, states),
        _arcs(spoken, blank_enter, 0, AFTER_BLANK),
        _arcs(AFTER_BLANK, blank_loop, 0, AFTER_BLANK),
        _arcs(np.repeat(spoken, len(symbols)), 0, np.tile(symbols, len(spoken)), np.repeat(spoken, len(symbols))),
    ]
    src, ilabel, olabel, dst = np.concatenate(arcs, axis=1)
    final = np.zeros(FIRST_PHONE + len(phones))
    return FstArrays.from_arcs(START, final, src, ilabel, olabel, np.zeros(len(src)), dst)


def _arcs(src: ArrayLike, ilabel: ArrayLike, olabel: ArrayLike, dst: ArrayLike) -> Ints:
    """Return arcs as columns, (4, A); a number stands for a column of it."""
    return np.stack(np.broadcast_arrays(*map(np.atleast_1d, (src, ilabel, olabel, dst)))).astype(np.int32)


def _transition_ids(transitions: TransitionModel) -> tuple[Ints, Ints]:
    """Return the self-loop and the forward transition_id of each transition state."""
    tids = np.arange(1, transitions.num_transition_ids + 1, dtype=np.int32)
    is_loop = transitions.is_self_loop[1:]
    return tids[is_loop], tids[~is_loop]
