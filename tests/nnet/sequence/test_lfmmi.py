"""Lattice-free MMI against the enumeration of all that a phone n-gram could say, finite differences and a peer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError, GraphError, ModelError
from asrkit.graph.training import TrainingGraphCompiler
from asrkit.hmm.forward_backward import Posteriors, forward_backward
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree, monophone_tree
from asrkit.nnet.sequence.config import LfmmiConfig, PhoneLmConfig
from asrkit.nnet.sequence.denominator import DenominatorGraph
from asrkit.nnet.sequence.lfmmi import LfmmiCriterion
from tests.graph.languages import alignments, random_probabilities, random_triphone_tree, sayings, tiny_lang
from tests.nnet.sequence.test_lattice_criterion import differences
from tests.nnet.sequence.test_phone_lm import graph_sequences

LANG = tiny_lang()
PHONES = {name: LANG.phones.ids[name] for name in ("a", "t", "u", "i", "SIL")}
SAID = {"x": ("t", "a"), "y": ("t", "u", "i"), "z": ("SIL", "a"), "w": ("a", "t", "a")}
FRAMES = 6
SCALE = 0.4


@dataclass(frozen=True)
class World:
    tree: ContextTree
    transitions: TransitionModel
    compiler: TrainingGraphCompiler
    alignments: dict[str, np.ndarray]


def make_world(triphone: bool, seed: int = 0) -> World:
    """Each of SAID aligned to some path of FRAMES frames through its phones, or of more where it needs them."""
    tree = random_triphone_tree(LANG.topology, 7) if triphone else monophone_tree(LANG.topology)
    transitions = random_probabilities(tree, LANG.topology, 3)
    rng = np.random.default_rng(seed)
    found = {}
    for key, names in SAID.items():
        phones = tuple(PHONES[name] for name in names)
        ways = [tids for tids, _ in alignments(phones, tree, transitions, FRAMES, 1.0, 1.0) if len(tids) == FRAMES]
        found[key] = np.array(ways[rng.integers(len(ways))], np.int32)
    return World(tree, transitions, TrainingGraphCompiler(LANG, tree, transitions), found)


WORLDS = {triphone: make_world(triphone) for triphone in (False, True)}
EXACT = LfmmiConfig(PhoneLmConfig(3, 2), tolerance=1, acoustic_scale=SCALE, self_loop_scale=0.3, leaky=0.0)


def make_criterion(world: World, config: LfmmiConfig = EXACT) -> LfmmiCriterion:
    return LfmmiCriterion(world.alignments, world.compiler, config)


def loglikes_of(world: World, seed: int, num_frames: int = FRAMES) -> np.ndarray:
    return np.random.default_rng(seed).normal(-3, 3, (num_frames, world.transitions.num_pdfs))


def listed_paths(criterion: LfmmiCriterion, world: World) -> list[tuple[tuple[int, ...], tuple[int, ...], float]]:
    """(phones, transition_ids, log weight) of every path of FRAMES frames, from the n-gram's sequences."""
    paths = []
    for phones, weight in graph_sequences(criterion.lm.phone_graph(), FRAMES // 2):
        for tids, cost in alignments(phones, world.tree, world.transitions, FRAMES, 1.0, 0.3):
            if len(tids) == FRAMES:
                paths.append((phones, tids, weight - cost))
    return paths


def log_total(paths: list[tuple[tuple[int, ...], tuple[int, ...], float]], world: World, loglikes: np.ndarray) -> float:
    pdfs = world.transitions.tid_to_pdf
    scores = [weight + SCALE * sum(loglikes[t, pdfs[tid]] for t, tid in enumerate(tids)) for _, tids, weight in paths]
    return float(np.logaddexp.reduce(scores))


@pytest.mark.parametrize("triphone", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_denominator_sums_over_all_that_the_ngram_says(triphone: bool, seed: int) -> None:
    world = WORLDS[triphone]
    criterion, loglikes = make_criterion(world), loglikes_of(world, seed)
    paths = listed_paths(criterion, world)
    assert len({phones for phones, _, _ in paths}) > 4
    found = criterion.denominator.sum_paths(loglikes, SCALE)
    assert found.value == pytest.approx(log_total(paths, world, loglikes), abs=1e-6)
    expected = differences(lambda at: log_total(paths, world, at), loglikes)
    np.testing.assert_allclose(found.derivative, expected, atol=1e-6)
    np.testing.assert_allclose(found.derivative.sum(axis=1), SCALE, atol=1e-6)


@pytest.mark.parametrize("triphone", [False, True])
@pytest.mark.parametrize("key", list(SAID))
@pytest.mark.parametrize("tolerance", [0, 1, 9])
def test_the_criterion_and_its_derivative_by_enumeration(triphone: bool, key: str, tolerance: int) -> None:
    world = WORLDS[triphone]
    criterion = make_criterion(world, LfmmiConfig(**{**vars(EXACT), "tolerance": tolerance}))
    loglikes = loglikes_of(world, 5)
    paths = listed_paths(criterion, world)
    own = tuple(PHONES[name] for name in SAID[key])
    reference, phone_of = world.alignments[key], world.transitions.tid_to_phone
    pdfs = world.transitions.tid_to_pdf
    segments = segment_of(world, reference)

    def fits(tids: tuple[int, ...]) -> bool:
        """At each frame the pdf is one of those of a phone that the reference has nearby."""
        for t, tid in enumerate(tids):
            places = range(max(0, t - tolerance), min(FRAMES, t + tolerance + 1))
            pdfs_near = {pdfs[reference[at]] for place in places for at in segments[place]}
            if pdfs[tid] not in pdfs_near:
                return False
        return True

    assert set(phone_of[reference]) == set(own)
    numerator = [path for path in paths if path[0] == own and fits(path[1])]
    assert 0 < len(numerator) < len(paths)

    def value(at: np.ndarray) -> float:
        return log_total(numerator, world, at) - log_total(paths, world, at)

    found = criterion(key, loglikes)
    assert found.value == pytest.approx(value(loglikes), abs=1e-5)
    np.testing.assert_allclose(found.derivative, differences(value, loglikes), atol=2e-6)
    assert found.value < 0


def segment_of(world: World, reference: np.ndarray) -> list[list[int]]:
    """The frames of the phone that each frame belongs to."""
    loops, final = world.transitions.is_self_loop[reference], world.transitions.is_final[reference]
    starts = [0]
    left = False
    for t in range(1, len(reference)):
        left = left or final[t - 1]
        if left and not loops[t]:
            starts.append(t)
            left = False
    ends = [*starts[1:], len(reference)]
    return [list(range(a, b)) for a, b in zip(starts, ends, strict=True) for _ in range(a, b)]


def test_a_transcript_is_said_in_every_way_that_the_ngram_knows() -> None:
    world = WORLDS[True]
    config = LfmmiConfig(**{**vars(EXACT), "numerator": "transcript"})
    words = {"x": ("T", "A"), "y": ("TWO",)}
    ids = {key: [LANG.words.ids[word] for word in said] for key, said in words.items()}
    criterion = LfmmiCriterion(world.alignments, world.compiler, config, ids.__getitem__)
    loglikes = loglikes_of(world, 8)
    paths = listed_paths(criterion, world)
    for key, said in words.items():
        ways = {phones for phones, _ in sayings(LANG, said)}
        numerator = [path for path in paths if path[0] in ways]
        found = criterion(key, loglikes)
        expected = log_total(numerator, world, loglikes) - log_total(paths, world, loglikes)
        assert found.value == pytest.approx(expected, abs=1e-5)


def dense(graph: DenominatorGraph) -> np.ndarray:
    matrix = np.zeros((graph.num_states, graph.num_states))
    for state in range(graph.num_states):
        for arc in range(graph.out_begin[state], graph.out_begin[state + 1]):
            matrix[state, graph.out_dst[arc]] += graph.out_weight[arc]
    return matrix


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), num_frames=st.integers(5, 12), leaky=st.sampled_from([0.0, 0.01, 0.5]))
def test_leaks_are_one_more_step_between_frames(seed: int, num_frames: int, leaky: float) -> None:
    """The product of dense matrices, and its finite differences."""
    world = WORLDS[True]
    graph = make_criterion(world, LfmmiConfig(**{**vars(EXACT), "leaky": leaky})).denominator
    loglikes, matrix = loglikes_of(world, seed, num_frames), dense(graph)
    leak = np.eye(graph.num_states) + leaky * np.ones((graph.num_states, 1)) * graph.leak

    def value(at: np.ndarray) -> float:
        here = graph.initial
        for frame, row in enumerate(at):
            here = (here @ leak if frame else here) @ matrix * np.exp(SCALE * row)[graph.state_pdf]
        return math.log(here @ graph.final)

    found = graph.sum_paths(loglikes, SCALE)
    assert found.value == pytest.approx(value(loglikes), abs=1e-9)
    places = [(frame, pdf) for frame in (0, 1, num_frames - 1) for pdf in (0, 3, world.transitions.num_pdfs - 1)]
    for place in places:
        step = np.zeros_like(loglikes)
        step[place] = 1e-4
        slope = (value(loglikes + step) - value(loglikes - step)) / 2e-4
        assert found.derivative[place] == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize(("num_frames", "max_kept"), [(40, 1 << 23), (401, 1 << 23), (41, 1), (401, 1)])
def test_sums_agree_with_those_of_training_graphs(
    num_frames: int, max_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that keeps logs of active states; also over many blocks, and where loglikes are large."""
    monkeypatch.setattr("asrkit.nnet.sequence.denominator.MAX_KEPT", max_kept)
    world = WORLDS[True]
    criterion = make_criterion(world)
    graph = world.compiler.expand(criterion.lm.phone_graph())
    weights = graph.arc_logprob + world.transitions.scaled_log_probs(1.0, 0.3).astype(np.float64)[graph.arc_label]
    loglikes = (5 * loglikes_of(world, 4, num_frames) - 200).astype(np.float32)
    pdfs = world.transitions.tid_to_pdf[graph.arc_label]
    peer = forward_backward(graph, pdfs, weights, loglikes, acoustic_scale=SCALE)
    assert isinstance(peer, Posteriors)
    found = criterion.denominator.sum_paths(loglikes, SCALE)
    assert found.value == pytest.approx(peer.log_likelihood, rel=1e-9)
    np.testing.assert_allclose(found.derivative[:, peer.pdf_ids], SCALE * peer.pdf_posteriors, atol=1e-5)


def test_a_constant_of_a_frame_changes_nothing_and_one_of_a_pdf_does() -> None:
    world = WORLDS[True]
    criterion, loglikes = make_criterion(world), loglikes_of(world, 9)
    before = criterion("y", loglikes)
    same = criterion("y", loglikes + np.arange(FRAMES)[:, None])
    assert same.value == pytest.approx(before.value, abs=1e-5)
    np.testing.assert_allclose(same.derivative, before.derivative, atol=1e-5)
    np.testing.assert_allclose(before.derivative.sum(axis=1), 0, atol=1e-6)
    shifted = loglikes.copy()
    shifted[:, int(np.argmax(np.abs(before.derivative).sum(axis=0)))] += 2
    assert criterion("y", shifted).value != pytest.approx(before.value, abs=1e-2)


def test_what_cannot_be_summed_is_refused() -> None:
    world = WORLDS[False]
    criterion, loglikes = make_criterion(world), loglikes_of(world, 1)
    with pytest.raises(ModelError, match="reference of 6 frames, and features of 5"):
        criterion("x", loglikes[1:])
    with pytest.raises(ModelError, match="no path of 1 frames"):
        criterion.denominator.sum_paths(loglikes[:1], SCALE)
    with pytest.raises(ModelError, match="the graph has pdf"):
        criterion.denominator.sum_paths(loglikes[:, :3], SCALE)
    loglikes[2, 0] = np.inf
    with pytest.raises(ModelError, match="not finite"):
        criterion.denominator.sum_paths(loglikes, SCALE)
    tids = world.alignments["x"][[0, -1]]
    pdfs = world.transitions.tid_to_pdf[tids]
    assert pdfs[0] != pdfs[1]
    graph = StateGraph.from_arcs(2, [(0, 1, int(tids[0]), 0.0), (0, 1, int(tids[1]), 0.0)], final=[(1, 0.0)])
    with pytest.raises(GraphError, match="different pdfs lead to one state"):
        DenominatorGraph.of(graph, world.transitions, world.transitions.log_probs, 0.0)
    for wrong in ({"leaky": 1.0}, {"tolerance": -1}, {"acoustic_scale": 0.0}, {"self_loop_scale": -1.0}):
        with pytest.raises(ConfigError):
            LfmmiConfig(**wrong)  # type: ignore[arg-type]
