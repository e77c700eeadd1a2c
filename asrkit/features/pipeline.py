"""From archived features to a model's input: normalisation, deltas, splicing; the same for training and decoding."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.config import from_mapping
from asrkit.core.errors import AsrkitError, ConfigError, DataError, FormatError
from asrkit.core.files import read_json
from asrkit.data.datadir import DataDir
from asrkit.features.cmvn import (
    SLIDING_VARIANCE_FLOOR,
    VARIANCE_FLOOR,
    CmvnStats,
    apply_cmvn,
    apply_sliding_cmvn,
)
from asrkit.features.deltas import add_deltas
from asrkit.features.splice import splice
from asrkit.features.transform import apply_affine

INPUTS_FILE = "inputs.json"
"""Says that features are another model's inputs, and whose, or are warped; beside data and models of that kind."""

MAX_SPLICE = 100
"""Frames on either side: a second at the usual shift."""


@dataclass(frozen=True)
class PipelineConfig:
    """What is done to archived features before a model sees them, in this order: CMVN, deltas, splicing, thinning out.

    A model directory stores this beside its front end; decoding takes it from there.

    Attributes
    ----------
    cmvn : {'none', 'utterance', 'speaker', 'sliding'}
        Whose mean (and variance) is removed.
    norm_means, norm_vars : bool
        For ``utterance`` and ``speaker``; ``sliding`` always removes the mean.
    cmn_window, min_cmn_window : int
        For ``sliding``: frames.
    center : bool
        For ``sliding``: the window lies around the frame, not before it.
    variance_floor, sliding_variance_floor : float
        Smallest variance that is divided by; Kaldi's constants.
    delta_order : int
        0 is none.
    delta_window : int
        Frames to each side of one regression.
    splice_left, splice_right : int
        Neighbouring frames put beside each frame.
    keep_every : int
        Of so many frames the first is kept, with its neighbours. More than 1 is for networks trained by CTC, which
        need no frame for each state of an HMM.
    """

    cmvn: Literal["none", "utterance", "speaker", "sliding"] = "speaker"
    norm_means: bool = True
    norm_vars: bool = False
    cmn_window: int = 600
    min_cmn_window: int = 100
    center: bool = True
    variance_floor: float = VARIANCE_FLOOR
    sliding_variance_floor: float = SLIDING_VARIANCE_FLOOR
    delta_order: int = 2
    delta_window: int = 2
    splice_left: int = 0
    splice_right: int = 0
    keep_every: int = 1

    def __post_init__(self) -> None:
        for name, least in (
            ("delta_order", 0),
            ("delta_window", 1),
            ("splice_left", 0),
            ("splice_right", 0),
            ("cmn_window", 1),
            ("min_cmn_window", 1),
            ("keep_every", 1),
        ):
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"{name} is {value}, expected {least} or more")
        for name in ("splice_left", "splice_right", "keep_every"):
            if getattr(self, name) > MAX_SPLICE:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected {MAX_SPLICE} at most")
        for name in ("variance_floor", "sliding_variance_floor"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name):g}, expected a positive number")


def check_every_frame(pipeline: PipelineConfig, purpose: str) -> None:
    """Raise :class:`ConfigError` where a pipeline keeps some frames alone, and ``purpose`` needs all."""
    if pipeline.keep_every > 1:
        raise ConfigError(
            f"pipeline.keep_every is {pipeline.keep_every}, and {purpose} takes every frame",
            remedy="leave it at 1; networks trained by CTC alone can do with less",
        )


def load_pipeline(folder: Path) -> PipelineConfig:
    """Read ``pipeline.json``."""
    values = read_json(folder / "pipeline.json")
    if not isinstance(values, dict):
        raise FormatError(f"expected a JSON object, found {type(values).__name__}", where=folder / "pipeline.json")
    return from_mapping(PipelineConfig, values, str(folder / "pipeline.json"))


class FeaturePipeline:
    """Applies a :class:`PipelineConfig`; stateless, so one object serves all utterances."""

    def __init__(self, config: PipelineConfig) -> None:
        self.config = config

    def dim(self, raw_dim: int) -> int:
        """Return the dimension of the model's input for archived features of ``raw_dim``."""
        config = self.config
        return raw_dim * (config.delta_order + 1) * (config.splice_left + 1 + config.splice_right)

    def apply(self, features: NDArray[Any], stats: CmvnStats | None = None) -> NDArray[np.float32]:
        """Return the model's input.

        Parameters
        ----------
        features : (T, D) float32 or float64
            As archived.
        stats : CmvnStats, optional
            The speaker's; needed, and used, with ``cmvn = "speaker"`` alone.

        Returns
        -------
        (T / keep_every rounded up, :meth:`dim`) float32
            C-contiguous; possibly the given array itself, so treat it as read-only.

        Raises
        ------
        DataError
            Statistics are missing or do not fit.
        """
        config = self.config
        value = np.ascontiguousarray(features, dtype=np.float32)
        if config.cmvn == "sliding":
            value = apply_sliding_cmvn(
                value,
                config.cmn_window,
                config.min_cmn_window,
                config.center,
                config.norm_vars,
                config.sliding_variance_floor,
            )
        elif config.cmvn != "none" and len(value):
            if config.cmvn == "utterance":
                stats = CmvnStats.of(features)
            elif stats is None:
                raise DataError("the model normalises per speaker and no statistics were given")
            value = apply_cmvn(value, stats, config.norm_means, config.norm_vars, config.variance_floor)
        if config.delta_order:
            value = add_deltas(value, config.delta_order, config.delta_window)
        spliced = splice(value, config.splice_left, config.splice_right)
        return spliced if config.keep_every == 1 else np.ascontiguousarray(spliced[:: config.keep_every])

    def num_frames(self, num_raw: int) -> int:
        """Return the frames of a model's input for so many archived ones."""
        return -(-num_raw // self.config.keep_every)


class ModelInputs(Mapping[str, NDArray[np.float32]]):
    """The model inputs of a data directory: utterance_id -> (T, dim) float32, computed when asked for.

    Holds the utterances that have features, in the order of their ids. Pickles without its arrays, so it can be
    sent to jobs.

    Parameters
    ----------
    data : DataDir
        With ``feats.scp`` and, for ``cmvn = "speaker"``, ``cmvn.scp``.
    config : PipelineConfig
    transform : (E, D) float32, optional
        A linear transform of the pipeline's output (LDA and MLLT).
    speaker_transforms : mapping of str to (E, E + 1) float32, optional
        fMLLR of each speaker, applied last; a speaker without one keeps its features.
    cache_bytes : int
        Keep computed inputs up to this size in memory, for many passes over the same utterances; what does not fit
        is computed at each access.

    Raises
    ------
    DataError
        Features or statistics are absent; on access also those of a single speaker.
    """

    def __init__(
        self,
        data: DataDir,
        config: PipelineConfig,
        cache_bytes: int = 0,
        transform: NDArray[np.float32] | None = None,
        speaker_transforms: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> None:
        self.pipeline = FeaturePipeline(config)
        self.transform = transform
        self.speaker_transforms = speaker_transforms or {}
        self._cache_bytes = cache_bytes
        self._cache: dict[str, NDArray[np.float32]] = {}
        self._cache_left = cache_bytes
        self._features = data.features()
        self._stats = data.features("cmvn") if config.cmvn == "speaker" else None
        self._path = data.path
        self._speakers = {key: u.speaker for key, u in sorted(data.utterances.items()) if key in self._features}

    def __len__(self) -> int:
        return len(self._speakers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._speakers)

    def __contains__(self, key: object) -> bool:
        return key in self._speakers

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}

    def __getitem__(self, key: str) -> NDArray[np.float32]:
        if key in self._cache:
            return self._cache[key]
        value = self._compute(key)
        if value.nbytes <= self._cache_left:
            self._cache[key] = value
            self._cache_left -= value.nbytes
        return value

    def _compute(self, key: str) -> NDArray[np.float32]:
        speaker = self._speakers[key]
        try:
            stats = None if self._stats is None else self._speaker_stats(speaker)
            raw = self._features[key]
            if raw.shape == (0, 0):
                raw = np.zeros((0, self.raw_dim), np.float32)
            if raw.ndim != 2 or raw.shape[1] != self.raw_dim:
                raise DataError(
                    f"features of shape {raw.shape}, expected {self.raw_dim} columns", remedy="extract them again"
                )
            # NaN and infinity go through: whoever sums or aligns refuses the utterance.
            with np.errstate(over="ignore", invalid="ignore"):
                value = self.pipeline.apply(raw, stats)
                if self.transform is not None:
                    value = apply_affine(value, self.transform)
                if speaker in self.speaker_transforms:
                    value = apply_affine(value, self.speaker_transforms[speaker])
            return value
        except AsrkitError as error:
            if error.where is None:
                error.where = key
            raise

    def with_transforms(
        self,
        transform: NDArray[np.float32] | None,
        speaker_transforms: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> ModelInputs:
        """Return the same inputs with other transforms; what this one keeps in memory is not shared."""
        other = copy.copy(self)
        other.transform = transform
        other.speaker_transforms = speaker_transforms or {}
        other._cache, other._cache_left = {}, self._cache_bytes
        return other

    def speaker_of(self, key: str) -> str:
        """Return the speaker of an utterance."""
        return self._speakers[key]

    def num_frames(self, key: str) -> int:
        """Return the number of frames of an utterance, without computing anything."""
        return self.pipeline.num_frames(len(self._features[key]))

    @cached_property
    def raw_dim(self) -> int:
        """Dimension of the archived features."""
        for key in self._speakers:
            first = self._features[key]
            if first.ndim != 2:
                raise DataError(f"features of shape {first.shape}, expected (frames, dimension)", where=key)
            if first.shape[1]:  # Kaldi writes features without frames as 0 by 0
                return int(first.shape[1])
        raise DataError("no features of any utterance", where=self._path, remedy=f"run `asrkit extract {self._path}`")

    @property
    def dim(self) -> int:
        """Dimension of the model's input."""
        return self.pipeline.dim(self.raw_dim) if self.transform is None else len(self.transform)

    def _speaker_stats(self, speaker: str) -> CmvnStats:
        assert self._stats is not None
        if speaker not in self._stats:
            raise DataError(
                f"no CMVN statistics of speaker {speaker!r}",
                where=self._path / "cmvn.scp",
                remedy=f"run `asrkit extract {self._path} --set cmvn=speaker`",
            )
        return CmvnStats.from_matrix(self._stats[speaker])
