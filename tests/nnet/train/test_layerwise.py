"""Layers put on one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.errors import ConfigError
from asrkit.nnet.layers.config import CnnConfig, MlpConfig
from asrkit.nnet.network import NetworkShape, to_arrays
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.nnet.train.classifier import train_classifier
from asrkit.nnet.train.layerwise import grow_layers
from tests.killed import Killed
from tests.nnet.train.test_classifier import CONFIG, frames_of

SHAPE = NetworkShape(MlpConfig(3, 16, "tanh", batch_norm=True), 2 * 3, 3, 4)


def grown(epochs: int = 2, store: object = None) -> dict[str, np.ndarray]:
    network = grow_layers(SHAPE, frames_of(range(12)), frames_of(range(12, 16)), CONFIG, epochs, 1, store)  # type: ignore[arg-type]
    return to_arrays(network)


def test_each_layer_is_trained_with_those_below_and_the_last_is_new() -> None:
    frames = frames_of(range(12)), frames_of(range(12, 16))
    short = replace(CONFIG, newbob=replace(CONFIG.newbob, max_epochs=2, keep_rate_epochs=2))
    one = replace(SHAPE, config=replace(SHAPE.config, layers=1)).build(1)
    train_classifier(one, *frames, short, 1)
    two = replace(SHAPE, config=replace(SHAPE.config, layers=2)).build(1)
    two.hidden[0].load_state_dict(one.hidden[0].state_dict())  # type: ignore[union-attr]
    train_classifier(two, *frames, short, 1)
    found, fresh = grown(), to_arrays(SHAPE.build(1))
    for name, array in to_arrays(two).items():
        if name.startswith("hidden."):
            np.testing.assert_array_equal(found[name], array)
    np.testing.assert_array_equal(found["hidden.2.0.weight"], fresh["hidden.2.0.weight"])
    np.testing.assert_array_equal(found["output.weight"], fresh["output.weight"])


def test_a_killed_one_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    expected = grown()

    class Mortal(CheckpointStore):
        def save(self, snapshot: object) -> None:
            super().save(snapshot)  # type: ignore[arg-type]
            if self.path.name == "2":
                raise Killed

    with pytest.raises(Killed):
        grown(store=lambda layers: Mortal(tmp_path / str(layers), "this", every_secs=0))
    found = grown(store=lambda layers: CheckpointStore(tmp_path / str(layers), "this"))
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("config", [MlpConfig(2, 4, bottleneck=2), CnnConfig()])
def test_other_networks_are_refused(config: object) -> None:
    with pytest.raises(ConfigError, match="without a bottleneck"):
        grow_layers(
            replace(SHAPE, config=config),  # type: ignore[arg-type]
            frames_of(range(4)),
            frames_of(range(4, 6)),
            CONFIG,
            1,
        )
