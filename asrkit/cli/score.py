"""``asrkit score``."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.score import ScoreConfig, ScoreListing, score

_AS_CONFIG = ("unit", "fold", "ignore", "count_spaces", "allow_missing", "bootstrap", "resample")


def _config_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the options that stand for configuration keys into ``--set``, so that the last word is said in one place."""

    @functools.wraps(function)
    def run(**arguments: Any) -> Any:
        given = {key: arguments.pop(key) for key in _AS_CONFIG}
        arguments["overrides"] = (
            *arguments["overrides"],
            *(
                f"{key}={json.dumps(value)}"
                for key, value in given.items()
                if value not in (None, ()) and value is not False
            ),
        )
        return function(**arguments)

    return run


@click.command(short_help="Compare hypotheses with references: error rates, intervals, significance.")
@_config_options
@stage_command(ScoreConfig, jobs=False)
@click.argument("reference", metavar="REF", type=click.Path(path_type=Path))
@click.argument("hypothesis", metavar="HYP", type=click.Path(path_type=Path))
@click.option("--unit", type=click.Choice(["word", "char", "phone"]), help="What is compared.  [default: word]")
@click.option("--fold", type=click.Choice(["none", "timit39"]), help="Fold TIMIT's 61 or 48 phones to 39, without q.")
@click.option("--ignore", multiple=True, metavar="TOKEN", help="Leave a token out on both sides; may be repeated.")
@click.option("--count-spaces", is_flag=True, help="With --unit char: spaces are characters too.")
@click.option("--glm", "variants", type=click.Path(path_type=Path), help="Spelling variants: lines VARIANT SPELLING.")
@click.option("--allow-missing", is_flag=True, help="Count utterances without a hypothesis as deleted.")
@click.option("--utt2spk", type=click.Path(path_type=Path), help="Speakers, where REF is not a data directory.")
@click.option("--per-speaker", is_flag=True, help="Print a table by speaker.")
@click.option("--confusions", type=click.IntRange(0), default=0, metavar="N", help="Print the N most frequent errors.")
@click.option("--utterances", metavar="FILE", help="Write the aligned pair of each utterance (-: print them).")
@click.option("--bootstrap", type=click.IntRange(0), metavar="N", help="Resamples; 0: no interval.  [default: 1000]")
@click.option("--resample", type=click.Choice(["auto", "utterance", "speaker"]), help="What is resampled.")
@click.option("--compare", type=click.Path(path_type=Path), metavar="HYP2", help="Test a second system against HYP.")
@click.pass_context
def command(
    context: click.Context,
    reference: Path,
    hypothesis: Path,
    config: ScoreConfig,
    options: RunOptions,
    per_speaker: bool,
    confusions: int,
    utterances: str | None,
    **paths: Path | None,
) -> StageReport:
    """Compare hypotheses with references: error rates, intervals, significance.

    REF is a data directory or a file of lines 'utterance_id word word...', HYP such a file. HYP may also be a decode
    directory: then all its hyp.*.txt are scored, and the best setting is written to best.json there (on development
    data, to be applied to test data).
    """
    if utterances == "-" and context.params["as_json"]:
        raise click.UsageError("--utterances - and --json both print on standard output; name a file for the one")
    return score(
        reference,
        hypothesis,
        config,
        options,
        listing=ScoreListing(per_speaker, confusions, utterances),
        **paths,
    )
