"""What lattices believe of frames, against all their paths."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.gmm.adaptation import path_posteriors
from asrkit.lattice.lattice import Lattice, LatticeScales
from asrkit.lattice.occupancies import lattice_occupancies
from tests.hmm.test_transitions import model
from tests.lattice.lattices import all_paths, random_lattice

TRANSITIONS = model(0)
SILENCE = (3,)
SCALES = LatticeScales(0.2, 1.0, 0.3)


def make(seed: int) -> Lattice:
    return random_lattice(np.random.default_rng(seed), num_tids=TRANSITIONS.num_transition_ids, longest_arc=2)


def expected(lattice: Lattice, silence_weight: float, least: float) -> np.ndarray:
    """Weights (num_frames, num_pdfs) by enumeration; transition_ids less probable than ``least`` are left out."""
    paths = list(all_paths(lattice))
    total = np.logaddexp.reduce([-path.cost(SCALES) for path in paths])
    by_tid = np.zeros((lattice.num_frames, TRANSITIONS.num_transition_ids + 1))
    for path in paths:
        by_tid[np.arange(len(path.tids)), list(path.tids)] += np.exp(-path.cost(SCALES) - total)
    by_tid[by_tid < least] = 0
    by_tid *= np.where(np.isin(TRANSITIONS.tid_to_phone, SILENCE), silence_weight, 1.0)
    weights = np.zeros((lattice.num_frames, TRANSITIONS.num_pdfs))
    for tid in range(1, by_tid.shape[1]):
        weights[:, TRANSITIONS.tid_to_pdf[tid]] += by_tid[:, tid]
    return weights


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), silence_weight=st.sampled_from([0.0, 0.25, 1.0]), least=st.sampled_from([0.0, 0.07]))
def test_the_weights_of_pdfs_are_those_of_all_paths(seed: int, silence_weight: float, least: float) -> None:
    lattice = make(seed)
    found = lattice_occupancies(lattice, SCALES, TRANSITIONS, SILENCE, silence_weight, least)
    dense = np.zeros((lattice.num_frames, TRANSITIONS.num_pdfs))
    np.add.at(dense, (found.frame_index, found.pdf_ids), found.weights)
    np.testing.assert_allclose(dense, expected(lattice, silence_weight, least), atol=1e-5)
    if least == 0 and silence_weight == 1:
        np.testing.assert_allclose(dense.sum(axis=1), 1, atol=1e-5)
    keys = found.frame_index * TRANSITIONS.num_pdfs + found.pdf_ids
    assert len(np.unique(keys)) == len(keys)


def test_a_lattice_of_one_path_says_what_the_path_says() -> None:
    lattice = next(one for one in map(make, range(500)) if len(list(all_paths(one))) == 1)
    (path,) = all_paths(lattice)
    tids = np.array(path.tids, np.int32)
    of_path = path_posteriors(TRANSITIONS, tids, SILENCE, 0.1)
    found = lattice_occupancies(lattice, SCALES, TRANSITIONS, SILENCE, 0.1)
    assert found.frame_index.tolist() == of_path.frame_index.tolist()
    assert found.pdf_ids.tolist() == of_path.pdf_ids.tolist()
    np.testing.assert_allclose(found.weights, of_path.weights, rtol=1e-6)
