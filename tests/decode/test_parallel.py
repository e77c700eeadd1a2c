"""Many utterances in threads: the same results as one by one, whatever the number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from asrkit.core.errors import DataError, ModelError
from asrkit.decode.config import SearchConfig
from asrkit.decode.graph import SearchGraph
from asrkit.decode.parallel import decode_many
from asrkit.decode.search import BeamSearch
from tests.decode.test_search import assert_same, random_sparse

CONFIG = SearchConfig(beam=6.0, max_active=60, min_active=10, acoustic_scale=1.0)
SETTINGS = (CONFIG, replace(CONFIG, acoustic_scale=0.5), replace(CONFIG, word_insertion_penalty=1.5))
IDS = [f"u{number}" for number in range(9)]


def matrix(utterance_id: str) -> NDArray[np.float32]:
    number = int(utterance_id[1:])
    return np.random.default_rng(number).normal(size=(10 + 7 * number, 30)).astype(np.float32)


def blocks(utterance_id: str) -> Iterator[NDArray[np.float32]]:
    yield from np.array_split(matrix(utterance_id), 3)


def graph() -> SearchGraph:
    tiny, identity = random_sparse()
    return SearchGraph(tiny.arrays(), identity, 30)


@pytest.mark.parametrize("num_jobs", [1, 2, 4])
def test_results_do_not_depend_on_the_threads(num_jobs: int) -> None:
    shared = graph()
    decoded = list(decode_many(shared, SETTINGS, IDS, blocks, num_jobs))
    assert [one.utterance_id for one in decoded] == IDS
    for one in decoded:
        assert one.error is None
        assert one.search_secs > 0
        assert len(one.results) == len(SETTINGS)
        for config, result in zip(SETTINGS, one.results):
            assert_same(result, BeamSearch(shared, config).decode(matrix(one.utterance_id)))
    assert any(one.results[0].words != one.results[2].words for one in decoded)


def test_one_setting_is_searched_as_the_blocks_come() -> None:
    alive = 0

    def counted(utterance_id: str) -> Iterator[NDArray[np.float32]]:
        nonlocal alive
        for block in blocks(utterance_id):
            alive += 1
            yield block

    first = next(decode_many(graph(), [CONFIG], IDS, counted))
    assert first.results[0].num_frames == 10
    assert alive == 3


@pytest.mark.parametrize("num_jobs", [1, 2])
def test_an_error_stops_its_utterance_alone(num_jobs: int) -> None:
    def broken(utterance_id: str) -> Iterator[NDArray[np.float32]]:
        if utterance_id == "u3":
            raise DataError("features are damaged", where=utterance_id)
        for block in blocks(utterance_id):
            yield np.full_like(block, np.nan) if utterance_id == "u5" else block

    decoded = {one.utterance_id: one for one in decode_many(graph(), SETTINGS, IDS, broken, num_jobs)}
    assert list(decoded) == IDS
    assert "damaged" in str(decoded["u3"].error)
    assert isinstance(decoded["u5"].error, ModelError)
    assert decoded["u5"].results == ()
    assert all(len(decoded[key].results) == 3 for key in IDS if key not in ("u3", "u5"))


def test_what_is_not_a_users_error_is_not_hidden() -> None:
    def buggy(utterance_id: str) -> Iterator[NDArray[np.float32]]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(decode_many(graph(), [CONFIG], IDS, buggy))
