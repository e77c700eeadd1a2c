"""`asrkit decode`: from features, a graph and a model to hypotheses."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from asrkit.core.archives import ArchiveWriter
from asrkit.core.errors import ConfigError, GraphError
from asrkit.core.files import write_lines
from asrkit.data.datadir import DataDir, Utterance, save_text
from asrkit.decode.config import SearchConfig
from asrkit.decode.times import WordTimes, load_word_times
from asrkit.graph.arrays import load_graph
from asrkit.graph.directory import check_graph_fits, load_words
from asrkit.lang.symbols import SymbolTable
from asrkit.score.sweep import Setting, read_best
from asrkit.stages.acoustic import data_files, load_acoustic_model, model_files
from asrkit.stages.adaptation import TRANSFORM_FILES, AdaptationConfig, is_speaker_adaptive
from asrkit.stages.loglikes import Loglikes, Scorer
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_failures, run_stage

if TYPE_CHECKING:
    from asrkit.decode.parallel import Decoded
    from asrkit.decode.search import SearchResult

log = logging.getLogger("asrkit")

NUM_NAMED = 10
GRAPH_FILES = ("HCLG.fst", "words.txt", "phones.txt", "lexicon.txt", "graph.json")


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
    save_alignments : bool
        Also write the transition_ids of the first setting's best paths, ``ali.scp`` and ``ali.ark``.
    adapt : bool
        With a speaker-adaptive model: adapt its inputs to each speaker by what two searches find, and search again.
        Without it the model's mixtures for unadapted inputs give the result.
    adapt_lm_weight : float
        LM weight of the two searches that adapt.
    first_beam, first_max_active :
        Width of the first of them; the second has ``beam`` and ``max_active``.
    adaptation : AdaptationConfig
        How the transforms are estimated from their paths.

    Every pair of a weight and a penalty is one setting, searched by itself; the first pair is the main one.
    """

    beam: float = 13.0
    max_active: int = 7000
    min_active: int = 200
    lm_weights: tuple[float, ...] = (10.0,)
    insertion_penalties: tuple[float, ...] = (0.0,)
    save_alignments: bool = False
    adapt: bool = True
    adapt_lm_weight: float = 10.0
    first_beam: float = 10.0
    first_max_active: int = 2000
    adaptation: AdaptationConfig = field(default_factory=lambda: AdaptationConfig(silence_weight=0.01))

    def __post_init__(self) -> None:
        for name in ("lm_weights", "insertion_penalties"):
            values = getattr(self, name)
            if not values:
                raise ConfigError(f"{name} is empty, expected one number at least")
            if len(set(values)) != len(values):
                raise ConfigError(f"{name} names a number twice: {', '.join(f'{value:g}' for value in values)}")
        for weight in (*self.lm_weights, self.adapt_lm_weight):
            if not 0 < weight < float("inf"):
                raise ConfigError(f"an LM weight is {weight}, expected a number above 0")
        for setting in self.settings:
            self.search(setting)
        _ = self.adapting_searches

    @property
    def settings(self) -> list[Setting]:
        """All pairs, the main one first."""
        return [Setting(weight, penalty) for weight in self.lm_weights for penalty in self.insertion_penalties]

    def search(self, setting: Setting) -> SearchConfig:
        """Return the search's configuration for a setting."""
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
        scale = 1.0 / self.adapt_lm_weight
        fewest = min(self.min_active, self.first_max_active)
        return (
            SearchConfig(self.first_beam, self.first_max_active, fewest, acoustic_scale=scale),
            SearchConfig(self.beam, self.max_active, self.min_active, acoustic_scale=scale),
        )


def decode(
    graph_path: Path,
    model_path: Path,
    data_path: Path,
    out: Path,
    config: DecodeConfig,
    options: RunOptions,
    best: Path | None = None,
) -> StageReport:
    """Recognise the utterances of a data directory.

    Parameters
    ----------
    graph_path, model_path, data_path : Path
        Graph directory, model directory, data directory with features.
    out : Path
        Decode directory to be made: ``hyp.txt`` and ``hyp.ctm`` of the main setting, and
        ``hyp.w<weight>_p<penalty>.txt`` of every setting (see :mod:`asrkit.score.sweep`); such files of other
        settings, left by an earlier run, are removed. With a speaker-adaptive model also the transforms of the
        speakers, ``trans.scp``.
    best : Path, optional
        File (or decode directory) with the LM weight and insertion penalty that `asrkit score` chose on a
        development set; they replace those of ``config``.

    Raises
    ------
    GraphError, ModelError, DataError, FormatError
        An input is absent or damaged, or graph, model and features do not belong together.
    TooManyFailedError
        More utterances failed than the options allow.
    """
    if best is not None:
        chosen = read_best(best)
        config = replace(config, lm_weights=(chosen.lm_weight,), insertion_penalties=(chosen.insertion_penalty,))
    inputs = [
        *(graph_path / name for name in GRAPH_FILES),
        *model_files(model_path),
        model_path / "lang" / "lang.json",  # which phones are silence, for fMLLR
        *data_files(data_path, ("utt2spk", "segments", "feats.scp", "cmvn.scp")),
    ]
    outputs = [out / "hyp.txt", out / "hyp.ctm", *(out / setting.file_name for setting in config.settings)]
    if config.save_alignments:
        outputs += [out / "ali.scp", out / "ali.ark"]
    if config.adapt and is_speaker_adaptive(model_path):
        outputs += [out / name for name in TRANSFORM_FILES]

    def body() -> StageResult:
        return _decode(graph_path, model_path, data_path, out, config, options)

    return run_stage("decode", out, inputs, config, outputs, options, body, uses_seed=False)


def _decode(
    graph_path: Path, model_path: Path, data_path: Path, out: Path, config: DecodeConfig, options: RunOptions
) -> StageResult:
    # Numba comes with these.
    from asrkit.decode.graph import SearchGraph
    from asrkit.decode.parallel import decode_many
    from asrkit.stages.speaker_passes import AdaptedInputs, adapt_by_searching

    data = DataDir.load(data_path)
    model = load_acoustic_model(model_path)
    check_graph_fits(graph_path, model.tree, model.transitions)
    words = load_words(graph_path)
    times_of = load_word_times(graph_path, model.path, model.transitions)
    graph = load_graph(graph_path / "HCLG.fst")
    if graph.olabels.max(initial=0) >= len(words):
        raise GraphError(f"HCLG.fst has words that words.txt of {len(words)} words does not", where=graph_path)
    features = model.inputs(data)
    failures = [
        Failure(key, "no features (see the report of `asrkit extract`)")
        for key in data.utterances
        if key not in features
    ]
    search_graph = SearchGraph(graph, model.transitions.tid_to_pdf, model.transitions.num_pdfs)
    scorer: Scorer = model
    adapted: AdaptedInputs | None = None
    if model.model.alignment_gmms is not None:
        if config.adapt:
            searches = config.adapting_searches
            adapted = adapt_by_searching(model, features, search_graph, *searches, config.adaptation, options)
            features = adapted.features
        else:
            scorer = model.model.alignment_gmms
    settings = [config.search(setting) for setting in config.settings]
    decoded = decode_many(search_graph, settings, list(features), Loglikes(scorer, features), options.num_jobs)
    results = _Results(data, words, times_of, config, model.front_end.frame_shift_ms / 1000)
    with ExitStack() as stack:
        results.open(out, stack)
        for one in options.progress(decoded, total=len(features), label="decode"):
            results.add(one)
        failures += results.failures
        check_failures(failures, len(data.utterances), options, data_path)
    results.save(out)
    if adapted is None:
        for name in TRANSFORM_FILES:
            (out / name).unlink(missing_ok=True)
        return StageResult(results.figures(), tuple(failures))
    adapted.transforms.save(out)
    return StageResult({**results.figures(), **adapted.figures()}, tuple(failures))


class _Results:
    """Gathers what is written and reported, one utterance at a time."""

    def __init__(
        self,
        data: DataDir,
        words: SymbolTable,
        times_of: WordTimes,
        config: DecodeConfig,
        frame_secs: float,
    ) -> None:
        self.data, self.words, self.times_of = data, words, times_of
        self.config, self.frame_secs = config, frame_secs
        self.hypotheses: list[dict[str, tuple[str, ...]]] = [{} for _ in config.settings]
        self.times: list[tuple[str, float, str]] = []
        self.failures: list[Failure] = []
        self.not_final: list[str] = []
        self.rough_times: list[str] = []
        self.num_frames = 0
        self.acoustic_cost = self.loglike_secs = self.search_secs = 0.0
        self.alignments: ArchiveWriter | None = None

    def open(self, out: Path, stack: ExitStack) -> None:
        """Open the archive of alignments, if it is wanted, for as long as ``stack`` lasts."""
        if self.config.save_alignments:
            self.alignments = stack.enter_context(ArchiveWriter(out, "ali"))

    def add(self, one: Decoded) -> None:
        """Take what became of one utterance."""
        if one.error is not None:
            self.failures.append(Failure(one.utterance_id, str(one.error)))
            return
        for table, result in zip(self.hypotheses, one.results):
            table[one.utterance_id] = tuple(self.words.symbols[word] for word in result.words)
        main = one.results[0]
        if not main.reached_final:
            self.not_final.append(one.utterance_id)
        self.num_frames += main.num_frames
        self.acoustic_cost += main.acoustic_cost
        self.loglike_secs += one.loglike_secs
        self.search_secs += one.search_secs
        self.times += self._ctm_rows(self.data.utterances[one.utterance_id], main)
        if self.alignments is not None:
            self.alignments.write(one.utterance_id, main.alignment)

    def _ctm_rows(self, utterance: Utterance, result: SearchResult) -> list[tuple[str, float, str]]:
        spans = self.times_of(result)
        if spans is None:
            self.rough_times.append(utterance.utterance_id)
            spans = list(zip(result.word_starts.tolist(), result.word_ends.tolist()))
        rows = []
        for word, (first, last) in zip(result.words, spans):
            start = (utterance.start_secs or 0.0) + first * self.frame_secs
            line = f"{utterance.recording_id} 1 {start:.2f} {(last - first) * self.frame_secs:.2f} "
            rows.append((utterance.recording_id, start, line + self.words.symbols[word]))
        return rows

    def save(self, out: Path) -> None:
        """Write the hypotheses and the times of their words, and remove those of settings that are no more."""
        settings = self.config.settings
        for setting, table in zip(settings, self.hypotheses):
            save_text(out / setting.file_name, table)
        save_text(out / "hyp.txt", self.hypotheses[0])
        # A stable sort by recording and time: words of no length keep their order.
        write_lines(out / "hyp.ctm", (line for _, _, line in sorted(self.times, key=lambda row: row[:2])))
        for path in sorted(out.glob("hyp.w*_p*.txt")):
            if path.name not in {setting.file_name for setting in settings}:
                log.info("removed %s of an earlier run with other settings", path)
                path.unlink()

    def figures(self) -> dict[str, object]:
        """Return what was measured, and warn of what needs a look."""
        named = ", ".join(self.not_final[:NUM_NAMED]) + (", …" if len(self.not_final) > NUM_NAMED else "")
        if self.not_final:
            log.warning(
                "%d utterances did not reach a final state, and have the best partial path: %s",
                len(self.not_final),
                named,
            )
        secs = max(self.num_frames * self.frame_secs, self.frame_secs)
        settings = self.config.settings
        loglike = -self.acoustic_cost * settings[0].lm_weight / max(self.num_frames, 1)
        return {
            "utterances": len(self.hypotheses[0]),
            "frames": self.num_frames,
            "settings": len(settings),
            "lm_weight": settings[0].lm_weight,
            "insertion_penalty": settings[0].insertion_penalty,
            "words": sum(map(len, self.hypotheses[0].values())),
            "loglike_per_frame": loglike,
            "no_final_state": len(self.not_final),
            "rough_word_times": len(self.rough_times),
            "loglikes_x_real_time": self.loglike_secs / secs,
            "search_x_real_time": self.search_secs / secs / len(settings),
        }
