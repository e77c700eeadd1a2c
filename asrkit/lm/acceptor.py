"""Weighted acceptors of word sequences, and how an expression (words, choices, repetitions) becomes one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from asrkit.core.errors import GraphError

MAX_PARTS = 1_000_000
"""Of a grammar with its references written out, and of the steps between its words: parts that may all be left out
grow by their square."""


@dataclass(frozen=True)
class Arc:
    """One step: from state ``source`` to ``target`` over ``word``, at ``cost`` = -ln of its probability."""

    source: int
    target: int
    word: str
    cost: float


@dataclass(frozen=True)
class Acceptor:
    """A finite-state automaton over words without empty arcs; a distribution over the sentences it accepts.

    The probabilities of the arcs that leave a state and of stopping there sum to one, unless the grammar has
    dead ends.

    Attributes
    ----------
    num_states : int
        States are 0 ... num_states - 1; all can be reached, and all can reach a final one.
    start : int
        The state where every sentence begins.
    arcs : tuple of Arc
        Sorted by (source, word, target); no two share all three.
    finals : dict of int to float
        State where a sentence may end -> cost of ending there.
    """

    num_states: int
    start: int
    arcs: tuple[Arc, ...]
    finals: dict[int, float]

    def words(self) -> tuple[str, ...]:
        """Return the vocabulary, sorted."""
        return tuple(sorted({arc.word for arc in self.arcs}))

    def cost(self, sentence: Sequence[str]) -> float:
        """Return -ln P(sentence), summed over its paths; inf where the acceptor refuses it."""
        reached = {self.start: 1.0}
        outgoing = self._outgoing()
        for word in sentence:
            after: dict[int, float] = {}
            for state, prob in reached.items():
                for arc in outgoing[state]:
                    if arc.word == word:
                        after[arc.target] = after.get(arc.target, 0.0) + prob * math.exp(-arc.cost)
            reached = after
        total = sum(prob * math.exp(-self.finals.get(state, math.inf)) for state, prob in reached.items())
        return -math.log(total) if total > 0 else math.inf

    def sentences(self, max_words: int) -> Iterator[tuple[tuple[str, ...], float]]:
        """Yield ``(words, probability)`` of each path of at most ``max_words`` words, shortest first."""
        outgoing = self._outgoing()
        paths: list[tuple[tuple[str, ...], int, float]] = [((), self.start, 1.0)]
        for _ in range(max_words + 1):
            longer = []
            for words, state, prob in paths:
                if state in self.finals:
                    yield words, prob * math.exp(-self.finals[state])
                for arc in outgoing[state]:
                    longer.append(((*words, arc.word), arc.target, prob * math.exp(-arc.cost)))
            paths = longer

    def _outgoing(self) -> list[list[Arc]]:
        outgoing: list[list[Arc]] = [[] for _ in range(self.num_states)]
        for arc in self.arcs:
            outgoing[arc.source].append(arc)
        return outgoing


@dataclass(frozen=True)
class Word:
    """Exactly one word."""

    text: str


@dataclass(frozen=True)
class Chain:
    """One part after the other; no parts: the empty sentence."""

    parts: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class Choice:
    """One of the parts, with probabilities in proportion to ``weights``; no parts: nothing at all."""

    parts: tuple[Expression, ...] = ()
    weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class Repeat:
    """The part ``at_least`` (0 or 1) times; after each time it is repeated with probability ``again``."""

    part: Expression
    at_least: int
    again: float = 0.5


Expression = Word | Chain | Choice | Repeat


def may_be_empty(expression: Expression, known: dict[int, bool] | None = None) -> bool:
    """Say whether the expression accepts the sentence without words; ``known`` remembers shared parts by identity."""
    known = {} if known is None else known
    if id(expression) not in known:
        empty = False
        if isinstance(expression, Chain):
            empty = all(may_be_empty(part, known) for part in expression.parts)
        elif isinstance(expression, Choice):
            weighted = zip(expression.parts, expression.weights)
            empty = any(weight > 0 and may_be_empty(part, known) for part, weight in weighted)
        elif isinstance(expression, Repeat):
            empty = expression.at_least == 0 or may_be_empty(expression.part, known)
        known[id(expression)] = empty
    return known[id(expression)]


def build_acceptor(expression: Expression) -> Acceptor:
    """Return the acceptor of an expression.

    Built with empty arcs in Thompson's way, which are then removed with the sums of their probabilities, so that
    every sentence keeps its own. What is repeated must not be empty (the caller checks), which keeps the empty
    arcs free of cycles.

    Raises
    ------
    GraphError
        The expression accepts nothing, or has more than :data:`MAX_PARTS` parts or steps, references written out.
    """
    draft = _Draft()
    start, end = draft.state(), draft.state()
    draft.add(expression, start, end, 0.0)
    return _without_empty_arcs(draft, start, end)


@dataclass
class _Draft:
    """An automaton in the making: per state its word arcs (target, word, cost) and its empty arcs (target, cost)."""

    over_words: list[list[tuple[int, str, float]]] = field(default_factory=list)
    empty: list[list[tuple[int, float]]] = field(default_factory=list)
    num_parts: int = 0

    def state(self) -> int:
        self.over_words.append([])
        self.empty.append([])
        return len(self.empty) - 1

    def add(self, expression: Expression, source: int, target: int, cost: float) -> None:
        self.num_parts += 1
        if self.num_parts > MAX_PARTS:
            raise GraphError(f"the grammar has more than {MAX_PARTS} parts", remedy="simplify its nested references")
        if isinstance(expression, Word):
            self.over_words[source].append((target, expression.text, cost))
        elif isinstance(expression, Chain):
            self._add_chain(expression, source, target, cost)
        elif isinstance(expression, Choice):
            largest = max(expression.weights, default=0.0)
            total = math.fsum(weight / largest for weight in expression.weights) if largest else 0.0
            for part, weight in zip(expression.parts, expression.weights):
                if weight > 0:
                    self.add(part, source, target, cost + math.log(largest) + math.log(total) - math.log(weight))
        else:
            self._add_repeat(expression, source, target, cost)

    def _add_chain(self, chain: Chain, source: int, target: int, cost: float) -> None:
        if not chain.parts:
            self.empty[source].append((target, cost))
        for i, part in enumerate(chain.parts):
            last = i == len(chain.parts) - 1
            after = target if last else self.state()
            self.add(part, source, after, cost if i == 0 else 0.0)
            source = after

    def _add_repeat(self, repeat: Repeat, source: int, target: int, cost: float) -> None:
        before, after = self.state(), self.state()
        again, enough = -math.log(repeat.again), -math.log1p(-repeat.again)
        self.add(repeat.part, before, after, 0.0)
        self.empty[after].append((before, again))
        self.empty[after].append((target, enough))
        if repeat.at_least:
            self.empty[source].append((before, cost))
        else:
            self.empty[source].append((before, cost + again))
            self.empty[source].append((target, cost + enough))


def _closures(draft: _Draft) -> list[dict[int, float]]:
    """Per state: the states that empty arcs lead to, itself included, with the cost of all paths there together."""
    closures: list[dict[int, float] | None] = [None] * len(draft.empty)
    steps = 0
    for root in range(len(draft.empty)):
        stack = [root]
        while stack:
            state = stack[-1]
            waiting = [target for target, _ in draft.empty[state] if closures[target] is None]
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            closure = {state: 0.0}
            for target, cost in draft.empty[state]:
                for reached, more in (closures[target] or {}).items():
                    closure[reached] = _either(closure.get(reached, math.inf), cost + more)
            closures[state] = closure
            steps = _counted(steps + len(closure))
    return [closure or {} for closure in closures]


def _without_empty_arcs(draft: _Draft, start: int, end: int) -> Acceptor:
    closures = _closures(draft)
    costs: dict[tuple[int, str, int], float] = {}
    finals: dict[int, float] = {}
    pending, known = [start], {start}
    while pending:
        state = pending.pop()
        for reached, cost in closures[state].items():
            if reached == end:
                finals[state] = _either(finals.get(state, math.inf), cost)
            for target, word, step in draft.over_words[reached]:
                key = (state, word, target)
                costs[key] = _either(costs.get(key, math.inf), cost + step)
                if target not in known:
                    known.add(target)
                    pending.append(target)
        _counted(len(costs))
    return _trimmed(start, costs, finals)


def _either(cost: float, other: float) -> float:
    """Return -ln of the sum of two probabilities by their costs; the probabilities may be too small for a number."""
    least, gap = (cost, other - cost) if cost <= other else (other, cost - other)
    return least if gap == math.inf else least - math.log1p(math.exp(-gap))


def _counted(steps: int) -> int:
    if steps > MAX_PARTS:
        raise GraphError(
            f"the grammar has more than {MAX_PARTS} steps from word to word",
            remedy="leave out fewer parts in a row: write ( ) in place of [ ], or + in place of *",
        )
    return steps


def _trimmed(start: int, costs: dict[tuple[int, str, int], float], finals: dict[int, float]) -> Acceptor:
    """Keep the states that can reach a final one, and number them with the start first."""
    sources: dict[int, list[int]] = {}
    for source, _, target in costs:
        sources.setdefault(target, []).append(source)
    alive, pending = set(finals), list(finals)
    while pending:
        for source in sources.get(pending.pop(), ()):
            if source not in alive:
                alive.add(source)
                pending.append(source)
    if start not in alive:
        raise GraphError("the grammar accepts no sentence at all")
    number = {state: i for i, state in enumerate([start, *sorted(alive - {start})])}
    arcs = [
        Arc(number[source], number[target], word, max(0.0, cost))
        for (source, word, target), cost in costs.items()
        if source in alive and target in alive
    ]
    arcs.sort(key=lambda arc: (arc.source, arc.word, arc.target))
    ends = {number[state]: max(0.0, cost) for state, cost in sorted(finals.items())}
    return Acceptor(len(number), 0, tuple(arcs), ends)
