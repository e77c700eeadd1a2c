"""Configuration of `asrkit train-music` and `asrkit sample-music`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from asrkit.core.errors import ConfigError
from asrkit.features.pipeline import PipelineConfig
from asrkit.music.midi import MidiConfig
from asrkit.nnet.energy.config import CdConfig
from asrkit.nnet.energy.sequence_config import (
    PredictionConfig,
    RnnNadeConfig,
    RnnRbmConfig,
    RtrbmConfig,
    SequenceTrainingConfig,
)
from asrkit.nnet.train.config import Device


@dataclass(frozen=True)
class TrainMusicConfig:
    """What all trainings of models of sequences have in common.

    Attributes
    ----------
    data : {'rolls', 'feats'}
        Piano rolls, or the features of a data directory.
    pipeline : PipelineConfig
        What is done to features before they are normalised to zero mean and unit variance.
    transpose : int
        Of rolls: semitones by which a training piece is shifted up or down at most, drawn anew in each epoch; 0: none.
    midi : MidiConfig
        How MIDI files are read; of ``.mat`` files the steps that the samples' MIDI files are to have.
    training : SequenceTrainingConfig
    prediction : PredictionConfig
        How the finished model is scored.
    scored_steps : int
        Steps that are scored, drawn at random; 0: all.
    heldout_share : float
        Of features: share of the utterances, by speaker, that decide when training ends, and of those that are scored.
        Where the set has no test pieces, the validation pieces are scored, and this share of the training pieces is
        held out to find the end of training; 0: the validation pieces serve for both, and their figures flatter.
    """

    data: Literal["rolls", "feats"] = "rolls"
    pipeline: PipelineConfig = field(default_factory=lambda: PipelineConfig(delta_order=0))
    transpose: int = 0
    midi: MidiConfig = field(default_factory=MidiConfig)
    training: SequenceTrainingConfig = field(default_factory=SequenceTrainingConfig)
    prediction: PredictionConfig = field(default_factory=PredictionConfig)
    scored_steps: int = 0
    heldout_share: float = 0.1

    def __post_init__(self) -> None:
        if self.scored_steps < 0:
            raise ConfigError(f"scored_steps is {self.scored_steps}, expected 0 or more")
        if not 0 <= self.heldout_share < 1:
            raise ConfigError(f"heldout_share is {self.heldout_share:g}, expected 0 to below 1")
        if getattr(self, "pretraining_epochs", 0) < 0:
            raise ConfigError("pretraining_epochs is below 0, expected 0 or more")
        if not 0 <= self.transpose <= MAX_TRANSPOSITION:
            raise ConfigError(f"transpose is {self.transpose}, expected 0 to {MAX_TRANSPOSITION} semitones")
        if self.data == "feats" and self.transpose:
            raise ConfigError("features cannot be transposed", remedy="leave transpose out")
        if self.data == "feats" and not self.heldout_share:
            raise ConfigError("heldout_share is 0, expected some utterances that are not trained on")


def _pretraining() -> CdConfig:
    return CdConfig(learning_rate=0.1)


def _check_visible(data: str, visible: str) -> None:
    if data == "rolls" and visible != "bernoulli":
        raise ConfigError("model.visible is 'gaussian', and piano rolls are binary", remedy="leave it out")
    if data == "feats" and visible != "gaussian":
        raise ConfigError("model.visible is 'bernoulli', and features are real numbers", remedy="use --data feats")


@dataclass(frozen=True)
class TrainRnnRbmConfig(TrainMusicConfig):
    """`asrkit train-music rnn-rbm`.

    Attributes
    ----------
    model : RnnRbmConfig
    pretraining_epochs : int
        Of an RBM of single frames, with which the model begins; 0: none.
    pretraining : CdConfig
    """

    model: RnnRbmConfig = field(default_factory=RnnRbmConfig)
    pretraining_epochs: int = 3
    pretraining: CdConfig = field(default_factory=_pretraining)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_visible(self.data, self.model.visible)


@dataclass(frozen=True)
class TrainRtrbmConfig(TrainMusicConfig):
    """`asrkit train-music rtrbm`; see :class:`TrainRnnRbmConfig`."""

    model: RtrbmConfig = field(default_factory=RtrbmConfig)
    pretraining_epochs: int = 3
    pretraining: CdConfig = field(default_factory=_pretraining)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_visible(self.data, self.model.visible)


@dataclass(frozen=True)
class TrainRnnNadeConfig(TrainMusicConfig):
    """`asrkit train-music rnn-nade`."""

    model: RnnNadeConfig = field(default_factory=RnnNadeConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data == "feats":
            raise ConfigError("a NADE is a model of binary frames, not of features", remedy="take rnn-rbm or rtrbm")


@dataclass(frozen=True)
class SampleMusicConfig:
    """How pieces are drawn.

    Attributes
    ----------
    num_samples : int
        Pieces.
    num_steps : int
        Of each.
    gibbs_steps : int
        Of each step of a model of RBMs.
    pictures : bool
        Draw them too; needs matplotlib.
    device : {'auto', 'cpu', 'cuda'}
    """

    num_samples: int = 4
    num_steps: int = 200
    gibbs_steps: int = 50
    pictures: bool = True
    device: Device = "auto"

    def __post_init__(self) -> None:
        for name in ("num_samples", "num_steps", "gibbs_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if self.num_samples > MAX_SAMPLES or self.num_steps > MAX_SAMPLE_STEPS:
            raise ConfigError(f"more than {MAX_SAMPLES} samples or {MAX_SAMPLE_STEPS} steps")


MAX_SAMPLES = 1000
MAX_SAMPLE_STEPS = 100_000

MAX_TRANSPOSITION = 12
"""An octave."""
