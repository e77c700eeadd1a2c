"""Which phones share a root: variants in stress and word position, as asked; silence phones as always."""

from __future__ import annotations

import itertools

import pytest

from asrkit.hmm.roots import RootConfig, make_roots, phone_sets
from asrkit.lang.langdir import Lang, LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation

ENTRIES = [Pronunciation("ABBA", ("AH0", "B", "AH1")), Pronunciation("ER", ("ER1",)), Pronunciation("TWO", ("2", "_B"))]
SPEECH = ("2", "AH0", "AH1", "B", "ER1", "_B")


def named(lang: Lang, config: RootConfig) -> list[set[str]]:
    return [{lang.phones.symbols[phone] for phone in phones} for phones in phone_sets(lang, config)]


def variants(*phones: str) -> set[str]:
    return {phone + position for phone in phones for position in ("_B", "_E", "_I", "_S")}


@pytest.mark.parametrize(
    ("stress", "position"), list(itertools.product((True, False), repeat=2)), ids=lambda on: "shared" if on else "apart"
)
def test_variants_share_a_root_where_asked(stress: bool, position: bool) -> None:
    lang = make_lang(ENTRIES, LangConfig(position_dependent=True))
    groups = [("2",), ("AH0", "AH1"), ("B",), ("ER1",), ("_B",)]
    if not stress:
        groups = [(phone,) for phone in SPEECH]
    expected = [variants(*group) for group in groups]
    if not position:
        expected = [{f"{p}{end}" for p in group} for group in groups for end in ("_B", "_E", "_I", "_S")]
    silence = [{"SIL", *variants("SIL")}, {"SPN", *variants("SPN")}]
    found = named(lang, RootConfig(stress=stress, position=position))
    assert found[:2] == silence
    assert sorted(map(sorted, found[2:])) == sorted(map(sorted, expected))


def test_without_word_positions_a_name_that_looks_like_one_is_a_name() -> None:
    lang = make_lang(ENTRIES, LangConfig())
    assert named(lang, RootConfig()) == [{"SIL"}, {"SPN"}, {"2"}, {"AH0", "AH1"}, {"B"}, {"ER1"}, {"_B"}]


def test_every_phone_has_one_root_and_silence_is_never_split() -> None:
    lang = make_lang(ENTRIES, LangConfig(position_dependent=True))
    for share_states in (True, False):
        roots = make_roots(phone_sets(lang, RootConfig()), lang.silence_phones, share_states)
        assert sorted(phone for root in roots for phone in root.phones) == sorted(lang.topology.phones)
        silence = [not set(lang.silence_phones).isdisjoint(root.phones) for root in roots]
        assert [root.split for root in roots] == [not silent for silent in silence]
        assert [root.shared for root in roots] == [share_states and not silent for silent in silence]
