"""Rescoring, references, boosting and MMI occupancies against all paths of small lattices, one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError, ModelError
from asrkit.hmm.transitions import TransitionModel
from asrkit.lattice.acoustics import frames_of_tids, rescored
from asrkit.lattice.discriminative import (
    Reference,
    boosted,
    frame_errors,
    mmi_occupancies,
    reference_logprob,
    with_reference,
)
from asrkit.lattice.lattice import Lattice, LatticeScales
from tests.hmm.test_transitions import model
from tests.lattice.lattices import Path, all_paths, random_lattice

TRANSITIONS: TransitionModel = model(0)
NUM_TIDS = TRANSITIONS.num_transition_ids
SCALES = LatticeScales(0.3, 0.8, 0.1)
SEEDS = st.integers(0, 10**6)


def make(seed: int, **changes: object) -> Lattice:
    settings_ = {"num_frames": 4, "num_tids": NUM_TIDS, "longest_arc": 2, "word_rate": 0.4, **changes}
    return random_lattice(np.random.default_rng(seed), **settings_)  # type: ignore[arg-type]


def some_reference(lattice: Lattice, seed: int) -> tuple[Reference, list[Path]]:
    """A path of the lattice as the reference, and all paths that have its words and alignment."""
    paths = list(all_paths(lattice))
    chosen = paths[np.random.default_rng(seed).integers(len(paths))]
    same = [path for path in paths if (path.words, path.tids) == (chosen.words, chosen.tids)]
    return Reference(np.array(chosen.words, np.int32), np.array(chosen.tids, np.int32)), same


def arc_paths(lattice: Lattice) -> Iterator[tuple[list[int], float]]:
    """Arcs and scaled cost of every complete path."""
    costs, ends = lattice.arc_costs(SCALES), lattice.final_costs(SCALES)
    todo: list[tuple[int, list[int], float]] = [(0, [], 0.0)]
    while todo:
        state, arcs, cost = todo.pop()
        if ends[state] < np.inf:
            yield arcs, cost + ends[state]
        for arc in range(lattice.offsets[state], lattice.offsets[state + 1]):
            todo.append((int(lattice.destinations[arc]), [*arcs, arc], cost + costs[arc]))


def arc_posteriors(lattice: Lattice) -> np.ndarray:
    listed = list(arc_paths(lattice))
    total = np.logaddexp.reduce([-cost for _, cost in listed])
    posteriors = np.zeros(lattice.num_arcs)
    for arcs, cost in listed:
        np.add.at(posteriors, arcs, np.exp(-cost - total))
    return posteriors


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_rescoring_gives_every_path_the_loglikes_of_its_frames(seed: int) -> None:
    lattice = make(seed)
    loglikes = np.random.default_rng(seed).normal(-50, 10, (4, TRANSITIONS.num_pdfs)).astype(np.float32)
    changed = rescored(lattice, loglikes[frames_of_tids(lattice), TRANSITIONS.tid_to_pdf[lattice.tids]])
    before, after = list(all_paths(lattice)), list(all_paths(changed))
    assert [(p.words, p.tids) for p in before] == [(p.words, p.tids) for p in after]
    for old, new in zip(before, after, strict=True):
        expected = -sum(float(loglikes[t, TRANSITIONS.tid_to_pdf[tid]]) for t, tid in enumerate(new.tids))
        assert new.acoustic_cost == pytest.approx(expected, rel=1e-9)
        assert new.graph_cost == pytest.approx(old.graph_cost)


def test_rescoring_refuses_other_lengths_and_impossible_paths() -> None:
    lattice = make(0)
    loglikes = np.full(len(lattice.tids), -1.0, np.float32)
    with pytest.raises(ModelError, match=f"{len(loglikes)} transition_ids, and {len(loglikes) - 1} log-likelihoods"):
        rescored(lattice, loglikes[1:])
    loglikes[2] = np.nan
    with pytest.raises(ModelError, match="no likelihood"):
        rescored(lattice, loglikes)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_the_reference_has_the_weight_of_all_its_paths(seed: int) -> None:
    lattice = make(seed, num_tids=2)
    reference, same = some_reference(lattice, seed)
    expected = np.logaddexp.reduce([-path.cost(SCALES) for path in same])
    assert reference_logprob(lattice, reference, SCALES) == pytest.approx(expected, rel=1e-9)
    assert reference_logprob(lattice, Reference(reference.words + 10, reference.tids), SCALES) == (
        -np.inf if len(reference.words) else pytest.approx(expected)
    )
    more = Reference(np.append(reference.words, 99).astype(np.int32), reference.tids)
    assert reference_logprob(lattice, more, SCALES) == -np.inf
    assert reference_logprob(lattice, Reference(reference.words, reference.tids[:-1]), SCALES) == -np.inf


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, words=st.lists(st.integers(1, 9), max_size=3))
def test_a_reference_that_was_added_is_one_path_more(seed: int, words: list[int]) -> None:
    lattice = make(seed)
    reference = Reference(np.array(words, np.int32), np.full(4, NUM_TIDS, np.int32))
    longer = with_reference(lattice, reference, 3.5, 70.0)
    added = Path(tuple(words), (NUM_TIDS,) * 4, 3.5, 70.0)

    def listed(paths: list[Path]) -> Counter[tuple[object, ...]]:
        return Counter((p.words, p.tids, round(p.graph_cost, 6), round(p.acoustic_cost, 6)) for p in paths)

    assert listed(list(all_paths(longer))) == listed([*all_paths(lattice), added])
    assert reference_logprob(longer, reference, SCALES) >= -added.cost(SCALES) - 1e-9


def test_a_reference_of_another_length_is_refused() -> None:
    with pytest.raises(ModelError, match="a reference of 3"):
        with_reference(make(0), Reference(np.ones(1, np.int32), np.ones(3, np.int32)), 0.0, 0.0)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, boost=st.floats(0, 1))
def test_boosting_pays_for_every_wrong_frame_of_speech(seed: int, boost: float) -> None:
    lattice = make(seed)
    reference, _ = some_reference(lattice, seed)
    phones = TRANSITIONS.tid_to_phone
    silence = [int(phones[-1])]
    changed = boosted(lattice, reference.tids, TRANSITIONS, silence, boost)
    for old, new in zip(all_paths(lattice), all_paths(changed), strict=True):
        wrong = sum(
            phones[own] != phones[said] and phones[own] not in silence
            for own, said in zip(old.tids, reference.tids, strict=True)
        )
        assert new.graph_cost == pytest.approx(old.graph_cost - boost * wrong)
        assert new.acoustic_cost == pytest.approx(old.acoustic_cost)


def test_silence_where_speech_was_is_no_error_and_speech_where_silence_was_is_one() -> None:
    lattice = make(7)
    phones = TRANSITIONS.tid_to_phone
    ids = sorted(set(phones[1:].tolist()))
    speech = np.full(4, np.flatnonzero(phones == ids[0])[0], np.int32)
    none = frame_errors(lattice, speech, TRANSITIONS, ids)
    assert none.tolist() == [0.0] * lattice.num_arcs
    all_wrong = frame_errors(lattice, speech, TRANSITIONS, [])
    assert all_wrong.sum() == (phones[lattice.tids] != ids[0]).sum() > 0
    with pytest.raises(ConfigError, match="boost is -1"):
        boosted(lattice, speech, TRANSITIONS, [], -1.0)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, cancel=st.booleans())
def test_occupancies_are_those_of_all_paths(seed: int, cancel: bool) -> None:
    lattice = make(seed)
    reference, _ = some_reference(lattice, seed)
    paths = list(all_paths(lattice))
    total = np.logaddexp.reduce([-path.cost(SCALES) for path in paths])
    num, den = np.zeros((2, 4, TRANSITIONS.num_pdfs))
    num[np.arange(4), TRANSITIONS.tid_to_pdf[reference.tids]] = 1
    for path in paths:
        den[np.arange(4), TRANSITIONS.tid_to_pdf[list(path.tids)]] += np.exp(-path.cost(SCALES) - total)
    np.testing.assert_allclose(den.sum(axis=1), 1)
    if cancel:
        num, den = np.maximum(num - den, 0), np.maximum(den - num, 0)
    found = mmi_occupancies(lattice, arc_posteriors(lattice), reference.tids, TRANSITIONS, cancel)
    for expected, one in zip((num, den), found, strict=True):
        dense = np.zeros_like(expected)
        dense[one.frame_index, one.pdf_ids] = one.weights
        np.testing.assert_allclose(dense, expected, atol=1e-6)
        keys = one.frame_index * TRANSITIONS.num_pdfs + one.pdf_ids
        assert (np.diff(keys) > 0).all()
        assert (one.weights > 0).all()
        assert one.total == pytest.approx(expected.sum(), abs=1e-5)
    if cancel:
        assert found[0].total == pytest.approx(found[1].total, abs=1e-5)


def test_frames_of_tids() -> None:
    lattice = make(3)
    frames = frames_of_tids(lattice)
    for arc in range(lattice.num_arcs):
        first = lattice.state_frames[lattice.sources[arc]]
        own = frames[lattice.tid_offsets[arc] : lattice.tid_offsets[arc + 1]]
        assert own.tolist() == list(range(first, first + len(own)))
