"""Aligning the utterances of a data directory with a model, one at a time or many at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import AsrkitError, ConfigError, DataError, ModelError
from asrkit.core.jobs import chunks, map_in_order
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.pipeline import ModelInputs
from asrkit.graph.training import TrainingGraphCompiler
from asrkit.hmm.combination import CombinationConfig
from asrkit.hmm.scorer import PdfScorer
from asrkit.hmm.segments import cut_phones, find_words
from asrkit.hmm.viterbi import AlignConfig, NoPath
from asrkit.hmm.viterbi import align as best_path
from asrkit.lang.langdir import Lang
from asrkit.recognizer.acoustics import check_aligns
from asrkit.stages.acoustic import AcousticModel
from asrkit.stages.adaptation import AdaptationConfig
from asrkit.stages.aligned_utterance import AlignedUtterance
from asrkit.stages.alignment_files import Format
from asrkit.stages.alignment_times import Boundaries, Clock
from asrkit.stages.ladder import LadderConfig
from asrkit.stages.loglikes import Blocks
from asrkit.stages.record import Failure

UTTERANCES_AT_ONCE = 32
"""Utterances of one piece of work; fixed, though here no result depends on it."""


@dataclass(frozen=True)
class AlignStageConfig:
    """Configuration of `asrkit align`.

    Attributes
    ----------
    formats : tuple of {'ctm', 'json', 'textgrid', 'textgrid-short'}
        What is written beside ``ali.scp``.
    oov : {'unk', 'error', 'g2p'}
        Words outside the lexicon: align them as the unknown word, refuse, or let a G2P model pronounce them; those that
        it cannot are aligned as the unknown word.
    g2p_nbest : int
        Pronunciations of such a word, of which the one that fits best is taken.
    boundaries : {'centre', 'kaldi'}
        Where a boundary lies between two frames: half-way between the centres of their windows, the first label then
        begins and the last one ends with the utterance; or, as Kaldi says, at frame number times shift, which for
        25 ms windows each 10 ms is 7.5 ms earlier.
    goodness : bool
        Also score each phone against the best of all pdfs (costs the log-likelihoods of all pdfs).
    beam, retry_beam : float
        See :class:`asrkit.hmm.viterbi.AlignConfig`; two still wider ones follow.
    acoustic_scale, transition_scale, self_loop_scale : float
        Weights of log-likelihoods and transition probabilities.
    adapt : bool
        With a speaker-adaptive model: align, adapt its inputs to each speaker by that, and align again. Without it the
        model's mixtures for unadapted inputs give the result.
    adaptation : AdaptationConfig
        How the transforms are estimated from the first alignment.
    combination : CombinationConfig
        How the model and those that are given with it are averaged.
    ladder : LadderConfig
        What ``--train`` trains (:func:`asrkit.stages.align_train.train_and_align`); here it plays no part.
    """

    formats: tuple[Format, ...] = ("ctm", "json")
    oov: Literal["unk", "error", "g2p"] = "unk"
    g2p_nbest: int = 1
    boundaries: Boundaries = "centre"
    goodness: bool = False
    beam: float = 10.0
    retry_beam: float = 40.0
    acoustic_scale: float = 0.1
    transition_scale: float = 1.0
    self_loop_scale: float = 0.1
    adapt: bool = True
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)
    combination: CombinationConfig = field(default_factory=CombinationConfig)
    ladder: LadderConfig = field(default_factory=LadderConfig)

    def __post_init__(self) -> None:
        if {"textgrid", "textgrid-short"} <= set(self.formats):
            raise ConfigError("formats names both textgrid and textgrid-short, which have the same file names")
        if self.g2p_nbest < 1:
            raise ConfigError(f"g2p_nbest is {self.g2p_nbest}, expected 1 or more")
        if not (0 <= self.transition_scale < math.inf and 0 <= self.self_loop_scale < math.inf):
            raise ConfigError("transition_scale and self_loop_scale must be finite and not negative")
        _ = self.search

    @property
    def search(self) -> AlignConfig:
        """The configuration of the search."""
        return AlignConfig(self.acoustic_scale, self.beam, self.retry_beam)


class Aligner:
    """Aligns utterances, each by itself; may be used from several threads.

    Parameters
    ----------
    data : DataDir
        With features and transcripts.
    model : AcousticModel
    lang : Lang
        Of the model's phones.
    config : AlignStageConfig
    features : ModelInputs, optional
        The model's inputs, where they are adapted to their speakers.
    scorer : PdfScorer, optional
        What gives their log-likelihoods; by default what the model has for inputs that are not adapted.
    combined : callable, optional
        utterance_id -> blocks of log-likelihoods of all pdfs, which take the place of the scorer's.

    Raises
    ------
    DataError, ModelError
        The data directory has no transcripts or features, or those of another front end.
    """

    def __init__(
        self,
        data: DataDir,
        model: AcousticModel,
        lang: Lang,
        config: AlignStageConfig,
        features: ModelInputs | None = None,
        scorer: PdfScorer | None = None,
        combined: Callable[[str], Blocks] | None = None,
    ) -> None:
        if any(utterance.words is None for utterance in data.utterances.values()):
            raise DataError("no transcripts", where=data.path / "text", remedy="alignment needs the file `text`")
        check_aligns(model.model, model.path, "an alignment")
        self.data, self.model, self.lang, self.config = data, model, lang, config
        self.features = model.inputs(data) if features is None else features
        self.scorer = scorer or model.model.unadapted
        self._combined = combined
        self.known_words = lang.known_words
        self.clock = Clock(data, model.front_end, config.boundaries)
        self._compiler = TrainingGraphCompiler(lang, model.tree, model.transitions)
        self._log_probs = model.transitions.scaled_log_probs(config.transition_scale, config.self_loop_scale)

    @cached_property
    def order(self) -> list[str]:
        """The utterances by recording and time, so that those of a recording come one after the other."""
        utterances = self.data.utterances.values()
        ranked = sorted(utterances, key=lambda u: (u.recording_id, u.start_secs or 0.0, u.utterance_id))
        return [utterance.utterance_id for utterance in ranked]

    def align_all(self, num_jobs: int) -> Iterator[AlignedUtterance | Failure]:
        """Yield what becomes of each utterance, in :attr:`order`, whatever the number of jobs."""
        for results in map_in_order(self._align_some, chunks(self.order, UTTERANCES_AT_ONCE), num_jobs, kind="threads"):
            yield from results

    def _align_some(self, keys: Sequence[str]) -> list[AlignedUtterance | Failure]:
        return [self.align(key) for key in keys]

    def align(self, key: str) -> AlignedUtterance | Failure:
        """Align one utterance, or say why it cannot be."""
        utterance = self.data.utterances[key]
        if key not in self.features:
            return Failure(key, "no features (see the report of `asrkit extract`)")
        try:
            return self._align(utterance)
        except AsrkitError as error:
            return Failure.of(key, error)

    def _align(self, utterance: Utterance) -> AlignedUtterance | Failure:
        words = utterance.words or ()
        if not words:
            return Failure(utterance.utterance_id, "empty transcript")
        word_ids, _ = self.lang.transcript_ids(words)
        graph = self._compiler.compile(word_ids)
        transitions = self.model.transitions
        pdf_ids, columns = transitions.pdf_columns(graph.arc_label)
        if self.config.goodness or self._combined is not None:
            everything = self._loglikes(utterance.utterance_id)
            loglikes = np.ascontiguousarray(everything[:, pdf_ids])
        else:
            loglikes = self.scorer.loglikes(self.features[utterance.utterance_id], pdf_ids)
        found = best_path(graph, columns, self._log_probs, loglikes, self.config.search)
        if isinstance(found, NoPath):
            return Failure(utterance.utterance_id, found.reason)
        phones = cut_phones(transitions, found.labels)
        segments = find_words(phones.phones.tolist(), word_ids.tolist(), self.lang)
        if segments is None:
            raise ModelError("the phones of the alignment are not those of the transcript")
        along = loglikes[np.arange(len(loglikes)), columns[found.labels]]
        return AlignedUtterance(
            utterance,
            found,
            phones,
            tuple(segments),
            frozenset(place for place, word in enumerate(words) if word not in self.known_words),
            phones.means(along),
            phones.means(along - everything.max(axis=1)) if self.config.goodness else None,
            self.clock.bounds_secs(utterance, phones.bounds, len(loglikes)),
        )

    def _loglikes(self, key: str) -> NDArray[np.float32]:
        """Return the log-likelihoods of all pdfs, (num_frames, num_pdfs) float32."""
        if self._combined is None:
            return self.scorer.loglikes(self.features[key])
        blocks = list(self._combined(key))
        return np.concatenate(blocks) if blocks else np.zeros((0, self.model.transitions.num_pdfs), np.float32)
