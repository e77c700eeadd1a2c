"""`asrkit pretrain`: from features alone to a stack of layers that a network can begin with."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asrkit.core.errors import DataError
from asrkit.core.files import write_json
from asrkit.data.datadir import DataDir
from asrkit.features.description import read_inputs
from asrkit.features.frontend import load_front_end
from asrkit.features.pipeline import INPUTS_FILE, ModelInputs
from asrkit.nnet.autoencoders.autoencoder import autoencoder_phases
from asrkit.nnet.device import pick_device, torch_threads
from asrkit.nnet.energy.likelihood import model_likelihood
from asrkit.nnet.energy.pretraining import rbm_phases, up_down_phase
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.pretraining import Phase, Pretrained, pretrain
from asrkit.nnet.stack import STACK_FILE, Stack
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.nnet.train.frames import Frames
from asrkit.stages.acoustic import data_files
from asrkit.stages.checkpoint import training_key
from asrkit.stages.held_out import hold_out
from asrkit.stages.history_lines import history_lines
from asrkit.stages.network_features import open_features, usable_utterances
from asrkit.stages.pretrain_config import PretrainDbnConfig, PretrainRbmConfig, PretrainSdaConfig
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_apart, run_stage

log = logging.getLogger("asrkit")

SHOWN = {
    "error": "error",
    "held_out_error": "held out",
    "free_energy_gap": "free-energy gap",
    "pseudo_log_likelihood": "pseudo-log-likelihood",
    "guarded": "updates refused",
    "frames_per_sec": "frames/s",
}
"""What of a history is shown, and by which name."""

StageConfig = PretrainRbmConfig | PretrainDbnConfig | PretrainSdaConfig


def pretrain_stack(kind: str, data_path: Path, out: Path, config: StageConfig, options: RunOptions) -> StageReport:
    """Train a stack of layers on the frames of a data directory.

    Parameters
    ----------
    kind : {'rbm', 'dbn', 'sda'}
        Name of the subcommand.
    data_path : Path
        Data directory with features; transcripts are not read.
    out : Path
        Directory of the stack to be made. ``history.json`` has what was watched after each epoch.

    Raises
    ------
    DataError, FormatError, ConfigError
        Features are absent or damaged, or not in the domain of the visible units.
    ModelError
        The training diverges.
    TooManyFailedError
        Too many utterances have no features.
    """
    check_apart(out, data_path)
    inputs = data_files(data_path, ("utt2spk",))
    origin = read_inputs(data_path)
    outputs = [out / name for name in ("frontend.json", "pipeline.json", "history.json", STACK_FILE)]
    outputs += [out / INPUTS_FILE] if origin is not None else []

    def body() -> StageResult:
        corpus = _open(data_path, config, options)
        if origin is not None and (config.pipeline.cmvn != "none" or config.pipeline.delta_order):
            log.info(
                "%s: features that are another model's inputs are usually taken as they are: "
                "--set pipeline.cmvn=none --set pipeline.delta_order=0",
                data_path,
            )
        store = CheckpointStore(
            out / "checkpoint.safetensors", training_key(config, options.seed, inputs), config.checkpoint_secs
        )
        with torch_threads(config.threads):
            made = _train(corpus, config, options, store)
            figures = _likelihood(made, config, options) if not isinstance(config, PretrainSdaConfig) else {}
        write_json(out / "history.json", made.history)
        training = {"kind": kind, "seed": options.seed, **corpus.figures()}
        Stack(load_front_end(data_path), config.pipeline, corpus.normalisation, made.layers, origin, training).save(out)
        store.clear()
        figures = {"layers": len(made.layers), "units": made.layers[-1].num_outputs, **corpus.figures(), **figures}
        return StageResult(figures, corpus.failures, history_lines(made.history, "phase", SHOWN))

    return run_stage(f"pretrain {kind}", out, inputs, config, outputs, options, body)


@dataclass(frozen=True)
class _Corpus:
    """What is trained on.

    Attributes
    ----------
    features : ModelInputs
        Not spliced.
    normalisation : InputNormalisation
    num_frames : dict of str to int
    training, heldout : list of str
        Utterances.
    failures : tuple of Failure
        The others, with the reason.
    """

    features: ModelInputs
    normalisation: InputNormalisation
    num_frames: dict[str, int]
    training: list[str]
    heldout: list[str]
    failures: tuple[Failure, ...]

    def figures(self) -> dict[str, int]:
        return {
            "training_frames": sum(self.num_frames[key] for key in self.training),
            "heldout_frames": sum(self.num_frames[key] for key in self.heldout),
        }


def _open(data_path: Path, config: StageConfig, options: RunOptions) -> _Corpus:
    data = DataDir.load(data_path)
    features = open_features(data, config.pipeline)
    in_unit_interval = (config.inputs if isinstance(config, PretrainSdaConfig) else config.visible) == "bernoulli"
    num_frames, failures = usable_utterances(data, features, options)
    if in_unit_interval:
        _check_unit_interval(features, num_frames)
    training, heldout = sorted(num_frames), list[str]()
    if config.heldout_share:
        training, heldout = hold_out(data, training, config.heldout_share, options.seed)
    if in_unit_interval:
        dim = features.dim
        normalisation = InputNormalisation(np.zeros(dim, np.float32), np.ones(dim, np.float32))
    else:
        normalisation = InputNormalisation.of(features[key] for key in training)
    return _Corpus(features, normalisation, num_frames, training, heldout, failures)


def _check_unit_interval(features: ModelInputs, keys: Iterable[str]) -> None:
    for key in keys:
        if not (features[key].min() >= 0 and features[key].max() <= 1):
            raise DataError(
                "features below 0 or above 1, and visible units are bernoulli",
                where=key,
                remedy="use Gaussian ones, or features from 0 to 1 with --set pipeline.cmvn=none and delta_order=0",
            )


def _train(corpus: _Corpus, config: StageConfig, options: RunOptions, store: CheckpointStore) -> Pretrained:
    device = pick_device(config.device)
    training, heldout = (
        Frames(
            corpus.features,
            keys,
            corpus.normalisation,
            config.pipeline.splice_left,
            config.pipeline.splice_right,
            config=config.frames,
            device=device,
            num_frames=corpus.num_frames,
        )
        if keys
        else None
        for keys in (corpus.training, corpus.heldout)
    )
    assert training is not None
    return pretrain(
        _phases(config), training, heldout, options.seed, device, config.num_watched, store, options.progress
    )


def _phases(config: StageConfig) -> list[Phase]:
    if isinstance(config, PretrainSdaConfig):
        return autoencoder_phases(
            [config.units] * config.layers,
            config.inputs,
            config.num_epochs,
            config.autoencoder,
            config.frames.batch_size,
        )
    if isinstance(config, PretrainRbmConfig):
        visible = config.visible
        return rbm_phases([config.units], visible, config.rbm, {visible: config.num_epochs}, {visible: config.cd})
    phases = rbm_phases(
        [config.units] * config.layers,
        config.visible,
        config.rbm,
        {"gaussian": config.gaussian_epochs, "bernoulli": config.num_epochs},
        {"gaussian": config.gaussian, "bernoulli": config.bernoulli},
    )
    return [*phases, up_down_phase(config.up_down_epochs, config.up_down)] if config.up_down_epochs else phases


def _likelihood(
    made: Pretrained, config: PretrainRbmConfig | PretrainDbnConfig, options: RunOptions
) -> dict[str, float | None]:
    if not config.likelihood.estimate:
        return {}
    found = model_likelihood(made.layers, made.watched, config.likelihood.ais, options.seed)
    # JSON knows no infinity.
    return {name: round(value, 3) if np.isfinite(value) else None for name, value in found.items()}
