"""Whitening, windows and layers of a convolutional deep belief network, and its training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from asrkit.core.container import load_model, save_model
from asrkit.core.errors import ConfigError, DataError, ModelError
from asrkit.features.config import FrontEndConfig
from asrkit.features.pipeline import PipelineConfig
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.convolutional_config import ConvolutionalCdConfig, ConvolutionalRbmConfig, WhiteningConfig
from asrkit.nnet.energy.convolutional_dbn import CDBN_FILE, KIND, ConvolutionalDbn, load_cdbn
from asrkit.nnet.energy.convolutional_rbm import ConvolutionalRbm
from asrkit.nnet.energy.convolutional_training import CdbnTrainer, LayerTraining, TrainingData
from asrkit.nnet.energy.convolutional_windows import Windows, WindowShape
from asrkit.nnet.energy.whitening import Whitening, levelled
from asrkit.nnet.train.checkpoint import CheckpointStore
from tests.killed import Killed, KillsAfter

DIM, COMPONENTS = 7, 4


def utterances(lengths: tuple[int, ...] = (50, 31, 90, 44), seed: int = 0) -> dict[str, np.ndarray]:
    """Correlated frames that change slowly, at a level of each utterance's own."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(DIM, DIM))
    found = {}
    for number, length in enumerate(lengths):
        waves = np.sin(np.arange(length)[:, None] / rng.uniform(2, 9, DIM) + rng.uniform(0, 6, DIM))
        found[f"u{number}"] = ((waves @ mixing + 3) * (1 + number) + 10 * number).astype(np.float32)
    return found


# Whitening


@pytest.mark.parametrize("centered", [False, True])
def test_components_are_uncorrelated_and_of_unit_variance_but_for_the_floor(centered: bool) -> None:
    features = utterances()
    for floor in (0.0, 0.5):
        config = WhiteningConfig(level=False, centered=centered, components=COMPONENTS, floor=floor)
        whitening = Whitening.of(features.values(), config)
        rows = np.concatenate([whitening.apply(value) for value in features.values()]).astype(np.float64)
        second = rows.T @ rows / len(rows)
        np.testing.assert_allclose(second, np.diag(np.diag(second)), atol=1e-3)
        if floor == 0:
            np.testing.assert_allclose(np.diag(second), 1, rtol=1e-3)
        else:
            raw = np.concatenate(list(features.values())).astype(np.float64)
            raw = raw - raw.mean(0) if centered else raw
            variances = np.linalg.eigvalsh(raw.T @ raw / len(raw))[::-1]
            expected = variances / (variances + floor * variances.mean())
            np.testing.assert_allclose(np.diag(second), expected[:COMPONENTS], rtol=1e-3)
        assert bool(np.abs(rows.mean(0)).max() < 1e-3) == centered


def test_all_components_undone_are_the_features_and_fewer_are_nearest_to_them() -> None:
    features = utterances()
    whole = Whitening.of(features.values(), WhiteningConfig(False, True, DIM, 0.3))
    np.testing.assert_allclose(whole.undone(whole.apply(features["u2"])), features["u2"], rtol=1e-4, atol=1e-3)
    rows = np.concatenate(list(features.values())).astype(np.float64)
    errors = []
    for components in (2, COMPONENTS):
        part = Whitening.of(features.values(), WhiteningConfig(False, True, components, 0.3))
        left = rows - part.undone(part.apply(rows.astype(np.float32)))
        errors.append(float((left**2).sum(axis=1).mean()))
        variances = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[::-1]
        assert errors[-1] == pytest.approx(variances[components:].sum(), rel=1e-3)
    assert errors[1] < errors[0]


def test_levelled_utterances_do_not_know_their_loudness() -> None:
    value = utterances()["u1"]
    level = levelled(value)
    assert level.mean() == pytest.approx(0, abs=1e-5)
    assert np.square(level).mean() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(levelled(5 * value + 40), level, atol=1e-4)
    tilted = value + np.arange(DIM, dtype=np.float32)
    assert np.abs(levelled(tilted) - level).max() > 0.1
    assert not levelled(np.full((3, 2), 5.0, np.float32)).any()
    config = WhiteningConfig(components=COMPONENTS)
    whitening = Whitening.of(utterances().values(), config)
    np.testing.assert_allclose(whitening.apply(5 * value + 40), whitening.apply(value), atol=1e-4)


def test_whitening_refuses_what_it_cannot_do() -> None:
    features = utterances()
    with pytest.raises(ConfigError, match="components is 8, and features of 7 dimensions"):
        Whitening.of(features.values(), WhiteningConfig(components=8))
    flat = [value[:, :1] @ np.ones((1, 3), np.float32) for value in features.values()]
    with pytest.raises(ConfigError, match="vary in 1 directions"):
        Whitening.of(flat, WhiteningConfig(components=2, floor=0.0))
    with pytest.raises(DataError, match="no frames"):
        Whitening.of([], WhiteningConfig())
    with pytest.raises(DataError, match="expected 7 columns"):
        Whitening.of(features.values(), WhiteningConfig(components=2)).apply(np.zeros((3, 5), np.float32))
    for options in ({"components": 0}, {"floor": -1.0}):
        with pytest.raises(ConfigError):
            WhiteningConfig(**options)  # type: ignore[arg-type]


# Windows


def test_windows_show_each_place_of_hidden_units_once() -> None:
    frames = np.arange(40, dtype=np.float32)[:, None]
    shape = WindowShape(places=6, filter_length=4)
    windows = shape.cut(frames)
    assert windows.shape == (6, 9, 1)
    assert windows[:, 0, 0].tolist() == [0, 6, 12, 18, 24, 30]
    assert (np.diff(windows[:, :, 0], axis=1) == 1).all()
    starts = {float(shape.cut(frames, np.random.default_rng(seed))[0, 0, 0]) for seed in range(50)}
    assert starts == {0.0, 1.0}  # 31 places are left over six times six by one
    short = shape.cut(frames[:5])
    assert short[0, :, 0].tolist() == [0, 1, 2, 3, 4, 4, 4, 4, 4]


def test_an_epoch_visits_all_utterances_in_an_order_of_its_own() -> None:
    features = {key: value[:, :1] for key, value in utterances((30, 30, 30, 30, 30)).items()}
    num_frames = {key: len(value) for key, value in features.items()}
    windows = Windows(features.__getitem__, num_frames, sorted(features), WindowShape(7, 3), 60)
    assert windows.num_chunks == 3
    epochs = [[chunk for _, chunk in windows.epoch(0, name)] for name in ("a", "a", "b")]
    assert sum(map(len, epochs[0])) == 5 * 4
    for one, other in zip(epochs[0], epochs[1]):
        assert torch.equal(one, other)
    assert not torch.equal(torch.cat(epochs[0]), torch.cat(epochs[2]))
    later = list(windows.epoch(0, "a", first_chunk=1))
    assert [number for number, _ in later] == [1, 2]
    assert torch.equal(later[0][1], epochs[0][1])
    assert windows.some(6, 1).shape == (6, 9, 1)
    with pytest.raises(DataError, match="no utterances"):
        Windows(features.__getitem__, num_frames, [], WindowShape(7, 3), 60)


# Layers


def network(seed: int = 0) -> ConvolutionalDbn:
    whitening = Whitening.of(utterances().values(), WhiteningConfig(components=COMPONENTS))
    draws = Draws(seed, "layers")

    def layer(visible: str, channels: int, bases: int) -> ConvolutionalRbm:
        weights = draws.normal(torch.empty((5, channels, bases)))
        biases = draws.normal(torch.empty(channels)), draws.normal(torch.empty(bases))
        std = 0.5 if visible == "gaussian" else 1.0
        return ConvolutionalRbm(visible, weights, *biases, pooling=3, visible_std=std)  # type: ignore[arg-type]

    layers = layer("gaussian", COMPONENTS, 6), layer("bernoulli", 6, 8)
    pipeline = PipelineConfig(cmvn="none", delta_order=0)
    return ConvolutionalDbn(FrontEndConfig(num_ceps=DIM), pipeline, whitening, layers, None, {"kind": "cdbn"})


def test_a_layer_sees_the_pooling_units_of_the_one_below() -> None:
    made, frames = network(), utterances()["u2"]
    first, second = made.layers
    pooled = first.features(torch.from_numpy(made.whitening.apply(frames)))
    np.testing.assert_array_equal(made.features(frames, 1), pooled)
    np.testing.assert_array_equal(made.features(frames, 2), second.features(pooled))
    np.testing.assert_array_equal(made.features(frames, 2, pooled=False), second.features(pooled, pooled=False))
    assert made.features(frames, 1).shape == (30, 6)
    assert made.features(frames, 2).shape == (10, 8)
    assert [made.frames_a_row(1), made.frames_a_row(2), made.frames_a_row(2, False), made.frames_a_row(1, False)] == [
        *(3, 9, 3, 1)
    ]
    assert made.features(frames[:0], 2).shape == (0, 8)
    assert made.features(frames[:1], 2).shape == (1, 8)
    np.testing.assert_array_equal(made.features(frames, 0), made.whitening.apply(frames))
    assert (made.frames_a_row(0), made.frames_a_row(0, False), made.dim(0), made.dim(2)) == (1, 1, COMPONENTS, 8)
    assert (made.checked_layer(None), made.checked_layer(1), made.checked_layer(0)) == (2, 1, 0)
    with pytest.raises(ModelError, match="no layer 3"):
        made.checked_layer(3)


def test_bases_are_filters_with_the_whitening_undone_and_higher_ones_sums_of_those_below() -> None:
    made = network()
    first, second = made.layers
    bases = made.bases(1)
    assert bases.shape == (6, 5, DIM)
    np.testing.assert_allclose(bases[3], first.weights[:, :, 3].numpy() @ made.whitening.inverse, rtol=1e-5)
    higher = made.bases(2)
    assert higher.shape == (8, 5 * 3 + 4, DIM)
    expected = np.zeros_like(higher)
    for base, block, below, place in np.ndindex(8, 5, 6, 3):
        start = 3 * block + place
        expected[base, start : start + 5] += float(second.weights[block, below, base]) * bases[below] / 3
    np.testing.assert_allclose(higher, expected, rtol=1e-3, atol=1e-4)


def test_a_network_lies_on_disk_and_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    made, frames = network(), utterances()["u0"]
    made.save(tmp_path / "net")
    again = load_cdbn(tmp_path / "net")
    np.testing.assert_array_equal(again.features(frames, 2), made.features(frames, 2))
    assert (again.front_end, again.pipeline, again.inputs) == (made.front_end, made.pipeline, None)
    assert again.training == made.training
    with pytest.raises(ModelError, match="not a finished convolutional network"):
        load_cdbn(tmp_path)
    path = tmp_path / "net" / CDBN_FILE
    arrays, meta = load_model(path, KIND)
    for lacking in ("layers.1.weights", "whitening.shift"):
        save_model(path, KIND, {name: value for name, value in arrays.items() if name != lacking}, meta)
        with pytest.raises(ModelError, match="lacks") as raised:
            load_cdbn(tmp_path / "net")
        assert CDBN_FILE in str(raised.value)
    save_model(path, KIND, arrays, {**meta, "layers": [*meta["layers"], *meta["layers"]]})
    with pytest.raises(ModelError):
        load_cdbn(tmp_path / "net")
    with pytest.raises(ModelError, match="layer 1 has 6 channels, expected 4"):
        ConvolutionalDbn(made.front_end, made.pipeline, made.whitening, made.layers[1:])
    with pytest.raises(ModelError, match="without layers"):
        ConvolutionalDbn(made.front_end, made.pipeline, made.whitening, ())


# Training


LAYERS = [
    LayerTraining(
        ConvolutionalRbmConfig(bases=6, filter_length=4),
        ConvolutionalCdConfig(window_blocks=3, batch_size=2, sparsity_cost=1.0, sparsity_target=0.1),
        3,
    ),
    LayerTraining(
        ConvolutionalRbmConfig(bases=5, filter_length=2, pooling=2),
        ConvolutionalCdConfig(window_blocks=2, batch_size=2, sparsity_cost=1.0, sparsity_target=0.1),
        2,
    ),
]


def training_data(held_out: tuple[str, ...] = ("u1",)) -> TrainingData:
    features = utterances()
    whitening = Whitening.of(features.values(), WhiteningConfig(components=COMPONENTS))
    components = {key: whitening.apply(value) for key, value in features.items()}
    training = [key for key in features if key not in held_out]
    lengths = {key: len(value) for key, value in components.items()}
    return TrainingData(components.__getitem__, lengths, training, held_out, 60)


def test_layers_learn_one_after_the_other_and_are_watched() -> None:
    trainer = CdbnTrainer(LAYERS, training_data(), 0, torch.device("cpu"))
    first, second = trainer.train()
    assert (first.visible, first.visible_std, tuple(first.weights.shape)) == ("gaussian", 0.2, (4, COMPONENTS, 6))
    assert (second.visible, second.visible_std, tuple(second.weights.shape)) == ("bernoulli", 1.0, (2, 6, 5))
    assert second.pooling == 2
    assert [(row["layer"], row["epoch"]) for row in trainer.history] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]
    errors = [row["held_out_error"] for row in trainer.history]
    assert errors[2] < errors[0]
    for row in trainer.history:
        assert {"training_error", "error", "free_energy_gap", "activity", "dead_bases", "frames_per_sec"} <= {*row}
    without = CdbnTrainer(LAYERS[:1], training_data(()), 0, torch.device("cpu"))
    without.train()
    assert "held_out_error" not in without.history[0]


def test_a_killed_training_comes_to_the_bits_of_an_uninterrupted_one(tmp_path: Path) -> None:
    def trainer(seed: int = 0) -> CdbnTrainer:
        store = CheckpointStore(tmp_path / f"{seed}.safetensors", "key", every_secs=0.0)
        return CdbnTrainer(LAYERS, training_data(), seed, torch.device("cpu"), store=store)

    whole = CdbnTrainer(LAYERS, training_data(), 0, torch.device("cpu"))
    whole.train()
    killed = 0
    for chunks in (1, 2, 4, 2, 3):
        try:
            trainer().train(KillsAfter(chunks))
        except Killed:
            killed += 1
    assert killed >= 4
    last = trainer()
    for one, other in zip(whole.trained, last.train(), strict=True):
        for name, value in one.parameters().items():
            assert torch.equal(value, other.parameters()[name])
    for row in (*whole.history, *last.history):
        del row["frames_per_sec"]
    assert whole.history == last.history
    another = trainer(1).train()
    assert not torch.equal(another[0].weights, whole.trained[0].weights)


def test_a_training_that_diverges_says_so() -> None:
    wild = LayerTraining(LAYERS[0].rbm, ConvolutionalCdConfig(window_blocks=3, learning_rate=1e30), 3)
    with pytest.raises(ModelError, match="layer 1 diverges"):
        CdbnTrainer([wild], training_data(), 0, torch.device("cpu")).train()
