"""Context-dependency trees: from a window of phones and a pdf class to a pdf_id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from asrkit.core.errors import FormatError, ModelError
from asrkit.core.files import read_json, write_json
from asrkit.lang.topology import Topology

PDF_CLASS = -1


@dataclass(frozen=True)
class Leaf:
    """A pdf, 0-based."""

    pdf_id: int


@dataclass(frozen=True)
class Split:
    """A question: is the value at ``position`` (a place in the window, or :data:`PDF_CLASS`) one of ``values``?"""

    position: int
    values: frozenset[int]
    yes: Node
    no: Node


@dataclass(frozen=True)
class Table:
    """A branch for each value at ``position``."""

    position: int
    branches: Mapping[int, Node]


Node = Leaf | Split | Table


@dataclass(frozen=True)
class ContextTree:
    """The pdf of every phone in context, as Kaldi's ContextDependency.

    Attributes
    ----------
    context_width : int
        Number of phones in the window (1 monophone, 3 triphone).
    central_position : int
        0-based place in the window of the phone whose pdf is asked for.
    root : Node
        Questions down to the leaves. Outside an utterance the window holds phone id 0.
    """

    context_width: int
    central_position: int
    root: Node

    def pdf_id(self, window: Sequence[int], pdf_class: int) -> int:
        """Return the 0-based pdf_id for a window of ``context_width`` phone ids and a pdf class.

        Raises
        ------
        ModelError
            The tree knows no such phone or pdf class.
        """
        node = self.root
        while not isinstance(node, Leaf):
            value = pdf_class if node.position == PDF_CLASS else window[node.position]
            if isinstance(node, Split):
                node = node.yes if value in node.values else node.no
            elif value in node.branches:
                node = node.branches[value]
            else:
                raise ModelError(
                    f"the tree has no branch for phones {tuple(window)}, pdf class {pdf_class}",
                    remedy="model and lang directory belong together: use the lang directory of the training",
                )
        return node.pdf_id

    @cached_property
    def num_pdfs(self) -> int:
        """One more than the largest pdf_id."""
        return 1 + max(leaf.pdf_id for leaf in _leaves(self.root))

    def save(self, path: Path) -> None:
        """Write the tree as JSON."""
        write_json(path, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the tree as JSON-serialisable dicts, lists and numbers; equal trees give equal ones."""
        return {"N": self.context_width, "P": self.central_position, "root": _to_json(self.root)}

    @classmethod
    def load(cls, path: Path) -> ContextTree:
        """Read what :meth:`save` wrote."""
        described = read_json(path)
        try:
            width, central = described["N"], described["P"]
            tree = cls(width, central, _from_json(described["root"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise FormatError(f"not a context tree ({error!r})", where=path) from None
        if type(width) is not int or type(central) is not int or not 0 <= central < width:
            raise FormatError(f"not a context tree (N is {width!r}, P is {central!r})", where=path)
        return tree


def monophone_tree(topology: Topology, shared: Iterable[Sequence[int]] = ()) -> ContextTree:
    """Return the context-independent tree: one pdf for each pdf class of each phone, or of each set of shared phones.

    Parameters
    ----------
    shared : iterable of sequences of int
        Phone ids that share their pdfs (e.g. the word-position variants of a phone); phones in none have their own.

    Raises
    ------
    ModelError
        Phones of a set have different numbers of pdf classes, or a phone stands in two sets.
    """
    sets = [sorted(phones) for phones in shared]
    named = [phone for phones in sets for phone in phones]
    if len(set(named)) != len(named):
        raise ModelError("a phone stands in two shared sets")
    sets += [[phone] for phone in topology.phones if phone not in set(named)]
    branches: dict[int, Node] = {}
    next_pdf = 0
    for phones in sorted(sets):
        sizes = {topology.num_pdf_classes(phone) for phone in phones}
        if len(sizes) != 1:
            raise ModelError(f"phones {phones} share pdfs, but their numbers of pdf classes differ")
        size = sizes.pop()
        node = Table(PDF_CLASS, {pdf_class: Leaf(next_pdf + pdf_class) for pdf_class in range(size)})
        branches.update(dict.fromkeys(phones, node))
        next_pdf += size
    return ContextTree(1, 0, Table(0, branches))


def _leaves(node: Node) -> Iterable[Leaf]:
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Split):
        yield from _leaves(node.yes)
        yield from _leaves(node.no)
    else:
        for branch in node.branches.values():
            yield from _leaves(branch)


def _to_json(node: Node) -> Any:
    if isinstance(node, Leaf):
        return node.pdf_id
    if isinstance(node, Split):
        return {"at": node.position, "in": sorted(node.values), "yes": _to_json(node.yes), "no": _to_json(node.no)}
    return {"at": node.position, "table": {str(k): _to_json(v) for k, v in sorted(node.branches.items())}}


def _from_json(value: Any) -> Node:
    if isinstance(value, int):
        return Leaf(value)
    if "table" in value:
        return Table(int(value["at"]), {int(k): _from_json(v) for k, v in value["table"].items()})
    return Split(int(value["at"]), frozenset(value["in"]), _from_json(value["yes"]), _from_json(value["no"]))
