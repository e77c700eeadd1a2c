"""`asrkit adapt`: a trained model moved towards a new speaker or domain by maximum a posteriori estimation."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, DataError, ModelError
from asrkit.data.datadir import DataDir, read_text
from asrkit.gmm.em import EmConfig
from asrkit.gmm.map import MapConfig, map_update
from asrkit.gmm.model import GmmHmm
from asrkit.gmm.stats import GmmStats
from asrkit.gmm.training import PassResult, TrainingData, mean_loglike, viterbi_pass
from asrkit.lang.langdir import Lang
from asrkit.lang.silence import SILENCE_FILE
from asrkit.stages.acoustic import (
    LANG_FILES,
    AcousticModel,
    copy_file,
    data_files,
    load_acoustic_model,
    model_files,
    save_model_folder,
)
from asrkit.stages.adaptation import (
    TRANSFORM_FILES,
    AdaptationConfig,
    align_adapted,
    is_speaker_adaptive,
    save_transforms,
)
from asrkit.stages.gmm_training import Corpus, training_data, usable_corpus
from asrkit.stages.make_graph import check_lang_fits
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_apart, check_failures, run_stage
from asrkit.stages.train_sat import alignment_stats
from asrkit.stages.unknown_words import UnknownWords

log = logging.getLogger("asrkit")

TREE_REPORT = "tree-report.json"


@dataclass(frozen=True)
class AdaptConfig:
    """Configuration of `asrkit adapt`.

    Attributes
    ----------
    tau, variance_tau, weight_tau : float
        Frames that the prior counts as: of a Gaussian's mean, of its variance, of the weights of a pdf.
    weights, variances : bool
        Whether these are adapted too; the means always are.
    min_frames : int
        Frames of speech (aligned to phones other than silence) without which nothing is adapted.
    oov : {'unk', 'error'}
        Words outside the lexicon: align them as the unknown word, or refuse.
    beam, retry_beam, acoustic_scale, transition_scale, self_loop_scale : float
        Of the alignment; see :class:`asrkit.gmm.em.EmConfig`.
    adaptation : AdaptationConfig
        How a speaker-adaptive model adapts its inputs while aligning.
    """

    tau: float = MapConfig.mean_tau
    variance_tau: float = MapConfig.variance_tau
    weight_tau: float = MapConfig.weight_tau
    weights: bool = False
    variances: bool = False
    min_frames: int = 100
    oov: Literal["unk", "error"] = "unk"
    beam: float = EmConfig.beam
    retry_beam: float = EmConfig.retry_beam
    acoustic_scale: float = EmConfig.acoustic_scale
    transition_scale: float = EmConfig.transition_scale
    self_loop_scale: float = EmConfig.self_loop_scale
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)

    def __post_init__(self) -> None:
        for name in ("tau", "variance_tau", "weight_tau"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected a number above 0")
        if self.min_frames < 1:
            raise ConfigError(f"min_frames is {self.min_frames}, expected 1 or more")
        _ = self.alignment

    @property
    def map(self) -> MapConfig:
        """The configuration of the update."""
        return MapConfig(self.tau, self.variance_tau, self.weight_tau, variances=self.variances, weights=self.weights)

    @property
    def alignment(self) -> EmConfig:
        """Beams and scales, as the passes over the data take them."""
        return EmConfig(
            beam=self.beam,
            retry_beam=self.retry_beam,
            acoustic_scale=self.acoustic_scale,
            transition_scale=self.transition_scale,
            self_loop_scale=self.self_loop_scale,
        )


def adapt(
    data_path: Path,
    lang_path: Path,
    model_path: Path,
    out: Path,
    config: AdaptConfig,
    options: RunOptions,
    transcripts: Path | None = None,
) -> StageReport:
    """Adapt a model to the utterances of a data directory (Kaldi's steps/train_map.sh).

    One alignment by the model, one update (Gauvain and Lee 1994, see :func:`asrkit.gmm.map.map_update`). Tree,
    transition probabilities, LDA and MLLT stay. A speaker-adaptive model aligns as it does in training, its mixtures
    are adapted with the inputs that fMLLR gave, and those of its first pass, Gaussian for Gaussian, without it.

    Parameters
    ----------
    data_path : Path
        Data directory with features and, unless ``transcripts`` are given, ``text``.
    lang_path : Path
        Lang directory of the model's phones, whose lexicon has the words of the transcripts; kept in ``out``.
    model_path : Path
        The prior: any GMM-HMM directory.
    out : Path
        Model directory to be made; of a speaker-adaptive model also the transforms of the speakers, ``trans.scp``.
    transcripts : Path, optional
        Transcripts in place of ``text``, such as the hypotheses of a recogniser; an utterance that has none is left
        out.

    Raises
    ------
    DataError, FormatError, ModelError
        An input is absent or damaged, they do not belong together, or there is too little speech.
    TooManyFailedError
        More utterances could not be used than the options allow.
    """
    if out.resolve() == model_path.resolve():
        raise ConfigError("OUT is the directory of the model that is to be adapted")
    check_apart(out, data_path, lang_path)
    report = [model_path / TREE_REPORT] if (model_path / TREE_REPORT).exists() else []
    inputs = [
        *data_files(data_path, ("utt2spk",) if transcripts else ("utt2spk", "text")),
        *(lang_path / name for name in (*LANG_FILES, SILENCE_FILE, "topology.json")),
        *model_files(model_path),
        *report,
        *([transcripts] if transcripts else []),
    ]
    outputs = [
        *(out / path.name for path in model_files(model_path)),
        *(out / "lang" / name for name in LANG_FILES),
        *(out / path.name for path in report),
        *(out / name for name in TRANSFORM_FILES if is_speaker_adaptive(model_path)),
    ]

    def body() -> StageResult:
        older = load_acoustic_model(model_path)
        mixtures = older.mixtures
        corpus = _open(data_path, lang_path, older, config, options, transcripts)
        data = training_data(corpus, older.tree, older.transitions, options.progress)
        found = _align(mixtures, corpus, data, config, options)
        failures = (*corpus.failures, *(Failure(key, reason) for key, reason in sorted(found.failures.items())))
        check_failures(failures, corpus.num_utterances, options, data_path)
        speech = _check_enough(found, older, corpus.lang, config, data_path)
        model = replace(mixtures, gmms=map_update(mixtures.gmms, found.stats, config.map))
        if mixtures.alignment_gmms is not None and found.alignment_stats is not None:
            aligning = map_update(mixtures.alignment_gmms, found.alignment_stats, config.map)
            model = replace(model, alignment_gmms=aligning)
            if mixtures.adaptation_gmms is not None:
                fitted = map_update(mixtures.adaptation_gmms, found.stats, config.map)
                model = replace(model, adaptation_gmms=fitted)
            save_transforms(out, found.transforms)
        after = _accumulate(model, found.data, found.alignments, config, options, "adapted model")
        for path in report:
            copy_file(path, out / path.name)
        save_model_folder(out, older.front_end, older.pipeline, lang_path, model, trained_on=data_path)
        figures = {
            "utterances": len(found.alignments),
            "num_frames": int(found.stats.num_frames),
            "speech_frames": speech,
            "num_gaussians": model.gmms.num_gaussians,
            "gaussians_seen": int((found.stats.occupancy >= 1).sum()),
            "loglike_before": round(found.loglike, 4),
            "loglike_after": round(mean_loglike(after), 4),
        }
        return StageResult(figures, failures)

    return run_stage("adapt", out, inputs, config, outputs, options, body, uses_seed=False)


def _open(
    data_path: Path,
    lang_path: Path,
    model: AcousticModel,
    config: AdaptConfig,
    options: RunOptions,
    transcripts: Path | None,
) -> Corpus:
    """Open what is adapted to, and refuse what does not belong to the model."""
    data, lang = DataDir.load(data_path), Lang.load(lang_path)
    check_lang_fits(lang, lang_path, model.transitions, model.path)
    if transcripts is not None:
        data = with_transcripts(data, transcripts)
    if config.oov == "error":
        unknown = UnknownWords.of(data, frozenset(pronunciation.word for pronunciation in lang.pronunciations))
        unknown.refuse(transcripts or data_path / "text", "add them to the lexicon of LANG, or say --oov unk")
    model.inputs(data)  # refuses features of another front end, and those of another model
    corpus = usable_corpus(data, lang, model.pipeline, options)
    features = corpus.features.with_transforms(model.model.input_transform)
    expected = model.model.input_dim
    found = features.pipeline.dim(features.raw_dim)
    if found != expected:
        raise ModelError(
            f"features of {features.raw_dim} columns make inputs of {found}, the model {model.path} takes {expected}",
            where=data_path / "feats.scp",
            remedy="extract them with the front end of the model's training",
        )
    return corpus.with_features(features)


def with_transcripts(data: DataDir, path: Path) -> DataDir:
    """Return the directory with the transcripts of a file; an utterance that the file lacks has an empty one.

    Raises
    ------
    DataError, FormatError
        The file is absent or damaged, or holds none of the utterances.
    """
    if not path.is_file():
        raise DataError("no such file of transcripts", where=path, remedy="give a `text` or a hyp.txt of a decoding")
    texts = read_text(path)
    if not texts.keys() & data.utterances.keys():
        raise DataError(
            f"none of its {len(texts)} utterances is in {data.path}",
            where=path,
            remedy="give the transcripts of this data directory",
        )
    return replace(
        data, utterances={key: replace(one, words=texts.get(key, ())) for key, one in data.utterances.items()}
    )


@dataclass(frozen=True, eq=False)
class _Aligned:
    """What the model says of the data before it is adapted.

    ``data`` holds the inputs that ``stats`` are of; ``alignment_stats`` and ``transforms`` are those of a
    speaker-adaptive model.
    """

    data: TrainingData
    alignments: Mapping[str, NDArray[np.int32]]
    failures: Mapping[str, str]
    stats: GmmStats
    loglike: float
    alignment_stats: GmmStats | None = None
    transforms: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


def _align(model: GmmHmm, corpus: Corpus, data: TrainingData, config: AdaptConfig, options: RunOptions) -> _Aligned:
    if model.alignment_gmms is None:
        result = _accumulate(model, data, None, config, options, "align")
        return _Aligned(data, result.alignments, result.failures, result.stats, mean_loglike(result))
    unadapted, silence, jobs, progress = corpus.features, corpus.lang.silence_phones, options.num_jobs, options.progress
    found = align_adapted(model, unadapted, data, silence, config.alignment, config.adaptation, jobs, progress)
    adapted = unadapted.with_transforms(unadapted.transform, found.speakers.transforms)
    data = replace(data, features=adapted)
    result = _accumulate(model, data, found.alignments, config, options, "statistics")
    aligning = alignment_stats(model, adapted, unadapted, found.alignments, options)
    return _Aligned(
        data,
        found.alignments,
        found.failures,
        result.stats,
        mean_loglike(result),
        aligning,
        found.speakers.transforms,
    )


def _accumulate(
    model: GmmHmm,
    data: TrainingData,
    alignments: Mapping[str, NDArray[np.int32]] | None,
    config: AdaptConfig,
    options: RunOptions,
    label: str,
) -> PassResult:
    em = config.alignment
    return viterbi_pass(model, data, alignments, em.search, em.scales, None, options.num_jobs, options.progress, label)


def _check_enough(found: _Aligned, model: AcousticModel, lang: Lang, config: AdaptConfig, data_path: Path) -> int:
    """Return the number of frames of speech, or refuse to adapt to so few."""
    phones = [model.transitions.tid_to_phone[alignment] for alignment in found.alignments.values()]
    speech = sum(int((~np.isin(ids, lang.silence_phones)).sum()) for ids in phones)
    if speech < config.min_frames:
        raise DataError(
            f"{speech} frames of speech in {len(phones)} aligned utterances, min_frames is {config.min_frames}",
            where=data_path,
            remedy="give more utterances, or lower it with --set min_frames=N",
        )
    return speech
