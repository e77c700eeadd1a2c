"""Convolutional RBMs: conditionals, free energies, pooling and sampling against every configuration of small ones."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from asrkit.core.errors import ConfigError, ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.convolutional_config import ConvolutionalRbmConfig
from asrkit.nnet.energy.convolutional_rbm import ConvolutionalRbm, new_convolutional_rbm
from tests.nnet.energy.enumeration import configurations

FRAMES, CHANNELS, BASES, LENGTH, POOLING = 5, 2, 2, 2, 2
PLACES = FRAMES - LENGTH + 1


def random_convolutional_rbm(
    visible: str = "bernoulli",
    channels: int = CHANNELS,
    bases: int = BASES,
    length: int = LENGTH,
    pooling: int = POOLING,
    std: float = 0.7,
    seed: int = 0,
    scale: float = 1.0,
) -> ConvolutionalRbm:
    draws = Draws(seed, "test convolutional RBM")
    shapes = ((length, channels, bases), (channels,), (bases,))
    weights, b, c = (draws.normal(torch.empty(shape, dtype=torch.float64)) for shape in shapes)
    std = std if visible == "gaussian" else 1.0
    return ConvolutionalRbm(visible, scale * weights, b, c, pooling, std)  # type: ignore[arg-type]


def hidden_configurations() -> torch.Tensor:
    """Return all (2^(S H), S, H) settings of the hidden units, allowed or not."""
    return configurations(PLACES * BASES).view(-1, PLACES, BASES)


def visible_configurations() -> torch.Tensor:
    """Return all (2^(T C), T, C) settings of Bernoulli visible units."""
    return configurations(FRAMES * CHANNELS).view(-1, FRAMES, CHANNELS)


def some_frames(visible: str, count: int = 7, seed: int = 1, num_frames: int = FRAMES) -> torch.Tensor:
    normal = Draws(seed, "frames").normal(torch.empty((count, num_frames, CHANNELS), dtype=torch.float64))
    return (normal > 0).to(torch.float64) if visible == "bernoulli" else normal


def energy_by_definition(rbm: ConvolutionalRbm, v: torch.Tensor, h: torch.Tensor) -> float:
    """Return E(v, h) of one configuration, term by term."""
    total = 0.0
    for t, i in itertools.product(range(FRAMES), range(CHANNELS)):
        value, bias = float(v[t, i]), float(rbm.visible_bias[i])
        total += 0.5 * (value - bias) ** 2 if rbm.visible == "gaussian" else -bias * value
    for s, j in itertools.product(range(PLACES), range(BASES)):
        x = float(rbm.hidden_bias[j])
        for k, i in itertools.product(range(LENGTH), range(CHANNELS)):
            x += float(v[s + k, i] * rbm.weights[k, i, j])
        total -= x * float(h[s, j])
    for start, j in itertools.product(range(0, PLACES, POOLING), range(BASES)):
        if h[start : start + POOLING, j].sum() > 1:
            return math.inf
    return total / rbm.visible_std**2


def energies(rbm: ConvolutionalRbm, v: torch.Tensor) -> torch.Tensor:
    """Return E(v, h) of each v with every h, (N, 2^(S H))."""
    hidden = hidden_configurations()
    return torch.stack([rbm.energy(one.expand(len(hidden), -1, -1), hidden) for one in v])


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_the_energy_is_that_of_its_definition(visible: str) -> None:
    rbm = random_convolutional_rbm(visible)
    v = some_frames(visible, 3)
    expected = [[energy_by_definition(rbm, one, h) for h in hidden_configurations()] for one in v]
    np.testing.assert_allclose(energies(rbm, v).numpy(), expected, rtol=1e-12)
    assert math.inf in expected[0]


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_free_energies_and_means_of_hidden_and_pooling_units_are_those_of_all_configurations(visible: str) -> None:
    rbm = random_convolutional_rbm(visible)
    v = some_frames(visible)
    table = energies(rbm, v)
    torch.testing.assert_close(rbm.free_energy(v), -torch.logsumexp(-table, dim=1))
    probability = torch.softmax(-table, dim=1)
    hidden = hidden_configurations()
    torch.testing.assert_close(rbm.hidden_mean(v), torch.einsum("nq,qsj->nsj", probability, hidden))
    on = torch.einsum("nq,qaj->naj", probability, rbm.pooled(hidden).clamp(max=1))
    torch.testing.assert_close(rbm.pooled_mean(v), on)
    blocks = rbm.hidden_mean(v).view(len(v), -1, POOLING, BASES)
    torch.testing.assert_close(rbm.pooled_mean(v), blocks.sum(dim=2))


def test_visible_means_are_those_of_all_configurations() -> None:
    rbm = random_convolutional_rbm()
    v = visible_configurations()
    for h in hidden_configurations()[[0, 4, 129]]:
        probability = torch.softmax(-rbm.energy(v, h.expand(len(v), -1, -1)), dim=0)
        expected = torch.einsum("n,nti->ti", probability, v)
        torch.testing.assert_close(rbm.visible_mean(h[None])[0], expected)


def test_gaussian_visible_units_have_their_energy_least_at_their_mean_and_its_curvature_as_precision() -> None:
    rbm = random_convolutional_rbm("gaussian")
    h = hidden_configurations()[[4, 129]]
    mean = rbm.visible_mean(h).requires_grad_()
    (slope,) = torch.autograd.grad(rbm.energy(mean, h).sum(), mean)
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-12, rtol=0)
    away = mean.detach().clone()
    away[:, 3, 1] += 0.3
    rise = rbm.energy(away, h) - rbm.energy(mean, h)
    torch.testing.assert_close(rise.detach(), torch.full_like(rise, 0.5 * (0.3 / rbm.visible_std) ** 2))


def test_inputs_are_correlations_with_the_filters_and_reconstructions_their_convolutions() -> None:
    """torch's own convolution, at sizes that all differ."""
    rbm = random_convolutional_rbm("gaussian", channels=2, bases=7, length=4, pooling=3)
    v = some_frames("gaussian", 3, num_frames=15)
    filters = rbm.weights.permute(2, 1, 0)
    inputs = torch.nn.functional.conv1d(v.transpose(1, 2), filters, rbm.hidden_bias).transpose(1, 2)
    torch.testing.assert_close(rbm.hidden_input(v), inputs / rbm.visible_std**2)
    h = rbm.sample_hidden(v, Draws(0, "h"))
    assert h.shape == (3, 12, 7)
    back = torch.nn.functional.conv_transpose1d(h.transpose(1, 2), filters).transpose(1, 2) + rbm.visible_bias
    torch.testing.assert_close(rbm.visible_mean(h), back)


def test_hidden_units_are_drawn_as_often_as_their_means_say_and_one_of_a_block_at_most() -> None:
    rbm = random_convolutional_rbm("gaussian", bases=3, length=3, pooling=3, scale=0.5)
    v = some_frames("gaussian", 2, num_frames=8)
    repeats = 40_000
    drawn = rbm.sample_hidden(v.repeat_interleave(repeats, dim=0), Draws(3, "many"))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert rbm.pooled(drawn).max() == 1
    frequency = drawn.view(2, repeats, *drawn.shape[1:]).mean(dim=1)
    limit = 5 * 0.5 / math.sqrt(repeats)
    torch.testing.assert_close(frequency, rbm.hidden_mean(v), atol=limit, rtol=0)


def test_a_long_chain_draws_visible_units_from_the_model() -> None:
    rbm = random_convolutional_rbm(scale=0.7)
    everything = visible_configurations()
    exact = torch.softmax(-rbm.free_energy(everything), dim=0)
    draws = Draws(4, "chain")
    v = torch.zeros((20_000, FRAMES, CHANNELS), dtype=torch.float64)
    for _ in range(40):
        v = rbm.gibbs(v, draws)
    expected = torch.einsum("n,nti->ti", exact, everything)
    torch.testing.assert_close(v.mean(dim=0), expected, atol=5 * 0.5 / math.sqrt(20_000), rtol=0)
    pairs = torch.einsum("n,na,nb->ab", exact, everything.flatten(1), everything.flatten(1))
    found = v.flatten(1).T @ v.flatten(1) / len(v)
    torch.testing.assert_close(found, pairs, atol=5 * 0.5 / math.sqrt(20_000), rtol=0)


def test_gaussian_visible_units_are_drawn_with_their_mean_and_deviation() -> None:
    rbm = random_convolutional_rbm("gaussian", std=0.3)
    h = hidden_configurations()[[5]].expand(30_000, -1, -1)
    drawn = rbm.sample_visible(h, Draws(5, "normal"))
    torch.testing.assert_close(drawn.mean(dim=0), rbm.visible_mean(h[:1])[0], atol=5 * 0.3 / math.sqrt(30_000), rtol=0)
    assert float((drawn - drawn.mean(dim=0)).std()) == pytest.approx(0.3, rel=0.01)


def test_huge_inputs_are_no_trouble() -> None:
    rbm = random_convolutional_rbm("gaussian", scale=1e4)
    v = some_frames("gaussian")
    mean = rbm.hidden_mean(v)
    assert torch.isfinite(mean).all()
    assert torch.isfinite(rbm.free_energy(v)).all()
    torch.testing.assert_close(mean.max(), torch.ones((), dtype=torch.float64))


@pytest.mark.parametrize("num_frames", [1, 2, 3, 4, 7, 30, 31])
def test_features_have_a_row_for_each_block_of_frames(num_frames: int) -> None:
    """Whatever is in the middle is what whole windows give; ends see the first and the last frame repeated."""
    rbm = random_convolutional_rbm("gaussian", bases=4, length=6, pooling=3)
    frames = some_frames("gaussian", 1, num_frames=num_frames)[0]
    pooled, hidden = rbm.features(frames), rbm.features(frames, pooled=False)
    assert pooled.shape == (math.ceil(num_frames / 3), 4)
    assert hidden.shape == (num_frames, 4)
    whole = 3 * (num_frames // 3)
    torch.testing.assert_close(pooled[: whole // 3], hidden[:whole].view(-1, 3, 4).sum(dim=1))
    # Units of the block α see the frames from 3 α - 2 to 3 α + 5.
    for block in range(1, (num_frames - 5) // 3):
        window = frames[3 * block - 2 : 3 * block + 6]
        torch.testing.assert_close(pooled[block], rbm.pooled_mean(window[None])[0, 0])
    repeated = torch.cat([frames[:1], frames[:1], frames, frames[-1:].expand(9, -1)])[:8]
    torch.testing.assert_close(pooled[0], rbm.pooled_mean(repeated[None])[0, 0])


def test_features_of_long_utterances_are_computed_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = random_convolutional_rbm("gaussian", bases=4, length=6, pooling=3)
    frames = some_frames("gaussian", 1, num_frames=100)[0]
    whole = rbm.features(frames)
    monkeypatch.setattr("asrkit.nnet.energy.convolutional_rbm.BLOCK_PLACES", 14)
    torch.testing.assert_close(rbm.features(frames), whole)


def test_a_shift_by_whole_blocks_shifts_the_features_and_another_does_not() -> None:
    rbm = random_convolutional_rbm("gaussian", bases=4, length=6, pooling=3)
    frames = some_frames("gaussian", 1, num_frames=60)[0]
    features, later = rbm.features(frames), rbm.features(frames[6:])
    torch.testing.assert_close(later[1:], features[3:])
    assert (rbm.features(frames[7:])[1:17] - features[3:19]).abs().max() > 0.1


def test_a_new_one_begins_at_the_data_and_lies_in_arrays() -> None:
    mean = torch.tensor([0.2, 0.5, 0.0])
    config = ConvolutionalRbmConfig(bases=5, filter_length=4, pooling=2, weight_std=0.02, hidden_bias=-0.3)
    gaussian = new_convolutional_rbm("gaussian", mean, config, Draws(1, "new"))
    assert gaussian.weights.shape == (4, 3, 5)
    assert gaussian.visible_std == 0.2
    assert torch.equal(gaussian.visible_bias, mean)
    assert torch.equal(gaussian.hidden_bias, torch.full((5,), -0.3))
    bernoulli = new_convolutional_rbm("bernoulli", mean, config, Draws(1, "new"))
    torch.testing.assert_close(torch.sigmoid(bernoulli.visible_bias), torch.tensor([0.2, 0.5, 1e-4]))
    again = ConvolutionalRbm.from_arrays(gaussian.to_arrays(), gaussian.described())
    assert again.described() == gaussian.described()
    for name, value in gaussian.parameters().items():
        assert torch.equal(value, again.parameters()[name])


def test_what_cannot_be_is_refused() -> None:
    rbm = random_convolutional_rbm("gaussian", length=3, pooling=3)
    for frames in (2, 4, 6):
        with pytest.raises(ModelError, match="positive multiple of 3"):
            rbm.num_places(frames)
    assert rbm.num_places(8) == 6
    with pytest.raises(ModelError, match="standard deviation"):
        ConvolutionalRbm("bernoulli", rbm.weights, rbm.visible_bias, rbm.hidden_bias, 3, 0.5)
    with pytest.raises(ModelError, match="biases of 3 channels"):
        ConvolutionalRbm("gaussian", rbm.weights, torch.zeros(3), rbm.hidden_bias, 3)
    for options in ({"bases": 0}, {"pooling": 0}, {"visible_std": 0.0}, {"weight_std": -1.0}):
        with pytest.raises(ConfigError):
            ConvolutionalRbmConfig(**options)  # type: ignore[arg-type]
    arrays, described = rbm.to_arrays(), rbm.described()
    damaged = [
        ({**arrays, "weights": arrays["weights"][0]}, described),
        ({"weights": arrays["weights"]}, described),
        ({**arrays, "hidden_bias": np.full_like(arrays["hidden_bias"], np.nan)}, described),
        (arrays, {**described, "visible": "relu"}),
        (arrays, {**described, "pooling": 0}),
        (arrays, {**described, "visible_std": None}),
    ]
    for one, says in damaged:
        with pytest.raises(ModelError):
            ConvolutionalRbm.from_arrays(one, says)
