from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asrkit.core.errors import FormatError
from asrkit.lm import arpa
from asrkit.lm.arpa import read_arpa, write_arpa
from asrkit.lm.counts import count_ngrams
from asrkit.lm.smoothing import NgramConfig, estimate
from tests.lm import brute

GOLDEN = Path(__file__).parents[1] / "golden" / "lm"

SMALL = r"""
\data\
ngram 1=4
ngram 2=3

\1-grams:
-99	<s>	-0.30
-0.5	</s>
-0.6	a	-0.2
-0.7	é	-0.1

\2-grams:
-0.1	<s> a
-0.2	a é
-0.3	é </s>

\end\
"""


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_small_file_by_hand(tmp_path: Path) -> None:
    model = read_arpa(write(tmp_path / "x.arpa", SMALL))
    assert model.words == ("<s>", "</s>", "a", "é")
    assert model.num_ngrams == (4, 3)
    assert model.log10_prob(["<s>"], "a") == -0.1
    assert model.log10_prob(["<s>"], "é") == pytest.approx(-0.3 - 0.7)
    assert model.layers[0].log10_prob[0] == -np.inf


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\t", " "),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("a é", "a\té").replace("-0.2\ta é", "  -0.2\ta é  "),
        lambda text: text.replace("-0.2\ta", "\n\n-0.2\ta"),
        lambda text: "made by hand\n\n" + text.replace("ngram 1=4", "ngram 1 = 4"),
        lambda text: text + "\nanything after the end\n",
    ],
)
def test_other_layouts_mean_the_same(tmp_path: Path, change: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(change)
    monkeypatch.setattr(arpa, "_CHUNK_LINES", 2)
    found = read_arpa(write(tmp_path / "x.arpa", change(SMALL)))
    expected = read_arpa(write(tmp_path / "y.arpa", SMALL))
    assert found.words == expected.words
    for one, two in zip(found.layers, expected.layers):
        np.testing.assert_array_equal(one.keys, two.keys)
        np.testing.assert_array_equal(one.log10_prob, two.log10_prob)
        np.testing.assert_array_equal(one.log10_backoff, two.log10_backoff)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(brute.texts, st.integers(1, 4), st.sampled_from(["", ".gz"]))
def test_round_trip(tmp_path: Path, sentences: list[list[str]], order: int, suffix: str) -> None:
    model = estimate(count_ngrams(sentences, order), NgramConfig(order=order))
    path = tmp_path / f"x.arpa{suffix}"
    write_arpa(path, model)
    again = read_arpa(path)
    assert again.words == model.words
    for one, two in zip(again.layers, model.layers, strict=True):
        np.testing.assert_array_equal(one.keys, two.keys)
        np.testing.assert_allclose(10**one.log10_prob, 10**two.log10_prob, rtol=0, atol=2e-7)
        np.testing.assert_allclose(one.log10_backoff, two.log10_backoff, rtol=0, atol=6e-8)
    first = path.read_bytes()
    write_arpa(path, again)
    assert path.read_bytes() == first


def test_gzip_is_recognised_without_its_name(tmp_path: Path) -> None:
    path = tmp_path / "x.arpa"
    path.write_bytes(gzip.compress(SMALL.encode()))
    assert read_arpa(path).num_ngrams == (4, 3)


def test_golden_file_written_again_holds_the_same_lines(tmp_path: Path) -> None:
    golden = GOLDEN / "an4_dev_split_tg.arpa"
    write_arpa(tmp_path / "x.arpa", read_arpa(golden))
    assert sorted((tmp_path / "x.arpa").read_text().splitlines()) == sorted(golden.read_text().splitlines())


def test_chunks_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_arpa(GOLDEN / "an4_dev_split_tg.arpa")
    monkeypatch.setattr(arpa, "_CHUNK_LINES", 97)
    again = read_arpa(GOLDEN / "an4_dev_split_tg.arpa")
    assert again.words == whole.words
    np.testing.assert_array_equal(again.layers[2].keys, whole.layers[2].keys)
    np.testing.assert_array_equal(again.layers[1].log10_backoff, whole.layers[1].log10_backoff)


FAULTS = [
    ("\\data\\", "", "x.arpa:17", "no \\data\\ line"),
    ("ngram 1=4\n", "", "x.arpa:3", "'ngram 2=' found, expected 'ngram 1='"),
    ("ngram 1=4\nngram 2=3", "", "x.arpa:5", "expected 'ngram 1=COUNT', found '\\\\1-grams:'"),
    ("ngram 2=3", "ngram 2=4", "x.arpa:17", "'\\\\end\\\\' found, and the header announces more 2-grams"),
    ("ngram 2=3", "ngram 2=2", "x.arpa:15", "more 2-grams than the 2 that the header announces: '-0.3\\té </s>'"),
    ("ngram 1=4", "ngram 1=5", "x.arpa:12", "'\\\\2-grams:' found, and the header announces more 1-grams"),
    ("ngram 1=4", "ngram 1=3", "x.arpa:10", "more 1-grams than the header announces"),
    ("\\2-grams:", "\\3-grams:", "x.arpa:12", "expected \\2-grams:, found '\\\\3-grams:'"),
    ("\n\\end\\\n", "", "x.arpa:15", "the file ends without \\end\\"),
    ("-0.3\té </s>\n\n\\end\\\n", "", "x.arpa:14", "the file ends after 2 of 3 2-grams"),
    ("-0.2\ta é", "-0.2\ta é b", "x.arpa:14", "expected a log10 probability, 2 words, found 4 fields"),
    ("-0.2\ta é", "-0.2\ta", "x.arpa:14", "expected a log10 probability, 2 words, found 2 fields"),
    ("-0.6\ta\t-0.2", "-0.6\ta\t-0.2\t1", "x.arpa:9", "1 word and perhaps a back-off weight, found 4 fields"),
    ("-0.2\ta é", "-0.2\ta b", "x.arpa:14", "the word 'b' is not among the unigrams"),
    ("-0.2\ta é", "0.2\ta é", "x.arpa:14", "log10 probability 0.2 is positive"),
    ("-0.2\ta é", "nan\ta é", "x.arpa:14", "log10 probability is 'nan', expected a finite number"),
    ("-0.2\ta é", "abc\ta é", "x.arpa:14", "expected a number, found 'abc'"),
    ("a\t-0.2", "a\tinf", "x.arpa:9", "back-off weight is 'inf'"),
    ("-0.2\ta é", "-0.2\t<s> a", "x.arpa:14", "the n-gram '<s> a' is listed twice"),
    ("-0.7\té", "-0.7\ta", "x.arpa:10", "the unigram 'a' is listed twice"),
    ("-0.5\t</s>", "-0.5\tx", "x.arpa:15", "the word '</s>' is not among the unigrams"),
]


@pytest.mark.parametrize(("old", "new", "where", "message"), FAULTS)
def test_malformed_files_name_the_line(tmp_path: Path, old: str, new: str, where: str, message: str) -> None:
    assert old in SMALL
    path = write(tmp_path / "x.arpa", SMALL.replace(old, new, 1))
    with pytest.raises(FormatError) as caught:
        read_arpa(path)
    assert message in caught.value.message
    assert str(caught.value.where).endswith(where)


def test_blank_lines_do_not_shift_the_line_of_a_fault(tmp_path: Path) -> None:
    text = SMALL.replace("-0.1\t<s> a\n-0.2\ta é", "\n-0.1\t<s> a\n\n\n-0.2\t<s> a")
    with pytest.raises(FormatError, match="listed twice") as caught:
        read_arpa(write(tmp_path / "x.arpa", text))
    assert str(caught.value.where).endswith(":17")


def test_files_that_are_no_arpa(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        read_arpa(tmp_path / "none.arpa")
    packed = gzip.compress(SMALL.encode())
    (tmp_path / "cut.gz").write_bytes(packed[:-20])
    with pytest.raises(FormatError, match="damaged gzip"):
        read_arpa(tmp_path / "cut.gz")
    (tmp_path / "latin.arpa").write_bytes(SMALL.encode("latin-1"))
    with pytest.raises(FormatError, match="not UTF-8"):
        read_arpa(tmp_path / "latin.arpa")
    with pytest.raises(FormatError, match="no unigram <s>"):
        read_arpa(write(tmp_path / "x.arpa", "\\data\\\nngram 1=1\n\\1-grams:\n-1 </s>\n\\end\\\n"))


def test_misplaced_sentence_ends_are_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(logging.getLogger("asrkit"), "warning", lambda text, *values: said.append(text % values))
    model = read_arpa(write(tmp_path / "x.arpa", SMALL.replace("a é", "a <s>")))
    assert model.num_ngrams == (4, 2)
    assert len(said) == 1
    assert "1 n-grams have <s> or </s> in the middle" in said[0]


def test_impossible_words_survive(tmp_path: Path) -> None:
    model = read_arpa(write(tmp_path / "x.arpa", SMALL.replace("-0.7\té\t-0.1", "-inf\té\t-99")))
    assert model.log10_prob([], "é") == -np.inf
    write_arpa(tmp_path / "y.arpa", model)
    assert "-99.0000000\té\t-99.0000000" in (tmp_path / "y.arpa").read_text()
