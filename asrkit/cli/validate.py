"""The command `asrkit validate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from asrkit.cli.options import print_report, stage_command
from asrkit.data.validate import ValidateConfig
from asrkit.stages.record import RunOptions, StageReport


@click.command(short_help="Check a data directory and say what is wrong with it; mend it with --fix.")
@stage_command(ValidateConfig, seed=False)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--fix", "mend", is_flag=True, help="Mend what can be mended; the old files are kept in DATA/.backup.")
@click.option("--lang", type=click.Path(path_type=Path), help="Find words that are not in this lang directory.")
@click.option("--lexicon", type=click.Path(path_type=Path), help="Find words that are not in this lexicon.")
@click.option("--no-audio", is_flag=True, help="Read only the headers of the audio files, not the samples.")
@click.option("--sample-rate", type=click.IntRange(1), metavar="HZ", help="The rate that all audio must have.")
@click.option("--encoding", metavar="NAME", help="What files that are not UTF-8 are in, e.g. cp1251.")
@click.option("--strict", is_flag=True, help="Let warnings fail, too.")
@click.option("--show", type=click.IntRange(0), default=10, show_default=True, help="Most findings of a kind shown.")
def command(
    data: Path,
    mend: bool,
    lang: Path | None,
    lexicon: Path | None,
    no_audio: bool,
    sample_rate: int | None,
    encoding: str | None,
    strict: bool,
    show: int,
    config: ValidateConfig,
    options: RunOptions,
) -> StageReport:
    """Check a data directory and say what is wrong with it; mend it with --fix.

    Everything that is wrong is listed, each with its place, what was found and what to do. Exit status 1 when
    errors are left. Audio files are never changed.
    """
    from asrkit.stages.validate import run_validate

    config = replace(
        config,
        audio=replace(config.audio, sample_rate_hz=sample_rate or config.audio.sample_rate_hz),
        encoding=encoding or config.encoding,
    )
    report, found = run_validate(
        data, config, options, mend=mend, lang=lang, lexicon=lexicon, read_samples=not no_audio, show=show
    )
    if not found.has_failed(strict):
        return report
    print_report(report, click.get_current_context().params["as_json"])
    raise click.exceptions.Exit(1)
