"""`asrkit train-music --data feats`: from features to a model that foretells the next frame of speech."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.core.files import write_json
from asrkit.core.streams import random_stream
from asrkit.data.datadir import DataDir
from asrkit.features.description import read_inputs, save_description
from asrkit.features.frontend import load_front_end
from asrkit.features.pipeline import ModelInputs
from asrkit.nnet.device import torch_threads
from asrkit.nnet.energy.recurrence import ConditionalModel
from asrkit.nnet.energy.sequence_file import save_sequence_model
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.stages.acoustic import data_files
from asrkit.stages.checkpoint import training_key
from asrkit.stages.held_out import hold_out
from asrkit.stages.network_features import CACHE_BYTES, usable_utterances
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, run_stage
from asrkit.stages.sequence_models import StageConfig, fit_model, score_model

FEATURES_MODEL_FILE = "sequence.safetensors"

PRETRAINED_FRAMES = 200_000
"""That the RBM of single frames sees at most: they are in memory all at once."""


class FeatureSequences(Sequence[NDArray[np.float32]]):
    """Utterances as sequences of normalised frames, (T, D) each, read when they are asked for."""

    def __init__(self, features: ModelInputs, keys: Sequence[str], normalisation: InputNormalisation) -> None:
        self.keys = tuple(keys)
        self._features, self._normalisation = features, normalisation

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return FeatureSequences(self._features, self.keys[number], self._normalisation)
        return self._normalisation.apply(self._features[self.keys[number]])


def train_feature_sequences(
    kind: str, data_path: Path, out: Path, config: StageConfig, options: RunOptions
) -> StageReport:
    """Train a model of the frames of utterances and score it on speakers that it was not trained on.

    Parameters
    ----------
    kind : {'rnn-rbm', 'rtrbm'}
        Name of the subcommand.
    data_path : Path
        Data directory with features; transcripts are not read.
    out : Path
        Directory of the model to be made: ``sequence.safetensors``, ``frontend.json``, ``pipeline.json``, and
        ``history.json`` with a row an epoch. The report's figures are of features normalised to zero mean and unit
        variance: nats a frame, beside those of a normal distribution of each dimension; and the mean squared error of
        the frame that was foretold, beside that of the last frame in its place.

    Raises
    ------
    DataError, FormatError
        Features are absent or damaged, or of too few utterances.
    ModelError
        The training diverges.
    TooManyFailedError
        Too many utterances have no features.
    """
    check_apart(out, data_path)
    inputs = data_files(data_path, ("utt2spk",))
    names = (FEATURES_MODEL_FILE, "frontend.json", "pipeline.json", "history.json")

    def body() -> StageResult:
        data, front_end = DataDir.load(data_path), load_front_end(data_path)
        features = ModelInputs(data, config.pipeline, CACHE_BYTES)
        num_frames, failures = usable_utterances(data, features, options)
        if len(num_frames) < 3:
            raise DataError(
                f"{len(num_frames)} utterances with features, expected 3 or more: to train on, to stop by, to score",
                where=data_path,
                remedy=f"run `asrkit extract {data_path}`",
            )
        rest, scored = hold_out(data, list(num_frames), config.heldout_share, options.seed)
        training, stopping = hold_out(data, rest, config.heldout_share, options.seed)
        normalisation = InputNormalisation.of(features[key] for key in training)
        parts = {
            name: FeatureSequences(features, chosen, normalisation)
            for name, chosen in (("training", training), ("stopping", stopping), ("scored", scored))
        }
        store = CheckpointStore(
            out / "checkpoint.safetensors",
            training_key(config, options.seed, inputs),
            config.training.checkpoint_secs,
        )
        begins = FeatureSequences(features, _some(training, num_frames, options.seed), normalisation)
        with torch_threads(config.training.threads):
            model, history = fit_model(
                kind, features.dim, parts["training"], parts["stopping"], config, options, store, begins
            )
            figures = _score(model, parts["scored"], config, options)
        figures |= {"epochs": len(history)} | {f"{name}_utterances": len(part) for name, part in parts.items()}
        write_json(out / "history.json", history)
        save_description(out, front_end, config.pipeline, read_inputs(data_path))
        shift_scale = {"shift": normalisation.shift.tolist(), "scale": normalisation.scale.tolist()}
        meta = {"normalisation": shift_scale, "training": {"seed": options.seed, **figures}}
        save_sequence_model(out / FEATURES_MODEL_FILE, model, meta)
        store.clear()
        return StageResult(figures, failures)

    outputs = [out / name for name in names]
    return run_stage(f"train-music {kind}", out, inputs, config, outputs, options, body)


def _some(keys: Sequence[str], num_frames: Mapping[str, int], seed: int) -> list[str]:
    """Return utterances of PRETRAINED_FRAMES frames at most, but one, drawn at random."""
    chosen: list[str] = []
    room = PRETRAINED_FRAMES
    for number in random_stream(seed, "sequence pretraining utterances").permutation(len(keys)).tolist():
        room -= num_frames[keys[number]]
        if chosen and room < 0:
            break
        chosen.append(keys[number])
    return sorted(chosen)


def _score(
    model: ConditionalModel, scored: FeatureSequences, config: StageConfig, options: RunOptions
) -> dict[str, Any]:
    error, count, squares = 0.0, 0, np.zeros(model.num_visible)

    def listen(v: Any, means: Any) -> None:
        nonlocal error, count, squares
        error += float(np.square(v - means, dtype=np.float64).sum())
        count += v.size
        squares += np.square(v, dtype=np.float64).sum(axis=0)

    figures = score_model(model, scored, config, options, listen)
    # Frames of zero mean and unit variance in training: what a normal distribution of each dimension gives them.
    alone = -0.5 * (model.num_visible * np.log(2 * np.pi) + squares.sum() * model.num_visible / count)
    repeated = [np.square(np.diff(one, axis=0), dtype=np.float64) for one in scored]
    steps = sum(one.size for one in repeated)
    return figures | {
        "independent_log_likelihood": round(float(alone), 4),
        "squared_error": round(error / count, 5),
        "last_frame_squared_error": round(sum(float(one.sum()) for one in repeated) / steps, 5) if steps else None,
    }
