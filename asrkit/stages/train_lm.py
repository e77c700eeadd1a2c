"""The stages of `asrkit train-lm`: make n-gram models from text, combine, prune and evaluate them."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asrkit.core.errors import ConfigError, FormatError
from asrkit.lm.arpa import read_arpa, write_arpa
from asrkit.lm.counts import NgramCounts, count_ngrams
from asrkit.lm.grammar import read_grammar
from asrkit.lm.interpolation import interpolate, tune_weight
from asrkit.lm.model import NgramModel
from asrkit.lm.perplexity import PerplexityReport, sentence_scores, text_perplexity
from asrkit.lm.pruning import prune
from asrkit.lm.smoothing import NgramConfig, estimate, uniform_unigram
from asrkit.lm.text import read_sentences, read_word_list
from asrkit.stages.record import RunOptions, StageReport, StageResult, run_stage

log = logging.getLogger("asrkit")


@dataclass(frozen=True)
class _NgramRecord(NgramConfig):
    """The configuration and the rest of what decides the model, for the stage's record."""

    data_text: bool = False


@dataclass(frozen=True)
class _Request:
    """What the commands without a configuration were asked, for the stage's record."""

    data_text: bool = False
    weight: float | None = None
    threshold: float | None = None
    unknown: str | None = None


def train_ngram(
    text: Path,
    out: Path,
    config: NgramConfig,
    options: RunOptions,
    vocab: Path | None = None,
    dev: Path | None = None,
    data_text: bool = False,
) -> StageReport:
    """Make an ARPA file from text.

    Parameters
    ----------
    text, dev : Path
        One sentence a line, or Kaldi's ``text`` with ``data_text``; gzipped where the name says so. ``dev`` is
        evaluated on.
    out : Path
        ``.arpa`` or ``.arpa.gz``.
    vocab : Path, optional
        Word list (or lexicon, or ``words.txt``) that is the vocabulary, whatever the text holds.
    """

    def body() -> StageResult:
        words = None if vocab is None else read_word_list(vocab)
        sentences = (sentence for _, sentence in read_sentences(text, data_text))
        counts = count_ngrams(sentences, config.order, words, config.unknown, config.min_count_of(1))
        _say_what_was_counted(counts, config)
        model = estimate(counts, config)
        figures = {
            "sentences": counts.num_sentences,
            "words": counts.num_tokens,
            "outside": counts.num_outside,
            **_sizes(model),
            **_dev_figures(model, dev, data_text),
        }
        write_arpa(out, model)
        return StageResult(figures)

    return _run("ngram", out, [text, vocab, dev], _NgramRecord(**asdict(config), data_text=data_text), options, body)


def interpolate_models(
    first: Path,
    second: Path,
    out: Path,
    options: RunOptions,
    weight: float | None = None,
    dev: Path | None = None,
    data_text: bool = False,
) -> StageReport:
    """Interpolate two ARPA files into one; without ``weight`` (of the first) EM finds it on ``dev``."""
    if weight is None and dev is None:
        raise ConfigError("neither a weight nor a held-out text is given", remedy="give --weight W or --dev TEXT")

    def body() -> StageResult:
        one, two = read_arpa(first), read_arpa(second)
        chosen = weight
        figures: dict[str, Any] = {}
        if chosen is None and dev is not None:
            tuning = tune_weight(one, two, _sentences(dev, data_text))
            chosen = min(max(tuning.weight, 1e-6), 1 - 1e-6)
            figures["em_iterations"] = len(tuning.perplexities)
        assert chosen is not None
        model = interpolate(one, two, chosen)
        figures = {"weight": chosen, **figures, **_sizes(model), **_dev_figures(model, dev, data_text)}
        write_arpa(out, model)
        return StageResult(figures)

    return _run("interpolate", out, [first, second, dev], _Request(data_text, weight), options, body)


def prune_model(
    arpa: Path, out: Path, threshold: float, options: RunOptions, dev: Path | None = None, data_text: bool = False
) -> StageReport:
    """Prune an ARPA file by relative entropy."""

    def body() -> StageResult:
        model = read_arpa(arpa)
        before = sum(model.num_ngrams)
        model = prune(model, threshold)
        figures = {"ngrams_before": before, **_sizes(model), **_dev_figures(model, dev, data_text)}
        write_arpa(out, model)
        return StageResult(figures)

    return _run("prune", out, [arpa, dev], _Request(data_text, threshold=threshold), options, body)


def make_uniform(words: Path, out: Path, options: RunOptions, unknown: str | None = None) -> StageReport:
    """Make the ARPA file in which every word of a list, and the end of the sentence, is equally likely."""
    NgramConfig(unknown=unknown)  # a wrong symbol is said before any work

    def body() -> StageResult:
        listed = read_word_list(words)
        model = uniform_unigram([*listed, *([unknown] if unknown else [])])
        write_arpa(out, model)
        return StageResult(_sizes(model))

    return _run("uniform", out, [words], _Request(unknown=unknown), options, body)


def measure_perplexity(arpa: Path, text: Path, data_text: bool = False, per_sentence: bool = False) -> StageReport:
    """Evaluate an ARPA file on a text; with ``per_sentence`` a line ``name log10 words outside`` for each."""
    started = time.monotonic()
    model = read_arpa(arpa)
    named = list(read_sentences(text, data_text))
    sentences = [words for _, words in named]
    report = text_perplexity(model, sentences)
    lines: tuple[str, ...] = ()
    if per_sentence:
        scores = sentence_scores(model, sentences)
        lines = tuple(
            f"{name} {log10_prob:.4f} {len(words)} {outside}"
            for (name, words), (log10_prob, outside) in zip(named, scores)
        )
    figures = _perplexity_figures(model, report)
    return StageReport("train-lm perplexity", arpa, figures, seconds=time.monotonic() - started, lines=lines)


def check_grammar(path: Path, max_words: int = 0, limit: int = 100) -> StageReport:
    """Read a JSGF grammar or phrase list and say how large it is; list its sentences of up to ``max_words`` words."""
    acceptor = read_grammar(path)
    listed = itertools.islice(acceptor.sentences(max_words), limit) if max_words else ()
    lines = tuple(f"{prob:.6f} {' '.join(words)}".rstrip() for words, prob in listed)
    figures = {"states": acceptor.num_states, "arcs": len(acceptor.arcs), "words": len(acceptor.words())}
    return StageReport("train-lm grammar", path, figures, lines=lines)


def _sizes(model: NgramModel) -> dict[str, int]:
    return {f"ngrams_{n}": count for n, count in enumerate(model.num_ngrams, 1)}


def _sentences(path: Path, data_text: bool) -> list[list[str]]:
    return [words for _, words in read_sentences(path, data_text)]


def _dev_figures(model: NgramModel, dev: Path | None, data_text: bool) -> dict[str, Any]:
    if dev is None:
        return {}
    report = text_perplexity(model, (words for _, words in read_sentences(dev, data_text)))
    return {f"dev_{key}": value for key, value in _perplexity_figures(model, report).items()}


def _perplexity_figures(model: NgramModel, report: PerplexityReport) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "perplexity": _finite(report.perplexity),
        "oov_percent": round(100 * report.outside_rate, 4),
        "words": report.num_words,
        "oov": report.num_outside,
        "sentences": report.num_sentences,
        "log10_prob": _finite(report.log10_prob),
    }
    if report.num_impossible:
        figures["impossible"] = report.num_impossible
        log.warning("%d words of the text have probability 0: the perplexity is infinite", report.num_impossible)
    if model.unknown_id >= 0:
        figures["perplexity_with_oov"] = _finite(report.perplexity_with_outside)
    return figures


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _say_what_was_counted(counts: NgramCounts, config: NgramConfig) -> None:
    if counts.num_outside and config.unknown is None:
        log.warning(
            "%d of %d words are outside the vocabulary; n-grams that hold them are not counted "
            "(--set unknown='<UNK>' makes them a word of their own)",
            *(counts.num_outside, counts.num_tokens),
        )
    if len(counts.layers) < config.order:
        log.warning(
            "no sentence holds an n-gram of order %d: the model is of order %d", config.order, len(counts.layers)
        )


def _run(
    what: str,
    out: Path,
    inputs: Iterable[Path | None],
    config: Any,
    options: RunOptions,
    body: Callable[[], StageResult],
) -> StageReport:
    stage = f"train-lm {what} {out.name}"
    given = [path for path in inputs if path is not None]
    for path in given:
        if not path.is_file():  # said before the work, not at its end
            raise FormatError("no such file", where=path)
    return run_stage(stage, out.parent, given, config, [out], options, body, uses_seed=False)
