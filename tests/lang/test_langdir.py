from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from asrkit.core.errors import ConfigError, FormatError
from asrkit.lang.langdir import Lang, LangConfig, make_lang, read_phone_list
from asrkit.lang.lexicon import Pronunciation
from asrkit.lang.phones import in_word_position, make_inventory, word_position

ENTRIES = [
    Pronunciation("B", ("b", "i", "t")),
    Pronunciation("A", ("a",), 0.5),
    Pronunciation("A", ("a", "i")),
    Pronunciation("!SIL", ("SIL",)),
]


def test_words_stand_as_kaldi_has_them() -> None:
    lang = make_lang(ENTRIES, LangConfig())
    assert lang.words.symbols == ("<eps>", "!SIL", "<UNK>", "A", "B", "#0", "<s>", "</s>")
    assert lang.unknown_word == 2


def test_phones_silence_first_and_symbols_last() -> None:
    lang = make_lang(ENTRIES, LangConfig(noise_phones=("NSN",)))
    # #0, #1 behind the A that begins another, #2 behind the optional silence.
    assert lang.phones.symbols == ("<eps>", "SIL", "SPN", "NSN", "a", "b", "i", "t", "#0", "#1", "#2")
    assert lang.silence_phones == (1, 2, 3)
    assert lang.inventory.nonsilence == (4, 5, 6, 7)
    assert lang.shared_phones == ((1,), (2,), (3,), (4,), (5,), (6,), (7,))
    assert lang.inventory.disambiguation == (8, 9, 10)
    assert lang.optional_silence == 1
    assert lang.topology.num_pdf_classes(3) == 5
    assert lang.topology.num_pdf_classes(4) == 3


def test_entries_in_ids() -> None:
    lang = make_lang(ENTRIES, LangConfig())
    ids = lang.phones.ids
    first, second = lang.entries_of_word[lang.words.ids["A"]]
    assert first.phones == (ids["a"],)
    assert first.log_probability == pytest.approx(math.log(0.5))
    assert first.disambiguation == 1
    assert (second.log_probability, second.disambiguation) == (0.0, 0)
    (unknown,) = lang.entries_of_word[lang.unknown_word]
    assert unknown.phones == (ids["SPN"],)
    assert len(lang.lexicon) == 5


def test_unknown_word_of_the_lexicon_keeps_its_phones() -> None:
    lang = make_lang([*ENTRIES, Pronunciation("<UNK>", ("a", "t"))], LangConfig())
    (entry,) = lang.entries_of_word[lang.unknown_word]
    assert entry.phones == (lang.phones.ids["a"], lang.phones.ids["t"])


def test_position_dependent_phones() -> None:
    assert in_word_position(("a",)) == ("a_S",)
    assert in_word_position(("a", "b")) == ("a_B", "b_E")
    assert in_word_position(("a", "b", "b", "c")) == ("a_B", "b_I", "b_I", "c_E")
    lang = make_lang(ENTRIES, LangConfig(position_dependent=True))
    symbols = lang.phones.symbols
    assert symbols[1:6] == ("SIL", "SIL_B", "SIL_E", "SIL_I", "SIL_S")
    assert symbols[11:15] == ("a_B", "a_E", "a_I", "a_S")
    assert [len(group) for group in lang.shared_phones] == [5, 5, 4, 4, 4, 4]
    assert lang.shared_phones[2] == (11, 12, 13, 14)
    assert [p.phones for p in lang.pronunciations if p.word == "B"] == [("b_B", "i_I", "t_E")]
    assert symbols[lang.optional_silence or 0] == "SIL"
    assert [word_position(s) for s in ("SIL", "a_B", "a_I", "a_E", "a_S")] == [
        "nonword",
        "begin",
        "internal",
        "end",
        "singleton",
    ]


def test_transcripts_in_ids() -> None:
    lang = make_lang(ENTRIES, LangConfig())
    ids, unknown = lang.transcript_ids(["B", "other", "A", "#0", "<s>", "<eps>"])
    words = lang.words.ids
    assert ids.tolist() == [words["B"], 2, words["A"], 2, 2, 2]
    assert ids.dtype == "int32"
    assert unknown == 4
    assert lang.transcript_ids([])[0].shape == (0,)


@pytest.mark.parametrize("position_dependent", [False, True])
def test_saved_and_loaded(tmp_path: Path, position_dependent: bool) -> None:
    lang = make_lang(ENTRIES, LangConfig(position_dependent=position_dependent, silence_probability=0.25))
    lang.save(tmp_path)
    loaded = Lang.load(tmp_path)
    for name in ("words", "inventory", "topology", "pronunciations", "config", "lexicon", "optional_silence"):
        assert getattr(loaded, name) == getattr(lang, name)
    assert (tmp_path / "phones" / "silence.csl").read_text().strip() == ":".join(map(str, lang.silence_phones))
    assert (tmp_path / "phones" / "word_boundary.txt").exists() == position_dependent
    # a_S begins nothing: with word positions only the symbols of back-off and silence are needed.
    symbols = "#0\n#1\n" if position_dependent else "#0\n#1\n#2\n"
    assert (tmp_path / "phones" / "disambig.txt").read_text() == symbols
    assert (tmp_path / "oov.int").read_text() == "2\n"


def test_no_optional_silence(tmp_path: Path) -> None:
    lang = make_lang(ENTRIES, LangConfig(silence_probability=0.0))
    assert lang.optional_silence is None
    lang.save(tmp_path)
    assert Lang.load(tmp_path).optional_silence is None


def test_phones_with_one_name_are_refused() -> None:
    entries = [Pronunciation("A", ("a", "a_B", "a"))]
    assert make_lang(entries, LangConfig()).phones.ids["a_B"]
    with pytest.raises(ConfigError, match="two phones have the symbol"):
        make_inventory(["SIL", "SIL_B"], ["a"], True, 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"silence_probability": 1.0}, "silence_probability is 1.0, expected 0 <= p < 1"),
        ({"num_states": 0}, "num_states is 0"),
        ({"num_silence_states": 1000}, "num_silence_states is 1000"),
        ({"silence_phone": "#0"}, "'#0' is empty, reserved or has a space"),
        ({"unknown_word": "<eps>"}, "'<eps>' is empty, reserved"),
        ({"noise_phones": ("A B",)}, "'A B' is empty, reserved or has a space"),
    ],
)
def test_configurations_that_cannot_be(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LangConfig(**values)  # type: ignore[arg-type]


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not a lang directory: no lang.json.*asrkit make-lang"):
        Lang.load(tmp_path)
    (tmp_path / "lang.json").write_text("{}")
    with pytest.raises(FormatError, match="not the description of a lang directory"):
        Lang.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("config", "x", "not the description of a lang directory"),
        ("config", None, "not the description of a lang directory"),
        ("shared_phones", 3, "not the description of a lang directory"),
        ("shared_phones", "x", "shared_phones is not all phones in groups"),
        ("shared_phones", [], "shared_phones is not all phones in groups"),
        ("shared_phones", [[1000]], "shared_phones is not all phones in groups"),
    ],
)
def test_a_damaged_description_is_named(tmp_path: Path, key: str, value: object, message: str) -> None:
    make_lang(ENTRIES, LangConfig()).save(tmp_path)
    described = json.loads((tmp_path / "lang.json").read_text())
    (tmp_path / "lang.json").write_text(json.dumps({**described, key: value}))
    with pytest.raises(FormatError, match=f"lang.json: {message}.*asrkit make-lang"):
        Lang.load(tmp_path)


@pytest.mark.parametrize("name", ["words.txt", "phones.txt", "lexicon.txt", "topology.json"])
def test_an_absent_file_is_named(tmp_path: Path, name: str) -> None:
    make_lang(ENTRIES, LangConfig()).save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FormatError, match=f"{name}: no such file"):
        Lang.load(tmp_path)


def test_files_of_two_directories_do_not_mix(tmp_path: Path) -> None:
    make_lang(ENTRIES, LangConfig()).save(tmp_path)
    other = make_lang([*ENTRIES, Pronunciation("C", ("c",))], LangConfig())
    other.save(tmp_path / "other")
    for name, message in (("phones.txt", "name different phones"), ("lexicon.txt", "'c' is in no symbol table")):
        kept = (tmp_path / name).read_text()
        (tmp_path / name).write_text((tmp_path / "other" / name).read_text())
        with pytest.raises(FormatError, match=message):
            Lang.load(tmp_path)
        (tmp_path / name).write_text(kept)
    described = json.loads((tmp_path / "lang.json").read_text())
    described["config"]["unknown_word"] = "<nothing>"
    (tmp_path / "lang.json").write_text(json.dumps(described))
    with pytest.raises(FormatError, match="'<nothing>' is in no symbol table"):
        Lang.load(tmp_path)


def test_phone_list(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("a b\nc\n\n")
    assert read_phone_list(tmp_path / "p") == {"a", "b", "c"}
    (tmp_path / "p").write_text("\n")
    with pytest.raises(FormatError, match="list of phones is empty"):
        read_phone_list(tmp_path / "p")
