"""The worlds, built once."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from asrkit.cli.main import main
from tests.recognizer.worlds import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="session")
def adaptive(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("adaptive"), adaptive=True)


def packed_into(path: Path, world: World, *options: str) -> Path:
    places = [str(world.model), str(world.graph), str(path), "--cmvn", str(world.data), "--lm", str(world.arpa)]
    result = CliRunner().invoke(main, ["pack", *places, *options])
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture(scope="session")
def packed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    licence = world.root / "licence.txt"
    licence.write_text("CC BY 4.0: name us\n")
    return packed_into(
        tmp_path_factory.mktemp("pack") / "toy.asrkit", world, "--licence", str(licence), "--set", "lm_weight=5"
    )
