"""Frames drawn from a stack of RBMs, as features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.config import SampleConfig
from asrkit.nnet.energy.dbn import Dbn
from asrkit.nnet.pretraining import some_frames
from asrkit.nnet.stack import Stack
from asrkit.nnet.train.frames import Frames


def draw_samples(stack: Stack, config: SampleConfig, seed: int, start: Frames | None = None) -> NDArray[np.float32]:
    """Return samples (N, window, D) float32, the normalisation undone, earliest frame first.

    Parameters
    ----------
    start : Frames, optional
        From some of which the chains start, one each; otherwise they start from the biases.

    Raises
    ------
    ModelError
        The stack is none of RBMs, or hidden units below its top are rectified.
    """
    dbn = Dbn.of_layers(stack.layers)
    frames = None if start is None else some_frames(start, config.num_samples, seed)
    count = config.num_samples if frames is None else len(frames)
    drawn = dbn.sample(count, config.num_steps, Draws(seed, "samples"), frames, config.means).numpy()
    windows = drawn.reshape(count, -1, stack.normalisation.dim)
    return (windows / stack.normalisation.scale + stack.normalisation.shift).astype(np.float32)
