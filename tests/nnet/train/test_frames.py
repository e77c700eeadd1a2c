"""Frames as minibatches: every frame once, beside the neighbours it has, in an order that a seed decides."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError, DataError
from asrkit.features.splice import splice
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.train.config import FramesConfig
from asrkit.nnet.train.frames import Chunk, Frames

DIM, LEFT, RIGHT = 3, 2, 1
NORMALISATION = InputNormalisation(np.array([-5, -4, -6], np.float32), np.array([0.3, 0.4, 0.2], np.float32))


def corpus(lengths: list[int], seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {f"u{i}": rng.normal(5.0, 3.0, (n, DIM)).astype(np.float32) for i, n in enumerate(lengths)}


def targets_of(features: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A class of its own for every frame of the corpus, by which it is known again."""
    starts = np.cumsum([0, *(len(value) for value in features.values())])
    return {key: np.arange(start, start + len(features[key]), dtype=np.int32) for key, start in zip(features, starts)}


def frames_of(features: dict[str, np.ndarray], batch_size: int = 7, buffer_frames: int = 40) -> Frames:
    return Frames(
        features,
        list(features),
        NORMALISATION,
        LEFT,
        RIGHT,
        targets_of(features),
        FramesConfig(batch_size, buffer_frames),
    )


def expected_rows(features: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([splice(NORMALISATION.apply(value), LEFT, RIGHT) for value in features.values()])


def drawn(chunks: list[Chunk], batch_size: int = 7) -> tuple[np.ndarray, np.ndarray]:
    batches = [batch for chunk in chunks for batch in chunk.minibatches(batch_size)]
    return (
        np.concatenate([batch.inputs.numpy() for batch in batches]),
        np.concatenate([batch.targets.numpy() for batch in batches if batch.targets is not None]),
    )


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 100), st.integers(1, 20))
def test_an_epoch_holds_every_frame_once_with_its_neighbours_and_target(
    lengths: list[int], buffer_frames: int, batch_size: int
) -> None:
    features = corpus(lengths)
    frames = frames_of(features, batch_size, buffer_frames)
    inputs, targets = drawn(list(frames.epoch(seed=3, epoch=1)), batch_size)
    assert sorted(targets) == list(range(sum(lengths)))
    np.testing.assert_array_equal(inputs, expected_rows(features)[targets])


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 100))
def test_chunks_stay_within_the_buffer_but_for_half_an_utterance_at_either_end(
    lengths: list[int], buffer_frames: int
) -> None:
    frames = frames_of(corpus(lengths), buffer_frames=buffer_frames)
    for chunk in frames.epoch(seed=0, epoch=0):
        assert len(chunk) <= max(buffer_frames, max(lengths)) + max(lengths)


def test_minibatches_of_a_chunk_are_of_equal_size() -> None:
    chunk = next(frames_of(corpus([50, 53]), buffer_frames=1000).epoch(0, 0))
    sizes = [len(batch.inputs) for batch in chunk.minibatches(20)]
    assert sum(sizes) == 103
    assert len(sizes) == 6
    assert max(sizes) - min(sizes) <= 1


def test_seed_and_epoch_decide_the_order_and_nothing_else_does() -> None:
    features = corpus([30, 20, 40, 11])
    frames = frames_of(features)

    def order(seed: int, epoch: int) -> list[int]:
        return drawn(list(frames.epoch(seed, epoch)))[1].tolist()

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(*which)) for which in ((1, 0), (1, 1), (2, 0))}) == 3
    assert drawn(list(frames.in_order()))[1].tolist() == list(range(101))


def test_an_epoch_goes_on_where_it_was_left() -> None:
    frames = frames_of(corpus([30, 20, 40, 11, 25]))
    chunks = list(frames.epoch(5, 2))
    assert len(chunks) == frames.num_chunks == 4
    resumed = list(frames.epoch(5, 2, first_chunk=2))
    assert [chunk.number for chunk in resumed] == [2, 3]
    np.testing.assert_array_equal(drawn(resumed)[1], drawn(chunks[2:])[1])


def test_parts_of_a_minibatch_make_the_whole() -> None:
    chunk = next(frames_of(corpus([30, 21]), buffer_frames=100).epoch(0, 0))
    whole = list(chunk.minibatches(8))
    parts = [list(chunk.minibatches(8, part, 3)) for part in range(3)]
    for index, batch in enumerate(whole):
        assert batch.targets is not None
        together = torch.cat([part[index].targets for part in parts])  # type: ignore[misc]
        assert sorted(together.tolist()) == sorted(batch.targets.tolist())


def test_memory_holds_two_chunks() -> None:
    """What is read is at most one chunk ahead of what is used."""
    features = corpus([10] * 20)
    read: list[str] = []
    lock = threading.Lock()

    class Watched(dict[str, np.ndarray]):
        def __getitem__(self, key: str) -> np.ndarray:
            with lock:
                read.append(key)
            return super().__getitem__(key)

    frames = Frames(
        Watched(features),
        list(features),
        InputNormalisation.of(features.values()),
        config=FramesConfig(8, 20),
        num_frames=dict.fromkeys(features, 10),
    )
    used = 0
    for chunk in frames.epoch(0, 0):
        used += len(chunk)
        assert 10 * len(read) <= used + 20
    assert used == 200


def test_what_does_not_fit_is_named() -> None:
    features = corpus([5, 6])
    normalisation = InputNormalisation.of(features.values())
    with pytest.raises(DataError, match="no utterances"):
        Frames(features, [], normalisation)
    with pytest.raises(DataError, match="u1: no frames"):
        Frames({**features, "u1": np.empty((0, DIM), np.float32)}, list(features), normalisation)
    wrong = {"u0": np.zeros(5, np.int32), "u1": np.zeros(7, np.int32)}
    with pytest.raises(DataError, match=r"u1: \(7,\) targets for 6 frames"):
        list(Frames(features, list(features), normalisation, targets=wrong).in_order())
    narrow = InputNormalisation(np.zeros(2, np.float32), np.ones(2, np.float32))
    with pytest.raises(DataError, match=r"u0: features of shape \(5, 3\), expected \(5, 2\)"):
        list(Frames(features, list(features), narrow).in_order())
    with pytest.raises(ConfigError, match="batch_size is 0"):
        FramesConfig(batch_size=0)
