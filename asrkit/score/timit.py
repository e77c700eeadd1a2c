"""TIMIT's phones folded: the 61 labels of the transcripts, the 48 of training, the 39 of scoring.

Source: Lee and Hon, "Speaker-independent phone recognition using hidden Markov models", IEEE Trans. ASSP 37(11),
1989, Table I, in the form of Kaldi's ``egs/timit/s5/conf/phones.60-48-39.map``: the glottal stop ``q`` is dropped
in both steps, closures become ``vcl`` (voiced) and ``cl`` (unvoiced) and with ``epi`` and ``sil`` one silence.
"""

from __future__ import annotations

from collections.abc import Iterable

from asrkit.core.errors import DataError

DROPPED = "q"
"""The only label that is removed, not renamed."""

PHONES_61: tuple[str, ...] = tuple(
    """
    aa ae ah ao aw ax ax-h axr ay b bcl ch d dcl dh dx eh el em en eng epi er ey f g gcl h# hh hv ih ix iy jh k kcl
    l m n ng nx ow oy p pau pcl q r s sh t tcl th uh uw ux v w y z zh
    """.split()  # noqa: SIM905 (a list of 61 quoted words is harder to check against the table)
)
"""The labels of TIMIT's ``.PHN`` files."""

_TO_48 = {
    "ax-h": "ax",
    "axr": "er",
    "bcl": "vcl",
    "dcl": "vcl",
    "gcl": "vcl",
    "pcl": "cl",
    "tcl": "cl",
    "kcl": "cl",
    "em": "m",
    "eng": "ng",
    "nx": "n",
    "h#": "sil",
    "pau": "sil",
    "hv": "hh",
    "ux": "uw",
}
_TO_39 = {
    "ao": "aa",
    "ax": "ah",
    "ix": "ih",
    "el": "l",
    "en": "n",
    "zh": "sh",
    "vcl": "sil",
    "cl": "sil",
    "epi": "sil",
}

PHONES_48: tuple[str, ...] = tuple(sorted({_TO_48.get(phone, phone) for phone in PHONES_61} - {DROPPED}))
"""The phones of training, sorted."""

PHONES_39: tuple[str, ...] = tuple(sorted({_TO_39.get(phone, phone) for phone in PHONES_48}))
"""The phones of scoring, sorted; one of them is ``sil``."""

FOLD_48: dict[str, str | None] = {
    phone: None if phone == DROPPED else _TO_48.get(phone, phone) for phone in (*PHONES_61, *PHONES_48)
}
"""Any label of the 61 or 48 -> one of the 48; None: removed."""

FOLD_39: dict[str, str | None] = {
    phone: None if phone == DROPPED else _TO_39.get(_TO_48.get(phone, phone), _TO_48.get(phone, phone))
    for phone in (*PHONES_61, *PHONES_48, *PHONES_39)
}
"""Any label of the 61, 48 or 39 -> one of the 39; None: removed."""


def fold_phones(phones: Iterable[str], fold: dict[str, str | None]) -> tuple[str, ...]:
    """Rename phones by a map in which None removes one.

    Neighbours that become equal stay two tokens, as in Kaldi's scoring.

    Raises
    ------
    DataError
        A phone that the map does not know.
    """
    folded: list[str] = []
    for phone in phones:
        try:
            target = fold[phone]
        except KeyError:
            raise DataError(
                f"{phone!r} is not one of TIMIT's phones",
                remedy="score without --fold, name it with --ignore, or rename it with --glm",
            ) from None
        if target is not None:
            folded.append(target)
    return tuple(folded)
