"""`asrkit combine lattices`: the words of least expected errors over the lattices of several systems together."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asrkit.core.errors import AsrkitError, ConfigError, DataError, GraphError
from asrkit.core.files import read_json
from asrkit.core.jobs import map_in_order
from asrkit.data.datadir import DataDir
from asrkit.decode.config import MAX_POSTERIOR_SCALE
from asrkit.decode.word_places import place_words
from asrkit.features.frontend import load_front_end
from asrkit.graph.directory import load_words
from asrkit.hmm.combination import check_weights, shares_of
from asrkit.lang.symbols import SymbolTable
from asrkit.lattice.archive import LatticeReader
from asrkit.lattice.lattice import Lattice, LatticeScales
from asrkit.lattice.mbr import MbrResult, minimum_bayes_risk
from asrkit.lattice.rover import SaidWord
from asrkit.lattice.union import union
from asrkit.score.sweep import BEST, Setting, read_best
from asrkit.stages.acoustic import recorded_frame_shift_ms
from asrkit.stages.combined_files import CombinedFiles, check_systems, missing_utterances, read_alternatives
from asrkit.stages.decode import LATTICES
from asrkit.stages.hypothesis_files import ALTERNATIVES, HYPOTHESES, TIMES, read_main_setting
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_failures, run_stage

MAX_FRAMES_APART = 2
"""Frames by which the lattices of one utterance may differ in length: front ends end differently."""


@dataclass(frozen=True)
class LatticeCombinationConfig:
    """Configuration of `asrkit combine lattices`.

    Attributes
    ----------
    weights : tuple of float
        Share of each system in the probability, in their order, 0 or more; only their ratios matter. None: all have
        the same. A system of weight 0 is as if it were not there.
    lm_weights, insertion_penalties : tuple of float
        Of each system; none: those that its ``best.json`` names, or where it has none those of its ``hyp.jsonl``.
    posterior_scale : float
        Factor of all costs where they become probabilities.
    """

    weights: tuple[float, ...] = ()
    lm_weights: tuple[float, ...] = ()
    insertion_penalties: tuple[float, ...] = ()
    posterior_scale: float = 0.5

    def __post_init__(self) -> None:
        check_weights(self.weights)
        if not 0 < self.posterior_scale <= MAX_POSTERIOR_SCALE:
            raise ConfigError(
                f"posterior_scale is {self.posterior_scale}, expected a number above 0, {MAX_POSTERIOR_SCALE:g} at most"
            )
        if any(not 0 < weight < float("inf") for weight in self.lm_weights):
            raise ConfigError(f"lm_weights are {list(self.lm_weights)}, expected numbers above 0")


def combine_lattices(
    graph_path: Path,
    data_path: Path,
    systems: Sequence[Path],
    out: Path,
    config: LatticeCombinationConfig,
    options: RunOptions,
) -> StageReport:
    """Find the words of least expected errors over the lattices of several systems together (Xu et al. 2011).

    Parameters
    ----------
    graph_path : Path
        Graph directory whose words the lattices have; the graphs may be different ones with the same words.
    data_path : Path
        Data directory that the systems decoded, for the utterances and the frame shift.
    systems : sequence of Path
        Decode directories with lattices; the models may have different trees.
    out : Path
        Directory to be made, see :class:`~asrkit.stages.combined_files.CombinedFiles`.

    Raises
    ------
    ConfigError, DataError, FormatError, GraphError
        There are fewer than two systems, weights or settings for another number of them, or something is absent or
        damaged; or lattices are known to have other words.
    TooManyFailedError
        A system has no lattice of too many utterances.
    """
    check_systems(systems, out, config.weights)
    settings = [_setting(system, number, len(systems), config) for number, system in enumerate(systems)]
    inputs = [data_path / "utt2spk", data_path / "segments", data_path / "frontend.json", graph_path / "words.txt"]
    for system in systems:
        inputs += [*(system / name for name in LATTICES), system / BEST, system / ALTERNATIVES]

    def body() -> StageResult:
        data = DataDir.load(data_path)
        words = load_words(graph_path)
        for system in systems:
            _check_words(system, graph_path)
        readers = [LatticeReader(system / LATTICES[0]) for system in systems]
        failures = missing_utterances(data, readers, systems)
        failed = {failure.utterance_id for failure in failures}
        keys = [key for key in data.utterances if key not in failed]
        scales = [LatticeScales(1 / one.lm_weight, 1.0, one.insertion_penalty) for one in settings]
        scales = [one.times(config.posterior_scale) for one in scales]
        combine = _LatticeCombination(
            data,
            readers,
            scales,
            shares_of(config.weights, len(systems)),
            words,
            [read_alternatives(file) for system in systems if (file := system / ALTERNATIVES).is_file()],
            _frame_secs(systems, data_path),
        )
        combined = CombinedFiles(data)
        results = zip(keys, map_in_order(combine, keys, options.num_jobs, kind="threads"))
        for key, result in options.progress(results, total=len(keys), label="combine"):
            if isinstance(result, AsrkitError):
                failures.append(Failure(key, str(result)))
            else:
                combined.add(key, result)
        check_failures(failures, len(data.utterances), options, data_path)
        combined.save(out)
        return StageResult({**combined.figures(), "systems": len(systems)}, tuple(failures))

    outputs = [out / name for name in (HYPOTHESES, TIMES, ALTERNATIVES)]
    return run_stage("combine lattices", out, inputs, config, outputs, options, body, uses_seed=False)


@dataclass(frozen=True)
class _LatticeCombination:
    """Combines the lattices of an utterance; shared by threads."""

    data: DataDir
    readers: Sequence[LatticeReader]
    scales: Sequence[LatticeScales]
    shares: Sequence[float]
    words: SymbolTable
    hypotheses: Sequence[Mapping[str, Sequence[Sequence[SaidWord]]]]
    frame_secs: float

    def __call__(self, key: str) -> list[SaidWord] | AsrkitError:
        try:
            kept = [number for number, share in enumerate(self.shares) if share]
            lattices = [self._read(self.readers[number], key) for number in kept]
            lengths = [lattice.num_frames for lattice in lattices]
            if max(lengths) - min(lengths) > MAX_FRAMES_APART:
                raise DataError(f"the lattices have {', '.join(map(str, lengths))} frames")
            scales = [self.scales[number] for number in kept]
            found = minimum_bayes_risk(union(lattices, scales, [self.shares[number] for number in kept]))
        except AsrkitError as error:
            return error
        begin = self.data.utterances[key].start_secs or 0.0
        return [
            SaidWord(self.words.symbols[word], sure, begin + first * self.frame_secs, begin + last * self.frame_secs)
            for word, sure, (first, last) in zip(found.words, found.confidences, self._spans(key, found), strict=True)
        ]

    def _spans(self, key: str, found: MbrResult) -> list[tuple[int, int]]:
        """Return first frame and end of each word: where a system has it, or else expected, pauses and all."""
        expected = list(zip(found.begin_frames, found.end_frames, strict=True))
        begin = self.data.utterances[key].start_secs or 0.0
        paths = []
        for words in (one for table in self.hypotheses for one in table.get(key, [])):
            if any(word.word not in self.words or math.isnan(word.middle_secs) for word in words):
                continue
            ends = ((word.start_secs, word.end_secs) for word in words)
            frames = [tuple(round((secs - begin) / self.frame_secs) for secs in pair) for pair in ends]
            paths.append(([self.words.ids[word.word] for word in words], frames, frames))
        return place_words(found.words, expected, paths)[0]  # type: ignore[arg-type]

    def _read(self, reader: LatticeReader, key: str) -> Lattice:
        lattice = reader[key]
        if lattice.words.max(initial=0) >= len(self.words):
            raise DataError(
                f"word id {lattice.words.max()} in a lattice, words.txt has {len(self.words)}", where=reader.path
            )
        return lattice


def _setting(system: Path, number: int, num_systems: int, config: LatticeCombinationConfig) -> Setting:
    """Return the LM weight and insertion penalty of a system: what the configuration says, or its own choice."""
    own = read_best(system) if (system / BEST).is_file() else read_main_setting(system)
    found: list[float] = []
    for name, value in (("lm_weights", own and own.lm_weight), ("insertion_penalties", own and own.insertion_penalty)):
        given: tuple[float, ...] = getattr(config, name)
        if given and len(given) != num_systems:
            raise ConfigError(f"{name} has {len(given)} numbers for {num_systems} systems")
        if given:
            found.append(given[number])
        elif isinstance(value, float):
            found.append(value)
        else:
            raise DataError(
                f"neither {BEST} nor {ALTERNATIVES} says which LM weight and penalty it has",
                where=system,
                remedy=f"score it on its development set, or --set {name}=[…]",
            )
    return Setting(*found)


def _frame_secs(systems: Sequence[Path], data_path: Path) -> float:
    """Return the seconds between the frames of all lattices, as far as their records tell: else of the features."""
    usual = load_front_end(data_path).frame_shift_ms
    shifts = [recorded_frame_shift_ms(system) or usual for system in systems]
    if len(set(shifts)) > 1:
        raise DataError(
            f"the lattices have frames each {', '.join(f'{shift:g}' for shift in shifts)} ms, and must have the same",
            remedy="vote on their words instead (`asrkit combine hypotheses`)",
        )
    return shifts[0] / 1000


def _check_words(system: Path, graph_path: Path) -> None:
    """Refuse lattices with other words than those of the graph, as far as their record tells."""
    records = read_json(system / "stage.json") if (system / "stage.json").is_file() else {}
    digest = hashlib.sha256((graph_path / "words.txt").read_bytes()).hexdigest()
    for stage in ("decode", "rescore"):
        record = records.get(stage) if isinstance(records, dict) else None
        inputs = record.get("inputs") if isinstance(record, dict) else None
        for name, described in inputs.items() if isinstance(inputs, dict) else ():
            known = described.get("sha256") if isinstance(described, dict) else None
            if Path(name).name == "words.txt" and known not in (None, digest):
                raise GraphError(
                    f"{system} was decoded with other words, those of {Path(name).parent}",
                    where=graph_path,
                    remedy="combine systems whose graphs are from one lang directory, or `asrkit combine hypotheses`",
                )
