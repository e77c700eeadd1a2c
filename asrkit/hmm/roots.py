"""The roots of a context tree: which phones begin in one leaf, to be told apart by questions alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asrkit.hmm.questions import ending
from asrkit.lang.langdir import Lang


@dataclass(frozen=True)
class RootConfig:
    """What shares a root; the defaults are those of Kaldi's usual language directories.

    Attributes
    ----------
    stress : bool
        Vowels that differ in their stress mark alone (AH0, AH1, AH2), or phones in their tone.
    position : bool
        The word-position variants of a phone (AH_B, AH_I).
    states : bool
        The HMM positions of a phone; False gives each position a root of its own.
    """

    stress: bool = True
    position: bool = True
    states: bool = True


@dataclass(frozen=True)
class Root:
    """Phones that begin in one leaf (a line of Kaldi's roots.txt).

    Attributes
    ----------
    phones : tuple of int
        Phone ids, e.g. the stress and position variants of one phone.
    shared : bool
        Whether all pdf classes share one root; otherwise each pdf class has its own.
    split : bool
        Whether questions may be asked; otherwise the root stays a leaf.
    """

    phones: tuple[int, ...]
    shared: bool = True
    split: bool = True


def phone_sets(lang: Lang, config: RootConfig) -> list[tuple[int, ...]]:
    """Return the sets of phone ids (1-based) that share a root, in the order of their first phones.

    Every phone of the topology stands in one. Silence phones share one with their word-position variants, whatever
    the configuration.
    """
    symbols = lang.phones.symbols
    silence = set(lang.silence_phones)
    variants = {phone: group for group in lang.shared_phones for phone in group}
    sets: dict[tuple[object, ...], list[int]] = {}
    for phone in sorted(lang.topology.phones):
        group = variants.get(phone, (phone,))
        if phone in silence:
            sets.setdefault(("silence", *group), []).append(phone)
            continue
        # Without word positions a symbol such as A_B is a phone's own name.
        stress, position = ending(symbols[phone]) if len(group) > 1 else (ending(symbols[phone])[0], "")
        name = symbols[phone].removesuffix(position).removesuffix(stress)
        key = (name, "" if config.stress else stress, "" if config.position else position)
        sets.setdefault((lang.topology.num_pdf_classes(phone), *key), []).append(phone)
    return [tuple(phones) for phones in sets.values()]


def make_roots(
    phone_sets: Sequence[Sequence[int]], silence_phones: Iterable[int] = (), share_states: bool = True
) -> tuple[Root, ...]:
    """Return a root for each set of phones; those of silence phones are neither shared among states nor split."""
    silence = set(silence_phones)
    speech = [not silence & set(phones) for phones in phone_sets]
    return tuple(
        Root(tuple(phones), shared=share_states and spoken, split=spoken)
        for phones, spoken in zip(phone_sets, speech, strict=True)
    )
