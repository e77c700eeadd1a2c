"""Window functions against numpy's and scipy's, and by their shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.signal

from asrkit.core.errors import ConfigError
from asrkit.features.windows import window


def test_against_other_packages() -> None:
    np.testing.assert_allclose(window("hanning", 401), np.hanning(401), atol=1e-7)
    np.testing.assert_allclose(window("hamming", 400), np.hamming(400), atol=1e-7)
    np.testing.assert_allclose(window("blackman", 399), np.blackman(399), atol=1e-7)
    np.testing.assert_allclose(window("povey", 400), np.hanning(400) ** 0.85, atol=1e-7)
    general = scipy.signal.windows.general_cosine(400, [0.3, 0.5, 0.2])
    np.testing.assert_allclose(window("blackman", 400, 0.3), general, atol=1e-7)
    np.testing.assert_allclose(window("sine", 5), [0, np.sqrt(0.5), 1, np.sqrt(0.5), 0], atol=1e-7)
    assert (window("rectangular", 7) == 1).all()


@pytest.mark.parametrize("kind", ["povey", "hamming", "hanning", "blackman", "sine"])
def test_symmetric_and_highest_in_the_middle(kind: Any) -> None:
    shape = window(kind, 401)
    assert shape.dtype == np.float32
    np.testing.assert_allclose(shape, shape[::-1], atol=1e-6)
    assert shape.argmax() == 200
    assert shape[200] == pytest.approx(1.0)


def test_unknown_kind() -> None:
    kind: Any = "kaiser"
    with pytest.raises(ConfigError, match="kaiser"):
        window(kind, 400)
