"""Whatever gives the log-likelihood of each pdf: mixtures, a network, or a model of either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class PdfScorer(Protocol):
    """Scores frames; alignment, search and forward-backward do not ask how."""

    def loglikes(
        self, features: NDArray[np.float32], pdf_ids: NDArray[np.int32] | None = None, /
    ) -> NDArray[np.float32]:
        """Return log-likelihoods (num_frames, num_pdfs) float32, natural log, of inputs (num_frames, dim).

        With ``pdf_ids`` (n,) int32, 0-based, those columns alone, (num_frames, n).
        """
        ...


@runtime_checkable
class PosteriorScorer(Protocol):
    """What has posteriors of the pdfs, and scores frames by these over the priors."""

    @property
    def log_priors(self) -> NDArray[np.float32]:
        """Natural log of the prior of each pdf, (num_pdfs,) float32."""
        ...

    def log_posteriors(self, features: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Return natural logs of posteriors, (num_frames, num_pdfs) float32, of inputs (num_frames, dim)."""
        ...


@runtime_checkable
class SequenceScorer(Protocol):
    """What may score a frame by others of its utterance, so that blocks of one utterance hang together."""

    @property
    def needs_whole(self) -> bool:
        """Whether scores depend on later frames, as far as the end."""
        ...

    def begin(self) -> PdfScorer:
        """Return what scores the blocks of one utterance in turn, each frame once."""
        ...


def begun(scorer: PdfScorer) -> PdfScorer:
    """Return what scores the blocks of one utterance in turn.

    Raises
    ------
    ModelError
        The scorer needs whole utterances.
    """
    return scorer.begin() if isinstance(scorer, SequenceScorer) else scorer


def needs_whole(scorer: PdfScorer) -> bool:
    """Whether an utterance must be scored at once."""
    return isinstance(scorer, SequenceScorer) and scorer.needs_whole


def loglike_blocks(
    scorer: PdfScorer, features: NDArray[np.float32], block_frames: int
) -> Iterator[NDArray[np.float32]]:
    """Yield the loglikes of an utterance block by block, (``block_frames`` or fewer, num_pdfs) float32.

    The size of blocks changes no result. A scorer that needs whole utterances gives one block.

    Parameters
    ----------
    features : (num_frames, dim) float32
    """
    if needs_whole(scorer):
        if len(features):
            yield scorer.loglikes(features)
        return
    running = begun(scorer)
    for start in range(0, len(features), block_frames):
        yield running.loglikes(features[start : start + block_frames])
