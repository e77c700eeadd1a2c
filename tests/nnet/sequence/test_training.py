"""Training by a criterion over utterances: gradients through the network, planted gains, resuming, threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from asrkit.core.errors import DataError, ModelError, TooManyFailedError
from asrkit.nnet.layers.config import MlpConfig
from asrkit.nnet.network import Network, NetworkShape, to_arrays
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.sequence.config import SequenceConfig
from asrkit.nnet.sequence.criterion import Evaluation, Loglikes
from asrkit.nnet.sequence.training import SequenceData, SequenceReport, train_sequences
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.nnet.train.config import OptimiserConfig
from asrkit.nnet.train.newbob import NewbobConfig
from tests.killed import Killed, MortalStore

DIM, NUM_PDFS = 2, 3
SHAPE = NetworkShape(MlpConfig(1, 8, "tanh", dropout=0.5), DIM * 3, 3, NUM_PDFS)
PRIORS = np.log(np.array([0.5, 0.2, 0.3])).astype(np.float32)


def config(**changes: object) -> SequenceConfig:
    base = {
        "optimiser": OptimiserConfig(learning_rate=0.02, momentum=0.5),
        "newbob": NewbobConfig(max_epochs=4),
        "batch_frames": 40,
        "device": "cpu",
        "threads": 1,
    }
    return SequenceConfig(**{**base, **changes})  # type: ignore[arg-type]


def make_data(num_utterances: int = 20) -> SequenceData:
    rng = np.random.default_rng(0)
    features, targets = {}, {}
    for number in range(num_utterances):
        pdfs = rng.integers(0, NUM_PDFS, 8 + number % 5).astype(np.int32)
        means = np.array([[0.0, 1.0], [1.0, -1.0], [-1.0, -0.5]])[pdfs]
        key = f"u{number:02d}"
        features[key] = (means + rng.normal(0, 0.5, means.shape)).astype(np.float32)
        targets[key] = pdfs
    keys = tuple(features)
    lengths = {key: len(value) for key, value in features.items()}
    return SequenceData(
        features, InputNormalisation.of(features.values()), 1, 1, PRIORS, targets, lengths, keys[4:], keys[:4]
    )


class Contrast:
    """Not a sum over paths, but smooth, known in closed form, and coupling the frames of an utterance.

    ``F = tanh(sum_t w_t . loglikes_t) T`` with w the reference's pdf less a tenth of all: the derivative is exact.
    """

    ceiling = 1.0

    def __init__(self, targets: dict[str, np.ndarray], refused: tuple[str, ...] = ()) -> None:
        self.targets, self.refused = targets, refused

    def __call__(self, utterance_id: str, loglikes: Loglikes, /) -> Evaluation:
        if utterance_id in self.refused:
            raise ModelError("no path")
        weights = np.full(loglikes.shape, -1.0 / NUM_PDFS)
        weights[np.arange(len(weights)), self.targets[utterance_id]] += 1.0
        level = float((weights * loglikes).sum()) / 50
        slope = (1 - np.tanh(level) ** 2) * len(weights) / 50
        return Evaluation(np.tanh(level) * len(weights), (slope * weights).astype(np.float32))


def train(
    store: CheckpointStore | None = None, seed: int = 1, num_jobs: int = 1, **changes: object
) -> tuple[Network, tuple[SequenceReport, ...]]:
    network, data = SHAPE.build(3), make_data()
    criterion = Contrast(dict(data.targets))
    reports, failures = train_sequences(network, data, criterion, config(**changes), seed, num_jobs, store)
    assert not failures
    return network, reports


def total_loss(network: Network, data: SequenceData, keys: tuple[str, ...], ce_weight: float, l2: float) -> float:
    """The loss from its definition, in float64, with the network's own forward pass."""
    criterion, loss = Contrast(dict(data.targets)), 0.0
    network = network.double()
    for key in keys:
        with torch.no_grad():
            scores = network(data.inputs([key], torch.device("cpu")).double())
            posteriors = torch.log_softmax(scores, dim=1).numpy()
        own = posteriors[np.arange(len(posteriors)), data.targets[key]]
        loss -= criterion(key, posteriors - PRIORS.astype(np.float64)).value
        loss += -ce_weight * own.sum() + 0.5 * l2 * float(scores.square().sum())
    return loss


def test_a_step_follows_the_gradient_of_the_whole_loss() -> None:
    """One minibatch, plain gradient descent: the change of the weights is the derivative, by finite differences."""
    data, rate = make_data(8), 1e-4
    settings = config(
        optimiser=OptimiserConfig(learning_rate=rate),
        newbob=NewbobConfig(max_epochs=1, keep_rate_epochs=1),
        batch_frames=1000,
        ce_weight=0.3,
        output_l2=0.05,
    )
    before, after = SHAPE.build(3), SHAPE.build(3)
    train_sequences(after, data, Contrast(dict(data.targets)), settings)
    first, last = to_arrays(before), to_arrays(after)
    rng = np.random.default_rng(0)
    before = before.eval().double()
    for name, parameter in before.named_parameters():
        for _ in range(4):
            place = tuple(int(rng.integers(size)) for size in parameter.shape)
            values = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    parameter[place] += step
                values.append(total_loss(before, data, data.training, 0.3, 0.05))
                with torch.no_grad():
                    parameter[place] -= step
            slope = (values[0] - values[1]) / 2e-5
            moved = (float(first[name][place]) - float(last[name][place])) / rate
            assert moved == pytest.approx(slope, rel=0.02, abs=0.02), (name, place)


def test_the_criterion_rises_on_what_was_held_out() -> None:
    _, reports = train()
    values = [report.heldout_criterion for report in reports if report.accepted]
    assert [report.epoch for report in reports] == list(range(len(reports)))
    assert values[-1] > values[0] + 0.1
    assert reports[0].criterion is None
    assert all(np.diff(values) > 0)


def test_cross_entropy_beside_the_criterion_lowers_it() -> None:
    without, beside = (train(ce_weight=weight)[1][-1] for weight in (0.0, 0.5))
    assert beside.heldout_cross_entropy < without.heldout_cross_entropy


def test_a_penalty_on_outputs_makes_them_smaller() -> None:
    data = make_data()
    inputs = data.inputs(data.training, torch.device("cpu"))
    sizes = []
    for penalty in (0.0, 1.0):
        network = train(output_l2=penalty)[0]
        with torch.no_grad():
            sizes.append(float(network(inputs).square().mean()))
    assert sizes[1] < 0.8 * sizes[0]


def test_same_seed_same_bits_for_any_number_of_threads() -> None:
    runs = [to_arrays(train(seed=seed, num_jobs=jobs)[0]) for seed, jobs in ((1, 1), (1, 3), (2, 1))]
    for name in runs[0]:
        np.testing.assert_array_equal(runs[0][name], runs[1][name])
    assert not np.array_equal(runs[0]["output.weight"], runs[2]["output.weight"])


@pytest.mark.parametrize("kill_at", [1, 4, 7, 11])
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path, kill_at: int) -> None:
    expected, reports = train()

    with pytest.raises(Killed):
        train(MortalStore(tmp_path / "state", "this", kill_at))
    network, found = train(CheckpointStore(tmp_path / "state", "this"))
    for name, array in to_arrays(expected).items():
        np.testing.assert_array_equal(array, to_arrays(network)[name])
    assert [(one.criterion, one.heldout_criterion, one.accepted) for one in found] == [
        (one.criterion, one.heldout_criterion, one.accepted) for one in reports
    ]


def test_utterances_that_cannot_be_used_are_named_and_left_out() -> None:
    data = make_data()
    refused = (data.training[2], data.heldout[1])
    network = SHAPE.build(3)
    reports, failures = train_sequences(network, data, Contrast(dict(data.targets), refused), config())
    assert failures == dict.fromkeys(refused, "no path")
    fewer = SequenceData(
        **{
            **vars(data),
            "heldout": tuple(key for key in data.heldout if key not in refused),
        }
    )
    again, _ = train_sequences(SHAPE.build(3), fewer, Contrast(dict(data.targets), refused), config())
    # Utterances in other minibatches: another order of float32 sums.
    expected = [one.heldout_criterion for one in reports]
    np.testing.assert_allclose([one.heldout_criterion for one in again], expected, rtol=1e-4)
    everyone, _ = train_sequences(SHAPE.build(3), data, Contrast(dict(data.targets)), config())
    assert everyone[-1].heldout_criterion != pytest.approx(expected[-1], rel=1e-2)

    def strict(found: object) -> None:
        if found:
            raise TooManyFailedError("too many")

    with pytest.raises(TooManyFailedError):
        train_sequences(SHAPE.build(3), data, Contrast(dict(data.targets), refused), config(), check=strict)
    with pytest.raises(DataError, match="cannot be computed before training: no path"):
        train_sequences(SHAPE.build(3), data, Contrast(dict(data.targets), data.heldout), config())


def test_a_training_that_only_diverges_is_refused() -> None:
    with pytest.raises(ModelError, match="none of 2 epochs ended with a finite loss"):
        train(optimiser=OptimiserConfig(learning_rate=1e38), newbob=NewbobConfig(max_epochs=2))


def test_after_an_epoch_that_diverges_it_begins_anew_with_smaller_steps() -> None:
    newbob = NewbobConfig(max_epochs=3, factor=2e-40)
    _, reports = train(optimiser=OptimiserConfig(learning_rate=1e38), newbob=newbob)
    assert [report.accepted for report in reports[1:3]] == [False, True]
    assert reports[2].heldout_criterion > reports[0].heldout_criterion


def test_features_of_another_shape_are_refused() -> None:
    data = make_data()
    key = data.training[0]
    shorter = {**data.features, key: data.features[key][1:]}
    wrong = SequenceData(**{**vars(data), "features": shorter})
    with pytest.raises(DataError, match=f"{key}: features of shape"):
        train_sequences(SHAPE.build(3), wrong, Contrast(dict(data.targets)), config())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_trains_to_what_a_cpu_does() -> None:
    changes = {"ce_weight": 0.3, "output_l2": 0.05}
    (on_cpu, cpu), (on_gpu, gpu) = (train(num_jobs=2, device=device, **changes) for device in ("cpu", "cuda"))
    assert [one.heldout_criterion for one in gpu] == pytest.approx([one.heldout_criterion for one in cpu], rel=1e-3)
    for name, array in to_arrays(on_cpu).items():
        np.testing.assert_allclose(to_arrays(on_gpu)[name], array, rtol=1e-3, atol=1e-4)
