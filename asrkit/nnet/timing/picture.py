"""Pictures of what nets of the timing tasks do; needs matplotlib, the extra ``report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.files import whole_file

Watched = tuple[str, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""A title, and inputs (T,), targets (T,) and traces (T, 6) of a net."""


def draw_traces(watched: Sequence[Watched], path: Path) -> None:
    """Draw for each net its targets and outputs, and below them its memory and gates, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6 * len(watched)), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (title, inputs, targets, rows) in enumerate(watched):
        steps = np.arange(1, len(inputs) + 1)
        upper = figure.add_subplot(2 * len(watched), 1, 2 * number + 1)
        upper.set_title(title, fontsize="small", loc="left")
        upper.plot(steps, rows[:, 0], color="tab:blue", label="output")
        upper.plot(steps, targets, ".", color="black", markersize=3, label="target")
        if inputs.any():
            upper.plot(steps, inputs, color="tab:grey", linewidth=0.6, label="input")
        lower = figure.add_subplot(2 * len(watched), 1, 2 * number + 2)
        lower.plot(steps, rows[:, 1], color="tab:red", label="memory")
        for column, (name, colour) in enumerate(
            (("input gate", "tab:green"), ("forget gate", "tab:purple"), ("output gate", "tab:orange")), 3
        ):
            lower.plot(steps, rows[:, column], color=colour, linewidth=0.8, label=name)
        for axes in (upper, lower):
            axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, fontsize="x-small", ncols=4)
        lower.set_xlabel("steps" if number == len(watched) - 1 else "")
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=100)
