"""Collapsed mixtures have the moments of samples drawn from them."""

from __future__ import annotations

import numpy as np

from asrkit.gmm.collapse import collapse
from asrkit.gmm.diag import DiagGmms


def test_moments_are_those_of_the_mixture() -> None:
    rng = np.random.default_rng(0)
    weights = np.float32([1.0, 0.2, 0.3, 0.5])
    means = (100 + 3 * rng.normal(size=(4, 2))).astype(np.float32)
    variances = rng.uniform(0.5, 2, (4, 2)).astype(np.float32)
    single = collapse(DiagGmms(weights, means, variances, np.int32([0, 1, 4])))
    assert single.offsets.tolist() == [0, 1, 2]
    assert single.weights.tolist() == [1, 1]
    np.testing.assert_array_equal(single.means[0], means[0])
    np.testing.assert_allclose(single.variances[0], variances[0], rtol=1e-6)
    rows = 1 + rng.choice(3, 400000, p=[0.2, 0.3, 0.5])
    drawn = rng.normal(means[rows], np.sqrt(variances[rows]))
    np.testing.assert_allclose(single.means[1], drawn.mean(0), atol=0.02)
    np.testing.assert_allclose(single.variances[1], drawn.var(0), rtol=0.01)
    assert (single.variances[1] > 1.5 * variances[1:].max(0)).any()
