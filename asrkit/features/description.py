"""What the features of a model are, as its directory says it: three files beside the model's own.

``frontend.json`` says how they are extracted, ``pipeline.json`` what is done to them, and ``inputs.json``, where there
is one, whose inputs they are: what `asrkit write-inputs` made, or another model's outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asrkit.core.config import to_mapping
from asrkit.core.files import read_json, write_json
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import save_front_end
from asrkit.features.pipeline import INPUTS_FILE, PipelineConfig


def save_description(
    folder: Path, front_end: FrontEndConfig, pipeline: PipelineConfig, inputs: Mapping[str, Any] | None
) -> None:
    """Write the files; an ``inputs.json`` that was there goes where there are none."""
    save_front_end(folder, front_end)
    write_json(folder / "pipeline.json", to_mapping(pipeline))
    (folder / INPUTS_FILE).unlink(missing_ok=True)
    if inputs is not None:
        write_json(folder / INPUTS_FILE, dict(inputs))


def read_inputs(folder: Path) -> dict[str, Any] | None:
    """Return whose inputs the features of a data or model directory are; None: they are as extracted."""
    path = folder / INPUTS_FILE
    return read_json(path) if path.exists() else None


def inputs_files(folder: Path) -> list[Path]:
    """Return ``inputs.json`` if a directory has one."""
    path = folder / INPUTS_FILE
    return [path] if path.exists() else []


def description_files(folder: Path) -> list[Path]:
    """Return the files that a directory describes its features with."""
    return [folder / "frontend.json", folder / "pipeline.json", *inputs_files(folder)]
