"""What a network makes of whole utterances."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.nnet.device import torch_threads
from asrkit.nnet.normalisation import InputNormalisation


def compute(
    function: Callable[[torch.Tensor], torch.Tensor], spliced: InputNormalisation, features: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what a function makes of normalised windows, by one thread, without gradients.

    Parameters
    ----------
    function : callable
        Of (num_frames, num_inputs) float32.
    spliced : InputNormalisation
        Of whole windows.
    features : (num_frames, num_inputs) float32
        Spliced, not normalised.

    Raises
    ------
    DataError
        Another dimension.
    """
    if features.ndim != 2 or features.shape[1] != spliced.dim:
        raise DataError(f"inputs of shape {features.shape}, the network takes {spliced.dim} columns")
    with torch.inference_mode(), torch_threads(1):
        result: NDArray[np.float32] = function(torch.from_numpy(spliced.apply(features))).numpy()
    return result
