"""Applying and composing linear and affine transforms."""

from __future__ import annotations

import numpy as np
import pytest

from asrkit.core.errors import ModelError
from asrkit.features.transform import apply_affine, compose, log_determinant

FLOAT32 = {"rtol": 1e-5, "atol": 1e-5}


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def test_a_column_more_is_an_offset() -> None:
    x, transform = drawn(7, 3), drawn(2, 4)
    expected = [transform[:, :3] @ frame + transform[:, 3] for frame in x]
    np.testing.assert_allclose(apply_affine(x, transform), expected, **FLOAT32)
    np.testing.assert_allclose(apply_affine(x, transform[:, :3]), expected - transform[:, 3], **FLOAT32)
    assert apply_affine(x, transform.astype(np.float64)).dtype == np.float32


@pytest.mark.parametrize("before_offset", [0, 1])
@pytest.mark.parametrize("after_offset", [0, 1])
def test_the_composed_transform_does_one_after_the_other(before_offset: int, after_offset: int) -> None:
    x, before, after = drawn(7, 5), drawn(3, 5 + before_offset), drawn(2, 3 + after_offset)
    both = compose(after, before, before_is_affine=bool(before_offset))
    assert both.shape == (2, 5 + max(before_offset, after_offset))
    np.testing.assert_allclose(apply_affine(x, both), apply_affine(apply_affine(x, before), after), **FLOAT32)


def test_transforms_of_a_speaker_are_known_to_be_affine_and_order_matters() -> None:
    x, first, second = drawn(7, 3), drawn(3, 4), drawn(3, 4, seed=1)
    there = apply_affine(apply_affine(x, first), second)
    np.testing.assert_allclose(apply_affine(x, compose(second, first)), there, **FLOAT32)
    assert abs(apply_affine(x, compose(first, second)) - there).max() > 0.1


def test_determinants_multiply() -> None:
    first, second = drawn(3, 4), drawn(3, 4, seed=1)
    total = log_determinant(first) + log_determinant(second)
    assert log_determinant(compose(second, first)) == pytest.approx(total, abs=1e-4)
    assert log_determinant(np.diag([2.0, -3.0])) == pytest.approx(np.log(6))
    assert log_determinant(np.zeros((2, 3))) == -np.inf


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="for features of 3 columns"):
        apply_affine(drawn(7, 3), drawn(2, 5))
    with pytest.raises(ModelError, match="cannot follow"):
        compose(drawn(2, 5), drawn(3, 4))
    with pytest.raises(ModelError, match="has no determinant"):
        log_determinant(drawn(2, 4))
