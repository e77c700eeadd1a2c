"""`asrkit decode`: from features, a graph and a model to hypotheses."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from asrkit.core.archives import ArchiveWriter
from asrkit.core.errors import ConfigError, GraphError
from asrkit.data.datadir import DataDir
from asrkit.decode.config import MAX_POSTERIOR_SCALE, SearchConfig
from asrkit.decode.times import WordTimes, load_word_times
from asrkit.graph.arrays import load_graph
from asrkit.graph.directory import DIFFERENCE, load_difference, load_words
from asrkit.hmm.combination import CombinationConfig
from asrkit.score.sweep import Setting, read_best
from asrkit.stages.acoustic import data_files, model_files
from asrkit.stages.adaptation import TRANSFORM_FILES, AdaptationConfig, is_speaker_adaptive
from asrkit.stages.hypothesis_files import ALTERNATIVES, HYPOTHESES, TIMES, HypothesisFiles
from asrkit.stages.loglikes import combined_loglikes
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_failures, run_stage

if TYPE_CHECKING:
    from asrkit.decode.parallel import Decoded
    from asrkit.decode.reading import GridReading, LatticeReading, TimedWords
    from asrkit.decode.search import SearchResult
    from asrkit.lattice.archive import LatticeWriter

log = logging.getLogger("asrkit")

NUM_NAMED = 10
LATTICES = ("lat.scp", "lat.ark")
GRAPH_FILES = ("HCLG.fst", "words.txt", "phones.txt", "lexicon.txt", "graph.json", DIFFERENCE)


@dataclass(frozen=True)
class DecodeConfig:
    """Configuration of `asrkit decode`.

    Attributes
    ----------
    beam : float
        A path survives when its cost is within this of the best path's.
    max_active, min_active : int
        Largest and smallest number of states that survive a frame.
    lm_weights : tuple of float
        Weights of the graph's costs against the acoustic ones; the acoustic scale is 1 / weight.
    insertion_penalties : tuple of float
        Costs added for each word; may be negative.
    lattice_beam : float
        A search, at a large weight (where a beam is wide) and the middle one of the penalties, makes a lattice of the
        paths that cost at most this more than the best one, and settings are read off it. 0: no lattices; each setting
        is searched by itself, and there are no confidences and no alternatives.
    lattice_span : float
        Weights down to that of the search over this are read off its lattice: farther from it, lattices lack the
        paths, and the alignments, that would be the best. A grid that spans more takes several searches; the lattices
        written are those of the largest weight.
    num_best : int
        Alternatives of each utterance in ``hyp.jsonl``, at most.
    least_risk : bool
        Take the words of least expected errors (minimum Bayes risk) in place of those of the best path.
    posterior_scale : float
        Factor of all costs where they become confidences and risks.
    save_lattices : bool
        Write the lattices, determinised, as Kaldi's archives are: ``lat.scp`` and ``lat.ark``.
    save_alignments : bool
        Also write the transition_ids of the first setting's best paths, ``ali.scp`` and ``ali.ark``.
    adapt : bool
        With a speaker-adaptive model: adapt its inputs to each speaker by what two searches find, and search again.
        Without it the model's mixtures for unadapted inputs give the result.
    adapt_lm_weight : float
        LM weight of the two searches that adapt.
    first_beam, first_max_active :
        Width of the first of them; the second has ``beam`` and ``max_active``.
    adapt_lattice_beam : float
        Both make lattices of all paths within this of the best one, whose posteriors say what was spoken (Kaldi's
        way, with 6); 0: the best path alone says it, which was as good on AN4 and LibriSpeech and takes less time.
    adaptation : AdaptationConfig
        How the transforms are estimated from these.
    combination : CombinationConfig
        How the model and those that are given with it are averaged.

    Every pair of a weight and a penalty is one setting; the first pair is the main one.
    """

    beam: float = 13.0
    max_active: int = 7000
    min_active: int = 200
    lm_weights: tuple[float, ...] = (10.0,)
    insertion_penalties: tuple[float, ...] = (0.0,)
    lattice_beam: float = 6.0
    lattice_span: float = 1.6
    num_best: int = 1
    least_risk: bool = False
    posterior_scale: float = 0.5
    save_lattices: bool = True
    save_alignments: bool = False
    adapt: bool = True
    adapt_lm_weight: float = 10.0
    first_beam: float = 10.0
    first_max_active: int = 2000
    adapt_lattice_beam: float = 0.0
    adaptation: AdaptationConfig = field(default_factory=lambda: AdaptationConfig(silence_weight=0.01))
    combination: CombinationConfig = field(default_factory=CombinationConfig)

    def __post_init__(self) -> None:
        for name in ("lm_weights", "insertion_penalties"):
            values = getattr(self, name)
            if not values:
                raise ConfigError(f"{name} is empty, expected one number at least")
            if len(set(values)) != len(values):
                raise ConfigError(f"{name} names a number twice: {', '.join(f'{value:g}' for value in values)}")
        if self.num_best < 1:
            raise ConfigError(f"num_best is {self.num_best}, expected 1 or more")
        if self.lattice_beam == 0 and (self.num_best > 1 or self.least_risk):
            raise ConfigError("num_best and least_risk need lattices", remedy="set lattice_beam above 0")
        if not 0 < self.posterior_scale <= MAX_POSTERIOR_SCALE:
            raise ConfigError(
                f"posterior_scale is {self.posterior_scale}, expected a number above 0, {MAX_POSTERIOR_SCALE:g} at most"
            )
        for weight in (*self.lm_weights, self.adapt_lm_weight):
            if not 0 < weight < float("inf"):
                raise ConfigError(f"an LM weight is {weight}, expected a number above 0")
        if not 1 <= self.lattice_span < float("inf"):
            raise ConfigError(f"lattice_span is {self.lattice_span}, expected 1 or more")
        for setting in self.settings:
            self.search(setting)
        _ = self.searches, self.adapting_searches

    @property
    def settings(self) -> list[Setting]:
        """All pairs, the main one first."""
        return [Setting(weight, penalty) for weight in self.lm_weights for penalty in self.insertion_penalties]

    @property
    def searches(self) -> list[SearchConfig]:
        """The configurations of the searches: one for each setting, or those of the lattices."""
        if self.lattice_beam == 0:
            return [self.search(setting) for setting in self.settings]
        penalty = sorted(self.insertion_penalties)[(len(self.insertion_penalties) - 1) // 2]
        weights = [max(self.settings[place].lm_weight for place in places) for places in self.lattice_places]
        return [replace(self.search(Setting(one, penalty)), lattice_beam=self.lattice_beam) for one in weights]

    @property
    def lattice_places(self) -> list[list[int]]:
        """The settings, by their places, that are read off one lattice each; the first of them has the main one."""
        groups: list[list[float]] = []
        for weight in sorted(self.lm_weights, reverse=True):
            if not groups or weight * self.lattice_span < groups[-1][0]:
                groups.append([])
            groups[-1].append(weight)
        groups.sort(key=lambda weights: self.lm_weights[0] not in weights)
        return [[place for place, one in enumerate(self.settings) if one.lm_weight in weights] for weights in groups]

    def search(self, setting: Setting) -> SearchConfig:
        """Return the search's configuration for a setting, without lattices."""
        return SearchConfig(
            beam=self.beam,
            max_active=self.max_active,
            min_active=self.min_active,
            acoustic_scale=1.0 / setting.lm_weight,
            word_insertion_penalty=setting.insertion_penalty,
        )

    @property
    def adapting_searches(self) -> tuple[SearchConfig, SearchConfig]:
        """The configurations of the two searches that adapt."""
        shared = {"acoustic_scale": 1.0 / self.adapt_lm_weight, "lattice_beam": self.adapt_lattice_beam}
        fewest = min(self.min_active, self.first_max_active)
        return (
            SearchConfig(self.first_beam, self.first_max_active, fewest, **shared),
            SearchConfig(self.beam, self.max_active, self.min_active, **shared),
        )


def decode(
    graph_path: Path,
    model_path: Path,
    data_path: Path,
    out: Path,
    config: DecodeConfig,
    options: RunOptions,
    best: Path | None = None,
    others: Sequence[tuple[Path, Path]] = (),
) -> StageReport:
    """Recognise the utterances of a data directory.

    Parameters
    ----------
    graph_path, model_path, data_path : Path
        Graph directory, model directory, data directory with features.
    out : Path
        Decode directory to be made: the hypotheses (see :class:`HypothesisFiles`), the lattices, and with a
        speaker-adaptive model the transforms of the speakers, ``trans.scp``.
    best : Path, optional
        File (or decode directory) with the LM weight and insertion penalty that `asrkit score` chose on a
        development set; they replace those of ``config``.
    others : sequence of (Path, Path)
        Further model directories of the same tree, each with its own data directory of the same utterances; what all
        of them say of a frame is averaged.

    Raises
    ------
    GraphError, ModelError, DataError, FormatError
        An input is absent or damaged, or graph, model and features do not belong together.
    ConfigError
        The weights are not as many as the systems.
    TooManyFailedError
        More utterances failed than the options allow.
    """
    if best is not None:
        chosen = read_best(best)
        config = replace(config, lm_weights=(chosen.lm_weight,), insertion_penalties=(chosen.insertion_penalty,))
    config.combination.shares(1 + len(others))
    inputs = [graph_path / name for name in GRAPH_FILES]
    for model, data in ((model_path, data_path), *others):
        inputs += model_files(model)
        inputs += [model / "lang" / "lang.json"]  # which phones are silence, for fMLLR
        inputs += data_files(data, ("utt2spk", "segments", "feats.scp", "cmvn.scp"))
    outputs = [out / HYPOTHESES, out / TIMES, *(out / setting.file_name for setting in config.settings)]
    if config.lattice_beam > 0:
        outputs += [out / ALTERNATIVES, *(out / name for name in LATTICES if config.save_lattices)]
    if config.save_alignments:
        outputs += [out / "ali.scp", out / "ali.ark"]
    if config.adapt and is_speaker_adaptive(model_path):
        outputs += [out / name for name in TRANSFORM_FILES]

    def body() -> StageResult:
        return _decode(graph_path, model_path, data_path, out, config, options, others)

    return run_stage("decode", out, inputs, config, outputs, options, body, uses_seed=False)


def _decode(
    graph_path: Path,
    model_path: Path,
    data_path: Path,
    out: Path,
    config: DecodeConfig,
    options: RunOptions,
    others: Sequence[tuple[Path, Path]],
) -> StageResult:
    # Numba comes with these.
    from asrkit.decode.graph import SearchGraph
    from asrkit.decode.parallel import decode_many
    from asrkit.stages.systems import System, open_further, why_missing

    data = DataDir.load(data_path)
    first = System.open(model_path, data, graph_path)
    transitions = first.model.transitions
    systems = [first, *open_further(others, first.model)]
    words = load_words(graph_path)
    times_of = load_word_times(graph_path, model_path, transitions)
    graph = load_graph(graph_path / "HCLG.fst")
    if graph.olabels.max(initial=0) >= len(words):
        raise GraphError(f"HCLG.fst has words that words.txt of {len(words)} words does not", where=graph_path)
    reasons = {key: why_missing(key, systems, [data_path, *(one for _, one in others)]) for key in data.utterances}
    failures = [Failure(key, reason) for key, reason in reasons.items() if reason is not None]
    keys = [key for key in first.inputs if reasons[key] is None]
    lm = load_difference(graph_path)
    search_graph = SearchGraph(graph, transitions.tid_to_pdf, transitions.num_pdfs, lm)
    adapted = [system.adapted(search_graph, config, options) for system in systems]
    loglikes = combined_loglikes([one for one, _ in adapted], config.combination)
    reading = _grid_reading(config, times_of)
    decoded = decode_many(search_graph, config.searches, keys, loglikes, options.num_jobs, reading)
    files = HypothesisFiles(data, words, config.settings, first.model.frame_secs)
    results = _Results(files, times_of, config)
    with ExitStack() as stack:
        results.open(out, stack)
        for one in options.progress(decoded, total=len(keys), label="decode"):
            results.add(one)
        failures += results.failures
        check_failures(failures, len(data.utterances), options, data_path)
    results.save(out)
    figures = results.figures()
    if others:
        figures["systems"] = len(systems)
    figures |= first.model.thinning_figures()
    _, own = adapted[0]
    if own is None:
        for name in TRANSFORM_FILES:
            (out / name).unlink(missing_ok=True)
        return StageResult(figures, tuple(failures))
    own.transforms.save(out)
    return StageResult({**figures, **own.figures()}, tuple(failures))


def _grid_reading(config: DecodeConfig, times: WordTimes) -> GridReading | None:
    """Return what reads lattices as a configuration asks for; None where it asks for none."""
    from asrkit.decode.reading import GridReading

    if config.lattice_beam == 0:
        return None
    places = config.lattice_places
    largest = max(range(len(places)), key=lambda number: config.settings[places[number][0]].lm_weight)
    return GridReading([lattice_reading(config, times, some) for some in places], places, largest)


def lattice_reading(config: DecodeConfig, times: WordTimes, places: Sequence[int] | None = None) -> LatticeReading:
    """Return what reads settings, all or those at some places, off one lattice."""
    from asrkit.decode.reading import LatticeReading
    from asrkit.lattice.lattice import LatticeScales

    settings = config.settings if places is None else [config.settings[place] for place in places]
    scales = [LatticeScales(1.0 / one.lm_weight, 1.0, one.insertion_penalty) for one in settings]
    return LatticeReading(scales, times, config.num_best, config.least_risk, config.posterior_scale)


class _Results:
    """Gathers what is written and reported, one utterance at a time."""

    def __init__(self, files: HypothesisFiles, times_of: WordTimes, config: DecodeConfig) -> None:
        self.files, self.times_of, self.config = files, times_of, config
        self.failures: list[Failure] = []
        self.not_final: list[str] = []
        self.num_rough = self.num_narrow = self.num_frames = self.num_arc_frames = 0
        self.acoustic_cost = self.loglike_secs = self.search_secs = self.reading_secs = 0.0
        self.alignments: ArchiveWriter | None = None
        self.lattices: LatticeWriter | None = None

    def open(self, out: Path, stack: ExitStack) -> None:
        """Open the archives of alignments and lattices, if they are wanted, for as long as ``stack`` lasts."""
        from asrkit.lattice.archive import LatticeWriter

        if self.config.save_alignments:
            self.alignments = stack.enter_context(ArchiveWriter(out, "ali"))
        if self.config.lattice_beam > 0 and self.config.save_lattices:
            self.lattices = stack.enter_context(LatticeWriter(out, "lat"))

    def add(self, one: Decoded) -> None:
        """Take what became of one utterance."""
        if one.error is not None:
            self.failures.append(Failure.of(one.utterance_id, one.error))
            return
        main, reading = one.results[0], one.reading
        if not main.reached_final:
            self.not_final.append(one.utterance_id)
        self.num_frames += main.num_frames
        self.loglike_secs += one.loglike_secs
        self.search_secs += one.search_secs
        self.reading_secs += one.reading_secs
        if reading is None:
            timed = self._timed(main)
            alignment = main.alignment
            self.acoustic_cost += main.acoustic_cost * self.config.settings[0].lm_weight
            self.files.add(one.utterance_id, [result.words for result in one.results], timed)
        else:
            timed, alignment = reading.main, reading.alignment
            self.acoustic_cost += reading.acoustic_cost
            self.files.add_reading(one.utterance_id, reading)
            self.num_arc_frames += len(reading.lattice.tids)
            self.num_narrow += reading.beam < self.config.lattice_beam
            if self.lattices is not None:
                self.lattices.write(one.utterance_id, reading.lattice)
        self.num_rough += timed.are_rough
        if self.alignments is not None:
            self.alignments.write(one.utterance_id, alignment)

    def _timed(self, result: SearchResult) -> TimedWords:
        from asrkit.decode.reading import TimedWords

        spans = self.times_of(result)
        rough = spans is None
        if spans is None:
            spans = list(zip(result.word_starts.tolist(), result.word_ends.tolist()))
        return TimedWords(result.words, tuple(spans), (), result.total_cost, float("nan"), rough)

    def save(self, out: Path) -> None:
        """Write the hypotheses, and remove the archives of an earlier run that made some."""
        self.files.save(out)
        if self.lattices is None:
            for name in LATTICES:
                (out / name).unlink(missing_ok=True)

    def figures(self) -> dict[str, object]:
        """Return what was measured, and warn of what needs a look."""
        named = ", ".join(self.not_final[:NUM_NAMED]) + (", …" if len(self.not_final) > NUM_NAMED else "")
        if self.not_final:
            log.warning(
                "%d utterances did not reach a final state, and have the best partial path: %s",
                len(self.not_final),
                named,
            )
        frame_secs = self.files.frame_secs
        secs = max(self.num_frames * frame_secs, frame_secs)
        settings = self.config.settings
        figures: dict[str, object] = {
            "utterances": len(self.files.hypotheses[0]),
            "frames": self.num_frames,
            "settings": len(settings),
            "lm_weight": settings[0].lm_weight,
            "insertion_penalty": settings[0].insertion_penalty,
            "words": sum(map(len, self.files.hypotheses[0].values())),
            "loglike_per_frame": -self.acoustic_cost / max(self.num_frames, 1),
            "no_final_state": len(self.not_final),
            "rough_word_times": self.num_rough,
            "loglikes_x_real_time": self.loglike_secs / secs,
            "search_x_real_time": self.search_secs / secs / len(self.config.searches),
        }
        if self.config.lattice_beam > 0:
            figures["lattices_x_real_time"] = self.reading_secs / secs
            figures["lattice_depth"] = self.num_arc_frames / max(self.num_frames, 1)
            figures["narrowed_lattices"] = self.num_narrow
            if self.num_narrow:
                log.warning("%d lattices were too large, and hold less than the lattice beam asks for", self.num_narrow)
        return figures
