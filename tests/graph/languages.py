"""A tiny language with every difficulty, and what it can say, worked out without any transducer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree, Leaf, Split, Table
from asrkit.lang.langdir import Lang, LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation, normalise
from asrkit.lang.silence import SilenceHabit, SilenceModel
from asrkit.lang.topology import Topology

# Homophones (TOO, TWO), a word that begins another (T, TA), phone strings that split in two ways
# (T A against TA), alternatives with probabilities, a word of one phone.
ENTRIES = (
    ("A", "a", 1.0),
    ("T", "t", 0.5),
    ("T", "t i", 0.2),
    ("TA", "t a", 1.0),
    ("TOO", "t u", 1.0),
    ("TWO", "t u", 0.6),
    ("TWO", "t u i", 0.3),
)

Path_ = tuple[int, ...]
# Determinisation and minimisation round costs to 1/1024 on each of a path's arcs.
QUANTISED = 1e-2

Weights = dict[tuple[Path_, Path_], float]


def tiny_lang(**config: object) -> Lang:
    entries = normalise([Pronunciation(word, tuple(phones.split()), p) for word, phones, p in ENTRIES])
    return make_lang(entries, LangConfig(**{"num_states": 2, "num_silence_states": 3, **config}))


def write_arpa(path: Path, ngrams: dict[str, tuple[float, float]], order: int) -> Path:
    """Write ``{"w1 w2": (log10 prob, log10 back-off)}`` as an ARPA file."""
    lines = ["\\data\\"]
    by_order = {n: sorted(key for key in ngrams if len(key.split()) == n) for n in range(1, order + 1)}
    lines += [f"ngram {n}={len(keys)}" for n, keys in by_order.items()]
    for n, keys in by_order.items():
        lines += ["", f"\\{n}-grams:"]
        for key in keys:
            prob, backoff = ngrams[key]
            lines.append(f"{prob:.6f}\t{key}" + (f"\t{backoff:.6f}" if n < order else ""))
    path.write_text("\n".join([*lines, "", "\\end\\", ""]))
    return path


# A bigram whose context TA is never continued, but has a back-off weight.
BIGRAM = {
    "<s>": (-99.0, -0.2),
    "</s>": (-0.8, 0.0),
    "A": (-0.7, -0.3),
    "T": (-0.9, -0.1),
    "TA": (-1.1, -0.05),
    "TOO": (-0.6, -0.4),
    "TWO": (-1.2, -0.15),
    "<s> A": (-0.4, 0.0),
    "<s> TWO": (-0.5, 0.0),
    "A T": (-0.3, 0.0),
    "A </s>": (-0.9, 0.0),
    "T A": (-0.35, 0.0),
    "TOO </s>": (-0.2, 0.0),
    "TOO TOO": (-1.3, 0.0),  # less than by backing off
    "TWO TOO": (-0.25, 0.0),
}


def backoff_costs(ngrams: dict[str, tuple[float, float]], words: Sequence[str]) -> float:
    """Least cost in nats of a sentence when a back-off may always be taken, also from a listed n-gram."""
    order = max(len(key.split()) for key in ngrams)

    def cost(context: tuple[str, ...], word: str) -> float:
        ways = []
        key = " ".join([*context, word])
        if key in ngrams:
            ways.append(-ngrams[key][0])
        if context:
            ways.append(-ngrams.get(" ".join(context), (0.0, 0.0))[1] + cost(context[1:], word))
        return min(ways, default=math.inf)

    tokens = ["<s>", *words, "</s>"]
    total = sum(cost(tuple(tokens[max(0, i - order + 1) : i]), tokens[i]) for i in range(1, len(tokens)))
    return total * math.log(10)


def habitual(lang: Lang, seed: int = 0) -> Lang:
    """The language with silence probabilities of every pronunciation's own, also factors above 1."""
    rng = np.random.default_rng(seed)
    habits = {
        (p.word, *p.phones): SilenceHabit(rng.uniform(0.1, 0.9), rng.uniform(0.2, 3.0), rng.uniform(0.2, 3.0))
        for p in lang.pronunciations
    }
    return replace(lang, trained_silence=SilenceModel(0.3, 0.85, (2.4, 0.06), habits))


def place_cost(lang: Lang, before: Pronunciation | None, behind: Pronunciation | None, silent: bool) -> float:
    """Cost of silence, or of none, between two pronunciations; None is an end of the sentence."""
    model, chance, factor = lang.trained_silence, lang.config.silence_probability, 1.0
    if model is not None:
        chance = model.start if before is None else model.habits[before.word, *before.phones].after
        if behind is None:
            factor = model.end[0] if silent else model.end[1]
        else:
            habit = model.habits[behind.word, *behind.phones]
            factor = habit.before if silent else habit.joined
    return -math.log((chance if silent else 1 - chance) * factor)


def sayings(lang: Lang, words: Sequence[str]) -> Iterator[tuple[Path_, float]]:
    """Yield every (phones, cost) of a sentence: pronunciations and optional silence, from the entries as they stand."""
    ways = (False, True) if lang.config.silence_probability else (False,)
    known = [[p for p in lang.pronunciations if p.word == word] for word in words]
    for chosen in itertools.product(*known):
        for silences in itertools.product(ways, repeat=len(words) + 1):
            cost = sum(-math.log(p.probability) for p in chosen)
            places = zip((None, *chosen), (*chosen, None), silences, strict=True)
            cost += sum(place_cost(lang, before, behind, silent) for before, behind, silent in places)
            phones = [lang.config.silence_phone] if silences[0] else []
            for p, silent in zip(chosen, silences[1:], strict=True):
                phones += [*p.phones, *([lang.config.silence_phone] if silent else [])]
            yield tuple(lang.phones.ids[phone] for phone in phones), cost


def hmm_ways(
    window: Sequence[int], tree: ContextTree, transitions: TransitionModel, max_frames: int
) -> list[tuple[tuple[int, ...], float, float]]:
    """Every way through one phone: (transition ids, sum of leaving costs, of self-loop and not-self-loop costs)."""
    phone = window[tree.central_position]
    states = transitions.topology.states(phone)
    ways: list[tuple[tuple[int, ...], float, float]] = []

    def go(state: int, taken: tuple[int, ...], leaving: float, looping: float) -> None:
        if state == len(states) - 1:
            ways.append((taken, leaving, looping))
            return
        pdf = tree.pdf_id(window, states[state].pdf_class)
        targets = [target for target, _ in states[state].transitions]
        tids = {target: transitions.transition_id(phone, state, pdf, i) for i, target in enumerate(targets)}
        prob = {target: math.exp(transitions.log_probs[tid]) for target, tid in tids.items()}
        loop_prob = prob.get(state, 0.0)
        for target in targets:
            if target == state:
                continue
            for loops in range(max_frames - len(taken) if loop_prob else 1):
                repeated = (tids[state],) * loops if loops else ()
                stay = -loops * math.log(loop_prob) if loops else 0.0
                go(
                    target,
                    (*taken, tids[target], *repeated),
                    leaving - math.log(prob[target] / (1 - loop_prob)),
                    looping + stay - math.log(1 - loop_prob),
                )

    go(0, (), 0.0, 0.0)
    return ways


def alignments(
    phones: Path_,
    tree: ContextTree,
    transitions: TransitionModel,
    max_frames: int,
    transition_scale: float,
    self_loop_scale: float,
) -> Iterator[tuple[Path_, float]]:
    """Yield every (transition ids, cost) of a phone sequence in at most ``max_frames`` frames."""
    right = tree.context_width - 1 - tree.central_position
    padded = (0,) * tree.central_position + phones + (0,) * right
    windows = [padded[i : i + tree.context_width] for i in range(len(phones))]
    ways = [hmm_ways(window, tree, transitions, max_frames) for window in windows]

    def go(number: int, tids: Path_, cost: float) -> Iterator[tuple[Path_, float]]:
        if number == len(ways):
            yield tids, cost
            return
        for more, leaving, looping in ways[number]:
            if len(tids) + len(more) <= max_frames:
                step = transition_scale * leaving + self_loop_scale * looping
                yield from go(number + 1, tids + more, cost + step)

    yield from go(0, (), 0.0)


def random_probabilities(tree: ContextTree, topology: Topology, seed: int) -> TransitionModel:
    """Transition ids of the tree with probabilities that are not the topology's."""
    flat = TransitionModel.from_tree(tree, topology)
    weights = np.random.default_rng(seed).uniform(0.2, 1.0, flat.num_transition_ids + 1)
    totals = np.bincount(flat.tid_to_transition_state, weights)
    log_probs = np.log(weights / totals[flat.tid_to_transition_state])
    log_probs[0] = 0.0
    return TransitionModel(topology, flat.triples, log_probs.astype(np.float32))


def random_triphone_tree(topology: Topology, seed: int) -> ContextTree:
    """A tree that asks about both neighbours and about the pdf class, differently for every phone."""
    rng = np.random.default_rng(seed)
    counter = itertools.count()
    phones = list(topology.phones)

    def questions(depth: int) -> Leaf | Split:
        if depth == 0:
            return Leaf(next(counter))
        position = int(rng.choice([0, 2]))
        values = frozenset(int(p) for p in rng.choice([0, *phones], size=3, replace=False))
        return Split(position, values, questions(depth - 1), questions(int(rng.integers(depth))))

    branches = {}
    for phone in phones:
        classes = {c: questions(int(rng.integers(1, 3))) for c in range(topology.num_pdf_classes(phone))}
        branches[phone] = Table(-1, classes)
    return ContextTree(3, 1, Table(1, branches))


def graph_paths(fst: object, max_inputs: int, max_outputs: int = 99) -> Weights:
    """Every accepted (input labels, output labels) of an FstArrays with its least cost; epsilons left out."""
    best: Weights = {}
    todo = [(fst.start, (), (), 0.0, 0)]
    while todo:
        state, inputs, outputs, cost, silent_steps = todo.pop()
        if np.isfinite(fst.final_cost[state]):
            key = (inputs, outputs)
            best[key] = min(best.get(key, math.inf), cost + float(fst.final_cost[state]))
        for arc in range(fst.arc_begin[state], fst.arc_begin[state + 1]):
            ilabel, olabel = int(fst.ilabel[arc]), int(fst.olabel[arc])
            longer = (*inputs, ilabel) if ilabel else inputs
            written = (*outputs, olabel) if olabel else outputs
            steps = 0 if ilabel else silent_steps + 1
            if len(longer) <= max_inputs and len(written) <= max_outputs and steps <= 8:
                todo.append((int(fst.dst[arc]), longer, written, cost + float(fst.cost[arc]), steps))
    return best


def assert_same_weights(found: Weights, expected: Weights, tolerance: float = QUANTISED) -> None:
    assert set(found) == set(expected)
    worst = max(abs(found[key] - expected[key]) for key in expected)
    assert worst < tolerance, worst
