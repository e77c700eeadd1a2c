"""Kernels find a cache folder, and never one that somebody else may write to."""

from __future__ import annotations

from pathlib import Path

import pytest

from asrkit.core import kernel_cache
from asrkit.core.kernel_cache import ensure_cache_folder


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary directory beside which nothing can be written to."""
    monkeypatch.setattr(kernel_cache, "_can_write", lambda folder: False)
    monkeypatch.setattr(kernel_cache.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_writable_package_or_a_users_own_choice_is_left_alone(tmp_path: Path, read_only: Path) -> None:
    chosen = {"NUMBA_CACHE_DIR": "/mine"}
    ensure_cache_folder(tmp_path, chosen)
    assert chosen == {"NUMBA_CACHE_DIR": "/mine"}


def test_nothing_is_set_where_numba_finds_a_folder(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    ensure_cache_folder(tmp_path, environ)
    assert environ == {}


def test_a_private_folder_is_taken_and_taken_again(read_only: Path) -> None:
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    ensure_cache_folder(read_only, first)
    ensure_cache_folder(read_only, second)
    assert first == second
    folder = Path(first["NUMBA_CACHE_DIR"])
    assert folder.parent == read_only
    assert folder.stat().st_mode & 0o077 == 0


def test_a_folder_open_to_others_is_never_used(read_only: Path) -> None:
    environ: dict[str, str] = {}
    ensure_cache_folder(read_only, environ)
    planted = Path(environ["NUMBA_CACHE_DIR"])
    planted.chmod(0o777)
    again: dict[str, str] = {}
    ensure_cache_folder(read_only, again)
    assert again["NUMBA_CACHE_DIR"] != str(planted)
    assert Path(again["NUMBA_CACHE_DIR"]).stat().st_mode & 0o077 == 0
