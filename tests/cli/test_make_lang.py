"""`asrkit make-lang`: what it writes, and every mistake a user can make."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.graph.arrays import load_graph
from asrkit.graph.lexicon_fst import lexicon_fst
from asrkit.lang.langdir import Lang

LEXICON = "A ey\nB b i\nA ah\nBEE b i\n"


@pytest.fixture
def lexicon(tmp_path: Path) -> Path:
    path = tmp_path / "my lexicon.txt"
    path.write_text(LEXICON)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["make-lang", *map(str, arguments)])


def test_writes_a_lang_directory(lexicon: Path, tmp_path: Path) -> None:
    import kaldifst

    out = tmp_path / "lang"
    result = run(lexicon, out, "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)["figures"]
    assert figures == {
        "words": 4,
        "pronunciations": 5,
        "silence_phones": 2,
        "speech_phones": 4,
        "disambiguation_symbols": 4,
    }
    lang = Lang.load(out)
    assert lang.words.symbols[1:5] == ("<UNK>", "A", "B", "BEE")
    for name, disambiguated in (("L.fst", False), ("L_disambig.fst", True)):
        stored = load_graph(out / name)
        assert stored.num_arcs == lexicon_fst(lang, disambiguated).num_arcs
        assert kaldifst.StdVectorFst.read(str(out / name)).num_states == stored.num_states


def test_a_second_run_does_nothing_and_a_changed_lexicon_does(lexicon: Path, tmp_path: Path) -> None:
    out = tmp_path / "lang"
    assert run(lexicon, out).exit_code == 0
    assert json.loads(run(lexicon, out, "--json").stdout)["skipped"]
    lexicon.write_text(LEXICON + "C s i\n")
    assert not json.loads(run(lexicon, out, "--json").stdout)["skipped"]
    assert "C" in Lang.load(out).words


def test_options(lexicon: Path, tmp_path: Path) -> None:
    topology = tmp_path / "t.toml"
    topology.write_text(
        '[[hmm]]\nphones = "silence"\nstates = [{pdf_class = 0, transitions = [[0, 0.5], [1, 0.5]]}]\n'
        '[[hmm]]\nphones = "speech"\nstates = [{pdf_class = 0, transitions = [[0, 0.6], [1, 0.4]]}]\n'
    )
    phones = tmp_path / "phones"
    phones.write_text("ey ah b i\n")
    options = ("--position-dependent", "--silence-probability", 0.2, "--topology", topology, "--phones", phones)
    result = run(lexicon, tmp_path / "lang", *options, "--set", 'noise_phones=["NSN"]')
    assert result.exit_code == 0, result.output
    lang = Lang.load(tmp_path / "lang")
    assert lang.config.position_dependent
    assert lang.config.silence_probability == 0.2
    assert lang.topology.num_pdf_classes(1) == 1
    assert lang.topology.states(lang.phones.ids["b_B"])[0].transitions == ((0, 0.6), (1, 0.4))
    assert "NSN_S" in lang.phones
    assert (tmp_path / "lang" / "phones" / "word_boundary.int").exists()
    # Without word positions again: what the first run wrote of them is gone.
    assert run(lexicon, tmp_path / "lang").exit_code == 0
    assert not (tmp_path / "lang" / "phones" / "word_boundary.int").exists()


@pytest.mark.parametrize(
    ("text", "options", "code", "message"),
    [
        ("A ey\nA ey\n", (), 1, "lexicon.txt:2: 'A' with the phones ey stands in line 1 already"),
        ("A ey\nB\n", (), 1, "lexicon.txt:2: word 'B' has no phones"),
        ("<eps> ey\n", (), 1, "lexicon.txt:1: '<eps>' is reserved"),
        ("#0 ey\n", (), 1, "lexicon.txt:1: '#0' is reserved"),
        ("", (), 1, "lexicon.txt: the lexicon is empty"),
        ("A 0.5 ey\nB b\n", (), 1, "lexicon.txt:1: the second field is a probability here, and none in line 2"),
        (b"A \xe4\n", (), 1, "lexicon.txt:1: not UTF-8 text"),
        (LEXICON, ("--phones", "phones"), 1, "lexicon.txt:3: word 'A' has the unknown phone 'ah'"),
        (LEXICON, ("--phones", "absent"), 1, "absent: no such file"),
        (LEXICON, ("--topology", "absent.toml"), 1, "absent.toml: not a topology in TOML"),
        (LEXICON, ("--silence-probability", "1.5"), 1, "silence_probability is 1.5, expected 0 <= p < 1"),
        (LEXICON, ("--set", "num_state=3"), 1, "unknown key num_state (did you mean num_states?)"),
        (LEXICON, ("--set", "silence_phone=#1"), 1, "'#1' is empty, reserved"),
        (LEXICON, ("--position", "x"), 2, "No such option"),
    ],
)
def test_each_mistake_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str | bytes,
    options: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my lexicon.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "phones").write_text("ey b i")
    result = run("my lexicon.txt", "lang", *options)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "lang" / "lang.json").exists()


def test_an_absent_lexicon(tmp_path: Path) -> None:
    result = run(tmp_path / "absent", tmp_path / "lang")
    assert result.exit_code == 1
    assert "absent: no such file" in result.stderr
