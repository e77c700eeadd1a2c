"""A pass of MMI over random lattices: statistics against all paths, and against the slope of the objective."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.model import GmmHmm
from asrkit.gmm.stats import GmmStats, accumulate
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lattice.discriminative import Reference
from asrkit.lattice.lattice import Lattice
from asrkit.stages.mmi_pass import MmiCriterion, MmiData, MmiStats, mmi_pass
from asrkit.stages.record import RunOptions
from tests.gmm.models import random_gmms
from tests.hmm.test_transitions import TOPOLOGY
from tests.lattice.lattices import all_paths, random_lattice

TREE = monophone_tree(TOPOLOGY)
TRANSITIONS = TransitionModel.from_tree(TREE, TOPOLOGY)
SCALE = 0.3
MMI, BOOSTED = MmiCriterion(SCALE, 0.0, False), MmiCriterion(SCALE, 0.4, False)
OPTIONS = RunOptions()
SILENCE = (3,)


@pytest.fixture(scope="module")
def model() -> GmmHmm:
    rng = np.random.default_rng(1)
    gmms = random_gmms(rng, tuple(rng.integers(1, 3, TREE.num_pdfs).tolist()), dim=3)
    return GmmHmm(TREE, TRANSITIONS, replace(gmms, means=gmms.means / np.float32(3)))


def make_data(num_utterances: int = 5) -> MmiData:
    """Lattices of four and five frames, a path of each the reference."""
    rng = np.random.default_rng(2)
    lattices: dict[str, Lattice] = {}
    references, features = {}, {}
    for number in range(num_utterances):
        key, length = f"u{number}", 4 + number % 2
        lattice = random_lattice(rng, length, num_tids=TRANSITIONS.num_transition_ids, longest_arc=2)
        paths = list(all_paths(lattice))
        path = paths[rng.integers(len(paths))]
        lattices[key] = lattice
        references[key] = Reference(np.array(path.words, np.int32), np.array(path.tids, np.int32))
        features[key] = rng.normal(scale=1.5, size=(length, 3)).astype(np.float32)
    return MmiData(features, lattices, references, SILENCE)


DATA = make_data()


def scored(gmms: DiagGmms, boost: float) -> Iterator[tuple[str, list[tuple[int, ...]], np.ndarray, float]]:
    """For each utterance its paths' tids, their posteriors, and the log posterior of the reference."""
    for key, lattice in DATA.lattices.items():
        loglikes = gmms.loglikes(DATA.features[key]).astype(np.float64)
        reference = DATA.references[key]
        phones = TRANSITIONS.tid_to_phone
        scores, same = [], []
        paths = list(all_paths(lattice))
        for path in paths:
            tids = np.array(path.tids)
            acoustic = loglikes[np.arange(len(tids)), TRANSITIONS.tid_to_pdf[tids]].sum()
            wrong = (phones[tids] != phones[reference.tids]) & ~np.isin(phones[tids], SILENCE)
            scores.append(SCALE * acoustic - path.graph_cost + boost * wrong.sum())
            same.append(path.words == tuple(reference.words) and path.tids == tuple(reference.tids))
        total = np.logaddexp.reduce(scores)
        said = np.logaddexp.reduce(np.array(scores)[same])
        yield key, [path.tids for path in paths], np.exp(np.array(scores) - total), float(said - total)


def assert_same(found: GmmStats, expected: GmmStats) -> None:
    for name in ("occupancy", "first", "second"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("criterion", [MMI, BOOSTED])
def test_statistics_and_objective_are_those_of_all_paths(model: GmmHmm, criterion: MmiCriterion) -> None:
    gmms = model.gmms
    num, den = GmmStats.zero(gmms), GmmStats.zero(gmms)
    objective = 0.0
    for key, paths, posteriors, value in scored(gmms, criterion.boost):
        objective += value
        num = num + accumulate(gmms, DATA.features[key], TRANSITIONS.tid_to_pdf[DATA.references[key].tids])
        for tids, posterior in zip(paths, posteriors, strict=True):
            weights = np.full(len(tids), posterior, np.float32)
            den = den + accumulate(gmms, DATA.features[key], TRANSITIONS.tid_to_pdf[list(tids)], weights)
    found = mmi_pass(model, DATA, criterion, OPTIONS)
    assert found.objective == pytest.approx(objective, abs=1e-4)
    assert found.objective < 0
    assert found.num_frames == sum(map(len, DATA.features.values()))
    assert_same(found.num, num)
    assert_same(found.den, den)
    assert_same(found.likely, num)


def test_cancelling_keeps_the_difference(model: GmmHmm) -> None:
    whole, cancelled = (mmi_pass(model, DATA, MmiCriterion(SCALE, 0.0, cancel), OPTIONS) for cancel in (False, True))
    assert cancelled.objective == whole.objective
    for name in ("occupancy", "first", "second"):
        differences = [getattr(one.num, name) - getattr(one.den, name) for one in (whole, cancelled)]
        np.testing.assert_allclose(*differences, rtol=1e-4, atol=1e-4)
    assert cancelled.num.num_frames < 0.9 * whole.num.num_frames
    assert_same(cancelled.likely, whole.likely)


@pytest.mark.parametrize("criterion", [MMI, BOOSTED])
def test_the_objective_rises_along_the_statistics(model: GmmHmm, criterion: MmiCriterion) -> None:
    gmms = model.gmms
    stats = mmi_pass(model, DATA, criterion, OPTIONS)
    occupancy = (stats.num.occupancy - stats.den.occupancy)[:, None]
    slope = SCALE * (stats.num.first - stats.den.first - occupancy * gmms.means) / gmms.variances
    step = 1e-2
    for g, d in [(0, 0), (2, 1), (4, 2), (int(np.argmax(abs(slope).max(axis=1))), 0)]:
        values = []
        for sign in (-1, 1):
            means = gmms.means.copy()
            means[g, d] += np.float32(sign * step)
            values.append(sum(value for *_, value in scored(replace(gmms, means=means), criterion.boost)))
        assert (values[1] - values[0]) / (2 * step) == pytest.approx(slope[g, d], rel=0.02, abs=2e-3)


def test_any_number_of_jobs_gives_the_same_bits(model: GmmHmm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asrkit.stages.mmi_pass.UTTERANCES_AT_ONCE", 2)
    one, three = (mmi_pass(model, DATA, BOOSTED, RunOptions(num_jobs=jobs)) for jobs in (1, 3))
    assert one.objective == three.objective
    for side in ("num", "den", "likely"):
        assert (getattr(one, side).first == getattr(three, side).first).all()


def test_an_utterance_that_does_not_fit_is_named(model: GmmHmm) -> None:
    features = dict(DATA.features)
    features["u1"] = features["u1"][:3]
    features["u2"] = np.full_like(features["u2"], np.nan)
    found = mmi_pass(model, replace(DATA, features=features), MMI, OPTIONS)
    assert found.failures.keys() == {"u1", "u2"}
    assert "a lattice of 5 frames" in found.failures["u1"]
    assert "NaN" in found.failures["u2"]
    assert found.num_frames == 4 + 5 + 4
    nothing = MmiStats.zero(model.gmms)
    assert np.isnan(nothing.objective_per_frame)
