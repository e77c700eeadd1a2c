"""Checkpoints of a GMM training: after each iteration, enough to go on with the next."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.config import to_mapping
from asrkit.core.errors import AsrkitError
from asrkit.core.files import read_json, write_json
from asrkit.gmm.em import EmState, IterationReport, report_rows
from asrkit.gmm.model import GmmHmm

log = logging.getLogger("asrkit")


class Checkpoint:
    """The folder ``checkpoint/`` of an unfinished training.

    Parameters
    ----------
    folder : Path
        The model directory.
    key : str
        What the training is (:func:`training_key`); a checkpoint of another one is ignored.
    report_type : type
        Of the iterations' reports.
    """

    def __init__(self, folder: Path, key: str, report_type: type[IterationReport] = IterationReport) -> None:
        self.folder = folder / "checkpoint"
        self.key = key
        self.report_type = report_type
        self._own = False  # whether what lies there is of this training, and sound

    def load(self) -> EmState | None:
        """Return the last state that was saved whole, None if there is none of this training."""
        if not (self.folder / "state.json").exists():
            return None
        try:
            state = read_json(self.folder / "state.json")
            if state["key"] != self.key:
                return None
            iteration = int(state["iteration"])
            model = GmmHmm.load(self.folder / str(iteration), self.folder)
            alignments = ArchiveReader(self.folder / str(iteration) / "ali.scp")
            transforms = ArchiveReader(self.folder / str(iteration) / "trans.scp")
            reports = tuple(self.report_type(**row) for row in state["reports"])
            loaded = EmState(
                iteration,
                model,
                {key: np.asarray(alignments[key], dtype=np.int32) for key in alignments},
                dict(state["failures"]),
                reports,
                {key: np.array(transforms[key], dtype=np.float32) for key in transforms},
            )
        except (AsrkitError, KeyError, TypeError, ValueError) as error:
            log.warning("%s: the checkpoint is damaged (%s); training starts again", self.folder, error)
            return None
        self._own = True
        return loaded

    def save(self, state: EmState) -> None:
        """Save a state; the one before it stays until this one is whole."""
        folder = self.folder / str(state.iteration)
        if not self._own:
            self.clear()  # another training's tree and state.json would speak for this one's files
            folder.mkdir(parents=True)
            state.model.save_structure(self.folder)
            self._own = True
        folder.mkdir(exist_ok=True)
        state.model.save_parameters(folder)
        with ArchiveWriter(folder, "ali") as writer:
            for key, alignment in state.alignments.items():
                writer.write(key, alignment)
        with ArchiveWriter(folder, "trans") as writer:
            for key, transform in state.speaker_transforms.items():
                writer.write(key, transform)
        described: dict[str, Any] = {
            "key": self.key,
            "iteration": state.iteration,
            "failures": state.failures,
            "reports": report_rows(state.reports),
        }
        write_json(self.folder / "state.json", described)
        for other in self.folder.iterdir():
            if other.is_dir() and other != folder:
                shutil.rmtree(other)

    def clear(self) -> None:
        """Remove the checkpoint of a finished training."""
        shutil.rmtree(self.folder, ignore_errors=True)


def training_key(config: Any, seed: int, inputs: Iterable[Path]) -> str:
    """Return a digest of everything that decides the result of a training."""
    digest = hashlib.sha256(json.dumps([to_mapping(config), seed], sort_keys=True).encode())
    for path in inputs:
        stat = path.stat() if path.exists() else None
        digest.update(f"{path.absolute()}\x00{stat and (stat.st_size, stat.st_mtime_ns)}\x00".encode())
    return digest.hexdigest()
