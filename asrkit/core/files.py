"""Files that appear under their own name only when they are whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asrkit.core.errors import FormatError


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it is synced and renamed to ``path``, else removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(part, path)
    except OSError as error:
        # A full disk does not say which file did not fit.
        if error.errno is not None and error.filename in (None, str(part)):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8 with Unix line ends, whole or not at all."""
    with whole_file(path) as part:
        part.write_bytes(text.encode("utf-8"))


def write_lines(path: Path | str, lines: Iterable[str]) -> None:
    """Write one line an item (no newline inside an item), whole or not at all."""
    write_text(path, "".join(f"{line}\n" for line in lines))


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON, keys in their order, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file; a damaged one is a :class:`FormatError` that names the line."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FormatError("no such file", where=path) from None
    except json.JSONDecodeError as error:
        raise FormatError(f"not valid JSON: {error.msg}", where=f"{path}:{error.lineno}") from None
    except UnicodeDecodeError:
        raise FormatError("not UTF-8 text", where=path) from None


def read_lines(path: Path | str) -> list[str]:
    """Read the lines of a UTF-8 text file, without their ends; empty lines are kept.

    Raises
    ------
    FormatError
        The file is absent, or is not UTF-8.
    """
    return list(iterate_lines(path))


def iterate_lines(path: Path | str) -> Iterator[str]:
    """Yield what :func:`read_lines` returns line by line, of a file that may be larger than the memory."""
    path = Path(path)
    try:
        handle = path.open("rb")
    except (FileNotFoundError, IsADirectoryError):
        raise FormatError("no such file", where=path) from None
    with handle:
        for number, line in enumerate(handle, 1):
            try:
                yield line.decode("utf-8").removesuffix("\n")
            except UnicodeDecodeError as error:
                raise FormatError(
                    f"not UTF-8 text (byte 0x{error.object[error.start]:02x})",
                    where=f"{path}:{number}",
                    remedy="convert it to UTF-8, or run `asrkit validate --fix`",
                ) from None
