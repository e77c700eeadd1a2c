"""``asrkit classify``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.stages.classify import ClassifyConfig, classify
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.command(short_help="Name the label of each utterance: speaker, gender, word.")
@stage_command(ClassifyConfig, seed=False)
@click.argument("model", metavar="MODEL", type=_PATH)
@click.argument("data", metavar="DATA", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
@click.option(
    "--labels",
    metavar="LABELS",
    help="The true labels: speaker, gender, word, or a file of lines 'utterance_id label'.  [default: as trained]",
)
def command(model: Path, data: Path, out: Path, labels: str | None, config: Any, options: RunOptions) -> StageReport:
    """Name the label of each utterance: speaker, gender, word.

    MODEL is what `asrkit train-dnn --targets labels` made, DATA a data directory with features. OUT receives the
    labels (utt2label), their probabilities, and where the true ones are known accuracy and confusions.
    """
    return classify(model, data, out, config, options, labels)
