from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from asrkit.core.errors import FormatError
from asrkit.lang.extension import extend_lang
from asrkit.lang.langdir import Lang, LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.lang.silence import SilenceHabit, SilenceModel

ENTRIES = [Pronunciation("B", ("b",)), Pronunciation("A", ("a",), 0.5), Pronunciation("A", ("a", "b"))]
HABITS = {
    ("<UNK>", "SPN"): SilenceHabit(1 / 3, 1.25, 0.5),
    ("A", "a"): SilenceHabit(0.1, 2.0, 0.7),
    ("A", "a", "b"): SilenceHabit(0.2),
    ("B", "b"): SilenceHabit(0.99, 0.01, 3.0),
}
MODEL = SilenceModel(0.3, 0.9, (2.5, 0.05), HABITS)


def trained(**config: object) -> Lang:
    return replace(make_lang(ENTRIES, LangConfig(**config)), trained_silence=MODEL)  # type: ignore[arg-type]


def test_saved_and_loaded(tmp_path: Path) -> None:
    trained().save(tmp_path)
    assert (tmp_path / "silence.txt").read_text().splitlines()[:4] == [
        "<eps> 0.3",
        "<s> 0.9",
        "</s> 2.5 0.05",
        "<UNK> 0.3333333333333333 1.25 0.5 SPN",
    ]
    loaded = Lang.load(tmp_path)
    assert loaded.trained_silence == MODEL
    assert loaded.lexicon == trained().lexicon
    # What an earlier run left must not speak for a lexicon without.
    make_lang(ENTRIES, LangConfig()).save(tmp_path)
    assert not (tmp_path / "silence.txt").exists()
    assert Lang.load(tmp_path).trained_silence is None


def test_weights_are_natural_logs_without_silence_and_with() -> None:
    lang = trained()
    first, second = lang.entries_of_word[lang.words.ids["A"]]
    assert first.before == pytest.approx((math.log(0.7), math.log(2.0)))
    assert first.after == pytest.approx((math.log(0.9), math.log(0.1)))
    assert second.before == (0.0, 0.0)
    assert lang.silence.start_weights == pytest.approx((math.log(0.1), math.log(0.9)))
    assert lang.silence.end_weights == pytest.approx((math.log(0.05), math.log(2.5)))


def test_an_extended_lexicon_can_be_saved_and_loaded(tmp_path: Path) -> None:
    """What `asrkit align --lexicon` leaves in its directory: words added, and pronunciations gone."""
    extended = extend_lang(trained(), [Pronunciation("AB", ("a", "b")), Pronunciation("A", ("a",))])
    extended.save(tmp_path)
    loaded = Lang.load(tmp_path)
    assert loaded.lexicon == extended.lexicon
    kept = {key: HABITS[key] for key in (("<UNK>", "SPN"), ("A", "a"), ("B", "b"))}
    assert loaded.silence.habits == {**kept, ("AB", "a", "b"): SilenceHabit(0.3)}


def test_without_probabilities_of_its_own_a_pronunciation_has_the_overall_one() -> None:
    constant = make_lang(ENTRIES, LangConfig(silence_probability=0.25))
    for entry in constant.lexicon:
        assert (entry.before, entry.after) == ((0.0, 0.0), (math.log1p(-0.25), math.log(0.25)))
    extended = extend_lang(trained(), [Pronunciation("AB", ("a", "b"))])
    (entry,) = extended.entries_of_word[extended.words.ids["AB"]]
    assert (entry.before, entry.after) == ((0.0, 0.0), (math.log1p(-0.3), math.log(0.3)))
    (kept,) = extended.entries_of_word[extended.words.ids["B"]]
    assert kept.after == pytest.approx((math.log(0.01), math.log(0.99)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("A 0.1 2.0 0.7 a\n", "", "silence.txt: no line of A a (make the directory again with `asrkit train-lexicon`)"),
        ("<s> 0.9\n", "", "no line of <s>"),
        ("A 0.1 2.0 0.7 a\n", "A 0.1 2.0 0.7 b\n", "silence.txt:5: the lexicon does not have A b"),
        ("A 0.1 2.0", "A 1.0 2.0", "silence.txt:5: expected 0 < P < 1 and F > 0, found 'A 1.0 2.0 0.7 a'"),
        ("A 0.1 2.0", "A nan 2.0", "silence.txt:5: expected 0 < P < 1"),
        ("A 0.1 2.0", "A 0.1 0.0", "silence.txt:5: expected 0 < P < 1"),
        ("A 0.1 2.0", "A 0.1 inf", "silence.txt:5: expected 0 < P < 1"),
        ("</s> 2.5 0.05", "</s> 2.5 -1", "silence.txt:3: expected 0 < P < 1"),
        ("A 0.1 2.0 0.7 a\n", "A 0.1 2.0 0.7\n", "silence.txt:5: expected 'WORD P(s|w) F(s|w) F(n|w) PHONE …'"),
        ("A 0.1 2.0", "A 0.1 much", "silence.txt:5: expected 'WORD P(s|w)"),
        ("<s> 0.9", "<s> 0.9 0.1", "silence.txt:2: expected 'WORD P(s|w)"),
        ("</s> 2.5 0.05", "</s> 2.5", "silence.txt:3: expected 'WORD P(s|w)"),
    ],
)
def test_damage_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    trained().save(tmp_path)
    text = (tmp_path / "silence.txt").read_text()
    assert old in text
    (tmp_path / "silence.txt").write_text(text.replace(old, new))
    with pytest.raises(FormatError) as caught:
        Lang.load(tmp_path)
    assert message in str(caught.value)


def test_silence_probabilities_need_optional_silence(tmp_path: Path) -> None:
    trained(silence_probability=0.0).save(tmp_path)
    with pytest.raises(FormatError, match="silence.txt: there is no optional silence"):
        Lang.load(tmp_path)
