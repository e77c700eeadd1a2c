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

NNET_KIND = "nnet-hmm"


def load_acoustics(folder: Path) -> Acoustics:
    """Read the model of a model directory; torch is imported where it is a network.

    Raises
    ------
    ModelError, FormatError
        It is absent, damaged, or of a kind that models no acoustics.
    """
    if is_network(folder):
        from asrkit.nnet.acoustic import NnetHmm

        return NnetHmm.load(folder)
    return GmmHmm.load(folder)


def is_network(folder: Path) -> bool:
    """Say whether the model of a directory is a network."""
    return read_kind(folder / "model.safetensors") == NNET_KIND


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
