"""Training on whole utterances: what was planted in the past is learned, and a killed run ends as an unbroken one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from asrkit.core.errors import ConfigError, DataError
from asrkit.nnet.layers.config import ElmanConfig, FullyRecurrentConfig, GruConfig, LiGruConfig, LstmConfig, MlpConfig
from asrkit.nnet.layers.recurrent import SequenceNetwork
from asrkit.nnet.network import NetworkConfig, NetworkShape, scores_of, to_arrays
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.nnet.train.config import OptimiserConfig, RecurrentTrainingConfig, UtterancesConfig
from asrkit.nnet.train.epochs import EpochReport
from asrkit.nnet.train.newbob import NewbobConfig
from asrkit.nnet.train.recurrent import evaluate_utterances, train_recurrent
from asrkit.nnet.train.utterances import Utterances
from tests.killed import Killed, MortalStore

CONFIG = RecurrentTrainingConfig(
    OptimiserConfig("adam", 0.02, clip=1.0), NewbobConfig(max_epochs=12), UtterancesConfig(150), "cpu", 1
)
LSTM = LstmConfig(1, 12, dropout=0.1)


def corpus(names: range, delay: int = 2) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The class says on which side of zero the frame ``delay`` ago lay; before the first, 0."""
    features, targets = {}, {}
    for name in names:
        rng = np.random.default_rng(name)
        length = 20 + 5 * (name % 7)
        signs = rng.integers(0, 2, length)
        value = np.stack([signs * 2.0 - 1.0, rng.normal(size=length)], 1) + rng.normal(0, 0.3, (length, 2))
        features[f"u{name:02d}"] = value.astype(np.float32)
        targets[f"u{name:02d}"] = np.concatenate([np.zeros(delay, int), signs[:-delay]]).astype(np.int32)
    return features, targets


def utterances_of(
    names: range, config: UtterancesConfig = CONFIG.utterances, delay: int = 2, device: str = "cpu"
) -> Utterances:
    features, targets = corpus(names, delay)
    normalisation = InputNormalisation.of(corpus(range(30))[0].values())
    lengths = {key: len(value) for key, value in features.items()}
    where = torch.device(device)
    return Utterances(features, list(features), normalisation, 0, 0, targets, config, where, lengths)


def build(config: NetworkConfig, seed: int = 1) -> SequenceNetwork:
    network = NetworkShape(config, 2, 1, 2).build(seed)
    assert isinstance(network, SequenceNetwork)
    return network


def train(
    config: NetworkConfig = LSTM,
    training: RecurrentTrainingConfig = CONFIG,
    store: CheckpointStore | None = None,
    seed: int = 1,
) -> tuple[SequenceNetwork, tuple[EpochReport, ...]]:
    network = build(config, seed)
    device = training.device
    sets = (utterances_of(names, training.utterances, device=device) for names in (range(30), range(30, 36)))
    return network, train_recurrent(network, *sets, training, seed, store)


@pytest.mark.parametrize("chunk", [0, 8])
@pytest.mark.parametrize(
    "config", [LSTM, GruConfig(1, 12), LiGruConfig(1, 24, batch_norm=False), FullyRecurrentConfig(12)]
)
def test_what_was_two_frames_ago_is_learned(config: NetworkConfig, chunk: int) -> None:
    """With frames of the past alone, also where the gradient ends eight frames ago."""
    network, reports = train(config, replace(CONFIG, utterances=UtterancesConfig(150, chunk)))
    assert reports[-1].heldout_accuracy > 0.95
    assert evaluate_utterances(network, utterances_of(range(30, 36))).accuracy > 0.95


def test_what_lies_behind_the_horizon_is_not() -> None:
    """A step for every two frames: the gradient never reaches the frame that decides."""
    _, reports = train(training=replace(CONFIG, utterances=UtterancesConfig(150, 1)))
    assert reports[-1].heldout_accuracy < 0.8


def test_sums_of_an_evaluation_are_those_of_the_formula() -> None:
    network = build(LSTM).eval()
    features, targets = corpus(range(30, 36))
    normalisation = InputNormalisation.of(corpus(range(30))[0].values())
    with torch.no_grad():
        scores = torch.cat([network(torch.from_numpy(normalisation.apply(value))) for value in features.values()])
    classes = torch.from_numpy(np.concatenate(list(targets.values())).astype(np.int64))
    for chunk in (0, 7):
        tally = evaluate_utterances(network, utterances_of(range(30, 36), UtterancesConfig(60, chunk)))
        assert tally.frames == len(classes)
        assert tally.loss == pytest.approx(float(functional.cross_entropy(scores, classes, reduction="sum")), rel=1e-5)
        assert tally.correct == int((scores.argmax(dim=1) == classes).sum())


def test_an_epoch_has_every_utterance_once_and_like_lengths_together() -> None:
    utterances = utterances_of(range(30))
    first, second, again = (utterances.batches(seed, epoch) for seed, epoch in ((1, 0), (1, 1), (1, 0)))
    lengths = {key: len(value) for key, value in corpus(range(30))[0].items()}
    for batches in (first, second):
        assert sorted(key for batch in batches for key in batch) == sorted(lengths)
        for batch in batches:
            found = [lengths[key] for key in batch]
            assert found == sorted(found, reverse=True)
            assert sum(found) <= 150
        assert np.mean([lengths[batch[-1]] / lengths[batch[0]] for batch in batches]) > 0.7
    assert first == again
    assert first != second


def test_frames_lie_where_their_targets_do_and_processes_share_them() -> None:
    utterances = utterances_of(range(8))
    features, targets = corpus(range(8))
    normalisation = InputNormalisation.of(corpus(range(30))[0].values())
    keys = {read.number: read for read in utterances.epoch(3, 0)}
    shares = [{read.number: read for read in utterances.epoch(3, 0, 0, part, 2)} for part in range(2)]
    for number, batch in enumerate(utterances.batches(3, 0)):
        whole = keys[number].batch
        assert whole is not None
        assert keys[number].longest == len(features[batch[0]])
        inputs = whole.packing.unpack(whole.inputs).split(list(whole.packing.lengths))
        classes = whole.packing.unpack(whole.targets).split(list(whole.packing.lengths))
        for key, rows, named in zip(batch, inputs, classes, strict=True):
            np.testing.assert_array_equal(rows.numpy(), normalisation.apply(features[key]))
            np.testing.assert_array_equal(named.numpy(), targets[key])
        parts = [share[number].batch for share in shares]
        assert sum(0 if part is None else part.packing.num_rows for part in parts) == whole.packing.num_rows
    assert [read.number for read in utterances.epoch(3, 0, 2)] == list(range(2, len(keys)))


def test_same_seed_same_bits() -> None:
    first, second, other = (to_arrays(train(seed=seed)[0]) for seed in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert not np.array_equal(first["output.weight"], other["output.weight"])


@pytest.mark.parametrize("kill_at", [1, 4, 7])
@pytest.mark.parametrize("chunk", [0, 8])
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path, kill_at: int, chunk: int) -> None:
    config = replace(CONFIG, utterances=UtterancesConfig(150, chunk), newbob=NewbobConfig(max_epochs=3))
    expected, reports = train(training=config)

    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Killed):
        train(training=config, store=MortalStore(path, "key", kill_at))
    found, resumed = train(training=config, store=CheckpointStore(path, "key"))
    arrays = to_arrays(found)
    for name, array in to_arrays(expected).items():
        np.testing.assert_array_equal(arrays[name], array)
    without_speed = [[replace(report, frames_per_sec=0) for report in run] for run in (reports, resumed)]
    assert without_speed[0] == without_speed[1]


def test_utterances_that_lie_one_below_the_other_are_scored_each_by_itself() -> None:
    inputs, lengths = torch.randn(9, 2, generator=torch.Generator().manual_seed(0)), [3, 6]
    network = build(LSTM).eval()
    expected = torch.cat([network(inputs[:3]), network(inputs[3:])])
    torch.testing.assert_close(scores_of(network, inputs, lengths), expected)
    assert not torch.allclose(network(inputs), expected)
    plain = NetworkShape(MlpConfig(1, 4), 2, 1, 2).build()
    assert torch.equal(scores_of(plain, inputs, lengths), plain(inputs))


def test_what_cannot_be_trained_on_is_refused() -> None:
    with pytest.raises(ConfigError, match="reads utterances from their ends"):
        train(LstmConfig(1, 4, True), replace(CONFIG, utterances=UtterancesConfig(150, 8)))
    with pytest.raises(DataError, match="no utterances"):
        utterances_of(range(0))
    with pytest.raises(ConfigError, match="batch_frames is 0"):
        UtterancesConfig(0)
    features, targets = corpus(range(2))
    lengths = {"u00": 20, "u01": 24}
    wrong = Utterances(
        features,
        list(features),
        InputNormalisation.of(features.values()),
        0,
        0,
        targets,
        UtterancesConfig(),
        torch.device("cpu"),
        lengths,
    )
    with pytest.raises(DataError, match=r"u01.*expected \(24, 2\)"):
        list(wrong.in_order())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize(
    "config",
    [
        FullyRecurrentConfig(12),
        ElmanConfig(2, 12),
        LstmConfig(2, 12, peepholes=True),
        LstmConfig(1, 12, bidirectional=True),
        GruConfig(1, 12),
        LiGruConfig(1, 24, batch_norm=False),
    ],
)
def test_a_gpu_trains_to_what_a_cpu_does(config: NetworkConfig) -> None:
    both = [train(config, replace(CONFIG, device=device)) for device in ("cpu", "cuda")]  # type: ignore[arg-type]
    (on_cpu, cpu), (on_gpu, gpu) = both
    for one, other in zip(cpu[:3], gpu[:3], strict=True):
        assert (other.loss, other.heldout_loss) == pytest.approx((one.loss, one.heldout_loss), rel=1e-2)
    assert gpu[-1].heldout_accuracy > 0.95
    inputs = torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = on_cpu.double()(inputs.double())
        torch.testing.assert_close(on_cpu.float().cuda()(inputs.cuda()).cpu().double(), expected, rtol=1e-3, atol=1e-3)
    assert next(on_gpu.parameters()).device.type == "cpu"
