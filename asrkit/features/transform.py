"""Linear and affine transforms of features: LDA, MLLT and fMLLR are applied and composed here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError


def apply_affine(features: NDArray[np.float32], transform: NDArray[Any]) -> NDArray[np.float32]:
    """Return the transformed features (Kaldi's transform-feats).

    Parameters
    ----------
    features : float32, shape (num_frames, D)
    transform : shape (E, D) or (E, D + 1)
        Linear, or affine with the offset in the last column.

    Returns
    -------
    float32, shape (num_frames, E)

    Raises
    ------
    ModelError
        The number of columns fits neither.
    """
    dim = features.shape[1]
    if transform.ndim != 2 or transform.shape[1] not in (dim, dim + 1):
        raise ModelError(f"a transform of shape {transform.shape} for features of {dim} columns")
    matrix = transform.astype(np.float32)
    moved: NDArray[np.float32] = features @ matrix[:, :dim].T
    if matrix.shape[1] > dim:
        moved += matrix[:, dim]
    return moved


def compose(after: NDArray[Any], before: NDArray[Any], before_is_affine: bool | None = None) -> NDArray[np.float32]:
    """Return the one transform that does ``before`` and then ``after`` (Kaldi's compose-transforms).

    Parameters
    ----------
    after : shape (F, E) or (F, E + 1)
        Linear, or affine with the offset in the last column.
    before : shape (E, D) or (E, D + 1)
    before_is_affine : bool, optional
        Whether the last column of ``before`` is an offset; default: when it has one column more than rows, as fMLLR
        transforms have.

    Returns
    -------
    float32, shape (F, D) or (F, D + 1)
        Linear when both are.

    Raises
    ------
    ModelError
        Shapes do not fit.
    """
    first, second = before.astype(np.float64), after.astype(np.float64)
    rows = len(first)
    if second.shape[1] not in (rows, rows + 1):
        raise ModelError(f"a transform of shape {after.shape} cannot follow one of shape {before.shape}")
    if before_is_affine is None:
        before_is_affine = first.shape[1] == rows + 1
    composed = second[:, :rows] @ first
    if second.shape[1] > rows:
        if before_is_affine:
            composed[:, -1] += second[:, -1]
        else:
            composed = np.hstack([composed, second[:, rows:]])
    return composed.astype(np.float32)


def log_determinant(transform: NDArray[Any]) -> float:
    """Return log |det A| of a square transform (D, D) or affine one (D, D + 1), −inf where it is singular.

    A density of transformed features plus this is a density of the features before.
    """
    rows, columns = transform.shape
    if columns not in (rows, rows + 1):
        raise ModelError(f"a transform of shape {transform.shape} has no determinant")
    return float(np.linalg.slogdet(transform[:, :rows].astype(np.float64))[1])
