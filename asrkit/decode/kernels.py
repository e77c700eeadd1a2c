"""The inner loops of the beam search: pruning, expansion by one frame, epsilon closure, traces, and lattice links.

They work on arrays that :class:`asrkit.decode.search.BeamSearch` owns. A *token* is the best path known into one
state at the current frame; its *slot* is its row in the token arrays, and ``slot_of[state]`` finds it (-1: none).
A *trace record* ``(previous record, arc)`` is written for a token only once it has survived the pruning. Where a
lattice is wanted, every way into a survivor that is within the lattice beam of its best one gets a *link* (see
:mod:`asrkit.decode.links`).

Where a language model ``lm`` is searched on the fly, there is a token for each pair of a state and a *history* (a state
of the model), the model's costs are added where a word is passed, and ``slot_of`` is an open hash table of the pairs.
Without one ``lm`` is None, for which the kernels are compiled without all this.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from asrkit.decode.links import (
    FRAMES_WRITTEN,
    LINKS_WRITTEN,
    PENDING,
    PRUNING_INTERVAL,
    START_TOKEN,
    TOKENS_WRITTEN,
    Links,
)
from asrkit.graph.automaton_kernels import NgramArrays, step

Count = int | np.int64
Model = NgramArrays | None

ROOT = -1
# Bit 31 of an arc's destination: the destination has epsilon arcs of its own.
HAS_EPSILONS = np.uint32(0x80000000)
STATE_MASK = np.uint32(0x7FFFFFFF)
# An epsilon arc must improve a token by more than rounding can, or a cycle of cost 0 might never end.
MIN_IMPROVEMENT = 1e-7
NUM_BINS = 512
# Places of the hash table for each token that there is room for.
SPARSENESS = 4
# How many items ahead memory is asked for.
AHEAD = 8

# What `advance` returns.
DONE, NEED_ROOM, NEED_RECORDS, NEED_LINKS, PRUNE_LINKS, BAD_LOGLIKE, NOTHING_SURVIVED, NEGATIVE_CYCLE = range(8)
# Places in `Tokens.counts`: tokens, survivors, trace records, record of the first survivor, candidates of the last
# expansion, frames of the block that are done, and how far the frame at hand is: 0, PRUNED, LINKED.
TOKENS, SURVIVORS, RECORDS, FIRST_RECORD, CANDIDATES, FRAME, STEP, NUM_COUNTS = range(8)
PRUNED, LINKED = 1, 2
# Places in `Tokens.limits`. A lattice beam of 0 says that no links are wanted.
BEAM, BEAM_DELTA, MAX_ACTIVE, MIN_ACTIVE, SCALE, PENALTY, ADAPTIVE_BEAM, LATTICE_BEAM, NUM_LIMITS = range(9)


class Graph(NamedTuple):
    """A graph folded with a model.

    ``offsets`` as in GraphArrays, uint32. ``arcs``, shape (num_arcs, 4), uint32: the column of the arc's
    acoustic cost (its pdf_id, + num_pdfs when it carries a word; for an epsilon arc 0, or 1 with a word), output
    label, bits of the float32 cost, destination with HAS_EPSILONS. ``arc_costs`` is the same memory as float32.
    """

    offsets: NDArray[np.uint32]
    arcs: NDArray[np.uint32]
    arc_costs: NDArray[np.float32]


class Tokens(NamedTuple):
    """The state of one search.

    ``link[slot] = (state, prev, arc)``, where ``prev`` is a record (>= 0) for an emitting arc, ROOT, or ``-2 - slot``
    of a token of the same frame for an epsilon arc. ``kept[i] = (state, slot)`` are the survivors of the last
    pruning and ``kept_cost`` their costs; survivor i has the record ``counts[FIRST_RECORD] + i``. ``candidate[i] =
    (destination, prev, arc)`` are ways that may lead to tokens. With a language model there are more columns:
    ``link[slot, 3:] = (place of its pair in slot_of, history)``, ``kept[i, 2]`` and ``candidate[i, 3]`` are histories.
    """

    slot_of: NDArray[np.int32]
    cost: NDArray[np.float64]
    link: NDArray[np.int32]
    kept_cost: NDArray[np.float64]
    kept: NDArray[np.int32]
    rank: NDArray[np.int32]
    queue: NDArray[np.int32]
    queued: NDArray[np.uint8]
    candidate_cost: NDArray[np.float64]
    candidate: NDArray[np.int32]
    histogram: NDArray[np.int32]
    records: NDArray[np.int32]
    counts: NDArray[np.int64]
    limits: NDArray[np.float64]


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of ``array.flat[index]``: a graph does not fit the cache, and its access is random."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        number = ir.IntType(32)
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        # To be read, to be kept in all caches, data.
        builder.call(function, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, index), generate


prefetch: Any = intrinsic(_prefetch)


@njit(cache=True, nogil=True)
def place_of_pair(tokens: Tokens, state: np.uint32, history: Count) -> np.int64:
    """Return the place in the hash table where the pair's slot is, or would be."""
    slot_of, link = tokens.slot_of, tokens.link
    mask = np.uint64(len(slot_of) - 1)
    mixed = ((np.uint64(history) << np.uint64(32)) ^ np.uint64(state)) * np.uint64(0x9E3779B97F4A7C15)
    place = np.int64((mixed ^ (mixed >> np.uint64(32))) & mask)
    while True:
        slot = slot_of[place]
        if slot < 0 or (np.uint32(link[slot, 0]) == state and link[slot, 4] == history):
            return place
        place = np.int64(np.uint64(place + 1) & mask)


@njit(cache=True, nogil=True)
def forget_slots(tokens: Tokens, lm: Model) -> None:
    """Take all tokens out of ``slot_of``."""
    for slot in range(tokens.counts[TOKENS]):
        if lm is None:
            tokens.slot_of[np.uint32(tokens.link[slot, 0])] = -1
        else:
            tokens.slot_of[tokens.link[slot, 3]] = -1


@njit(cache=True, nogil=True)
def select(values: NDArray[np.float64], count: Count, rank: Count) -> float:
    """Return the ``rank``-th smallest (0-based) of the first ``count`` values, which are reordered."""
    low, high = 0, count - 1
    while low < high:
        pivot = values[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return values[rank]


@njit(cache=True, nogil=True)
def rank_within(tokens: Tokens, best: float, beam: float, rank: Count) -> float:
    """Return the ``rank``-th smallest cost (0-based) if it is below ``best + beam``, else +inf."""
    cost, count, histogram, scratch = tokens.cost, tokens.counts[TOKENS], tokens.histogram, tokens.candidate_cost
    scale = NUM_BINS / beam
    for index in range(NUM_BINS + 1):
        histogram[index] = 0
    for slot in range(count):
        histogram[np.int64(min((cost[slot] - best) * scale, float(NUM_BINS)))] += 1
    below = np.int64(0)
    for wanted in range(NUM_BINS):
        if below + histogram[wanted] > rank:
            size = np.int64(0)
            for slot in range(count):
                scratch[size] = cost[slot]
                size += np.int64(min((cost[slot] - best) * scale, float(NUM_BINS))) == wanted
            return select(scratch, size, rank - below)
        below += histogram[wanted]
    return np.inf


@njit(cache=True, nogil=True)
def cutoff_of(tokens: Tokens) -> float:
    """Return the cost below which tokens survive, and set the adaptive beam (Kaldi's FasterDecoder::GetCutoff)."""
    cost, limits, scratch, count = tokens.cost, tokens.limits, tokens.candidate_cost, tokens.counts[TOKENS]
    beam, delta = limits[BEAM], limits[BEAM_DELTA]
    max_active, min_active = np.int64(limits[MAX_ACTIVE]), np.int64(limits[MIN_ACTIVE])
    best = np.inf
    for slot in range(count):
        best = min(best, cost[slot])
    # Where costs are so large that the beam drowns in rounding, or all tie at the best, the best ones still live.
    at_least = np.nextafter(best, np.inf)
    cutoff = max(best + beam, at_least)
    limits[ADAPTIVE_BEAM] = beam
    if count > max_active:
        tight = rank_within(tokens, best, beam, max_active)
        if tight < cutoff:
            limits[ADAPTIVE_BEAM] = tight - best + delta
            return max(tight, at_least)
    if min_active == 0:
        return cutoff
    inside = 0
    for slot in range(count):
        scratch[slot] = cost[slot]
        inside += cost[slot] < cutoff
    if inside <= min_active:
        # Fewer tokens than min_active: all live, and the next frame is not pruned at all.
        loose = select(scratch, count, min_active) if count > min_active else np.inf
        if loose > cutoff:
            limits[ADAPTIVE_BEAM] = loose - best + delta
            return loose
    return cutoff


@njit(cache=True, nogil=True)
def keep_survivors(tokens: Tokens, lm: Model, cutoff: float) -> None:
    """Write a trace record for each token below the cutoff, and make it a survivor.

    A token above the cutoff from which a survivor was reached (by an epsilon arc of negative cost) gets a record
    too, behind the survivors'.
    """
    cost, link, kept_cost, kept, rank = tokens.cost, tokens.link, tokens.kept_cost, tokens.kept, tokens.rank
    slot_of, records, counts = tokens.slot_of, tokens.records, tokens.counts
    linking = tokens.limits[LATTICE_BEAM] > 0
    total = np.int32(0)
    for slot in range(counts[TOKENS]):
        state = link[slot, 0]
        # Links look destinations up, and forget the slots themselves.
        if lm is None:
            slot_of[np.uint32(state)] = slot if linking else -1
        else:
            slot_of[link[slot, 3]] = slot if linking else -1
            kept[total, 2] = link[slot, 4]
        # Written always, counted only if it survives: a branch here would be guessed wrong every third time.
        kept_cost[total] = cost[slot]
        kept[total, 0] = state
        kept[total, 1] = slot
        survives = cost[slot] < cutoff
        rank[slot] = total if survives else np.int32(-1)
        total += np.int32(survives)
    counts[SURVIVORS] = total
    base = np.int32(counts[RECORDS])
    at = 0
    while at < total:
        slot = kept[at, 1]
        previous = link[slot, 1]
        if previous < ROOT:
            source = -2 - previous
            if rank[source] < 0:
                rank[source] = total
                kept[total, 1] = source
                total += np.int32(1)
            previous = base + rank[source]
        records[base + at, 0] = previous
        records[base + at, 1] = link[slot, 2]
        at += 1
    counts[FIRST_RECORD] = base
    counts[RECORDS] = base + total


@njit(cache=True, nogil=True)
def write_links(graph: Graph, tokens: Tokens, links: Links, lm: Model) -> bool:
    """Write the links into the survivors of a frame, and forget the slots of its tokens.

    False: no room for them, nothing is written.
    """
    offsets, arcs, arc_costs = graph.offsets, graph.arcs, graph.arc_costs
    cost, link, rank, kept, slot_of = tokens.cost, tokens.link, tokens.rank, tokens.kept, tokens.slot_of
    lattice_beam, penalty = tokens.limits[LATTICE_BEAM], tokens.limits[PENALTY]
    first = np.int32(links.counts[TOKENS_WRITTEN])
    num_tokens = tokens.counts[RECORDS] - tokens.counts[FIRST_RECORD]
    at, room = links.counts[LINKS_WRITTEN], len(links.excess)
    frame = links.counts[FRAMES_WRITTEN]
    num_pending = links.counts[PENDING]
    if at + num_pending > room or frame + 1 >= len(links.frames):
        return False
    links.frames[frame, 0] = at
    for i in range(num_pending):
        slot = links.pending[i, 1]
        excess = links.pending_cost[i] - cost[slot]
        # Written always, counted only if it is good enough, as in keep_survivors.
        links.links[at, 0] = links.pending[i, 0]
        links.links[at, 1] = first + rank[slot]
        links.links[at, 2] = links.pending[i, 2]
        links.excess[at] = max(excess, 0.0)
        links.acoustic[at] = links.pending_acoustic[i]
        if lm is not None:
            links.language[at] = links.pending_language[i]
        at += excess <= lattice_beam and rank[slot] >= 0
    links.frames[frame, 1] = at
    for i in range(num_tokens):
        prefetch(offsets, 2 * np.int64(link[kept[min(i + AHEAD, num_tokens - 1), 1], 0]))
        source = kept[i, 1]
        state = np.uint32(link[source, 0])
        if at + np.int64(offsets[state, 1]) - np.int64(offsets[state, 0]) > room:
            return False
        for arc in range(offsets[state, 0], offsets[state, 1]):
            language = 0.0
            if lm is None:
                slot = slot_of[arcs[arc, 3] & STATE_MASK]
            else:
                history = np.int64(link[source, 4])
                if arcs[arc, 1] != 0:
                    history, language = step(lm, history, np.int64(arcs[arc, 1]))
                slot = slot_of[place_of_pair(tokens, arcs[arc, 3] & STATE_MASK, history)]
            if slot >= 0 and rank[slot] >= 0:
                excess = cost[source] + arc_costs[arc, 2] + penalty * arcs[arc, 0] + language - cost[slot]
                links.links[at, 0] = first + i
                links.links[at, 1] = first + rank[slot]
                links.links[at, 2] = arc
                links.excess[at] = max(excess, 0.0)
                links.acoustic[at] = 0.0
                if lm is not None:
                    links.language[at] = language
                at += excess <= lattice_beam
    forget_slots(tokens, lm)
    for slot in range(tokens.counts[TOKENS]):
        if frame == 0 and link[slot, 1] == ROOT:
            links.counts[START_TOKEN] = rank[slot]
    links.frames[frame, 2] = first
    links.counts[LINKS_WRITTEN] = at
    links.counts[TOKENS_WRITTEN] = first + num_tokens
    links.counts[FRAMES_WRITTEN] = frame + 1
    links.counts[PENDING] = 0
    return True


@njit(cache=True, nogil=True)
def note_candidates(graph: Graph, tokens: Tokens, links: Links, lm: Model, loglikes: NDArray[np.float32]) -> None:
    """Remember the candidates that may become links: those within the lattice beam of the best into their token."""
    cost, slot_of, limits, candidate = tokens.cost, tokens.slot_of, tokens.limits, tokens.candidate
    candidate_cost, pending = tokens.candidate_cost, links.pending
    num_candidates, num_pdfs = tokens.counts[CANDIDATES], len(loglikes)
    first_token = links.frames[links.counts[FRAMES_WRITTEN] - 1, 2]
    first = first_token - tokens.counts[FIRST_RECORD]
    count = np.int64(0)
    for at in range(num_candidates):
        destination = np.uint32(candidate[at, 0]) & STATE_MASK
        if lm is None:
            slot = slot_of[destination]
        else:
            slot = slot_of[place_of_pair(tokens, destination, np.int64(candidate[at, 3]))]
        pending[count, 0] = candidate[at, 1] + first
        pending[count, 1] = slot
        pending[count, 2] = candidate[at, 2]
        links.pending_cost[count] = candidate_cost[at]
        count += candidate_cost[at] - cost[slot] <= limits[LATTICE_BEAM]
    for i in range(count):
        column = np.int64(graph.arcs[pending[i, 2], 0])
        links.pending_acoustic[i] = -loglikes[column - num_pdfs if column >= num_pdfs else column]
        if lm is not None:
            word, language = np.int64(graph.arcs[pending[i, 2], 1]), 0.0
            if word != 0:
                _, language = step(lm, np.int64(tokens.kept[pending[i, 0] - first_token, 2]), word)
            links.pending_language[i] = language
    links.counts[PENDING] = count


@njit(cache=True, nogil=True)
def expand(graph: Graph, tokens: Tokens, lm: Model, costs: NDArray[np.float32]) -> tuple[float, Count]:
    """Follow the emitting arcs of all survivors; return the cutoff reached and the number of queued tokens.

    Tokens in states with epsilon arcs are queued. A number of -1 says that there is no room for the candidates.
    """
    offsets, arcs, arc_costs = graph.offsets, graph.arcs, graph.arc_costs
    kept_cost, kept = tokens.kept_cost, tokens.kept
    candidate, candidate_cost = tokens.candidate, tokens.candidate_cost
    num_kept, first_record = tokens.counts[SURVIVORS], tokens.counts[FIRST_RECORD]
    beam = tokens.limits[ADAPTIVE_BEAM]
    best = 0
    for i in range(num_kept):
        best = i if kept_cost[i] < kept_cost[best] else best
    # The best survivor's arcs give a cutoff that is tight from the beginning.
    cutoff = np.inf
    state = np.uint32(kept[best, 0])
    for arc in range(offsets[state, 1], offsets[state + 1, 0]):
        if lm is None or arcs[arc, 1] == 0:
            cutoff = min(cutoff, kept_cost[best] + arc_costs[arc, 2] + costs[arcs[arc, 0]] + beam)
    room = len(candidate_cost)
    count = np.int64(0)
    for i in range(num_kept):
        prefetch(offsets, 2 * np.int64(kept[min(i + 2 * AHEAD, num_kept - 1), 0]))
        prefetch(arcs, 4 * np.int64(offsets[np.uint32(kept[min(i + AHEAD, num_kept - 1), 0]), 1]))
        state = np.uint32(kept[i, 0])
        first, last = np.int64(offsets[state, 1]), np.int64(offsets[state + 1, 0])
        if count + last - first > room:
            return cutoff, -1
        base = kept_cost[i]
        for arc in range(first, last):
            new = base + arc_costs[arc, 2] + costs[arcs[arc, 0]]
            if lm is not None:
                history = np.int64(kept[i, 2])
                if arcs[arc, 1] != 0:
                    history, language = step(lm, history, np.int64(arcs[arc, 1]))
                    new += language
                candidate[count, 3] = history
            # Written always, counted only if it is good enough, as in keep_survivors.
            candidate_cost[count] = new
            candidate[count, 0] = arcs[arc, 3]
            candidate[count, 1] = first_record + i
            candidate[count, 2] = arc
            count += new < cutoff
            cutoff = min(cutoff, new + beam)
    tokens.counts[CANDIDATES] = count
    return cutoff, place(tokens, lm, count, 0.0)


@njit(cache=True, nogil=True)
def place(tokens: Tokens, lm: Model, num_candidates: Count, improvement: float) -> Count:
    """Give each candidate path to its destination's token, if it is better; return the number of queued tokens.

    -1: no room for another token.
    """
    slot_of, cost, link = tokens.slot_of, tokens.cost, tokens.link
    candidate, candidate_cost = tokens.candidate, tokens.candidate_cost
    queue, queued, counts = tokens.queue, tokens.queued, tokens.counts
    room = len(cost)
    num_queued = np.int64(0)
    count = counts[TOKENS]
    for at in range(num_candidates):
        new = candidate_cost[at]
        word = np.uint32(candidate[at, 0])
        destination = word & STATE_MASK
        if lm is None:
            prefetch(slot_of, np.int64(np.uint32(candidate[min(at + 2 * AHEAD, num_candidates - 1), 0]) & STATE_MASK))
            home = np.int64(destination)
        else:
            home = place_of_pair(tokens, destination, np.int64(candidate[at, 3]))
        slot = np.int64(slot_of[home])
        if slot < 0:
            if count == room:
                num_queued = np.int64(-1)
                break
            slot = count
            count += 1
            slot_of[home] = slot
            link[slot, 0] = destination
            if lm is not None:
                link[slot, 3], link[slot, 4] = home, candidate[at, 3]
            queued[slot] = 0
        elif not new < cost[slot] - improvement:
            continue
        cost[slot] = new
        link[slot, 1] = candidate[at, 1]
        link[slot, 2] = candidate[at, 2]
        if word & HAS_EPSILONS and not queued[slot]:
            queued[slot] = 1
            queue[num_queued] = slot
            num_queued += 1
    counts[TOKENS] = count
    return num_queued


@njit(cache=True, nogil=True)
def close(graph: Graph, tokens: Tokens, lm: Model, cutoff: float, num_queued: Count) -> int:
    """Follow epsilon arcs from the queued tokens, round by round, until nothing improves."""
    offsets, arcs, arc_costs = graph.offsets, graph.arcs, graph.arc_costs
    cost, link, queue, queued = tokens.cost, tokens.link, tokens.queue, tokens.queued
    candidate, candidate_cost = tokens.candidate, tokens.candidate_cost
    penalty = tokens.limits[PENALTY]
    room = len(candidate_cost)
    rounds = 0
    while num_queued > 0:
        count = np.int64(0)
        for at in range(num_queued):
            prefetch(offsets, 2 * np.int64(link[queue[min(at + 2 * AHEAD, num_queued - 1)], 0]))
            prefetch(arcs, 4 * np.int64(offsets[np.uint32(link[queue[min(at + AHEAD, num_queued - 1)], 0]), 0]))
            source = queue[at]
            queued[source] = 0
            state = np.uint32(link[source, 0])
            first, last = np.int64(offsets[state, 0]), np.int64(offsets[state, 1])
            if count + last - first > room:
                return NEED_ROOM
            for arc in range(first, last):
                new = cost[source] + arc_costs[arc, 2] + penalty * arcs[arc, 0]
                if lm is not None:
                    history = np.int64(link[source, 4])
                    if arcs[arc, 1] != 0:
                        history, language = step(lm, history, np.int64(arcs[arc, 1]))
                        new += language
                    candidate[count, 3] = history
                candidate_cost[count] = new
                candidate[count, 0] = arcs[arc, 3]
                candidate[count, 1] = -2 - source
                candidate[count, 2] = arc
                count += new <= cutoff and new < np.inf
        num_queued = place(tokens, lm, count, MIN_IMPROVEMENT)
        if num_queued < 0:
            return NEED_ROOM
        rounds += 1
        # Without a cycle that gains, the best path into a token has fewer arcs than there are tokens.
        if rounds > tokens.counts[TOKENS]:
            return NEGATIVE_CYCLE
    return DONE


@njit(cache=True, nogil=True)
def scale_costs(loglikes: NDArray[np.float32], limits: NDArray[np.float64], costs: NDArray[np.float32]) -> bool:
    """Fill ``costs`` with a frame's acoustic costs, twice: bare, and with the word insertion penalty."""
    num_pdfs = len(loglikes)
    scale, penalty = np.float32(limits[SCALE]), np.float32(limits[PENALTY])
    good = True
    for pdf in range(num_pdfs):
        value = -scale * loglikes[pdf]
        # False for NaN too.
        good &= value > np.float32(-np.inf)
        costs[pdf] = value
        costs[num_pdfs + pdf] = value + penalty
    return good


@njit(cache=True, nogil=True)
def collect(tokens: Tokens, renumbered: NDArray[np.int32]) -> None:
    """Drop the records from which no token can be reached any more; the rest keeps its order."""
    records, link, counts = tokens.records, tokens.link, tokens.counts
    count = counts[RECORDS]
    renumbered[:count] = 0
    for slot in range(counts[TOKENS]):
        record = link[slot, 1]
        while record >= 0 and renumbered[record] == 0:
            renumbered[record] = 1
            record = records[record, 0]
    total = 0
    for record in range(count):
        if renumbered[record] == 1:
            renumbered[record] = total
            total += 1
        else:
            renumbered[record] = -1
    for record in range(count):
        new = renumbered[record]
        if new >= 0:
            previous = records[record, 0]
            records[new, 0] = renumbered[previous] if previous >= 0 else previous
            records[new, 1] = records[record, 1]
    for slot in range(counts[TOKENS]):
        if link[slot, 1] >= 0:
            link[slot, 1] = renumbered[link[slot, 1]]
    counts[RECORDS] = total


@njit(cache=True, nogil=True)
def prune_frame(graph: Graph, tokens: Tokens, links: Links, lm: Model, cutoff_given: float) -> int:
    """Turn the frame's tokens into survivors, with records and links; a cutoff of NaN is that of the limits.

    After NEED_RECORDS or NEED_LINKS the caller makes room and calls again; after PRUNE_LINKS it prunes them.
    """
    counts = tokens.counts
    if counts[STEP] < PRUNED:
        if counts[RECORDS] + counts[TOKENS] > len(tokens.records):
            return NEED_RECORDS
        keep_survivors(tokens, lm, cutoff_of(tokens) if np.isnan(cutoff_given) else cutoff_given)
        counts[STEP] = PRUNED
    if counts[STEP] < LINKED:
        linking = tokens.limits[LATTICE_BEAM] > 0
        if linking and not write_links(graph, tokens, links, lm):
            return NEED_LINKS
        counts[TOKENS] = 0
        counts[STEP] = LINKED
        if linking and links.counts[FRAMES_WRITTEN] % PRUNING_INTERVAL == 0:
            return PRUNE_LINKS
    return DONE


@njit(cache=True, nogil=True)
def advance(
    graph: Graph,
    tokens: Tokens,
    links: Links,
    lm: Model,
    loglikes: NDArray[np.float32],
    costs: NDArray[np.float32],
) -> int:
    """Search on from frame ``counts[FRAME]`` of the block to its end, or until something is needed or wrong.

    After NEED_ROOM (the frame's new tokens are dropped), NEED_RECORDS, NEED_LINKS or PRUNE_LINKS the caller does
    what is needed and calls again.
    """
    counts, limits = tokens.counts, tokens.limits
    while counts[FRAME] < len(loglikes):
        status = prune_frame(graph, tokens, links, lm, np.nan)
        if status != DONE:
            return status
        if not scale_costs(loglikes[counts[FRAME]], limits, costs):
            return BAD_LOGLIKE
        cutoff, num_queued = expand(graph, tokens, lm, costs)
        if num_queued >= 0 and limits[LATTICE_BEAM] > 0:
            note_candidates(graph, tokens, links, lm, loglikes[counts[FRAME]])
        status = NEED_ROOM if num_queued < 0 else close(graph, tokens, lm, cutoff, num_queued)
        if status != DONE:
            forget_slots(tokens, lm)
            counts[TOKENS] = 0
            return status
        if counts[TOKENS] == 0:
            return NOTHING_SURVIVED
        counts[STEP] = 0
        counts[FRAME] += 1
    return DONE


@njit(cache=True, nogil=True)
def trace(tokens: Tokens, slot: int) -> NDArray[np.int32]:
    """Return the arcs of the path into a token, first arc first."""
    link, records = tokens.link, tokens.records
    length, at = 0, np.int64(slot)
    while link[at, 1] < ROOT:
        length += 1
        at = -2 - np.int64(link[at, 1])
    record = np.int64(link[at, 1])
    last = link[at, 2]
    length += last != ROOT
    while record >= 0:
        length += records[record, 1] != ROOT
        record = records[record, 0]
    arcs = np.empty(length, dtype=np.int32)
    at = np.int64(slot)
    while link[at, 1] < ROOT:
        length -= 1
        arcs[length] = link[at, 2]
        at = -2 - np.int64(link[at, 1])
    if last != ROOT:
        arcs[length - 1] = last
        length -= 1
    record = np.int64(link[at, 1])
    while record >= 0:
        if records[record, 1] != ROOT:
            length -= 1
            arcs[length] = records[record, 1]
        record = records[record, 0]
    return arcs
