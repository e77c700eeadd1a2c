"""RNN-RBM and RTRBM with Gaussian visible units: against sums over all hidden units, and on planted sequences."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.config import CdConfig
from asrkit.nnet.energy.partition import exact_log_partition
from asrkit.nnet.energy.rbm import Rbm
from asrkit.nnet.energy.rnn_rbm import RbmSteps, RnnRbm
from asrkit.nnet.energy.rtrbm import Rtrbm
from asrkit.nnet.energy.sequence_config import (
    PredictionConfig,
    RecurrenceConfig,
    RnnRbmConfig,
    RtrbmConfig,
    SequenceTrainingConfig,
)
from asrkit.nnet.energy.sequence_file import load_sequence_model, new_model, save_sequence_model
from asrkit.nnet.energy.sequence_scores import score_sequences
from asrkit.nnet.energy.sequence_training import SequenceTrainer, begin_with_means, pretrain_rbm
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.nnet.train.config import OptimiserConfig
from asrkit.nnet.train.plateau import PlateauConfig
from tests.nnet.energy.enumeration import configurations

V, H, U = 4, 3, 3
MODELS: dict[str, Any] = {
    "rnn-rbm": (RnnRbm, RnnRbmConfig(H, 3, RecurrenceConfig(units=U), "gaussian")),
    "rtrbm": (Rtrbm, RtrbmConfig(H, 3, "gaussian")),
}


def planted_model(name: str, scale: float = 1.0) -> RbmSteps:
    kind, config = MODELS[name]
    draws = Draws(0, "test model")
    model: RbmSteps = kind(V, config, draws).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(scale * draws.normal(parameter))
    return model


def frames(*shape: int, seed: int = 1) -> torch.Tensor:
    return Draws(seed, "test frames").normal(torch.empty((*shape, V), dtype=torch.float64))


def rows_of(model: RbmSteps, v: torch.Tensor) -> torch.Tensor:
    before, _ = model.scan(v, model.start(len(v)))
    return before.reshape(-1, model.num_context)


def mixture(model: RbmSteps, b: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A step's distribution as the mixture of normal ones that it is: weights (2^H,), means (2^H, V), variances."""
    assert model.log_variance is not None
    h = configurations(H)
    variance = model.log_variance.exp()
    means = b + h @ model.weights.T
    logs = h @ c + ((means**2 - b**2) / (2 * variance)).sum(dim=1)
    return torch.softmax(logs, dim=0), means, variance


def log_density(model: RbmSteps, v: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    weights, means, variance = mixture(model, b, c)
    normal = torch.distributions.Normal(means, variance.sqrt())
    return torch.logsumexp(weights.log() + normal.log_prob(v).sum(dim=1), dim=0)


@pytest.mark.parametrize("name", MODELS)
def test_foretold_densities_and_means_are_those_of_the_mixture(name: str) -> None:
    model, v = planted_model(name, 0.7), frames(2, 3)
    before = rows_of(model, v).detach()
    config = PredictionConfig(ais_runs=400, ais_temperatures=60)
    found = model.predict(v.view(-1, V), before, config, Draws(1, "predict"))
    assert found.means is not None
    b, c = (one.detach() for one in model.biases(before))
    for row, one in enumerate(v.view(-1, V)):
        error = float(found.variance[row]) ** 0.5
        exact = log_density(model, one, b[row], c[row]).item()
        assert abs(float(found.log_likelihood[row]) - exact) < 4 * error
        assert 0 < error < 0.1
        weights, means, _ = (each.detach() for each in mixture(model, b[row], c[row]))
        torch.testing.assert_close(found.means[row], weights @ means, atol=0.15, rtol=0)


def test_partitions_are_those_of_rbms() -> None:
    model = planted_model("rnn-rbm", 0.7)
    b, c = (one.detach() for one in model.biases(rows_of(model, frames(1, 3))))
    assert model.log_variance is not None
    rbm = Rbm("gaussian", "bernoulli", model.weights.detach(), b[1], c[1], model.log_variance.detach())
    v = frames(5, seed=3)
    found = -rbm.free_energy(v) - exact_log_partition(rbm)
    torch.testing.assert_close(found, torch.stack([log_density(model, one, b[1], c[1]) for one in v]).detach())


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_the_whole_model(name: str) -> None:
    model, v, ends = planted_model(name, 0.5), frames(2, 3), frames(6, seed=5)
    names = [name for name, _ in model.named_parameters()]
    assert "log_variance" in names

    def cost(*values: torch.Tensor) -> torch.Tensor:
        class Whole(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self) -> torch.Tensor:
                return model.contrast(v.view(-1, V), ends, *model.biases(rows_of(model, v)))

        parameters = {f"model.{name}": value for name, value in zip(names, values)}
        return torch.func.functional_call(Whole(), parameters, ())

    values = [value.detach().clone().requires_grad_() for value in model.parameters()]
    assert torch.autograd.gradcheck(cost, values)


def test_long_chains_follow_the_gradient_of_the_likelihood() -> None:
    model, v = planted_model("rnn-rbm", 0.4), frames(1, 3)
    b, c = model.biases(rows_of(model, v))
    exact = -torch.stack([log_density(model, v[0, t], b[t], c[t]) for t in range(3)]).mean()
    wanted = torch.autograd.grad(exact, list(model.parameters()))
    copies = v.expand(20_000, -1, -1)
    model.gibbs_steps = 30
    cost = model.cost(copies.reshape(-1, V), rows_of(model, copies), Draws(3, "chains"))
    for one, other in zip(torch.autograd.grad(cost, list(model.parameters())), wanted):
        torch.testing.assert_close(one, other, atol=0.02, rtol=0)
    assert max(other.abs().max() for other in wanted) > 0.2


def test_drawn_frames_have_the_mixture_s_moments() -> None:
    model = planted_model("rnn-rbm", 0.6)
    before = rows_of(model, frames(1, 2))[1:].detach()
    b, c = (one.detach() for one in model.biases(before))
    weights, means, variance = (one.detach() for one in mixture(model, b[0], c[0]))
    count = 20_000
    drawn = model.draw(before.expand(count, -1), torch.zeros(count, V, dtype=torch.float64), 40, Draws(6, "draw"))
    mean = weights @ means
    torch.testing.assert_close(drawn.mean(dim=0), mean, atol=0.05, rtol=0)
    wanted = variance + weights @ (means - mean) ** 2
    torch.testing.assert_close(drawn.var(dim=0), wanted, atol=0.03, rtol=0.05)


def circling(num_sequences: int, seed: int) -> list[np.ndarray]:
    """Points that go round in four dimensions by a fixed angle a step, with some noise, from a phase that is drawn."""
    rng = np.random.default_rng(seed)
    sequences = []
    for _ in range(num_sequences):
        phases = rng.uniform(0, 2 * math.pi) + 0.7 * np.arange(rng.integers(10, 20))
        circle = np.stack([np.cos(phases), np.sin(phases), np.cos(phases + 1), np.sin(phases + 1)], axis=1)
        sequences.append((1.4 * circle + 0.1 * rng.normal(size=circle.shape)).astype(np.float32))
    return sequences


TRAINED: dict[str, Any] = {
    "rnn-rbm": RnnRbmConfig(8, 3, RecurrenceConfig("gru", 24), "gaussian"),
    "rtrbm": RtrbmConfig(32, 3, "gaussian"),
}


def training(max_epochs: int) -> SequenceTrainingConfig:
    return SequenceTrainingConfig(
        OptimiserConfig("adam", learning_rate=0.01, clip=1.0),
        PlateauConfig(max_epochs=max_epochs, patience=max_epochs),
        batch_size=8,
        watch=PredictionConfig(5, 40),
        threads=1,
    )


@pytest.mark.parametrize("name", TRAINED)
def test_a_path_is_learned(name: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    model = new_model(name, V, TRAINED[name], Draws(0, "model"))
    pretrain_rbm(model, circling(100, 1), 2, CdConfig(learning_rate=0.01), 0)
    alone, held_out = model_of_units(circling(100, 1)), circling(20, 2)
    trainer = SequenceTrainer(model, training(25), 0, CheckpointStore(tmp_path / "c", "key", 1e9))
    trainer.train(circling(100, 1), held_out)
    squares: list[np.ndarray] = []
    found = score_sequences(
        model, held_out, PredictionConfig(), Draws(0, "score"), 0, lambda v, means: squares.append((v - means) ** 2)
    )
    assert found.log_likelihood > alone(held_out) + 1.5
    error = np.concatenate(squares).mean()
    last = np.concatenate([(one[1:] - one[:-1]) ** 2 for one in held_out]).mean()
    assert error < 0.6 * last


def model_of_units(sequences: list[np.ndarray]) -> Any:
    whole = np.concatenate(sequences)
    mean, variance = whole.mean(axis=0), whole.var(axis=0)

    def score(held_out: list[np.ndarray]) -> float:
        v = np.concatenate(held_out)
        return float((-0.5 * (np.log(2 * np.pi * variance) + (v - mean) ** 2 / variance)).sum(axis=1).mean())

    return score


def test_without_weights_a_frame_is_normal() -> None:
    model = new_model("rnn-rbm", V, TRAINED["rnn-rbm"], Draws(0, "model"))
    sequences = circling(30, 1)
    begin_with_means(model, sequences)
    with torch.no_grad():
        for name in ("weights", "to_visible", "to_hidden"):
            getattr(model, name).zero_()
    found = score_sequences(model, sequences, PredictionConfig(), Draws(0, "score"))
    assert abs(found.log_likelihood - model_of_units(sequences)(sequences)) < 1e-3


def test_a_model_comes_back_from_its_file(tmp_path: Path) -> None:
    for name, config in TRAINED.items():
        model = new_model(name, V, config, Draws(0, "model"))
        begin_with_means(model, circling(5, 1))
        save_sequence_model(tmp_path / name, model, {})
        again, _ = load_sequence_model(tmp_path / name)
        assert not again.binary
        for one, other in itertools.zip_longest(model.state_dict().items(), again.state_dict().items()):
            assert one[0] == other[0]
            assert torch.equal(one[1], other[1])
