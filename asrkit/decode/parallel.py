"""Many utterances, several settings, several threads, one shared graph."""

from __future__ import annotations

import functools
import queue
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import AsrkitError
from asrkit.core.jobs import map_in_order
from asrkit.decode.config import SearchConfig
from asrkit.decode.graph import SearchGraph
from asrkit.decode.reading import GridReading, Reading
from asrkit.decode.search import BeamSearch, SearchResult

Blocks = Iterable[NDArray[np.float32]]


@dataclass(frozen=True)
class Decoded:
    """What became of one utterance.

    Attributes
    ----------
    utterance_id : str
        Whose.
    results : tuple of SearchResult
        One for each setting, in their order; empty when there is an error. Without its lattice where that was read.
    reading : Reading or None
        What was read off the lattice.
    error : AsrkitError or None
        Why there is no result.
    loglike_secs, search_secs, reading_secs : float
        CPU time of the loglikes, of all searches together, and of the reading.
    """

    utterance_id: str
    results: tuple[SearchResult, ...]
    error: AsrkitError | None
    loglike_secs: float
    search_secs: float
    reading_secs: float = 0.0
    reading: Reading | None = None


def decode_many(
    graph: SearchGraph,
    configs: Sequence[SearchConfig],
    utterance_ids: Sequence[str],
    loglikes: Callable[[str], Blocks],
    num_jobs: int = 1,
    reading: GridReading | None = None,
) -> Iterator[Decoded]:
    """Search every utterance under every setting; yield in the order of ``utterance_ids``.

    Threads share the graph, since the kernels run without Python's lock; the result is the same for any
    ``num_jobs``. A user's error (:class:`AsrkitError`) stops its utterance only.

    Parameters
    ----------
    configs : sequence of SearchConfig
        The settings, at least one. With one, an utterance's blocks are searched as they come and forgotten; with
        several, they are computed once and kept until the utterance is done.
    loglikes : callable
        utterance_id -> blocks ``(num_frames, num_pdfs)`` float32 of the utterance, in order.
    reading : GridReading, optional
        Reads the lattices; every search must then have a lattice beam.
    """
    work = functools.partial(_decode_one, _SearchPool(graph), tuple(configs), loglikes, reading)
    return map_in_order(work, utterance_ids, num_jobs, kind="threads")


class _SearchPool:
    """Searches over one graph, for as many threads as ask at a time; their memory is used again."""

    def __init__(self, graph: SearchGraph) -> None:
        self.graph = graph
        # Fold once, before several threads could.
        _ = graph.arrays
        self._idle: queue.SimpleQueue[BeamSearch] = queue.SimpleQueue()

    def __reduce__(self) -> tuple[type[_SearchPool], tuple[SearchGraph]]:
        return _SearchPool, (self.graph,)

    def take(self) -> BeamSearch:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return BeamSearch(self.graph)

    def give_back(self, search: BeamSearch) -> None:
        self._idle.put(search)


def _decode_one(
    pool: _SearchPool,
    configs: tuple[SearchConfig, ...],
    loglikes: Callable[[str], Blocks],
    reading: GridReading | None,
    utterance_id: str,
) -> Decoded:
    clock = _Clock()
    search = pool.take()
    results: list[SearchResult] = []
    read: Reading | None = None
    searched = 0.0
    error: AsrkitError | None = None
    try:
        blocks = clock.over(loglikes(utterance_id))
        if len(configs) > 1:
            blocks = list(blocks)
        for config in configs:
            search.start(config)
            for block in blocks:
                search.advance(block)
            results.append(search.finish())
        searched = clock.outside
        if reading is not None:
            read = reading(results, configs)
            results = [replace(result, lattice=None) for result in results]
    except AsrkitError as caught:
        results, error, read = [], caught, None
    finally:
        pool.give_back(search)
    return Decoded(utterance_id, tuple(results), error, clock.inside, searched, clock.outside - searched, read)


class _Clock:
    """Tells the CPU time of this thread spent inside an iterator from the time spent elsewhere."""

    def __init__(self) -> None:
        self._started = time.thread_time()
        self.inside = 0.0

    @property
    def outside(self) -> float:
        return time.thread_time() - self._started - self.inside

    def over(self, blocks: Blocks) -> Blocks:
        iterator = iter(blocks)
        while True:
            before = time.thread_time()
            block = next(iterator, None)
            self.inside += time.thread_time() - before
            if block is None:
                return
            yield block
