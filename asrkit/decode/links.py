"""The links of a lattice in the making: all good ways from token to token, pruned backwards as the search goes on.

A *lattice token* is a token that survived its frame; tokens are numbered in the order of their frames. A *link* is
an arc from one lattice token to another that costs the destination at most the lattice beam more than its best way,
its *excess*. The *extra cost* of a token is how much more than the best path the best path through it costs; at the
frame that the search has reached it is taken as 0, so that what is pruned on the way would be pruned at the end
(Povey et al. 2012, "Generating exact lattices in the WFST framework", section 5).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from asrkit.graph.arrays import GraphArrays
from asrkit.lattice.lattice import Lattice, build_lattice

# Places in `Links.counts`: pending links, links, lattice tokens, frames, the token that begins all paths, and whether
# links have costs of a language model.
PENDING, LINKS_WRITTEN, TOKENS_WRITTEN, FRAMES_WRITTEN, START_TOKEN, WITH_LANGUAGE, NUM_COUNTS = range(7)
PRUNING_INTERVAL = 25
"""Frames between two prunings."""
_WINDOW = 2 * PRUNING_INTERVAL
"""Frames that a pruning looks at; the last one looks at all."""


class Links(NamedTuple):
    """The links of one search.

    ``links[i] = (source token, destination token, arc)``, with ``excess[i]`` >= 0 and the unscaled acoustic cost
    ``acoustic[i]``; ``language[i]`` is what a language model searched on the fly adds to the arc's cost (without one
    it is untouched, and takes no memory). Row f of ``frames`` (frame 0 is before the first) holds the first link into
    tokens of frame f that consumes a frame, the first that does not, and the first token. ``pending[i] = (source
    token, destination slot, arc)`` may become links once the frame is pruned; ``pending_cost`` are the costs of paths
    ending with them.
    """

    links: NDArray[np.int32]
    excess: NDArray[np.float32]
    acoustic: NDArray[np.float32]
    language: NDArray[np.float32]
    frames: NDArray[np.int64]
    pending: NDArray[np.int32]
    pending_cost: NDArray[np.float64]
    pending_acoustic: NDArray[np.float32]
    pending_language: NDArray[np.float32]
    counts: NDArray[np.int64]


def link_arrays(num_links: int, num_frames: int, num_pending: int) -> Links:
    """Return empty arrays with room for so many."""
    return Links(
        links=np.empty((num_links, 3), dtype=np.int32),
        excess=np.empty(num_links, dtype=np.float32),
        acoustic=np.empty(num_links, dtype=np.float32),
        language=np.empty(num_links, dtype=np.float32),
        frames=np.empty((num_frames, 3), dtype=np.int64),
        pending=np.empty((num_pending, 3), dtype=np.int32),
        pending_cost=np.empty(num_pending),
        pending_acoustic=np.empty(num_pending, dtype=np.float32),
        pending_language=np.empty(num_pending, dtype=np.float32),
        counts=np.zeros(NUM_COUNTS, dtype=np.int64),
    )


def grown_links(links: Links, num_links: int, num_frames: int, num_pending: int) -> Links:
    """Return the same links in arrays with room for so many at least; what is pending may be lost."""
    if len(links.excess) < num_links or len(links.frames) < num_frames:
        count, frames = links.counts[LINKS_WRITTEN], links.counts[FRAMES_WRITTEN]
        grown = link_arrays(max(num_links, len(links.excess)), max(num_frames, len(links.frames)), 0)
        grown.links[:count] = links.links[:count]
        grown.excess[:count] = links.excess[:count]
        grown.acoustic[:count] = links.acoustic[:count]
        grown.frames[:frames] = links.frames[:frames]
        if links.counts[WITH_LANGUAGE]:
            grown.language[:count] = links.language[:count]
        links = links._replace(
            links=grown.links,
            excess=grown.excess,
            acoustic=grown.acoustic,
            language=grown.language,
            frames=grown.frames,
        )
    if len(links.pending) < num_pending:
        grown = link_arrays(0, 0, num_pending)
        links = links._replace(
            pending=grown.pending,
            pending_cost=grown.pending_cost,
            pending_acoustic=grown.pending_acoustic,
            pending_language=grown.pending_language,
        )
    return links


def prune_links(links: Links, lattice_beam: float) -> None:
    """Drop links of the last frames that no path within the lattice beam takes, whatever comes."""
    num_frames = links.counts[FRAMES_WRITTEN]
    num_last = links.counts[TOKENS_WRITTEN] - links.frames[num_frames - 1, 2]
    prune_from(links, max(num_frames - 1 - _WINDOW, 0), np.zeros(num_last), lattice_beam)


def finished_lattice(
    links: Links, graph: GraphArrays, final: NDArray[np.float64], extra: NDArray[np.float64], lattice_beam: float
) -> Lattice:
    """Return the lattice of an utterance that has ended.

    Parameters
    ----------
    final, extra : float64, shape (tokens of the last frame,)
        Cost of ending in each token (+inf: not final), and its extra cost.
    """
    extra = prune_from(links, 0, extra, lattice_beam)[-len(final) :]
    num_tokens, num_links = int(links.counts[TOKENS_WRITTEN]), int(links.counts[LINKS_WRITTEN])
    final_costs = np.full(num_tokens, np.inf)
    final_costs[links.frames[links.counts[FRAMES_WRITTEN] - 1, 2] :] = final[extra <= lattice_beam]
    # Epsilon arcs of the graph may form a cycle that costs less than the lattice beam.
    stays = without_cycles(links)
    table, acoustic = links.links[:num_links][stays], links.acoustic[:num_links][stays]
    records = graph.arcs[table[:, 2]]
    emitting = records[:, 0] != 0
    graph_costs = graph.costs[table[:, 2]].astype(np.float64)
    if links.counts[WITH_LANGUAGE]:
        graph_costs += links.language[:num_links][stays]
    return build_lattice(
        start=int(links.counts[START_TOKEN]),
        sources=table[:, 0],
        destinations=table[:, 1],
        words=records[:, 1],
        graph_costs=graph_costs,
        acoustic_costs=acoustic.astype(np.float64),
        tid_offsets=np.concatenate([[0], np.cumsum(emitting)]).astype(np.int32),
        tids=records[emitting, 0],
        final_graph_costs=final_costs,
        final_acoustic_costs=np.where(final_costs < np.inf, 0.0, np.inf),
    )


@njit(cache=True, nogil=True)
def prune_from(
    links: Links, first_frame: int, last_extra: NDArray[np.float64], lattice_beam: float
) -> NDArray[np.float64]:
    """Drop what costs more than the lattice beam above the best path, from ``first_frame`` on; renumber the tokens.

    ``last_extra`` are the extra costs of the last frame's tokens by what comes after. Returns those of all tokens
    of the frames as they were numbered before; a token within the lattice beam stays.
    """
    table, excess, frames, counts = links.links, links.excess, links.frames, links.counts
    num_frames, num_links = counts[FRAMES_WRITTEN], counts[LINKS_WRITTEN]
    base = frames[first_frame, 2]
    num_tokens = counts[TOKENS_WRITTEN] - base
    extra = np.full(num_tokens, np.inf)
    extra[num_tokens - len(last_extra) :] = last_extra
    end = num_links
    for frame in range(num_frames - 1, first_frame - 1, -1):
        first, middle = frames[frame, 0], frames[frame, 1]
        changed = True
        while changed:
            changed = False
            for at in range(end - 1, middle - 1, -1):
                through = excess[at] + extra[table[at, 1] - base]
                if through < extra[table[at, 0] - base]:
                    extra[table[at, 0] - base] = through
                    changed = True
        if frame > first_frame:
            for at in range(first, middle):
                through = excess[at] + extra[table[at, 1] - base]
                source = table[at, 0] - base
                extra[source] = min(extra[source], through)
        end = first
    renumbered = np.empty(num_tokens, dtype=np.int32)
    frame, kept = first_frame, base
    for token in range(num_tokens):
        while frame < num_frames and frames[frame, 2] - base == token:
            frames[frame, 2] = kept
            frame += 1
        renumbered[token] = kept
        kept += extra[token] <= lattice_beam
    if first_frame == 0:
        counts[START_TOKEN] = renumbered[counts[START_TOKEN]]
    counts[TOKENS_WRITTEN] = kept
    to = frames[first_frame, 0]
    for frame in range(first_frame, num_frames):
        first, middle = frames[frame, 0], frames[frame, 1]
        end = frames[frame + 1, 0] if frame + 1 < num_frames else num_links
        frames[frame, 0] = to
        for at in range(first, end):
            if at == middle:
                frames[frame, 1] = to
            through = excess[at] + extra[table[at, 1] - base]
            if through <= lattice_beam:
                source = table[at, 0]
                table[to, 0] = renumbered[source - base] if source >= base else source
                table[to, 1] = renumbered[table[at, 1] - base]
                table[to, 2] = table[at, 2]
                excess[to] = excess[at]
                links.acoustic[to] = links.acoustic[at]
                if counts[WITH_LANGUAGE]:
                    links.language[to] = links.language[at]
                to += 1
        if middle == end:
            frames[frame, 1] = to
    counts[LINKS_WRITTEN] = to
    return extra


@njit(cache=True, nogil=True)
def without_cycles(links: Links) -> NDArray[np.bool_]:
    """Tell which links stay so that no cycle of epsilon arcs is left, shape (number of links,).

    Where there is no cycle all stay, and the best way into a token always does.
    """
    table, excess, frames, counts = links.links, links.excess, links.frames, links.counts
    num_frames, num_links = counts[FRAMES_WRITTEN], counts[LINKS_WRITTEN]
    stays = np.ones(num_links, dtype=np.bool_)
    for frame in range(num_frames):
        last_frame = frame + 1 == num_frames
        first, middle, end = frames[frame, 0], frames[frame, 1], num_links if last_frame else frames[frame + 1, 0]
        base = frames[frame, 2]
        num_tokens = (counts[TOKENS_WRITTEN] if last_frame else frames[frame + 1, 2]) - base
        if middle == end:
            continue
        # Kahn's algorithm; a token is rooted when its best way comes from one that is done.
        rooted = np.zeros(num_tokens, dtype=np.bool_)
        if frame == 0:
            rooted[counts[START_TOKEN]] = True
        for at in range(first, middle):
            rooted[table[at, 1] - base] |= excess[at] == 0
        begins = np.full(num_tokens, end)
        ends = np.full(num_tokens, end)
        waiting = np.zeros(num_tokens, dtype=np.int64)
        for at in range(middle, end):
            # They are sorted by source.
            source = table[at, 0] - base
            begins[source] = at if begins[source] == end else begins[source]
            ends[source] = at + 1
            waiting[table[at, 1] - base] += 1
        queue = np.empty(num_tokens, dtype=np.int64)
        queued = waiting == 0
        count = 0
        for token in range(num_tokens):
            if queued[token]:
                queue[count] = token
                count += 1
        done = 0
        while done < num_tokens:
            if done == count:
                # A cycle: it is entered at a token whose best way does not come through it.
                entry = 0
                while queued[entry] or not rooted[entry]:
                    entry += 1
                for at in range(middle, end):
                    if table[at, 1] - base == entry and not queued[table[at, 0] - base]:
                        stays[at] = False
                queue[count], queued[entry] = entry, True
                count += 1
            token = queue[done]
            done += 1
            for at in range(begins[token], ends[token]):
                target = table[at, 1] - base
                rooted[target] |= excess[at] == 0
                waiting[target] -= 1
                if stays[at] and waiting[target] == 0 and not queued[target]:
                    queue[count], queued[target] = target, True
                    count += 1
    return stays
