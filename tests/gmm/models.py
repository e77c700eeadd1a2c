"""Small random mixtures for the tests of this room."""

from __future__ import annotations

import numpy as np

from asrkit.gmm.diag import DiagGmms


def random_gmms(rng: np.random.Generator, sizes: tuple[int, ...] = (3, 1, 4), dim: int = 5) -> DiagGmms:
    """Mixtures of the given numbers of Gaussians, well apart."""
    weights = np.concatenate([rng.dirichlet(np.full(size, 5.0)) for size in sizes])
    count = sum(sizes)
    return DiagGmms(
        weights.astype(np.float32),
        rng.normal(scale=3.0, size=(count, dim)).astype(np.float32),
        rng.uniform(0.3, 2.0, size=(count, dim)).astype(np.float32),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
    )


def sample(gmms: DiagGmms, pdf_ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One frame of each pdf named, float32 (n, dim)."""
    frames = np.empty((len(pdf_ids), gmms.dim), dtype=np.float32)
    for n, pdf in enumerate(pdf_ids):
        first, last = gmms.offsets[pdf : pdf + 2]
        p = gmms.weights[first:last].astype(np.float64)
        g = first + rng.choice(last - first, p=p / p.sum())
        frames[n] = rng.normal(gmms.means[g], np.sqrt(gmms.variances[g]))
    return frames
