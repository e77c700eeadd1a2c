"""Criteria over lattices against the enumeration of all paths, and their derivatives against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError, ModelError
from asrkit.lattice.discriminative import Reference
from asrkit.lattice.lattice import Lattice
from asrkit.nnet.sequence.config import LatticeCriterionConfig
from asrkit.nnet.sequence.criterion import Evaluation
from asrkit.nnet.sequence.lattice_criterion import LatticeCriterion, frame_accuracies, mmi, smbr
from tests.lattice.lattices import Path, all_paths
from tests.lattice.test_discriminative import NUM_TIDS, SEEDS, TRANSITIONS, make, some_reference

SCALE = 0.3
STEP = 1e-4
EXACT = LatticeCriterionConfig(acoustic_scale=SCALE, boost=0.7, min_overlap=0.0)
SILENCE = [int(TRANSITIONS.tid_to_phone[-1])]
KINDS = st.sampled_from(["mmi", "bmmi", "smbr"])


def config(kind: str, **changes: object) -> LatticeCriterionConfig:
    return LatticeCriterionConfig(**{**vars(EXACT), "kind": kind, **changes})  # type: ignore[arg-type]


def problem(seed: int) -> tuple[Lattice, Reference, np.ndarray]:
    lattice = make(seed)
    reference, _ = some_reference(lattice, seed)
    return lattice, reference, np.random.default_rng(seed).normal(-3, 2, (4, TRANSITIONS.num_pdfs))


def evaluate(kind: str, lattice: Lattice, reference: Reference, loglikes: np.ndarray, **changes: object) -> Evaluation:
    criterion = LatticeCriterion({"u": lattice}, {"u": reference}, TRANSITIONS, SILENCE, config(kind, **changes))
    return criterion("u", loglikes)


def errors_of(path: Path, reference: Reference) -> int:
    phones = TRANSITIONS.tid_to_phone
    pairs = zip(path.tids, reference.tids, strict=True)
    return sum(phones[own] != phones[said] and phones[own] not in SILENCE for own, said in pairs)


def accuracy_of(path: Path, reference: Reference, one_silence_class: bool = True) -> int:
    pdfs, phones = TRANSITIONS.tid_to_pdf, TRANSITIONS.tid_to_phone
    right = 0
    for own, said in zip(path.tids, reference.tids.tolist(), strict=True):
        same, silent = pdfs[own] == pdfs[said], phones[own] in SILENCE
        if one_silence_class:
            right += bool(same or (silent and phones[said] in SILENCE))
        else:
            right += bool(same and not silent)
    return right


def by_enumeration(kind: str, lattice: Lattice, reference: Reference, loglikes: np.ndarray) -> float:
    """The criterion by its definition: nothing but the list of paths."""
    pdfs = TRANSITIONS.tid_to_pdf
    paths = list(all_paths(lattice))
    scores = np.array(
        [SCALE * sum(loglikes[t, pdfs[tid]] for t, tid in enumerate(p.tids)) - p.graph_cost for p in paths]
    )
    if kind == "smbr":
        posteriors = np.exp(scores - np.logaddexp.reduce(scores))
        return float(posteriors @ [accuracy_of(path, reference) for path in paths])
    said = (tuple(reference.words), tuple(reference.tids))
    own = np.logaddexp.reduce([s for s, p in zip(scores, paths, strict=True) if (p.words, p.tids) == said])
    boost = EXACT.boost if kind == "bmmi" else 0.0
    return float(own - np.logaddexp.reduce(scores + boost * np.array([errors_of(path, reference) for path in paths])))


def differences(function: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    """Central differences, in float64."""
    found = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[place] = STEP
        found[place] = (function(at + step) - function(at - step)) / (2 * STEP)
    return found


@settings(max_examples=90, deadline=None)
@given(seed=SEEDS, kind=KINDS)
def test_values_are_those_of_all_paths_and_derivatives_their_differences(seed: int, kind: str) -> None:
    lattice, reference, loglikes = problem(seed)
    found = evaluate(kind, lattice, reference, loglikes)
    assert found.value == pytest.approx(by_enumeration(kind, lattice, reference, loglikes), abs=1e-9)
    expected = differences(lambda at: by_enumeration(kind, lattice, reference, at), loglikes)
    np.testing.assert_allclose(found.derivative, expected, atol=2e-6)
    assert found.derivative.dtype == np.float32
    assert np.abs(expected).max() > 1e-6 or len(list(all_paths(lattice))) < 20


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, kind=KINDS)
def test_what_a_frame_has_in_common_changes_nothing(seed: int, kind: str) -> None:
    """So it does not matter whether p(features) is left out; a single pdf's loglike does."""
    lattice, reference, loglikes = problem(seed)
    before = evaluate(kind, lattice, reference, loglikes)
    shift = np.random.default_rng(seed + 1).normal(0, 5, (4, 1))
    after = evaluate(kind, lattice, reference, loglikes + shift)
    assert after.value == pytest.approx(before.value, abs=1e-8)
    np.testing.assert_allclose(after.derivative, before.derivative, atol=1e-6)
    np.testing.assert_allclose(before.derivative.sum(axis=1), 0, atol=1e-6)


def test_a_step_along_the_derivative_raises_the_criterion() -> None:
    for kind in ("mmi", "bmmi", "smbr"):
        lattice, reference, loglikes = problem(11)
        before = evaluate(kind, lattice, reference, loglikes)
        up, down = (evaluate(kind, lattice, reference, loglikes + s * before.derivative) for s in (0.1, -0.1))
        assert up.value > before.value > down.value


def test_frames_without_overlap_teach_nothing() -> None:
    lattice, reference, loglikes = problem(5)
    pdfs = TRANSITIONS.tid_to_pdf[reference.tids]
    loglikes[2, pdfs[2]] = -400.0
    kept = evaluate("mmi", lattice, reference, loglikes)
    dropped = evaluate("mmi", lattice, reference, loglikes, min_overlap=1e-6)
    assert np.abs(kept.derivative[2]).max() == pytest.approx(SCALE, rel=1e-3)
    assert (dropped.derivative[2] == 0).all()
    assert dropped.value == kept.value
    others = [frame for frame in range(4) if np.abs(dropped.derivative[frame]).max() > 0]
    np.testing.assert_array_equal(dropped.derivative[others], kept.derivative[others])


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, one_class=st.booleans())
def test_accuracies_are_counted_as_kaldi_counts_them(seed: int, one_class: bool) -> None:
    lattice, reference, _ = problem(seed)
    arcs = frame_accuracies(lattice, reference.tids, TRANSITIONS, SILENCE, one_class)
    # A path's accuracy is the sum over its arcs: walk them with the accuracies as graph costs.
    ends = np.where(lattice.is_final, 0.0, np.inf)
    counted = replace(lattice, graph_costs=arcs, final_graph_costs=ends)
    for path in all_paths(counted):
        assert path.graph_cost == accuracy_of(path, reference, one_class)


def test_silence_handling_differs() -> None:
    lattice, _, loglikes = problem(3)
    silent = np.full(4, NUM_TIDS, np.int32)
    one = smbr(lattice, silent, TRANSITIONS, loglikes, config("smbr"), SILENCE)
    none = smbr(lattice, silent, TRANSITIONS, loglikes, config("smbr", one_silence_class=False), SILENCE)
    assert none.value == 0.0
    assert one.value > 0.0


def test_what_does_not_belong_together_is_refused() -> None:
    lattice, reference, loglikes = problem(2)
    with pytest.raises(ModelError, match="features of 3"):
        evaluate("smbr", lattice, reference, loglikes[1:])
    with pytest.raises(ModelError, match="features of 4"):
        evaluate("mmi", lattice, Reference(reference.words, reference.tids[1:]), loglikes)
    with pytest.raises(ModelError, match="does not hold its reference"):
        mmi(lattice, Reference(reference.words + 50, reference.tids[:-1]), TRANSITIONS, loglikes, EXACT)
    loglikes[0] = np.nan
    with pytest.raises(ModelError, match="no likelihood"):
        evaluate("smbr", lattice, reference, loglikes)
    for wrong in ({"acoustic_scale": 0.0}, {"boost": -1.0}, {"min_overlap": 1.0}):
        with pytest.raises(ConfigError):
            config("mmi", **wrong)
