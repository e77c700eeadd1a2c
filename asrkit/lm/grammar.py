"""Grammars and phrase lists: what a recogniser may hear, as an alternative to an n-gram model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from asrkit.core.errors import FormatError, GraphError
from asrkit.core.files import read_lines
from asrkit.lm.acceptor import Acceptor, Arc, build_acceptor
from asrkit.lm.jsgf import parse_jsgf

_LEAST = 1e-300
_WEIGHTED = re.compile(r"/\s*(\S*)\s*/\s*(.*)")


def read_grammar(path: Path | str) -> Acceptor:
    """Read a grammar: JSGF when the file begins with ``#JSGF``, else a list of words and phrases.

    A list has one phrase a line, with ``/weight/`` in front of all of them or of none; empty lines and lines
    that begin with ``#`` followed by a blank are passed over. A sentence is exactly one of the phrases.

    Raises
    ------
    FormatError
        With line (and column): see :func:`asrkit.lm.jsgf.parse_jsgf`; a list with a wrong weight, a phrase
        twice, or no phrase.
    GraphError
        The grammar accepts nothing, or is too large.
    """
    lines = read_lines(path)
    if lines and lines[0].lstrip("\ufeff \t").startswith("#JSGF"):
        try:
            return build_acceptor(parse_jsgf("\n".join(lines), str(path)))
        except GraphError as error:
            error.where = str(path)
            raise
    return phrase_list(*_read_phrases(lines, str(path)))


def _read_phrases(lines: Sequence[str], path: str) -> tuple[list[tuple[str, ...]], list[float] | None]:
    phrases: dict[tuple[str, ...], float | None] = {}
    for number, line in enumerate(lines, 1):
        line = line.lstrip("\ufeff").strip()
        where = f"{path}:{number}"
        if not line or line == "#" or line.startswith(("# ", "#\t")):
            continue
        weight = None
        if match := _WEIGHTED.fullmatch(line):
            weight = _weight(match[1], where)
            line = match[2]
        words = tuple(line.split())
        if not words:
            raise FormatError("a weight without a phrase", where=where)
        if words in phrases:
            raise FormatError(f"the phrase {line!r} is listed twice", where=where, remedy="remove one, or add weights")
        if phrases and (weight is None) != (next(iter(phrases.values())) is None):
            raise FormatError("some phrases have a weight and some have none", where=where)
        phrases[words] = weight
    if not phrases:
        raise FormatError("no phrases in the list", where=path)
    weights = [weight for weight in phrases.values() if weight is not None]
    return list(phrases), weights or None


def _weight(text: str, where: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise FormatError(f"the weight /{text}/ is not a positive number", where=where)
    return weight


def phrase_list(phrases: Iterable[Sequence[str]], weights: Sequence[float] | None = None) -> Acceptor:
    """Return the acceptor of exactly these phrases, as a prefix tree: deterministic, weights near the start.

    Parameters
    ----------
    phrases : iterable of sequences of str
        Distinct.
    weights : sequence of float, optional
        Positive; probabilities are proportional to them. Equal by default.
    """
    phrases = [tuple(phrase) for phrase in phrases]
    # Divided by the largest, so that their sum is finite; very small ones stay above zero.
    largest = 1.0 if weights is None else max(weights, default=1.0)
    weights = [1.0] * len(phrases) if weights is None else [max(one / largest, _LEAST) for one in weights]
    children: list[dict[str, int]] = [{}]
    mass, ends = [0.0], [0.0]
    for phrase, weight in zip(phrases, weights):
        state = 0
        mass[0] += weight
        for word in phrase:
            if word not in children[state]:
                children[state][word] = len(children)
                children.append({})
                mass.append(0.0)
                ends.append(0.0)
            state = children[state][word]
            mass[state] += weight
        ends[state] += weight
    arcs = [
        Arc(state, target, word, -math.log(mass[target] / mass[state]))
        for state, words in enumerate(children)
        for word, target in sorted(words.items())
    ]
    finals = {state: -math.log(end / mass[state]) for state, end in enumerate(ends) if end > 0}
    return Acceptor(len(children), 0, tuple(arcs), finals)
