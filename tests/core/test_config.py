"""Configuration: defaults, TOML, overrides, and every kind of mistake."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from asrkit.core.config import load_config, to_mapping, to_toml
from asrkit.core.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    beam: float = 13.0
    names: tuple[str, ...] = ("a",)


@dataclass(frozen=True)
class Outer:
    kind: Literal["mfcc", "plp"] = "mfcc"
    count: int = 3
    limit: int | None = None
    fast: bool = False
    inner: Inner = field(default_factory=Inner)


def test_file_then_overrides(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('kind = "plp"\ncount = 5\n[inner]\nbeam = 8\n')
    config = load_config(Outer, path, ["count=7", 'inner.names=["x", "y"]', "limit=4", "fast=true"])
    assert config == Outer("plp", 7, 4, True, Inner(8.0, ("x", "y")))


@dataclass(frozen=True)
class Wide:
    inner: Inner = field(default_factory=lambda: Inner(beam=99.0, names=("w",)))


def test_a_nested_table_changes_the_defaults_of_what_holds_it() -> None:
    assert load_config(Wide, None, ["inner.names=x"]) == Wide(Inner(99.0, ("x",)))


def test_what_is_printed_is_read_back(tmp_path: Path) -> None:
    config = Outer(kind="plp", inner=Inner(beam=2.5, names=("β", 'q"')))
    path = tmp_path / "c.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert load_config(Outer, path) == config
    assert tomllib.loads(to_toml(config))["inner"]["beam"] == 2.5
    assert to_mapping(config)["inner"] == {"beam": 2.5, "names": ["β", 'q"']}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cuont=3", "unknown key cuont .did you mean count"),
        ("inner.baem=3", "unknown key inner.baem .did you mean inner.beam"),
        ("count=many", "count is 'many', expected int"),
        ("count=2.5", "count is 2.5, expected int"),
        ("fast=1", "fast is 1, expected bool"),
        ("kind=lpc", "kind is 'lpc', expected one of mfcc, plp"),
        ("inner=3", "inner is 3, expected a table"),
        ("count", "expected key=value"),
        ("inner.beam=nan", "inner.beam is not a number"),
        (f"inner.beam={'9' * 400}", "inner.beam is too large a number"),
        (f"count={'9' * 5000}", "count is '9+', expected int"),
    ],
)
def test_mistakes_are_explained(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(Outer, None, [override])


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent.toml: no such configuration file"):
        load_config(Outer, tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_text("count = = 3")
    with pytest.raises(ConfigError, match="bad.toml: not valid TOML"):
        load_config(Outer, tmp_path / "bad.toml")
    (tmp_path / "long.toml").write_text(f"count = {'9' * 5000}")
    with pytest.raises(ConfigError, match="long.toml: not valid TOML"):
        load_config(Outer, tmp_path / "long.toml")
