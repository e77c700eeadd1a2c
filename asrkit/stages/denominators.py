"""What discriminative training competes with: a lattice of each training utterance, and its reference in it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.errors import ConfigError
from asrkit.decode.config import SearchConfig
from asrkit.features.pipeline import ModelInputs
from asrkit.gmm.em import EmConfig
from asrkit.gmm.model import GmmHmm
from asrkit.graph.training import TrainingGraphCompiler
from asrkit.hmm.viterbi import labels_logprob
from asrkit.lattice.discriminative import Reference, reference_logprob, with_reference
from asrkit.lattice.lattice import LatticeScales
from asrkit.lm.arpa import read_arpa, write_arpa
from asrkit.lm.counts import count_ngrams
from asrkit.lm.model import NgramModel
from asrkit.lm.smoothing import NgramConfig, estimate
from asrkit.stages.acoustic import AcousticModel, load_acoustic_model, model_files
from asrkit.stages.adaptation import (
    TRANSFORM_FILES,
    AdaptationConfig,
    align_adapted,
    is_speaker_adaptive,
    save_transforms,
)
from asrkit.stages.gmm_training import Corpus, open_corpus, training_data, training_inputs
from asrkit.stages.loglikes import Loglikes
from asrkit.stages.make_graph import MakeGraphConfig, make_graph
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_apart, check_failures, run_stage
from asrkit.stages.scored_alignment import align_scored
from asrkit.stages.tree_stage import align_corpus, check_same_lang

if TYPE_CHECKING:
    from asrkit.decode.parallel import Decoded

log = logging.getLogger("asrkit")

UNIGRAM = "unigram.arpa"
LATTICE_FILES = ("lat.scp", "lat.ark")
ALIGNMENT_FILES = ("ali.scp", "ali.ark")


@dataclass(frozen=True)
class DenominatorConfig:
    """How the lattices are made; the defaults are those of Kaldi's steps/make_denlats.sh.

    Attributes
    ----------
    beam, max_active, min_active, lattice_beam
        See :class:`asrkit.decode.config.SearchConfig`.
    adaptation : AdaptationConfig
        How a speaker-adaptive model adapts its inputs while aligning.
    """

    beam: float = 13.0
    max_active: int = 5000
    min_active: int = 200
    lattice_beam: float = 7.0
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)

    def __post_init__(self) -> None:
        if not self.lattice_beam > 0:
            raise ConfigError(f"lattice_beam is {self.lattice_beam}, expected a number above 0")
        self.search(0.1)

    def search(self, acoustic_scale: float) -> SearchConfig:
        """Return the configuration of the search."""
        return SearchConfig(
            self.beam, self.max_active, self.min_active, acoustic_scale=acoustic_scale, lattice_beam=self.lattice_beam
        )


@dataclass(frozen=True)
class _Record:
    """What decides the lattices beside the files, for the stage's record."""

    acoustic_scale: float
    denominators: DenominatorConfig


@dataclass(frozen=True, eq=False)
class Denominators:
    """A finished directory of lattices.

    Attributes
    ----------
    path : Path
    failures : tuple of Failure
        Utterances without a lattice.
    """

    path: Path
    failures: tuple[Failure, ...]

    @property
    def files(self) -> list[Path]:
        """What training reads of it."""
        return [self.path / name for name in (*LATTICE_FILES, *ALIGNMENT_FILES, *TRANSFORM_FILES)]

    def alignments(self) -> dict[str, NDArray[np.int32]]:
        """Return the references' transition_ids by utterance."""
        return {key: np.array(ids, np.int32) for key, ids in ArchiveReader(self.path / "ali.scp").items()}

    def transforms(self) -> dict[str, NDArray[np.float32]]:
        """Return the speakers' fMLLR transforms; empty where the model is not speaker-adaptive."""
        path = self.path / "trans.scp"
        return {key: np.array(one, np.float32) for key, one in ArchiveReader(path).items()} if path.exists() else {}


def make_denominators(
    data_path: Path,
    lang_path: Path,
    seed_path: Path,
    out: Path,
    acoustic_scale: float,
    config: DenominatorConfig,
    options: RunOptions,
    lm: Path | None = None,
) -> tuple[Denominators, StageReport]:
    """Align the transcripts, and search the utterances with a weak language model (Kaldi's steps/make_denlats.sh).

    Parameters
    ----------
    seed_path : Path
        The model that training starts from, of mixtures or a network.
    out : Path
        Directory to be made: ``lat.scp`` the lattices, determinised, ``ali.scp`` the references' alignments,
        ``trans.scp`` the speakers' transforms of a speaker-adaptive model, ``graph/``, and ``unigram.arpa`` unless an
        LM is given.
    lm : Path, optional
        ARPA file; default the unigram of the transcripts. A strong model would leave little to learn from.

    Notes
    -----
    A lattice that lacks its reference, words and alignment, gets it as one path more, so that the objective is a log
    probability.
    """
    check_apart(out, data_path, lang_path, seed_path)
    inputs = [*training_inputs(data_path, lang_path), *model_files(seed_path), *([lm] if lm else [])]
    transforms = TRANSFORM_FILES if is_speaker_adaptive(seed_path) else ()
    names = (*LATTICE_FILES, *ALIGNMENT_FILES, *transforms)

    def body() -> StageResult:
        seed = load_acoustic_model(seed_path)
        corpus = open_corpus(data_path, lang_path, seed.pipeline, options)
        seed.inputs(corpus.data_dir)  # refuses features of another front end
        corpus = corpus.with_features(corpus.features.with_transforms(seed.model.input_transform))
        alignments, adapted, failures = _align(
            seed, corpus, EmConfig(acoustic_scale=acoustic_scale), config.adaptation, options, out
        )
        model = read_arpa(lm) if lm else transcript_unigram(corpus)
        if lm is None:
            write_arpa(out / UNIGRAM, model)
        make_graph(lang_path, lm or out / UNIGRAM, seed_path, out / "graph", MakeGraphConfig(), options)
        scorer = _ReferenceScorer(seed, corpus, adapted, model)
        # The part of the files that are read again, the lattices, comes last.
        with ArchiveWriter(out, "ali") as writer:
            for key, alignment in sorted(alignments.items()):
                writer.write(key, alignment)
        search = config.search(acoustic_scale)
        found = _search(out, seed, adapted, sorted(alignments), search, options)
        figures, more = _write_lattices(out, found, scorer, alignments, search, len(alignments), options)
        everything = (*corpus.failures, *failures, *more)
        check_failures(everything, corpus.num_utterances, options, data_path)
        return StageResult(figures, everything)

    record = _Record(acoustic_scale, config)
    report = run_stage("denominators", out, inputs, record, [out / name for name in names], options, body)
    return Denominators(out, report.failures), report


def transcript_unigram(corpus: Corpus) -> NgramModel:
    """Return the relative frequencies of the transcripts' words, those outside the lexicon as the unknown word."""
    lang = corpus.lang
    sentences = (
        [lang.words.symbols[word] for word in lang.transcript_ids(corpus.data_dir.utterances[key].words or ())[0]]
        for key in corpus.keys
    )
    return estimate(count_ngrams(sentences, 1), NgramConfig(order=1, smoothing="kneser-ney-backoff"))


def _align(
    seed: AcousticModel,
    corpus: Corpus,
    alignment: EmConfig,
    adaptation: AdaptationConfig,
    options: RunOptions,
    out: Path,
) -> tuple[dict[str, NDArray[np.int32]], ModelInputs, tuple[Failure, ...]]:
    """Return alignments, inputs that are adapted where the model wants that, and utterances that have none."""
    if not isinstance(seed.model, GmmHmm):
        log_probs = seed.transitions.scaled_log_probs(alignment.transition_scale, alignment.self_loop_scale)
        alignments, reasons = align_scored(seed, corpus, alignment.search, log_probs, options)
        return alignments, corpus.features, _failures(reasons)
    if not seed.model.is_speaker_adaptive:
        state = align_corpus(seed, corpus, alignment, options)
        return state.alignments, corpus.features, _failures(state.failures)
    check_same_lang(seed, corpus.lang)
    data = training_data(corpus, seed.tree, seed.transitions, options.progress)
    silence, jobs, progress = corpus.lang.silence_phones, options.num_jobs, options.progress
    found = align_adapted(seed.mixtures, corpus.features, data, silence, alignment, adaptation, jobs, progress)
    save_transforms(out, found.speakers.transforms)
    adapted = corpus.features.with_transforms(corpus.features.transform, found.speakers.transforms)
    return found.alignments, adapted, _failures(found.failures)


def _failures(reasons: dict[str, str]) -> tuple[Failure, ...]:
    return tuple(Failure(key, reason) for key, reason in sorted(reasons.items()))


class _ReferenceScorer:
    """Knows what a decoding graph would say of a transcript and its alignment."""

    def __init__(self, seed: AcousticModel, corpus: Corpus, inputs: ModelInputs, model: NgramModel) -> None:
        self._seed, self._corpus, self._lang, self._inputs, self._model = seed, corpus, corpus.lang, inputs, model
        self._compiler = TrainingGraphCompiler(corpus.lang, seed.tree, seed.transitions)
        graph = MakeGraphConfig()
        self._log_probs = seed.transitions.scaled_log_probs(graph.transition_scale, graph.self_loop_scale)

    def reference(self, key: str, alignment: NDArray[np.int32]) -> Reference:
        """Return words and alignment of an utterance."""
        words, _ = self._lang.transcript_ids(self._corpus.data_dir.utterances[key].words or ())
        return Reference(words, alignment)

    def graph_cost(self, reference: Reference) -> float:
        """Return the cost of language model, pronunciations, silences and transitions; +inf: impossible."""
        words = [self._lang.words.symbols[word] for word in reference.words]
        graph = self._compiler.compile(reference.words)
        along = labels_logprob(graph, self._log_probs, reference.tids)
        return -along - math.log(10) * self._model.score(words)

    def acoustic_cost(self, key: str, reference: Reference) -> float:
        """Return the cost of the frames, not scaled."""
        pdf_ids, columns = self._seed.transitions.pdf_columns(reference.tids)
        loglikes = self._seed.model.loglikes(self._inputs[key], pdf_ids)
        along = loglikes[np.arange(len(reference.tids)), columns[reference.tids]]
        return -float(along.sum(dtype=np.float64))


def _search(
    out: Path,
    seed: AcousticModel,
    inputs: ModelInputs,
    keys: list[str],
    search: SearchConfig,
    options: RunOptions,
) -> Iterator[Decoded]:
    # Numba comes with these.
    from asrkit.decode.graph import SearchGraph
    from asrkit.decode.parallel import decode_many
    from asrkit.graph.arrays import load_graph

    graph = load_graph(out / "graph" / "HCLG.fst")
    searched = SearchGraph(graph, seed.transitions.tid_to_pdf, seed.transitions.num_pdfs)
    return decode_many(searched, [search], keys, Loglikes(seed.model, inputs), options.num_jobs)


def _write_lattices(
    out: Path,
    found: Iterator[Decoded],
    scorer: _ReferenceScorer,
    alignments: dict[str, NDArray[np.int32]],
    search: SearchConfig,
    total: int,
    options: RunOptions,
) -> tuple[dict[str, object], list[Failure]]:
    from asrkit.lattice.archive import LatticeWriter
    from asrkit.lattice.determinise import determinise

    failures: list[Failure] = []
    num_lattices = num_frames = num_tids = added = 0
    scales = LatticeScales(search.acoustic_scale)
    with LatticeWriter(out, "lat") as writer:
        for one in options.progress(found, total=total, label="lattices"):
            key = one.utterance_id
            if one.error is not None:
                failures.append(Failure.of(key, one.error))
                continue
            raw = one.results[0].lattice
            if raw is None or not one.results[0].reached_final:
                failures.append(Failure(key, "the search reached no final state; widen denominators.beam"))
                continue
            # With all alignments of each word sequence in the denominator, and one in the numerator, training would
            # sharpen the alignment in the first place.
            lattice = determinise(raw, scales, search.lattice_beam).lattice
            reference = scorer.reference(key, alignments[key])
            if reference_logprob(lattice, reference, scales) == -math.inf:
                cost = scorer.graph_cost(reference)
                if not math.isfinite(cost):
                    failures.append(Failure(key, "the language model cannot say the transcript"))
                    continue
                lattice = with_reference(lattice, reference, cost, scorer.acoustic_cost(key, reference))
                added += 1
            writer.write(key, lattice)
            num_lattices += 1
            num_frames += lattice.num_frames
            num_tids += len(lattice.tids)
    depth = round(num_tids / max(num_frames, 1), 2)
    figures: dict[str, object] = {"lattices": num_lattices, "depth": depth, "references_added": added}
    return figures, failures
