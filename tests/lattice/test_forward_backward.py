"""Sums over paths against the enumeration of all of them."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import FormatError
from asrkit.lattice.forward_backward import forward_backward, frame_posteriors
from asrkit.lattice.lattice import LatticeScales
from tests.lattice.lattices import all_paths, random_lattice

SCALES = LatticeScales(acoustic_scale=0.2, graph_scale=0.9, word_insertion_penalty=0.3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_posteriors_are_those_of_the_enumeration(seed: int, longest_arc: int) -> None:
    lattice = random_lattice(np.random.default_rng(seed), longest_arc=longest_arc)
    paths = list(all_paths(lattice))
    logs = np.array([-path.cost(SCALES) for path in paths])
    total = float(np.logaddexp.reduce(logs))
    found = forward_backward(lattice, SCALES)
    assert found.total_logprob == pytest.approx(total)
    assert found.final_states.sum() == pytest.approx(1)
    expected: defaultdict[tuple[int, int], float] = defaultdict(float)
    for path, log in zip(paths, logs):
        for frame, tid in enumerate(path.tids):
            expected[frame, tid] += math.exp(log - total)
    frames = frame_posteriors(lattice, found.arcs)
    assert frames.num_frames == 5
    rows = np.repeat(np.arange(5), np.diff(frames.offsets)).tolist()
    ours = dict(zip(zip(rows, frames.ids.tolist()), frames.posteriors.tolist()))
    assert ours == pytest.approx(dict(expected))
    assert len(ours) == len(frames.ids)
    np.testing.assert_allclose(np.add.reduceat(frames.posteriors, frames.offsets[:-1]), 1)


def test_an_arc_is_as_probable_as_the_paths_through_it() -> None:
    """Drop an arc: what is lost of the summed weight is its share."""
    lattice = random_lattice(np.random.default_rng(4))
    found = forward_backward(lattice, SCALES)
    for arc in range(lattice.num_arcs):
        without = lattice.graph_costs.copy()
        without[arc] = np.inf
        rest = forward_backward(replace(lattice, graph_costs=without), SCALES).total_logprob
        assert found.arcs[arc] == pytest.approx(1 - math.exp(rest - found.total_logprob), abs=1e-12)


def test_extreme_costs_are_summed() -> None:
    lattice = random_lattice(np.random.default_rng(1))
    for shift in (1e6, -1e6):
        moved = replace(lattice, acoustic_costs=lattice.acoustic_costs + shift * lattice.num_tids)
        before, after = forward_backward(lattice), forward_backward(moved)
        assert after.total_logprob == pytest.approx(before.total_logprob - 5 * shift, rel=1e-12)
        np.testing.assert_allclose(after.arcs, before.arcs, atol=1e-8)


def test_ids_are_mapped_and_summed() -> None:
    lattice = random_lattice(np.random.default_rng(2), num_tids=6)
    frames = frame_posteriors(lattice, forward_backward(lattice).arcs)
    pdf_of = np.array([99, 0, 0, 1, 1, 2, 2])
    mapped = frames.mapped(pdf_of)
    dense, dense_mapped = np.zeros((5, 3)), np.zeros((5, 3))
    for table, ids, posteriors in ((dense, pdf_of[frames.ids], frames), (dense_mapped, mapped.ids, mapped)):
        np.add.at(table, (np.repeat(np.arange(5), np.diff(posteriors.offsets)), ids), posteriors.posteriors)
    np.testing.assert_allclose(dense_mapped, dense)
    assert len(mapped.ids) < len(frames.ids)


def test_paths_of_different_lengths_have_no_frames() -> None:
    lattice = random_lattice(np.random.default_rng(2))
    rare = int(np.argmin(np.where(lattice.num_tids == 1, forward_backward(lattice).arcs, 2)))
    later = (np.arange(lattice.num_arcs + 1) > rare).astype(np.int32)
    tids = np.delete(lattice.tids, lattice.tid_offsets[rare])
    uneven = replace(lattice, tid_offsets=lattice.tid_offsets - later, tids=tids)
    with pytest.raises(FormatError, match="frames"):
        frame_posteriors(uneven, forward_backward(uneven).arcs)
