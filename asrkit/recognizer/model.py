"""All that a recogniser needs: acoustic model, graph, language, settings; from a directory each or from one file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from asrkit.core.config import from_mapping
from asrkit.core.errors import FormatError, GraphError, ModelError
from asrkit.core.files import read_json
from asrkit.decode.graph import SearchGraph
from asrkit.decode.times import WordTimes, load_word_times
from asrkit.features.cmvn import CmvnStats
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import FrontEnd, load_front_end
from asrkit.features.pipeline import INPUTS_FILE, FeaturePipeline, PipelineConfig, load_pipeline
from asrkit.graph.arrays import GraphArrays, load_graph
from asrkit.graph.automaton import NgramAutomaton
from asrkit.graph.directory import check_graph_fits, load_difference, load_graph_info, load_words
from asrkit.graph.hclg import GraphConfig
from asrkit.lang.g2p import G2p
from asrkit.lang.langdir import Lang
from asrkit.lang.symbols import SymbolTable
from asrkit.lm.model import NgramModel
from asrkit.recognizer.acoustics import load_acoustics
from asrkit.recognizer.config import RecognizerConfig

if TYPE_CHECKING:
    from asrkit.recognizer.acoustics import Acoustics

MAX_FFT_SIZE = 1 << 16
MAX_REACH_FRAMES = 1000
"""Deltas and splicing look this far, at most: more is damage, and would take all memory."""


@dataclass(frozen=True, eq=False)
class RecognizerModel:
    """What one recogniser, or several, work with; read-only.

    Attributes
    ----------
    path : Path
        Where it came from, for messages.
    front_end : FrontEnd
    pipeline : PipelineConfig
    acoustic : GmmHmm or NnetHmm
    graph : SearchGraph
    words : SymbolTable
        Of the graph's output labels.
    times : WordTimes
    graph_config : GraphConfig
        How transition probabilities entered the graph; another graph is built in the same way.
    config : RecognizerConfig
    lang : Lang or None
        Words and pronunciations of the graph; None where they are not known, and no other graph can be built.
    prior : CmvnStats or None
        Of the training data, on the features as extracted.
    language_model : callable or None
        Reads the n-gram model that the graph was built from.
    g2p : callable or None
        Reads a model that pronounces words.
    licence : str
        What its makers say of its use; empty where they say nothing.
    """

    path: Path
    front_end: FrontEnd
    pipeline: PipelineConfig
    acoustic: Acoustics
    graph: SearchGraph
    words: SymbolTable
    times: WordTimes
    graph_config: GraphConfig
    config: RecognizerConfig = field(default_factory=RecognizerConfig)
    lang: Lang | None = None
    prior: CmvnStats | None = None
    language_model: Callable[[], NgramModel] | None = None
    g2p: Callable[[], G2p] | None = None
    licence: str = ""

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the sound that the model hears."""
        return self.front_end.config.sample_rate_hz

    @property
    def frame_secs(self) -> float:
        """Seconds from one frame to the next."""
        return self.front_end.config.frame_shift_ms / 1000 * self.pipeline.keep_every

    @property
    def silence_phones(self) -> tuple[int, ...]:
        """Ids of phones that are no speech."""
        return tuple(sorted(self.times.silence))


def load_model_folders(
    model: Path,
    graph: Path,
    lang: Path | None = None,
    config: RecognizerConfig | None = None,
    prior: CmvnStats | None = None,
    hclg: GraphArrays | None = None,
    path: Path | None = None,
    language_model: Callable[[], NgramModel] | None = None,
    g2p: Callable[[], G2p] | None = None,
    licence: str = "",
    difference: NgramAutomaton | None = None,
) -> RecognizerModel:
    """Put a model directory and a graph directory together.

    Parameters
    ----------
    lang : Path, optional
        Lang directory of the graph; by default the model's own where it has the graph's words.
    hclg : GraphArrays, optional
        Instead of the graph directory's.
    difference : NgramAutomaton, optional
        What the search adds to it, instead of the graph directory's (see `asrkit make-graph --on-the-fly`).

    Raises
    ------
    ModelError, GraphError, FormatError
        A directory is absent or damaged, or they do not belong together.
    """
    if not (model / "model.safetensors").is_file():
        raise ModelError("not a model directory: no model.safetensors", where=model)
    if (model / INPUTS_FILE).exists():
        raise ModelError(
            "the model was trained on another model's inputs or on warped features, and hears no sound by itself",
            where=model,
            remedy="take a model that was trained on features as extracted",
        )
    front_end_config, pipeline = load_front_end(model), load_pipeline(model)
    _check_sizes(front_end_config, pipeline, model)
    front_end = FrontEnd(front_end_config)
    acoustic = load_acoustics(model)
    _check_dimensions(front_end, pipeline, acoustic, model)
    check_graph_fits(graph, acoustic.tree, acoustic.transitions)
    words = load_words(graph)
    arrays = load_graph(graph / "HCLG.fst") if hclg is None else hclg
    if arrays.olabels.max(initial=0) >= len(words):
        raise GraphError(f"HCLG.fst has words that words.txt of {len(words)} words does not", where=graph)
    difference = load_difference(graph) if difference is None else difference
    described = load_graph_info(graph).described.get("config", {})
    scales = {key: described[key] for key in ("transition_scale", "self_loop_scale") if key in described}
    if lang is None:
        lang = find_lang(model, graph)
    if prior is not None and prior.dim != front_end.dim:
        raise ModelError(f"CMVN statistics of dimension {prior.dim}, the features have {front_end.dim}", where=model)
    return RecognizerModel(
        path or model,
        front_end,
        pipeline,
        acoustic,
        SearchGraph(arrays, acoustic.transitions.tid_to_pdf, acoustic.transitions.num_pdfs, difference),
        words,
        load_word_times(graph, model, acoustic.transitions),
        from_mapping(GraphConfig, scales, str(graph / "graph.json")),
        config or RecognizerConfig(),
        None if lang is None else Lang.load(lang, model / "topology.json"),
        prior,
        language_model,
        g2p,
        licence,
    )


def find_lang(model: Path, graph: Path) -> Path | None:
    """Return the lang directory whose words and pronunciations are the graph's: the model's own, or that of the record.

    None: neither is there any more, or has the same words.
    """
    recorded = load_graph_info(graph).described.get("lang")
    candidates = [model / "lang", *([Path(recorded)] if isinstance(recorded, str) else [])]
    return next((folder for folder in candidates if has_words_of(folder, graph)), None)


def has_words_of(lang: Path, graph: Path) -> bool:
    """Say whether a lang directory has the words and pronunciations of a graph directory."""
    for name in ("words.txt", "lexicon.txt"):
        if (graph / name).is_file() and not (
            (lang / name).is_file() and (lang / name).read_bytes() == (graph / name).read_bytes()
        ):
            return False
    return (lang / "lang.json").is_file()


def read_prior(path: Path) -> CmvnStats:
    """Read the statistics of the training data, a JSON matrix as Kaldi's: sums and count, squares and 0."""
    import numpy as np

    try:
        matrix = np.array(read_json(path), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FormatError(f"not a matrix of numbers ({error})", where=path) from None
    stats = CmvnStats.from_matrix(matrix)
    if not np.isfinite(matrix).all() or stats.count <= 0:
        raise FormatError("statistics that are not finite, or of no frames", where=path)
    return stats


def _check_sizes(front_end: FrontEndConfig, pipeline: PipelineConfig, where: Path) -> None:
    """Refuse numbers that would take all memory, before any is taken."""
    reach = pipeline.delta_order * pipeline.delta_window
    if front_end.fft_size > MAX_FFT_SIZE or front_end.num_mel_bins > front_end.fft_size or reach > MAX_REACH_FRAMES:
        raise ModelError("front end or pipeline with numbers beyond all use", where=where)


def _check_dimensions(front_end: FrontEnd, pipeline: PipelineConfig, acoustic: Acoustics, where: Path) -> None:
    given = FeaturePipeline(pipeline).dim(front_end.dim)
    if given != acoustic.input_dim:
        raise ModelError(f"the front end gives {given} inputs, the model has {acoustic.input_dim}", where=where)
