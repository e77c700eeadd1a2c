"""Mixtures replaced by the single Gaussian of the same mean and variance."""

from __future__ import annotations

import numpy as np

from asrkit.gmm.diag import DiagGmms


def collapse(gmms: DiagGmms) -> DiagGmms:
    """Return one Gaussian a pdf, with the mean and the variances of its mixture (the closest in Kullback-Leibler).

    It knows what a sound is like and not what the single speakers of the training were like, each of whom a large
    mixture has Gaussians for.
    """
    starts = gmms.offsets[:-1]
    weights = gmms.weights.astype(np.float64)[:, None]
    means, variances = gmms.means.astype(np.float64), gmms.variances.astype(np.float64)
    mass = np.add.reduceat(weights, starts)
    mean = np.add.reduceat(weights * means, starts) / mass
    # Around the mean, so that a large one costs no digits.
    spread = variances + (means - mean[gmms.gaussian_to_pdf]) ** 2
    variance = np.add.reduceat(weights * spread, starts) / mass
    ones = np.ones(gmms.num_pdfs, np.float32)
    offsets = np.arange(gmms.num_pdfs + 1, dtype=np.int32)
    return DiagGmms(ones, mean.astype(np.float32), variance.astype(np.float32), offsets)
