"""fMLLR (constrained MLLR): the affine transform of a speaker's features under which the model fits them best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.posteriors import GaussianPosteriors, gaussian_posteriors, precision_sums, weighted_scatters
from asrkit.gmm.row_update import best_rows

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
Doubles = NDArray[np.float64]

Kind = Literal["full", "diag", "offset", "none"]
KINDS: tuple[Kind, ...] = ("full", "diag", "offset", "none")


@dataclass(frozen=True)
class FmllrConfig:
    """How a transform is estimated (Kaldi's FmllrOptions, and what to do with less data).

    Attributes
    ----------
    update : {'full', 'diag', 'offset', 'none'}
        The richest kind: a matrix and an offset, a scale and an offset of each dimension, an offset, the identity.
    min_count, diag_min_count, offset_min_count : float
        A kind needs more frames than this (sum of posteriors), else the next poorer is taken. Kaldi knows only
        ``min_count``, below which it leaves the identity: the other two at infinity do the same.
    num_iters : int
        Sweeps over the rows of a full transform.
    """

    update: Kind = "full"
    min_count: float = 500.0
    diag_min_count: float = 100.0
    offset_min_count: float = 30.0
    num_iters: int = 40

    def __post_init__(self) -> None:
        if self.update not in KINDS:
            raise ConfigError(f"update is {self.update!r}, expected one of {', '.join(KINDS)}")
        if min(self.min_count, self.diag_min_count, self.offset_min_count) < 0 or self.num_iters < 1:
            raise ConfigError("the counts must not be negative, and num_iters must be 1 or more")

    def kind(self, count: float) -> Kind:
        """Return the kind of transform for so many frames."""
        least = {"full": self.min_count, "diag": self.diag_min_count, "offset": self.offset_min_count}
        for kind in KINDS[KINDS.index(self.update) : -1]:
            if count > least[kind]:
                return kind
        return "none"


@dataclass(frozen=True)
class FmllrStats:
    """Statistics of a transform; a monoid (Kaldi's AffineXformStats).

    Attributes
    ----------
    count : float
        Sum of posteriors (beta).
    linear : float64, shape (dim, dim + 1)
        Sum of ``posterior · mean / variance`` times (x, 1)ᵀ (K).
    quadratic : float64, shape (dim, dim + 1, dim + 1)
        For each dimension d the sum of ``posterior / variance[d]`` times (x, 1)(x, 1)ᵀ (G).
    """

    count: float
    linear: Doubles
    quadratic: Doubles

    @classmethod
    def zero(cls, dim: int) -> FmllrStats:
        """Return the neutral element."""
        return cls(0.0, np.zeros((dim, dim + 1)), np.zeros((dim, dim + 1, dim + 1)))

    def __add__(self, other: FmllrStats) -> FmllrStats:
        return FmllrStats(self.count + other.count, self.linear + other.linear, self.quadratic + other.quadratic)

    @property
    def dim(self) -> int:
        """Dimension of the features."""
        return len(self.linear)


@dataclass(frozen=True)
class FmllrReport:
    """What an estimation did.

    Attributes
    ----------
    gain : float
        Rise of the auxiliary function over that of the identity, per frame, natural log; never negative.
    count : float
        Frames (sum of posteriors).
    kind : {'full', 'diag', 'offset', 'none'}
        What was estimated.
    log_determinant : float
        log |det A|: to be added to the log-likelihood of each transformed frame to compare it with that of another
        transform.
    """

    gain: float
    count: float
    kind: Kind
    log_determinant: float


def accumulate_fmllr(
    gmms: DiagGmms,
    features: FloatArray,
    pdf_ids: IntArray,
    weights: FloatArray | None = None,
    frame_index: IntArray | None = None,
) -> FmllrStats:
    """Return the statistics of a speaker's frames whose pdfs, or posteriors of pdfs, are known (gmm-est-fmllr).

    Parameters
    ----------
    gmms : DiagGmms
        The model that makes the posteriors of its Gaussians and that the features are fitted to.
    features : float32, shape (num_frames, dim)
        Before the transform.
    pdf_ids, weights, frame_index
        See :func:`asrkit.gmm.posteriors.gaussian_posteriors`. Give silence a small weight or none.

    Notes
    -----
    Memory grows with the frames given (about 2 kB each at 40 dimensions): add up a long speaker's utterances.
    """
    posteriors = gaussian_posteriors(gmms, features, pdf_ids, weights, frame_index)
    return accumulate_fmllr_from_gaussians(gmms, features, posteriors)


def accumulate_fmllr_from_gaussians(gmms: DiagGmms, features: FloatArray, posteriors: GaussianPosteriors) -> FmllrStats:
    """Return the statistics with posteriors that another model may have made (Kaldi's gmm-est-fmllr-gpost).

    In the first pass of adapted decoding the alignment model, on unadapted features, makes the posteriors, and
    ``gmms`` is the speaker-adaptive one: the same Gaussians, estimated on adapted features.

    Raises
    ------
    ModelError
        The posteriors are of another number of frames, or name Gaussians that the model does not have.
    """
    if posteriors.num_frames != len(features) or features.shape[1] != gmms.dim:
        raise ModelError(
            f"posteriors of {posteriors.num_frames} frames, features {features.shape}, model of {gmms.dim} dimensions"
        )
    if len(posteriors.gaussians) and posteriors.gaussians.max() >= gmms.num_gaussians:
        raise ModelError(
            f"posteriors of Gaussian {posteriors.gaussians.max()}, the model has {gmms.num_gaussians}",
            remedy="both models must have the same Gaussians",
        )
    frames, linear, quadratic = precision_sums(gmms, posteriors)
    extended = np.ones((len(frames), gmms.dim + 1))
    extended[:, :-1] = features[frames]
    return FmllrStats(posteriors.count, linear.T @ extended, weighted_scatters(quadratic, extended))


def fmllr_objective(stats: FmllrStats, transform: NDArray[np.floating]) -> float:
    """Return the auxiliary function of a transform (dim, dim + 1), summed over frames (FmllrAuxFuncDiagGmm)."""
    rows = transform.astype(np.float64)
    fit = np.vdot(rows, stats.linear) - 0.5 * np.einsum("di,dij,dj->", rows, stats.quadratic, rows)
    if stats.count == 0:
        return float(fit)
    return float(fit + stats.count * np.linalg.slogdet(rows[:, :-1])[1])


def estimate_fmllr(stats: FmllrStats, config: FmllrConfig | None = None) -> tuple[FloatArray, FmllrReport]:
    """Return the transform of the greatest likelihood, of the kind that the amount of data allows.

    The full transform is found row by row (Gales 1998, Maximum likelihood linear transformations for HMM-based speech
    recognition, section 4; Kaldi's ComputeFmllrMatrixDiagGmmFull); the diagonal one and the offset in closed form.
    Where statistics do not determine a kind (a singular matrix), the next poorer is taken, too.

    Returns
    -------
    transform : float32, shape (dim, dim + 1)
        [A b]: the adapted feature is A x + b.
    report : FmllrReport
    """
    config = config or FmllrConfig()
    identity = np.eye(stats.dim, stats.dim + 1)
    kind = config.kind(stats.count)
    start = fmllr_objective(stats, identity)
    for tried in KINDS[KINDS.index(kind) : -1]:
        if tried == "full":
            found = _full(stats, config.num_iters)
        else:
            found = _diag(stats) if tried == "diag" else _offset(stats)
        if found is None:
            continue
        transform = found.astype(np.float32)
        gain = fmllr_objective(stats, transform) - start
        if gain >= 0:
            log_det = float(np.linalg.slogdet(transform[:, :-1].astype(np.float64))[1])
            return transform, FmllrReport(gain / stats.count, stats.count, tried, log_det)
    return identity.astype(np.float32), FmllrReport(0.0, stats.count, "none", 0.0)


def _full(stats: FmllrStats, num_iters: int) -> Doubles | None:
    """Gales's update: each row in turn is the best one given the others; None when statistics are singular."""
    try:
        return best_rows(stats.quadratic, stats.linear, stats.count, num_iters)
    except np.linalg.LinAlgError:
        return None


def _diag(stats: FmllrStats) -> Doubles | None:
    """Scale and offset of each dimension, in closed form (Kaldi's ComputeFmllrMatrixDiagGmmDiagonal)."""
    d = np.arange(stats.dim)
    k_scale, k_offset = stats.linear[d, d], stats.linear[:, -1]
    g_scale, g_offset, g_both = stats.quadratic[d, d, d], stats.quadratic[:, -1, -1], stats.quadratic[d, d, -1]
    if not (g_offset > 0).all():
        return None
    a = g_both**2 / g_offset - g_scale
    if not (a < 0).all():
        return None
    b = k_scale - g_both * k_offset / g_offset
    scale = (-b - np.sqrt(b * b - 4 * a * stats.count)) / (2 * a)
    return np.hstack([np.diag(scale), ((k_offset - scale * g_both) / g_offset)[:, None]])


def _offset(stats: FmllrStats) -> Doubles | None:
    """Offset of each dimension (Kaldi's ComputeFmllrMatrixDiagGmmOffset)."""
    d = np.arange(stats.dim)
    weight = stats.quadratic[:, -1, -1]
    if not (weight > 0).all():
        return None
    offset = (stats.linear[:, -1] - stats.quadratic[d, d, -1]) / weight
    return np.hstack([np.eye(stats.dim), offset[:, None]])
