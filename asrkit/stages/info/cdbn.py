"""Facts of a convolutional deep belief network."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def cdbn_facts(path: Path) -> dict[str, Any]:
    """Return the facts of a network's directory."""
    # torch comes with it.
    from asrkit.nnet.energy.convolutional_dbn import load_cdbn

    network = load_cdbn(path)
    facts: dict[str, Any] = {
        "layers": len(network.layers),
        "parameters": sum(value.numel() for layer in network.layers for value in layer.parameters().values()),
        "kinds": [
            f"{layer.num_channels} {layer.visible} channels, {layer.num_bases} bases of {layer.filter_length} frames, "
            f"pooled by {layer.pooling}"
            for layer in network.layers
        ],
        "row_ms": [
            network.front_end.frame_shift_ms * network.frames_a_row(number + 1) for number in range(len(network.layers))
        ],
        "inputs": {
            "features": network.front_end.kind,
            "dim": network.whitening.dim,
            "components": network.whitening.components,
            "sample_rate_hz": network.front_end.sample_rate_hz,
            "cmvn": network.pipeline.cmvn,
            "delta_order": network.pipeline.delta_order,
        },
        "training": dict(network.training),
    }
    if network.inputs is not None:
        facts["feature_origin"] = dict(network.inputs)
    return facts
