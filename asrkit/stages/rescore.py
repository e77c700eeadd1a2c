"""The stage of `asrkit rescore`: lattices with another language model, and what is read off them then."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import AsrkitError, ConfigError, DataError, FormatError, GraphError
from asrkit.core.files import read_json
from asrkit.core.jobs import map_in_order
from asrkit.data.datadir import DataDir
from asrkit.decode.times import load_word_times
from asrkit.graph.automaton import NgramAutomaton
from asrkit.graph.directory import GraphInfo, check_graph_fits, load_graph_info, load_words
from asrkit.graph.grammar_fst import ngram_grammar
from asrkit.lang.symbols import SymbolTable
from asrkit.lattice.archive import LatticeReader, LatticeWriter
from asrkit.lattice.lattice import Lattice
from asrkit.lattice.rescoring import NO_PATH
from asrkit.lm.arpa import read_arpa
from asrkit.score.sweep import read_best
from asrkit.stages.acoustic import data_files, load_acoustic_model, model_files
from asrkit.stages.decode import LATTICES, DecodeConfig, lattice_reading
from asrkit.stages.hypothesis_files import ALTERNATIVES, HYPOTHESES, TIMES, HypothesisFiles
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_apart, check_failures, run_stage

log = logging.getLogger("asrkit")

NUM_NAMED = 10
GRAPH_FILES = ("graph.json", "words.txt", "phones.txt", "lexicon.txt")


@dataclass(frozen=True)
class RescoreConfig:
    """Configuration of `asrkit rescore`.

    Attributes
    ----------
    new_weight : float
        Share of the new language model in the log-linear interpolation with the old one: 1: it takes the old one's
        place, 0: nothing changes.
    exact : bool
        Let the new model cost what the ARPA file says. Without it a sentence costs what it would in a graph of the
        new model, where backing off is free to be cheaper than a listed n-gram (see
        :func:`asrkit.lattice.rescoring.add_model`).
    lm_weights, insertion_penalties, num_best, least_risk, posterior_scale
        As for `asrkit decode`.
    """

    new_weight: float = 1.0
    exact: bool = False
    lm_weights: tuple[float, ...] = (10.0,)
    insertion_penalties: tuple[float, ...] = (0.0,)
    num_best: int = 1
    least_risk: bool = False
    posterior_scale: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.new_weight <= 1:
            raise ConfigError(f"new_weight is {self.new_weight}, expected 0 to 1")
        _ = self.decoding

    @property
    def decoding(self) -> DecodeConfig:
        """The same settings for `asrkit decode`."""
        return DecodeConfig(
            lm_weights=self.lm_weights,
            insertion_penalties=self.insertion_penalties,
            num_best=self.num_best,
            least_risk=self.least_risk,
            posterior_scale=self.posterior_scale,
        )


def rescore(
    graph_path: Path,
    model_path: Path,
    data_path: Path,
    decoded: Path,
    lm_path: Path,
    out: Path,
    config: RescoreConfig,
    options: RunOptions,
    old_path: Path | None = None,
    best: Path | None = None,
) -> StageReport:
    """Put another language model into the lattices of a decode directory.

    Parameters
    ----------
    graph_path, model_path, data_path : Path
        What the lattices were made with: graph directory, model directory, data directory.
    decoded : Path
        Decode directory with ``lat.scp``.
    lm_path : Path
        ARPA file of the new model, of any order. Paths with words that it lacks are lost.
    out : Path
        Decode directory to be made, with lattices and hypotheses as those of `asrkit decode`.
    old_path : Path, optional
        ARPA file of the model in the lattices; by default the one that the graph names.
    best : Path, optional
        File (or decode directory) with the LM weight and insertion penalty that `asrkit score` chose on a
        development set; they replace those of ``config``.

    Raises
    ------
    GraphError, ModelError, DataError, FormatError
        An input is absent or damaged, or they do not belong together.
    TooManyFailedError
        More utterances failed than the options allow.
    """
    check_apart(out, decoded)
    info = load_graph_info(graph_path)
    _check_decoded(decoded, graph_path, old_path)
    if best is not None:
        chosen = read_best(best)
        config = replace(config, lm_weights=(chosen.lm_weight,), insertion_penalties=(chosen.insertion_penalty,))
    old = old_path or _named_model(info, graph_path)
    inputs = [
        *(graph_path / name for name in GRAPH_FILES),
        *model_files(model_path),
        *data_files(data_path, ("utt2spk", "segments")),
        *(decoded / name for name in LATTICES),
        lm_path,
        old,
    ]
    outputs = [out / HYPOTHESES, out / TIMES, out / ALTERNATIVES, *(out / name for name in LATTICES)]
    outputs += [out / setting.file_name for setting in config.decoding.settings]

    def body() -> StageResult:
        if old_path is None:
            _check_unchanged(info, old)
        words = load_words(graph_path)
        lattices = LatticeReader(decoded / LATTICES[0])
        old_is_exact = bool(info.described.get("on_the_fly"))
        models = _automaton(old, words), _automaton(lm_path, words)
        rescorer = _Rescorer(lattices, words, *models, old_is_exact, config)
        if lacking := rescorer.lacking(models[0].words):
            log.warning("%s lacks %s; paths of the lattices with these are lost", lm_path, _named(lacking))
        return _rescore(graph_path, model_path, data_path, out, words, rescorer, options)

    return run_stage("rescore", out, inputs, config, outputs, options, body, uses_seed=False)


class _Rescorer:
    """Rescores the lattice of an utterance; shared by threads."""

    def __init__(
        self,
        lattices: LatticeReader,
        words: SymbolTable,
        old: NgramAutomaton,
        new: NgramAutomaton,
        old_is_exact: bool,
        config: RescoreConfig,
    ) -> None:
        self.lattices, self.words = lattices, words
        self.old, self.new, self.old_is_exact, self.config = old, new, old_is_exact, config
        # Once, before several threads could.
        _ = old.arrays, new.arrays, old.order, new.order

    def __call__(self, key: str) -> tuple[Lattice, Lattice] | AsrkitError:
        """Return the lattice before and after."""
        # Numba comes with it.
        from asrkit.lattice.rescoring import replace_model

        weight, free = self.config.new_weight, not self.config.exact
        try:
            lattice = self.lattices[key]
            if lattice.words.max(initial=0) >= len(self.words):
                raise FormatError(f"word id {lattice.words.max()} in a lattice, words.txt has {len(self.words)}")
        except AsrkitError as error:
            return error
        try:
            return lattice, replace_model(lattice, self.old, self.new, weight, weight, not self.old_is_exact, free)
        except AsrkitError as error:
            # What was wrong before the new model came is not for want of its words.
            lacking = self.lacking(lattice.words) if error.message == NO_PATH else []
            return (
                DataError(f"no path without words that the language model lacks: {_named(lacking)}")
                if lacking
                else error
            )

    def lacking(self, word_ids: NDArray[np.int32]) -> list[str]:
        """Return those of the words that the new model does not have."""
        lacking = np.setdiff1d(word_ids, self.new.words)
        return sorted(self.words.symbols[word] for word in lacking.tolist() if word != 0)


def _rescore(
    graph_path: Path,
    model_path: Path,
    data_path: Path,
    out: Path,
    words: SymbolTable,
    rescorer: _Rescorer,
    options: RunOptions,
) -> StageResult:
    data, config = DataDir.load(data_path), rescorer.config.decoding
    model = load_acoustic_model(model_path)
    check_graph_fits(graph_path, model.tree, model.transitions)
    lattices = rescorer.lattices
    reading = lattice_reading(config, load_word_times(graph_path, model.path, model.transitions))
    keys = [key for key in lattices if key in data.utterances]
    if not keys:
        raise DataError(f"no lattice of {lattices.path} is of an utterance of this data directory", where=data_path)
    files = HypothesisFiles(data, words, config.settings, model.frame_secs)
    failures = [Failure(key, "no lattice") for key in data.utterances if key not in lattices]
    arcs = [0, 0]

    results = zip(keys, map_in_order(rescorer, keys, options.num_jobs, kind="threads"))
    with LatticeWriter(out, "lat") as writer:
        for key, result in options.progress(results, total=len(keys), label="rescore"):
            if isinstance(result, AsrkitError):
                failures.append(Failure(key, str(result)))
                continue
            files.add_reading(key, reading.read(result[1], float("inf")))
            writer.write(key, result[1])
            arcs[0] += result[0].num_arcs
            arcs[1] += result[1].num_arcs
        check_failures(failures, len(data.utterances), options, data_path)
    files.save(out)
    figures = {
        "utterances": len(files.hypotheses[0]),
        "words": sum(map(len, files.hypotheses[0].values())),
        "lm_weight": config.settings[0].lm_weight,
        "insertion_penalty": config.settings[0].insertion_penalty,
        "arcs_before": arcs[0],
        "arcs": arcs[1],
        **model.thinning_figures(),
    }
    return StageResult(figures, tuple(failures))


def _named(words: Sequence[str]) -> str:
    some = ", ".join(words[:NUM_NAMED]) + (", …" if len(words) > NUM_NAMED else "")
    return f"{len(words)} word{'s' * (len(words) > 1)} ({some})"


def _automaton(path: Path, words: SymbolTable) -> NgramAutomaton:
    return NgramAutomaton.from_fst(ngram_grammar(read_arpa(path), words).fst, path)


def _named_model(info: GraphInfo, graph_path: Path) -> Path:
    """Return the ARPA file that the graph was made from."""
    remedy = "give it: --old-lm FILE"
    named = info.described.get("language_model")
    if not isinstance(named, str):
        raise DataError("the graph does not say which language model it holds", where=graph_path, remedy=remedy)
    if not Path(named).is_file():
        raise DataError(f"the language model {named} of the graph is not there", where=graph_path, remedy=remedy)
    return Path(named)


def _check_decoded(decoded: Path, graph_path: Path, old_path: Path | None) -> None:
    """Refuse a graph that the lattices are not from, as far as their record tells: a wrong model would be taken out."""
    path = decoded / "stage.json"
    records = read_json(path) if path.is_file() else {}
    for stage in ("decode", "rescore"):
        record = records.get(stage) if isinstance(records, dict) else None
        inputs = record.get("inputs") if isinstance(record, dict) else None
        if not isinstance(inputs, dict):
            continue
        if stage == "rescore" and old_path is None:
            raise DataError(
                "its lattices were rescored already, and no longer hold the language model of the graph",
                where=decoded,
                remedy="rescore those that `asrkit decode` made, or give the model that is in them with --old-lm",
            )
        for name, described in inputs.items():
            known = described.get("sha256") if isinstance(described, dict) else None
            described_by = graph_path / "graph.json"
            if Path(name).name == described_by.name and known not in (None, _digest(described_by)):
                raise GraphError(
                    f"{decoded} was made with another graph, {Path(name).parent}",
                    where=graph_path,
                    remedy="give that one, or decode again",
                )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_unchanged(info: GraphInfo, path: Path) -> None:
    if _digest(path) != info.described.get("language_model_sha256"):
        raise DataError(
            "the file has changed since the graph was made from it, and can no more be taken out of its lattices",
            where=path,
            remedy="give the old one with --old-lm FILE, or make graph and lattices again",
        )
