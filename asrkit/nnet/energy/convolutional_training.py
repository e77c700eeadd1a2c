"""Training of a convolutional deep belief network: layer by layer, with checkpoints."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.core.progress import Progress, silent
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.config import Visible
from asrkit.nnet.energy.convolutional_cd import ConvolutionalDivergence
from asrkit.nnet.energy.convolutional_config import ConvolutionalCdConfig, ConvolutionalRbmConfig
from asrkit.nnet.energy.convolutional_dbn import Layers, layer_arrays, layers_of
from asrkit.nnet.energy.convolutional_rbm import ConvolutionalRbm, new_convolutional_rbm
from asrkit.nnet.energy.convolutional_windows import Windows, WindowShape
from asrkit.nnet.train.checkpoint import CheckpointStore, Snapshot, with_prefix, without_prefix

log = logging.getLogger("asrkit")

Frames = NDArray[np.float32]

DEAD_ACTIVITY = 1e-3
"""A base whose units are on more rarely tells next to nothing."""


@dataclass(frozen=True)
class LayerTraining:
    """One layer, and how it is trained.

    Attributes
    ----------
    rbm : ConvolutionalRbmConfig
    divergence : ConvolutionalCdConfig
    num_epochs : int
    """

    rbm: ConvolutionalRbmConfig
    divergence: ConvolutionalCdConfig
    num_epochs: int


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What is trained on.

    Attributes
    ----------
    components : callable
        Utterance id -> whitened features (T, C) float32.
    num_frames : mapping of str to int
        T.
    training, held_out : sequence of str
        Utterances learned from, and only watched.
    buffer_frames : int
        Frames whose windows are in memory at once, twice.
    """

    components: Callable[[str], Frames]
    num_frames: Mapping[str, int]
    training: Sequence[str]
    held_out: Sequence[str]
    buffer_frames: int


class CdbnTrainer:
    """Trains the layers one after the other.

    Parameters
    ----------
    layers : sequence of LayerTraining
        From the bottom.
    data : TrainingData
    seed : int
    device : torch.device
    num_watched : int
        Windows of either kind on which a layer is watched, at most.

    Attributes
    ----------
    trained : tuple of ConvolutionalRbm
        The finished layers, on the CPU.
    history : list of dict
        A row for each epoch of each layer, JSON-serialisable.
    """

    def __init__(
        self,
        layers: Sequence[LayerTraining],
        data: TrainingData,
        seed: int,
        device: torch.device,
        num_watched: int = 100,
        store: CheckpointStore | None = None,
    ) -> None:
        self.layers, self.data, self.seed, self.device = layers, data, seed, device
        self.num_watched, self._store = num_watched, store
        self.trained: Layers = ()
        self.history: list[dict[str, Any]] = []
        self._epoch = self._chunk = self._frames = 0
        self._seconds = 0.0
        self._divergence: ConvolutionalDivergence | None = None
        snapshot = store.load() if store is not None else None
        if snapshot is not None:
            self._load(snapshot)

    def train(self, progress: Progress = silent) -> Layers:
        """Train what is not trained yet.

        Raises
        ------
        ModelError
            What is watched is no longer finite.
        """
        while len(self.trained) < len(self.layers):
            self._train_layer(progress)
        return self.trained

    @property
    def _name(self) -> str:
        return f"layer {len(self.trained) + 1}"

    @property
    def _visible(self) -> Visible:
        return "bernoulli" if self.trained else "gaussian"

    def _windows(self, keys: Sequence[str]) -> Windows:
        layer = self.layers[len(self.trained)]
        shape = WindowShape(layer.divergence.window_blocks * layer.rbm.pooling, layer.rbm.filter_length)
        return Windows(self._inputs, self.data.num_frames, keys, shape, self.data.buffer_frames)

    def _inputs(self, key: str) -> Frames:
        value = torch.from_numpy(self.data.components(key))
        for layer in self.trained:
            value = layer.features(value)
        return value.numpy()

    def _train_layer(self, progress: Progress) -> None:
        layer = self.layers[len(self.trained)]
        windows = self._windows(self.data.training)
        watched = windows.some(self.num_watched, self.seed).to(self.device)
        held_out = None
        if self.data.held_out:
            held_out = self._windows(self.data.held_out).some(self.num_watched, self.seed).to(self.device)
        divergence = self._divergence = self._divergence or self._begin(watched)
        while self._epoch < layer.num_epochs:
            self._train_epoch(divergence, windows, progress)
            self._report(divergence, watched, held_out)
            self._epoch, self._chunk, self._frames, self._seconds = self._epoch + 1, 0, 0, 0.0
            self._save_if_due()
        rbm = divergence.rbm
        self.trained = (*self.trained, ConvolutionalRbm.from_arrays(rbm.to_arrays(), rbm.described()))
        self._divergence, self._epoch = None, 0
        if self._store is not None:
            self._store.save(self._snapshot())

    def _begin(self, watched: torch.Tensor) -> ConvolutionalDivergence:
        layer = self.layers[len(self.trained)]
        draws = Draws(self.seed, "first weights", self._name, self.device)
        mean = watched.double().mean(dim=(0, 1)).to(watched.dtype)
        return ConvolutionalDivergence(new_convolutional_rbm(self._visible, mean, layer.rbm, draws), layer.divergence)

    def _train_epoch(self, divergence: ConvolutionalDivergence, windows: Windows, progress: Progress) -> None:
        layer = self.layers[len(self.trained)]
        name = f"{self._name}, epoch {self._epoch + 1} of {layer.num_epochs}"
        chunks = windows.epoch(self.seed, f"{self._name} {self._epoch}", self._chunk)
        started = time.monotonic()
        for number, chunk in progress(chunks, total=windows.num_chunks - self._chunk, label=name):
            draws = Draws(self.seed, "pretraining", f"{self._name} {self._epoch} {number}", self.device)
            for batch in chunk.split(layer.divergence.batch_size):
                divergence.step(batch.to(self.device), draws, self._epoch)
                self._frames += batch.shape[0] * batch.shape[1]
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            self._seconds += time.monotonic() - started
            self._chunk = number + 1
            self._save_if_due()
            started = time.monotonic()

    def _report(
        self, divergence: ConvolutionalDivergence, watched: torch.Tensor, held_out: torch.Tensor | None
    ) -> None:
        row: dict[str, Any] = {
            "layer": len(self.trained) + 1,
            "epoch": self._epoch + 1,
            "frames_per_sec": round(self._frames / max(self._seconds, 1e-9), 1),
            "training_error": divergence.take_error(),
            **watch(divergence.rbm, watched, held_out),
        }
        wrong = [name for name, value in row.items() if isinstance(value, float) and not math.isfinite(value)]
        if wrong:
            raise ModelError(
                f"{self._name} diverges: {wrong[0]} is {row[wrong[0]]} after epoch {self._epoch + 1}",
                remedy="lower the learning rate",
            )
        self.history.append(row)
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if isinstance(value, (int, float)))
        log.info("%s", numbers)

    # Checkpoints

    def _save_if_due(self) -> None:
        if self._store is not None and self._store.due:
            self._store.save(self._snapshot())

    def _snapshot(self) -> Snapshot:
        arrays = layer_arrays(self.trained)
        numbers: dict[str, Any] | None = None
        if self._divergence is not None:
            own, numbers = self._divergence.state()
            arrays |= with_prefix("divergence.", own)
        progress = {
            "layers": [layer.described() for layer in self.trained],
            "divergence": numbers,
            "history": self.history,
            "epoch": self._epoch,
            "chunk": self._chunk,
            "frames": self._frames,
            "seconds": self._seconds,
        }
        return Snapshot(arrays, progress)

    def _load(self, snapshot: Snapshot) -> None:
        progress = snapshot.progress
        self.trained = layers_of(snapshot.arrays, progress["layers"])
        self.history = list(progress["history"])
        self._epoch, self._chunk, self._frames = (int(progress[name]) for name in ("epoch", "chunk", "frames"))
        self._seconds = float(progress["seconds"])
        if progress["divergence"] is not None:
            channels = snapshot.arrays["divergence.rbm.visible_bias"]
            self._divergence = self._begin(torch.zeros((1, 1, len(channels)), device=self.device))
            self._divergence.restore(without_prefix("divergence.", snapshot.arrays), progress["divergence"])
        log.info("going on with %s, epoch %d", self._name, self._epoch + 1)


@torch.no_grad()
def watch(rbm: ConvolutionalRbm, training: torch.Tensor, held_out: torch.Tensor | None) -> dict[str, Any]:
    """Return what a reader should see of an RBM, on windows (N, T, C) of either kind.

    ``error`` and ``held_out_error`` are mean squared differences of a visible unit from E[v | h = E[h | v]],
    ``free_energy_gap`` mean F a frame over held-out windows less that over training ones, ``activity`` the mean
    activity of hidden units, and ``dead_bases`` counts the bases whose mean activity is below ``DEAD_ACTIVITY``.
    """
    mean = rbm.hidden_mean(training)
    activity = mean.mean(dim=(0, 1))
    found: dict[str, Any] = {"error": _reconstruction_error(rbm, training)}
    if held_out is not None:
        gap = rbm.free_energy(held_out).double().mean() - rbm.free_energy(training).double().mean()
        found["held_out_error"] = _reconstruction_error(rbm, held_out)
        found["free_energy_gap"] = float(gap) / training.shape[1]
    found |= {"activity": float(activity.mean()), "dead_bases": int((activity < DEAD_ACTIVITY).sum())}
    return found


def _reconstruction_error(rbm: ConvolutionalRbm, v: torch.Tensor) -> float:
    return float(((rbm.visible_mean(rbm.hidden_mean(v)) - v) ** 2).mean())
