"""Facts of model files that hold a whole recogniser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.stages.info.files import container_head


def is_package(path: Path) -> bool:
    """Say whether a file is one that `asrkit pack` made."""
    head = container_head(path)
    return head is not None and head["kind"] == "recognizer"


def recognizer_facts(path: Path) -> dict[str, Any]:
    """Return what a model file holds."""
    # Numba comes with it.
    from asrkit.recognizer.package import package_facts

    return package_facts(path)
