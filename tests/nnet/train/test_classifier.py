"""Training: what was planted is learned, and a killed run ends as an uninterrupted one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from asrkit.core.container import save_model
from asrkit.core.errors import DataError, ModelError
from asrkit.nnet.layers.config import CnnConfig, MlpConfig
from asrkit.nnet.network import Network, NetworkShape, to_arrays
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.train import checkpoint
from asrkit.nnet.train.checkpoint import CheckpointStore, Snapshot
from asrkit.nnet.train.classifier import evaluate, train_classifier
from asrkit.nnet.train.config import ClassifierConfig, FramesConfig, OptimiserConfig
from asrkit.nnet.train.epochs import EpochReport
from asrkit.nnet.train.frames import Frames
from asrkit.nnet.train.newbob import NewbobConfig
from tests.killed import Killed, MortalStore

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


def test_a_training_that_only_diverges_is_refused() -> None:
    config = replace(CONFIG, optimiser=OptimiserConfig(learning_rate=1e30))
    network = NetworkShape(MlpConfig(1, 16, "relu"), 6, 3, 4).build(1)
    with pytest.raises(ModelError, match="none of 6 epochs ended with a finite loss"):
        train_classifier(network, frames_of(range(12)), frames_of(range(12, 16)), config)


def test_after_an_epoch_that_diverges_it_begins_anew_with_smaller_steps() -> None:
    optimiser, newbob = OptimiserConfig(learning_rate=1e38), NewbobConfig(max_epochs=2, factor=2e-40)
    network = SHAPE.build(1)
    config = replace(CONFIG, optimiser=optimiser, newbob=newbob)
    reports = train_classifier(network, frames_of(range(12)), frames_of(range(12, 16)), config)
    assert [report.accepted for report in reports] == [False, True]
    assert reports[-1].heldout_accuracy > 0.5


def test_same_seed_same_bits() -> None:
    first, second, other = (to_arrays(train(seed=seed)[0]) for seed in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert not np.array_equal(first["output.weight"], other["output.weight"])


@pytest.mark.parametrize("kill_at", [1, 3, 4, 9])
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path, kill_at: int) -> None:
    expected, reports = train()

    with pytest.raises(Killed):
        train(MortalStore(tmp_path / "state", "this", kill_at))
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
    save_model(tmp_path / "state", "nnet-checkpoint", {"a": np.ones(2)}, {"key": "this", "progress": {"epoch": 1}})
    assert store.load() is None
    assert len(said) == 2
    assert all("the checkpoint is damaged or of another version" in one for one in said)
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


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
LARGER = [
    NetworkShape(MlpConfig(3, 32, "sigmoid", batch_norm=True), 6, 3, 4),
    NetworkShape(MlpConfig(2, 16, "maxout", maxout_pieces=3, bottleneck=4), 6, 3, 4),
    NetworkShape(CnnConfig((3,), 2, 1, (1,), 1, MlpConfig(1, 6, "tanh")), 6, 3, 4),
]


def train_on(device: str, shape: NetworkShape, kind: str = "sgd") -> tuple[Network, tuple[EpochReport, ...]]:
    config = replace(CONFIG, device=device, optimiser=OptimiserConfig(kind=kind, max_norm=2.0, clip=1.0))  # type: ignore[arg-type]
    features, targets = corpus(range(16))
    normalisation = InputNormalisation.of(features.values())
    frames = [
        Frames(features, keys, normalisation, 1, 1, targets, CONFIG.frames, torch.device(device))
        for keys in (list(features)[:12], list(features)[12:])
    ]
    network = shape.build(1)
    return network, train_classifier(network, *frames, config, 1)


@GPU
@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize("shape", LARGER)
def test_a_gpu_trains_to_what_a_cpu_does(shape: NetworkShape, kind: str) -> None:
    (on_cpu, cpu), (on_gpu, gpu) = (train_on(device, shape, kind) for device in ("cpu", "cuda"))
    assert len(cpu) == len(gpu)
    for one, other in zip(cpu, gpu):
        assert (other.loss, other.heldout_loss) == pytest.approx((one.loss, one.heldout_loss), rel=1e-3)
    assert next(on_gpu.parameters()).device.type == "cpu"
    # Not the weights: a bias before batch normalisation has no gradient but rounding, which Adam makes steps of.
    inputs = torch.randn(50, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(on_gpu(inputs), on_cpu(inputs), rtol=1e-2, atol=1e-2)


@GPU
@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_less_precise_products_learn_as_well(precision: str) -> None:
    config = replace(CONFIG, device="cuda", precision=precision)  # type: ignore[arg-type]
    features, targets = corpus(range(16))
    normalisation = InputNormalisation.of(features.values())
    training, heldout = (
        Frames(features, keys, normalisation, 1, 1, targets, CONFIG.frames, torch.device("cuda"))
        for keys in (list(features)[:12], list(features)[12:])
    )
    reports = train_classifier(SHAPE.build(1), training, heldout, config, 1)
    assert reports[-1].heldout_accuracy > 0.97


@GPU
def test_a_training_killed_on_a_gpu_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    config = replace(CONFIG, device="cuda", optimiser=OptimiserConfig(kind="adam"))
    features, targets = corpus(range(16))
    normalisation = InputNormalisation.of(features.values())

    def run(store: CheckpointStore | None) -> dict[str, np.ndarray]:
        training, heldout = (
            Frames(features, keys, normalisation, 1, 1, targets, CONFIG.frames, torch.device("cuda"))
            for keys in (list(features)[:12], list(features)[12:])
        )
        network = SHAPE.build(1)
        train_classifier(network, training, heldout, config, 1, store)
        return to_arrays(network)

    with pytest.raises(Killed):
        run(MortalStore(tmp_path / "state", "this", 7))
    resumed, whole = run(CheckpointStore(tmp_path / "state", "this")), run(None)
    for name, array in whole.items():
        np.testing.assert_array_equal(resumed[name], array)
