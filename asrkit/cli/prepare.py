"""``asrkit prepare``: one subcommand a corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.data.corpora import an4, folder, fsdd, librispeech, timit, yesno
from asrkit.data.corpora.corpus import CorpusConfig
from asrkit.stages.record import RunOptions, StageReport


@click.group()
def command() -> None:
    """Turn a corpus as published into a data directory."""


def _corpus(name: str, config_class: type[CorpusConfig], short_help: str, *own: Callable[..., Any]) -> None:
    """Add the subcommand ``name`` with the arguments and options of every corpus and its ``own`` options.

    An option has the name of a configuration key and, when given, overrides it.
    """

    def run(src: Path, data: Path, config: CorpusConfig, options: RunOptions, **given: Any) -> StageReport:
        from asrkit.stages.prepare import prepare

        chosen = {key: value for key, value in given.items() if value is not None and value != ()}
        return prepare(name, src, data, replace(config, **chosen), options)

    run.__doc__ = f"{short_help}\n\nSRC is the corpus as published, DATA the folder for its data directories."
    decorated: Callable[..., Any] = run
    for option in (*reversed(own), _DEV_SPEAKERS, _DATA, _SRC):
        decorated = option(decorated)
    command.command(name, short_help=short_help)(stage_command(config_class, seed=False)(decorated))


_SRC = click.argument("src", type=click.Path(path_type=Path))
_DATA = click.argument("data", type=click.Path(path_type=Path))
_DEV_SPEAKERS = click.option(
    "--dev-speakers", multiple=True, metavar="A,B,…", help="Cut these speakers out of train into dev (@FILE: listed)."
)

_corpus("yesno", yesno.Config, "Kaldi's yesno: 31 recordings to train, 29 to test.")
_corpus(
    "fsdd",
    fsdd.Config,
    "Free Spoken Digit Dataset: the official split, or one speaker left out.",
    click.option("--test-speaker", metavar="NAME", help="Test on this speaker, train on the others."),
)
_corpus("an4", an4.Config, "CMU AN4: the official lists and dictionary.")
_corpus(
    "librispeech",
    librispeech.Config,
    "LibriSpeech: every subset that is there.",
    click.option("--speaker-by", type=click.Choice(["reader", "chapter"]), help="Who counts as a speaker."),
)
_corpus(
    "timit",
    timit.Config,
    "TIMIT: train, dev and core test, or the sample of NLTK.",
    click.option("--fold", type=int, metavar="0|1|2", help="Split NLTK's sample: which of three folds to test on."),
    click.option("--test-set", type=click.Choice(["core", "complete"]), help="Which official test set."),
    click.option("--keep-sa", is_flag=True, default=None, help="Keep the SA sentences, which all speakers share."),
)
_corpus(
    "folder",
    folder.Config,
    "Your own recordings, with a table of transcripts or a .txt beside each.",
    click.option("--table", metavar="FILE", help="The table of transcripts, a path in SRC."),
    click.option("--test-speakers", multiple=True, metavar="A,B,…", help="Cut these speakers out of train into test."),
    click.option(
        "--no-transcripts",
        "transcripts",
        is_flag=True,
        flag_value=False,
        default=None,
        help="Recordings alone, for `asrkit segment`: no text is looked for or written.",
    ),
    click.option("--upper", "case", flag_value="upper", default=None, help="Transcripts to upper case."),
    click.option("--lower", "case", flag_value="lower", help="Transcripts to lower case."),
)
