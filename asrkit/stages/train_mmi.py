"""`asrkit train-gmm mmi`: discriminative training by MMI or boosted MMI, extended Baum-Welch on lattices."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from asrkit.core.errors import ConfigError, ModelError
from asrkit.gmm.ebw import EbwConfig, EbwReport, ebw_update
from asrkit.gmm.em import EmState, IterationReport
from asrkit.lattice.discriminative import Reference
from asrkit.stages.acoustic import copy_file, load_acoustic_model, model_files
from asrkit.stages.adaptation import TRANSFORM_FILES, is_speaker_adaptive, save_transforms
from asrkit.stages.checkpoint import Checkpoint, training_key
from asrkit.stages.denominators import DenominatorConfig, Denominators, make_denominators
from asrkit.stages.gmm_training import Corpus, finish_training, open_corpus, training_inputs, training_outputs
from asrkit.stages.mmi_pass import MmiCriterion, MmiData, MmiStats, mmi_pass
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_apart, check_failures, run_stage

log = logging.getLogger("asrkit")

TREE_REPORT = "tree-report.json"


@dataclass(frozen=True)
class MmiConfig:
    """Configuration of `asrkit train-gmm mmi`; scales are those of Kaldi's steps/train_mmi.sh.

    On two hours of speech, which a model knows by heart, more updates or a smaller boost raised errors on others.

    Attributes
    ----------
    num_iters : int
        Updates.
    boost : float
        Natural log by which each wrong frame makes a competitor likelier: boosted MMI; 0: MMI.
    acoustic_scale : float
        Weight of log-likelihoods against the graph, in lattices and objective.
    cancel : bool
        Take from numerator and denominator what both have of a pdf at a frame.
    ebw : EbwConfig
        How far an update goes.
    denominators : DenominatorConfig
        How the lattices are made.
    """

    num_iters: int = 2
    boost: float = 0.5
    acoustic_scale: float = 0.1
    cancel: bool = True
    ebw: EbwConfig = field(default_factory=EbwConfig)
    denominators: DenominatorConfig = field(default_factory=DenominatorConfig)

    def __post_init__(self) -> None:
        if self.num_iters < 1:
            raise ConfigError(f"num_iters is {self.num_iters}, expected 1 or more")
        if not 0 <= self.boost < math.inf:
            raise ConfigError(f"boost is {self.boost}, expected a number of 0 or more")
        self.denominators.search(self.acoustic_scale)

    @property
    def criterion(self) -> MmiCriterion:
        """What is maximised."""
        return MmiCriterion(self.acoustic_scale, self.boost, self.cancel)


@dataclass(frozen=True)
class MmiReport(IterationReport):
    """What one iteration did; ``loglike_per_frame`` is that of the references.

    Attributes
    ----------
    objective_per_frame : float
        Mean log posterior of the references, natural log, before the update.
    gain_per_frame : float
        What the auxiliary function promised, in the same unit.
    num_occupancy, den_occupancy : float
        Frames of both sides per frame of speech, after cancelling.
    raised_gaussians : int
        Gaussians whose variances wanted more smoothing than the occupancies say.
    """

    objective_per_frame: float
    gain_per_frame: float
    num_occupancy: float
    den_occupancy: float
    raised_gaussians: int


def train_mmi(
    data_path: Path,
    lang_path: Path,
    seed_path: Path,
    out: Path,
    config: MmiConfig,
    options: RunOptions,
    lm: Path | None = None,
    denominators_path: Path | None = None,
) -> StageReport:
    """Train a model further, so that it tells what was said from what might have been said.

    Parameters
    ----------
    seed_path : Path
        A finished model of the same lang directory. Its tree, transition probabilities and inputs stay, and of a
        speaker-adaptive model the transforms that it aligns with, its mixtures for unadapted inputs, and those that
        transforms are estimated for.
    out : Path
        Model directory to be made.
    lm : Path, optional
        ARPA file of the competitors' language model; default the unigram of the transcripts.
    denominators_path : Path, optional
        Directory of the lattices, default ``out/denominators``; several trainings from one seed may share it.

    Raises
    ------
    DataError, FormatError, ModelError
        An input is absent or damaged, or they do not belong together.
    TooManyFailedError
        More utterances could not be used than the options allow.
    """
    check_apart(out, data_path, lang_path, seed_path)
    where = denominators_path or out / "denominators"
    check_apart(where, out)
    denominators, _ = make_denominators(
        data_path, lang_path, seed_path, where, config.acoustic_scale, config.denominators, options, lm
    )
    report = [seed_path / TREE_REPORT] if (seed_path / TREE_REPORT).exists() else []
    inputs = [*training_inputs(data_path, lang_path), *model_files(seed_path), *denominators.files, *report]

    def body() -> StageResult:
        seed = load_acoustic_model(seed_path)
        corpus = open_corpus(data_path, lang_path, seed.pipeline, options)
        data, transforms = _mmi_data(corpus, denominators, seed.model.input_transform)
        checkpoint = Checkpoint(out, training_key(config, options.seed, inputs), MmiReport)
        state = checkpoint.load()
        if state is None:
            failures = {one.utterance_id: one.reason for one in denominators.failures}
            alignments = {key: reference.tids for key, reference in data.references.items()}
            mixtures = seed.mixtures
            kept = mixtures.fmllr_gmms if mixtures.is_speaker_adaptive else None
            state = EmState(0, replace(mixtures, adaptation_gmms=kept), alignments, failures, (), transforms)
        else:
            log.info("going on after iteration %d of %d", state.iteration, config.num_iters)
        state, last = _iterate(state, data, corpus, config, options, checkpoint)
        if transforms:
            save_transforms(out, transforms)
        for path in report:
            copy_file(path, out / path.name)
        result = finish_training(state, replace(corpus, failures=()), out, lang_path, seed.pipeline, checkpoint)
        return replace(result, figures={**result.figures, "objective_per_frame": round(last, 5)})

    outputs = [
        *training_outputs(out, data_path),
        *(out / path.name for path in report),
        *(out / name for name in TRANSFORM_FILES if is_speaker_adaptive(seed_path)),
    ]
    return run_stage("train-gmm mmi", out, inputs, config, outputs, options, body)


def _mmi_data(corpus: Corpus, denominators: Denominators, transform: np.ndarray | None) -> tuple[MmiData, dict]:
    from asrkit.lattice.archive import LatticeReader

    transforms = denominators.transforms()
    lattices = LatticeReader(denominators.path / "lat.scp")
    references = {
        key: Reference(corpus.lang.transcript_ids(corpus.data_dir.utterances[key].words or ())[0], alignment)
        for key, alignment in denominators.alignments().items()
        if key in lattices
    }
    features = corpus.features.with_transforms(transform, transforms)
    return MmiData(features, lattices, references, corpus.lang.silence_phones), transforms


def _iterate(
    state: EmState, data: MmiData, corpus: Corpus, config: MmiConfig, options: RunOptions, checkpoint: Checkpoint
) -> tuple[EmState, float]:
    """Run the remaining iterations; return the last state, and its objective per frame."""
    while True:
        number = state.iteration + 1
        label = f"iteration {number} of {config.num_iters}" if number <= config.num_iters else "objective"
        stats = mmi_pass(state.model, data, config.criterion, options, label)
        if not stats.num_frames:
            reason = next(iter({**state.failures, **stats.failures}.values()), "no utterances")
            raise ModelError(f"no utterance could be used in iteration {number}; the first reason: {reason}")
        failures = {**state.failures, **stats.failures}
        failed = [Failure(key, reason) for key, reason in sorted(failures.items())]
        check_failures(failed, corpus.num_utterances, options, corpus.data_dir.path)
        log.info("%s: objective %.5f a frame", label, stats.objective_per_frame)
        if state.iteration >= config.num_iters:
            return replace(state, failures=failures), stats.objective_per_frame
        gmms, done = ebw_update(state.model.gmms, stats.num, stats.den, config.ebw, stats.likely)
        report = _report(number, stats, done, config.acoustic_scale, gmms.num_gaussians)
        state = replace(
            state,
            iteration=number,
            model=replace(state.model, gmms=gmms),
            failures=failures,
            reports=(*state.reports, report),
        )
        checkpoint.save(state)


def _report(iteration: int, stats: MmiStats, done: EbwReport, acoustic_scale: float, num_gaussians: int) -> MmiReport:
    frames = stats.num_frames
    return MmiReport(
        iteration=iteration,
        loglike_per_frame=stats.likely.loglike / frames,
        num_frames=frames,
        num_gaussians=num_gaussians,
        realigned=False,
        retried=0,
        removed_gaussians=0,
        floored_variances=done.floored,
        objective_per_frame=stats.objective_per_frame,
        gain_per_frame=acoustic_scale * done.gain / frames,
        num_occupancy=stats.num.num_frames / frames,
        den_occupancy=stats.den.num_frames / frames,
        raised_gaussians=done.raised,
    )
