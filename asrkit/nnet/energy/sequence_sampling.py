"""Sequences drawn from a model: frame by frame, each given all before it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.progress import Progress, silent
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.recurrence import ConditionalModel


@torch.no_grad()
def draw_sequences(
    model: ConditionalModel,
    num_sequences: int,
    num_steps: int,
    gibbs_steps: int,
    draws: Draws,
    progress: Progress = silent,
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Draw sequences, (num_sequences, num_steps, V); uint8 where frames are binary.

    Parameters
    ----------
    gibbs_steps : int
        Of each frame of an RBM, whose chain starts at the frame before, or at zeros.
    """
    dtype = np.uint8 if model.binary else np.float32
    sequences = np.zeros((num_sequences, num_steps, model.num_visible), dtype)
    state = model.start(num_sequences)
    v = model.weights.new_zeros((num_sequences, model.num_visible))
    for number in progress(range(num_steps), total=num_steps, label="steps"):
        v = model.draw(state[0], v, gibbs_steps, draws)
        sequences[:, number] = v.cpu().numpy()
        _, state = model.scan(v[:, None], state)
    return sequences
