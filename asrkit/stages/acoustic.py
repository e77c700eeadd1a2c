"""Model directories: what graph building and decoding need to know of an acoustic model, whatever its kind."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrkit.core.archives import read_scp, resolve
from asrkit.core.container import check_finished
from asrkit.core.errors import ModelError
from asrkit.core.files import read_json, whole_file
from asrkit.data.datadir import DataDir
from asrkit.features.config import FrontEndConfig
from asrkit.features.description import description_files, inputs_files, read_inputs, save_description
from asrkit.features.frontend import check_front_end, load_front_end
from asrkit.features.pipeline import ModelInputs, PipelineConfig, load_pipeline
from asrkit.gmm.model import GmmHmm
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree
from asrkit.lang.silence import SILENCE_FILE
from asrkit.recognizer.acoustics import load_acoustics, mixtures_of

if TYPE_CHECKING:
    from asrkit.recognizer.acoustics import Acoustics

LANG_FILES = ("phones.txt", "words.txt", "lexicon.txt", "lang.json")
"""What a model directory keeps of the lang directory it was trained with, beside ``silence.txt`` where it has one."""

WARPED = {"vtln": True}
"""What it says of features that `asrkit extract` made with warp factors."""


FRAME_SHIFT = "frame_shift_ms"
"""Figure of decodings by models that do not hear every frame."""


@dataclass(frozen=True)
class AcousticModel:
    """A trained model with all that stands before it.

    Attributes
    ----------
    path : Path
        The model directory.
    front_end : FrontEndConfig
        How its features were extracted.
    pipeline : PipelineConfig
        What is done to them before the model.
    model : GmmHmm or NnetHmm
        The acoustic model itself.
    """

    path: Path
    front_end: FrontEndConfig
    pipeline: PipelineConfig
    model: Acoustics

    @property
    def frame_secs(self) -> float:
        """Seconds from one frame of its inputs to the next."""
        return self.front_end.frame_shift_ms / 1000 * self.pipeline.keep_every

    def thinning_figures(self) -> dict[str, float]:
        """Return the frame shift as a figure of lattices, where it is not that of the features."""
        return {FRAME_SHIFT: 1000 * self.frame_secs} if self.pipeline.keep_every > 1 else {}

    @property
    def mixtures(self) -> GmmHmm:
        """The model, where it is made of Gaussian mixtures; a network is a :class:`ModelError`."""
        return mixtures_of(self.model, self.path)

    @property
    def tree(self) -> ContextTree:
        """The context tree."""
        return self.model.tree

    @property
    def transitions(self) -> TransitionModel:
        """The transition model."""
        return self.model.transitions

    def inputs(self, data: DataDir) -> ModelInputs:
        """Return the model's input for each utterance that has features, not adapted to its speaker.

        Raises
        ------
        ModelError
            The features were made by another front end, or are not the inputs of the model that this one builds on.
        """
        check_front_end(self.front_end, load_front_end(data.path), data.path)
        _check_inputs(self.path, data.path)
        return ModelInputs(data, self.pipeline, transform=self.model.input_transform)


def load_acoustic_model(folder: Path | str) -> AcousticModel:
    """Open a model directory.

    Raises
    ------
    ModelError, FormatError
        It is absent, incomplete or damaged.
    """
    folder = Path(folder)
    _check_folder(folder)
    return AcousticModel(folder, load_front_end(folder), load_pipeline(folder), load_acoustics(folder))


def recorded_frame_shift_ms(folder: Path) -> float | None:
    """Return the frame shift that the record of a directory of lattices tells; None: it tells none."""
    records = read_json(folder / "stage.json") if (folder / "stage.json").is_file() else {}
    own = [records.get(stage) for stage in ("decode", "rescore")] if isinstance(records, dict) else []
    figures = [one.get("figures") for one in own if isinstance(one, dict)]
    told = [one[FRAME_SHIFT] for one in figures if isinstance(one, dict) and FRAME_SHIFT in one]
    return float(told[0]) if told else None


def load_transition_model(folder: Path | str) -> tuple[ContextTree, TransitionModel]:
    """Read what graph building needs of a model directory."""
    folder = Path(folder)
    _check_folder(folder)
    model = load_acoustics(folder)
    return model.tree, model.transitions


def save_model_folder(
    folder: Path,
    front_end: FrontEndConfig,
    pipeline: PipelineConfig,
    lang: Path,
    model: Acoustics,
    trained_on: Path | None = None,
) -> None:
    """Write a self-describing model directory, the model itself last.

    ``trained_on`` is the data (or model) directory whose ``inputs.json``, if any, holds for this model too.
    """
    # Killed half-way, the directory must not pass for the old model with a new front end.
    (folder / "model.safetensors").unlink(missing_ok=True)
    save_description(folder, front_end, pipeline, None if trained_on is None else read_inputs(trained_on))
    copy_lang(lang, folder / "lang")
    model.save(folder)


def model_files(folder: Path) -> list[Path]:
    """Return the files of a model directory that decide what it computes."""
    names = ("model.safetensors", "tree.json", "topology.json")
    return [*(folder / name for name in names), *description_files(folder)]


def data_files(folder: Path, names: Iterable[str] = ("utt2spk", "text")) -> list[Path]:
    """Return the files of a data directory that decide what a stage computes from its features."""
    tables = [folder / "feats.scp", folder / "cmvn.scp"]
    archives = [archive for table in tables for archive in archives_of(table)]
    return [*(folder / name for name in names), *tables, *archives, folder / "frontend.json", *inputs_files(folder)]


def archives_of(scp: Path) -> list[Path]:
    """Return the archives that an scp points into, which need not lie beside it; none where it is absent."""
    if not scp.exists():
        return []
    names = dict.fromkeys(location.rpartition(":")[0] for location in read_scp(scp).values())
    return [resolve(name, scp.parent) for name in names]


def copy_lang(lang: Path, folder: Path) -> None:
    """Copy what a model directory keeps of a lang directory."""
    for name in LANG_FILES:
        copy_file(lang / name, folder / name)
    if (lang / SILENCE_FILE).exists():
        copy_file(lang / SILENCE_FILE, folder / SILENCE_FILE)
    else:
        (folder / SILENCE_FILE).unlink(missing_ok=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    with whole_file(target) as part:
        shutil.copyfile(source, part)


def _check_inputs(model: Path, data: Path) -> None:
    """Refuse features as extracted where a model's inputs are expected, the other way round, and another model's."""
    expected, found = (read_inputs(path) for path in (model, data))
    if expected != found:
        raise ModelError(
            f"the features are {_described(found)}, the model {model} was trained on {_described(expected)}",
            where=data,
            remedy=_remedy(expected, found, data),
        )


def _remedy(expected: Any, found: Any, data: Path) -> str:
    if WARPED not in (expected, found):
        return (
            "write them with `asrkit write-inputs` and the model that made those of the training"
            if expected
            else "give the data directory with the features as extracted"
        )
    if expected == WARPED and not found:
        return f"find the speakers' warp factors with `asrkit vtln {data} MODEL`, and extract the features again"
    return "give a data directory without spk2warp and utt2warp" if not expected else "give the data of this model"


def _described(inputs: Any) -> str:
    if inputs == WARPED:
        return "features warped for their speakers (VTLN)"
    if not isinstance(inputs, dict):
        return "features as extracted"
    return f"inputs of the model {str(inputs.get('model_sha256'))[:12]}{' with fMLLR' if inputs.get('fmllr') else ''}"


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ModelError("no such model directory", where=folder, remedy="train one, e.g. with `asrkit train-gmm mono`")
    remedy = "run the training command again; it goes on where it stopped"
    check_finished("model directory", folder, model_files(folder), remedy)
