"""More words for a language whose phones are fixed: a model can say any of them without being trained again."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from asrkit.core.errors import FormatError
from asrkit.lang.langdir import Lang
from asrkit.lang.lexicon import Pronunciation, disambiguate
from asrkit.lang.phones import in_word_position
from asrkit.lang.symbols import EPSILON, SymbolTable


def extend_lang(lang: Lang, pronunciations: Iterable[Pronunciation], where: Path | str | None = None) -> Lang:
    """Return the language with more words; phones and their ids, which a model knows, stay.

    Parameters
    ----------
    pronunciations : iterable of Pronunciation
        Phones without word position. The pronunciations of a word that the language has are replaced.
    where : path, optional
        For error messages.

    Returns
    -------
    Lang
        For alignment: word ids are new, and the table of phones has no disambiguation symbols for new homophones.

    Raises
    ------
    FormatError
        A phone that the language does not have.
    """
    new = list(pronunciations)
    for pronunciation in new:
        check_phones(lang, pronunciation, where)
    if lang.config.position_dependent:
        new = [Pronunciation(p.word, in_word_position(p.phones), p.probability) for p in new]
    replaced = {pronunciation.word for pronunciation in new}
    entries = [*(p for p in lang.pronunciations if p.word not in replaced), *new]
    entries.sort(key=lambda entry: entry.word)
    words = SymbolTable((EPSILON, *sorted({entry.word for entry in entries}), "#0", "<s>", "</s>"))
    silence = None if lang.trained_silence is None else lang.trained_silence.of(entries)
    return replace(lang, words=words, pronunciations=tuple(entries), trained_silence=silence)


def check_phones(lang: Lang, pronunciation: Pronunciation, where: Path | str | None = None) -> None:
    """Raise a :class:`FormatError` where a pronunciation, without word positions, has a phone of no model."""
    positioned = in_word_position(pronunciation.phones) if lang.config.position_dependent else pronunciation.phones
    known = lang.inventory.ids
    for phone, symbol in zip(pronunciation.phones, positioned, strict=True):
        if symbol in known:
            continue
        position = symbol[len(phone) :]
        names = sorted(name.removesuffix(position) for name in known if name.endswith(position))
        close = difflib.get_close_matches(phone, names, n=1)
        raise FormatError(
            f"word {pronunciation.word!r} has the phone {phone!r}, which the model does not",
            where=where,
            remedy=f"did you mean {close[0]}?" if close else f"phones of the model: {' '.join(names)}",
        )


def with_disambiguation(lang: Lang) -> Lang:
    """Return the language with as many disambiguation symbols as its lexicon needs, so that graphs can be built of it.

    New symbols get the ids behind those of the table; phones keep theirs.
    """
    needed = max(disambiguate(p.phones for p in lang.pronunciations)) + 2
    have = len(lang.inventory.disambiguation)
    if needed <= have:
        return lang
    symbols = lang.phones.symbols
    more = tuple(f"#{number}" for number in range(have, needed))
    ids = (*lang.inventory.disambiguation, *range(len(symbols), len(symbols) + len(more)))
    return replace(lang, inventory=replace(lang.inventory, table=SymbolTable((*symbols, *more)), disambiguation=ids))
