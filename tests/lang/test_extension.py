"""More words for fixed phones."""

from __future__ import annotations

import pytest

from asrkit.core.errors import FormatError
from asrkit.lang.extension import extend_lang
from asrkit.lang.langdir import LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation

BASE = [Pronunciation("at", ("a", "t")), Pronunciation("to", ("t", "u")), Pronunciation("to", ("t", "a"), 0.5)]


@pytest.mark.parametrize("positions", [False, True])
def test_words_are_added_and_replaced_and_phones_stay(positions: bool) -> None:
    lang = make_lang(BASE, LangConfig(position_dependent=positions))
    more = [Pronunciation("aunt", ("a", "u", "t")), Pronunciation("to", ("u",), 1.0)]
    extended = extend_lang(lang, more)
    assert extended.inventory is lang.inventory
    assert extended.topology is lang.topology
    said = {p.word: " ".join(p.phones) for p in extended.pronunciations}
    if positions:
        expected = {"<UNK>": "SPN_S", "at": "a_B t_E", "aunt": "a_B u_I t_E", "to": "u_S"}
    else:
        expected = {"<UNK>": "SPN", "at": "a t", "aunt": "a u t", "to": "u"}
    assert said == expected
    ids, unknown = extended.transcript_ids(["aunt", "ant", "at"])
    assert unknown == 1
    symbols = extended.words.symbols
    assert [symbols[word] for word in ids] == ["aunt", "<UNK>", "at"]
    in_ids = tuple(lang.inventory.ids[phone] for phone in expected["aunt"].split())
    assert extended.entries_of_word[int(ids[0])][0].phones == in_ids


def test_a_phone_that_the_model_lacks_is_named() -> None:
    lang = make_lang([*BASE, Pronunciation("ah", ("aah",))], LangConfig())
    with pytest.raises(FormatError) as caught:
        extend_lang(lang, [Pronunciation("x", ("a", "aahh"))], "new.txt")
    assert str(caught.value) == "new.txt: word 'x' has the phone 'aahh', which the model does not (did you mean aah?)"


def test_phones_are_named_as_they_were_written() -> None:
    """Word positions are the model's own affair."""
    lang = make_lang([*BASE, Pronunciation("ah", ("aah",))], LangConfig(position_dependent=True))
    with pytest.raises(FormatError, match=r"phone 'aahh', .* \(did you mean aah\?\)"):
        extend_lang(lang, [Pronunciation("x", ("a", "aahh", "a"))])
    with pytest.raises(FormatError, match=r"phone 'qqq', .* \(phones of the model: SIL SPN a aah t u"):
        extend_lang(lang, [Pronunciation("x", ("qqq",))])
