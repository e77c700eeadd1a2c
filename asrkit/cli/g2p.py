"""``asrkit g2p``."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.command(short_help="Print lexicon lines for words that no lexicon holds.")
@click.argument("model", type=_PATH)
@click.argument("words", nargs=-1)
@click.option("--file", "file", type=_PATH, metavar="FILE", help="Word list: the first field of each line.")
@click.option("--nbest", type=click.IntRange(1), default=1, show_default=True, help="Pronunciations of a word.")
@click.option("--probabilities", is_flag=True, help="Put behind each word the probability relative to its best line.")
@click.option("--skip-unknown", is_flag=True, help="Leave out words with unknown letters, and say so.")
def command(
    model: Path, words: tuple[str, ...], file: Path | None, nbest: int, probabilities: bool, skip_unknown: bool
) -> None:
    """Print lexicon lines, 'WORD PHONE PHONE ...', for WORDS and those of a file."""
    from asrkit.lm.text import read_word_list
    from asrkit.stages.train_g2p import pronounce_words

    wanted = [*words, *(read_word_list(file) if file is not None else ())]
    if not wanted:
        raise click.UsageError("give words or --file FILE")
    entries, failures = pronounce_words(model, wanted, nbest, skip_unknown)
    for entry in entries:
        weight = f" {entry.probability:.6g}" if probabilities else ""
        click.echo(f"{entry.word}{weight} {' '.join(entry.phones)}")
    for failure in failures:
        click.echo(f"left out: {failure.reason}", err=True)
