"""Configuration of `asrkit train-dnn sequence` and `asrkit train-dnn lfmmi`."""

from __future__ import annotations

from dataclasses import dataclass, field

from asrkit.core.errors import ConfigError
from asrkit.hmm.viterbi import AlignConfig
from asrkit.nnet.sequence.config import LatticeCriterionConfig, LfmmiConfig, SequenceConfig
from asrkit.nnet.train.config import OptimiserConfig
from asrkit.nnet.train.newbob import NewbobConfig
from asrkit.stages.denominators import DenominatorConfig


@dataclass(frozen=True)
class SequenceStageConfig:
    """How a network is trained by a criterion over lattices.

    Attributes
    ----------
    criterion : LatticeCriterionConfig
    training : SequenceConfig
    denominators : DenominatorConfig
        How the lattices are made.
    heldout_share : float
        Share of the utterances, by whole speakers, that decide the schedule and are not trained on. Of a network whose
        directory names the utterances that it was not trained on, they are those.
    """

    criterion: LatticeCriterionConfig = field(default_factory=LatticeCriterionConfig)
    training: SequenceConfig = field(default_factory=SequenceConfig)
    denominators: DenominatorConfig = field(default_factory=DenominatorConfig)
    heldout_share: float = 0.1

    def __post_init__(self) -> None:
        check_share(self.heldout_share)


def check_share(heldout_share: float) -> None:
    """Refuse a share that leaves nothing to train on, or nothing held out."""
    if not 0 < heldout_share < 1:
        raise ConfigError(f"heldout_share is {heldout_share}, expected a number between 0 and 1")


def _lfmmi_training() -> SequenceConfig:
    return SequenceConfig(OptimiserConfig(learning_rate=1e-4), NewbobConfig(max_epochs=4), ce_weight=0.05)


@dataclass(frozen=True)
class LfmmiStageConfig:
    """How a network is trained by lattice-free MMI.

    Attributes
    ----------
    criterion : LfmmiConfig
    training : SequenceConfig
        Cross-entropy has a share: what competes was never pruned to what the network believes, and moves it far.
    alignment : AlignConfig
        Beams and scale of the alignment that the seed makes first.
    heldout_share : float
        See :class:`SequenceStageConfig`.
    """

    criterion: LfmmiConfig = field(default_factory=LfmmiConfig)
    training: SequenceConfig = field(default_factory=_lfmmi_training)
    alignment: AlignConfig = field(default_factory=AlignConfig)
    heldout_share: float = 0.1

    def __post_init__(self) -> None:
        check_share(self.heldout_share)
