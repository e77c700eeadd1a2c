"""`asrkit write-inputs`: what a GMM-HMM sees of a data directory (LDA, MLLT, fMLLR applied), as features for others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.errors import AsrkitError, DataError, ModelError
from asrkit.core.files import write_json, write_lines
from asrkit.core.jobs import map_in_order
from asrkit.data.datadir import DataDir
from asrkit.data.subset import write_subset
from asrkit.data.tables import SPECS
from asrkit.features.cmvn import CmvnStats
from asrkit.features.pipeline import INPUTS_FILE, ModelInputs, check_every_frame
from asrkit.gmm.model import GmmHmm
from asrkit.gmm.training import NOT_FINITE
from asrkit.stages.acoustic import AcousticModel, copy_file, data_files, load_acoustic_model, model_files
from asrkit.stages.adaptation import TRANSFORM_FILES
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_failures, first_of, run_stage

if TYPE_CHECKING:
    from asrkit.nnet.acoustic import NnetHmm


def write_inputs(
    data_path: Path,
    model_path: Path,
    out: Path,
    options: RunOptions,
    transforms: Path | None = None,
    layer: int | None = None,
) -> StageReport:
    """Write a data directory whose features are a model's inputs (Kaldi's steps/nnet/make_fmllr_feats.sh).

    Or, of a network, the outputs of a layer: bottleneck features (its make_bn_feats.sh).

    Parameters
    ----------
    data_path : Path
        Data directory with the features that the model was made for.
    model_path : Path
        Model directory, for its front end, pipeline and LDA+MLLT.
    out : Path
        Data directory to be made: the tables of ``data_path``, the inputs as ``feats.scp``, their statistics as
        ``cmvn.scp``, and ``inputs.json``, which says whose inputs they are: a model trained on them refuses others.
    transforms : Path, optional
        Directory with ``trans.scp``, the fMLLR transforms by speaker: that of a speaker-adaptive training, or of
        `asrkit decode` or `asrkit align` with such a model. A speaker-adaptive model needs it.
    layer : int, optional
        Of a network: write what its first so many hidden layers make of the inputs; a bottleneck is one of them.

    Raises
    ------
    DataError, FormatError, ModelError
        An input is absent or damaged, they do not belong together, or a speaker has no transform.
    TooManyFailedError
        The inputs of too many utterances cannot be computed, or hold NaN or infinity.
    """
    if out.resolve() == data_path.resolve():
        raise DataError("OUT is DATA itself", where=out, remedy="name another directory")
    tables = [name for name, spec in SPECS.items() if (data_path / name).exists() and not spec.derived]
    adapting = [] if transforms is None else [transforms / name for name in TRANSFORM_FILES]
    inputs = [*data_files(data_path, tables), *model_files(model_path), *adapting]
    made = ("feats.scp", "feats.ark", "cmvn.scp", "cmvn.ark", "utt2num_frames", "frontend.json", INPUTS_FILE)

    def body() -> StageResult:
        data = DataDir.load(data_path)
        model = load_acoustic_model(model_path)
        check_every_frame(model.pipeline, "write-inputs")
        features = model.inputs(data)
        if transforms is not None:
            found = ArchiveReader(transforms / "trans.scp") if adapting[0].exists() else {}
            features = features.with_transforms(features.transform, _checked(found, features, transforms))
        elif model.model.is_speaker_adaptive:
            raise ModelError(
                "the model is speaker-adaptive, and no transforms are given",
                where=model_path,
                remedy="--transforms DIR: the model's own for its training data, or those of a decode directory",
            )
        layers = None if layer is None else _layers(model, layer)
        num_frames, failures = _write(_Written(features, layers), out, options, data_path)
        write_subset(data, num_frames.keys(), out, without=made)
        copy_file(data_path / "frontend.json", out / "frontend.json")
        digest = hashlib.sha256((model_path / "model.safetensors").read_bytes()).hexdigest()
        dim = features.dim if layers is None else layers.dim
        described = {"model_sha256": digest, "dim": dim, "fmllr": transforms is not None}
        write_json(out / INPUTS_FILE, described if layer is None else {**described, "layer": layer})
        figures = {"utterances": len(num_frames), "frames": sum(num_frames.values()), "dim": dim}
        return StageResult(figures, tuple(failures))

    outputs = [*(out / name for name in tables), *(out / name for name in made)]
    return run_stage("write-inputs", out, inputs, _Choice(layer), outputs, options, body, uses_seed=False)


@dataclass(frozen=True)
class _Choice:
    """What of the model is written, for the record."""

    layer: int | None


@dataclass(frozen=True)
class _Layers:
    """The first layers of a network."""

    network: NnetHmm
    number: int

    @property
    def dim(self) -> int:
        return self.network.layer_dim(self.number)

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.network.outputs_of(self.number, inputs)


def _layers(model: AcousticModel, number: int) -> _Layers:
    if isinstance(model.model, GmmHmm):
        raise ModelError(
            "a layer is asked for, and the model is made of Gaussian mixtures",
            where=model.path,
            remedy="leave out --layer, or give a network",
        )
    layers = _Layers(model.model, number)
    _ = layers.dim  # refuses a layer that is not there
    return layers


@dataclass(frozen=True)
class _Written:
    """What is written of each utterance: the model's inputs, or what its first layers make of them."""

    features: ModelInputs
    layers: _Layers | None

    @property
    def dim(self) -> int:
        return self.features.dim if self.layers is None else self.layers.dim

    def __call__(self, key: str) -> NDArray[np.float32] | Failure:
        try:
            value = self.features[key]
            if self.layers is not None and len(value):
                value = self.layers(value)
        except AsrkitError as error:
            return Failure.of(key, error)
        if not len(value):
            return Failure(key, "no frames")
        return value if np.isfinite(value).all() else Failure(key, NOT_FINITE)


def _checked(
    found: Mapping[str, NDArray[np.float32]], features: ModelInputs, folder: Path
) -> Mapping[str, NDArray[np.float32]]:
    """Refuse transforms that leave a speaker out, whose features would be of another kind than all others."""
    missing = sorted({features.speaker_of(key) for key in features} - set(found))
    if missing:
        raise DataError(
            f"no transform of {len(missing)} speakers: {', '.join(missing[:10])}",
            where=folder / "trans.scp",
            remedy="give the directory of a training, decoding or alignment of this very data",
        )
    return found


def _write(written: _Written, out: Path, options: RunOptions, where: Path) -> tuple[dict[str, int], list[Failure]]:
    """Write the features and their statistics; return utterance_id -> frames, and the utterances that have none."""
    features = written.features
    stats: dict[str, CmvnStats] = {}
    num_frames: dict[str, int] = {}
    failures: list[Failure] = []
    values = map_in_order(written, list(features), options.num_jobs, kind="threads")
    with ArchiveWriter(out, "feats") as writer:
        for key, value in zip(features, options.progress(values, total=len(features), label="inputs")):
            if isinstance(value, Failure):
                failures.append(value)
                continue
            writer.write(key, value)
            speaker = features.speaker_of(key)
            stats[speaker] = stats.get(speaker, CmvnStats.zero(written.dim)) + CmvnStats.of(value)
            num_frames[key] = len(value)
        check_failures(failures, len(features), options, where)
        if not num_frames:
            raise DataError(f"no utterance has such inputs{first_of(failures)}", where=where)
    with ArchiveWriter(out, "cmvn") as writer:
        for speaker, one in sorted(stats.items()):
            writer.write(speaker, one.to_matrix())
    write_lines(out / "utt2num_frames", (f"{key} {count}" for key, count in num_frames.items()))
    return num_frames, failures
