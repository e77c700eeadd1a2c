"""Models of sequences of frames on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asrkit.core.config import from_mapping, to_mapping
from asrkit.core.container import load_model, save_model
from asrkit.core.errors import AsrkitError, ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.recurrence import ConditionalModel
from asrkit.nnet.energy.rnn_nade import RnnNade
from asrkit.nnet.energy.rnn_rbm import RnnRbm
from asrkit.nnet.energy.rtrbm import Rtrbm
from asrkit.nnet.energy.sequence_config import RnnNadeConfig, RnnRbmConfig, RtrbmConfig, SequenceModelConfig

KIND = "sequence-model"

_CLASSES: dict[str, tuple[type[Any], type[Any]]] = {
    "rnn-rbm": (RnnRbm, RnnRbmConfig),
    "rtrbm": (Rtrbm, RtrbmConfig),
    "rnn-nade": (RnnNade, RnnNadeConfig),
}


def new_model(kind: str, num_visible: int, config: SequenceModelConfig, draws: Draws) -> ConditionalModel:
    """Return a model to be trained, on the CPU.

    Parameters
    ----------
    kind : {'rnn-rbm', 'rtrbm', 'rnn-nade'}
    """
    model: ConditionalModel = _CLASSES[kind][0](num_visible, config, draws)
    return model


def save_sequence_model(path: Path, model: ConditionalModel, meta: Mapping[str, Any]) -> None:
    """Write a model with what else is to be known of it, JSON-serialisable."""
    arrays = {name: np.array(value.detach().cpu().numpy()) for name, value in model.state_dict().items()}
    described = {
        "model": model.kind,
        "num_visible": model.num_visible,
        "config": to_mapping(model.config),
        **meta,
    }
    save_model(path, KIND, arrays, described)


def load_sequence_model(path: Path) -> tuple[ConditionalModel, dict[str, Any]]:
    """Read what :func:`save_sequence_model` wrote.

    Raises
    ------
    ModelError
        The file is absent, damaged or of another kind, or its arrays do not fit its description.
    """
    arrays, meta = load_model(path, KIND)
    try:
        kind, config = _CLASSES[meta["model"]]
        model: ConditionalModel = kind(
            int(meta["num_visible"]), from_mapping(config, meta["config"]), Draws(0, "to be overwritten")
        )
        model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()})
        wrong = [name for name, value in model.state_dict().items() if not torch.isfinite(value).all()]
        if wrong:
            raise ModelError(f"{wrong[0]} is not finite")
    except (AsrkitError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"the model does not fit its description: {error}", where=path) from None
    return model, meta
