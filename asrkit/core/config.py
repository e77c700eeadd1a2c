"""Configuration: small frozen dataclasses that hold the only defaults, read from TOML and ``key=value`` overrides.

Field types may be ``bool``, ``int``, ``float``, ``str``, ``X | None``, ``Literal[...]``, ``tuple[X, ...]`` and
nested configuration dataclasses (a TOML table; ``table.key=value`` on the command line).
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from asrkit.core.errors import ConfigError

C = TypeVar("C")


def load_config(
    cls: type[C], path: Path | str | None = None, overrides: Sequence[str] = (), base: C | None = None
) -> C:
    """Build ``cls`` from its defaults (or ``base``), then the TOML file, then ``key=value`` overrides.

    Raises
    ------
    ConfigError
        The file is absent or not TOML, a key is unknown, or a value is of the wrong type or domain.
    """
    values: dict[str, Any] = {}
    where: str | None = None
    if path is not None:
        where = str(path)
        values = _read_toml(Path(path))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"expected key=value, found {override!r}", where="--set")
        _put(values, key.strip().split("."), _parse(text.strip()), override)
        where = f"{path} and --set" if path is not None else "--set"
    return from_mapping(cls, values, where, base=base)


def from_mapping(
    cls: type[C], values: Mapping[str, Any], where: str | None = None, prefix: str = "", base: C | None = None
) -> C:
    """Build the dataclass ``cls`` from a mapping; unknown keys and wrong types are :class:`ConfigError`.

    Keys that are absent keep the value that ``base`` has, by default the one of ``cls()``; so a nested table changes
    the defaults of the configuration that holds it, not those of its own class.
    """
    start = base if base is not None else _defaults(cls)
    hints = typing.get_type_hints(cls)
    known = {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for raw_key, value in values.items():
        key = raw_key.replace("-", "_")
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            advice = f"did you mean {prefix}{close[0]!s}?" if close else f"known keys: {', '.join(sorted(known))}"
            raise ConfigError(f"unknown key {prefix}{raw_key!s}", where=where, remedy=advice)
        arguments[key] = _convert(known[key], value, where, f"{prefix}{key}", getattr(start, key, None))
    try:
        return cls(**arguments) if start is None else dataclasses.replace(start, **arguments)  # type: ignore[type-var]
    except ConfigError as error:
        if error.where is None:
            error.where = where
        raise


def _defaults(cls: type[C]) -> C | None:
    """Return ``cls()``, or None for a class with fields that have no default."""
    missing = dataclasses.MISSING
    fields = [field for field in dataclasses.fields(cls) if field.init]  # type: ignore[arg-type]
    complete = all(field.default is not missing or field.default_factory is not missing for field in fields)
    return cls() if complete else None


def to_mapping(config: Any) -> dict[str, Any]:
    """Return the configuration as plain dicts, lists and scalars (for JSON, TOML and comparison)."""
    result: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            value = to_mapping(value)
        elif isinstance(value, tuple):
            value = list(value)
        result[field.name] = value
    return result


def to_toml(config: Any) -> str:
    """Write the configuration as TOML; a ``None`` becomes a comment, since TOML has no null."""
    lines: list[str] = []
    _toml_table(to_mapping(config), "", lines)
    return "\n".join(lines) + "\n"


def _toml_table(values: Mapping[str, Any], name: str, lines: list[str]) -> None:
    if name:
        lines.append(f"\n[{name}]")
    for key, value in values.items():
        if value is None:
            lines.append(f"# {key} is not set")
        elif not isinstance(value, dict):
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    for key, value in values.items():
        if isinstance(value, dict):
            _toml_table(value, f"{name}.{key}" if name else key, lines)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise ConfigError("no such configuration file", where=path) from None
    except ValueError as error:
        raise ConfigError(f"not valid TOML: {error}", where=path) from None


def _parse(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:  # TOML's own, or of an integer with more digits than Python reads
        return text


def _put(values: dict[str, Any], keys: list[str], value: Any, override: str) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{key} is not a table", where=f"--set {override}")
    values[keys[-1]] = value


def _convert(kind: Any, value: Any, where: str | None, key: str, base: Any = None) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(kind) if option is not type(None)]
        if value is None or value in ("none", ""):
            return None
        return _convert(options[0], value, where, key, base)
    if origin is typing.Literal:
        allowed = typing.get_args(kind)
        if value not in allowed:
            raise ConfigError(f"{key} is {value!r}, expected one of {', '.join(map(str, allowed))}", where=where)
        return value
    if origin is tuple:
        items = value if isinstance(value, (list, tuple)) else [value]
        return tuple(_convert(typing.get_args(kind)[0], item, where, key) for item in items)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key} is {value!r}, expected a table", where=where)
        return from_mapping(kind, value, where, f"{key}.", base if isinstance(base, kind) else None)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ConfigError(f"{key} is too large a number", where=where) from None
    if kind is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{key} is {value!r}, expected {kind.__name__}", where=where)
    if value != value:
        raise ConfigError(f"{key} is not a number (nan)", where=where)
    return value
