"""`asrkit train-music`: from piano rolls to a model that foretells the next step."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from asrkit.core.errors import DataError
from asrkit.core.files import write_json
from asrkit.core.streams import random_stream
from asrkit.music.accuracy import BoundedCounts, NoteCounts, count_notes
from asrkit.music.music_set import MusicSet, Pieces, music_files, read_music
from asrkit.music.piano_roll import LOWEST_PITCH, NUM_KEYS, transpose
from asrkit.nnet.device import torch_threads
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.recurrence import ConditionalModel
from asrkit.nnet.energy.sequence_file import save_sequence_model
from asrkit.nnet.energy.sequence_scores import score_sequences
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.stages.checkpoint import training_key
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, run_stage
from asrkit.stages.sequence_models import StageConfig, fit_model, score_model

log = logging.getLogger("asrkit")

MODEL_FILE = "music.safetensors"


def train_music(kind: str, data: Path, out: Path, config: StageConfig, options: RunOptions) -> StageReport:
    """Train a model of piano rolls and score it on pieces that it was not trained on.

    Parameters
    ----------
    kind : {'rnn-rbm', 'rtrbm', 'rnn-nade'}
        Name of the subcommand.
    data : Path
        What :func:`~asrkit.music.music_set.read_music` reads.
    out : Path
        Directory of the model to be made: ``music.safetensors``, and ``history.json`` with a row an epoch. The
        report's figures are nats a step and the frame-level accuracy of the set's test pieces, or where it has none of
        its validation pieces: that expected of notes drawn by their probabilities, and that of the notes that are
        likely enough to be worth it, by a bound found on the pieces by which training ends.

    Raises
    ------
    DataError, FormatError
        The pieces are absent or damaged, or too few to hold one out.
    ModelError
        The training diverges.
    """
    check_apart(out, data)
    inputs = music_files(data)
    outputs = [out / MODEL_FILE, out / "history.json"]

    def body() -> StageResult:
        pieces = read_music(data, config.midi)
        training, held_out, stopped_on = _split(pieces, config.heldout_share, options.seed, data)
        store = CheckpointStore(
            out / "checkpoint.safetensors",
            training_key(config, options.seed, inputs),
            config.training.checkpoint_secs,
        )
        with torch_threads(config.training.threads):
            vary = partial(transpose, most=config.transpose) if config.transpose else None
            model, history = fit_model(kind, NUM_KEYS, training, held_out, config, options, store, vary=vary)
            figures = _score(model, held_out, pieces.scored, config, options)
        figures = {"scored_on": pieces.scored_split, "stopped_on": stopped_on, **figures, "epochs": len(history)}
        meta = {
            "lowest_pitch": LOWEST_PITCH,
            "step_secs": pieces.step_secs,
            "steps_per_beat": config.midi.steps_per_beat,
            "training": {"seed": options.seed, **figures},
        }
        write_json(out / "history.json", history)
        save_sequence_model(out / MODEL_FILE, model, meta)
        store.clear()
        return StageResult(figures)

    return run_stage(f"train-music {kind}", out, inputs, config, outputs, options, body)


def _split(pieces: MusicSet, share: float, seed: int, data: Path) -> tuple[Pieces, Pieces, str]:
    """Return the pieces to train on, those by which training ends, and what these are."""
    if pieces.test or not share:
        return pieces.train, pieces.valid, "valid"
    number = max(1, round(share * len(pieces.train)))
    if number >= len(pieces.train):
        raise DataError(
            f"{len(pieces.train)} training pieces are too few to hold {number} out",
            where=data,
            remedy="--set heldout_share=0 to find the end of training by the validation pieces",
        )
    order = random_stream(seed, "held-out pieces").permutation(len(pieces.train))
    chosen = set(order[:number].tolist())
    kept = tuple(piece for one, piece in enumerate(pieces.train) if one not in chosen)
    return kept, tuple(pieces.train[one] for one in sorted(chosen)), f"{number} training pieces"


def _score(
    model: ConditionalModel, held_out: Pieces, scored: Pieces, config: StageConfig, options: RunOptions
) -> dict[str, Any]:
    bounded = BoundedCounts()

    def choose(v: Any, probabilities: Any) -> None:
        bounded.add(v.astype(np.uint8), probabilities)

    draws = Draws(options.seed, "sequence score", device=model.weights.device)
    training = config.training
    score_sequences(model, held_out, training.watch, draws, training.watched_steps, choose, options.progress)
    bound = bounded.best
    drawn, likely = [NoteCounts()], [NoteCounts()]

    def listen(v: Any, probabilities: Any) -> None:
        notes = v.astype(np.uint8)
        drawn.append(count_notes(notes, probabilities))
        likely.append(count_notes(notes, probabilities >= bound))

    figures = score_model(model, scored, config, options, listen)
    return figures | {
        "accuracy": round(sum(drawn, NoteCounts()).accuracy, 5),
        "accuracy_of_likely_notes": round(sum(likely, NoteCounts()).accuracy, 5),
        "likely_from": round(bound, 2),
    }
