from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from asrkit.core.errors import GraphError
from asrkit.graph.fst import FstArrays
from asrkit.graph.hclg import GraphConfig, compile_hclg
from asrkit.graph.training import TrainingGraphCompiler
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree, monophone_tree
from asrkit.lang.langdir import Lang
from tests.graph.languages import (
    alignments,
    assert_same_weights,
    graph_paths,
    habitual,
    random_triphone_tree,
    sayings,
    tiny_lang,
)

TRANSCRIPTS = [("TWO",), ("T", "A"), ("TOO", "T"), ("A", "A", "T")]


def paths_of(graph: StateGraph, max_frames: int) -> list[tuple[tuple[int, ...], float]]:
    """Every (labels, cost) from the start to a final state."""
    found = []
    todo = [(int(s), (), -float(graph.initial_logprob[s])) for s in np.flatnonzero(graph.initial_logprob > -np.inf)]
    while todo:
        state, labels, cost = todo.pop()
        if graph.final_logprob[state] > -np.inf:
            found.append((labels, cost - float(graph.final_logprob[state])))
        if len(labels) < max_frames:
            for arc in range(graph.arc_begin[state], graph.arc_begin[state + 1]):
                cost_there = cost - float(graph.arc_logprob[arc])
                todo.append((int(graph.arc_dst[arc]), (*labels, int(graph.arc_label[arc])), cost_there))
    return found


def enumerated(
    lang: Lang, tree: ContextTree, transitions: TransitionModel, words: tuple[str, ...], max_frames: int
) -> list[tuple[tuple[int, ...], float]]:
    found = []
    for phones, cost in sayings(lang, words):
        found += [(tids, cost) for tids, _ in alignments(phones, tree, transitions, max_frames, 0.0, 0.0)]
    return found


def assert_same_paths(
    found: list[tuple[tuple[int, ...], float]], expected: list[tuple[tuple[int, ...], float]]
) -> None:
    """Equal as multisets: a path that stood twice would count double in Baum-Welch."""
    assert len(found) == len(expected)
    for (labels, cost), (other, other_cost) in zip(sorted(found), sorted(expected), strict=True):
        assert labels == other
        assert cost == pytest.approx(other_cost, abs=1e-5)


@pytest.mark.parametrize("words", TRANSCRIPTS)
@pytest.mark.parametrize("silence", [0.0, 0.3, "trained"])
def test_monophone_graph_is_the_enumeration(words: tuple[str, ...], silence: float | str) -> None:
    probability = 0.3 if silence == "trained" else silence
    lang = tiny_lang(silence_probability=probability, num_states=1, num_silence_states=3)
    if silence == "trained":
        lang = habitual(lang)
    tree = monophone_tree(lang.topology)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    graph = TrainingGraphCompiler(lang, tree, transitions).compile(lang.transcript_ids(words)[0])
    expected = enumerated(lang, tree, transitions, words, 7)
    assert len(expected) > 5
    assert_same_paths(paths_of(graph, 7), expected)


@pytest.mark.parametrize("words", TRANSCRIPTS)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_triphone_graph_is_the_enumeration(words: tuple[str, ...], position: int) -> None:
    lang = tiny_lang(silence_probability=0.3, num_states=1, num_silence_states=1)
    if position == 1:
        lang = habitual(lang)
    tree = moved_tree(random_triphone_tree(lang.topology, 7), position)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    graph = TrainingGraphCompiler(lang, tree, transitions).compile(lang.transcript_ids(words)[0])
    assert_same_paths(paths_of(graph, 5), enumerated(lang, tree, transitions, words, 5))


def moved_tree(tree: ContextTree, position: int) -> ContextTree:
    """The same questions about other neighbours: the centre at ``position``, neighbours at the other two places."""
    from asrkit.hmm.tree import Leaf, Node, Split, Table

    others = [place for place in range(3) if place != position]
    place = {-1: -1, 1: position, 0: others[0], 2: others[1]}

    def move(node: Node) -> Node:
        if isinstance(node, Leaf):
            return node
        if isinstance(node, Split):
            return Split(place[node.position], node.values, move(node.yes), move(node.no))
        return Table(place[node.position], {key: move(branch) for key, branch in node.branches.items()})

    return ContextTree(3, position, move(tree.root))


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("triphone", [False, True])
def test_agrees_with_composition_on_openfst(triphone: bool, trained: bool) -> None:
    lang = tiny_lang(silence_probability=0.3, num_states=2, num_silence_states=3)
    if trained:
        lang = habitual(lang)
    tree = random_triphone_tree(lang.topology, 9) if triphone else monophone_tree(lang.topology)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    compiler = TrainingGraphCompiler(lang, tree, transitions)
    for words in TRANSCRIPTS[:3]:
        ids = lang.transcript_ids(words)[0]
        line = np.arange(len(ids))
        linear = FstArrays.from_arcs(0, [np.inf] * len(ids) + [0.0], line, ids, ids, np.zeros(len(ids)), line + 1)
        composed = compile_hclg(lang, linear, tree, transitions, GraphConfig(0.0, 0.0))
        found = {(labels, tuple(ids.tolist())): cost for labels, cost in paths_of(compiler.compile(ids), 8)}
        assert len(found) > 3
        assert_same_weights(found, graph_paths(composed, 8))


def test_states_stand_from_left_to_right() -> None:
    lang = tiny_lang(num_silence_states=1)
    tree = random_triphone_tree(lang.topology, 1)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    graph = TrainingGraphCompiler(lang, tree, transitions).compile(lang.transcript_ids(["TWO", "T", "TOO"])[0])
    steps = graph.arc_dst - graph.arc_src
    assert (steps >= 0).all()
    assert transitions.is_self_loop[graph.arc_label[steps == 0]].all()
    assert not transitions.is_self_loop[graph.arc_label[steps > 0]].any()


def test_shortest_path_has_the_frames_of_the_shortest_pronunciation() -> None:
    lang = tiny_lang(num_states=3, num_silence_states=5)
    tree = monophone_tree(lang.topology)
    compiler = TrainingGraphCompiler(lang, tree, TransitionModel.from_tree(tree, lang.topology))
    graph = compiler.compile(lang.transcript_ids(["T", "TWO", "unheard"])[0])
    # t, t u, and the spoken noise of five states for the word outside the lexicon: its shortest way has three.
    assert graph.min_num_frames() == 3 + 6 + lang.topology.min_frames(lang.phones.ids["SPN"])


def test_empty_transcript_is_silence_or_an_error() -> None:
    lang = tiny_lang(num_silence_states=1, silence_probability=0.3)
    tree = monophone_tree(lang.topology)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    paths = paths_of(TrainingGraphCompiler(lang, tree, transitions).compile([]), 2)
    leave = transitions.transition_id(lang.phones.ids["SIL"], 0, 0, 1)
    costs = dict(paths)
    assert set(costs) == {(), (leave,), (leave, leave - 1)}
    assert costs[()] == pytest.approx(-math.log(0.7))
    assert costs[(leave,)] == pytest.approx(-math.log(0.3))
    silent = tiny_lang(silence_probability=0.0)
    with pytest.raises(GraphError, match="transcript is empty"):
        TrainingGraphCompiler(silent, tree, transitions).compile([])


def test_a_word_without_pronunciation_is_an_error() -> None:
    lang = tiny_lang()
    tree = monophone_tree(lang.topology)
    compiler = TrainingGraphCompiler(lang, tree, TransitionModel.from_tree(tree, lang.topology))
    with pytest.raises(GraphError, match=f"word id {lang.words.ids['<s>']} has no pronunciation"):
        compiler.compile([lang.words.ids["<s>"]])


def test_every_utterance_twice_is_the_same_graph() -> None:
    """The caches change nothing: a fresh compiler makes the same arrays."""
    lang = tiny_lang()
    tree = random_triphone_tree(lang.topology, 3)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    used = TrainingGraphCompiler(lang, tree, transitions)
    for words in itertools.permutations(["A", "TWO", "T"]):
        ids = lang.transcript_ids(words)[0]
        fresh = TrainingGraphCompiler(lang, tree, transitions).compile(ids)
        again = used.compile(ids)
        for name in ("arc_src", "arc_dst", "arc_label", "arc_logprob", "final_logprob"):
            np.testing.assert_array_equal(getattr(fresh, name), getattr(again, name))
