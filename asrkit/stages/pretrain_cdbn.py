"""`asrkit pretrain cdbn`: from spectrograms alone to a convolutional deep belief network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.core.files import write_json
from asrkit.data.datadir import DataDir
from asrkit.features.description import read_inputs
from asrkit.features.frontend import load_front_end
from asrkit.features.pipeline import INPUTS_FILE
from asrkit.nnet.device import pick_device, torch_threads
from asrkit.nnet.energy.convolutional_dbn import CDBN_FILE, ConvolutionalDbn
from asrkit.nnet.energy.convolutional_training import CdbnTrainer, LayerTraining, TrainingData
from asrkit.nnet.energy.whitening import Whitening
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.stages.acoustic import data_files
from asrkit.stages.checkpoint import training_key
from asrkit.stages.held_out import hold_out
from asrkit.stages.history_lines import history_lines
from asrkit.stages.network_features import open_features, usable_utterances
from asrkit.stages.pretrain_config import PretrainCdbnConfig
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, run_stage

SHOWN = {
    "error": "error",
    "held_out_error": "held out",
    "free_energy_gap": "free-energy gap a frame",
    "activity": "activity",
    "dead_bases": "dead bases",
    "frames_per_sec": "frames/s",
}
"""What of a history is shown, and by which name."""


def pretrain_cdbn(data_path: Path, out: Path, config: PretrainCdbnConfig, options: RunOptions) -> StageReport:
    """Train a convolutional deep belief network on the utterances of a data directory.

    Parameters
    ----------
    data_path : Path
        Data directory with features, spectrograms as a rule; transcripts are not read.
    out : Path
        Directory of the network to be made. ``history.json`` has what was watched after each epoch.

    Raises
    ------
    DataError, FormatError, ConfigError
        Features are absent or damaged, or have fewer dimensions than components are wanted.
    ModelError
        The training diverges.
    TooManyFailedError
        Too many utterances have no features.
    """
    check_apart(out, data_path)
    inputs = data_files(data_path, ("utt2spk",))
    origin = read_inputs(data_path)
    outputs = [out / name for name in ("frontend.json", "pipeline.json", "history.json", CDBN_FILE)]
    outputs += [out / INPUTS_FILE] if origin is not None else []

    def body() -> StageResult:
        data = DataDir.load(data_path)
        features = open_features(data, config.pipeline)
        num_frames, failures = usable_utterances(data, features, options)
        training, held_out = sorted(num_frames), list[str]()
        if config.heldout_share:
            training, held_out = hold_out(data, training, config.heldout_share, options.seed)
        whitening = Whitening.of((features[key] for key in training), config.whitening)
        store = CheckpointStore(
            out / "checkpoint.safetensors", training_key(config, options.seed, inputs), config.checkpoint_secs
        )
        corpus = TrainingData(
            lambda key: whitening.apply(features[key]), num_frames, training, held_out, config.buffer_frames
        )
        with torch_threads(config.threads):
            trainer = CdbnTrainer(
                _layers(config), corpus, options.seed, pick_device(config.device), config.num_watched, store
            )
            layers = trainer.train(options.progress)
        write_json(out / "history.json", trainer.history)
        figures: dict[str, Any] = {
            "layers": len(layers),
            "bases": config.rbm.bases,
            "training_frames": sum(num_frames[key] for key in training),
            "heldout_frames": sum(num_frames[key] for key in held_out),
        }
        trained_by = {"kind": "cdbn", "seed": options.seed, **figures}
        ConvolutionalDbn(load_front_end(data_path), config.pipeline, whitening, layers, origin, trained_by).save(out)
        store.clear()
        return StageResult(figures, failures, history_lines(trainer.history, "layer", SHOWN))

    return run_stage("pretrain cdbn", out, inputs, config, outputs, options, body)


def _layers(config: PretrainCdbnConfig) -> list[LayerTraining]:
    first = LayerTraining(config.rbm, config.gaussian, config.gaussian_epochs)
    return [first, *[LayerTraining(config.rbm, config.bernoulli, config.num_epochs)] * (config.layers - 1)]
