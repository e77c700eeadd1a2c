"""Hopfield networks against all states of a few units, and the laws of their energies."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, DataError, ModelError
from asrkit.nnet.energy.hopfield import HopfieldNetwork
from asrkit.nnet.energy.hopfield_capacity import LoadResult, add_noise, half_load, measure_load
from asrkit.nnet.energy.hopfield_config import CapacityConfig, RecallConfig
from asrkit.nnet.energy.hopfield_file import load_patterns, save_patterns, store
from asrkit.nnet.energy.hopfield_kernels import sweep
from asrkit.nnet.energy.modern_hopfield import ModernHopfieldNetwork

SYNCHRONOUS = RecallConfig(update="synchronous")


def random_patterns(count: int, units: int, seed: int) -> NDArray[np.float64]:
    return np.where(np.random.default_rng(seed).random((count, units)) < 0.5, -1.0, 1.0)


def random_network(units: int, seed: int) -> HopfieldNetwork:
    """Any symmetric weights, which store nothing: the laws need no patterns."""
    weights = np.random.default_rng(seed).normal(size=(units, units))
    weights = weights + weights.T
    np.fill_diagonal(weights, 0)
    return HopfieldNetwork(weights)


def all_states(units: int) -> NDArray[np.float64]:
    return np.array(list(itertools.product([-1.0, 1.0], repeat=units)))


def plain_energy(weights: NDArray[np.float64], state: NDArray[np.float64]) -> float:
    pairs = itertools.combinations(range(len(state)), 2)
    return -sum(float(weights[i, j] * state[i] * state[j]) for i, j in pairs)


@pytest.mark.parametrize("make", ["outer_product", "pseudo_inverse"])
def test_the_energy_of_every_state(make: str) -> None:
    network: HopfieldNetwork = getattr(HopfieldNetwork, make)(random_patterns(3, 8, 0))
    states = all_states(8)
    np.testing.assert_allclose(network.energy(states), [plain_energy(network.weights, s) for s in states], atol=1e-12)


def test_outer_products_are_hebbs_rule() -> None:
    patterns = random_patterns(3, 7, 1)
    expected = np.zeros((7, 7))
    for pattern, i, j in itertools.product(patterns, range(7), range(7)):
        expected[i, j] += pattern[i] * pattern[j] / 7 * (i != j)
    np.testing.assert_allclose(HopfieldNetwork.outer_product(patterns).weights, expected, atol=1e-15)


def test_the_pseudo_inverse_is_the_projection_on_the_patterns() -> None:
    patterns = random_patterns(4, 11, 2)
    patterns = np.concatenate([patterns, patterns[:1], -patterns[1:2]])  # one twice, one turned round
    expected = patterns.T @ np.linalg.pinv(patterns.T)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(HopfieldNetwork.pseudo_inverse(patterns).weights, expected, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(units=st.integers(2, 12), seed=st.integers(0, 1000))
def test_no_change_of_a_unit_raises_the_energy(units: int, seed: int) -> None:
    network, rng = random_network(units, seed), np.random.default_rng(seed)
    state = random_patterns(1, units, seed)[0]
    fields = network.weights @ state
    energy = network.energy(state[None])[0]
    for unit in rng.integers(units, size=5 * units):
        changed = sweep(network.weights, state, fields, np.array([unit]))
        new = network.energy(state[None])[0]
        assert new < energy if changed else new == energy
        np.testing.assert_allclose(fields, network.weights @ state, atol=1e-9)
        energy = new


@settings(max_examples=15, deadline=None)
@given(units=st.integers(3, 12), seed=st.integers(0, 1000))
def test_asynchronous_recall_ends_in_a_low_point_from_every_state(units: int, seed: int) -> None:
    network = random_network(units, seed)
    states = all_states(units)
    energies = {tuple(s): e for s, e in zip(states, network.energy(states))}

    def is_low(state: NDArray[np.float64]) -> bool:
        """No neighbour, one unit away, has less energy: found from the energies of all states alone."""
        neighbours = [tuple(np.where(np.arange(units) == unit, -state, state)) for unit in range(units)]
        return all(energies[tuple(state)] <= energies[one] for one in neighbours)

    starts = states[:: max(1, len(states) // 64)]
    found = network.recall(starts, RecallConfig(), np.random.default_rng(seed))
    assert found.settled.all()
    assert not found.cycles.any()
    assert all(is_low(state) for state in found.states)
    assert not all(is_low(state) for state in starts)
    assert (network.energy(found.states) <= network.energy(starts) + 1e-12).all()


@settings(max_examples=15, deadline=None)
@given(units=st.integers(2, 10), seed=st.integers(0, 1000))
def test_synchronous_recall_ends_in_fixed_points_and_cycles_of_two(units: int, seed: int) -> None:
    network = random_network(units, seed)
    states = all_states(units)
    found = network.recall(states, SYNCHRONOUS, np.random.default_rng(0))
    assert (found.settled ^ found.cycles).all()
    follow = np.sign(found.states @ network.weights)
    twice = np.sign(follow @ network.weights)
    np.testing.assert_array_equal((follow == found.states).all(axis=1), found.settled)
    np.testing.assert_array_equal(twice, found.states)


def test_a_cycle_of_two_that_asynchronous_recall_does_not_know() -> None:
    network = HopfieldNetwork(np.array([[0.0, -1.0], [-1.0, 0.0]]))
    start = np.ones((1, 2))
    together = network.recall(start, SYNCHRONOUS, np.random.default_rng(0))
    assert together.cycles.all()
    apart = network.recall(start, RecallConfig(), np.random.default_rng(0))
    assert apart.settled.all()
    assert apart.states[0].sum() == 0
    assert network.energy(apart.states)[0] == -1
    assert network.energy(together.states)[0] == 1


def test_a_field_of_zero_changes_nothing() -> None:
    network = HopfieldNetwork(np.zeros((3, 3)))
    states = random_patterns(4, 3, 0)
    for config in (RecallConfig(), SYNCHRONOUS):
        found = network.recall(states, config, np.random.default_rng(0))
        np.testing.assert_array_equal(found.states, states)
        assert (found.sweeps == 1).all()


def test_recall_that_runs_out_of_sweeps_says_so() -> None:
    patterns = random_patterns(3, 60, 3)
    network = HopfieldNetwork.outer_product(patterns)
    found = network.recall(
        add_noise(patterns, 0.3, np.random.default_rng(0)), RecallConfig(max_sweeps=1), np.random.default_rng(0)
    )
    assert not found.settled.all()


def test_alike_patterns_are_kept_by_the_pseudo_inverse_and_not_by_outer_products() -> None:
    rng = np.random.default_rng(4)
    patterns = np.where(rng.random((8, 80)) < 0.8, 1.0, -1.0)
    for make, kept in ((HopfieldNetwork.pseudo_inverse, True), (HopfieldNetwork.outer_product, False)):
        network = make(patterns)
        found = network.recall(patterns, RecallConfig(), np.random.default_rng(0))
        assert (found.states == patterns).all() == kept


def test_few_patterns_are_restored_from_a_quarter_of_noise() -> None:
    patterns = random_patterns(5, 120, 5)
    stream = np.random.default_rng(0)
    noisy = add_noise(patterns, 0.25, stream)
    assert ((noisy != patterns).sum(axis=1) == 30).all()
    for network in (HopfieldNetwork.outer_product(patterns), HopfieldNetwork.pseudo_inverse(patterns)):
        for config in (RecallConfig(), SYNCHRONOUS):
            np.testing.assert_array_equal(network.recall(noisy, config, stream).states, patterns)
    modern = ModernHopfieldNetwork(patterns, 0.5)
    np.testing.assert_array_equal(modern.recall(noisy, RecallConfig()).states, patterns)


def plain_modern_energy(network: ModernHopfieldNetwork, state: NDArray[np.float64]) -> float:
    total = sum(np.exp(network.beta * float(pattern @ state)) for pattern in network.patterns)
    largest = max(float(pattern @ pattern) for pattern in network.patterns)
    return float(
        -np.log(total) / network.beta + state @ state / 2 + np.log(len(network.patterns)) / network.beta + largest / 2
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), beta=st.floats(0.05, 3.0))
def test_the_modern_energy_never_rises_and_never_falls_below_zero(seed: int, beta: float) -> None:
    rng = np.random.default_rng(seed)
    network = ModernHopfieldNetwork(rng.normal(size=(4, 6)), beta)
    states = rng.normal(size=(3, 6)) * 2
    np.testing.assert_allclose(network.energy(states), [plain_modern_energy(network, s) for s in states], rtol=1e-9)
    for _ in range(6):
        new = network.update(states)
        assert (network.energy(new) <= network.energy(states) + 1e-9).all()
        states = new
    assert (network.energy(states) >= -1e-9).all()


def test_the_modern_update_goes_down_the_gradient_of_its_energy() -> None:
    """Where the energy is level the update stays: ``ξ - update(ξ)`` is the gradient (Ramsauer et al., appendix A.1)."""
    rng = np.random.default_rng(6)
    network = ModernHopfieldNetwork(rng.normal(size=(3, 5)), 0.7)
    state = rng.normal(size=5)
    steps = 1e-6 * np.eye(5)
    slopes = (network.energy(state + steps) - network.energy(state - steps)) / 2e-6
    np.testing.assert_allclose(slopes, state - network.update(state[None])[0], atol=1e-7)


def test_the_modern_network_holds_more_patterns_than_units() -> None:
    patterns = random_patterns(200, 40, 7)
    noisy = add_noise(patterns, 0.1, np.random.default_rng(1))
    found = ModernHopfieldNetwork(patterns, 2.0).recall(noisy, RecallConfig())
    assert (found.states == patterns).all(axis=1).mean() > 0.95
    assert ModernHopfieldNetwork(patterns).beta == pytest.approx(40**-0.5)


def test_hebbs_rule_holds_a_seventh_of_its_units_and_not_a_quarter() -> None:
    config = CapacityConfig(networks=2, cues=10)
    full, little = (measure_load((600, load), config, 0) for load in (0.3, 0.1))
    assert little.recalled == 1
    assert little.patterns == 60
    assert full.recalled < 0.2
    assert full.overlap < 0.6 < little.overlap
    assert measure_load((600, 0.3), CapacityConfig(networks=2, cues=10, rule="pseudo-inverse"), 0).exact == 1


def test_the_load_at_which_half_is_recalled_lies_between_its_neighbours() -> None:
    rows = [LoadResult(100, patterns, recalled, 0, 0) for patterns, recalled in ((20, 0.1), (10, 1.0), (15, 0.9))]
    assert half_load(rows) == pytest.approx(0.15 + 0.05 * 0.4 / 0.8)
    assert half_load(rows[1:]) is None


@pytest.mark.parametrize("rule", ["outer", "pseudo-inverse", "modern"])
def test_a_stored_network_is_read_as_it_was_written(rule: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    patterns = random_patterns(3, 12, 8).astype(np.int8)
    made = store(rule, patterns, ("a", "b", "b"), 4, 3)  # type: ignore[arg-type]
    save_patterns(tmp_path / "model.safetensors", made, {})
    read = load_patterns(tmp_path / "model.safetensors")
    assert (read.rule, read.labels, read.frames, read.dim) == (rule, ("a", "b", "b"), 4, 3)
    np.testing.assert_array_equal(read.patterns, patterns)
    assert (read.network is None) == (rule == "modern")
    if made.network is not None and read.network is not None:
        np.testing.assert_array_equal(read.network.weights, made.network.weights)


def test_parts_that_do_not_fit_together_are_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    made = store("modern", random_patterns(3, 12, 8).astype(np.int8), ("a", "b"), 4, 3)
    save_patterns(tmp_path / "model.safetensors", made, {})
    with pytest.raises(ModelError, match="do not fit"):
        load_patterns(tmp_path / "model.safetensors")


def test_what_no_network_can_take() -> None:
    with pytest.raises(DataError, match="-1 and 1"):
        HopfieldNetwork.outer_product(np.zeros((2, 3)))
    with pytest.raises(DataError, match="a network of 4"):
        random_network(4, 0).recall(np.ones((1, 3)), RecallConfig(), np.random.default_rng(0))
    with pytest.raises(ConfigError, match="30001 units"):
        store("outer", np.ones((1, 30_001), np.int8), ("a",), 30_001, 1)
    for values in ({"units": (1,)}, {"loads": ()}, {"noise": 0.6}, {"overlap": 0.0}, {"cues": 0}):
        with pytest.raises(ConfigError, match=next(iter(values))):
            CapacityConfig(**values)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="beta"):
        RecallConfig(beta=0.0)
