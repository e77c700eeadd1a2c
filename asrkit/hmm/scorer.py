"""Whatever gives the log-likelihood of each pdf: mixtures, a network, or a model of either."""

from __future__ import annotations

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
