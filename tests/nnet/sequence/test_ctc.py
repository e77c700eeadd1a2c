"""CTC: its loss by enumeration of all ways to say the labels, its gradient by differences, and a planted task."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import DataError
from asrkit.nnet.layers.config import GruConfig, LstmConfig
from asrkit.nnet.layers.packing import Packing
from asrkit.nnet.layers.recurrent import SequenceNetwork
from asrkit.nnet.network import NetworkShape, to_arrays
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.sequence.ctc import CtcObjective, best_labels, collapsed, ctc_losses, frames_needed
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.nnet.train.config import OptimiserConfig, RecurrentTrainingConfig, UtterancesConfig
from asrkit.nnet.train.epochs import EpochReport
from asrkit.nnet.train.newbob import NewbobConfig
from asrkit.nnet.train.recurrent import evaluate_utterances, train_recurrent
from asrkit.nnet.train.utterances import LabelledUtterances
from tests.killed import Killed, MortalStore

OUTPUTS = 4


def by_enumeration(scores: np.ndarray, labels: list[int], blank: int) -> float:
    """Minus the log of the summed probability of all strings of outputs that the labels are left of."""
    log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    total = 0.0
    for frames in itertools.product(range(scores.shape[1]), repeat=len(scores)):
        left = [output for output, _ in itertools.groupby(frames) if output != blank]
        if left == labels:
            total += float(np.exp(log_probs[np.arange(len(scores)), list(frames)].sum()))
    with np.errstate(divide="ignore"):
        return -float(np.log(total))


@pytest.mark.parametrize("blank", [0, 2])
def test_losses_are_those_of_enumeration(blank: int) -> None:
    """Of utterances of different lengths, packed: labels that repeat, that fill every frame, that do not fit."""
    one, two, three = (label for label in range(OUTPUTS) if label != blank)
    wanted = [[one, one, two], [two, three, one], [three], [one, one]]
    lengths = (5, 3, 3, 2)
    packing = Packing(lengths)
    scores = torch.randn(sum(lengths), OUTPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    padded = torch.tensor([[*labels, *[-1] * (3 - len(labels))] for labels in wanted])
    losses = ctc_losses(packing.pack(scores), packing, padded, blank).numpy()
    parts = [part.numpy() for part in scores.split(lengths)]
    expected = [by_enumeration(part, labels, blank) for part, labels in zip(parts, wanted, strict=True)]
    np.testing.assert_allclose(losses, expected, rtol=1e-9)
    assert losses[3] == np.inf
    shifted = ctc_losses(packing.pack(scores + 3.0), packing, padded, blank).numpy()
    np.testing.assert_allclose(shifted[:3], losses[:3], rtol=1e-9)


def test_the_gradient_is_that_of_differences() -> None:
    packing = Packing((5, 4, 2))
    labels = torch.tensor([[1, 1, 2], [3, 1, -1], [2, -1, -1]])
    scores = torch.randn(11, OUTPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.autograd.gradcheck(lambda one: ctc_losses(one, packing, labels, 0), [scores.requires_grad_()])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=8))
def test_what_is_left_of_outputs_and_the_frames_that_it_takes(frames: list[int]) -> None:
    labels = collapsed(np.array(frames, dtype=np.int32), 0)
    assert labels.tolist() == [one for one, _ in itertools.groupby(frames) if one]
    assert frames_needed(labels) <= len(frames)
    shortest = next(
        size
        for size in itertools.count()
        for one in itertools.product(range(3), repeat=size)
        if len(labels) > 4 or collapsed(np.array(one, dtype=np.int32), 0).tolist() == labels.tolist()
    )
    assert len(labels) > 4 or frames_needed(labels) == shortest


def test_the_best_outputs_are_those_of_each_utterance() -> None:
    packing = Packing((4, 3))
    frames = torch.tensor([1, 1, 0, 1, 2, 0, 0])
    scores = packing.pack(torch.nn.functional.one_hot(frames, 3).double())
    assert [one.tolist() for one in best_labels(scores, packing, 0)] == [[1, 1], [2]]


# A task: three kinds of events, each a frame or two among noise; the labels are their kinds, the times are not told.
CONFIG = RecurrentTrainingConfig(
    OptimiserConfig("adam", 0.02, clip=1.0),
    NewbobConfig(max_epochs=30, keep_rate_epochs=10),
    UtterancesConfig(120),
    "cpu",
    1,
)


def corpus(names: range) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    features, labels = {}, {}
    for name in names:
        rng = np.random.default_rng(name)
        kinds = rng.integers(0, 3, 2 + name % 4)
        rows = []
        for kind in kinds:
            rows += [np.zeros(3)] * int(rng.integers(1, 4)) + [np.eye(3)[kind] * 2] * int(rng.integers(1, 3))
        rows += [np.zeros(3)] * int(rng.integers(1, 3))
        value = np.array(rows) + rng.normal(0, 0.3, (len(rows), 3))
        features[f"u{name:03d}"] = value.astype(np.float32)
        labels[f"u{name:03d}"] = (kinds + 1).astype(np.int32)
    return features, labels


def utterances_of(names: range) -> LabelledUtterances:
    features, labels = corpus(names)
    normalisation = InputNormalisation.of(features.values())
    lengths = {key: len(value) for key, value in features.items()}
    device = torch.device("cpu")
    return LabelledUtterances(features, list(features), normalisation, 0, 0, labels, CONFIG.utterances, device, lengths)


def train(
    config: LstmConfig | GruConfig,
    training: RecurrentTrainingConfig = CONFIG,
    store: CheckpointStore | None = None,
) -> tuple[SequenceNetwork, tuple[EpochReport, ...]]:
    network = NetworkShape(config, 3, 1, OUTPUTS).build(1)
    assert isinstance(network, SequenceNetwork)
    sets = (utterances_of(names) for names in (range(60), range(60, 80)))
    return network, train_recurrent(network, *sets, training, 1, store, objective=CtcObjective(0))


def test_labels_without_times_are_learned() -> None:
    network, reports = train(LstmConfig(1, 12, bidirectional=True))
    assert reports[-1].heldout_accuracy > 0.95
    tally = evaluate_utterances(network, utterances_of(range(60, 80)), CtcObjective(0))
    assert tally.accuracy > 0.95
    features, labels = corpus(range(60, 80))
    assert tally.targets == sum(map(len, labels.values()))
    assert tally.frames == sum(map(len, features.values()))


def test_sums_are_those_of_the_utterances_one_by_one() -> None:
    network = NetworkShape(GruConfig(1, 6), 3, 1, OUTPUTS).build(3).eval()
    assert isinstance(network, SequenceNetwork)
    features, labels = corpus(range(60, 66))
    normalisation = InputNormalisation.of(features.values())
    loss = 0.0
    with torch.no_grad():
        for key, value in features.items():
            scores = network(torch.from_numpy(normalisation.apply(value)))
            loss += by_enumeration(scores[:7].double().numpy(), labels[key].tolist()[:2], 0)
    shortened = {key: value[:7] for key, value in features.items()}
    firsts = {key: value[:2] for key, value in labels.items()}
    lengths = {key: len(value) for key, value in shortened.items()}
    sets = LabelledUtterances(
        shortened,
        list(shortened),
        normalisation,
        0,
        0,
        firsts,
        UtterancesConfig(20),
        torch.device("cpu"),
        lengths,
    )
    tally = evaluate_utterances(network, sets, CtcObjective(0))
    assert tally.loss == pytest.approx(loss, rel=1e-4)
    assert tally.targets == 12


@pytest.mark.parametrize("kill_at", [2, 5])
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path, kill_at: int) -> None:
    config = GruConfig(1, 8, dropout=0.1)
    training = replace(CONFIG, newbob=NewbobConfig(max_epochs=2, keep_rate_epochs=2))
    expected, reports = train(config, training)

    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Killed):
        train(config, training, MortalStore(path, "key", kill_at))
    found, resumed = train(config, training, CheckpointStore(path, "key"))
    arrays = to_arrays(found)
    for name, array in to_arrays(expected).items():
        np.testing.assert_array_equal(arrays[name], array)
    assert [replace(one, frames_per_sec=0) for one in resumed] == [replace(one, frames_per_sec=0) for one in reports]


def test_features_of_another_shape_are_refused() -> None:
    features, labels = corpus(range(2))
    wrong = LabelledUtterances(
        features,
        list(features),
        InputNormalisation.of(features.values()),
        0,
        0,
        labels,
        UtterancesConfig(),
        torch.device("cpu"),
        {key: len(value) + 1 for key, value in features.items()},
    )
    with pytest.raises(DataError, match="expected"):
        list(wrong.in_order())
