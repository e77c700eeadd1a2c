"""asrkit: Kaldi-style speech recognition in Python, from recordings to a word error rate."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrkit.core.kernel_cache import ensure_cache_folder

if TYPE_CHECKING:
    from asrkit.recognizer.recognizer import Recognizer

__all__ = ["__version__", "load"]

__version__ = "0.1.0"

ensure_cache_folder(Path(__file__).parent)


def load(
    model: str | os.PathLike[str],
    graph: str | os.PathLike[str] | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    upsample: bool = False,
    phrases: str | os.PathLike[str] | Sequence[str] | None = None,
    add_words: str | os.PathLike[str] | Mapping[str, str | None] | None = None,
    word_cost: float | None = None,
) -> Recognizer:
    """Open a recogniser.

    Parameters
    ----------
    model : path
        A model file that `asrkit pack` made; or a model directory, with ``graph``.
    graph : path, optional
        Graph directory that `asrkit make-graph` made with the model.
    config : mapping, optional
        Settings that differ from those of the model, e.g. ``{"beam": 10.0, "lm_weight": 12.0}``; the names are those
        of :class:`asrkit.recognizer.config.RecognizerConfig`.
    upsample : bool
        Also take audio of a lower rate than the model's.
    phrases : path or sequence of str, optional
        All that may be said, instead of the language model: phrases, or a file with a list of them or a JSGF grammar.
    add_words : path or mapping, optional
        Words that the model is to know: word -> phones with blanks between them, or None where the packed G2P model is
        to pronounce it; or a file of such lines, ``WORD PHONE PHONE …`` or ``WORD``.
    word_cost : float, optional
        Cost of each added word in an n-gram model; see :func:`asrkit.lm.extension.extend_model`.

    Returns
    -------
    Recognizer
        Call it with audio; see :class:`asrkit.recognizer.recognizer.Recognizer`.

    Raises
    ------
    AsrkitError
        The model is absent or damaged, model and graph do not belong together, or a setting is wrong.
    """
    from asrkit.recognizer.recognizer import load_recognizer

    return load_recognizer(
        model,
        graph,
        config=config,
        upsample=upsample,
        phrases=phrases,
        add_words=add_words,
        word_cost=word_cost,
    )
