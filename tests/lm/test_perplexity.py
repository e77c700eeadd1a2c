from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.errors import DataError
from asrkit.lm import perplexity
from asrkit.lm.arpa import read_arpa
from asrkit.lm.counts import count_ngrams
from asrkit.lm.model import BOS, NgramModel, build_model
from asrkit.lm.perplexity import PerplexityReport, sentence_scores, text_perplexity
from asrkit.lm.smoothing import NgramConfig, estimate, uniform_unigram

GOLDEN = Path(__file__).parents[1] / "golden" / "lm"

DEV_SPEAKERS = ["fejs", "flmm2", "fsrb", "mcel", "mdmc", "mfaa", "mjhp", "mmdg", "mrcb", "mskh"]


def model(unknown: str | None = None) -> NgramModel:
    counts = count_ngrams([list("abca"), list("bad"), list("ab")], 3, vocabulary=list("abcd"), unknown=unknown)
    return estimate(counts, NgramConfig(order=3))


def test_uniform_model_has_its_size_as_perplexity() -> None:
    report = text_perplexity(uniform_unigram(list("abcd")), [list("ab"), list("dcba")])
    assert report.perplexity == pytest.approx(5.0)
    assert (report.num_sentences, report.num_words, report.num_outside) == (2, 6, 0)


def test_words_outside_are_left_out_of_the_perplexity_and_counted() -> None:
    closed = model()
    report = text_perplexity(closed, [["a", "zz"], ["b"], []])
    assert (report.num_sentences, report.num_words, report.num_outside) == (3, 3, 1)
    assert report.outside_rate == pytest.approx(1 / 3)
    expected = (
        closed.log10_prob([BOS], "a")
        + closed.log10_prob([], "</s>")  # the word outside breaks the context
        + closed.score(["b"])
        + closed.score([])
    )
    assert report.log10_prob == pytest.approx(expected)
    assert report.perplexity == pytest.approx(10 ** (-expected / 5))
    assert report.perplexity_with_outside == math.inf


def test_unknown_symbol_is_counted_outside_but_can_be_scored() -> None:
    opened = model("<UNK>")
    report = text_perplexity(opened, [["a", "zz"], ["<UNK>", "b"]])
    assert report.num_outside == 2
    total = opened.score(["a", "<UNK>"]) + opened.score(["<UNK>", "b"])
    assert report.log10_prob + report.log10_prob_outside == pytest.approx(total)
    assert report.perplexity_with_outside == pytest.approx(10 ** (-total / 6))


def test_reports_of_parts_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    text = [list("abd"), ["zz", "a"], [], list("ccc")]
    whole = text_perplexity(model(), text)
    monkeypatch.setattr(perplexity, "_BLOCK_TOKENS", 4)
    cut = text_perplexity(model(), text)
    summed = text_perplexity(model(), text[:1]) + text_perplexity(model(), text[1:])
    for other in (cut, summed):
        assert other.num_words == whole.num_words
        assert other.log10_prob == pytest.approx(whole.log10_prob)
    assert (PerplexityReport() + whole).perplexity == whole.perplexity


def test_sentence_scores_are_those_of_the_sentences() -> None:
    closed = model()
    scores = list(sentence_scores(closed, [["a", "b"], [], ["zz", "d"]]))
    assert [outside for _, outside in scores] == [0, 0, 1]
    assert scores[0][0] == pytest.approx(closed.score(["a", "b"]))
    assert scores[1][0] == pytest.approx(closed.score([]))
    assert scores[2][0] == pytest.approx(closed.log10_prob([], "d") + closed.log10_prob(["d"], "</s>"))


def test_impossible_words_are_counted() -> None:
    prob = np.array([-np.inf, -0.3, -np.inf])
    impossible = build_model((BOS, "</s>", "a"), [(np.arange(3).reshape(3, 1), prob, np.zeros(3))])
    report = text_perplexity(impossible, [["a"]])
    assert report.num_impossible == 1
    assert report.perplexity == math.inf


def test_no_text_is_an_error() -> None:
    with pytest.raises(DataError, match="holds no sentences"):
        text_perplexity(model(), [])


@pytest.mark.slow
def test_an4_dev_perplexity_equals_that_of_kenlm(corpora: Path) -> None:
    """KenLM's `query` gives 16.092453614921627 and 14.190271988881687, 6 words outside, 890 tokens with </s>."""
    lines = (corpora / "an4" / "etc" / "an4_train.transcription").read_text().splitlines()
    parsed = [re.fullmatch(r"(?:<s>)?\s*(.*?)\s*(?:</s>)?\s*\((.*)\)", line) for line in lines]
    sentences = [m[1].split() for m in parsed if m is not None and m[2].split("-")[1] in DEV_SPEAKERS]
    golden = text_perplexity(read_arpa(GOLDEN / "an4_dev_split_tg.arpa"), sentences)
    assert (golden.num_words, golden.num_outside, golden.num_sentences) == (762, 6, 128)
    assert golden.perplexity == pytest.approx(16.092453614921627, rel=1e-6)
    assert text_perplexity(read_arpa(GOLDEN / "an4_lmplz_4gram.arpa.gz"), sentences).perplexity == pytest.approx(
        14.190271988881687, rel=1e-6
    )
