"""`asrkit pretrain cdbn`: from spectrograms alone to a convolutional deep belief network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.core.errors import DataError
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
from asrkit.stages.frame_targets import hold_out
from asrkit.stages.network_features import open_features, why_unusable
from asrkit.stages.pretrain_config import PretrainCdbnConfig
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_apart, check_failures, run_stage


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
        num_frames: dict[str, int] = {}
        failures: list[Failure] = []
        for key in options.progress(sorted(data.utterances), total=len(data.utterances), label="features"):
            reason = why_unusable(key, features)
            if reason is None:
                num_frames[key] = len(features[key])
            else:
                failures.append(Failure(key, reason))
        check_failures(failures, len(data.utterances), options, data_path)
        if not num_frames:
            raise DataError("no utterance has features", where=data_path, remedy=f"run `asrkit extract {data_path}`")
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
        return StageResult(figures, tuple(failures), tuple(_lines(trainer.history)))

    return run_stage("pretrain cdbn", out, inputs, config, outputs, options, body)


def _layers(config: PretrainCdbnConfig) -> list[LayerTraining]:
    first = LayerTraining(config.rbm, config.gaussian, config.gaussian_epochs)
    return [first, *[LayerTraining(config.rbm, config.bernoulli, config.num_epochs)] * (config.layers - 1)]


def _lines(history: list[dict[str, Any]]) -> list[str]:
    """Return one line for each layer: where it came to."""
    last = {row["layer"]: row for row in history}
    shown = {
        "error": "error",
        "held_out_error": "held out",
        "free_energy_gap": "free-energy gap a frame",
        "activity": "activity",
        "dead_bases": "dead bases",
        "frames_per_sec": "frames/s",
    }
    lines = []
    for layer, row in last.items():
        parts = [f"{text} {row[key]:.5g}" for key, text in shown.items() if key in row]
        lines.append(f"layer {layer}: after {row['epoch']} epochs: {', '.join(parts)}")
    return lines
