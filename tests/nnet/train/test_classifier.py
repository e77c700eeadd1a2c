"""Training: what was planted is learned, and a killed run ends as an uninterrupted one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from asrkit.core.errors import DataError
from asrkit.nnet.layers.config import MlpConfig
from asrkit.nnet.network import Network, NetworkShape, to_arrays
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.train import checkpoint
from asrkit.nnet.train.checkpoint import CheckpointStore, Snapshot
from asrkit.nnet.train.classifier import EpochReport, evaluate, train_classifier
from asrkit.nnet.train.config import ClassifierConfig, FramesConfig, OptimiserConfig
from asrkit.nnet.train.frames import Frames
from asrkit.nnet.train.newbob import NewbobConfig

SHAPE = NetworkShape(MlpConfig(1, 16, "tanh", dropout=0.1), 2 * 3, 3, 4)
CONFIG = ClassifierConfig(
    OptimiserConfig(learning_rate=0.02, momentum=0.5), NewbobConfig(max_epochs=6), FramesConfig(16, 100), "cpu", 1
)


def corpus(names: range, noise: float = 0.3) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The class says in which quarters the frame before and this one lie: a window decides it, one frame does not."""
    features, targets = {}, {}
    for name in names:
        rng = np.random.default_rng(name)
        signs = rng.integers(0, 2, 40)
        features[f"u{name}"] = np.stack([signs * 2.0 - 1.0, rng.normal(size=40)], 1) + rng.normal(0, noise, (40, 2))
        features[f"u{name}"] = features[f"u{name}"].astype(np.float32)
        targets[f"u{name}"] = (2 * np.concatenate([signs[:1], signs[:-1]]) + signs).astype(np.int32)
    return features, targets


def frames_of(names: range, left: int = 1) -> Frames:
    features, targets = corpus(names)
    normalisation = InputNormalisation.of(corpus(range(12))[0].values())
    return Frames(features, list(features), normalisation, left, 2 - left, targets, CONFIG.frames)


def train(store: CheckpointStore | None = None, seed: int = 1) -> tuple[Network, tuple[EpochReport, ...]]:
    network = SHAPE.build(seed)
    return network, train_classifier(network, frames_of(range(12)), frames_of(range(12, 16)), CONFIG, seed, store)


def test_what_the_window_tells_is_learned() -> None:
    network, reports = train()
    assert reports[-1].heldout_accuracy > 0.97
    assert reports[-1].heldout_loss < 0.15
    assert reports[0].loss > reports[-1].loss
    assert evaluate(network, frames_of(range(12, 16))).accuracy > 0.97


def test_without_the_frame_before_it_cannot_be() -> None:
    network = SHAPE.build(1)
    reports = train_classifier(network, frames_of(range(12), 0), frames_of(range(12, 16), 0), CONFIG)
    assert reports[-1].heldout_accuracy < 0.7


def test_sums_of_an_evaluation_are_those_of_the_formula() -> None:
    network, frames = SHAPE.build(3).eval(), frames_of(range(12, 16))
    batches = [batch for chunk in frames.in_order() for batch in chunk.minibatches(1000)]
    inputs, targets = torch.cat([b.inputs for b in batches]), torch.cat([b.targets for b in batches])  # type: ignore[misc]
    tally = evaluate(network, frames)
    with torch.no_grad():
        scores = network(inputs)
    assert tally.frames == 160
    assert tally.loss == pytest.approx(float(functional.cross_entropy(scores, targets, reduction="sum")), rel=1e-5)
    assert tally.correct == int((scores.argmax(dim=1) == targets).sum())


def test_the_best_held_out_weights_are_kept() -> None:
    """With steps that are far too long, epochs are rejected, and what remains is as good as the best of them."""
    config = ClassifierConfig(
        OptimiserConfig(learning_rate=1.5), NewbobConfig(max_epochs=5), FramesConfig(16, 100), "cpu", 1
    )
    network = SHAPE.build(1)
    reports = train_classifier(network, frames_of(range(12)), frames_of(range(12, 16)), config)
    assert not all(report.accepted for report in reports)
    best = min(report.heldout_loss for report in reports if report.accepted)
    assert evaluate(network, frames_of(range(12, 16))).mean_loss == pytest.approx(best, rel=1e-6)


def test_same_seed_same_bits() -> None:
    first, second, other = (to_arrays(train(seed=seed)[0]) for seed in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert not np.array_equal(first["output.weight"], other["output.weight"])


class KilledError(Exception):
    pass


@pytest.mark.parametrize("kill_at", [1, 3, 4, 9])
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path, kill_at: int) -> None:
    expected, reports = train()

    class Mortal(CheckpointStore):
        """Saves after every chunk, and dies."""

        lives = kill_at

        def save(self, snapshot: Snapshot) -> None:
            super().save(snapshot)
            self.lives -= 1
            if not self.lives:
                raise KilledError

    with pytest.raises(KilledError):
        train(Mortal(tmp_path / "state", "this", every_secs=0))
    network, found = train(CheckpointStore(tmp_path / "state", "this"))
    for name, array in to_arrays(expected).items():
        np.testing.assert_array_equal(array, to_arrays(network)[name])
    assert [(one.loss, one.heldout_loss, one.accepted) for one in found] == [
        (one.loss, one.heldout_loss, one.accepted) for one in reports
    ]


def test_checkpoints_of_others_and_damaged_ones_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(checkpoint.log, "warning", lambda text, *values: said.append(text % values))
    store = CheckpointStore(tmp_path / "state", "this")
    assert store.load() is None
    store.save(Snapshot({"a": np.ones(2)}, {"epoch": 1}))
    assert CheckpointStore(tmp_path / "state", "that").load() is None
    loaded = store.load()
    assert loaded is not None
    assert loaded.progress == {"epoch": 1}
    (tmp_path / "state").write_bytes(b"\x00" * 100)
    assert store.load() is None
    assert len(said) == 1
    assert "the checkpoint is damaged" in said[0]
    store.clear()
    assert not (tmp_path / "state").exists()


def test_held_out_frames_that_are_not_finite_are_refused() -> None:
    network = SHAPE.build(1)
    with torch.no_grad():
        network.output.bias[0] = float("inf")  # type: ignore[union-attr]
    with pytest.raises(DataError, match="not finite before training"):
        train_classifier(network, frames_of(range(12)), frames_of(range(12, 16)), CONFIG)


def test_a_snapshot_keeps_the_shape_of_every_array(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "state", "this")
    arrays = {"step": np.array(3.0), "weights": np.ones((3, 4), np.float32).T}
    store.save(Snapshot(arrays, {}))
    loaded = store.load()
    assert loaded is not None
    for name, array in arrays.items():
        assert loaded.arrays[name].shape == array.shape
        np.testing.assert_array_equal(loaded.arrays[name], array)
