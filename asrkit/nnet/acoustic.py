"""A network as acoustic model: posteriors of the pdfs of a context tree, divided by their priors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.container import load_model, save_model
from asrkit.core.errors import DataError, ModelError
from asrkit.hmm.transitions import LOG_PROBS, TransitionModel
from asrkit.hmm.tree import ContextTree
from asrkit.nnet.inference import compute
from asrkit.nnet.layers.packing import Packing
from asrkit.nnet.layers.recurrent import SequenceNetwork, State
from asrkit.nnet.network import Network, NetworkShape, check_finite, frame_network, load_arrays, to_arrays
from asrkit.nnet.normalisation import InputNormalisation

HYBRID, CTC = "nnet-hmm", "nnet-ctc"
"""Kinds of model files."""

NETWORK = "network."
"""What the names of the network's arrays begin with."""

LAYERS = "taking the outputs of a layer"

MAX_WHOLE_FRAMES = 100_000
"""Of an utterance that a network needs whole: seventeen minutes at a hundred frames a second, some gigabytes."""


@dataclass(frozen=True, eq=False)
class NnetHmm:
    """A hybrid of network and HMM (Bourlard & Morgan 1994).

    Attributes
    ----------
    tree : ContextTree
    transitions : TransitionModel
    network : Network
        One score for each pdf_id of the tree; its weights are not to be changed.
    shape : NetworkShape
        Of the network.
    normalisation : InputNormalisation
        Of a single frame.
    log_priors : (num_pdfs,) float32
        Natural log of the share of each pdf in the training alignments.
    """

    kind: ClassVar[str] = HYBRID

    tree: ContextTree
    transitions: TransitionModel
    network: Network
    shape: NetworkShape
    normalisation: InputNormalisation
    log_priors: NDArray[np.float32]

    def __post_init__(self) -> None:
        if not self.shape.num_outputs == len(self.log_priors) == self.tree.num_pdfs:
            raise ModelError(
                f"{self.shape.num_outputs} outputs and {len(self.log_priors)} priors for a tree of "
                f"{self.tree.num_pdfs} pdfs"
            )
        if not np.isfinite(self.log_priors).all():
            raise ModelError("the priors are not finite")
        if self.normalisation.dim * self.shape.width != self.shape.num_inputs:
            raise ModelError(
                f"normalisation of {self.normalisation.dim} dimensions for a network of {self.shape.num_inputs} inputs "
                f"in windows of {self.shape.width}"
            )

    @property
    def input_dim(self) -> int:
        """Dimension of the model's inputs: whole windows."""
        return self.shape.num_inputs

    @property
    def dim(self) -> int:
        """Dimension of what is scored, which is what comes in."""
        return self.shape.num_inputs

    @property
    def input_transform(self) -> None:
        """Nothing but its own normalisation stands before a network."""
        return None

    @property
    def is_speaker_adaptive(self) -> bool:
        """A network takes its inputs as they are; where they are to be adapted, the features already were."""
        return False

    @property
    def has_blank(self) -> bool:
        """Whether the pdfs are phones and a blank, and graphs are TLG, not HCLG."""
        return False

    @property
    def unadapted(self) -> NnetHmm:
        """What scores inputs that are not adapted to their speaker: the model itself."""
        return self

    @cached_property
    def _spliced(self) -> InputNormalisation:
        return self.normalisation.spliced(self.shape.width)

    def outputs_of(self, num_layers: int, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the first ``num_layers`` hidden layers make of inputs, (num_frames, units) float32.

        A bottleneck counts as a layer, the convolutions below a perceptron do not.

        Parameters
        ----------
        num_layers : int
            1 to the network's number.
        features : (num_frames, input_dim) float32
            Spliced, not normalised.

        Raises
        ------
        DataError
            Another dimension.
        ModelError
            The network has fewer layers, or is recurrent.
        """
        self.layer_dim(num_layers)
        network = frame_network(self.network, LAYERS)
        return self._computed(features, lambda inputs: network.outputs_of(num_layers, inputs))

    def layer_dim(self, number: int) -> int:
        """Return the units of a hidden layer, counted from 1; one that is not there is a :class:`ModelError`."""
        units = frame_network(self.network, LAYERS).perceptron.layer_units
        if not 1 <= number <= len(units):
            raise ModelError(f"layer {number} of a network with {len(units)} hidden layers")
        return units[number - 1]

    def _computed(
        self, features: NDArray[np.float32], function: Callable[[torch.Tensor], torch.Tensor]
    ) -> NDArray[np.float32]:
        return compute(function, self._spliced, features)

    def log_posteriors(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the natural log of the probability of each pdf, (num_frames, num_pdfs) float32.

        Parameters
        ----------
        features : (num_frames, input_dim) float32
            Spliced, not normalised.

        Raises
        ------
        DataError
            Another dimension; or more than ``MAX_WHOLE_FRAMES`` for a network that needs whole utterances.
        """
        if self.needs_whole and len(features) > MAX_WHOLE_FRAMES:
            raise DataError(
                f"{len(features)} frames, and the network reads utterances from their ends: {MAX_WHOLE_FRAMES} at most",
                remedy="cut long recordings up with `asrkit segment`",
            )
        return self._computed(features, lambda inputs: torch.log_softmax(self.network(inputs), dim=1))

    @property
    def needs_whole(self) -> bool:
        """Whether the network reads utterances from their ends: scores then depend on where the utterance ends."""
        return isinstance(self.network, SequenceNetwork) and self.network.needs_whole

    def begin(self) -> NnetHmm | RunningNnet:
        """Return what scores the blocks of one utterance in turn; that of one network may not serve two utterances.

        Raises
        ------
        ModelError
            The network reads backwards, too or alone.
        """
        if self.needs_whole:
            raise ModelError(
                "the network reads utterances from their ends, and whole utterances are not at hand",
                remedy="live audio needs a network that reads forwards alone: give one, or transcribe the finished "
                "recording",
            )
        return RunningNnet(self) if isinstance(self.network, SequenceNetwork) else self

    def loglikes(self, features: NDArray[np.float32], pdf_ids: NDArray[np.int32] | None = None) -> NDArray[np.float32]:
        """Return log posterior less log prior, (num_frames, num_pdfs) float32: a likelihood but for p(features).

        Parameters
        ----------
        features : (num_frames, input_dim) float32
        pdf_ids : int32, optional
            The columns to return, 0-based; all by default.
        """
        return self._scaled(self.log_posteriors(features), pdf_ids)

    def _scaled(self, posteriors: NDArray[np.float32], pdf_ids: NDArray[np.int32] | None) -> NDArray[np.float32]:
        scaled = posteriors - self.log_priors
        return scaled if pdf_ids is None else np.ascontiguousarray(scaled[:, pdf_ids])

    def sizes(self) -> dict[str, int]:
        """Return how large it is, by what is counted."""
        return {"pdfs": self.tree.num_pdfs, "weights": sum(value.numel() for value in self.network.parameters())}

    def save(self, folder: Path) -> None:
        """Write ``tree.json``, ``topology.json`` and, last, ``model.safetensors``."""
        self.tree.save(folder / "tree.json")
        self.transitions.topology.save(folder / "topology.json")
        arrays = {
            LOG_PROBS: self.transitions.log_probs,
            "input.shift": self.normalisation.shift,
            "input.scale": self.normalisation.scale,
            "log_priors": self.log_priors,
            **{f"{NETWORK}{name}": array for name, array in to_arrays(self.network).items()},
        }
        save_model(folder / "model.safetensors", self.kind, arrays, {"network": self.shape.described()})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; a damaged or foreign file is a ModelError or FormatError."""
        path = folder / "model.safetensors"
        tree = ContextTree.load(folder / "tree.json")
        arrays, meta = load_model(path, cls.kind)
        shape = NetworkShape.from_description(meta.get("network") or {}, str(path))
        transitions = TransitionModel.load(folder, tree, arrays)
        network = shape.build()
        named = {name.removeprefix(NETWORK): array for name, array in arrays.items() if name.startswith(NETWORK)}
        load_arrays(network, named, str(path))
        check_finite(named, str(path))
        try:
            normalisation = InputNormalisation(arrays["input.shift"], arrays["input.scale"])
            return cls(tree, transitions, network.eval(), shape, normalisation, arrays["log_priors"])
        except KeyError as error:
            raise ModelError(f"the model file has no {error}", where=path) from None
        except ModelError as error:
            error.where = error.where or str(path)
            raise


@dataclass(frozen=True, eq=False)
class NnetCtc(NnetHmm):
    """A network of connectionist temporal classification, whose pdfs are phones and the blank.

    Tree and transitions are those of :func:`asrkit.hmm.ctc.ctc_structure`, and the graphs those of
    :func:`asrkit.graph.tlg.compile_tlg`; ``log_priors`` are of the outputs, the blank among them. It takes frames that
    the pipeline has thinned out, or all.
    """

    kind: ClassVar[str] = CTC

    @property
    def has_blank(self) -> bool:
        """Whether the pdfs are phones and a blank, and graphs are TLG, not HCLG."""
        return True


class RunningNnet:
    """A recurrent network in the midst of an utterance: each call goes on where the one before ended.

    Parameters
    ----------
    model : NnetHmm
        That reads forwards alone.
    """

    def __init__(self, model: NnetHmm) -> None:
        self._model = model
        self._state: State | None = None

    @property
    def log_priors(self) -> NDArray[np.float32]:
        """Those of the model, (num_pdfs,) float32."""
        return self._model.log_priors

    def log_posteriors(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return :meth:`NnetHmm.log_posteriors` of the next frames, (num_frames, input_dim) float32."""
        return self._model._computed(features, self._advance)

    def loglikes(self, features: NDArray[np.float32], pdf_ids: NDArray[np.int32] | None = None) -> NDArray[np.float32]:
        """Return :meth:`NnetHmm.loglikes` of the next frames, (num_frames, input_dim) float32."""
        return self._model._scaled(self.log_posteriors(features), pdf_ids)

    def _advance(self, inputs: torch.Tensor) -> torch.Tensor:
        network = self._model.network
        assert isinstance(network, SequenceNetwork)
        if not len(inputs):
            return inputs.new_empty((0, network.num_outputs))
        scores, self._state = network.scores(inputs, Packing((len(inputs),)), self._state)
        return torch.log_softmax(scores, dim=1)


def log_priors(counts: NDArray[np.float64], smoothing: float) -> NDArray[np.float32]:
    """Return the natural log of the prior of each pdf.

    Parameters
    ----------
    counts : (num_pdfs,) float64
        Frames of each pdf in the training alignments.
    smoothing : float
        Added to each count, above 0: a pdf that was never seen would else be infinitely likely.
    """
    smoothed = counts + smoothing
    return np.log(smoothed / smoothed.sum()).astype(np.float32)
