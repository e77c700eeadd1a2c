"""`asrkit sample-music`: sequences drawn from a model, as MIDI files or features, and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import ArchiveWriter
from asrkit.core.errors import ModelError
from asrkit.music.midi import MidiConfig, write_midi
from asrkit.music.piano_roll import PianoRoll
from asrkit.music.picture import draw_rolls
from asrkit.nnet.device import pick_device
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.sequence_file import load_sequence_model
from asrkit.nnet.energy.sequence_sampling import draw_sequences
from asrkit.stages.music_config import SampleMusicConfig
from asrkit.stages.pictures import check_pictures, draw_picture
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, run_stage
from asrkit.stages.train_feature_sequences import FEATURES_MODEL_FILE
from asrkit.stages.train_music import MODEL_FILE

PICTURE = "samples.png"

DRAWN = 16
"""Pieces in the picture, at most."""


def sample_music(model_path: Path, out: Path, config: SampleMusicConfig, options: RunOptions) -> StageReport:
    """Draw pieces step by step.

    Parameters
    ----------
    model_path : Path
        What `asrkit train-music` made.
    out : Path
        Directory to be made: ``sample-0001.mid``, ..., or of a model of features ``samples.ark`` with matrices (frames,
        dimension), not normalised; and ``samples.png``.

    Raises
    ------
    ModelError
        There is no model, or it is damaged.
    ConfigError
        A picture is wanted, and matplotlib is not installed.
    """
    check_apart(out, model_path)
    check_pictures(config.pictures, "--set pictures=false for files alone")
    of_features = (model_path / FEATURES_MODEL_FILE).is_file()
    source = model_path / (FEATURES_MODEL_FILE if of_features else MODEL_FILE)
    names = [] if of_features else [f"sample-{number:04d}.mid" for number in range(1, config.num_samples + 1)]
    names += ["samples.ark", "samples.scp"] * of_features + [PICTURE] * config.pictures

    def body() -> StageResult:
        model, meta = load_sequence_model(source)
        device = pick_device(config.device)
        drawn = draw_sequences(
            model.to(device),
            config.num_samples,
            config.num_steps,
            config.gibbs_steps,
            Draws(options.seed, "music", device=device),
            options.progress,
        )
        counts = {"samples": config.num_samples, "steps": config.num_steps}
        if of_features:
            return StageResult(counts | _write_features(source, drawn, meta, out, config))
        return StageResult(counts | _write_music(source, drawn, meta, out, config))

    return run_stage("sample-music", out, [source], config, [out / name for name in names], options, body)


def _write_music(
    source: Path, drawn: NDArray[Any], meta: Mapping[str, Any], out: Path, config: SampleMusicConfig
) -> dict[str, Any]:
    try:
        midi = MidiConfig(int(meta["steps_per_beat"]))
        pitch, step_secs = int(meta["lowest_pitch"]), float(meta["step_secs"])
    except (KeyError, TypeError, ValueError):
        raise ModelError("a model of sequences, but not of music", where=source) from None
    rolls = [PianoRoll(notes, pitch, step_secs) for notes in drawn]
    for number, roll in enumerate(rolls, 1):
        write_midi(out / f"sample-{number:04d}.mid", roll, midi)
    if config.pictures:
        draw_rolls(rolls[:DRAWN], out / PICTURE)
    return {
        "notes": sum(len(roll.held()) for roll in rolls),
        "sounding_keys": round(float(drawn.sum(axis=2).mean()), 3),
    }


def _write_features(
    source: Path, drawn: NDArray[Any], meta: Mapping[str, Any], out: Path, config: SampleMusicConfig
) -> dict[str, Any]:
    try:
        shift, scale = (np.asarray(meta["normalisation"][name], np.float32) for name in ("shift", "scale"))
        features = np.asarray(drawn / scale + shift, np.float32)
    except (KeyError, TypeError, ValueError):
        raise ModelError("a model of sequences, but not of features", where=source) from None
    with ArchiveWriter(out, "samples") as writer:
        for number, one in enumerate(features, 1):
            writer.write(f"sample-{number:04d}", one)
    if config.pictures:
        draw_picture(features[:DRAWN], out / PICTURE)
    return {"dim": features.shape[2]}
