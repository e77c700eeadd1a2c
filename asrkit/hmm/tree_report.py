"""What the building of a context tree came to: leaves, gains, questions."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit.core.errors import FormatError
from asrkit.core.files import read_json, write_json


@dataclass(frozen=True)
class AskedQuestion:
    """A split of the tree.

    Attributes
    ----------
    phones : tuple of int
        Phones of the root under which it stands.
    position : int
        Place in the window that is asked about (0-based), or :data:`~asrkit.hmm.tree.PDF_CLASS` (-1).
    values : tuple of int
        Phone ids or pdf classes for which the answer is yes, ascending.
    gain : float
        Rise of the log-likelihood of all frames.
    num_frames : float
        Frames under the node.
    """

    phones: tuple[int, ...]
    position: int
    values: tuple[int, ...]
    gain: float
    num_frames: float


@dataclass(frozen=True)
class TreeReport:
    """How a context tree came about.

    Attributes
    ----------
    num_roots : int
        Leaves before the first question.
    num_leaves_split, num_leaves : int
        Leaves after the last question, and after leaf clustering: the pdfs.
    num_frames : float
        Frames under roots that may be split.
    gain_split, gain : float
        Rise of the log-likelihood of these frames, per frame: after splitting, and after leaf clustering.
    leaves_per_phone : dict of int to int
        Pdfs in whose root each phone stands.
    questions : tuple of AskedQuestion
        In the order in which they were asked; the gains fall only where a question's own children gain less.
    """

    num_roots: int
    num_leaves_split: int
    num_leaves: int
    num_frames: float
    gain_split: float
    gain: float
    leaves_per_phone: Mapping[int, int]
    questions: tuple[AskedQuestion, ...]

    @property
    def num_asked(self) -> dict[int, int]:
        """How often each place was asked about: place or PDF_CLASS -> number of questions."""
        return dict(sorted(Counter(question.position for question in self.questions).items()))

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-serialisable dicts, lists and numbers."""
        described = dataclasses.asdict(self)
        described["leaves_per_phone"] = {str(phone): number for phone, number in self.leaves_per_phone.items()}
        return described

    def save(self, path: Path) -> None:
        """Write the report as JSON."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> TreeReport:
        """Read what :meth:`save` wrote; anything else is a FormatError."""
        try:
            described = dict(read_json(path))
            described["leaves_per_phone"] = {int(k): int(v) for k, v in described["leaves_per_phone"].items()}
            described["questions"] = tuple(
                AskedQuestion(
                    **{
                        **asked,
                        "phones": tuple(map(int, asked["phones"])),
                        "values": tuple(map(int, asked["values"])),
                    }
                )
                for asked in described["questions"]
            )
            return cls(**described)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise FormatError(f"not a tree report ({error!r})", where=path) from None
