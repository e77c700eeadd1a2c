"""``asrkit train-music``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import as_overrides, stage_command
from asrkit.stages.music_config import TrainRnnNadeConfig, TrainRnnRbmConfig, TrainRtrbmConfig
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)

_data = click.option(
    "--data",
    "data_kind",
    type=click.Choice(["rolls", "feats"]),
    help="What DATA holds: piano rolls, or features (a data directory).  [default: rolls]",
)


_as_config = as_overrides(
    "data_kind", lambda kind: (f"data={kind}", *(["model.visible=gaussian"] if kind == "feats" else []))
)


@click.group()
def command() -> None:
    """Train a model of music, which foretells the notes of the next step.

    DATA is a published set of piano rolls (.mat), or a folder with folders train, valid and, if there are such pieces,
    test of MIDI files. `asrkit sample-music` draws pieces from what is trained.

    With --data feats it is a data directory with features of speech, and a model with Gaussian units foretells the next
    frame.
    """


@command.command("rnn-rbm")
@_as_config
@stage_command(TrainRnnRbmConfig, jobs=False)
@click.argument("data", type=_PATH)
@click.argument("out", type=_PATH)
@_data
def rnn_rbm(data: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """A restricted Boltzmann machine for each step, whose biases a recurrent network sets."""
    return _train("rnn-rbm", data, out, config, options)


@command.command()
@_as_config
@stage_command(TrainRtrbmConfig, jobs=False)
@click.argument("data", type=_PATH)
@click.argument("out", type=_PATH)
@_data
def rtrbm(data: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """A recurrent temporal RBM: the means of its hidden units set the biases of the next step."""
    return _train("rtrbm", data, out, config, options)


@command.command("rnn-nade")
@stage_command(TrainRnnNadeConfig, jobs=False)
@click.argument("data", type=_PATH)
@click.argument("out", type=_PATH)
def rnn_nade(data: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """A NADE for each step, whose biases a recurrent network sets: its likelihood is exact."""
    from asrkit.stages.train_music import train_music

    return train_music("rnn-nade", data, out, config, options)


def _train(kind: str, data: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    from asrkit.stages.train_feature_sequences import train_feature_sequences
    from asrkit.stages.train_music import train_music

    return (train_feature_sequences if config.data == "feats" else train_music)(kind, data, out, config, options)
