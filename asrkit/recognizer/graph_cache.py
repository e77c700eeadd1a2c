"""Graphs that were built at run time, kept in the user's cache folder under all that they were built from."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path

from asrkit.core.config import to_mapping
from asrkit.core.errors import AsrkitError
from asrkit.graph.arrays import GraphArrays, load_graph
from asrkit.graph.directory import model_checksum
from asrkit.graph.fst import FstArrays, write_fst
from asrkit.graph.hclg import GraphConfig
from asrkit.graph.tlg import compile_graph
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree
from asrkit.lang.langdir import Lang

log = logging.getLogger("asrkit")

MOST_KEPT = 16
"""Graphs in the cache; the one that was used longest ago goes first."""


def cache_folder() -> Path:
    """Return ``asrkit/graphs`` in the user's cache folder (``XDG_CACHE_HOME``, else ``~/.cache``)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "asrkit" / "graphs"


def built_graph(
    lang: Lang,
    grammar: FstArrays,
    tree: ContextTree,
    transitions: TransitionModel,
    config: GraphConfig,
    has_blank: bool = False,
) -> GraphArrays:
    """Return HCLG (or TLG, of a model that has a blank), built now or taken from the cache.

    Where the cache cannot be written to, the graph is built each time.

    Raises
    ------
    GraphError
        No sentence of the grammar can be said.
    """
    path = cache_folder() / f"{graph_key(lang, grammar, tree, transitions, config)}.fst"
    if path.is_file():
        try:
            graph = load_graph(path)
            os.utime(path)
            return graph
        except (AsrkitError, OSError) as error:
            log.debug("%s; the graph is built again", error)
    fst = compile_graph(lang, grammar, tree, transitions, config, has_blank)
    try:
        write_fst(path, fst)
        _forget_oldest(path.parent)
        return load_graph(path)
    except OSError as error:
        log.debug("the graph is not kept: %s", error)
    with tempfile.TemporaryDirectory(prefix="asrkit-graph-") as folder:
        write_fst(Path(folder) / "HCLG.fst", fst)
        return load_graph(Path(folder) / "HCLG.fst")


def graph_key(
    lang: Lang, grammar: FstArrays, tree: ContextTree, transitions: TransitionModel, config: GraphConfig
) -> str:
    """Return a SHA-256 of all that a graph is built from."""
    described = {
        "model": model_checksum(tree, transitions),
        "words": lang.words.symbols,
        "phones": lang.phones.symbols,
        "lexicon": [[p.word, *p.phones, repr(p.probability)] for p in lang.pronunciations],
        "silence": [repr(lang.silence), lang.optional_silence],
        "config": to_mapping(config),
        "start": grammar.start,
    }
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for array in (
        transitions.log_probs,
        grammar.final_cost,
        grammar.arc_begin,
        grammar.ilabel,
        grammar.olabel,
        grammar.cost,
        grammar.dst,
    ):
        digest.update(array.tobytes())
    return digest.hexdigest()


def _forget_oldest(folder: Path) -> None:
    graphs = sorted(folder.glob("*.fst"), key=lambda path: path.stat().st_mtime_ns)
    for path in graphs[:-MOST_KEPT]:
        path.unlink(missing_ok=True)
