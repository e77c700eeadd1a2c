"""Configuration of `asrkit pretrain`."""

from __future__ import annotations

from dataclasses import dataclass, field

from asrkit.core.errors import ConfigError
from asrkit.features.pipeline import PipelineConfig
from asrkit.nnet.autoencoders.config import AutoencoderConfig, Inputs
from asrkit.nnet.energy.config import AisConfig, CdConfig, RbmConfig, UpDownConfig, Visible
from asrkit.nnet.energy.convolutional_config import ConvolutionalCdConfig, ConvolutionalRbmConfig, WhiteningConfig
from asrkit.nnet.train.config import Device, FramesConfig


@dataclass(frozen=True)
class PretrainConfig:
    """What all pretrainings have in common.

    Attributes
    ----------
    pipeline : PipelineConfig
        What is done to features; its splicing is the window that the first layer sees.
    frames : FramesConfig
    heldout_share : float
        Share of the utterances, by whole speakers, that are watched and not trained on; 0: none. With the same seed and
        share they are those that `asrkit train-dnn` holds out.
    num_watched : int
        Frames of either kind that are watched, at most.
    device : {'auto', 'cpu', 'cuda'}
    threads : int
        That a product is shared by on a CPU; another number may change its last bit.
    checkpoint_secs : float
        Between two checkpoints.
    """

    pipeline: PipelineConfig = field(default_factory=lambda: PipelineConfig(splice_left=5, splice_right=5))
    frames: FramesConfig = field(default_factory=FramesConfig)
    heldout_share: float = 0.1
    num_watched: int = 5000
    device: Device = "auto"
    threads: int = 2
    checkpoint_secs: float = 120.0

    def __post_init__(self) -> None:
        if not 0 <= self.heldout_share < 1:
            raise ConfigError(f"heldout_share is {self.heldout_share}, expected 0 to below 1")
        for name in ("num_watched", "threads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not self.checkpoint_secs >= 0:
            raise ConfigError(f"checkpoint_secs is {self.checkpoint_secs}, expected 0 or more")
        for name in ("layers", "units", "num_epochs", "gaussian_epochs"):
            if getattr(self, name, 1) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")


@dataclass(frozen=True)
class LikelihoodConfig:
    """Whether and how the likelihood of a finished model is estimated.

    Attributes
    ----------
    estimate : bool
        Estimate the partition function of the top RBM, and with it the mean log-likelihood of the watched frames (of a
        deep belief network its variational bound): minutes for a thousand units.
    ais : AisConfig
    """

    estimate: bool = False
    ais: AisConfig = field(default_factory=AisConfig)


@dataclass(frozen=True)
class PretrainRbmConfig(PretrainConfig):
    """Configuration of `asrkit pretrain rbm`.

    Attributes
    ----------
    units : int
        Hidden units.
    visible : {'gaussian', 'bernoulli'}
        Visible units: ``gaussian`` for features of speech, which are normalised; ``bernoulli`` for values from 0 to 1,
        which are not.
    num_epochs : int
    rbm : RbmConfig
    cd : CdConfig
        The learning rate is one for Gaussian units.
    likelihood : LikelihoodConfig
    """

    units: int = 1024
    visible: Visible = "gaussian"
    num_epochs: int = 20
    rbm: RbmConfig = field(default_factory=RbmConfig)
    cd: CdConfig = field(default_factory=lambda: CdConfig(learning_rate=0.01))
    likelihood: LikelihoodConfig = field(default_factory=LikelihoodConfig)


@dataclass(frozen=True)
class PretrainDbnConfig(PretrainConfig):
    """Configuration of `asrkit pretrain dbn`; the constants of Kaldi's steps/nnet/pretrain_dbn.sh.

    Attributes
    ----------
    layers : int
        RBMs, one on the other.
    units : int
        Hidden units of each.
    visible : {'gaussian', 'bernoulli'}
        Visible units of the first, as for `asrkit pretrain rbm`.
    gaussian_epochs, num_epochs : int
        Of an RBM with Gaussian visible units, and of the others.
    rbm : RbmConfig
    gaussian, bernoulli : CdConfig
        Training of an RBM with Gaussian visible units, and of the others.
    up_down_epochs : int
        Epochs of up-down training of the whole network; 0: none.
    up_down : UpDownConfig
    likelihood : LikelihoodConfig
    """

    layers: int = 6
    units: int = 1024
    visible: Visible = "gaussian"
    gaussian_epochs: int = 20
    num_epochs: int = 10
    rbm: RbmConfig = field(default_factory=RbmConfig)
    gaussian: CdConfig = field(default_factory=lambda: CdConfig(learning_rate=0.01))
    bernoulli: CdConfig = field(default_factory=CdConfig)
    up_down_epochs: int = 0
    up_down: UpDownConfig = field(default_factory=UpDownConfig)
    likelihood: LikelihoodConfig = field(default_factory=LikelihoodConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.up_down_epochs < 0:
            raise ConfigError(f"up_down_epochs is {self.up_down_epochs}, expected 0 or more")
        if self.up_down_epochs and (self.layers < 2 or self.rbm.hidden != "bernoulli"):
            raise ConfigError("up-down training needs two layers or more, of Bernoulli hidden units")


@dataclass(frozen=True)
class PretrainSdaConfig(PretrainConfig):
    """Configuration of `asrkit pretrain sda`.

    Attributes
    ----------
    layers : int
        Autoencoders, one on the other.
    units : int
        Hidden units of each.
    inputs : {'gaussian', 'bernoulli'}
        Of the first: ``gaussian`` for features of speech, which are normalised, with the squared error as loss;
        ``bernoulli`` for values from 0 to 1, which are not, with the cross-entropy.
    num_epochs : int
        Of each.
    autoencoder : AutoencoderConfig
    """

    layers: int = 6
    units: int = 1024
    inputs: Inputs = "gaussian"
    num_epochs: int = 10
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)


@dataclass(frozen=True)
class PretrainCdbnConfig:
    """Configuration of `asrkit pretrain cdbn`; sizes and constants of Lee, Pham, Largman and Ng 2009.

    Attributes
    ----------
    pipeline : PipelineConfig
        What is done to features; none of it by default, for spectrograms.
    whitening : WhiteningConfig
    layers : int
        Convolutional RBMs, one on the other.
    rbm : ConvolutionalRbmConfig
        Of each layer.
    gaussian_epochs, num_epochs : int
        Of the first layer, and of the others.
    gaussian, bernoulli : ConvolutionalCdConfig
        Training of the first layer, and of the others.
    buffer_frames : int
        Frames whose windows are shuffled together; two buffers are in memory.
    heldout_share : float
        Share of the utterances, by whole speakers, that are watched and not trained on; 0: none.
    num_watched : int
        Windows of either kind that are watched, at most.
    device : {'auto', 'cpu', 'cuda'}
    threads : int
        That a product is shared by on a CPU; another number may change its last bit.
    checkpoint_secs : float
        Between two checkpoints.
    """

    pipeline: PipelineConfig = field(default_factory=lambda: PipelineConfig(cmvn="none", delta_order=0))
    whitening: WhiteningConfig = field(default_factory=WhiteningConfig)
    layers: int = 2
    rbm: ConvolutionalRbmConfig = field(default_factory=ConvolutionalRbmConfig)
    gaussian_epochs: int = 10
    num_epochs: int = 10
    gaussian: ConvolutionalCdConfig = field(default_factory=ConvolutionalCdConfig)
    bernoulli: ConvolutionalCdConfig = field(default_factory=lambda: ConvolutionalCdConfig(window_blocks=10))
    buffer_frames: int = 100_000
    heldout_share: float = 0.1
    num_watched: int = 100
    device: Device = "auto"
    threads: int = 2
    checkpoint_secs: float = 120.0

    def __post_init__(self) -> None:
        if self.pipeline.splice_left or self.pipeline.splice_right:
            raise ConfigError("spliced features, and filters of a convolutional network span frames themselves")
        if not 0 <= self.heldout_share < 1:
            raise ConfigError(f"heldout_share is {self.heldout_share}, expected 0 to below 1")
        for name in ("layers", "gaussian_epochs", "num_epochs", "buffer_frames", "num_watched", "threads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not self.checkpoint_secs >= 0:
            raise ConfigError(f"checkpoint_secs is {self.checkpoint_secs}, expected 0 or more")
