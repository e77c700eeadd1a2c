"""The errors a user can meet. Each says where, what was found, what was expected, and what to do."""

from __future__ import annotations

from pathlib import Path


class AsrkitError(Exception):
    """An error that is the data's, the configuration's or the user's, never a bug of ours.

    Parameters
    ----------
    message : str
        What was found and what was expected.
    where : str or Path, optional
        ``path``, ``path:line`` or an utterance id; printed in front of the message.
    remedy : str, optional
        What to do about it; printed behind the message.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str | Path | None = None, remedy: str | None = None) -> None:
        self.message = message
        self.where = None if where is None else str(where)
        self.remedy = remedy
        super().__init__(message)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" ({self.remedy})" if self.remedy else ""
        return f"{place}{self.message}{advice}"

    def __reduce__(self) -> tuple[object, ...]:
        """Keep ``where`` and ``remedy`` on the way back from a worker process."""
        return (_rebuild, (type(self), self.message, self.where, self.remedy))


def _rebuild(cls: type[AsrkitError], message: str, where: str | None, remedy: str | None) -> AsrkitError:
    return cls(message, where=where, remedy=remedy)


class DataError(AsrkitError):
    """A corpus, data directory, recording or transcript is not as it should be."""


class FormatError(AsrkitError):
    """A file is not in the format it should be in."""


class ConfigError(AsrkitError):
    """A configuration file, option or key is wrong."""


class ModelError(AsrkitError):
    """A model is missing, damaged, or does not fit what it is used with."""


class GraphError(AsrkitError):
    """A lexicon, grammar or decoding graph cannot be built or used."""


class TooManyFailedError(AsrkitError):
    """More utterances of a stage failed than ``--max-failed`` allows."""

    exit_code = 3
