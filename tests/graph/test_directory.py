from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.errors import FormatError, GraphError
from asrkit.graph.arrays import load_graph
from asrkit.graph.directory import check_graph_fits, load_graph_info, load_words, model_checksum, save_graph
from asrkit.graph.fst import FstArrays
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from tests.graph.languages import random_probabilities, random_triphone_tree, tiny_lang


def saved(path: Path) -> tuple[FstArrays, TransitionModel]:
    lang = tiny_lang()
    tree = monophone_tree(lang.topology)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    fst = FstArrays.from_arcs(0, [np.inf, 0.25], [0, 0], [3, 5], [1, 0], [0.5, 1.5], [1, 1])
    save_graph(path, fst, lang, tree, transitions, {"language_model": "a.arpa"})
    return fst, transitions


def test_round_trip(tmp_path: Path) -> None:
    fst, transitions = saved(tmp_path)
    info = load_graph_info(tmp_path)
    assert info.num_transition_ids == transitions.num_transition_ids
    assert info.num_pdfs == transitions.num_pdfs
    assert info.described["language_model"] == "a.arpa"
    assert (info.described["num_states"], info.described["num_arcs"]) == (2, 2)
    assert load_words(tmp_path).symbols == tiny_lang().words.symbols
    graph = load_graph(tmp_path / "HCLG.fst")
    np.testing.assert_array_equal(graph.costs, fst.cost)
    np.testing.assert_array_equal(graph.final_cost, fst.final_cost)


def test_new_probabilities_fit_and_another_tree_does_not(tmp_path: Path) -> None:
    saved(tmp_path)
    lang = tiny_lang()
    tree = monophone_tree(lang.topology)
    check_graph_fits(tmp_path, tree, random_probabilities(tree, lang.topology, 1))
    other = random_triphone_tree(lang.topology, 1)
    with pytest.raises(GraphError, match="made for another model.*run `asrkit make-graph` with this model"):
        check_graph_fits(tmp_path, other, TransitionModel.from_tree(other, lang.topology))


def test_checksum_sees_questions_and_topology() -> None:
    lang = tiny_lang()
    trees = [
        monophone_tree(lang.topology),
        random_triphone_tree(lang.topology, 1),
        random_triphone_tree(lang.topology, 2),
    ]
    sums = [model_checksum(tree, TransitionModel.from_tree(tree, lang.topology)) for tree in trees]
    longer = tiny_lang(num_states=3).topology
    sums.append(model_checksum(monophone_tree(longer), TransitionModel.from_tree(monophone_tree(longer), longer)))
    assert len(set(sums)) == 4


def test_a_folder_that_is_no_graph_is_named(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="not a graph directory.*asrkit make-graph"):
        load_graph_info(tmp_path)
    (tmp_path / "graph.json").write_text(json.dumps({"num_pdfs": 3}))
    with pytest.raises(FormatError, match=r"graph\.json: not the description of a graph"):
        load_graph_info(tmp_path)
