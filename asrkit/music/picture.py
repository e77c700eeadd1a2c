"""Pictures of piano rolls; needs matplotlib, the extra ``report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asrkit.core.files import whole_file
from asrkit.music.piano_roll import PianoRoll


def draw_rolls(rolls: Sequence[PianoRoll], path: Path) -> None:
    """Draw piano rolls one below the other as a PNG: time to the right, pitch upwards."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1.8 * len(rolls) + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    for number, roll in enumerate(rolls, 1):
        axes = figure.add_subplot(len(rolls), 1, number)
        bounds = (
            0.0,
            roll.num_steps * roll.step_secs,
            roll.lowest_pitch - 0.5,
            roll.lowest_pitch + roll.num_keys - 0.5,
        )
        axes.imshow(
            roll.notes.T, origin="lower", aspect="auto", extent=bounds, cmap="Greys", vmin=0, vmax=1,
            interpolation="nearest",
        )  # fmt: skip
        axes.set_ylabel("MIDI pitch")
        if number == len(rolls):
            axes.set_xlabel("seconds")
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=120)
