"""Speed of the beam search and of its lattices against kaldi-decoder, on the same graph and matrix, in one process.

Both search the same OpenFst graph, in memory before the clock starts, over the same float32 matrix. kaldi-decoder
reads it through its own C++ ``DecodableCtc`` (label i is column i - 1; no Python callback), at acoustic scale 1;
ours does its scaling and its traceback inside the measured time, theirs the traceback outside. kaldi-decoder keeps
Python's lock while it decodes, so its two threads run one after the other; so it is for anyone who uses it from Python.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kaldi_decoder
import kaldifst
import numpy as np
import pytest
from numpy.typing import NDArray

from asrkit.decode.config import SearchConfig
from asrkit.decode.graph import SearchGraph
from asrkit.decode.search import BeamSearch, SearchResult
from asrkit.graph.arrays import load_graph
from asrkit.graph.fst import FstArrays, write_fst

NUM_STATES, NUM_ARCS, NUM_PDFS = 200_000, 600_000, 2_000
NUM_FRAMES, ROUNDS = 100, 7


@pytest.fixture(scope="module")
def graph_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random graph: every state has an arc at least, every tenth arc is an epsilon, every tenth has a word."""
    rng = np.random.default_rng(0)
    source = rng.integers(0, NUM_STATES, NUM_ARCS)
    source[:NUM_STATES] = np.arange(NUM_STATES)
    ilabel = np.where(rng.random(NUM_ARCS) < 0.1, 0, rng.integers(1, NUM_PDFS + 1, NUM_ARCS))
    olabel = np.where(rng.random(NUM_ARCS) < 0.1, rng.integers(1, 20_000, NUM_ARCS), 0)
    cost = rng.exponential(1.0, NUM_ARCS)
    final = np.where(rng.random(NUM_STATES) < 0.1, 1.0, np.inf)
    fst = FstArrays.from_arcs(0, final, source, ilabel, olabel, cost, rng.integers(0, NUM_STATES, NUM_ARCS))
    path = tmp_path_factory.mktemp("graph") / "random.fst"
    write_fst(path, fst)
    return path


class Peers:
    """Both decoders over one graph; each call decodes one matrix and returns the cost of the best path."""

    def __init__(self, path: Path, config: SearchConfig) -> None:
        identity = np.arange(-1, NUM_PDFS, dtype=np.int32)
        self.config = config
        self.graph = SearchGraph(load_graph(path), identity, NUM_PDFS)
        self.fst = kaldifst.StdConstFst.read(str(path))
        self.options = kaldi_decoder.FasterDecoderOptions(
            beam=config.beam, max_active=config.max_active, min_active=config.min_active, beam_delta=config.beam_delta
        )

    def ours(self) -> Callable[[NDArray[np.float32]], float]:
        search = BeamSearch(self.graph, self.config)
        return lambda matrix: search.decode(matrix).total_cost

    def theirs(self) -> Callable[[NDArray[np.float32]], kaldi_decoder.FasterDecoder]:
        decoder = kaldi_decoder.FasterDecoder(self.fst, self.options)

        def decode(matrix: NDArray[np.float32]) -> kaldi_decoder.FasterDecoder:
            decoder.decode(kaldi_decoder.DecodableCtc(matrix))
            return decoder

        return decode


def cost_of(decoder: kaldi_decoder.FasterDecoder) -> float:
    ok, lattice = decoder.get_best_path()
    assert ok
    weight = kaldifst.get_linear_symbol_sequence(lattice)[3]
    return float(weight.value1 + weight.value2)


def matrices(count: int) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(NUM_FRAMES, NUM_PDFS)).astype(np.float32) for _ in range(count)]


def secs(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@pytest.mark.bench
@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("max_active", [7000, 1000])
def test_search_against_kaldi_decoder(
    graph_path: Path, max_active: int, num_threads: int, capsys: pytest.CaptureFixture[str]
) -> None:
    peers = Peers(graph_path, SearchConfig(beam=13.0, max_active=max_active, acoustic_scale=1.0))
    work = matrices(num_threads)
    ours = [peers.ours() for _ in work]
    theirs = [peers.theirs() for _ in work]
    with ThreadPoolExecutor(num_threads) as threads:

        def all_of_ours() -> list[float]:
            return list(threads.map(lambda pair: pair[0](pair[1]), zip(ours, work)))

        def all_of_theirs() -> list[kaldi_decoder.FasterDecoder]:
            return list(threads.map(lambda pair: pair[0](pair[1]), zip(theirs, work)))

        our_costs, their_costs = all_of_ours(), [cost_of(decoder) for decoder in all_of_theirs()]
        np.testing.assert_allclose(our_costs, their_costs, rtol=0.02)
        times = [(secs(all_of_ours), secs(all_of_theirs)) for _ in range(ROUNDS)]
    ratios = [theirs / ours for ours, theirs in times]
    frames = NUM_FRAMES * num_threads
    with capsys.disabled():
        print(
            f"\nsearch, beam 13, max-active {max_active}, {num_threads} thread(s): "
            f"asrkit {frames / statistics.median(time for time, _ in times):.0f} frames/s, "
            f"kaldi-decoder {frames / statistics.median(time for _, time in times):.0f}; "
            f"ratio {statistics.median(ratios):.1f} (median of {ROUNDS}, {min(ratios):.1f} to {max(ratios):.1f}); "
            f"best-path cost {our_costs[0]:.4f} and {their_costs[0]:.4f}"
        )


@pytest.mark.bench
@pytest.mark.parametrize("num_threads", [1, 2])
def test_lattices_against_kaldi_decoder(graph_path: Path, num_threads: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Raw lattices, as both searches end with them; LatticeSimpleDecoder knows no max-active."""
    config = SearchConfig(beam=7.0, max_active=10**6, min_active=0, acoustic_scale=1.0, lattice_beam=5.0)
    peers = Peers(graph_path, config)
    options = kaldi_decoder.LatticeSimpleDecoderConfig(beam=config.beam, lattice_beam=config.lattice_beam)
    work = matrices(num_threads)
    ours = [BeamSearch(peers.graph, config) for _ in work]
    theirs = [kaldi_decoder.LatticeSimpleDecoder(peers.fst, options) for _ in work]

    def one_of_theirs(pair: tuple[kaldi_decoder.LatticeSimpleDecoder, NDArray[np.float32]]) -> kaldifst.Lattice:
        decoder, matrix = pair
        assert decoder.decode(kaldi_decoder.DecodableCtc(matrix))
        return decoder.get_raw_lattice()[1]

    with ThreadPoolExecutor(num_threads) as threads:

        def all_of_ours() -> list[SearchResult]:
            return list(threads.map(lambda pair: pair[0].decode(pair[1]), zip(ours, work)))

        def all_of_theirs() -> list[kaldifst.Lattice]:
            return list(threads.map(one_of_theirs, zip(theirs, work)))

        results, lattices = all_of_ours(), all_of_theirs()
        costs = [cost_of(decoder) for decoder in theirs]
        np.testing.assert_allclose([result.total_cost for result in results], costs, rtol=1e-4)
        times = [(secs(all_of_ours), secs(all_of_theirs)) for _ in range(ROUNDS)]
    ratios = [theirs / ours for ours, theirs in times]
    frames = NUM_FRAMES * num_threads
    lattice = results[0].lattice
    assert lattice is not None
    with capsys.disabled():
        print(
            f"\nlattices, beam {config.beam:g}, lattice beam {config.lattice_beam:g}, {num_threads} thread(s): "
            f"asrkit {frames / statistics.median(time for time, _ in times):.0f} frames/s, "
            f"kaldi-decoder {frames / statistics.median(time for _, time in times):.0f}; "
            f"ratio {statistics.median(ratios):.1f} (median of {ROUNDS}, {min(ratios):.1f} to {max(ratios):.1f}); "
            f"{lattice.num_arcs} and {num_arcs(lattices[0])} arcs; "
            f"best-path cost {results[0].total_cost:.4f} and {costs[0]:.4f}"
        )


def num_arcs(fst: kaldifst.Lattice) -> int:
    return sum(fst.num_arcs(state) for state in range(fst.num_states))
