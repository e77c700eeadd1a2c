from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.errors import ConfigError, GraphError
from asrkit.graph.fst import FstArrays
from asrkit.graph.grammar_fst import ngram_grammar
from asrkit.graph.hclg import GraphConfig, compile_hclg
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree, monophone_tree
from asrkit.lang.langdir import Lang
from asrkit.lang.topology import HmmState, Topology
from asrkit.lm.arpa import read_arpa
from tests.graph.languages import (
    BIGRAM,
    Weights,
    alignments,
    assert_same_weights,
    backoff_costs,
    graph_paths,
    habitual,
    random_probabilities,
    random_triphone_tree,
    sayings,
    tiny_lang,
    write_arpa,
)

VOCABULARY = ("A", "T", "TA", "TOO", "TWO")


def spoken(
    lang: Lang, tree: ContextTree, transitions: TransitionModel, max_frames: int, max_words: int, config: GraphConfig
) -> Weights:
    """What the bigram says in at most ``max_frames`` frames, by enumeration: (transition ids, words) -> least cost."""
    expected: Weights = {}
    cache: dict[tuple[int, ...], list[tuple[tuple[int, ...], float]]] = {}
    for size in range(max_words + 1):
        for words in itertools.product(VOCABULARY, repeat=size):
            lm_cost = backoff_costs(BIGRAM, words)
            ids = tuple(lang.words.ids[word] for word in words)
            for phones, cost in sayings(lang, words):
                if len(phones) > max_frames:
                    continue
                if phones not in cache:
                    scales = (config.transition_scale, config.self_loop_scale)
                    cache[phones] = list(alignments(phones, tree, transitions, max_frames, *scales))
                for tids, hmm_cost in cache[phones]:
                    key = (tids, ids)
                    expected[key] = min(expected.get(key, math.inf), lm_cost + cost + hmm_cost)
    return expected


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_arpa(tmp_path_factory.mktemp("lm") / "bigram.arpa", BIGRAM, 2)


def grammar(lang: Lang, arpa: Path) -> FstArrays:
    return ngram_grammar(read_arpa(arpa), lang.words).fst


@pytest.mark.parametrize("silence_probability", [0.0, 0.3])
def test_monophone_graph_accepts_what_enumeration_says(arpa: Path, silence_probability: float) -> None:
    lang = tiny_lang(num_states=1, num_silence_states=1, silence_probability=silence_probability)
    tree = monophone_tree(lang.topology)
    transitions = random_probabilities(tree, lang.topology, 3)
    config = GraphConfig(transition_scale=0.7, self_loop_scale=0.1)
    hclg = compile_hclg(lang, grammar(lang, arpa), tree, transitions, config)
    max_frames = 4 if silence_probability else 5
    expected = spoken(lang, tree, transitions, max_frames, max_frames, config)
    assert len(expected) > 400
    assert len({words for _, words in expected}) > 50
    assert_same_weights(graph_paths(hclg, max_frames), expected)


def test_graph_with_branching_hmms_and_word_positions(arpa: Path) -> None:
    lang = tiny_lang(position_dependent=True, num_states=2, num_silence_states=3, silence_probability=0.2)
    tree = monophone_tree(lang.topology, lang.shared_phones)
    transitions = random_probabilities(tree, lang.topology, 4)
    config = GraphConfig(1.0, 0.3)
    hclg = compile_hclg(lang, grammar(lang, arpa), tree, transitions, config)
    assert_same_weights(graph_paths(hclg, 5), spoken(lang, tree, transitions, 5, 2, config))


@pytest.mark.parametrize("triphones", [False, True])
def test_graph_with_silence_probabilities_accepts_what_enumeration_says(arpa: Path, triphones: bool) -> None:
    plain = tiny_lang(num_states=1, num_silence_states=1, silence_probability=0.3)
    lang = habitual(plain)
    tree = random_triphone_tree(lang.topology, 6) if triphones else monophone_tree(lang.topology)
    transitions = random_probabilities(tree, lang.topology, 6)
    hclg = compile_hclg(lang, grammar(lang, arpa), tree, transitions, GraphConfig(1.0, 0.1))
    expected = spoken(lang, tree, transitions, 4, 4, GraphConfig(1.0, 0.1))
    assert_same_weights(graph_paths(hclg, 4), expected)
    # The twin that must differ: one probability of silence everywhere.
    other = spoken(plain, tree, transitions, 4, 4, GraphConfig(1.0, 0.1))
    assert set(other) == set(expected)
    assert max(abs(other[key] - expected[key]) for key in expected) > 1


@pytest.mark.parametrize("seed", [1, 2])
def test_triphone_graph_accepts_what_enumeration_says(arpa: Path, seed: int) -> None:
    lang = tiny_lang(num_states=1, num_silence_states=1, silence_probability=0.3)
    tree = random_triphone_tree(lang.topology, seed)
    transitions = random_probabilities(tree, lang.topology, seed)
    config = GraphConfig(1.0, 0.1)
    hclg = compile_hclg(lang, grammar(lang, arpa), tree, transitions, config)
    expected = spoken(lang, tree, transitions, 4, 4, config)
    assert_same_weights(graph_paths(hclg, 4), expected)
    # The twin that must differ: the same transition ids asked for with left and right exchanged.
    mirrored = ContextTree(3, 1, tree.root)
    object.__setattr__(mirrored, "pdf_id", lambda window, c: tree.pdf_id(window[::-1], c))
    assert set(spoken(lang, mirrored, transitions, 4, 2, config)) - set(expected)


def test_left_context_alone(arpa: Path) -> None:
    lang = tiny_lang(num_states=1, num_silence_states=1, silence_probability=0.3)
    tri = random_triphone_tree(lang.topology, 5)
    branches = {phone: Table_without_right(node) for phone, node in tri.root.branches.items()}  # type: ignore[union-attr]
    tree = ContextTree(2, 1, type(tri.root)(1, branches))
    transitions = random_probabilities(tree, lang.topology, 5)
    hclg = compile_hclg(lang, grammar(lang, arpa), tree, transitions, GraphConfig())
    assert_same_weights(graph_paths(hclg, 4), spoken(lang, tree, transitions, 4, 4, GraphConfig()))


def Table_without_right(node: object) -> object:  # noqa: N802 (names what it makes)
    """The same tree with the yes branch taken wherever the phone to the right is asked for."""
    from asrkit.hmm.tree import Split, Table

    if isinstance(node, Table):
        return Table(node.position, {key: Table_without_right(branch) for key, branch in node.branches.items()})  # type: ignore[misc]
    if isinstance(node, Split):
        if node.position == 2:
            return Table_without_right(node.yes)
        yes, no = Table_without_right(node.yes), Table_without_right(node.no)
        return Split(node.position, node.values, yes, no)  # type: ignore[arg-type]
    return node


def test_an_hmm_that_comes_back_to_its_first_state(arpa: Path) -> None:
    lang = tiny_lang(num_states=1, num_silence_states=1, silence_probability=0.3)
    ring = (HmmState(0, ((0, 0.5), (1, 0.5))), HmmState(1, ((0, 0.3), (2, 0.7))), HmmState(None))
    topology = Topology((ring,), dict.fromkeys(lang.topology.phones, 0))
    tree = monophone_tree(topology)
    transitions = TransitionModel.from_tree(tree, topology)
    hclg = compile_hclg(lang, grammar(lang, arpa), tree, transitions, GraphConfig(1.0, 1.0))
    expected = spoken(lang, tree, transitions, 5, 2, GraphConfig(1.0, 1.0))
    assert any(len(set(tids)) < len(tids) for tids, _ in expected)
    assert_same_weights(graph_paths(hclg, 5), expected)


def test_probability_is_conserved(arpa: Path) -> None:
    """With both scales 1 all ways out of every state sum to one, up to what back-off adds to listed n-grams."""
    lang = tiny_lang(silence_probability=0.3)
    tree = monophone_tree(lang.topology)
    transitions = random_probabilities(tree, lang.topology, 3)
    words = [word for word in VOCABULARY if word != "TWO"]
    uniform = {word: (-math.log10(len(words) + 1), 0.0) for word in (*words, "</s>")}
    single = [entry for entry in lang.pronunciations if entry.word != "TWO" and entry.probability == 1.0]
    stochastic = Lang(lang.words, lang.inventory, lang.topology, tuple(single), lang.config)
    path = write_arpa(arpa.parent / "uniform.arpa", {"<s>": (-99.0, 0.0), **uniform}, 1)
    hclg = compile_hclg(
        stochastic, ngram_grammar(read_arpa(path), lang.words).fst, tree, transitions, GraphConfig(1, 1)
    )
    total = np.exp(-hclg.final_cost.astype(np.float64))
    np.add.at(total, hclg.sources(), np.exp(-hclg.cost.astype(np.float64)))
    assert hclg.num_states >= 10
    np.testing.assert_allclose(total, 1.0, atol=5e-3)


def test_transition_ids_appear_behind_the_arc_they_loop_on(arpa: Path) -> None:
    lang = tiny_lang()
    tree = monophone_tree(lang.topology)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    hclg = compile_hclg(lang, grammar(lang, arpa), tree, transitions, GraphConfig())
    src, loop_of = hclg.sources(), transitions.self_loop_tid[hclg.ilabel]
    loops = transitions.is_self_loop[hclg.ilabel]
    assert (src[loops] == hclg.dst[loops]).all()
    own = np.zeros(hclg.num_states, dtype=int)
    own[src[loops]] = hclg.ilabel[loops]
    entering = (hclg.ilabel > 0) & ~loops
    assert (own[hclg.dst[entering]] == loop_of[entering]).all()
    # Epsilons come first in every state, so that a search can use the file in place.
    same = src[1:] == src[:-1]
    assert not (same & (hclg.ilabel[:-1] > 0) & (hclg.ilabel[1:] == 0)).any()


def test_nothing_in_common_is_an_error(tmp_path: Path) -> None:
    lang = tiny_lang()
    tree = monophone_tree(lang.topology)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    nowhere = FstArrays.from_arcs(0, [np.inf, 0.0], [0], [lang.words.ids["<s>"]], [lang.words.ids["<s>"]], [0.0], [1])
    with pytest.raises(GraphError, match="no sentence of the language model can be said"):
        compile_hclg(lang, nowhere, tree, transitions, GraphConfig())


def test_scales_are_checked() -> None:
    with pytest.raises(ConfigError, match="self_loop_scale is -1"):
        GraphConfig(self_loop_scale=-1.0)
