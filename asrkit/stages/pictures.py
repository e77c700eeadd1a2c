"""Pictures that stages make; they need matplotlib, the extra ``report``."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.core.files import whole_file


def check_pictures(wanted: bool, without: str) -> None:
    """Refuse pictures, before any work, where matplotlib is not installed.

    Parameters
    ----------
    without : str
        How to do without them, for the message.
    """
    if wanted and importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("pictures need matplotlib", remedy=f"pip install 'asrkit[report]', or {without}")


def draw_picture(samples: NDArray[np.float32], path: Path) -> None:
    """Draw samples (N, window, D) as spectrograms side by side: time to the right, dimensions upwards, one scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count, _, dim = samples.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(1.2 * columns, 1.2 * rows * min(3.0, max(0.6, dim / 20))), layout="constrained")
    FigureCanvasAgg(figure)
    low, high = float(samples.min()), float(samples.max())
    for number, one in enumerate(samples):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.imshow(one.T, origin="lower", aspect="auto", vmin=low, vmax=high, interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=150)
