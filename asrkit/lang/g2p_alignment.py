"""Which letters of a word are said as which phones: graphones, found by EM over a lexicon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, DataError
from asrkit.core.progress import Progress, silent

Spelling = tuple[str, ...]
Example = tuple[Sequence[str], Sequence[str]]
"""The letters of a word and the phones of one of its pronunciations."""


@dataclass(frozen=True, order=True)
class Graphone:
    """A piece of spelling and the phones it is said as, e.g. ``("p", "h") -> ("F",)``.

    Attributes
    ----------
    letters : tuple of str
        One or two letters.
    phones : tuple of str
        None (a letter that is not heard), one or two.
    """

    letters: Spelling
    phones: tuple[str, ...]


@dataclass(frozen=True)
class AlignmentConfig:
    """How letters and phones may be put together.

    Attributes
    ----------
    max_letters, max_phones : int
        Longest pieces, 1 or 2. Single letters are the better pieces for an n-gram of high order (docs/g2p.md). A
        piece of two letters and two phones is never needed and not used.
    num_iterations : int
        Of EM, >= 1.
    """

    max_letters: int = 1
    max_phones: int = 2
    num_iterations: int = 10

    def __post_init__(self) -> None:
        for name, value in (("max_letters", self.max_letters), ("max_phones", self.max_phones)):
            if value not in (1, 2):
                raise ConfigError(f"{name} is {value}, expected 1 or 2")
        if self.num_iterations < 1:
            raise ConfigError(f"num_iterations is {self.num_iterations}, expected 1 or more")

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Numbers of letters and phones that a graphone may have."""
        return [(1, 0), (1, 1), *[(1, 2)] * (self.max_phones > 1), *[(2, 1)] * (self.max_letters > 1)]


@dataclass(frozen=True)
class AlignmentLattices:
    """All ways to cut each word of a lexicon, spelling and phones together, into graphones.

    Attributes
    ----------
    graphones : tuple of Graphone
        Those on some complete path; a unit (0-based) is a place here.
    letter_begin, phone_begin : (W + 1,) int64
        Word w has the letters ``letter_begin[w]`` to ``letter_begin[w + 1]`` of all words in a row.
    arc_begin : (W + 1,) int64
        The same for ``arc_unit``.
    arc_unit : (A,) int32
        Unit of every arc, -1 where there is none; laid out as :mod:`asrkit.lang.kernels` says.
    step_letters, step_phones : (K,) int32
        The shapes of graphones.
    """

    graphones: tuple[Graphone, ...]
    letter_begin: NDArray[np.int64]
    phone_begin: NDArray[np.int64]
    arc_begin: NDArray[np.int64]
    arc_unit: NDArray[np.int32]
    step_letters: NDArray[np.int32]
    step_phones: NDArray[np.int32]

    def expect(self, log_prob: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the expected count of every unit, and the log-likelihood of every word (-inf: no path).

        The likelihood of a word is the sum over its paths of the product of their units' probabilities, so
        the counts are those of the E step of EM (Bisani & Ney 2008, eq. 17 with histories of length 0).
        """
        from asrkit.lang import g2p_alignment_kernels as kernels  # brings Numba, which --help does not need

        counts = np.zeros(len(self.graphones))
        word_loglike = np.empty(len(self.letter_begin) - 1)
        kernels.expect(
            *(self.letter_begin, self.phone_begin, self.arc_begin, self.arc_unit, self.step_letters, self.step_phones),
            *(log_prob, counts, word_loglike),
        )
        return counts, word_loglike

    def align(self, log_prob: NDArray[np.float64]) -> list[NDArray[np.int32]]:
        """Return the units of every word's most probable path; none for a word without a path."""
        from asrkit.lang import g2p_alignment_kernels as kernels  # as above

        units, begin = kernels.align(
            *(self.letter_begin, self.phone_begin, self.arc_begin, self.arc_unit, self.step_letters, self.step_phones),
            *(log_prob,),
        )
        return np.split(units, begin[1:-1])


def build_lattices(examples: Sequence[Example], config: AlignmentConfig) -> AlignmentLattices:
    """Lay out every alignment that ``config`` allows of every example."""
    from asrkit.lang import g2p_alignment_kernels as kernels  # as above

    letters, letter_ids, letter_begin = _numbered([letters for letters, _ in examples])
    phones, phone_ids, phone_begin = _numbered([phones for _, phones in examples])
    letter_base, phone_base = len(letters) + 1, len(phones) + 1
    if letter_base**2 * phone_base**2 >= 2**62:
        raise DataError(f"{len(letters)} letters and {len(phones)} phones are too many to be aligned")
    step_letters, step_phones = (np.array(steps, dtype=np.int32) for steps in zip(*config.shapes))
    cells = (np.diff(letter_begin) + 1) * (np.diff(phone_begin) + 1) * len(step_letters)
    arc_begin = np.concatenate([[0], np.cumsum(cells)])
    arc_unit, keys = kernels.number_units(
        *(letter_ids, phone_ids, letter_begin, phone_begin, arc_begin, step_letters, step_phones),
        *(letter_base, phone_base),
    )
    graphones = _read_keys(keys, letters, phones)
    return AlignmentLattices(graphones, letter_begin, phone_begin, arc_begin, arc_unit, step_letters, step_phones)


def train_alignment(
    lattices: AlignmentLattices,
    num_iterations: int,
    said: Callable[[float], None] = lambda mean: None,
    progress: Progress = silent,
) -> NDArray[np.float64]:
    """Return the natural log probability of every unit after EM; the probabilities sum to 1.

    EM begins where all alignments of a word are equally good but for the number of pieces: a unit of l letters and
    p phones has ``A^-l B^-p``, with A letters and B phones in all. (From equal units it would prefer the fewest
    pieces, whatever they hold.)

    Parameters
    ----------
    said : callable
        Receives the mean log-likelihood of a word that can be aligned, before each iteration's update.
    """
    num_letters = len({letter for graphone in lattices.graphones for letter in graphone.letters})
    num_phones = len({phone for graphone in lattices.graphones for phone in graphone.phones})
    weights = np.array(
        [float(num_letters) ** -len(g.letters) * float(num_phones) ** -len(g.phones) for g in lattices.graphones]
    )
    log_prob = np.log(weights / weights.sum())
    for _ in progress(range(num_iterations), total=num_iterations, label="alignment"):
        counts, word_loglike = lattices.expect(log_prob)
        if not counts.any():
            break  # no word can be aligned
        said(float(word_loglike[word_loglike > -np.inf].mean()))
        log_prob = np.full(len(counts), -np.inf)
        np.log(counts, out=log_prob, where=counts > 0)
        log_prob -= np.log(counts.sum())
    return log_prob


def _numbered(sequences: Sequence[Sequence[str]]) -> tuple[list[str], NDArray[np.int32], NDArray[np.int64]]:
    """Return the sorted symbols, all sequences in a row as 1-based ids, and where each begins."""
    symbols = sorted({symbol for sequence in sequences for symbol in sequence})
    ids = {symbol: i for i, symbol in enumerate(symbols, 1)}
    row = np.array([ids[symbol] for sequence in sequences for symbol in sequence], dtype=np.int32)
    begin = np.concatenate([[0], np.cumsum([len(sequence) for sequence in sequences])]).astype(np.int64)
    return symbols, row, begin


def _read_keys(keys: NDArray[np.int64], letters: Sequence[str], phones: Sequence[str]) -> tuple[Graphone, ...]:
    rest, p2 = np.divmod(keys, len(phones) + 1)
    rest, p1 = np.divmod(rest, len(phones) + 1)
    l1, l2 = np.divmod(rest, len(letters) + 1)
    return tuple(
        Graphone(tuple(letters[i - 1] for i in pair[:2] if i), tuple(phones[i - 1] for i in pair[2:] if i))
        for pair in zip(l1.tolist(), l2.tolist(), p1.tolist(), p2.tolist())
    )
