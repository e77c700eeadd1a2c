"""`asrkit align --train`: models of the very data to be aligned, and the alignment by the last of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from asrkit.core.archives import ArchiveReader
from asrkit.data.datadir import DataDir
from asrkit.features.frontend import load_front_end
from asrkit.features.pipeline import PipelineConfig
from asrkit.gmm.em import EmConfig
from asrkit.hmm.tree_building import TreeConfig
from asrkit.lang.langdir import Lang
from asrkit.stages.acoustic import LANG_FILES, load_acoustic_model
from asrkit.stages.align import align
from asrkit.stages.aligner import AlignStageConfig
from asrkit.stages.alignment_lang import with_more_words
from asrkit.stages.gmm_training import Corpus, open_corpus
from asrkit.stages.ladder import LadderConfig, Rung, plan_ladder
from asrkit.stages.make_graph import LANG_INPUTS
from asrkit.stages.record import RunOptions, StageReport, StageResult, run_stage
from asrkit.stages.train_deltas import DeltasConfig, train_deltas
from asrkit.stages.train_lda_mllt import LdaMlltConfig, train_lda_mllt
from asrkit.stages.train_mono import MonoConfig, train_mono
from asrkit.stages.train_sat import SatConfig, train_sat
from asrkit.stages.tree_stage import ContextConfig

log = logging.getLogger("asrkit")


def train_and_align(
    data_path: Path,
    lang_path: Path,
    out: Path,
    config: AlignStageConfig,
    options: RunOptions,
    lexicon_path: Path | None = None,
    g2p_path: Path | None = None,
) -> StageReport:
    """Train on the utterances of a data directory, and align them.

    Parameters
    ----------
    data_path : Path
        Data directory with features and transcripts.
    lang_path : Path
        Lang directory.
    out : Path
        What :func:`asrkit.stages.align.align` makes; its models stand in ``train/<rung>``, each with its own record, so
        that a run that was killed goes on, and a second one does nothing.
    lexicon_path, g2p_path : Path, optional
        More words, as for :func:`asrkit.stages.align.align`; the models are trained with them.

    Returns
    -------
    StageReport
        Of the alignment.

    Raises
    ------
    DataError, FormatError, ModelError
        An input is absent or damaged, or they do not belong together.
    TooManyFailedError
        More utterances failed in a training or in the alignment than the options allow.
    """
    folder = out / "train"
    trained_with = lang_path
    if lexicon_path is None and g2p_path is None:
        with_more_words(Lang.load(lang_path), DataDir.load(data_path), config, None, None)  # may refuse
    else:
        trained_with = folder / "lang"
        _extend_lang(data_path, lang_path, trained_with, config, options, lexicon_path, g2p_path)
    ladder = _plan(open_corpus(data_path, trained_with, PipelineConfig(), options), config.ladder)
    model = folder / ladder[0].name
    mono = _mono_config(ladder, config.ladder)
    _say(train_mono(data_path, trained_with, model, mono, options))
    for rung in ladder[1:]:
        previous, model = model, folder / rung.name
        _say(_train(rung, data_path, trained_with, previous, model, options))
    report = align(data_path, model, out, config, options, lang_path, lexicon_path, g2p_path)
    return replace(report, figures={"trained": ladder[-1].name, **report.figures})


def _extend_lang(
    data_path: Path,
    lang_path: Path,
    out: Path,
    config: AlignStageConfig,
    options: RunOptions,
    lexicon_path: Path | None,
    g2p_path: Path | None,
) -> None:
    """Make the lang directory that has the words of the lexicon and the G2P model too.

    It is a stage with a record: trainings know their inputs by the time of change, and go on only where it stays.
    """
    more = [path for path in (lexicon_path, g2p_path) if path is not None]
    inputs = [data_path / "text", *(lang_path / name for name in LANG_INPUTS), *more]
    outputs = [out / name for name in (*LANG_FILES, "topology.json")]

    def body() -> StageResult:
        data = DataDir.load(data_path)
        lang, _ = with_more_words(Lang.load(lang_path), data, config, lexicon_path, g2p_path)
        lang.save(out)
        return StageResult({"words": len(lang.known_words)})

    run_stage("extend-lang", out, inputs, config, outputs, options, body, uses_seed=False)


def _plan(corpus: Corpus, config: LadderConfig) -> tuple[Rung, ...]:
    front_end = load_front_end(corpus.data_dir.path)
    num_frames = sum(corpus.features.num_frames(key) for key in corpus.keys)
    speech_secs = num_frames * front_end.shift / front_end.sample_rate_hz
    speakers = {corpus.features.speaker_of(key) for key in corpus.keys}
    ladder = plan_ladder(config, speech_secs, len(speakers))
    log.info("%.1f minutes, %d speakers: %s", speech_secs / 60, len(speakers), ", ".join(map(str, ladder)))
    return ladder


def _mono_config(ladder: Sequence[Rung], config: LadderConfig) -> MonoConfig:
    """Few Gaussians and statistics over all paths where monophones are to align: that finds boundaries best."""
    if len(ladder) == 1:
        return MonoConfig(em=EmConfig(estimator="baum-welch", total_gaussians=ladder[0].total_gaussians))
    return MonoConfig(config.mono_shortest, em=EmConfig(total_gaussians=ladder[0].total_gaussians))


def _train(rung: Rung, data: Path, lang: Path, previous: Path, out: Path, options: RunOptions) -> StageReport:
    """Train a rung with its command's defaults but for the sizes."""
    context = ContextConfig(TreeConfig(max_leaves=rung.max_leaves))
    if rung.name == "deltas":
        deltas = DeltasConfig(context=context)
        deltas = replace(deltas, em=replace(deltas.em, total_gaussians=rung.total_gaussians))
        return train_deltas(data, lang, previous, out, deltas, options)
    if rung.name == "lda-mllt":
        lda = LdaMlltConfig(context=context)
        lda = replace(
            lda,
            dim=min(lda.dim, _most_dimensions(previous, lang)),
            em=replace(lda.em, total_gaussians=rung.total_gaussians),
        )
        return train_lda_mllt(data, lang, previous, out, lda, options)
    sat = SatConfig(context=context)
    sat = replace(sat, em=replace(sat.em, total_gaussians=rung.total_gaussians))
    return train_sat(data, lang, previous, out, sat, options)


def _most_dimensions(previous: Path, lang: Path) -> int:
    """Return half the number of LDA's classes, the pdfs of speech that an alignment uses: the words may be few."""
    transitions = load_acoustic_model(previous).transitions
    tids = np.unique(np.concatenate([np.unique(path) for path in ArchiveReader(previous / "ali.scp").values()]))
    speech = tids[~np.isin(transitions.tid_to_phone[tids], Lang.load(lang).silence_phones)]
    return max(1, len(np.unique(transitions.tid_to_pdf[speech])) // 2)


def _say(report: StageReport) -> None:
    state = "up to date" if report.skipped else f"done in {report.seconds:.1f} s"
    log.info("%s: %s, log-likelihood %.2f a frame", report.stage, state, report.figures["loglike_per_frame"])
