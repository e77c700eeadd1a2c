"""Fixtures that several rooms need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _shared_folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here; set {variable} to its place")
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_blas_thread() -> Iterator[None]:
    """As in every job: on some processors a product's last bit depends on how many threads share it."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora (environment variable ASRKIT_CORPORA); tests are skipped where it is missing."""
    return _shared_folder("ASRKIT_CORPORA", SHARED / "corpora")


@pytest.fixture(scope="session")
def golden_lm() -> Path:
    """Language models of independent origin (environment variable ASRKIT_GOLDEN_LM)."""
    return _shared_folder("ASRKIT_GOLDEN_LM", SHARED / "golden" / "lm")
