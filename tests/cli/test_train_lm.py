from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.lm.arpa import read_arpa
from asrkit.lm.grammar import read_grammar

TEXT = "a b c\nb a\na b\nc c a b\n"
DEV = "a b\nc z\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "text").write_text(TEXT)
    (tmp_path / "dev").write_text(DEV)
    (tmp_path / "words").write_text("a\nb\nc\nd\n")
    return tmp_path


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["train-lm", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def figures(*arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json").stdout)["figures"]
    return found


def test_ngram_with_dev_and_a_second_run(folder: Path) -> None:
    found = figures("ngram", folder / "text", folder / "lm.arpa.gz", "--dev", folder / "dev", "--set", "order=2")
    assert found["ngrams_1"] == 5
    assert (found["sentences"], found["words"], found["dev_oov"], found["dev_oov_percent"]) == (4, 11, 1, 25.0)
    model = read_arpa(folder / "lm.arpa.gz")
    assert model.order == 2
    measured = figures("perplexity", folder / "lm.arpa.gz", folder / "dev")
    assert measured["perplexity"] == pytest.approx(found["dev_perplexity"], rel=1e-5)
    again = json.loads(
        run(
            "ngram", folder / "text", folder / "lm.arpa.gz", "--dev", folder / "dev", "--set", "order=2", "--json"
        ).stdout
    )
    assert again["skipped"]
    changed = run("ngram", folder / "text", folder / "lm.arpa.gz", "--dev", folder / "dev", "--set", "order=1", "-v")
    assert "order was 2, is 1" in changed.stderr


@pytest.mark.parametrize("kind", ["kneser-ney", "witten-bell", "kneser-ney-backoff"])
def test_vocabulary_and_unknown_symbol(folder: Path, kind: str) -> None:
    (folder / "text").write_text("u1 a b x\nu2 b y\n")
    out = folder / "lm.arpa"
    closed = run(
        "ngram", folder / "text", out, "--data-text", "--vocab", folder / "words", "--set", f"smoothing={kind}"
    )
    assert "2 of 5 words are outside the vocabulary" in closed.stderr
    assert read_arpa(out).words == ("<s>", "</s>", "a", "b", "c", "d")
    run("ngram", folder / "text", out, "--data-text", "--vocab", folder / "words",
        "--set", f"smoothing={kind}", "--set", "unknown=<UNK>")  # fmt: skip
    model = read_arpa(out)
    assert "<UNK>" in model.words
    assert model.log10_prob(["b"], "anything") == model.log10_prob(["b"], "<UNK>") > -2


def test_short_sentences_make_a_model_of_lower_order(folder: Path) -> None:
    (folder / "text").write_text("a\nb\n")
    result = run("ngram", folder / "text", folder / "lm.arpa", "--set", "order=5")
    assert "the model is of order 3" in result.stderr
    assert read_arpa(folder / "lm.arpa").order == 3


def test_interpolate_with_weight_and_by_em(folder: Path) -> None:
    run("ngram", folder / "text", folder / "one.arpa")
    run("uniform", folder / "words", folder / "two.arpa", "--unknown", "<UNK>")
    pair = (folder / "one.arpa", folder / "two.arpa", folder / "mix.arpa")
    given = figures("interpolate", *pair, "--weight", "0.25")
    assert given["weight"] == 0.25
    assert read_arpa(pair[2]).words == ("<s>", "</s>", "<UNK>", "a", "b", "c", "d")
    tuned = figures("interpolate", *pair, "--dev", folder / "dev")
    assert 0 < tuned["weight"] < 1
    assert tuned["em_iterations"] > 1
    fixed = figures("interpolate", *pair, "--dev", folder / "dev", "--weight", "0.02")
    assert tuned["dev_perplexity"] < fixed["dev_perplexity"]


def test_prune(folder: Path) -> None:
    run("ngram", folder / "text", folder / "lm.arpa")
    found = figures("prune", folder / "lm.arpa", folder / "small.arpa", "--threshold", "0.02", "--dev", folder / "dev")
    assert found["ngrams_before"] > sum(value for key, value in found.items() if re.fullmatch(r"ngrams_\d", key))
    assert found["dev_perplexity"] > 1


def test_perplexity_by_sentence(folder: Path) -> None:
    (folder / "data_text").write_text("u1 a b\nu2 c z\n")
    run("ngram", folder / "text", folder / "lm.arpa")
    result = run("perplexity", folder / "lm.arpa", folder / "data_text", "--data-text", "--per-sentence")
    lines = result.stdout.splitlines()
    model = read_arpa(folder / "lm.arpa")
    assert lines[0].split() == ["u1", f"{model.score(['a', 'b']):.4f}", "2", "0"]
    assert lines[1].split()[2:] == ["2", "1"]
    assert "oov_percent 25" in lines[2]


def test_uniform_is_uniform(folder: Path) -> None:
    run("uniform", folder / "words", folder / "lm.arpa")
    assert figures("perplexity", folder / "lm.arpa", folder / "text")["perplexity"] == pytest.approx(5, rel=1e-5)


def test_grammar_is_checked_and_listed(folder: Path) -> None:
    (folder / "g.jsgf").write_text("#JSGF V1.0;\ngrammar g;\npublic <s> = go (left | right);\n")
    result = run("grammar", folder / "g.jsgf", "--list", "3")
    assert result.stdout.splitlines()[:2] == ["0.500000 go left", "0.500000 go right"]
    assert read_grammar(folder / "g.jsgf").words() == ("go", "left", "right")


def test_bad_input_is_one_clean_line(folder: Path) -> None:
    text, out = folder / "text", folder / "x.arpa"
    (folder / "marked").write_text("<s> a </s>\n")
    (folder / "empty").write_text("\n\n")
    (folder / "bad.arpa").write_text("\\data\\\nngram 1=2\n\n\\1-grams:\n-1 a\n\\end\\\n")
    (folder / "bad.jsgf").write_text("#JSGF V1.0;\npublic <s> = a <s>;\n")
    run("ngram", text, folder / "good.arpa")
    good = folder / "good.arpa"
    cases = [
        (("ngram", folder / "none", out), "none: no such file"),
        (("ngram", folder / "marked", out), "marked:1: a sentence holds <s> or </s>"),
        (("ngram", folder / "empty", out), "holds no words"),
        (("ngram", text, out, "--vocab", folder / "empty"), "empty: no words in the list"),
        (("ngram", text, out, "--set", "order=0"), "order is 0"),
        (("ngram", text, out, "--set", "ordr=2"), "did you mean order?"),
        (("ngram", text, out, "--dev", folder / "none"), "none: no such file"),
        (("perplexity", folder / "bad.arpa", text), "bad.arpa:6: '\\\\end\\\\' found"),
        (("perplexity", good, folder / "none"), "none: no such file"),
        (("interpolate", good, good, out), "neither a weight nor a held-out text"),
        (("interpolate", good, good, out, "--weight", "2"), "expected a number between 0 and 1"),
        (("prune", good, out, "--threshold", "0"), "expected a positive number"),
        (("uniform", folder / "empty", out), "empty: no words in the list"),
        (("grammar", folder / "bad.jsgf"), "bad.jsgf:2:16: the rule <s> is recursive"),
    ]
    for arguments, message in cases:
        result = run(*arguments, code=1)
        assert message in result.stderr, result.stderr
        assert len(result.stderr.splitlines()) <= 1 or "too few" in result.stderr
        assert not out.exists()
