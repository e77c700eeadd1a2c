"""The systems of a decoding, each a model with the data directory that it hears: one, or several that are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asrkit.core.errors import ModelError
from asrkit.data.datadir import DataDir
from asrkit.decode.graph import SearchGraph
from asrkit.features.pipeline import ModelInputs
from asrkit.graph.directory import check_graph_fits, model_checksum
from asrkit.hmm.scorer import PdfScorer
from asrkit.stages.acoustic import AcousticModel, load_acoustic_model
from asrkit.stages.loglikes import Loglikes
from asrkit.stages.record import RunOptions
from asrkit.stages.speaker_passes import AdaptedInputs, adapt_by_searching

if TYPE_CHECKING:
    from asrkit.stages.decode import DecodeConfig


@dataclass(frozen=True)
class System:
    """A model and what it hears.

    Attributes
    ----------
    model : AcousticModel
    inputs : ModelInputs
        Not adapted to their speakers.
    """

    model: AcousticModel
    inputs: ModelInputs

    @classmethod
    def open(cls, model_path: Path, data: DataDir, graph_path: Path) -> System:
        """Open a model for a graph and a data directory.

        Raises
        ------
        GraphError, ModelError, DataError, FormatError
            Something is absent or damaged, or model, graph and features do not belong together.
        """
        model = load_acoustic_model(model_path)
        check_graph_fits(graph_path, model.tree, model.transitions)
        return cls(model, model.inputs(data))

    def adapted(
        self, graph: SearchGraph, config: DecodeConfig, options: RunOptions
    ) -> tuple[Loglikes, AdaptedInputs | None]:
        """Return its loglikes, and with a speaker-adaptive model that is to adapt, how its inputs were adapted."""
        scorer: PdfScorer = self.model.model
        if not self.model.model.is_speaker_adaptive:
            return Loglikes(scorer, self.inputs), None
        if not config.adapt:
            return Loglikes(self.model.model.unadapted, self.inputs), None
        searches = config.adapting_searches
        found = adapt_by_searching(self.model, self.inputs, graph, *searches, config.adaptation, options)
        return Loglikes(scorer, found.features), found


def open_further(others: Sequence[tuple[Path, Path]], first: AcousticModel) -> list[System]:
    """Open the systems that are averaged with that of the first model.

    Raises
    ------
    ModelError
        One has another tree or topology, or another frame shift, than the first.
    DataError, FormatError
        Something is absent or damaged, or model and features do not belong together.
    """
    systems = []
    for model_path, data_path in others:
        model = load_acoustic_model(model_path)
        checksums = [model_checksum(one.tree, one.transitions) for one in (first, model)]
        if checksums[0] != checksums[1]:
            raise ModelError(
                "its tree or topology is not that of the first model, so their pdfs cannot be averaged",
                where=model_path,
                remedy="combine hypotheses or lattices instead (`asrkit combine`), or train both on one alignment",
            )
        shifts = [1000 * one.frame_secs for one in (first, model)]
        if shifts[0] != shifts[1]:
            raise ModelError(f"its frame shift is {shifts[1]:g} ms, that of the first {shifts[0]:g}", where=model_path)
        systems.append(System(model, model.inputs(DataDir.load(data_path))))
    return systems


def why_missing(key: str, systems: Sequence[System], data_paths: Sequence[Path]) -> str | None:
    """Return why an utterance cannot be decoded: which data directory has no features of it; None if none."""
    lacking = [str(path) for system, path in zip(systems, data_paths, strict=True) if key not in system.inputs]
    if not lacking:
        return None
    where = f" in {', '.join(lacking)}" if len(systems) > 1 else ""
    return f"no features{where} (see the report of `asrkit extract`)"
