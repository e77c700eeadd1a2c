"""fMLLR of each speaker, estimated from what its utterances are believed to say: for training, aligning, decoding."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import ArchiveWriter
from asrkit.core.errors import ModelError
from asrkit.core.jobs import map_in_order
from asrkit.core.progress import Progress, silent
from asrkit.features.pipeline import ModelInputs
from asrkit.features.transform import compose
from asrkit.gmm.adaptation import AdaptationConfig, PdfPosteriors, estimate_from_posteriors, path_posteriors
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.em import EmConfig, boost_silence
from asrkit.gmm.fmllr import KINDS, FmllrConfig, FmllrReport
from asrkit.gmm.model import GmmHmm
from asrkit.gmm.training import PassResult, TrainingData, viterbi_pass
from asrkit.hmm.transitions import TransitionModel

log = logging.getLogger("asrkit")

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]

TRANSFORM_FILES = ("trans.scp", "trans.ark")


@dataclass(frozen=True, eq=False)
class PathPosteriors(Mapping[str, PdfPosteriors]):
    """The pdfs along one path of each utterance, silence weighted down (ali-to-post, weight-silence-post).

    Attributes
    ----------
    transitions : TransitionModel
    alignments : mapping of str to int32 (num_frames,)
        Transition ids.
    silence_phones : sequence of int
        1-based.
    silence_weight : float
    """

    transitions: TransitionModel
    alignments: Mapping[str, IntArray]
    silence_phones: Sequence[int]
    silence_weight: float

    def __getitem__(self, key: str) -> PdfPosteriors:
        return path_posteriors(self.transitions, self.alignments[key], self.silence_phones, self.silence_weight)

    def __iter__(self) -> Iterator[str]:
        return iter(self.alignments)

    def __len__(self) -> int:
        return len(self.alignments)


@dataclass(frozen=True, eq=False)
class SpeakerTransforms:
    """The transforms of all speakers, and how they came about.

    Attributes
    ----------
    transforms : dict of str to float32 (dim, dim + 1)
        What is applied to the model's unadapted inputs; the identity for a speaker with too little data.
    reports : dict of str to FmllrReport
        Of the last estimate, on inputs that had the transforms before it.
    """

    transforms: dict[str, FloatArray]
    reports: dict[str, FmllrReport]

    @property
    def kinds(self) -> dict[str, int]:
        """How many speakers got which kind of transform."""
        counts = Counter(report.kind for report in self.reports.values())
        return {kind: counts[kind] for kind in KINDS}

    @property
    def num_frames(self) -> float:
        """Sum of weights of the frames that the transforms were estimated from."""
        return sum(report.count for report in self.reports.values())

    @property
    def gain(self) -> float:
        """Rise of the auxiliary function per frame, over all speakers, natural log."""
        total = sum(report.gain * report.count for report in self.reports.values())
        return total / self.num_frames if self.num_frames else 0.0

    def save(self, folder: Path) -> None:
        """Write ``trans.scp`` and ``trans.ark``, the transforms by speaker as Kaldi writes them."""
        save_transforms(folder, self.transforms)

    def __str__(self) -> str:
        kinds = ", ".join(f"{number} {kind}" for kind, number in self.kinds.items() if number)
        return f"fMLLR of {len(self.reports)} speakers ({kinds}): {self.gain:.3f} nats a frame gained"


def is_speaker_adaptive(folder: Path) -> bool:
    """Say whether a model directory holds a speaker-adaptive model, by the names in its file alone.

    A directory without a readable model holds none; loading it says what is wrong.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / "model.safetensors", framework="numpy") as handle:
            return any(name.startswith("alignment.") for name in handle.keys())  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError):
        return False


def save_transforms(folder: Path, transforms: Mapping[str, FloatArray]) -> None:
    """Write transforms (dim, dim + 1) by speaker, ``trans.scp`` and ``trans.ark``."""
    with ArchiveWriter(folder, "trans") as writer:
        for speaker, transform in sorted(transforms.items()):
            writer.write(speaker, transform)


def estimate_transforms(
    gmms: DiagGmms,
    inputs: ModelInputs,
    posteriors: Mapping[str, PdfPosteriors],
    config: FmllrConfig,
    posterior_gmms: DiagGmms | None = None,
    num_jobs: int = 1,
    progress: Progress = silent,
) -> SpeakerTransforms:
    """Estimate a transform for each speaker, in addition to those that the inputs have.

    Parameters
    ----------
    gmms : DiagGmms
        What the transformed inputs are to fit.
    inputs : ModelInputs
        Features as they are now; where they have speaker transforms, those are composed with the new ones.
    posteriors : mapping of str to PdfPosteriors
        By utterance; an utterance that is not in it, or not in ``inputs``, plays no part.
    posterior_gmms : DiagGmms, optional
        The alignment model, Gaussian for Gaussian that of ``gmms``: makes the posteriors of the Gaussians while the
        inputs are not adapted (gmm-est-fmllr-gpost). Default ``gmms``.

    Returns
    -------
    SpeakerTransforms
        Of every speaker that has inputs.
    """
    by_speaker: dict[str, list[str]] = {}
    for key in inputs:
        by_speaker.setdefault(inputs.speaker_of(key), []).append(key)
    speakers = sorted(by_speaker)
    work = [[key for key in by_speaker[speaker] if key in posteriors] for speaker in speakers]
    job = functools.partial(_estimate, gmms, posterior_gmms or gmms, inputs, posteriors, config)
    results = progress(map_in_order(job, work, num_jobs, kind="threads"), total=len(work), label="fMLLR")
    transforms: dict[str, FloatArray] = {}
    reports: dict[str, FmllrReport] = {}
    for speaker, (transform, report) in zip(speakers, results, strict=True):
        before = inputs.speaker_transforms.get(speaker)
        transforms[speaker] = transform if before is None else compose(transform, before, before_is_affine=True)
        reports[speaker] = report
    return SpeakerTransforms(transforms, reports)


def _estimate(
    gmms: DiagGmms,
    posterior_gmms: DiagGmms,
    inputs: ModelInputs,
    posteriors: Mapping[str, PdfPosteriors],
    config: FmllrConfig,
    keys: Sequence[str],
) -> tuple[FloatArray, FmllrReport]:
    """Estimate the transform of one speaker from its utterances, in their order."""
    return estimate_from_posteriors(gmms, posterior_gmms, keys, inputs, posteriors, config)


@dataclass(frozen=True, eq=False)
class AdaptedAlignment:
    """What aligning with a speaker-adaptive model gives.

    Attributes
    ----------
    alignments : dict of str to int32 (num_frames,)
        Transition ids.
    failures : dict of str to str
        Utterance -> reason.
    speakers : SpeakerTransforms
    """

    alignments: dict[str, IntArray]
    failures: dict[str, str]
    speakers: SpeakerTransforms


def align_adapted(
    model: GmmHmm,
    inputs: ModelInputs,
    data: TrainingData,
    silence_phones: Sequence[int],
    em: EmConfig,
    config: AdaptationConfig,
    num_jobs: int = 1,
    progress: Progress = silent,
) -> AdaptedAlignment:
    """Align with a speaker-adaptive model: unadapted, fMLLR, and again adapted (Kaldi's steps/align_fmllr.sh).

    Parameters
    ----------
    inputs : ModelInputs
        The model's inputs, not adapted.
    data : TrainingData
        Utterances and graphs of this model; its features are not used.
    em : EmConfig
        Beams, scales and silence boost.
    """
    speakers = adapt_by_aligning(model, inputs, data, silence_phones, em, config, num_jobs, progress)
    adapted = replace(data, features=inputs.with_transforms(inputs.transform, speakers.transforms))
    second = _align(model, adapted, silence_phones, em, num_jobs, progress, "adapted alignment")
    return AdaptedAlignment(second.alignments, second.failures, speakers)


def adapt_by_aligning(
    model: GmmHmm,
    inputs: ModelInputs,
    data: TrainingData,
    silence_phones: Sequence[int],
    em: EmConfig,
    config: AdaptationConfig,
    num_jobs: int = 1,
    progress: Progress = silent,
) -> SpeakerTransforms:
    """Return the transforms that an alignment of unadapted inputs by the alignment model leads to.

    Raises
    ------
    ModelError
        The model is not speaker-adaptive.
    """
    if model.alignment_gmms is None:
        raise ModelError("the model has no mixtures for unadapted inputs, so it is not speaker-adaptive")
    unadapted = replace(model, gmms=model.alignment_gmms)
    first = _align(unadapted, replace(data, features=inputs), silence_phones, em, num_jobs, progress, "first alignment")
    posteriors = PathPosteriors(model.transitions, first.alignments, silence_phones, config.silence_weight)
    speakers = estimate_transforms(
        model.fmllr_gmms, inputs, posteriors, config.fmllr, model.alignment_gmms, num_jobs, progress
    )
    log.info("%s", speakers)
    return speakers


def _align(
    model: GmmHmm,
    data: TrainingData,
    silence_phones: Sequence[int],
    em: EmConfig,
    num_jobs: int,
    progress: Progress,
    label: str,
) -> PassResult:
    boosted = boost_silence(model, silence_phones, em.boost_silence)
    return viterbi_pass(model, data, None, em.search, em.scales, boosted, num_jobs, progress, label)
