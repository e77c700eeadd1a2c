from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.container import load_model, save_model
from asrkit.core.errors import ConfigError, DataError, ModelError
from asrkit.lang.g2p import KIND, G2p, G2pConfig, gather_words, spell, train_g2p
from asrkit.lang.g2p_alignment import AlignmentConfig
from asrkit.lang.lexicon import Pronunciation, normalise

VOWELS = {"a": "AH", "e": "EH", "o": "OW"}
CONSONANTS = {"t": "T", "s": "S", "h": "HH", "n": "N", "k": "K", "sh": "SH", "nk": "NG K", "c": "K"}


def planted(num: int, seed: int) -> dict[str, list[tuple[str, ...]]]:
    """Words of a toy language whose spelling says everything: digraphs, c is S before e, the last e is silent."""
    rng = np.random.default_rng(seed)
    words: dict[str, list[tuple[str, ...]]] = {}
    while len(words) < num:
        spelling, phones = "", ""
        for _ in range(rng.integers(1, 4)):
            consonant = str(rng.choice(list(CONSONANTS)))
            vowel = str(rng.choice(list(VOWELS)))
            if consonant == "c" and vowel == "e":
                phones += f" S {VOWELS[vowel]}"
            else:
                phones += f" {CONSONANTS[consonant]} {VOWELS[vowel]}"
            spelling += consonant + vowel
        if spelling.endswith("te"):
            continue  # its e would be silent
        if rng.random() < 0.3:
            spelling += "te"
            phones += " T"
        words[spelling] = [tuple(phones.split())]
    return words


@pytest.mark.parametrize("max_letters", [1, 2])
def test_a_planted_orthography_is_learnt_exactly(max_letters: int) -> None:
    config = G2pConfig(order=5, alignment=AlignmentConfig(max_letters=max_letters))
    words = planted(1500, 0)
    g2p, training = train_g2p(words, config)
    unseen = {word: said for word, said in planted(1700, 7).items() if word not in words}
    assert len(unseen) > 300
    wrong = [word for word, said in unseen.items() if g2p.pronounce(word)[0][0] != said[0]]
    assert wrong == []
    assert (np.diff(training.loglikes) > -1e-12).all()
    assert training.unaligned == ()
    # the twin: spelling that says nothing about the phones cannot be learnt
    shuffled = dict(zip(words, [said for word, said in sorted(words.items(), key=lambda item: item[0][::-1])]))
    poor, _ = train_g2p(shuffled, config)
    some = list(unseen.items())[:60]
    assert sum(poor.pronounce(word)[0][0] != said[0] for word, said in some) > 30


def test_alternative_pronunciations_and_their_probabilities() -> None:
    """Words in -o are said with OW three times as often as with AA."""
    words = {
        f"{a}{b}o": [(a.upper(), b.upper(), "AA" if n % 4 == 0 else "OW")]
        for n, (a, b) in enumerate((a, b) for a in "bdfgklmnprs" for b in "bdfgklmnprs")
    }
    g2p, _ = train_g2p(words, G2pConfig(order=1, alignment=AlignmentConfig(max_letters=1)))
    found = g2p.pronounce("bobo", 10)
    assert len(found) == 4
    assert [phones for phones, _ in found] == [
        ("B", "OW", "B", "OW"),
        ("B", "AA", "B", "OW"),
        ("B", "OW", "B", "AA"),
        ("B", "AA", "B", "AA"),
    ]
    assert math.fsum(math.exp(log_prob) for _, log_prob in found) == pytest.approx(1.0, abs=1e-6)
    # of 121 words 31 have AA; with an order of 1 nothing but the pieces' own frequencies counts
    ratio = math.exp(found[0][1] - found[1][1])
    assert 2.5 < ratio < 3.5
    entries = g2p.entries("BOBO", 2)
    assert [entry.word for entry in entries] == ["BOBO", "BOBO"]
    assert entries[0].probability == 1.0
    assert entries[1].probability == pytest.approx(1 / ratio)
    assert normalise(entries) == entries


def test_best_of_many_are_sorted_distinct_and_begin_alike() -> None:
    words = planted(200, 3)
    g2p, _ = train_g2p(words, G2pConfig(order=3))
    for word in ("shaco", "nkeset", "hhh"):
        found = g2p.pronounce(word, 20)
        assert len({phones for phones, _ in found}) == len(found) > 1
        scores = [score for _, score in found]
        assert scores == sorted(scores, reverse=True)
        assert max(scores) <= 0.0
        assert all(phones for phones, _ in found)
        assert math.fsum(map(math.exp, scores)) <= 1 + 1e-9
        assert g2p.pronounce(word, 5) == found[:5]


def test_a_saved_model_is_the_same_model(tmp_path: Path) -> None:
    words = {"Straße": [("SH", "T")], "naïve": [("N", "AA"), ("N", "IY")], "şah": [("SH", "AA")], "né": [("N", "EY")]}
    config = G2pConfig(order=4, fold_case=True, alignment=AlignmentConfig(max_letters=2))
    g2p, training = train_g2p(words, config)
    path = tmp_path / "g2p.safetensors"
    g2p.save(path)
    read = G2p.load(path)
    assert read.config == config
    assert (read.letters, read.phones, read.graphones) == (g2p.letters, g2p.phones, g2p.graphones)
    assert {"ß", "ï", "ş", "é"} <= set(read.letters)
    for word in (*words, "STRAßE", "ne\u0301", "Şah"):
        assert read.pronounce(word, 4) == g2p.pronounce(word, 4)
    assert read.pronounce("ne\u0301") == read.pronounce("n\u00e9") == read.pronounce("NÉ")
    assert training.num_pronunciations == 5
    again, _ = train_g2p(dict(reversed(words.items())), config)
    again.save(tmp_path / "again.safetensors")
    assert sorted(again.graphones) == sorted(g2p.graphones)


def test_training_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    words = planted(100, 5)
    for name in ("one", "two"):
        train_g2p(words, G2pConfig(order=4))[0].save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    train_g2p(planted(100, 6), G2pConfig(order=4))[0].save(tmp_path / "three")
    assert (tmp_path / "one").read_bytes() != (tmp_path / "three").read_bytes()


def test_case_is_kept_when_asked() -> None:
    words = {"Ab": [("X",)], "ab": [("Y",)]}
    kept, _ = train_g2p(words, G2pConfig(order=2, fold_case=False))
    assert kept.pronounce("Ab")[0][0] == ("X",)
    assert kept.pronounce("ab")[0][0] == ("Y",)
    with pytest.raises(DataError, match="'B' of the word 'AB' is unknown"):
        kept.pronounce("AB")


@pytest.mark.parametrize(("word", "message"), [("", "without letters"), ("taño", "'ñ' of the word 'taño' is unknown")])
def test_words_that_cannot_be_pronounced(word: str, message: str) -> None:
    g2p, _ = train_g2p(planted(50, 1), G2pConfig(order=2))
    with pytest.raises(DataError, match=message):
        g2p.pronounce(word)


def test_too_many_phones_for_the_letters_are_reported() -> None:
    words = {"ab": [("A", "B")], "w": [("D", "AH", "B")], "ba": [("B", "A")]}
    g2p, training = train_g2p(words, G2pConfig(order=2))
    assert training.unaligned == (("w", ("D", "AH", "B")),)
    assert training.num_pronunciations == 2
    assert g2p.letters == ("a", "b")
    with pytest.raises(DataError, match="'w' has 1 letters and 3 phones, a letter may have 2"):
        train_g2p({"w": [("D", "AH", "B")]}, G2pConfig())
    with pytest.raises(DataError, match="no word with letters"):
        train_g2p({}, G2pConfig())


def test_gathering_words_as_cmudict_writes_them() -> None:
    entries = [
        Pronunciation("Read", ("R", "EH1", "D")),
        Pronunciation("read(2)", ("R", "IY1", "D")),
        Pronunciation("READ(3)", ("R", "IY0", "D")),
        Pronunciation("aalen", ("AE1", "L", "AH0", "N", "#", "place,", "german")),
        Pronunciation("<unk>", ("SPN",)),
        Pronunciation("[noise]", ("NSN",)),
        Pronunciation("%", ("P", "ER0")),
        Pronunciation("'em", ("AH0", "M")),
    ]
    assert gather_words(entries, G2pConfig(strip_stress=True)) == {
        "'em": (("AH", "M"),),
        "aalen": (("AE", "L", "AH", "N"),),
        "read": (("R", "EH", "D"), ("R", "IY", "D")),
    }
    kept = gather_words(entries, G2pConfig(fold_case=False))
    assert kept["Read"] == (("R", "EH1", "D"),)
    assert kept["READ"] == (("R", "IY0", "D"),)
    assert gather_words([Pronunciation("a", ("2", "A22"))], G2pConfig(strip_stress=True)) == {"a": (("2", "A"),)}


def test_spelling() -> None:
    assert spell("E\u0301A", True) == ("é", "a")
    assert spell("E\u0301A", False) == ("É", "A")
    assert spell("İ", True) == ("i", "\u0307")


def test_files_that_are_no_usable_model(tmp_path: Path) -> None:
    path = tmp_path / "g2p.safetensors"
    g2p, _ = train_g2p(planted(50, 1), G2pConfig(order=2))
    g2p.save(path)
    arrays, meta = load_model(path, KIND)
    with pytest.raises(ModelError, match="no such model file"):
        G2p.load(tmp_path / "absent")
    broken = [
        ({**arrays, "arc_next": arrays["arc_next"] + np.int32(9999)}, meta, "contradict"),
        ({name: array for name, array in arrays.items() if name != "arc_unit"}, meta, "arc_unit"),
        (arrays, {**meta, "graphones": [*meta["graphones"][:-1], [meta["graphones"][0][0], ["Z"]]]}, "not in order"),
        (arrays, {**meta, "graphones": meta["graphones"][:-1]}, "contradict"),
        (arrays, {**meta, "config": {"order": 0}}, "order is 0"),
        (arrays, {name: value for name, value in meta.items() if name != "letters"}, "letters"),
    ]
    for bad_arrays, bad_meta, message in broken:
        save_model(path, KIND, bad_arrays, bad_meta)
        with pytest.raises(ModelError, match=message):
            G2p.load(path)
    save_model(path, "gmm", arrays, meta)
    with pytest.raises(ModelError, match="expected 'g2p'"):
        G2p.load(path)


def test_wrong_order() -> None:
    with pytest.raises(ConfigError, match="order is 0"):
        dataclasses.replace(G2pConfig(), order=0)
