"""The beam search against enumeration, a dense Viterbi, and kaldi-decoder; invariances with twins that must differ."""

from __future__ import annotations

import math
from dataclasses import replace

import kaldi_decoder
import kaldifst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asrkit.core.errors import AsrkitError, ConfigError, DataError, GraphError, ModelError
from asrkit.decode import kernels
from asrkit.decode.config import SearchConfig
from asrkit.decode.graph import SearchGraph
from asrkit.decode.search import BeamSearch, SearchResult
from tests.decode.graphs import (
    TinyGraph,
    best_cost_by_dense_viterbi,
    enumerate_paths,
    random_loglikes,
    random_tiny,
)

WIDE = SearchConfig(beam=1e4, max_active=10**6, min_active=0, acoustic_scale=0.7)
# Pdfs in another order than labels, and fewer of them.
TID_TO_PDF = np.array([-1, 2, 0, 1, 2], dtype=np.int32)
# Costs agree to float32 rounding of the frames' costs.
COST_TOLERANCE = 1e-4


def folded(graph: TinyGraph, tid_to_pdf: NDArray[np.int32] = TID_TO_PDF, num_pdfs: int = 3) -> SearchGraph:
    return SearchGraph(graph.arrays(), tid_to_pdf, num_pdfs)


def search(graph: SearchGraph, config: SearchConfig, loglikes: NDArray[np.float32]) -> SearchResult | None:
    try:
        return BeamSearch(graph, config).decode(loglikes)
    except DataError:
        return None


def random_sparse(
    num_states: int = 400, num_arcs: int = 1300, num_labels: int = 30, seed: int = 5
) -> tuple[TinyGraph, NDArray[np.int32]]:
    """A graph that is large enough for pruning, with every state emitting, and the identity as tid_to_pdf."""
    rng = np.random.default_rng(seed)
    tiny = random_tiny(rng, num_states, num_arcs, num_labels, num_epsilons=150, lowest_epsilon_cost=0.0)
    ring = tuple((s, (s + 1) % num_states, 1 + s % num_labels, 0, 0.5) for s in range(num_states))
    return replace(tiny, arcs=tiny.arcs + ring), np.arange(-1, num_labels, dtype=np.int32)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 5), st.sampled_from([0.0, 0.8, -0.6]))
def test_enumeration_of_all_paths(seed: int, num_frames: int, penalty: float) -> None:
    rng = np.random.default_rng(seed)
    tiny = random_tiny(rng)
    loglikes = random_loglikes(rng, num_frames, 3)
    if rng.random() < 0.3 and num_frames:
        loglikes[rng.integers(num_frames), rng.integers(3)] = -np.inf
    config = replace(WIDE, word_insertion_penalty=penalty)
    paths = enumerate_paths(tiny, loglikes, TID_TO_PDF, config.acoustic_scale, penalty)
    result = search(folded(tiny), config, loglikes)
    assert (result is None) == (not paths)
    if result is None:
        return
    assert result.reached_final == any(path.final for path in paths)
    paths = [path for path in paths if path.final == result.reached_final]
    least = min(path.cost for path in paths)
    assert result.total_cost == pytest.approx(least, abs=COST_TOLERANCE)
    # Two loops of one state may be taken in either order at the same cost.
    best = {(path.words, path.labels) for path in paths if path.cost <= least + COST_TOLERANCE}
    assert (result.words, tuple(result.alignment.tolist())) in best
    frames = np.arange(num_frames)
    acoustic = -config.acoustic_scale * loglikes[frames, TID_TO_PDF[result.alignment]].sum(dtype=np.float64)
    assert result.acoustic_cost == pytest.approx(acoustic, abs=COST_TOLERANCE)
    total = result.graph_cost + result.acoustic_cost + penalty * len(result.words)
    assert result.total_cost == pytest.approx(total, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 12))
def test_dense_viterbi_with_epsilon_cycles(seed: int, num_frames: int) -> None:
    rng = np.random.default_rng(seed)
    tiny = random_tiny(rng, 7, 14, 4, num_epsilons=9, epsilon_cycles=True, lowest_epsilon_cost=0.0)
    loglikes = random_loglikes(rng, num_frames, 3)
    final, partial = best_cost_by_dense_viterbi(tiny, loglikes, TID_TO_PDF, 0.7, 0.0)
    result = search(folded(tiny), WIDE, loglikes)
    if result is None:
        assert partial == math.inf
        return
    assert result.reached_final == (final < math.inf)
    assert result.total_cost == pytest.approx(final if final < math.inf else partial, abs=COST_TOLERANCE)


def kaldi(tiny: TinyGraph, loglikes: NDArray[np.float32], config: SearchConfig) -> tuple[float, list[int], list[int]]:
    """Cost, alignment and words by kaldi-decoder, which takes label i to be column i - 1, at acoustic scale 1."""
    options = kaldi_decoder.FasterDecoderOptions(
        beam=config.beam, max_active=config.max_active, min_active=config.min_active, beam_delta=config.beam_delta
    )
    # The decoder keeps none of its arguments alive.
    fst, decodable = tiny.fst(), kaldi_decoder.DecodableCtc(loglikes)
    decoder = kaldi_decoder.FasterDecoder(fst, options)
    decoder.decode(decodable)
    ok, lattice = decoder.get_best_path()
    assert ok
    _, labels, words, weight = kaldifst.get_linear_symbol_sequence(lattice)
    return weight.value1 + weight.value2, labels, words


@pytest.mark.parametrize("seed", range(6))
def test_kaldi_decoder_where_pruning_does_not_bind(seed: int) -> None:
    tiny, identity = random_sparse(seed=seed)
    loglikes = random_loglikes(np.random.default_rng(seed), 60, 30, scale=1.0)
    config = replace(WIDE, acoustic_scale=1.0)
    result = BeamSearch(SearchGraph(tiny.arrays(), identity, 30), config).decode(loglikes)
    cost, labels, words = kaldi(tiny, loglikes, config)
    assert result.reached_final
    assert result.total_cost == pytest.approx(cost, rel=1e-5)
    assert result.alignment.tolist() == labels
    assert list(result.words) == words


@pytest.mark.parametrize(("beam", "max_active", "min_active"), [(4.0, 10**6, 0), (8.0, 60, 10), (1.0, 300, 40)])
def test_pruning_is_about_as_good_as_kaldis(beam: float, max_active: int, min_active: int) -> None:
    config = SearchConfig(beam=beam, max_active=max_active, min_active=min_active, acoustic_scale=1.0)
    ours = theirs = exact = 0.0
    for seed in range(8):
        tiny, identity = random_sparse(seed=seed)
        loglikes = random_loglikes(np.random.default_rng(seed), 40, 30, scale=1.0)
        graph = SearchGraph(tiny.arrays(), identity, 30)
        ours += BeamSearch(graph, config).decode(loglikes).total_cost
        theirs += kaldi(tiny, loglikes, config)[0]
        exact += BeamSearch(graph, replace(WIDE, acoustic_scale=1.0)).decode(loglikes).total_cost
    assert exact <= ours + COST_TOLERANCE
    # The order in which tokens are visited differs, so single paths may; the quality may not.
    assert abs(ours - theirs) < 0.02 * abs(exact) + 1.0


def test_max_active_and_min_active_count_the_survivors() -> None:
    tiny, identity = random_sparse()
    graph = SearchGraph(tiny.arrays(), identity, 30)
    loglikes = random_loglikes(np.random.default_rng(0), 30, 30, scale=1.0)

    def survivors(**changes: float) -> list[int]:
        beam_search = BeamSearch(graph, SearchConfig(**{"min_active": 0, **changes}))  # type: ignore[arg-type]
        beam_search.start()
        counts = []
        for row in loglikes:
            beam_search.advance(row[None])
            counts.append(int(beam_search._tokens.counts[kernels.SURVIVORS]))
        return counts[8:]

    assert max(survivors(beam=50.0)) > 300
    assert max(survivors(beam=50.0, max_active=37)) == 37
    assert max(survivors(beam=0.5)) < 25
    # Where fewer tokens than min_active exist at all, they all survive.
    assert np.median(survivors(beam=0.5, min_active=25)) == 25


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9), st.lists(st.integers(0, 9), min_size=1, max_size=8), st.booleans())
def test_the_size_of_the_blocks_never_changes_a_result(seed: int, sizes: list[int], pruned: bool) -> None:
    tiny, identity = random_sparse()
    graph = SearchGraph(tiny.arrays(), identity, 30)
    config = SearchConfig(beam=6.0, max_active=50, min_active=10, acoustic_scale=1.0) if pruned else WIDE
    loglikes = random_loglikes(np.random.default_rng(seed), sum(sizes), 30, scale=1.0)
    whole = BeamSearch(graph, config).decode(loglikes)
    blocks = BeamSearch(graph, config)
    blocks.start()
    for block in np.split(loglikes, np.cumsum(sizes)[:-1]):
        blocks.advance(block)
    assert_same(blocks.finish(), whole)


def assert_same(one: SearchResult, other: SearchResult) -> None:
    assert one.total_cost == other.total_cost
    assert one.words == other.words
    assert one.reached_final == other.reached_final
    for name in ("alignment", "word_starts", "word_ends"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_search_is_used_again_also_after_an_error_and_in_the_middle() -> None:
    tiny, identity = random_sparse()
    graph = SearchGraph(tiny.arrays(), identity, 30)
    config = SearchConfig(beam=6.0, max_active=50, acoustic_scale=1.0, min_active=10)
    first, second = (random_loglikes(np.random.default_rng(seed), 25, 30) for seed in (1, 2))
    used = BeamSearch(graph, config)
    used.decode(first)
    broken = first.copy()
    broken[7, 3] = np.nan
    with pytest.raises(ModelError, match="frame 7 is NaN"):
        used.decode(broken)
    used.start()
    used.advance(first[:5])
    assert_same(used.decode(second), BeamSearch(graph, config).decode(second))


def test_a_constant_added_to_a_frame_changes_nothing_and_to_one_pdf_does() -> None:
    tiny, identity = random_sparse()
    graph = SearchGraph(tiny.arrays(), identity, 30)
    config = SearchConfig(beam=6.0, max_active=50, min_active=10, acoustic_scale=1.0)
    # Multiples of 1/64, so that the constant is added without rounding.
    loglikes = np.round(64 * random_loglikes(np.random.default_rng(3), 30, 30)) / np.float32(64)
    before = BeamSearch(graph, config).decode(loglikes)
    shifted = loglikes.copy()
    shifted[11] += 5.0
    after = BeamSearch(graph, config).decode(shifted)
    assert after.alignment.tolist() == before.alignment.tolist()
    assert after.words == before.words
    assert after.total_cost == pytest.approx(before.total_cost - 5.0, abs=1e-3)
    twin = loglikes.copy()
    twin[11, (before.alignment[11] - 1 + 7) % 30] += 50.0
    assert BeamSearch(graph, config).decode(twin).alignment.tolist() != before.alignment.tolist()


def test_the_numbers_of_the_states_do_not_matter() -> None:
    tiny, identity = random_sparse()
    rng = np.random.default_rng(8)
    loglikes = random_loglikes(rng, 40, 30)
    # State 0 stays the start state.
    renumbered = np.concatenate([[0], 1 + rng.permutation(tiny.num_states - 1)])
    final = [math.inf] * tiny.num_states
    for state, cost in enumerate(tiny.final_cost):
        final[renumbered[state]] = cost
    arcs = tuple((int(renumbered[s]), int(renumbered[d]), i, o, c) for s, d, i, o, c in tiny.arcs)
    results = [
        BeamSearch(SearchGraph(graph.arrays(), identity, 30), WIDE).decode(loglikes)
        for graph in (tiny, TinyGraph(tiny.num_states, arcs, tuple(final)))
    ]
    assert results[0].words == results[1].words
    assert results[0].alignment.tolist() == results[1].alignment.tolist()
    swapped = list(arcs)
    swapped[3] = (swapped[3][0], swapped[3][1], swapped[3][2], swapped[3][3], swapped[3][4] - 40)
    twin = SearchGraph(TinyGraph(tiny.num_states, tuple(swapped), tuple(final)).arrays(), identity, 30)
    assert BeamSearch(twin, WIDE).decode(loglikes).alignment.tolist() != results[0].alignment.tolist()


def test_a_higher_insertion_penalty_never_gives_more_words() -> None:
    tiny, identity = random_sparse()
    graph = SearchGraph(tiny.arrays(), identity, 30)
    loglikes = random_loglikes(np.random.default_rng(4), 50, 30)
    counts = [
        len(BeamSearch(graph, replace(WIDE, word_insertion_penalty=penalty)).decode(loglikes).words)
        for penalty in (-2.0, -0.5, 0.0, 0.5, 2.0, 8.0)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def line(words: tuple[int, ...], final: bool = True) -> TinyGraph:
    """A left-to-right graph: each word is one epsilon arc with the label, then label 1 twice or more, then label 2."""
    arcs = []
    for at, word in enumerate(words):
        state = 3 * at
        arcs += [(state, state + 1, 0, word, 0.1), (state + 1, state + 1, 1, 0, 0.2)]
        arcs += [(state + 1, state + 2, 1, 0, 0.3), (state + 2, state + 3, 2, 0, 0.4)]
    num_states = 3 * len(words) + 1
    return TinyGraph(num_states, tuple(arcs), tuple([math.inf] * (num_states - 1) + [0.5 if final else math.inf]))


def one_hot(labels: list[int]) -> NDArray[np.float32]:
    loglikes = np.full((len(labels), 3), -9.0, dtype=np.float32)
    loglikes[np.arange(len(labels)), TID_TO_PDF[labels]] = -1.0
    return loglikes


def test_words_times_and_costs_of_a_planted_path() -> None:
    labels = [1, 1, 2, 1, 1, 1, 1, 2, 1, 2]
    result = BeamSearch(folded(line((5, 6, 7))), WIDE).decode(one_hot(labels))
    assert result.words == (5, 6, 7)
    assert result.word_starts.tolist() == [0, 3, 8]
    assert result.word_ends.tolist() == [3, 8, 10]
    assert result.alignment.tolist() == labels
    assert result.alignment.dtype == np.int32
    assert result.reached_final
    assert result.num_frames == 10
    loops = 1 + 3 + 0
    assert result.graph_cost == pytest.approx(3 * (0.1 + 0.3 + 0.4) + loops * 0.2 + 0.5, abs=1e-5)
    assert result.acoustic_cost == pytest.approx(10 * 0.7, abs=1e-5)


def test_no_final_state_survives_and_the_result_says_so() -> None:
    # Three words take six frames at least.
    labels = [1, 2, 1, 2, 1]
    result = BeamSearch(folded(line((5, 6, 7))), WIDE).decode(one_hot(labels))
    assert not result.reached_final
    assert result.words == (5, 6, 7)
    assert result.alignment.tolist() == labels
    never = BeamSearch(folded(line((5, 6), final=False)), WIDE).decode(one_hot([1, 2, 1, 2]))
    assert not never.reached_final
    assert never.words == (5, 6)


def test_partial_results_grow_and_do_not_disturb_the_search() -> None:
    labels = [1, 1, 2, 1, 1, 1, 1, 2, 1, 2]
    loglikes = one_hot(labels)
    beam_search = BeamSearch(folded(line((5, 6, 7))), WIDE)
    beam_search.start()
    partials = []
    for row in loglikes:
        beam_search.advance(row[None])
        partial = beam_search.partial()
        assert not partial.reached_final
        assert partial.alignment.tolist() == labels[: partial.num_frames]
        partials.append(partial.words)
    # A word is entered by an epsilon arc as soon as the word before it ends; at a tie either may stand.
    assert partials[0] == (5,)
    assert partials[4] == (5, 6)
    assert partials[-2] == (5, 6, 7)
    assert_same(beam_search.finish(), BeamSearch(folded(line((5, 6, 7))), WIDE).decode(loglikes))


def test_an_utterance_of_no_frames() -> None:
    tiny = TinyGraph(2, ((0, 1, 0, 3, 0.5), (1, 1, 1, 0, 1.0)), (math.inf, 0.25))
    result = BeamSearch(folded(tiny), WIDE).decode(np.empty((0, 3), dtype=np.float32))
    assert result.reached_final
    assert result.words == (3,)
    assert (result.word_starts.tolist(), result.word_ends.tolist()) == ([0], [0])
    assert result.total_cost == pytest.approx(0.75)
    assert len(result.alignment) == 0


def test_a_survivor_reached_from_a_pruned_token_keeps_its_trace() -> None:
    # State 2 is reached at cost 3, pruned at beam 1, and its epsilon arc of cost -3 leads to the best path.
    arcs = ((0, 1, 1, 4, 0.0), (0, 2, 2, 5, 3.0), (2, 3, 0, 6, -3.2), (1, 1, 1, 0, 9.0), (3, 3, 1, 0, 0.0))
    tiny = TinyGraph(4, arcs, (math.inf, 0.0, 0.0, 0.0))
    config = SearchConfig(beam=3.1, min_active=0, acoustic_scale=1.0)
    result = BeamSearch(folded(tiny), config).decode(np.zeros((3, 3), dtype=np.float32))
    assert result.words == (5, 6)
    assert result.alignment.tolist() == [2, 1, 1]
    narrow = BeamSearch(folded(tiny), replace(config, beam=1.0)).decode(np.zeros((3, 3), dtype=np.float32))
    assert narrow.words == (4,)


def test_the_trace_of_a_long_recording_stays_small() -> None:
    tiny, identity = random_sparse()
    graph = SearchGraph(tiny.arrays(), identity, 30)
    config = SearchConfig(beam=8.0, max_active=200, min_active=20, acoustic_scale=1.0)
    num_frames = 6000
    loglikes = random_loglikes(np.random.default_rng(6), num_frames, 30)
    beam_search = BeamSearch(graph, config)
    beam_search.start()
    survivors = 0
    for start in range(0, num_frames, 100):
        beam_search.advance(loglikes[start : start + 100])
        survivors += 100 * int(beam_search._tokens.counts[kernels.SURVIVORS])
    result = beam_search.finish()
    assert survivors > 5 * len(beam_search._tokens.records)
    assert result.num_frames == num_frames
    # The path is still whole: its costs, computed again from its labels, are those of the search.
    acoustic = -loglikes[np.arange(num_frames), identity[result.alignment]].sum(dtype=np.float64)
    assert result.acoustic_cost == pytest.approx(acoustic, abs=0.01)
    assert (np.diff(result.word_starts) >= 0).all()


def test_word_times_are_where_the_labels_are_after_collections() -> None:
    words = tuple(range(1, 8))
    rng = np.random.default_rng(0)
    labels = [label for _ in words for label in [1] * int(rng.integers(1, 40)) + [2]]
    ends = [at + 1 for at, label in enumerate(labels) if label == 2]
    beam_search = BeamSearch(folded(line(words)), WIDE)
    # Room for few records, so that they are collected again and again.
    beam_search._tokens = beam_search._tokens._replace(records=np.empty((40, 2), dtype=np.int32))
    result = beam_search.decode(one_hot(labels))
    assert result.words == words
    assert result.word_ends.tolist() == ends
    assert result.alignment.tolist() == labels


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_loglike_names_its_frame(bad: float) -> None:
    loglikes = one_hot([1, 1, 2, 1, 2])
    loglikes[3, 1] = bad
    beam_search = BeamSearch(folded(line((5, 6))), WIDE)
    beam_search.start()
    beam_search.advance(loglikes[:2])
    with pytest.raises(ModelError, match="frame 3 is NaN or"):
        beam_search.advance(loglikes[2:])
    with pytest.raises(RuntimeError):
        beam_search.finish()


def test_a_frame_that_nothing_survives_is_named() -> None:
    loglikes = one_hot([1, 2, 1, 2])
    loglikes[2] = -np.inf
    with pytest.raises(DataError, match="no path survived frame 2 .*beam"):
        BeamSearch(folded(line((5, 6))), WIDE).decode(loglikes)
    dead_end = TinyGraph(2, ((0, 1, 1, 0, 0.0),), (math.inf, 0.0))
    with pytest.raises(DataError, match="no path survived frame 1"):
        BeamSearch(folded(dead_end), WIDE).decode(one_hot([1, 1, 1]))


def test_a_cycle_of_negative_epsilon_cost_is_an_error_and_of_zero_cost_is_not() -> None:
    def cycle(back: float) -> SearchGraph:
        arcs = ((0, 1, 1, 0, 0.0), (1, 2, 0, 4, 0.3), (2, 1, 0, 0, back), (2, 2, 1, 0, 0.1), (1, 1, 1, 0, 0.2))
        return folded(TinyGraph(3, arcs, (math.inf, math.inf, 0.0)))

    with pytest.raises(GraphError, match="cycle of epsilon arcs has negative cost"):
        BeamSearch(cycle(-0.4), WIDE).decode(one_hot([1, 1, 1]))
    # 0.3 as float32, so that the cycle's cost is exactly 0.
    result = BeamSearch(cycle(-float(np.float32(0.3))), WIDE).decode(one_hot([1, 1, 1]))
    assert result.reached_final
    # A word in the cycle makes its cost positive or negative through the penalty.
    with pytest.raises(GraphError, match="negative cost"):
        BeamSearch(cycle(-0.2), replace(WIDE, word_insertion_penalty=-0.2)).decode(one_hot([1, 1]))
    at_start = TinyGraph(2, ((0, 1, 0, 0, 1.0), (1, 0, 0, 0, -2.0), (1, 1, 1, 0, 0.0)), (0.0, 0.0))
    with pytest.raises(GraphError, match="negative cost"):
        BeamSearch(folded(at_start), WIDE).start()


@pytest.mark.parametrize("shape", [(4, 2), (4, 4), (12,)])
def test_loglikes_of_a_wrong_shape(shape: tuple[int, ...]) -> None:
    beam_search = BeamSearch(folded(line((5,))), WIDE)
    beam_search.start()
    with pytest.raises(ModelError, match=r"expected \(frames, 3\)"):
        beam_search.advance(np.zeros(shape, dtype=np.float32))


def test_read_only_and_unaligned_loglikes_compile_nothing_anew() -> None:
    graph, labels = folded(line((5, 6))), [1, 1, 2, 1, 2]
    expected = BeamSearch(graph, WIDE).decode(one_hot(labels))
    compiled = [value for value in vars(kernels).values() if hasattr(value, "signatures")]
    assert len(compiled) >= 9
    before = {kernel.__name__: len(kernel.signatures) for kernel in compiled}
    bytes_of = b"x" + one_hot(labels).tobytes()
    odd = np.frombuffer(bytes_of, dtype=np.float32, offset=1).reshape(5, 3)
    assert not odd.flags.aligned
    assert_same(BeamSearch(graph, WIDE).decode(odd), expected)
    assert_same(BeamSearch(graph, WIDE).decode(np.asfortranarray(one_hot(labels))), expected)
    assert {kernel.__name__: len(kernel.signatures) for kernel in compiled} == before
    # One without a language model on the fly, one with; kernels that only others call may have none, from the cache.
    assert max(before.values()) <= 2


def test_graph_and_model_that_do_not_fit() -> None:
    with pytest.raises(GraphError, match="the graph has transition_id 2, the model knows 1 to 1"):
        SearchGraph(line((5,)).arrays(), np.array([-1, 0], dtype=np.int32), 3)
    with pytest.raises(GraphError, match="pdf_ids are 0 to 2, expected 0 to 1"):
        SearchGraph(line((5,)).arrays(), TID_TO_PDF, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beam": 0.0}, "beam is 0.0"),
        ({"beam": math.nan}, "beam is nan"),
        ({"max_active": 0}, "max_active is 0"),
        ({"min_active": 8000}, "min_active is 8000"),
        ({"min_active": -1}, "min_active is -1"),
        ({"beam_delta": 0.0}, "beam_delta is 0.0"),
        ({"acoustic_scale": 0.0}, "acoustic_scale is 0.0"),
        ({"word_insertion_penalty": math.inf}, "word_insertion_penalty is inf"),
    ],
)
def test_configurations_that_make_no_sense(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        SearchConfig(**changes)  # type: ignore[arg-type]
    assert isinstance(caught.value, AsrkitError)


def test_calls_out_of_order_are_a_programming_error() -> None:
    beam_search = BeamSearch(folded(line((5,))), WIDE)
    for call in (beam_search.finish, beam_search.partial, lambda: beam_search.advance(one_hot([1]))):
        with pytest.raises(RuntimeError, match="before start"):
            call()
