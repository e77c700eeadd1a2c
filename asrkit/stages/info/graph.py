"""Facts of a graph directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.graph.directory import load_graph_info, load_words


def graph_facts(path: Path) -> dict[str, Any]:
    """Return the size of HCLG, and the language model, lang directory and model that it was made of."""
    info = load_graph_info(path)
    described = info.described
    return {
        "states": described.get("num_states"),
        "arcs": described.get("num_arcs"),
        "megabytes": (path / "HCLG.fst").stat().st_size / 1e6,
        "words": len(load_words(path)),
        "pdfs": info.num_pdfs,
        "transition_ids": info.num_transition_ids,
        "on_the_fly": bool(described.get("on_the_fly")),
        **{name: described.get(name) for name in ("language_model", "lang", "model", "config")},
        "language_model_sha256": described.get("language_model_sha256"),
        "model_checksum": info.model_checksum,
    }
