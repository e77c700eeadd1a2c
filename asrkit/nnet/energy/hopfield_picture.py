"""Pictures of Hopfield networks at work; needs matplotlib, the extra ``report``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.files import whole_file
from asrkit.nnet.energy.hopfield_capacity import LoadResult

THEORY = 0.138
"""Patterns a unit that Hebb's rule holds in large networks (Amit, Gutfreund & Sompolinsky 1985)."""


def draw_recall(
    labels: Sequence[str], rows: Sequence[tuple[str, NDArray[np.float64]]], frames: int, dim: int, path: Path
) -> None:
    """Draw patterns as small spectrograms, time to the right: a column a label, a row a state that they are in.

    Parameters
    ----------
    rows : sequence of (title, (M, frames * dim))
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    gap = 2
    height, width = dim + gap, frames + gap
    # One image of them all: as many axes would take half a minute.
    sheet = np.full((len(rows) * height, len(labels) * width), np.nan)
    for row, (_, states) in enumerate(rows):
        for column, state in enumerate(states[: len(labels)]):
            top = row * height + gap
            sheet[top : top + dim, column * width : column * width + frames] = state.reshape(frames, dim).T[::-1]
    figure = Figure(figsize=(0.9 * len(labels) + 1.5, 1.1 * len(rows) + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(1, 1, 1)
    axes.imshow(sheet, aspect="auto", cmap="Greys", vmin=-1, vmax=1, interpolation="nearest")
    axes.set_xticks([column * width + (frames - 1) / 2 for column in range(len(labels))], labels)
    axes.xaxis.tick_top()
    axes.set_yticks([row * height + gap + (dim - 1) / 2 for row in range(len(rows))], [title for title, _ in rows])
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_facecolor("lightsteelblue")
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=120)


def draw_capacity(results: Mapping[int, Sequence[LoadResult]], theory: bool, path: Path) -> None:
    """Draw what networks of each size recall against the load, and the theory's line where it holds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(1, 1, 1)
    for units, found in results.items():
        loads = [one.load for one in found]
        line = axes.plot(loads, [one.recalled for one in found], marker="o", markersize=3, label=f"{units} units")[0]
        axes.plot(loads, [one.overlap for one in found], linestyle="--", linewidth=0.8, color=line.get_color())
    if theory:
        axes.axvline(THEORY, color="black", linewidth=0.8, label=f"{THEORY} patterns a unit")
    axes.set_xlabel("patterns a unit")
    axes.set_ylabel("recalled (dashed: mean overlap)")
    axes.set_ylim(-0.02, 1.02)
    axes.legend(fontsize="small")
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=120)
