"""Kinds of English phones, for tables: TIMIT's labels and ARPAbet, with or without stress digits, in either case."""

from __future__ import annotations

_CLASSES = {
    "silence": "sil h# pau epi sp spn",
    "closure": "cl vcl bcl dcl gcl pcl tcl kcl q",
    "stop": "b d g p t k dx",
    "affricate": "ch jh",
    "fricative": "s sh z zh f th v dh",
    "nasal": "m n ng em en eng nx",
    "glide": "l r w y hh hv el",
    "vowel": "iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h",
}
_CLASS_OF = {phone: name for name, phones in _CLASSES.items() for phone in phones.split()}


def phone_class(phone: str) -> str:
    """Return the kind of a phone, ``other`` for one that is neither TIMIT's nor ARPAbet's.

    Examples
    --------
    >>> phone_class("AE1"), phone_class("pcl"), phone_class("@")
    ('vowel', 'closure', 'other')
    """
    return _CLASS_OF.get(phone.lower().rstrip("012"), "other")
