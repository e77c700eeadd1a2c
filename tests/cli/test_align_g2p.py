"""`asrkit align --oov g2p`: words outside the lexicon on the planted world, said by a G2P model of its phones."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from asrkit.core.files import read_lines, write_lines
from asrkit.lang.g2p import G2pConfig, train_g2p
from asrkit.lang.langdir import Lang
from tests.cli.test_align import World, assert_same_spans, figures, read_rows, run


def spelt(letters: str = "yesnot", phone: str = "{}") -> dict[str, list[tuple[str, ...]]]:
    """All words of up to three letters, each letter said as the phone of its name."""
    words = ("".join(word) for size in (1, 2, 3) for word in itertools.product(letters, repeat=size))
    return {word: [tuple(phone.format(letter) for letter in word)] for word in words}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("g2p") / "g2p.safetensors"
    train_g2p(spelt(), G2pConfig(order=3))[0].save(path)
    return path


@pytest.fixture(params=[False, True], ids=["plain", "position-dependent"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """The world, with `Not` written for `not`: no word of the lexicon, but its letters say the same."""
    world = World(tmp_path, positions=request.param)
    text = (world.data / "text").read_text().replace(" not", " Not")
    (world.data / "text").write_text(text)
    world.words = {
        key: [(name.replace("not", "Not"), first, last) for name, first, last in segments]
        for key, segments in world.words.items()
    }
    return world


def test_words_are_aligned_as_they_are_spelt_and_reported(world: World, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = figures(run(world, out, "--json", "--oov", "g2p", "--g2p", model))
    for name, planted in (("phones.ctm", world.phones), ("words.ctm", world.words)):
        for recording, rows in read_rows(out / name).items():
            assert_same_spans(rows, world.timed(planted, recording))
    assert read_lines(out / "g2p.txt") == ["Not\t2\tn o t"]
    # f is no letter of the model: today's way, and no silence about it.
    assert read_lines(out / "oov.txt") == ["foo\t1\tbob-1"]
    assert (report["g2p_types"], report["oov_types"], report["oov_words"]) == (1, 1, 1)
    # The twin: as the unknown word, `Not` has one phone.
    figures(run(world, tmp_path / "unk", "--json"))
    assert read_lines(tmp_path / "unk" / "oov.txt") == ["Not\t2\tann-2", "foo\t1\tbob-1"]
    assert read_rows(tmp_path / "unk" / "phones.ctm") != read_rows(out / "phones.ctm")


def test_the_language_grows_and_its_phones_stay(world: World, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    figures(run(world, out, "--json", "--oov", "g2p", "--g2p", model))
    for name in ("lang/phones.txt", "topology.json", "model.safetensors"):
        assert (out / name).read_bytes() == (world.model / name).read_bytes()
    grown, before = Lang.load(out / "lang"), Lang.load(world.model / "lang", world.model / "topology.json")
    assert {p.word for p in grown.pronunciations} - {p.word for p in before.pronunciations} == {"Not"}
    # So the output aligns the same words without the G2P model.
    world.model = out
    again = figures(run(world, tmp_path / "again", "--json"))
    assert again["oov_types"] == 1
    assert (tmp_path / "again" / "ali.ark").read_bytes() == (out / "ali.ark").read_bytes()
    assert not (tmp_path / "again" / "g2p.txt").exists()


def test_what_fits_best_of_several_pronunciations_is_taken(world: World, tmp_path: Path) -> None:
    wrong_first = {word: [said[0], (*said[0][:-1], "e")] for word, said in spelt().items()}
    train_g2p(wrong_first, G2pConfig(order=3))[0].save(tmp_path / "two")
    out = tmp_path / "out"
    figures(run(world, out, "--json", "--oov", "g2p", "--g2p", tmp_path / "two", "--set", "g2p_nbest=4"))
    said = [line.split("\t") for line in read_lines(out / "g2p.txt")]
    assert len(said) == 4
    assert {tuple(row[:2]) for row in said} == {("Not", "2")}
    assert_same_spans(read_rows(out / "phones.ctm")["cat"], world.timed(world.phones, "cat"))


def test_a_word_of_the_extra_lexicon_is_not_guessed(world: World, model: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "more.txt", ["foo SPN"])
    out = tmp_path / "out"
    options = ("--oov", "g2p", "--g2p", model, "--lexicon", tmp_path / "more.txt")
    assert figures(run(world, out, "--json", *options))["oov_types"] == 0
    assert read_lines(out / "g2p.txt") == ["Not\t2\tn o t"]


def test_mistakes_give_one_clean_line(world: World, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    train_g2p(spelt(phone="{}1"), G2pConfig(order=3))[0].save(tmp_path / "stressed")
    for options, message in (
        (("--oov", "g2p"), "`--oov g2p` and `--g2p MODEL` belong together"),
        (("--g2p", model), "`--oov g2p` and `--g2p MODEL` belong together"),
        (("--oov", "g2p", "--g2p", tmp_path / "none"), "none: "),
        (("--oov", "g2p", "--g2p", tmp_path / "stressed"), "stressed: word 'Not' has the phone 'n1"),
        (("--oov", "g2p", "--g2p", tmp_path / "stressed"), "--strip-stress"),
        (("--oov", "g2p", "--g2p", model, "--set", "g2p_nbest=0"), "g2p_nbest is 0"),
    ):
        result = run(world, out, *options)
        assert result.exit_code == 1, result.output
        assert message in result.output
        assert not (out / "ali.scp").exists()
