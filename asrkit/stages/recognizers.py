"""Opening a recogniser for a command: settings from a file and the command line, what a model directory lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from asrkit.core.config import load_config
from asrkit.recognizer.config import RecognizerConfig
from asrkit.score.sweep import read_best
from asrkit.stages.pack import training_stats

if TYPE_CHECKING:
    from asrkit.recognizer.recognizer import Recognizer


@dataclass(frozen=True)
class RecognizerOptions:
    """What a command was told of its recogniser.

    Attributes
    ----------
    model : Path
        Model file, or model directory with ``graph``.
    graph : Path or None
    config_file : str or None
        TOML file of settings that differ from those of the model.
    overrides : tuple of str
        ``key=value``.
    best : Path or None
        LM weight and insertion penalty that `asrkit score` chose.
    upsample : bool
        Also take audio of a lower rate than the model's.
    phrases, add_words : Path or None
        What may be said instead of the language model's sentences; words that the model does not know.
    word_cost : float or None
        Of each added word.
    """

    model: Path
    graph: Path | None = None
    config_file: str | None = None
    overrides: Sequence[str] = ()
    best: Path | None = None
    upsample: bool = False
    phrases: Path | None = None
    add_words: Path | None = None
    word_cost: float | None = None


def open_recognizer(options: RecognizerOptions) -> Recognizer:
    """Open the recogniser that a command is to use.

    Raises
    ------
    AsrkitError
        The model is absent or damaged, or a setting is wrong.
    """
    # Numba comes with these.
    from asrkit.recognizer.recognizer import Recognizer, load_recognizer
    from asrkit.recognizer.words import with_other_words

    prior = training_stats(options.model) if options.model.is_dir() else None
    loaded = load_recognizer(options.model, options.graph, prior=prior).model
    config = load_config(RecognizerConfig, options.config_file, tuple(options.overrides), loaded.config)
    if options.best is not None:
        chosen = read_best(options.best)
        config = replace(config, lm_weight=chosen.lm_weight, insertion_penalty=chosen.insertion_penalty)
    model = replace(loaded, config=config)
    words = (options.phrases, options.add_words, options.word_cost)
    if words != (None, None, None):
        model = with_other_words(model, *words)
    return Recognizer(model, options.upsample)
