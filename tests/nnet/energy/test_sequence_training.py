"""Minibatches, training and scores of sequence models: planted tasks, resuming, and files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asrkit.core.container import load_model, save_model
from asrkit.core.errors import ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.config import CdConfig
from asrkit.nnet.energy.recurrence import ConditionalModel
from asrkit.nnet.energy.sequence_batches import chunks, minibatches
from asrkit.nnet.energy.sequence_config import (
    PredictionConfig,
    RecurrenceConfig,
    RnnNadeConfig,
    RnnRbmConfig,
    RtrbmConfig,
    SequenceTrainingConfig,
)
from asrkit.nnet.energy.sequence_file import load_sequence_model, new_model, save_sequence_model
from asrkit.nnet.energy.sequence_scores import score_sequences
from asrkit.nnet.energy.sequence_training import SequenceTrainer, pretrain_rbm
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.nnet.train.config import OptimiserConfig
from asrkit.nnet.train.plateau import PlateauConfig

V = 6


def planted(num_sequences: int, seed: int) -> list[np.ndarray]:
    """Two of six units are on, and move up by one each step; where they begin is drawn."""
    rng = np.random.default_rng(seed)
    sequences = []
    for _ in range(num_sequences):
        number, length = rng.integers(V), rng.integers(5, 14)
        frames = np.zeros((length, V), np.uint8)
        for t in range(length):
            frames[t, (number + t) % V] = frames[t, (number + t + 2) % V] = 1
        sequences.append(frames)
    return sequences


CONFIGS: dict[str, Any] = {
    "rnn-rbm": RnnRbmConfig(12, 5, RecurrenceConfig(units=12)),
    "rtrbm": RtrbmConfig(12, 5),
    "rnn-nade": RnnNadeConfig(8, RecurrenceConfig(cell="gru", units=12, dropout=0.1)),
}


def training(max_epochs: int, rate: float = 0.02) -> SequenceTrainingConfig:
    return SequenceTrainingConfig(
        OptimiserConfig(kind="adam", learning_rate=rate, clip=5.0),
        PlateauConfig(max_epochs=max_epochs, patience=max_epochs),
        batch_size=8,
        chunk_steps=6,
        watched_steps=0,
        threads=1,
        checkpoint_secs=0,
    )


def trainer(kind: str, store: Path, max_epochs: int, rate: float = 0.02) -> SequenceTrainer:
    model = new_model(kind, V, CONFIGS[kind], Draws(0, "model"))
    return SequenceTrainer(model, training(max_epochs, rate), 0, CheckpointStore(store, "key", 0.0))


# Minibatches


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(1, 7), st.integers(0, 99))
def test_every_sequence_is_in_one_minibatch(lengths: list[int], size: int, seed: int) -> None:
    for stream in (None, np.random.default_rng(seed)):
        batches = minibatches(lengths, size, stream)
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
        for batch in batches:
            assert len(batch) <= size
            assert [lengths[one] for one in batch] == sorted((lengths[one] for one in batch), reverse=True)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 9))
def test_chunks_hold_every_step_once(lengths: list[int], chunk_steps: int) -> None:
    sequences = [np.full((length, 2), number + 1) for number, length in enumerate(sorted(lengths, reverse=True))]
    found: list[list[float]] = [[] for _ in sequences]
    for chunk in chunks(sequences, chunk_steps):
        assert chunk.inside.any(dim=1).all()
        for row, (frames, inside) in enumerate(zip(chunk.frames, chunk.inside)):
            assert not frames[~inside].any()
            found[row] += frames[inside][:, 1].tolist()
    assert found == [[number + 1.0] * len(one) for number, one in enumerate(sequences)]


# Training


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_planted_melody_is_learned(kind: str, tmp_path: Path) -> None:
    learner = trainer(kind, tmp_path / "store", 40)
    if kind != "rnn-nade":
        pretrain_rbm(learner.model, planted(60, 1), 5, CdConfig(learning_rate=0.1), 0)
    learner.train(planted(60, 1), planted(20, 2))
    test = planted(30, 3)
    config = PredictionConfig(ais_runs=50, ais_temperatures=50)
    score = score_sequences(learner.model, test, config, Draws(0, "score"))
    # Only where it begins is unknown: log 6 nats for each sequence. A model of single frames needs them at each step.
    unknown = len(test) * math.log(6) / sum(len(one) for one in test)
    assert -2 * unknown - 0.15 < score.log_likelihood < -unknown + 0.1 + 3 * score.error
    assert score.least > -30
    assert score.num_steps == sum(len(one) for one in test)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_killed_training_goes_on_to_the_same_bits(kind: str, tmp_path: Path) -> None:
    data, held_out = planted(20, 1), planted(6, 2)
    whole = trainer(kind, tmp_path / "whole", 4)
    assert not whole.resume()
    whole.train(data, held_out)
    part = trainer(kind, tmp_path / "part", 4)

    class KilledError(Exception):
        pass

    def fall(items: Any, *, total: int | None, label: str) -> Any:
        if label == "epoch 3":
            raise KilledError
        return iter(items)

    with pytest.raises(KilledError):
        part.train(data, held_out, fall)
    again = trainer(kind, tmp_path / "part", 4)
    assert again.resume()
    again.train(data, held_out)
    for one, other in zip(whole.model.parameters(), again.model.parameters()):
        assert torch.equal(one, other)
    same = [[row["cost"] for row in learner.history] for learner in (whole, again)]
    assert same[0] == same[1]
    assert len(same[0]) == 4


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    learner = trainer("rnn-nade", tmp_path / "store", 6, rate=1.0)
    data, held_out = planted(20, 1), planted(6, 2)
    plateau = learner.train(data, held_out)
    score = score_sequences(learner.model, held_out, PredictionConfig(), Draws(0, "x"))
    assert score.log_likelihood == pytest.approx(-plateau.loss, abs=1e-6)
    assert plateau.loss == pytest.approx(-max(row["held_out_log_likelihood"] for row in learner.history))


# Scores


@pytest.mark.parametrize("every", [1, 3])
def test_scores_are_of_the_steps_asked_for(every: int) -> None:
    model = new_model("rnn-nade", V, CONFIGS["rnn-nade"], Draws(0, "model"))
    sequences = planted(40, 5)
    total = sum(len(one) for one in sequences)
    heard: list[np.ndarray] = []
    score = score_sequences(
        model, sequences, PredictionConfig(), Draws(0, "x"), total // every, lambda v, p: heard.append(v)
    )
    found = []
    for batch in minibatches([len(one) for one in sequences], 16):
        for number in batch:
            v = torch.from_numpy(sequences[number].astype(np.float32))
            before, _ = model.scan(v[None], model.start(1))
            found += model.log_likelihood(v, before[0]).tolist()  # type: ignore[operator]
    if every == 1:
        assert score.log_likelihood == pytest.approx(np.mean(found), abs=1e-6)
        assert score.least == pytest.approx(min(found), abs=1e-5)
    else:
        # Of a part of the steps, drawn without regard to them: near the mean of all.
        assert score.log_likelihood == pytest.approx(np.mean(found), abs=0.5)
    assert score.num_steps == total // every == sum(map(len, heard))
    assert (score.error, score.excess) == (0, 0)


# Files


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_model_is_read_as_it_was_written(kind: str, tmp_path: Path) -> None:
    model: ConditionalModel = new_model(kind, V, CONFIGS[kind], Draws(3, "model"))
    save_sequence_model(tmp_path / "a", model, {"more": 7})
    read, meta = load_sequence_model(tmp_path / "a")
    assert (read.kind, read.config, meta["more"]) == (kind, CONFIGS[kind], 7)
    for name, value in model.state_dict().items():
        assert torch.equal(value, read.state_dict()[name])


def test_a_file_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    model = new_model("rtrbm", V, CONFIGS["rtrbm"], Draws(3, "model"))
    save_sequence_model(tmp_path / "a", model, {})
    arrays, meta = load_model(tmp_path / "a", "sequence-model")
    for broken in ({**meta, "num_visible": 5}, {**meta, "model": "else"}, {}):
        save_model(tmp_path / "b", "sequence-model", arrays, broken)
        with pytest.raises(ModelError, match="does not fit its description"):
            load_sequence_model(tmp_path / "b")
    name = sorted(arrays)[0]
    save_model(tmp_path / "b", "sequence-model", {**arrays, name: arrays[name] * np.nan}, meta)
    with pytest.raises(ModelError, match=f"{name} is not finite"):
        load_sequence_model(tmp_path / "b")


# Both devices


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@GPU
def test_a_gpu_trains_a_nade_to_what_a_cpu_does(tmp_path: Path) -> None:
    config = RnnNadeConfig(8, RecurrenceConfig(cell="gru", units=12))
    histories = []
    for device in ("cpu", "cuda"):
        model = new_model("rnn-nade", V, config, Draws(0, "model")).to(device)
        learner = SequenceTrainer(model, training(5), 0, CheckpointStore(tmp_path / device, "key", 1e9))
        learner.train(planted(40, 1), planted(10, 2))
        histories.append([(row["cost"], row["held_out_log_likelihood"]) for row in learner.history])
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-2)


@GPU
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_gpu_learns_and_foretells_as_a_cpu_does(kind: str, tmp_path: Path) -> None:
    model = new_model(kind, V, CONFIGS[kind], Draws(0, "model")).to("cuda")
    if kind != "rnn-nade":
        pretrain_rbm(model, planted(60, 1), 5, CdConfig(learning_rate=0.1), 0)
    learner = SequenceTrainer(model, training(40), 0, CheckpointStore(tmp_path / "store", "key", 1e9))
    learner.train(planted(60, 1), planted(20, 2))
    test, config = planted(30, 3), PredictionConfig(ais_runs=50, ais_temperatures=50)
    found = {}
    for device in ("cuda", "cpu"):
        model.to(device)
        found[device] = score_sequences(model, test, config, Draws(0, "score", device=torch.device(device)))
    unknown = len(test) * math.log(6) / sum(len(one) for one in test)
    assert found["cuda"].log_likelihood > -2 * unknown - 0.15
    error = math.hypot(found["cuda"].error, found["cpu"].error)
    assert abs(found["cuda"].log_likelihood - found["cpu"].log_likelihood) < 4 * error + 1e-3
