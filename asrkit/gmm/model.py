"""A GMM-HMM: context tree, transition model and the mixtures of its pdfs, and how it lies on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.container import load_model, save_model
from asrkit.core.errors import ModelError
from asrkit.gmm.diag import DiagGmms
from asrkit.hmm.transitions import LOG_PROBS, TransitionModel
from asrkit.hmm.tree import ContextTree

KIND = "gmm-hmm"

ALIGNMENT, ADAPTATION = "alignment.", "adaptation."
"""What the names of the arrays of further mixtures begin with."""


@dataclass(frozen=True)
class GmmHmm:
    """An acoustic model.

    Attributes
    ----------
    tree : ContextTree
    transitions : TransitionModel
    gmms : DiagGmms
        One mixture for each pdf_id of the tree.
    input_transform : float32, shape (dim, D), optional
        What spliced or other D-dimensional inputs are multiplied by (LDA and MLLT) before the mixtures see them.
    alignment_gmms : DiagGmms, optional
        Mixtures of the same pdfs for inputs that are not adapted to their speaker; a model that has them is
        speaker-adaptive, and ``gmms`` expects adapted inputs.
    adaptation_gmms : DiagGmms, optional
        Mixtures, Gaussian for Gaussian those of ``alignment_gmms``, that adapted inputs are to fit (Kaldi's
        ``--adapt-model``); None: ``gmms``. A discriminatively trained model keeps the maximum-likelihood ones, for a
        transform that makes inputs likelier under ``gmms`` would undo part of what training told apart.
    """

    tree: ContextTree
    transitions: TransitionModel
    gmms: DiagGmms
    input_transform: NDArray[np.float32] | None = None
    alignment_gmms: DiagGmms | None = None
    adaptation_gmms: DiagGmms | None = None

    def __post_init__(self) -> None:
        for gmms in (self.gmms, self.alignment_gmms or self.gmms, self.fmllr_gmms):
            if gmms.num_pdfs != self.tree.num_pdfs:
                raise ModelError(f"{gmms.num_pdfs} mixtures for a tree of {self.tree.num_pdfs} pdfs")
        if self.input_transform is not None and self.input_transform.shape[0] != self.gmms.dim:
            raise ModelError(f"transform of shape {self.input_transform.shape} for a model of {self.gmms.dim} columns")

    @property
    def is_speaker_adaptive(self) -> bool:
        """Whether inputs are to be adapted to their speaker by fMLLR."""
        return self.alignment_gmms is not None

    @property
    def has_blank(self) -> bool:
        """Whether the pdfs are phones and a blank; here they are those of the states of HMMs."""
        return False

    @property
    def input_dim(self) -> int:
        """Dimension of the model's inputs, before its transform."""
        return self.gmms.dim if self.input_transform is None else self.input_transform.shape[1]

    @property
    def unadapted(self) -> DiagGmms:
        """The mixtures for inputs that are not adapted to their speaker."""
        return self.alignment_gmms or self.gmms

    @property
    def fmllr_gmms(self) -> DiagGmms:
        """The mixtures that transforms are estimated for."""
        return self.adaptation_gmms or self.gmms

    def loglikes(self, features: NDArray[np.float32], pdf_ids: NDArray[np.int32] | None = None) -> NDArray[np.float32]:
        """Return log-likelihoods (num_frames, num_pdfs), natural log; see :meth:`DiagGmms.loglikes`."""
        return self.gmms.loglikes(features, pdf_ids)

    def sizes(self) -> dict[str, int]:
        """Return how large it is, by what is counted."""
        return {"pdfs": self.gmms.num_pdfs, "gaussians": self.gmms.num_gaussians}

    def save(self, folder: Path) -> None:
        """Write ``tree.json``, ``topology.json`` and, last, ``model.safetensors``."""
        self.save_structure(folder)
        self.save_parameters(folder)

    def save_structure(self, folder: Path) -> None:
        """Write ``tree.json`` and ``topology.json``, which training leaves as they are."""
        self.tree.save(folder / "tree.json")
        self.transitions.topology.save(folder / "topology.json")

    def save_parameters(self, folder: Path) -> None:
        """Write ``model.safetensors``."""
        arrays = {LOG_PROBS: self.transitions.log_probs, **self.gmms.to_arrays()}
        if self.input_transform is not None:
            arrays["input.transform"] = self.input_transform
        for prefix, gmms in ((ALIGNMENT, self.alignment_gmms), (ADAPTATION, self.adaptation_gmms)):
            if gmms is not None:
                arrays |= {f"{prefix}{name}": array for name, array in gmms.to_arrays().items()}
        meta = {"num_pdfs": self.gmms.num_pdfs, "num_gaussians": self.gmms.num_gaussians, "dim": self.gmms.dim}
        save_model(folder / "model.safetensors", KIND, arrays, meta)

    @classmethod
    def load(cls, folder: Path, structure: Path | None = None) -> GmmHmm:
        """Read what :meth:`save` wrote, or the structure from a folder of its own.

        A damaged or foreign file is a ModelError or FormatError.
        """
        structure = structure or folder
        tree = ContextTree.load(structure / "tree.json")
        arrays, _ = load_model(folder / "model.safetensors", KIND)
        transitions = TransitionModel.load(structure, tree, arrays)
        return cls(
            tree,
            transitions,
            DiagGmms.from_arrays(arrays),
            arrays.get("input.transform"),
            _further_gmms(arrays, ALIGNMENT),
            _further_gmms(arrays, ADAPTATION),
        )


def _further_gmms(arrays: dict[str, NDArray[np.float32]], prefix: str) -> DiagGmms | None:
    found = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    return DiagGmms.from_arrays(found) if found else None
