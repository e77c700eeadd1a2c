"""GMM log-likelihoods, log-sum-exp included, against a bare matrix product of the same size, on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from asrkit.gmm.diag import DiagGmms

NUM_FRAMES, DIM, ROUNDS = 8000, 40, 7


def model(num_pdfs: int, num_gaussians: int) -> DiagGmms:
    rng = np.random.default_rng(0)
    sizes = rng.multinomial(num_gaussians - num_pdfs, np.full(num_pdfs, 1 / num_pdfs)) + 1
    return DiagGmms(
        rng.uniform(0.1, 1.0, num_gaussians).astype(np.float32),
        rng.normal(size=(num_gaussians, DIM)).astype(np.float32),
        rng.uniform(0.5, 1.5, (num_gaussians, DIM)).astype(np.float32),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
    )


def seconds(function: Callable[[], np.ndarray]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


@pytest.mark.bench
@pytest.mark.parametrize(("num_pdfs", "num_gaussians"), [(109, 980), (500, 4000), (2000, 2000)])
def test_loglikes_against_a_bare_product(num_pdfs: int, num_gaussians: int) -> None:
    gmms = model(num_pdfs, num_gaussians)
    rng = np.random.default_rng(1)
    features = rng.normal(size=(NUM_FRAMES, DIM)).astype(np.float32)
    rows = rng.normal(size=(num_gaussians, 2 * DIM + 1)).astype(np.float32)
    columns = rng.normal(size=(2 * DIM + 1, NUM_FRAMES)).astype(np.float32)
    with threadpool_limits(limits=1):
        pairs = []
        for _ in range(ROUNDS + 1):
            pairs.append((seconds(lambda: gmms.loglikes(features)), seconds(lambda: rows @ columns)))
    ours, bare = (float(np.median([pair[k] for pair in pairs[1:]])) for k in (0, 1))
    share = float(np.median([b / a for a, b in pairs[1:]]))
    flop = 2.0 * num_gaussians * (2 * DIM + 1) * NUM_FRAMES
    print(
        f"\nGMM loglikes, {num_pdfs} pdfs, {num_gaussians} Gaussians: {flop / ours / 1e9:.1f} GFLOP/s, "
        f"{NUM_FRAMES / ours:,.0f} frames/s; bare product {flop / bare / 1e9:.1f} GFLOP/s; share {share:.0%}"
    )
    assert np.isfinite(gmms.loglikes(features[:10])).all()
