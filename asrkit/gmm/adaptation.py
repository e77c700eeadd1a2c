"""The transform of one speaker, from what its utterances are believed to say: pdfs at frames, with weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError
from asrkit.core.jobs import chunks
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.fmllr import (
    FmllrConfig,
    FmllrReport,
    FmllrStats,
    accumulate_fmllr_from_gaussians,
    estimate_fmllr,
)
from asrkit.gmm.posteriors import gaussian_posteriors
from asrkit.hmm.transitions import TransitionModel

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]

UTTERANCES_AT_ONCE = 16
"""Utterances of a speaker whose frames are held together."""


@dataclass(frozen=True)
class AdaptationConfig:
    """How the transform of a speaker is estimated.

    Attributes
    ----------
    silence_weight : float
        Weight of frames of silence phones, 0 to 1: what is heard there is the room more than the speaker.
    fmllr : FmllrConfig
        How rich a transform is, by the number of frames.
    """

    silence_weight: float = 0.0
    fmllr: FmllrConfig = field(default_factory=FmllrConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.silence_weight <= 1:
            raise ConfigError(f"silence_weight is {self.silence_weight}, expected 0 to 1")


@dataclass(frozen=True, eq=False)
class PdfPosteriors:
    """What is believed of an utterance: pdfs at frames, with weights.

    Attributes
    ----------
    frame_index : int32, shape (n,)
        Frame of each, 0-based.
    pdf_ids : int32, shape (n,)
        0-based.
    weights : float32, shape (n,)
        Posterior, reduced where it is silence; 0 leaves the pair out.
    """

    frame_index: IntArray
    pdf_ids: IntArray
    weights: FloatArray


def path_posteriors(
    transitions: TransitionModel, alignment: IntArray, silence_phones: Sequence[int], silence_weight: float
) -> PdfPosteriors:
    """Return the pdfs along one path, silence weighted down (ali-to-post, weight-silence-post).

    Parameters
    ----------
    alignment : int32, shape (num_frames,)
        Transition ids.
    silence_phones : sequence of int
        1-based.
    silence_weight : float
        0 to 1.
    """
    labels = np.asarray(alignment, np.int32)
    silent_frames = np.isin(transitions.tid_to_phone[labels], np.asarray(silence_phones))
    weights = np.where(silent_frames, np.float32(silence_weight), np.float32(1.0))
    return PdfPosteriors(np.arange(len(labels), dtype=np.int32), transitions.tid_to_pdf[labels], weights)


def estimate_from_posteriors(
    gmms: DiagGmms,
    posterior_gmms: DiagGmms,
    keys: Sequence[str],
    inputs: Mapping[str, FloatArray],
    posteriors: Mapping[str, PdfPosteriors],
    config: FmllrConfig,
) -> tuple[FloatArray, FmllrReport]:
    """Sum the statistics of one speaker over its utterances, in their order, and estimate its transform.

    Parameters
    ----------
    gmms : DiagGmms
        What the transformed inputs are to fit.
    posterior_gmms : DiagGmms
        Makes the posteriors of the Gaussians; Gaussian for Gaussian ``gmms``.
    keys : sequence of str
        The speaker's utterances.
    inputs : mapping of str to float32 (num_frames, dim)
        As they are now.

    Returns
    -------
    float32, shape (dim, dim + 1)
        The identity where there is too little data.
    FmllrReport
    """
    return estimate_fmllr(accumulate_posteriors(gmms, posterior_gmms, keys, inputs, posteriors), config)


def accumulate_posteriors(
    gmms: DiagGmms,
    posterior_gmms: DiagGmms,
    keys: Sequence[str],
    inputs: Mapping[str, FloatArray],
    posteriors: Mapping[str, PdfPosteriors],
) -> FmllrStats:
    """Sum the statistics of utterances, in their order; see :func:`estimate_from_posteriors`."""
    stats = FmllrStats.zero(gmms.dim)
    for some in chunks(keys, UTTERANCES_AT_ONCE):
        features = [inputs[key] for key in some]
        pdfs = [posteriors[key] for key in some]
        starts = np.cumsum([0, *map(len, features)])
        for key, frames, one in zip(some, features, pdfs, strict=True):
            if one.frame_index.max(initial=-1) >= len(frames):
                raise ModelError(f"posteriors of frame {one.frame_index.max()}, {len(frames)} frames", where=key)
        together = np.concatenate(features)
        found = gaussian_posteriors(
            posterior_gmms,
            together,
            np.concatenate([one.pdf_ids for one in pdfs]),
            np.concatenate([one.weights for one in pdfs]),
            np.concatenate([one.frame_index + start for one, start in zip(pdfs, starts[:-1], strict=True)]),
        )
        stats = stats + accumulate_fmllr_from_gaussians(gmms, together, found)
    return stats
