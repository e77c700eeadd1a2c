"""The commands ``asrkit train-lm ...``."""

from __future__ import annotations

from pathlib import Path

import click

from asrkit.cli.options import stage_command
from asrkit.lm.smoothing import NgramConfig
from asrkit.stages import train_lm as stages
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)
_DATA_TEXT = click.option("--data-text", is_flag=True, help="The first field of each line is an utterance id.")
_DEV = click.option("--dev", type=_PATH, metavar="TEXT", help="Report perplexity and OOV rate on this text.")


@click.group()
def command() -> None:
    """Train an n-gram language model, or combine, prune and evaluate models."""


@command.command(short_help="Train a model on text.")
@stage_command(NgramConfig, jobs=False, seed=False)
@click.argument("text", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--vocab", type=_PATH, metavar="FILE", help="Word list, lexicon or words.txt that is the vocabulary.")
@_DEV
@_DATA_TEXT
def ngram(
    text: Path,
    out: Path,
    vocab: Path | None,
    dev: Path | None,
    data_text: bool,
    config: NgramConfig,
    options: RunOptions,
) -> StageReport:
    """Train a model on TEXT, one sentence a line, and write OUT.arpa or OUT.arpa.gz."""
    return stages.train_ngram(text, out, config, options, vocab, dev, data_text)


@command.command()
@stage_command(jobs=False, seed=False)
@click.argument("first", type=_PATH)
@click.argument("second", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--weight", type=float, help="Weight of FIRST, between 0 and 1; without it EM finds it on --dev.")
@_DEV
@_DATA_TEXT
def interpolate(
    first: Path,
    second: Path,
    out: Path,
    weight: float | None,
    dev: Path | None,
    data_text: bool,
    options: RunOptions,
) -> StageReport:
    """Interpolate two ARPA files into one."""
    return stages.interpolate_models(first, second, out, options, weight, dev, data_text)


@command.command()
@stage_command(jobs=False, seed=False)
@click.argument("arpa", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--threshold", type=float, default=1e-7, show_default=True, help="Relative rise of the perplexity.")
@_DEV
@_DATA_TEXT
def prune(
    arpa: Path, out: Path, threshold: float, dev: Path | None, data_text: bool, options: RunOptions
) -> StageReport:
    """Remove the n-grams that the perplexity hardly needs."""
    return stages.prune_model(arpa, out, threshold, options, dev, data_text)


@command.command()
@stage_command(jobs=False, seed=False)
@click.argument("arpa", type=_PATH)
@click.argument("text", type=_PATH)
@click.option("--per-sentence", is_flag=True, help="Also print name, log10 probability, words and OOV of each.")
@_DATA_TEXT
def perplexity(arpa: Path, text: Path, per_sentence: bool, data_text: bool, options: RunOptions) -> StageReport:
    """Evaluate a model on TEXT: perplexity and OOV rate."""
    return stages.measure_perplexity(arpa, text, data_text, per_sentence)


@command.command(short_help="Make all words of a list equally likely.")
@stage_command(jobs=False, seed=False)
@click.argument("words", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--unknown", metavar="SYMBOL", help="Add this symbol for unknown words.")
def uniform(words: Path, out: Path, unknown: str | None, options: RunOptions) -> StageReport:
    """Make a unigram model in which all words of a list are equally likely."""
    return stages.make_uniform(words, out, options, unknown)


@command.command()
@stage_command(jobs=False, seed=False)
@click.argument("grammar_file", type=_PATH)
@click.option("--list", "max_words", type=click.IntRange(0), default=0, help="List sentences of up to so many words.")
def grammar(grammar_file: Path, max_words: int, options: RunOptions) -> StageReport:
    """Check a JSGF grammar or phrase list and say how large it is."""
    return stages.check_grammar(grammar_file, max_words)
