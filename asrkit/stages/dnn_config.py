"""Configuration of `asrkit train-dnn`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from asrkit.core.errors import ConfigError
from asrkit.features.pipeline import PipelineConfig
from asrkit.nnet.layers.config import (
    CnnConfig,
    ElmanConfig,
    FullyRecurrentConfig,
    GruConfig,
    LiGruConfig,
    LstmConfig,
    MlpConfig,
    RecurrentConfig,
)
from asrkit.nnet.train.config import ClassifierConfig, RecurrentTrainingConfig

Targets = Literal["tied", "mono", "labels", "ctc"]
HeldoutBy = Literal["speaker", "utterance"]


@dataclass(frozen=True)
class DnnConfig:
    """What the trainings of all networks have in common.

    Attributes
    ----------
    pipeline : PipelineConfig
        What is done to features; its splicing is the window that the network sees. With a stack to begin with, the
        stack's own is used.
    training : ClassifierConfig or RecurrentTrainingConfig
    targets : {'tied', 'mono', 'labels', 'ctc'}
        Classes: the pdfs of the alignment's tree, or (as in Hinton et al. 2012) the states of its monophones, for an
        acoustic model; or labels of utterances, for a classifier. ``ctc``: the phones of the transcripts, wherever in
        the utterances they are (connectionist temporal classification, Graves et al. 2006), for an acoustic model that
        needs no alignment; recurrent networks alone.
    heldout_share : float
        Share of the utterances that decide the schedule and are not trained on.
    heldout_by : {'speaker', 'utterance'}
        Hold out whole speakers, or utterances of all.
    prior_smoothing : float
        Frames added to the count of each class where priors are made of counts.
    balance : float
        Frames of a class weigh (its prior)^-balance in the loss, 1 on average: 0 all the same, 1 all classes.
    """

    pipeline: PipelineConfig = field(default_factory=lambda: PipelineConfig(splice_left=5, splice_right=5))
    training: ClassifierConfig | RecurrentTrainingConfig = field(default_factory=ClassifierConfig)
    targets: Targets = "tied"
    heldout_share: float = 0.1
    heldout_by: HeldoutBy = "speaker"
    prior_smoothing: float = 1.0
    balance: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.heldout_share < 1:
            raise ConfigError(f"heldout_share is {self.heldout_share}, expected a number between 0 and 1")
        if not 0 < self.prior_smoothing < float("inf"):
            raise ConfigError(f"prior_smoothing is {self.prior_smoothing}, expected a positive number")
        if not 0 <= self.balance <= 1:
            raise ConfigError(f"balance is {self.balance}, expected 0 to 1")
        if self.targets == "ctc" and self.balance:
            raise ConfigError("balance weighs the classes of frames, and targets are 'ctc'", remedy="set balance to 0")


@dataclass(frozen=True)
class MlpStageConfig(DnnConfig):
    """Configuration of `asrkit train-dnn mlp`.

    Attributes
    ----------
    network : MlpConfig
        Shape of the perceptron.
    layerwise_epochs : int
        Put the hidden layers on one by one, and train so many epochs before the next comes (discriminative
        pretraining, Seide et al. 2011); 0: train all at once.
    """

    training: ClassifierConfig = field(default_factory=ClassifierConfig)
    network: MlpConfig = field(default_factory=MlpConfig)
    layerwise_epochs: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layerwise_epochs < 0:
            raise ConfigError(f"layerwise_epochs is {self.layerwise_epochs}, expected 0 or more")
        if self.layerwise_epochs and self.network.bottleneck:
            raise ConfigError("layers are put on one by one in perceptrons without a bottleneck")


@dataclass(frozen=True)
class CnnStageConfig(DnnConfig):
    """Configuration of `asrkit train-dnn cnn`; ``network`` is the shape of the convolutional network."""

    training: ClassifierConfig = field(default_factory=ClassifierConfig)
    network: CnnConfig = field(default_factory=CnnConfig)


@dataclass(frozen=True)
class RecurrentStageConfig(DnnConfig):
    """What the trainings of recurrent networks have in common.

    ``pipeline.splice_right`` is how far a network that reads forwards looks ahead, and so its latency when it hears
    live audio.

    Attributes
    ----------
    network : RecurrentConfig or FullyRecurrentConfig
        Shape of the network.
    ctc_priors : {'posteriors', 'labels'}
        With ``targets = 'ctc'``, what the network's posteriors are divided by: their own means over the training data,
        or (EESEN, Miao et al. 2015) the shares of the phones in the labels, with a blank before and behind each.
    """

    pipeline: PipelineConfig = field(default_factory=lambda: PipelineConfig(splice_left=2, splice_right=5))
    training: RecurrentTrainingConfig = field(default_factory=RecurrentTrainingConfig)
    network: RecurrentConfig | FullyRecurrentConfig = field(default_factory=LstmConfig)
    ctc_priors: Literal["posteriors", "labels"] = "posteriors"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.targets == "ctc" and self.training.utterances.chunk_frames:
            raise ConfigError(
                "chunk_frames is for classes of frames, and targets are 'ctc', of whole utterances",
                remedy="set training.utterances.chunk_frames to 0",
            )


@dataclass(frozen=True)
class RnnStageConfig(RecurrentStageConfig):
    """Configuration of `asrkit train-dnn rnn`; ``network`` is the shape of the fully recurrent network."""

    network: FullyRecurrentConfig = field(default_factory=FullyRecurrentConfig)


@dataclass(frozen=True)
class ElmanStageConfig(RecurrentStageConfig):
    """Configuration of `asrkit train-dnn elman`; ``network`` is the shape of the network."""

    network: ElmanConfig = field(default_factory=ElmanConfig)


@dataclass(frozen=True)
class LstmStageConfig(RecurrentStageConfig):
    """Configuration of `asrkit train-dnn lstm`; ``network`` is the shape of the network."""

    network: LstmConfig = field(default_factory=LstmConfig)


@dataclass(frozen=True)
class BlstmStageConfig(LstmStageConfig):
    """Configuration of `asrkit train-dnn blstm`: the same in both directions."""

    network: LstmConfig = field(default_factory=lambda: LstmConfig(bidirectional=True))


@dataclass(frozen=True)
class GruStageConfig(RecurrentStageConfig):
    """Configuration of `asrkit train-dnn gru`; ``network`` is the shape of the network."""

    network: GruConfig = field(default_factory=GruConfig)


@dataclass(frozen=True)
class LiGruStageConfig(RecurrentStageConfig):
    """Configuration of `asrkit train-dnn ligru`; ``network`` is the shape of the network."""

    network: LiGruConfig = field(default_factory=LiGruConfig)


NetworkStageConfig = MlpStageConfig | CnnStageConfig | RecurrentStageConfig
