"""An acoustic model from its directory, whatever models the acoustics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from asrkit.core.container import read_kind
from asrkit.core.errors import ModelError
from asrkit.gmm.model import GmmHmm

if TYPE_CHECKING:
    from asrkit.nnet.acoustic import NnetHmm

    Acoustics = GmmHmm | NnetHmm
    """Both have a context tree, transitions, loglikes of their inputs, and ``unadapted``, what scores inputs that are
    not adapted to their speaker."""

HYBRID, CTC = "nnet-hmm", "nnet-ctc"
"""Kinds of networks (:mod:`asrkit.nnet.acoustic`)."""


def load_acoustics(folder: Path) -> Acoustics:
    """Read the model of a model directory; torch is imported where it is a network.

    Raises
    ------
    ModelError, FormatError
        It is absent, damaged, or of a kind that models no acoustics.
    """
    kind = read_kind(folder / "model.safetensors")
    if kind not in (HYBRID, CTC):
        return GmmHmm.load(folder)
    from asrkit.nnet.acoustic import NnetCtc, NnetHmm

    return NnetHmm.load(folder) if kind == HYBRID else NnetCtc.load(folder)


def is_ctc(folder: Path) -> bool:
    """Say whether the model of a directory is a network of connectionist temporal classification."""
    return read_kind(folder / "model.safetensors") == CTC


def check_aligns(acoustics: Acoustics, where: Path | str, purpose: str) -> None:
    """Refuse a model whose pdfs are not those of the states of HMMs, to which frames can be aligned.

    Parameters
    ----------
    purpose : str
        What needs that, for the message.

    Raises
    ------
    ModelError
        It is a network of connectionist temporal classification.
    """
    if acoustics.has_blank:
        raise ModelError(
            f"the network was trained by CTC, and says that a phone has come, not where it lies: {purpose} needs that",
            where=where,
            remedy="give a model of `asrkit train-gmm`, or a network that was trained on an alignment",
        )


def mixtures_of(acoustics: Acoustics, where: Path | str) -> GmmHmm:
    """Return the model if it is made of Gaussian mixtures.

    Raises
    ------
    ModelError
        It is a network.
    """
    if not isinstance(acoustics, GmmHmm):
        raise ModelError(
            "the model is a network, and this needs one of Gaussian mixtures",
            where=where,
            remedy="give a model that `asrkit train-gmm` made",
        )
    return acoustics
