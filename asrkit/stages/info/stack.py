"""Facts of a pretrained stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.nnet.stack import load_stack


def stack_facts(path: Path) -> dict[str, Any]:
    """Return the facts of a stack's directory."""
    stack = load_stack(path)
    facts: dict[str, Any] = {
        "layers": len(stack.layers),
        "parameters": sum(value.size for layer in stack.layers for value in layer.parameters.values()),
        "kinds": [
            f"{layer.kind}: {layer.num_inputs} {layer.visible}, {layer.num_outputs} {layer.hidden}"
            for layer in stack.layers
        ],
        "inputs": {
            "features": stack.front_end.kind,
            "dim": stack.normalisation.dim,
            "sample_rate_hz": stack.front_end.sample_rate_hz,
            "cmvn": stack.pipeline.cmvn,
            "delta_order": stack.pipeline.delta_order,
            "splice": [stack.pipeline.splice_left, stack.pipeline.splice_right],
        },
        "training": dict(stack.training),
    }
    if stack.inputs is not None:
        facts["feature_origin"] = dict(stack.inputs)
    return facts
