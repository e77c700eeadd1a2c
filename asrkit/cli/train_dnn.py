"""`asrkit train-dnn`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from asrkit.cli.options import as_overrides, stage_command
from asrkit.core.errors import ConfigError
from asrkit.stages.dnn_config import (
    BlstmStageConfig,
    CnnStageConfig,
    ElmanStageConfig,
    GruStageConfig,
    LiGruStageConfig,
    LstmStageConfig,
    MlpStageConfig,
    RecurrentStageConfig,
    RnnStageConfig,
    Targets,
)
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.sequence_config import LfmmiStageConfig, SequenceStageConfig

_PATH = click.Path(path_type=Path)

_targets = click.option(
    "--targets",
    type=click.Choice(get_args(Targets)),
    help="Classes: tied states, monophone states, labels of utterances, or (ctc) the phones of transcripts.  "
    "[default: tied]",
)

_realign = click.option(
    "--realign",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="N times, align the data with the network and train again.",
)

_seeds = click.option(
    "--seeds",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    help="Train from N seeds, in OUT/seed-0, OUT/seed-1 …, and say how far the figures lie apart.",
)


_as_config = as_overrides("targets", lambda targets: (f"targets={targets}",))


@click.group()
def command() -> None:
    """Train a neural network as acoustic model, or as classifier.

    With --targets labels the place of ALIGNMENT is taken by what the utterances are to be classified by: speaker,
    gender, word, or a file of lines 'utterance_id label'; `asrkit classify` uses OUT.

    With --targets ctc recurrent networks need no alignment: a lang directory takes its place, or an alignment, which
    then says which pronunciations were said.
    """


@command.command()
@_as_config
@stage_command(MlpStageConfig, jobs=False)
@click.argument("data", type=_PATH)
@click.argument("alignment", metavar="ALIGNMENT|LABELS", type=_PATH)
@click.argument("out", type=_PATH)
@_targets
@click.option("--init", metavar="STACK", type=_PATH, help="Begin with what `asrkit pretrain` made.")
@_realign
@_seeds
def mlp(
    data: Path,
    alignment: Path,
    out: Path,
    init: Path | None,
    realign: int,
    seeds: int,
    config: Any,
    options: RunOptions,
) -> StageReport | None:
    """A perceptron over a window of frames: the features of DATA and the pdfs of ALIGNMENT make the model OUT."""
    return _train("mlp", data, alignment, out, config, options, realign, seeds, init)


@command.command()
@_as_config
@stage_command(CnnStageConfig, jobs=False)
@click.argument("data", type=_PATH)
@click.argument("alignment", metavar="ALIGNMENT|LABELS", type=_PATH)
@click.argument("out", type=_PATH)
@_targets
@_realign
@_seeds
def cnn(
    data: Path, alignment: Path, out: Path, realign: int, seeds: int, config: Any, options: RunOptions
) -> StageReport | None:
    """Convolutions over time and frequency, for filterbank features: DATA and ALIGNMENT make the model OUT."""
    return _train("cnn", data, alignment, out, config, options, realign, seeds)


def _recurrent(name: str, config_class: type[RecurrentStageConfig], summary: str) -> None:
    """Add the subcommand of a kind of recurrent network: all take the same."""

    def run(
        data: Path, alignment: Path, out: Path, realign: int, seeds: int, config: Any, options: RunOptions
    ) -> StageReport | None:
        return _train(name, data, alignment, out, config, options, realign, seeds)

    run.__doc__ = f"{summary}: DATA and ALIGNMENT make the model OUT."
    parts = [
        click.argument("data", type=_PATH),
        click.argument("alignment", metavar="ALIGNMENT|LABELS|LANG", type=_PATH),
        click.argument("out", type=_PATH),
        _targets,
        _realign,
        _seeds,
    ]
    decorated: Callable[..., Any] = run
    for part in reversed(parts):
        decorated = part(decorated)
    command.command(name)(_as_config(stage_command(config_class, jobs=False)(decorated)))


_recurrent("rnn", RnnStageConfig, "A fully recurrent network: every unit feeds every unit, a frame later")
_recurrent("elman", ElmanStageConfig, "Elman's recurrent layers, each of which sees itself a frame ago")
_recurrent("lstm", LstmStageConfig, "Layers of long short-term memory, on request with peepholes")
_recurrent("blstm", BlstmStageConfig, "Layers of long short-term memory that read utterances in both directions")
_recurrent("gru", GruStageConfig, "Layers of gated recurrent units")
_recurrent("ligru", LiGruStageConfig, "Layers of light gated recurrent units")


@command.command()
@stage_command(SequenceStageConfig)
@click.argument("data", type=_PATH)
@click.argument("lang", type=_PATH)
@click.argument("previous", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--lm", type=_PATH, help="ARPA file of what might be said [the transcripts' words].")
@click.option("--denominators", type=_PATH, help="Directory of the lattices [OUT/denominators].")
def sequence(
    data: Path,
    lang: Path,
    previous: Path,
    out: Path,
    lm: Path | None,
    denominators: Path | None,
    config: Any,
    options: RunOptions,
) -> StageReport:
    """Discriminative (sMBR, MMI, boosted MMI): the network PREVIOUS learns from whole utterances and their lattices."""
    from asrkit.stages.train_sequence import train_sequence

    return train_sequence(data, lang, previous, out, config, options, lm, denominators)


@command.command()
@stage_command(LfmmiStageConfig)
@click.argument("data", type=_PATH)
@click.argument("lang", type=_PATH)
@click.argument("previous", type=_PATH)
@click.argument("out", type=_PATH)
def lfmmi(data: Path, lang: Path, previous: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """Lattice-free MMI: the network PREVIOUS learns what was said from all that a phone n-gram could say."""
    from asrkit.stages.train_lfmmi import train_lfmmi

    return train_lfmmi(data, lang, previous, out, config, options)


def _train(
    kind: str,
    data: Path,
    alignment: Path,
    out: Path,
    config: Any,
    options: RunOptions,
    rounds: int,
    count: int,
    init: Path | None = None,
) -> StageReport | None:
    """Train from ``count`` seeds, each time with ``rounds`` of aligning anew."""
    from asrkit.stages.realign import train_realigned
    from asrkit.stages.seeds import train_seeds
    from asrkit.stages.train_ctc import train_ctc
    from asrkit.stages.train_dnn import train_dnn
    from asrkit.stages.train_labels import train_labels

    labels, ctc = config.targets == "labels", config.targets == "ctc"
    if rounds and (labels or ctc):
        raise ConfigError("there is no alignment with these targets", remedy="leave out --realign")
    if ctc and init is not None:
        raise ConfigError("a stack begins the hidden layers of a perceptron", remedy="leave out --init")

    def train(made: Path, options: RunOptions) -> StageReport | None:
        if labels:
            return train_labels(kind, data, str(alignment), made, config, options, init)
        if ctc:
            return train_ctc(kind, data, alignment, made, config, options)

        def once(aligned: Path, model: Path) -> StageReport | None:
            return train_dnn(kind, data, aligned, model, config, options, init)

        return train_realigned(once, data, alignment, made, rounds, options)

    return train(out, options) if count == 1 else train_seeds(train, f"train-dnn {kind}", out, count, options)
