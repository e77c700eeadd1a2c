"""What an HMM's states emit: the protocol, symbols from a table, and Gaussian vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError, ModelError

Array = NDArray[Any]
Floats = NDArray[np.float64]

LOG_2PI = float(np.log(2.0 * np.pi))


class EmissionStats(Protocol):
    """Sufficient statistics, a monoid: those of two sets of sequences add."""

    def __add__(self, other: Self) -> Self: ...


Stats = TypeVar("Stats", bound=EmissionStats)


class Emissions(Protocol[Stats]):
    """The emission densities of S states; immutable, ``estimate`` returns a new object."""

    @property
    def num_states(self) -> int:
        """S."""
        ...

    def loglikes(self, observations: Array) -> Array:
        """Return (T, S) natural log-likelihoods of T observations; a misfit is a :class:`DataError`."""
        ...

    def zero_stats(self) -> Stats:
        """Return the neutral element."""
        ...

    def accumulate(self, stats: Stats, observations: Array, posteriors: Array) -> Stats:
        """Return ``stats`` plus those of T observations with the (T, S) posteriors of their states."""
        ...

    def estimate(self, stats: Stats) -> Emissions[Stats]:
        """Return the densities of greatest expected log-likelihood, within the floors of the object."""
        ...

    def sample(self, state: int, rng: np.random.Generator) -> Array:
        """Draw one observation of a state."""
        ...


@dataclass(frozen=True, eq=False)
class CountStats:
    """Expected counts of symbols: ``counts`` is (S, K) float64."""

    counts: Floats

    def __add__(self, other: CountStats) -> CountStats:
        return CountStats(self.counts + other.counts)


@dataclass(frozen=True, eq=False)
class DiscreteEmissions:
    """Symbols 0 … K - 1 from a table; observations are (T,) integers.

    Attributes
    ----------
    probabilities : (S, K) float64
        Each row sums to 1; zeros stay zero for ever under EM.
    floor : float
        Least probability that ``estimate`` gives any symbol; 0 for none.
    """

    probabilities: Floats
    floor: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "probabilities", np.array(self.probabilities, dtype=np.float64, ndmin=2))
        check_distributions("probabilities", self.probabilities)
        if not 0 <= self.floor * self.probabilities.shape[1] < 1:
            raise ModelError(
                f"floor {self.floor} for {self.probabilities.shape[1]} symbols, expected less than 1 in sum"
            )

    @classmethod
    def random(cls, num_states: int, num_symbols: int, rng: np.random.Generator) -> DiscreteEmissions:
        """Draw every row from a flat Dirichlet distribution: where EM can start."""
        return cls(rng.dirichlet(np.ones(num_symbols), num_states))

    @property
    def num_states(self) -> int:
        """S."""
        return len(self.probabilities)

    def loglikes(self, observations: Array) -> Floats:
        """Return (T, S) log probabilities."""
        self._check(observations)
        with np.errstate(divide="ignore"):
            return np.log(self.probabilities).T[observations]

    def zero_stats(self) -> CountStats:
        """Return no counts."""
        return CountStats(np.zeros_like(self.probabilities))

    def accumulate(self, stats: CountStats, observations: Array, posteriors: Array) -> CountStats:
        """Add the posterior of each state to the count of the symbol observed."""
        self._check(observations)
        counts = np.zeros(self.probabilities.shape[::-1])
        np.add.at(counts, observations, posteriors)
        return stats + CountStats(counts.T)

    def estimate(self, stats: CountStats) -> DiscreteEmissions:
        """Return relative frequencies; a state that was never seen keeps its row."""
        return replace(self, probabilities=relative_frequencies(stats.counts, self.probabilities, self.floor))

    def sample(self, state: int, rng: np.random.Generator) -> Array:
        """Draw a symbol."""
        return np.asarray(rng.choice(self.probabilities.shape[1], p=self.probabilities[state]))

    def _check(self, observations: Array) -> None:
        if observations.ndim != 1 or not np.issubdtype(observations.dtype, np.integer):
            raise DataError(
                f"observations are {observations.dtype} of shape {observations.shape}, expected integers (T,)"
            )
        if len(observations) and (observations.min() < 0 or observations.max() >= self.probabilities.shape[1]):
            raise DataError(
                f"symbols {observations.min()} to {observations.max()}, expected 0 to {self.probabilities.shape[1] - 1}"
            )


@dataclass(frozen=True, eq=False)
class MomentStats:
    """Moments of vectors about fixed points, which keeps them small where the data are far from zero.

    Attributes
    ----------
    occupancy : (S,) float64
    first : (S, D) float64
        Sums of posterior times (x - origin of the state).
    second : (S, D) or (S, D, D) float64
        Sums of posterior times the squares, or the outer products, of the same.
    """

    occupancy: Floats
    first: Floats
    second: Floats

    def __add__(self, other: MomentStats) -> MomentStats:
        return MomentStats(self.occupancy + other.occupancy, self.first + other.first, self.second + other.second)


@dataclass(frozen=True, eq=False)
class GaussianEmissions:
    """One Gaussian a state, with diagonal or full covariance; observations are (T, D).

    Attributes
    ----------
    means : (S, D) float64
    covariances : (S, D) or (S, D, D) float64
        Variances, or full covariance matrices (symmetric, positive definite).
    variance_floor : float
        Least variance that ``estimate`` leaves, in any dimension or, with full covariances, in any direction.
    min_occupancy : float
        A state with fewer (expected) observations keeps its parameters.
    """

    means: Floats
    covariances: Floats
    variance_floor: float = 1e-6
    min_occupancy: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("means", "covariances"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))
        shape = self.means.shape
        if len(shape) != 2 or self.covariances.shape not in (shape, (*shape, shape[-1])):
            raise ModelError(
                f"means {shape} and covariances {self.covariances.shape}, expected (S, D) with (S, D) or (S, D, D)"
            )
        least = np.linalg.eigvalsh(self.covariances).min() if self.full else self.covariances.min()
        if not least > 0 or not np.isfinite(self.means).all():
            raise ModelError(f"the least variance is {least}, expected above 0, and finite means")

    @classmethod
    def from_sequences(
        cls,
        sequences: Sequence[Array],
        num_states: int,
        rng: np.random.Generator,
        full: bool = False,
        variance_floor: float = 1e-6,
    ) -> GaussianEmissions:
        """Return where EM can start: means far apart among the data (k-means++ seeds), the covariance of all data."""
        frames = np.concatenate(sequences).astype(np.float64)
        means = spread_seeds(frames, num_states, rng)
        spread = np.cov(frames.T, bias=True).reshape(frames.shape[1], frames.shape[1])
        shape = spread if full else np.diag(spread)
        start = cls(means, np.ones((num_states, *shape.shape[:1])), variance_floor)
        return replace(start, covariances=start._floored(np.repeat(shape[None], num_states, axis=0)))

    @property
    def num_states(self) -> int:
        """S."""
        return len(self.means)

    @property
    def full(self) -> bool:
        """Whether the covariances are matrices."""
        return self.covariances.ndim == 3

    def loglikes(self, observations: Array) -> Floats:
        """Return (T, S) log densities, in float64 from differences to the means."""
        self._check(observations)
        result = np.empty((len(observations), self.num_states))
        for state, (mean, covariance) in enumerate(zip(self.means, self.covariances)):
            centred = observations - mean
            if self.full:
                factor = np.linalg.cholesky(covariance)
                whitened = np.linalg.solve(factor, centred.T).T
                log_det = 2.0 * np.log(np.diag(factor)).sum()
            else:
                whitened = centred / np.sqrt(covariance)
                log_det = np.log(covariance).sum()
            result[:, state] = -0.5 * ((whitened**2).sum(axis=1) + log_det + len(mean) * LOG_2PI)
        return result

    def zero_stats(self) -> MomentStats:
        """Return no moments; the origins are the present means."""
        return MomentStats(np.zeros(self.num_states), np.zeros_like(self.means), np.zeros_like(self.covariances))

    def accumulate(self, stats: MomentStats, observations: Array, posteriors: Array) -> MomentStats:
        """Add the moments about the present means, weighted with the posteriors."""
        self._check(observations)
        posteriors = posteriors.astype(np.float64)
        first, second = np.zeros_like(self.means), np.zeros_like(self.covariances)
        for state, mean in enumerate(self.means):
            centred = observations - mean
            weighted = posteriors[:, state, None] * centred
            first[state] = weighted.sum(axis=0)
            second[state] = weighted.T @ centred if self.full else (weighted * centred).sum(axis=0)
        return stats + MomentStats(posteriors.sum(axis=0), first, second)

    def estimate(self, stats: MomentStats) -> GaussianEmissions:
        """Return means and covariances of greatest likelihood, floored."""
        means, covariances = self.means.copy(), self.covariances.copy()
        for state in np.flatnonzero(stats.occupancy > self.min_occupancy):
            shift = stats.first[state] / stats.occupancy[state]
            square = np.outer(shift, shift) if self.full else shift**2
            means[state] += shift
            covariances[state] = stats.second[state] / stats.occupancy[state] - square
        return replace(self, means=means, covariances=self._floored(covariances))

    def sample(self, state: int, rng: np.random.Generator) -> Array:
        """Draw a (D,) vector."""
        noise = rng.standard_normal(self.means.shape[1])
        if self.full:
            return self.means[state] + np.linalg.cholesky(self.covariances[state]) @ noise
        return self.means[state] + np.sqrt(self.covariances[state]) * noise

    def _floored(self, covariances: Floats) -> Floats:
        if covariances.ndim == 2:
            return np.maximum(covariances, self.variance_floor)
        covariances = 0.5 * (covariances + covariances.transpose(0, 2, 1))
        values, vectors = np.linalg.eigh(covariances)
        if values.min() >= self.variance_floor:
            return covariances
        raised = np.maximum(values, self.variance_floor)
        return (vectors * raised[:, None, :]) @ vectors.transpose(0, 2, 1)

    def _check(self, observations: Array) -> None:
        if observations.ndim != 2 or observations.shape[1] != self.means.shape[1]:
            raise DataError(f"observations of shape {observations.shape}, expected (T, {self.means.shape[1]})")
        if not np.isfinite(observations).all():
            raise DataError(f"observation {np.flatnonzero(~np.isfinite(observations).all(axis=1))[0]} is not finite")


def check_distributions(name: str, rows: Floats) -> None:
    """Check that every row is a probability distribution; a fault is a :class:`ModelError`."""
    if rows.size == 0 or not (rows >= 0).all() or not np.allclose(rows.sum(axis=-1), 1.0, rtol=0, atol=1e-6):
        raise ModelError(f"{name} are not distributions: {rows.tolist()}, expected non-negative rows that sum to 1")


def relative_frequencies(counts: Floats, before: Floats, floor: float = 0.0) -> Floats:
    """Return the rows of ``counts`` as distributions; a row without counts stays as it was ``before``.

    No value falls below ``floor`` except where ``before`` is an exact zero, which is structure and stays. The
    values above the floor share what is left in proportion: the constrained maximum of the likelihood.
    """
    result = before.copy()
    possibles = before > 0
    for row in np.flatnonzero((counts * possibles).sum(axis=1) > 0):
        possible = possibles[row]
        free = possible.copy()
        while True:
            left = 1.0 - floor * (possible & ~free).sum()
            share = np.where(free, counts[row], 0.0)
            values = np.where(free, left * share / share.sum(), np.where(possible, floor, 0.0))
            low = free & (values < floor)
            if not low.any():
                break
            free &= ~low
        result[row] = values
    return result


def spread_seeds(frames: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return ``count`` of the (N, D) frames, each drawn in proportion to its squared distance from those before.

    The seeding of k-means++ (Arthur & Vassilvitskii 2007), with dimensions scaled to equal variance. Fewer
    distinct frames than ``count`` are a :class:`DataError`.
    """
    spread = frames.std(axis=0)
    scaled = (frames - frames.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    chosen = [int(rng.integers(len(frames)))]
    distance = ((scaled - scaled[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < count:
        if not distance.any():
            raise DataError(f"{len(chosen)} distinct observations, expected at least {count}")
        chosen.append(int(rng.choice(len(frames), p=distance / distance.sum())))
        distance = np.minimum(distance, ((scaled - scaled[chosen[-1]]) ** 2).sum(axis=1))
    return frames[chosen]
