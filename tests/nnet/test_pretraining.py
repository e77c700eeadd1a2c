"""Phases one after the other: what each is given, what is kept of it, and what is reported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asrkit.core.errors import ModelError
from asrkit.features.splice import splice
from asrkit.nnet.draws import Draws
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.pretraining import Forward, Layers, Phase, pretrain, some_frames
from asrkit.nnet.stack import StackLayer
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.nnet.train.config import FramesConfig
from asrkit.nnet.train.frames import Frames

CPU = torch.device("cpu")
DIM, WIDTH = 3, 4


def layer_of(num_inputs: int, num_outputs: int, hidden: str = "sigmoid", seed: int = 0) -> StackLayer:
    rng = np.random.default_rng(seed)
    shapes = {"weights": (num_inputs, num_outputs), "visible_bias": (num_inputs,), "hidden_bias": (num_outputs,)}
    parameters = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return StackLayer("autoencoder", "gaussian", hidden, parameters)


def corpus(lengths: tuple[int, ...] = (20, 31, 17), seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {f"u{i}": rng.normal(4.0, 2.0, (n, DIM)).astype(np.float32) for i, n in enumerate(lengths)}


def frames_of(features: dict[str, np.ndarray], batch_size: int = 8, buffer_frames: int = 40) -> Frames:
    normalisation = InputNormalisation.of(features.values())
    return Frames(features, list(features), normalisation, 2, 1, config=FramesConfig(batch_size, buffer_frames))


def rows_of(features: dict[str, np.ndarray]) -> np.ndarray:
    normalisation = InputNormalisation.of(features.values())
    return np.concatenate([splice(normalisation.apply(value), 2, 1) for value in features.values()])


class Recorder:
    """A trainer that keeps what it is shown, and makes a layer of a number of units."""

    def __init__(self, num_inputs: int, units: int, watched: float = 0.5) -> None:
        self.made = layer_of(num_inputs, units, seed=units)
        self.seen: list[torch.Tensor] = []
        self.epochs: list[int] = []
        self.watched = watched
        self.shown: list[tuple[int, int | None]] = []

    def step(self, v: torch.Tensor, draws: Draws, epoch: int = 0) -> None:
        self.seen.append(v.clone())
        self.epochs.append(epoch)

    def take_error(self) -> float | None:
        return 0.25

    def watch(self, training: torch.Tensor, held_out: torch.Tensor | None, draws: Draws) -> dict[str, Any]:
        self.shown.append((len(training), None if held_out is None else len(held_out)))
        return {"figure": self.watched}

    def trained(self, below: Layers) -> Layers:
        return (*below, self.made)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"x": np.zeros(1, np.float32)}, {}

    def restore(self, arrays: Mapping[str, np.ndarray], numbers: Mapping[str, Any]) -> None:
        pass


def phase(begun: list[tuple[Recorder, torch.Tensor, torch.Tensor]], units: int, epochs: int = 2, **more: Any) -> Phase:
    watched = more.pop("watched", 0.5)

    def begin(
        below: Layers, mean: torch.Tensor, variance: torch.Tensor, draws: Draws, device: torch.device
    ) -> Recorder:
        begun.append((Recorder(len(mean), units, watched), mean, variance))
        return begun[-1][0]

    return Phase(f"layer {units}", epochs, begin, **more)


def sorted_rows(values: np.ndarray) -> np.ndarray:
    return values[np.lexsort(values.T)]


def test_each_layer_sees_the_outputs_of_those_below_once_an_epoch() -> None:
    features, begun = corpus(), []  # type: ignore[var-annotated]
    made = pretrain([phase(begun, 5), phase(begun, 6, 1)], frames_of(features), None, 3, CPU, num_watched=1000)
    (first, _, _), (second, mean_above, _) = begun
    rows = rows_of(features)
    for epoch in (0, 1):
        shown = torch.cat([v for v, number in zip(first.seen, first.epochs) if number == epoch])
        np.testing.assert_array_equal(sorted_rows(shown.numpy()), sorted_rows(rows))
    outputs = 1 / (1 + np.exp(-(rows @ first.made.weights + first.made.bias)))
    np.testing.assert_allclose(sorted_rows(torch.cat(second.seen).numpy()), sorted_rows(outputs), rtol=1e-5, atol=1e-6)
    watched = Forward((first.made,), CPU)(made.watched)
    np.testing.assert_allclose(mean_above, watched.numpy().mean(0), rtol=1e-5)
    assert made.layers == (first.made, second.made)
    assert [(row["phase"], row["epoch"]) for row in made.history] == [("layer 5", 1), ("layer 5", 2), ("layer 6", 1)]
    assert all(row["training_error"] == 0.25 and row["figure"] == 0.5 for row in made.history)


def test_mean_and_variance_are_those_of_the_watched_frames() -> None:
    features, begun = corpus((40,)), []  # type: ignore[var-annotated]
    made = pretrain([phase(begun, 5, 1)], frames_of(features), None, 3, CPU, num_watched=30)
    _, mean, variance = begun[0]
    assert made.watched.shape == (30, DIM * WIDTH)
    np.testing.assert_allclose(mean, made.watched.numpy().mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(variance, made.watched.numpy().var(0), rtol=1e-4)


def test_a_phase_may_take_the_frames_themselves() -> None:
    features, begun = corpus(), []  # type: ignore[var-annotated]
    phases = [phase(begun, 5, 1), phase(begun, 6, 1, on_outputs=False)]
    pretrain(phases, frames_of(features), None, 3, CPU)
    np.testing.assert_array_equal(sorted_rows(torch.cat(begun[1][0].seen).numpy()), sorted_rows(rows_of(features)))


def test_no_two_epochs_go_in_the_same_order() -> None:
    features, begun = corpus(), []  # type: ignore[var-annotated]
    phases = [phase(begun, 5, 2), phase(begun, 6, 2, on_outputs=False)]
    pretrain(phases, frames_of(features), None, 3, CPU)
    orders = {
        torch.cat([v for v, number in zip(one.seen, one.epochs) if number == epoch]).numpy().tobytes()
        for one, _, _ in begun
        for epoch in (0, 1)
    }
    assert len(orders) == 4


def test_held_out_frames_are_watched_and_not_learned() -> None:
    features, begun = corpus(), []  # type: ignore[var-annotated]
    held_out = frames_of(corpus((9, 8), seed=5))
    made = pretrain([phase(begun, 5, 1)], frames_of(features), held_out, 3, CPU, num_watched=12)
    assert sum(len(v) for v in begun[0][0].seen) == 68
    assert begun[0][0].shown == [(12, 12)]
    assert len(made.watched) == 12


def test_what_is_no_longer_finite_ends_the_training(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "c", "key")
    with pytest.raises(ModelError, match="layer 5 diverges: figure is inf after epoch 1"):
        pretrain([phase([], 5, 2, watched=float("inf"))], frames_of(corpus()), None, 3, CPU, store=store)


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "relu", "linear"])
def test_forward_is_the_network_of_the_layers(hidden: str) -> None:
    layers = (layer_of(7, 5, hidden), layer_of(5, 3, "tanh", seed=1))
    v = np.random.default_rng(2).normal(size=(9000, 7)).astype(np.float32)
    a = v @ layers[0].weights + layers[0].bias
    h = {"sigmoid": 1 / (1 + np.exp(-a)), "tanh": np.tanh(a), "relu": np.maximum(a, 0), "linear": a}[hidden]
    expected = np.tanh(h @ layers[1].weights + layers[1].bias)
    forward = Forward(layers, CPU)
    np.testing.assert_allclose(forward.in_blocks(torch.from_numpy(v)), expected, rtol=1e-4, atol=1e-5)
    assert Forward((), CPU)(torch.ones(2, 3)).sum() == 6


def test_some_frames_are_drawn_by_the_seed() -> None:
    frames = frames_of(corpus())
    rows = {row.tobytes() for row in rows_of(corpus())}
    found = some_frames(frames, 10, 1).numpy()
    assert len(found) == 10
    assert {row.tobytes() for row in found} <= rows
    assert (some_frames(frames, 10, 1).numpy() == found).all()
    assert (some_frames(frames, 10, 2).numpy() != found).any()
