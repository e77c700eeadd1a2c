"""Sequence training: what a user may choose, apart from the training, so that help needs no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from asrkit.core.errors import ConfigError
from asrkit.nnet.train.config import Device, OptimiserConfig, Precision
from asrkit.nnet.train.newbob import NewbobConfig

CriterionName = Literal["mmi", "bmmi", "smbr"]


@dataclass(frozen=True)
class LatticeCriterionConfig:
    """What is maximised over lattices.

    Attributes
    ----------
    kind : {'mmi', 'bmmi', 'smbr'}
        The log posterior of what was said; the same with competitors made likelier by their errors; or the expected
        number of frames whose pdf is right.
    acoustic_scale : float
        Weight of log-likelihoods against the graph, in lattices and criterion.
    boost : float
        For ``bmmi``: natural log by which each frame of a wrong phone makes a competitor likelier.
    one_silence_class : bool
        For ``smbr``: silence where the reference has silence is right, whatever its pdf (Kaldi's
        ``--one-silence-class=true``); if false, no frame that a path gives to silence is right.
    min_overlap : float
        For ``mmi`` and ``bmmi``: frames at which the paths of the lattice give the reference's pdf less than this
        probability teach nothing (Vesely et al. 2013 drop frames whose pdf the lattice lacks). 0: all frames do.
    """

    kind: CriterionName = "smbr"
    acoustic_scale: float = 0.1
    boost: float = 0.1
    one_silence_class: bool = True
    min_overlap: float = 1e-6

    def __post_init__(self) -> None:
        check_scale(self.acoustic_scale)
        if not 0 <= self.boost < math.inf:
            raise ConfigError(f"boost is {self.boost}, expected a number of 0 or more")
        if not 0 <= self.min_overlap < 1:
            raise ConfigError(f"min_overlap is {self.min_overlap}, expected 0 to below 1")


@dataclass(frozen=True)
class SequenceConfig:
    """How a network is trained by a criterion over utterances.

    Attributes
    ----------
    optimiser : OptimiserConfig
        For ``sgd`` the learning rate is the step along the derivative of the whole criterion, as a sum over frames.
        1e-4 is the 1e-5 of Kaldi's nnet1, whose derivatives leave out the acoustic scale of 0.1.
    newbob : NewbobConfig
        The schedule, by the held-out utterances' criterion. With ``keep_rate_epochs`` equal to ``max_epochs`` the
        number of epochs is fixed, and none is rejected.
    batch_frames : int
        A minibatch is as many utterances, in random order, as it takes to have so many frames.
    ce_weight : float
        Weight of the cross-entropy of the reference's pdfs beside the criterion (Su et al. 2013, "F-smoothing").
    output_l2 : float
        Half the penalty on the square of each output of the network, before the softmax.
    device, threads, precision
        See :class:`asrkit.nnet.train.config.ClassifierConfig`; sums over paths are taken on the CPU.
    """

    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=1e-4))
    newbob: NewbobConfig = field(default_factory=lambda: NewbobConfig(max_epochs=6))
    batch_frames: int = 1000
    ce_weight: float = 0.0
    output_l2: float = 0.0
    device: Device = "auto"
    threads: int = 2
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for name in ("batch_frames", "threads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")
        for name in ("ce_weight", "output_l2"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected a number of 0 or more")


def check_scale(acoustic_scale: float) -> None:
    """Refuse an acoustic scale that is no number above 0."""
    if not 0 < acoustic_scale < math.inf:
        raise ConfigError(f"acoustic_scale is {acoustic_scale}, expected a number above 0")


@dataclass(frozen=True)
class PhoneLmConfig:
    """The n-gram over phones that lattice-free MMI competes with.

    Attributes
    ----------
    order : int
        Length of the n-grams.
    min_history_count : int
        A history of more than one phone that was seen less often is forgotten but for its last phones. 1: none is,
        which leaves the fewest competitors and, since a phone in context then has few neighbours, the smallest graph.
    """

    order: int = 3
    min_history_count: int = 1

    def __post_init__(self) -> None:
        for name in ("order", "min_history_count"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")


@dataclass(frozen=True)
class LfmmiConfig:
    """Lattice-free MMI: what numerator and denominator sum over.

    Attributes
    ----------
    lm : PhoneLmConfig
    numerator : {'alignment', 'transcript'}
        Paths of what was said: the phones of the alignment, or every way to pronounce the transcript.
    tolerance : int
        With ``alignment``: frames by which a phone may begin earlier or end later than in the alignment.
    acoustic_scale : float
        Weight of log-likelihoods against the graph. With the 0.1 that is usual in decoding, the network goes on to be
        decoded as its seed was; with 1.0, as the original has it, by LM weights around 1.
    transition_scale, self_loop_scale : float
        Of the transition probabilities, in both; the defaults are those of decoding graphs.
    leaky : float
        Probability of going on between two frames from anywhere to anywhere (Povey et al. 2016, "leaky HMM"); 0: none.
    """

    lm: PhoneLmConfig = field(default_factory=PhoneLmConfig)
    numerator: Literal["alignment", "transcript"] = "alignment"
    tolerance: int = 5
    acoustic_scale: float = 0.1
    transition_scale: float = 1.0
    self_loop_scale: float = 0.1
    leaky: float = 1e-5

    def __post_init__(self) -> None:
        check_scale(self.acoustic_scale)
        if self.tolerance < 0:
            raise ConfigError(f"tolerance is {self.tolerance}, expected 0 or more")
        for name in ("transition_scale", "self_loop_scale"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected a number of 0 or more")
        if not 0 <= self.leaky < 1:
            raise ConfigError(f"leaky is {self.leaky}, expected 0 to below 1")
