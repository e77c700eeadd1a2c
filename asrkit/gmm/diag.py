"""Diagonal-covariance Gaussian mixtures of all pdfs of a model, laid out for one matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]

LOG_2PI = float(np.log(2.0 * np.pi))
FRAMES_A_TILE = 16
MARGIN_FRAMES = 8
# With its margins a power of two.
FRAMES_AT_ONCE = 240
"""Frames of one product: logits of 2,000 Gaussians then take 2 MB and stay in the cache for the reduction."""


@dataclass(frozen=True)
class DiagGmms:
    """The mixtures of all pdfs; the Gaussians of a pdf are consecutive rows.

    Attributes
    ----------
    weights : float32, shape (num_gaussians,)
        Mixture weights; those of a pdf sum to 1.
    means, variances : float32, shape (num_gaussians, dim)
    offsets : int32, shape (num_pdfs + 1,)
        Rows ``offsets[p]`` to ``offsets[p + 1]`` belong to pdf_id p.

    Raises
    ------
    ModelError
        Shapes disagree, or a variance is not positive.
    """

    weights: FloatArray
    means: FloatArray
    variances: FloatArray
    offsets: IntArray

    def __post_init__(self) -> None:
        sizes = np.diff(self.offsets) if self.offsets.ndim == 1 else np.empty(0)
        if self.means.ndim != 2 or not len(sizes) or self.offsets[0] != 0 or sizes.min() < 1:
            raise ModelError(f"means of shape {self.means.shape} and offsets {self.offsets.ravel()[:4]}… are damaged")
        count, dim = self.means.shape
        if self.weights.shape != (count,) or self.variances.shape != (count, dim) or self.offsets[-1] != count:
            raise ModelError(
                f"weights {self.weights.shape}, means {self.means.shape}, variances {self.variances.shape} and "
                f"offsets up to {self.offsets[-1]} do not belong together"
            )
        if not (np.isfinite(self.means).all() and np.isfinite(self.variances).all() and (self.weights >= 0).all()):
            raise ModelError("means or variances are not finite, or a weight is negative")
        if not (self.variances > 0).all():
            raise ModelError(f"the smallest variance is {self.variances.min()}, expected more than 0")

    @property
    def num_pdfs(self) -> int:
        """Number of pdfs."""
        return len(self.offsets) - 1

    @property
    def num_gaussians(self) -> int:
        """Number of Gaussians of all pdfs."""
        return len(self.weights)

    @property
    def dim(self) -> int:
        """Dimension of the features."""
        return self.means.shape[1]

    @cached_property
    def gaussian_to_pdf(self) -> IntArray:
        """pdf_id of each Gaussian."""
        return np.repeat(np.arange(self.num_pdfs, dtype=np.int32), np.diff(self.offsets))

    @cached_property
    def _rows(self) -> FloatArray:
        """(num_gaussians, 2 * dim + 1): the log density of x times its weight is a row times (x, x², 1)."""
        variances = self.variances.astype(np.float64)
        means = self.means.astype(np.float64)
        with np.errstate(divide="ignore", over="ignore"):
            constant = np.log(self.weights.astype(np.float64)) - 0.5 * (
                self.dim * LOG_2PI + np.log(variances).sum(1) + (means**2 / variances).sum(1)
            )
            rows = np.hstack([means / variances, -0.5 / variances, constant[:, None]]).astype(np.float32)
        if not np.isfinite(rows[:, :-1]).all():
            worst = int(np.argmin(np.isfinite(rows[:, :-1]).all(axis=1)))
            raise ModelError(
                f"Gaussian {worst} has means too large or variances too small for float32",
                remedy="train the model again",
            )
        return rows

    @cached_property
    def precision_form(self) -> tuple[FloatArray, FloatArray, NDArray[np.float64]]:
        """Means, inverse variances, and the log of weight times density at the mean, of each Gaussian.

        What kernels take that evaluate single Gaussians, exactly where means are large beside the deviations.
        """
        variances = self.variances.astype(np.float64)
        with np.errstate(divide="ignore"):
            constants = np.log(self.weights.astype(np.float64))
        constants -= 0.5 * (self.dim * LOG_2PI + np.log(variances).sum(axis=1))
        return np.ascontiguousarray(self.means), np.ascontiguousarray(1.0 / variances, np.float32), constants

    def boosted(self, pdf_ids: Sequence[int], factor: float) -> DiagGmms:
        """Return the model with the weights of some pdfs multiplied, as Kaldi's gmm-boost-silence."""
        weights = self.weights.copy()
        weights[np.isin(self.gaussian_to_pdf, np.asarray(pdf_ids))] *= np.float32(factor)
        return DiagGmms(weights, self.means, self.variances, self.offsets)

    def loglikes(self, features: FloatArray, pdf_ids: IntArray | None = None) -> FloatArray:
        """Return the log-likelihood of every frame under every pdf.

        Parameters
        ----------
        features : float32, shape (num_frames, dim)
        pdf_ids : int32, shape (n,), optional
            Only these pdfs, in this order; default all.

        Returns
        -------
        float32, shape (num_frames, num_pdfs) or (num_frames, n)
            Natural log.

        Raises
        ------
        ModelError
            The features have another dimension than the model.
        """
        from asrkit.gmm.kernels import log_sum_exp_rows

        self.check_features(features)
        rows, offsets = self._rows, self.offsets
        if pdf_ids is not None:
            sizes = np.diff(self.offsets)[pdf_ids]
            rows = rows[_ranges(self.offsets[pdf_ids], sizes)]
            offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        out = np.empty((len(features), len(offsets) - 1), dtype=np.float32)
        for start in range(0, len(features), FRAMES_AT_ONCE):
            block = features[start : start + FRAMES_AT_ONCE]
            # A BLAS adds up the columns at the edges of a product in another order: with full tiles and a margin a
            # frame's value does not depend on the block that it comes in.
            first, last = MARGIN_FRAMES, MARGIN_FRAMES + len(block)
            padded = -(-(last + MARGIN_FRAMES) // FRAMES_A_TILE) * FRAMES_A_TILE
            columns = np.zeros((2 * self.dim + 1, padded), dtype=np.float32)
            columns[: self.dim, first:last] = block.T
            np.square(columns[: self.dim], out=columns[self.dim : -1])
            columns[-1] = 1.0
            result = np.empty((padded, out.shape[1]), dtype=np.float32)
            log_sum_exp_rows(rows @ columns, offsets, result)
            out[start : start + FRAMES_AT_ONCE] = result[first:last]
        return out

    def pair_loglikes(self, features: FloatArray, frame_index: IntArray, pdf_ids: IntArray) -> FloatArray:
        """Return the log-likelihoods of single pairs of a frame and a pdf, where few of all pairs are wanted.

        Parameters
        ----------
        features : float32, shape (num_frames, dim)
        frame_index, pdf_ids : int32, shape (n,)
            0-based.

        Returns
        -------
        float32, shape (n,)
            Natural log; to float32's precision what :meth:`loglikes` gives.

        Raises
        ------
        ModelError
            The features have another dimension than the model, or there is no such frame or pdf.
        """
        from asrkit.gmm.kernels import pair_loglikes

        self.check_features(features)
        for what, ids, number in (("frame", frame_index, len(features)), ("pdf", pdf_ids, self.num_pdfs)):
            if len(ids) and not 0 <= ids.min() <= ids.max() < number:
                raise ModelError(f"{what}s from {ids.min()} to {ids.max()}, there are {number} (0-based)")
        out = np.empty(len(frame_index), dtype=np.float32)
        pair_loglikes(
            np.ascontiguousarray(features, np.float32),
            *self.precision_form,
            self.offsets,
            np.ascontiguousarray(frame_index, np.int32),
            np.ascontiguousarray(pdf_ids, np.int32),
            out,
        )
        return out

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays to be stored (see :func:`asrkit.core.container.save_model`)."""
        return {f"gmm.{name}": getattr(self, name) for name in ("weights", "means", "variances", "offsets")}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> DiagGmms:
        """Build the model from :meth:`to_arrays`; a missing array is a :class:`ModelError`."""
        try:
            return cls(*(arrays[f"gmm.{name}"] for name in ("weights", "means", "variances", "offsets")))
        except KeyError as error:
            raise ModelError(f"the model file has no array {error}") from None

    def check_features(self, features: FloatArray) -> None:
        """Raise a :class:`ModelError` for features of another dimension."""
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise ModelError(
                f"features of shape {features.shape}, the model expects {self.dim} columns",
                remedy="extract them with the model's own front end",
            )


def flat_start(mean: NDArray[np.float64], variance: NDArray[np.float64], num_pdfs: int) -> DiagGmms:
    """Return one Gaussian a pdf, all with the given mean and variance (Kaldi's gmm-init-mono)."""
    return DiagGmms(
        np.ones(num_pdfs, np.float32),
        np.tile(mean.astype(np.float32), (num_pdfs, 1)),
        np.tile(variance.astype(np.float32), (num_pdfs, 1)),
        np.arange(num_pdfs + 1, dtype=np.int32),
    )


def _ranges(starts: IntArray, sizes: IntArray) -> NDArray[np.int64]:
    """Concatenate ``range(start, start + size)`` of each pair."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1]) + np.repeat(starts - (ends - sizes), sizes)
