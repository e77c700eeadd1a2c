"""Model files (``.asrkit``): everything that a recogniser needs, in one bundle."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asrkit.core.bundle import Bundle, open_bundle, write_bundle
from asrkit.core.config import from_mapping, to_mapping
from asrkit.core.errors import AsrkitError, FormatError, ModelError
from asrkit.core.files import read_json
from asrkit.features.cmvn import CmvnStats
from asrkit.graph.arrays import parse_graph
from asrkit.graph.automaton import NgramAutomaton
from asrkit.graph.directory import DIFFERENCE
from asrkit.graph.fst import from_graph
from asrkit.lang.g2p import G2p
from asrkit.lm.arpa import read_arpa
from asrkit.lm.model import NgramModel
from asrkit.recognizer.config import RecognizerConfig
from asrkit.recognizer.model import RecognizerModel, load_model_folders, read_prior

KIND = "recognizer"

HCLG, REST = "graph/HCLG.fst", f"graph/{DIFFERENCE}"
GRAPH_FILES = ("words.txt", "phones.txt", "graph.json", "lexicon.txt")
MODEL_FILES = ("model.safetensors", "tree.json", "topology.json", "frontend.json", "pipeline.json")
LANG_FILES = ("phones.txt", "words.txt", "lexicon.txt", "lang.json", "silence.txt")
ABOUT, PRIOR, LM, G2P, LICENCE = "recognizer.json", "cmvn.json", "lm.arpa", "g2p.safetensors", "LICENCE.txt"

_SMALL = frozenset(
    {
        *(f"graph/{name}" for name in GRAPH_FILES),
        *(f"model/{name}" for name in MODEL_FILES),
        *(f"lang/{name}" for name in LANG_FILES),
        ABOUT,
        PRIOR,
        LICENCE,
    }
)
_KNOWN = _SMALL | {HCLG, REST, LM, G2P}
_REQUIRED = frozenset([HCLG, ABOUT, *(f"model/{name}" for name in MODEL_FILES), "lang/lexicon.txt"]) | {
    f"graph/{name}" for name in GRAPH_FILES[:3]
}


def write_package(
    out: Path,
    model: Path,
    graph: Path,
    lang: Path,
    config: RecognizerConfig,
    prior: CmvnStats | None = None,
    language_model: Path | None = None,
    g2p: Path | None = None,
    licence: str = "",
) -> dict[str, int]:
    """Write a model directory, a graph directory and what belongs to them as one file, whole or not at all.

    Parameters
    ----------
    lang : Path
        Lang directory of the graph.
    language_model : Path, optional
        The ARPA file that the graph was built from, plain or gzipped.

    Returns
    -------
    dict of str to int
        Bytes of each member.
    """
    members: dict[str, Path | bytes] = {HCLG: graph / "HCLG.fst"}
    if (graph / DIFFERENCE).exists():
        members[REST] = graph / DIFFERENCE
    about = {"config": to_mapping(config), "name": model.resolve().name}
    members[ABOUT] = json.dumps(about, indent=1).encode()
    for folder, source, names in (
        ("graph", graph, GRAPH_FILES),
        ("model", model, MODEL_FILES),
        ("lang", lang, LANG_FILES),
    ):
        members |= {f"{folder}/{name}": source / name for name in names if (source / name).is_file()}
    members["graph/graph.json"] = json.dumps(_without_places(read_json(graph / "graph.json")), indent=1).encode()
    if prior is not None:
        members[PRIOR] = json.dumps(prior.to_matrix().tolist()).encode()
    if language_model is not None:
        members[LM] = _unpacked(language_model)
    if g2p is not None:
        members[G2P] = g2p
    if licence:
        members[LICENCE] = licence.encode()
    write_bundle(out, KIND, members)
    return {
        name: len(member) if isinstance(member, bytes) else member.stat().st_size for name, member in members.items()
    }


def load_package(path: Path | str) -> RecognizerModel:
    """Open a model file.

    The graph is used where it lies in the mapped file; the small members are read by way of a temporary directory,
    under names from a fixed list. Language model and G2P are read when they are asked for.

    Raises
    ------
    ModelError
        The file is absent, damaged, or none of ours; its parts do not belong together.
    """
    path = Path(path)
    bundle = open_bundle(path, KIND)
    _check_members(bundle)
    graph = parse_graph(bundle.read(HCLG), Path(f"{path}:{HCLG}"))
    with _unpacked_members(bundle, _SMALL & set(bundle.members)) as folder:
        about = read_json(folder / ABOUT)
        if not isinstance(about, dict) or not isinstance(about.get("config"), dict):
            raise FormatError("not the description of a recogniser", where=folder / ABOUT)
        config = from_mapping(RecognizerConfig, about["config"], str(folder / ABOUT))
        licence = folder / LICENCE
        return load_model_folders(
            folder / "model",
            folder / "graph",
            folder / "lang",
            config,
            read_prior(folder / PRIOR) if PRIOR in bundle.members else None,
            graph,
            path,
            functools.partial(_read_lm, bundle) if LM in bundle.members else None,
            functools.partial(_read_g2p, bundle) if G2P in bundle.members else None,
            licence.read_text("utf-8", "replace") if licence.exists() else "",
            _read_difference(bundle) if REST in bundle.members else None,
        )


def package_facts(path: Path) -> dict[str, Any]:
    """Return what a model file holds: settings, words, pdfs, sizes of its members, licence."""
    bundle = open_bundle(path, KIND)
    model = load_package(path)
    return {
        "version": bundle.version,
        "sample_rate_hz": model.sample_rate_hz,
        "features": model.front_end.config.kind,
        "cmvn": model.pipeline.cmvn,
        "speaker_adaptive": model.acoustic.is_speaker_adaptive,
        **model.acoustic.sizes(),
        "words": len(model.words),
        "states": model.graph.graph.num_states,
        "arcs": model.graph.graph.num_arcs,
        "language_model": LM in bundle.members,
        "g2p": G2P in bundle.members,
        "cmvn_frames": None if model.prior is None else int(model.prior.count),
        "licence": model.licence,
        "config": to_mapping(model.config),
        "megabytes": path.stat().st_size / 1e6,
        "members": {name: member.size for name, member in bundle.members.items()},
    }


def _check_members(bundle: Bundle) -> None:
    remedy = "pack the model again"
    unknown = sorted(set(bundle.members) - _KNOWN)
    absent = sorted(_REQUIRED - set(bundle.members))
    if unknown or absent:
        what = f"{unknown[0]} is unknown in a model file" if unknown else f"{absent[0]} is missing"
        raise ModelError(what, where=bundle.path, remedy=remedy)


def _read_difference(bundle: Bundle) -> NgramAutomaton:
    where = Path(f"{bundle.path}:{REST}")
    return NgramAutomaton.from_fst(from_graph(parse_graph(bundle.read(REST), where)), where)


@contextmanager
def _unpacked_members(bundle: Bundle, names: Any) -> Iterator[Path]:
    """Give a temporary directory with members as files; whatever goes wrong with them is said of the bundle."""
    with tempfile.TemporaryDirectory(prefix="asrkit-model-") as folder:
        try:
            bundle.unpack(sorted(names), Path(folder))
            yield Path(folder)
        except AsrkitError as error:
            place = (error.where or "").replace(f"{folder}/", "")
            inside = place and place != str(bundle.path) and not place.startswith(folder)
            error.where = f"{bundle.path}:{place}" if inside else str(bundle.path)
            raise
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise ModelError(
                f"damaged in a way that its checksums do not tell ({type(error).__name__}: {error})",
                where=bundle.path,
                remedy="get the file from where it was packed",
            ) from None


def _read_lm(bundle: Bundle) -> NgramModel:
    with _unpacked_members(bundle, [LM]) as folder:
        if (folder / LM).read_bytes()[:2] == b"\x1f\x8b":
            raise FormatError("gzipped, expected a plain ARPA file", where=folder / LM)
        return read_arpa(folder / LM)


def _read_g2p(bundle: Bundle) -> G2p:
    with _unpacked_members(bundle, [G2P]) as folder:
        return G2p.load(folder / G2P)


def _without_places(described: dict[str, Any]) -> dict[str, Any]:
    """Return what graph.json says with the names of files instead of places on somebody's disk."""
    places = ("language_model", "lang", "model")
    return {key: Path(value).name if key in places else value for key, value in described.items()}


def _unpacked(path: Path) -> Path | bytes:
    """Return a language model as it is to be stored: plain, so that reading it can take no more memory than it says."""
    import gzip
    import zlib

    with path.open("rb") as handle:
        if handle.read(2) != b"\x1f\x8b":
            return path
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"damaged gzip file: {error}", where=path) from None
