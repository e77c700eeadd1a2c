"""Deep belief networks: their likelihood over all configurations, the bound below it, samples, up-down training."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from asrkit.core.errors import ConfigError, ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.config import CdConfig, UpDownConfig
from asrkit.nnet.energy.dbn import Dbn, bernoulli_entropy
from asrkit.nnet.energy.partition import exact_log_partition
from asrkit.nnet.energy.rbm import Rbm
from asrkit.nnet.energy.up_down import UpDown
from asrkit.nnet.stack import StackLayer
from tests.nnet.energy.enumeration import configurations, random_rbm


def network(visible: str = "bernoulli", parted: bool = True, scale: float = 1.0, variance: bool = False) -> Dbn:
    """Return a network of 4 visible and 3, 2, 4 hidden units, the two directions of its lower layers parted."""
    sizes = (4, 3, 2, 4)
    rbms = [
        random_rbm(
            visible if number == 0 else "bernoulli",
            num_visible=sizes[number],
            num_hidden=sizes[number + 1],
            seed=number,
            scale=scale,
            variance=variance and number == 0,
        )
        for number in range(3)
    ]
    dbn = Dbn.of_rbms(rbms)
    if parted:
        for number, layer in enumerate(dbn.lower):
            layer.generative_weights += 0.5 * Draws(number, "parted").normal(layer.generative_weights)
    return dbn


def bernoulli(inputs: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Return log probabilities of all states (S, n) under inputs (T, n), (T, S)."""
    p = torch.sigmoid(inputs)
    return torch.log(p) @ states.T + torch.log(1 - p) @ (1 - states).T


def log_joint(dbn: Dbn, v: torch.Tensor) -> torch.Tensor:
    """Return log p(v, h_1, h_2) of frames (N, 4), over all configurations, (N, 8, 4)."""
    h1, h2 = configurations(3), configurations(2)
    bottom, middle = dbn.lower
    top = torch.softmax(-dbn.top.free_energy(h2), 0).log()
    inputs = h1 @ bottom.generative_weights.T + bottom.visible_bias
    if bottom.visible == "bernoulli":
        given = (v[:, None, :] * inputs - torch.log1p(torch.exp(inputs))).sum(2)
    else:
        spread = torch.ones(4) if bottom.log_variance is None else torch.exp(0.5 * bottom.log_variance)
        given = torch.distributions.Normal(inputs, spread).log_prob(v[:, None, :]).sum(2)
    between = bernoulli(h2 @ middle.generative_weights.T + middle.visible_bias, h1)
    return given[:, :, None] + between.T[None] + top


def log_posterior(dbn: Dbn, v: torch.Tensor) -> torch.Tensor:
    """Return log q(h_1, h_2 | v), (N, 8, 4)."""
    h1, h2 = configurations(3), configurations(2)
    bottom, middle = dbn.lower
    scale = 1.0 if bottom.log_variance is None else torch.exp(-bottom.log_variance)
    first = bernoulli((v * scale) @ bottom.weights + bottom.hidden_bias, h1)
    return first[:, :, None] + bernoulli(h1 @ middle.weights + middle.hidden_bias, h2)


VISIBLE = [("bernoulli", False), ("gaussian", False), ("gaussian", True)]


def frames_of(visible: str) -> torch.Tensor:
    if visible == "bernoulli":
        return configurations(4)[[0, 3, 6, 13, 15]]
    return Draws(9, "frames").normal(torch.empty((5, 4), dtype=torch.float64))


@pytest.mark.parametrize(("visible", "variance"), VISIBLE)
@pytest.mark.parametrize("parted", [False, True])
def test_the_bound_is_that_of_its_formula_and_below_the_likelihood(visible: str, variance: bool, parted: bool) -> None:
    dbn, v, repeats = network(visible, parted, variance=variance), frames_of(visible), 4000
    joint, posterior = log_joint(dbn, v), log_posterior(dbn, v)
    exact = torch.logsumexp(joint.reshape(len(v), -1), 1)
    bound = (posterior.exp() * (joint - posterior)).sum((1, 2))
    assert (bound < exact).all()
    estimates = dbn.log_likelihood_bound(
        v.repeat(repeats, 1), exact_log_partition(dbn.top), Draws(1, "bound"), num_samples=2
    ).view(repeats, len(v))
    error = estimates.std(0) / math.sqrt(repeats)
    assert ((estimates.mean(0) - bound).abs() < 5 * error + 1e-9).all()
    assert (estimates.mean(0) < exact).all()


def test_the_likelihood_sums_to_one() -> None:
    """The oracle itself: p(v) over all v."""
    joint = log_joint(network(), configurations(4))
    assert float(torch.logsumexp(joint.reshape(-1), 0)) == pytest.approx(0.0, abs=1e-12)


def test_of_an_rbm_alone_the_bound_is_the_likelihood() -> None:
    rbm = random_rbm()
    v = configurations(5)
    found = Dbn.of_rbms([rbm]).log_likelihood_bound(v, exact_log_partition(rbm), Draws(0, "bound"))
    assert float(torch.logsumexp(found, 0)) == pytest.approx(0.0, abs=1e-12)


def test_an_equal_rbm_on_top_leaves_the_bound_at_the_likelihood_of_the_one_below() -> None:
    """Hinton, Osindero and Teh: a second RBM with the transposed weights of the first changes nothing."""
    first = random_rbm(num_visible=4, num_hidden=3)
    second = Rbm("bernoulli", "bernoulli", first.weights.T.clone(), first.hidden_bias, first.visible_bias)
    v = configurations(4)
    dbn = Dbn.of_rbms([first, second])
    found = dbn.log_likelihood_bound(v.repeat(8000, 1), exact_log_partition(second), Draws(2, "bound"))
    exact = -first.free_energy(v) - exact_log_partition(first)
    np.testing.assert_allclose(found.view(8000, -1).mean(0), exact, atol=0.1)


@pytest.mark.parametrize("deep", [False, True])
def test_samples_come_as_often_as_they_are_likely(deep: bool) -> None:
    dbn = network() if deep else Dbn.of_rbms([random_rbm(num_visible=4, num_hidden=3)])
    v = configurations(4)
    if deep:
        exact = torch.softmax(torch.logsumexp(log_joint(dbn, v).reshape(16, -1), 1), 0)
    else:
        exact = torch.softmax(-dbn.top.free_energy(v), 0)
    count = 40_000
    drawn = dbn.sample(count, 30, Draws(3, "samples"), means=False)
    numbers = (drawn @ torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64)).long()
    found = torch.bincount(numbers, minlength=16) / count
    np.testing.assert_allclose(found, exact, atol=5 * 0.5 / math.sqrt(count))
    means = dbn.sample(count, 30, Draws(3, "samples"))
    np.testing.assert_allclose(means.mean(0), (exact[:, None] * v).sum(0), atol=5 * 0.5 / math.sqrt(count))
    assert ((means > 0) & (means < 1)).all()


def test_samples_can_start_at_frames() -> None:
    """All units on and all units off are equally likely, and a chain hardly ever goes from one to the other."""
    weights = torch.full((4, 1), 20.0, dtype=torch.float64)
    rbm = Rbm("bernoulli", "bernoulli", weights, weights.new_full((4,), -10.0), weights.new_full((1,), -40.0))
    dbn = Dbn.of_rbms([rbm])
    frames = configurations(4)[[0] * 30 + [15] * 20]
    torch.testing.assert_close(dbn.sample(50, 3, Draws(4, "start"), start=frames), frames, atol=1e-3, rtol=0)
    assert (dbn.sample(50, 3, Draws(4, "start")) < 0.5).all()


def exact_likelihood(dbn: Dbn, data: torch.Tensor) -> float:
    return float(torch.logsumexp(log_joint(dbn, data).reshape(len(data), -1), 1).mean())


def test_up_down_training_raises_the_likelihood() -> None:
    draws = Draws(5, "data")
    templates = configurations(4)[[3, 12, 5]]
    data = templates[draws.integers(3, (3000,))]
    dbn = network(scale=0.1, parted=False)
    before = exact_likelihood(dbn, data[:200])
    top = CdConfig(steps=5, learning_rate=0.3, chain_visible="samples", momentum_frames=0, l2=0.0)
    trainer = UpDown(dbn, UpDownConfig(learning_rate=0.3, top=top))
    for epoch in range(40):
        for batch in data.split(50):
            trainer.step(batch, draws, epoch)
    after = exact_likelihood(dbn, data[:200])
    assert before < -2.5
    assert after > -1.6  # the best there is: log(1/3) = -1.1
    assert trainer.num_frames == 40 * 3000


@pytest.mark.parametrize(("visible", "variance"), VISIBLE)
def test_wake_and_sleep_follow_the_derivatives_of_what_they_teach(visible: str, variance: bool) -> None:
    dbn = network(visible, variance=variance)
    twin = network(visible, variance=variance)
    config = UpDownConfig(learning_rate=1.0, gaussian_learning_rate=1.0, top=CdConfig(learning_rate=0.0))
    v = frames_of(visible)
    trainer = UpDown(dbn, config)
    trainer.step(v, Draws(6, "step"))
    # The same draws again: up, the chain of the top, its end, down.
    draws = Draws(6, "step")
    wake = [v, *twin.recognise(v, draws)]
    again = UpDown(Dbn(twin.lower, twin.top), replace(config, learning_rate=0.0, gaussian_learning_rate=0.0))
    again._top.step(wake[-1], draws)
    sleep = [draws.bernoulli(again._top.chain_end)]
    after = {number: dbn.lower[number].parameters() for number in range(2)}
    for number in (1, 0):
        layer = twin.lower[number]
        moved = replace(layer, generative_weights=after[number]["generative_weights"].clone())
        moved.visible_bias = after[number]["visible_bias"].clone()
        sleep.append(moved.generate(sleep[-1], draws))
    for number, layer in enumerate(twin.lower):
        for value in layer.parameters().values():
            value.requires_grad_()
        layer.log_generative(wake[number], wake[number + 1]).mean().backward()
        below, above = sleep[2 - number], sleep[1 - number]
        x = layer.recognition_input(below)
        (above * x - torch.log1p(torch.exp(x))).sum(1).mean().backward()
        scale = torch.ones(1) if layer.log_variance is None else torch.exp(layer.log_variance.detach())
        for name, value in layer.parameters().items():
            if name != "log_variance":
                size = scale[:, None] if name.endswith("weights") else scale if name == "visible_bias" else 1.0
                torch.testing.assert_close(after[number][name] - value, value.grad * size, msg=f"{number} {name}")  # type: ignore[operator]


def test_up_down_training_goes_on_to_the_same_bits() -> None:
    data = frames_of("gaussian").repeat(20, 1)
    config = UpDownConfig(top=CdConfig(persistent=True, steps=2))

    def run(trainer: UpDown, first: int, last: int) -> None:
        for number in range(first, last):
            trainer.step(data[10 * number : 10 * number + 10], Draws(1, "steps", str(number)))

    whole, part, resumed = (UpDown(network("gaussian", variance=True), config) for _ in range(3))
    run(whole, 0, 8)
    run(part, 0, 3)
    state = part.state()
    run(part, 3, 5)
    resumed.restore(*state)
    run(resumed, 3, 8)
    for one, other in zip(whole.trained(()), resumed.trained(()), strict=True):
        for name, value in one.parameters.items():
            np.testing.assert_array_equal(value, other.parameters[name])
    assert whole.take_error() == resumed.take_error()


def test_entropy_is_that_of_its_definition() -> None:
    x = torch.tensor([[-800.0, -1.0, 0.0], [2.0, 0.5, 800.0]], dtype=torch.float64)
    p = torch.sigmoid(x[:, 1:])
    plain = -(p * p.log() + (1 - p) * (1 - p).log())
    assert bernoulli_entropy(x)[0] == pytest.approx(plain[0].sum().item())
    assert bernoulli_entropy(x[1:, :2]).item() == pytest.approx(
        float(
            -sum(
                q * math.log(q)
                for one in x[1, :2].tolist()
                for q in (1 / (1 + math.exp(-one)), 1 / (1 + math.exp(one)))
            )
        )
    )


def test_a_network_is_the_same_after_the_way_through_a_stack() -> None:
    dbn = network("gaussian", variance=True)
    again = Dbn.of_layers(dbn.layers())
    v = frames_of("gaussian").float()
    log_z = exact_log_partition(dbn.top)
    np.testing.assert_allclose(
        again.log_likelihood_bound(v, log_z, Draws(1, "stack"), 500).mean(),
        dbn.log_likelihood_bound(v.double(), log_z, Draws(1, "stack"), 500).mean(),
        atol=0.2,
    )
    greedy = Dbn.of_layers([random_rbm(num_visible=4).layer(), random_rbm(num_visible=3).layer()])
    torch.testing.assert_close(greedy.lower[0].weights, greedy.lower[0].generative_weights)


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ModelError, match="without layers"):
        Dbn.of_rbms([])
    with pytest.raises(ModelError, match="layer 1 has 3 units, the next expects 5"):
        Dbn.of_rbms([random_rbm(), random_rbm()])
    with pytest.raises(ModelError, match="found relu ones"):
        Dbn.of_rbms([random_rbm(hidden="relu"), random_rbm(num_visible=3)])
    with pytest.raises(ModelError, match="layer 2 has gaussian units"):
        Dbn.of_rbms([random_rbm(), random_rbm("gaussian", num_visible=3)])
    with pytest.raises(ModelError, match="two layers"):
        UpDown(Dbn.of_rbms([random_rbm()]), UpDownConfig())
    with pytest.raises(ConfigError, match="learning_rate"):
        UpDownConfig(learning_rate=-1.0)
    parameters = {
        name: np.zeros(shape, np.float32)
        for name, shape in (("weights", (5, 3)), ("visible_bias", (5,)), ("hidden_bias", (3,)))
    }
    with pytest.raises(ModelError, match="'autoencoder', expected an RBM"):
        Dbn.of_layers([StackLayer("autoencoder", "gaussian", "sigmoid", parameters)])
