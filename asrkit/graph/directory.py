"""The graph directory: HCLG with the symbols it writes and the model it belongs to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit.core.errors import FormatError, GraphError
from asrkit.core.files import read_json, write_json
from asrkit.graph.automaton import NgramAutomaton
from asrkit.graph.fst import FstArrays, write_fst
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree
from asrkit.lang.langdir import Lang
from asrkit.lang.symbols import SymbolTable

DIFFERENCE = "difference.fst"


@dataclass(frozen=True)
class GraphInfo:
    """What ``graph.json`` says.

    Attributes
    ----------
    num_transition_ids, num_pdfs : int
        Of the model that the graph was made for.
    model_checksum : str
        See :func:`model_checksum`.
    described : dict
        Everything else: sizes, scales, the language model's path and hash.
    """

    num_transition_ids: int
    num_pdfs: int
    model_checksum: str
    described: Mapping[str, Any]


def model_checksum(tree: ContextTree, transitions: TransitionModel) -> str:
    """Return a checksum of tree and topology: models with the same one give transition ids the same meaning."""
    topology = transitions.topology
    described = {
        "tree": tree.to_json(),
        "entries": [[[s.pdf_class, [t for t, _ in s.transitions]] for s in entry] for entry in topology.entries],
        "phones": sorted(topology.phone_to_entry.items()),
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def save_graph(
    path: Path,
    fst: FstArrays,
    lang: Lang,
    tree: ContextTree,
    transitions: TransitionModel,
    described: Mapping[str, Any],
) -> None:
    """Write ``HCLG.fst`` (OpenFst, type const), ``words.txt``, ``phones.txt`` and, last, ``graph.json``."""
    lang.words.save(path / "words.txt")
    lang.phones.save(path / "phones.txt")
    write_fst(path / "HCLG.fst", fst)
    own = {
        "num_transition_ids": transitions.num_transition_ids,
        "num_pdfs": transitions.num_pdfs,
        "model_checksum": model_checksum(tree, transitions),
        "num_states": fst.num_states,
        "num_arcs": fst.num_arcs,
    }
    write_json(path / "graph.json", {**described, **own})


def load_graph_info(path: Path | str) -> GraphInfo:
    """Read ``graph.json``.

    Raises
    ------
    GraphError, FormatError
        It is not a graph directory, or damaged.
    """
    path = Path(path)
    if not (path / "graph.json").exists():
        raise GraphError("not a graph directory: no graph.json", where=path, remedy="make one with `asrkit make-graph`")
    described = read_json(path / "graph.json")
    try:
        return GraphInfo(
            int(described["num_transition_ids"]), int(described["num_pdfs"]), described["model_checksum"], described
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"not the description of a graph ({error!r})", where=path / "graph.json") from None


def load_words(path: Path | str) -> SymbolTable:
    """Read the words that a graph directory's output labels stand for."""
    return SymbolTable.load(Path(path) / "words.txt")


def load_difference(path: Path | str) -> NgramAutomaton | None:
    """Read what a graph made with ``--on-the-fly`` lacks of its language model; None for any other graph.

    Raises
    ------
    GraphError, FormatError
        It is not a graph directory, or damaged.
    """
    path = Path(path)
    return NgramAutomaton.load(path / DIFFERENCE) if load_graph_info(path).described.get("on_the_fly") else None


def check_graph_fits(path: Path | str, tree: ContextTree, transitions: TransitionModel) -> None:
    """Raise :class:`GraphError` when the graph was made for a model with another tree or topology."""
    info = load_graph_info(path)
    if info.model_checksum != model_checksum(tree, transitions):
        raise GraphError(
            f"this graph was made for another model, of {info.num_transition_ids} transition ids and {info.num_pdfs} "
            f"pdfs; this model has {transitions.num_transition_ids} and {transitions.num_pdfs}, or another tree",
            where=path,
            remedy="run `asrkit make-graph` with this model",
        )
