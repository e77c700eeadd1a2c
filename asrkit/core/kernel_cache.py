"""A place for compiled kernels where neither the installed package nor the user's cache folder can be written to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path


def ensure_cache_folder(package: Path, environ: MutableMapping[str, str] = os.environ) -> None:
    """Set ``NUMBA_CACHE_DIR`` where Numba would find no folder to cache in, and so refuse to compile at all.

    Numba tries the package's own ``__pycache__`` and then the user's cache folder. Where both are read-only (a system
    installation without a home, a container) a folder that belongs to this user alone is taken in the temporary
    directory; one that somebody else owns is never used, since what is cached there would be executed.
    """
    if "NUMBA_CACHE_DIR" in environ or _can_write(package) or _can_write(_user_cache(environ)):
        return
    folder = Path(tempfile.gettempdir()) / f"asrkit-kernels-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
        ours = not hasattr(os, "getuid") or (state.st_uid == os.getuid() and not state.st_mode & 0o077)
        private = ours and folder.is_dir() and not folder.is_symlink()
    except OSError:
        private = False
    environ["NUMBA_CACHE_DIR"] = str(folder) if private else tempfile.mkdtemp(prefix="asrkit-kernels-")


def _user_cache(environ: MutableMapping[str, str]) -> Path:
    return Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "~").expanduser() / ".cache")


def _can_write(folder: Path) -> bool:
    """Whether the folder, or the first of its parents that exists, can be written to."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)
