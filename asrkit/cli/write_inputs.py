"""``asrkit write-inputs``."""

from __future__ import annotations

from pathlib import Path

import click

from asrkit.cli.options import stage_command
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.command(short_help="Write what a model sees, LDA, MLLT and fMLLR applied, as features.")
@stage_command(seed=False)
@click.argument("data", metavar="DATA", type=_PATH)
@click.argument("model", metavar="MODEL", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
@click.option("--transforms", metavar="DIR", type=_PATH, help="Directory with the speakers' transforms, trans.scp.")
@click.option("--layer", type=click.IntRange(1), help="Of a network: what so many of its hidden layers make of them.")
def command(
    data: Path, model: Path, out: Path, transforms: Path | None, layer: int | None, options: RunOptions
) -> StageReport:
    """Write what a model sees, LDA, MLLT and fMLLR applied, as features.

    OUT is a data directory like DATA with the inputs of MODEL as its features, to train networks on. A
    speaker-adaptive model needs --transforms: MODEL itself for its training data, a decode directory for others. With
    --layer they are the outputs of a layer of a network, such as its bottleneck, to train mixtures on.
    """
    from asrkit.stages.model_inputs import write_inputs

    return write_inputs(data, model, out, options, transforms, layer)
