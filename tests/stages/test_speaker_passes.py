"""What the passes that adapt search with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asrkit.core.errors import ConfigError
from asrkit.stages.decode import DecodeConfig


def test_adapting_searches_make_lattices_where_they_are_given_a_beam() -> None:
    config = DecodeConfig()
    assert [search.lattice_beam for search in config.adapting_searches] == [0.0, 0.0]
    assert [search.lattice_beam for search in replace(config, adapt_lattice_beam=6.0).adapting_searches] == [6.0, 6.0]
    assert config.search(config.settings[0]).lattice_beam == 0.0
    with pytest.raises(ConfigError, match="lattice_beam is -1"):
        DecodeConfig(adapt_lattice_beam=-1.0)
