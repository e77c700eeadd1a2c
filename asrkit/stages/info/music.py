"""Facts of a model of music."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.core.container import load_model


def music_facts(path: Path) -> dict[str, Any]:
    """Return the facts of a model that `asrkit train-music` made."""
    # Without torch, which reading the model itself would need.
    arrays, meta = load_model(path / "music.safetensors", "sequence-model")
    names = ("model", "config", "lowest_pitch", "step_secs", "steps_per_beat", "training")
    return {
        **{name: meta.get(name) for name in names},
        "keys": meta.get("num_visible"),
        "numbers": sum(value.size for value in arrays.values()),
    }
