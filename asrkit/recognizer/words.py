"""Words at run time: phrases or a grammar instead of the language model, and words that the model never heard of."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from asrkit.core.errors import AsrkitError, ConfigError, DataError, FormatError, GraphError
from asrkit.core.files import read_lines
from asrkit.decode.graph import SearchGraph
from asrkit.decode.times import WordTimes
from asrkit.graph.grammar_fst import Grammar, acceptor_grammar, ngram_grammar
from asrkit.hmm.ctc import blank_phone
from asrkit.lang.extension import check_phones, extend_lang, with_disambiguation
from asrkit.lang.langdir import Lang
from asrkit.lang.lexicon import Pronunciation, is_reserved
from asrkit.lm.acceptor import Acceptor
from asrkit.lm.extension import extend_model
from asrkit.lm.grammar import phrase_list, read_grammar
from asrkit.recognizer.graph_cache import built_graph
from asrkit.recognizer.model import RecognizerModel

log = logging.getLogger("asrkit")

StrPath = str | os.PathLike[str]
Phrases = StrPath | Sequence[str]
"""A file (list or JSGF grammar), or the phrases themselves."""

NewWords = StrPath | Mapping[str, str | None]
"""A file of ``WORD PHONE PHONE …`` or ``WORD`` lines, or word -> phones with blanks between them, or None."""

MAX_WORD_COST = 200.0
"""An ARPA file writes less than e to the power -228 as impossible."""

NUM_NAMED = 10


def with_other_words(
    model: RecognizerModel,
    phrases: Phrases | None = None,
    add_words: NewWords | None = None,
    word_cost: float | None = None,
) -> RecognizerModel:
    """Return the model with another graph, built from what it holds, without training.

    Parameters
    ----------
    phrases : path or sequence of str, optional
        All that may be said: a list of phrases or a JSGF grammar (see :func:`asrkit.lm.grammar.read_grammar`). Without
        them the language model that was packed stays.
    add_words : path or mapping, optional
        Words with their phones, or to be pronounced by the G2P model that was packed. Pronunciations of a word that
        the model knows replace its own. Words of phrases that nobody pronounces are pronounced by G2P, too.
    word_cost : float, optional
        Of each new word in an n-gram model, natural log; see :func:`asrkit.lm.extension.extend_model`.

    Raises
    ------
    GraphError
        The model does not hold what is needed, or a phrase has a word that nobody can pronounce.
    FormatError
        A file is not as it should be, or a phone is unknown.
    ConfigError
        ``word_cost`` is negative or beyond all use, or there is nothing that it would be the cost of.
    """
    if model.lang is None:
        raise GraphError(
            "the words and pronunciations of the graph are not known, so no other graph can be built",
            where=model.path,
            remedy="pack the model with --lang",
        )
    _check_word_cost(word_cost, phrases, add_words)
    acceptor = None if phrases is None else _acceptor(phrases)
    entries = [] if add_words is None else _pronunciations(model, model.lang, add_words)
    added = {entry.word for entry in entries}
    if acceptor is not None:
        lacking = sorted({*acceptor.words()} - set(model.lang.known_words) - added)
        entries += _guessed(model, lacking, " of the phrases")
    lang = extend_lang(model.lang, entries, model.path) if entries else model.lang
    lang = with_disambiguation(lang)
    if acceptor is None:
        grammar = _ngrams(model, lang, added, word_cost)
    else:
        if not acceptor.arcs:
            raise GraphError("only silence may be said: no words in it", where=_place(phrases, "phrases"))
        grammar = acceptor_grammar(acceptor, lang.words)
    acoustic = model.acoustic
    transitions, has_blank = acoustic.transitions, acoustic.has_blank
    arrays = built_graph(lang, grammar.fst, acoustic.tree, transitions, model.graph_config, has_blank)
    blank = blank_phone(lang.inventory) if has_blank else None
    times = WordTimes.of(transitions, lang.pronunciations, lang.words, lang.phones, lang.silence_phones, blank)
    return dataclasses.replace(
        model,
        graph=SearchGraph(arrays, transitions.tid_to_pdf, transitions.num_pdfs),
        words=lang.words,
        times=times,
        lang=lang,
    )


def _check_word_cost(cost: float | None, phrases: Phrases | None, add_words: NewWords | None) -> None:
    if cost is None:
        return
    if not 0 <= cost <= MAX_WORD_COST:
        raise ConfigError(f"the cost of added words is {cost}, expected 0 to {MAX_WORD_COST:g}")
    if add_words is None or phrases is not None:
        raise ConfigError(
            "a cost of added words, and none are added to a language model",
            remedy="give --add-words (add_words=) without phrases, or leave the cost out",
        )


def _place(given: object, name: str) -> str:
    """Return what messages call a file, or the argument that something else was given by."""
    return str(given) if isinstance(given, (str, os.PathLike)) else name


def _acceptor(phrases: Phrases) -> Acceptor:
    if isinstance(phrases, (str, os.PathLike)):
        return read_grammar(Path(phrases))
    split = list(dict.fromkeys(tuple(phrase.split()) for phrase in phrases))
    if not split or () in split:
        raise FormatError("no phrases, or one without words", where="phrases")
    return phrase_list(split)


def _pronunciations(model: RecognizerModel, lang: Lang, words: NewWords) -> list[Pronunciation]:
    where: list[str]
    if isinstance(words, (str, os.PathLike)):
        rows = [(f"{words}:{number}", line.split()) for number, line in enumerate(read_lines(Path(words)), 1)]
        where = [place for place, fields in rows if fields]
        lines = [fields for _, fields in rows if fields]
    else:
        lines = [[word, *(phones or "").split()] for word, phones in words.items()]
        where = [f"add_words[{word!r}]" for word in words]
    if not lines:
        raise FormatError("no words", where=_place(words, "add_words"))
    entries: dict[tuple[str, ...], Pronunciation] = {}
    alone: list[str] = []
    for place, (word, *phones) in zip(where, lines, strict=True):
        if is_reserved(word) or len(word.split()) != 1:
            raise FormatError(f"{word!r} cannot be a word", where=place)
        if phones:
            entry = Pronunciation(word, tuple(phones))
            check_phones(lang, entry, place)
            entries[(word, *phones)] = entry
        elif word not in alone:
            alone.append(word)
    said = {entry.word for entry in entries.values()}
    return [*entries.values(), *_guessed(model, [word for word in alone if word not in said])]


def _guessed(model: RecognizerModel, words: Iterable[str], of: str = "") -> list[Pronunciation]:
    """Pronounce words by the G2P model of the pack."""
    wanted = list(words)
    if not wanted:
        return []
    named = ", ".join(wanted[:NUM_NAMED]) + (", …" if len(wanted) > NUM_NAMED else "")
    if model.g2p is None:
        count = f"1 word{of} is unknown" if len(wanted) == 1 else f"{len(wanted)} words{of} are unknown"
        raise GraphError(
            f"{count}, and the model holds no G2P to pronounce them: {named}",
            where=model.path,
            remedy="give their phones with --add-words (add_words=), or pack the model with --g2p",
        )
    g2p = model.g2p()
    entries = []
    for word in wanted:
        try:
            entries += g2p.entries(word)
        except DataError as error:
            raise GraphError(str(error), where=model.path) from None
    for entry in entries:
        log.info("pronounced by G2P: %s %s", entry.word, " ".join(entry.phones))
    return entries


def _ngrams(model: RecognizerModel, lang: Lang, added: set[str], cost: float | None) -> Grammar:
    if model.language_model is None:
        raise GraphError(
            "the model holds no language model, so words cannot be added to its graph",
            where=model.path,
            remedy="pack it with --lm, or give --phrases",
        )
    try:
        return ngram_grammar(extend_model(model.language_model(), sorted(added), cost), lang.words)
    except AsrkitError as error:
        error.where = error.where or str(model.path)
        raise
