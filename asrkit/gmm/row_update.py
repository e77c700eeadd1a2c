"""The row-by-row update that finds transforms of maximum likelihood: fMLLR's and MLLT's common core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

SWEEPS_TOGETHER = 5
"""Sweeps in which the matrix of cofactors is kept up row by row; then it is computed afresh."""


def best_rows(quadratic: Doubles, linear: Doubles, count: float, num_sweeps: int) -> Doubles:
    """Return the transform W = [A b] that maximises ``count log|det A| + Σ_d (K_d · w_d − w_dᵀ G_d w_d / 2)``.

    Starting from the identity, each row in turn is replaced by the best one given the others: the update of fMLLR
    (Gales 1998) and, with no offset and no linear part, of MLLT (Gales 1999).

    Parameters
    ----------
    quadratic : float64, shape (D, C, C)
        G, positive definite; C is D or D + 1.
    linear : float64, shape (D, C)
        K.

    Raises
    ------
    numpy.linalg.LinAlgError
        Some G is not positive definite.
    """
    from asrkit.gmm.transform_kernels import row_sweeps

    dim, columns = linear.shape
    np.linalg.cholesky(quadratic)
    inverses = np.ascontiguousarray(np.linalg.inv(quadratic))
    free = np.einsum("dij,dj->di", inverses, linear)
    transform = np.eye(dim, columns)
    for done in range(0, num_sweeps, SWEEPS_TOGETHER):
        cofactors = np.ascontiguousarray(np.linalg.inv(transform[:, :dim]).T)
        sweeps = min(SWEEPS_TOGETHER, num_sweeps - done)
        row_sweeps(inverses, free, linear, count, sweeps, transform, cofactors)
    return transform
