"""The kinds of things that asrkit makes and reads, how each is recognised, and what a path turns out to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asrkit.core.errors import DataError
from asrkit.stages.info.cdbn import cdbn_facts
from asrkit.stages.info.classifier import classifier_facts
from asrkit.stages.info.data import data_facts
from asrkit.stages.info.files import (
    archive_facts,
    arpa_facts,
    container_facts,
    g2p_facts,
    index_facts,
    is_archive,
    is_arpa,
    is_container,
    is_g2p,
    is_index,
)
from asrkit.stages.info.graph import graph_facts
from asrkit.stages.info.lang import lang_facts
from asrkit.stages.info.lattices import (
    is_lattice_archive,
    is_lattice_index,
    lattice_archive_facts,
    lattice_index_facts,
)
from asrkit.stages.info.model import model_facts
from asrkit.stages.info.music import music_facts
from asrkit.stages.info.recognizer import is_package, recognizer_facts
from asrkit.stages.info.records import RECORD, records_of
from asrkit.stages.info.results import alignment_facts, decoding_facts
from asrkit.stages.info.stack import stack_facts

Facts = dict[str, Any]

NUM_NAMED = 12


@dataclass(frozen=True)
class DirectoryKind:
    """A kind of directory.

    Attributes
    ----------
    name : str
        One word, for programs.
    title : str
        What it is, for people.
    marks : tuple of str
        Files that every directory of the kind holds, and by which it is recognised.
    facts : callable
        Path -> JSON-serialisable facts.
    """

    name: str
    title: str
    marks: tuple[str, ...]
    facts: Callable[[Path], Facts]

    def recognises(self, path: Path) -> bool:
        """Say whether the directory holds the marks."""
        return all((path / mark).is_file() for mark in self.marks)


@dataclass(frozen=True)
class FileKind:
    """A kind of file, recognised by what stands in it; ``mark`` says by what."""

    name: str
    title: str
    mark: str
    recognises: Callable[[Path], bool]
    facts: Callable[[Path], Facts]


DIRECTORIES = (
    DirectoryKind("model", "GMM-HMM model directory", ("model.safetensors", "tree.json", "frontend.json"), model_facts),
    DirectoryKind("stack", "pretrained stack", ("stack.safetensors", "frontend.json"), stack_facts),
    DirectoryKind("cdbn", "convolutional deep belief network", ("cdbn.safetensors", "frontend.json"), cdbn_facts),
    DirectoryKind(
        "classifier", "classifier of utterances", ("classifier.safetensors", "frontend.json"), classifier_facts
    ),
    DirectoryKind("music", "model of music", ("music.safetensors",), music_facts),
    DirectoryKind("alignment", "alignments", ("ali.scp",), alignment_facts),
    DirectoryKind("data", "data directory", ("wav.scp", "utt2spk"), data_facts),
    DirectoryKind("lang", "lang directory", ("lang.json", "words.txt", "phones.txt"), lang_facts),
    DirectoryKind("graph", "graph directory", ("HCLG.fst", "graph.json"), graph_facts),
    DirectoryKind("decoding", "hypotheses", ("hyp.txt",), decoding_facts),
)
FILES = (
    FileKind("arpa", "n-gram language model, ARPA", "a \\data\\ line", is_arpa, arpa_facts),
    FileKind("g2p", "G2P model", "safetensors of the kind g2p", is_g2p, g2p_facts),
    FileKind(
        "recognizer", "recogniser in one file", "safetensors of the kind recognizer", is_package, recognizer_facts
    ),
    FileKind("container", "model file", "safetensors that asrkit wrote", is_container, container_facts),
    FileKind(
        "lattice_index",
        "index of lattices",
        "lines 'key file:offset' that point to lattices",
        is_lattice_index,
        lattice_index_facts,
    ),
    FileKind(
        "lattices",
        "Kaldi lattice archive",
        "a key and an OpenFst file over lattice arcs, or its text form",
        is_lattice_archive,
        lattice_archive_facts,
    ),
    FileKind("index", "index of archives", "lines 'key file:offset'", is_index, index_facts),
    FileKind("archive", "Kaldi archive", "a key and an entry of Kaldi's format", is_archive, archive_facts),
)


@dataclass(frozen=True)
class Part:
    """What something is in one respect: a model directory may hold alignments too."""

    kind: str
    title: str
    facts: Facts


@dataclass(frozen=True)
class Description:
    """What a path turned out to be.

    Attributes
    ----------
    path : Path
    parts : tuple of Part
        Empty where only a record tells what was made.
    records : dict of str to dict
        Command -> facts; see :func:`asrkit.stages.info.records.record_facts`.
    """

    path: Path
    parts: tuple[Part, ...]
    records: dict[str, Facts] = field(default_factory=dict)

    def to_json(self) -> Facts:
        """Return one JSON-serialisable object."""
        parts = [{"kind": part.kind, "title": part.title, "facts": part.facts} for part in self.parts]
        return {"path": str(self.path), "parts": parts, "records": self.records}


def describe(path: Path) -> Description:
    """Say what a file or directory is.

    Raises
    ------
    DataError
        It is absent, or of no kind that asrkit knows.
    AsrkitError
        It is of a known kind and damaged.
    """
    if not path.exists():
        raise DataError("no such file or directory", where=path)
    kinds: tuple[DirectoryKind | FileKind, ...] = DIRECTORIES if path.is_dir() else FILES
    found = [kind for kind in kinds if kind.recognises(path)]
    # A file is one thing, and the kinds of files go from the special to the general.
    found = found if path.is_dir() else found[:1]
    records = records_of(path)
    if not found and not (path.is_dir() and records):
        raise _unknown(path)
    return Description(path, tuple(Part(kind.name, kind.title, kind.facts(path)) for kind in found), records)


def _unknown(path: Path) -> DataError:
    """Say what was looked for and what is there."""
    if path.is_dir():
        wanted = [f"{kind.title} ({', '.join(kind.marks)})" for kind in DIRECTORIES] + [f"any record ({RECORD})"]
        names = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir())
        held = ", ".join(names[:NUM_NAMED]) + (", …" if len(names) > NUM_NAMED else "")
        return DataError(f"no directory that asrkit knows; looked for: {'; '.join(wanted)}; found: {held}", where=path)
    wanted = [f"{kind.title} ({kind.mark})" for kind in FILES]
    return DataError(f"no file that asrkit knows; looked for: {'; '.join(wanted)}", where=path)
