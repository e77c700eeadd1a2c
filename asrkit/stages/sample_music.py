"""`asrkit sample-music`: pieces drawn from a model of piano rolls, as MIDI files and as a picture."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from asrkit.core.errors import ConfigError, ModelError
from asrkit.music.midi import MidiConfig, write_midi
from asrkit.music.piano_roll import PianoRoll
from asrkit.music.picture import draw_rolls
from asrkit.nnet.device import pick_device
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.sequence_file import load_sequence_model
from asrkit.nnet.energy.sequence_sampling import draw_sequences
from asrkit.stages.music_config import SampleMusicConfig
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, run_stage
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
        Directory to be made: ``sample-0001.mid``, ... and ``samples.png``.

    Raises
    ------
    ModelError
        There is no model, or it is damaged.
    ConfigError
        A picture is wanted, and matplotlib is not installed.
    """
    check_apart(out, model_path)
    if config.pictures and importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(
            "pictures need matplotlib", remedy="pip install 'asrkit[report]', or --set pictures=false for MIDI alone"
        )
    source = model_path / MODEL_FILE
    names = [f"sample-{number:04d}.mid" for number in range(1, config.num_samples + 1)]
    outputs = [out / name for name in names] + [out / PICTURE] * config.pictures

    def body() -> StageResult:
        model, meta = load_sequence_model(source)
        try:
            midi = MidiConfig(int(meta["steps_per_beat"]))
            pitch, step_secs = int(meta["lowest_pitch"]), float(meta["step_secs"])
        except (KeyError, TypeError, ValueError):
            raise ModelError("a model of sequences, but not of music", where=source) from None
        device = pick_device(config.device)
        drawn = draw_sequences(
            model.to(device),
            config.num_samples,
            config.num_steps,
            config.gibbs_steps,
            Draws(options.seed, "music", device=device),
            options.progress,
        )
        rolls = [PianoRoll(notes, pitch, step_secs) for notes in drawn]
        for name, roll in zip(names, rolls):
            write_midi(out / name, roll, midi)
        if config.pictures:
            draw_rolls(rolls[:DRAWN], out / PICTURE)
        return StageResult(
            {
                "samples": config.num_samples,
                "steps": config.num_steps,
                "notes": sum(len(roll.held()) for roll in rolls),
                "sounding_keys": round(float(drawn.sum(axis=2).mean()), 3),
            }
        )

    return run_stage("sample-music", out, [source], config, outputs, options, body)
