"""Facts of a classifier of utterances."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def classifier_facts(path: Path) -> dict[str, Any]:
    """Return the facts of a classifier's directory."""
    # torch comes with it.
    from asrkit.nnet.label_classifier import LabelClassifier

    classifier = LabelClassifier.load(path)
    facts: dict[str, Any] = {
        "labels": list(classifier.labels),
        "source": classifier.source,
        "network": classifier.shape.described(),
        "weights": sum(value.numel() for value in classifier.network.parameters()),
        "inputs": {
            "features": classifier.front_end.kind,
            "dim": classifier.normalisation.dim,
            "sample_rate_hz": classifier.front_end.sample_rate_hz,
            "cmvn": classifier.pipeline.cmvn,
            "delta_order": classifier.pipeline.delta_order,
            "splice": [classifier.pipeline.splice_left, classifier.pipeline.splice_right],
        },
    }
    if classifier.inputs is not None:
        facts["feature_origin"] = dict(classifier.inputs)
    return facts
