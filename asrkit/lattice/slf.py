"""HTK's Standard Lattice Format (The HTK Book, 3.4, chapter 20), written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from asrkit.core.errors import ConfigError, FormatError
from asrkit.core.files import write_lines
from asrkit.lattice.lattice import Lattice, LatticeScales

NO_WORD = "!NULL"
_UNSCALED = LatticeScales()


def write_slf(
    path: Path | str,
    utterance_id: str,
    lattice: Lattice,
    words: Sequence[str],
    frame_shift_secs: float,
    scales: LatticeScales = _UNSCALED,
) -> None:
    """Write the lines of :func:`slf_lines` to a file, whole or not at all."""
    write_lines(path, slf_lines(utterance_id, lattice, words, frame_shift_secs, scales))


def slf_lines(
    utterance_id: str,
    lattice: Lattice,
    words: Sequence[str],
    frame_shift_secs: float,
    scales: LatticeScales = _UNSCALED,
) -> Iterator[str]:
    """Yield the lines of a lattice in SLF, without their ends.

    Words stand on the links; a link has the natural logs of its acoustic (``a``) and its language model (``l``)
    likelihood, unscaled: the negative costs of its arc. HTK's score of a path, acscale * a + lmscale * l +
    wdpenalty * words, is the negative weighed cost. Final costs stand on links without word (``!NULL``) to one end
    node, since the format has a single one.

    Parameters
    ----------
    utterance_id : str
    lattice : Lattice
    words : sequence of str
        Word of each word_id; entry 0 is not used.
    frame_shift_secs : float
        Seconds from frame to frame: a node's time is the number of frames before it times this.
    scales : LatticeScales

    Raises
    ------
    FormatError
        A word_id has no word, or paths of different lengths lead to one state.
    ConfigError
        The frame shift is no positive number.
    """
    if not 0 < frame_shift_secs < math.inf:
        raise ConfigError(f"frame shift is {frame_shift_secs} s, expected above 0")
    if lattice.words.max(initial=0) >= len(words):
        raise FormatError(
            f"{utterance_id}: word id {lattice.words.max()} is not among the {len(words)} words",
            remedy="give the words.txt of the graph that the lattice was made with",
        )
    final = lattice.is_final.nonzero()[0].tolist()
    end = lattice.num_states
    return _lines(utterance_id, lattice, words, frame_shift_secs, scales, final, end)


def _lines(
    utterance_id: str,
    lattice: Lattice,
    words: Sequence[str],
    frame_shift_secs: float,
    scales: LatticeScales,
    final: list[int],
    end: int,
) -> Iterator[str]:
    yield "VERSION=1.0"
    yield f"UTTERANCE={_quoted(utterance_id)}"
    yield f"base={math.e!r}"
    yield f"acscale={scales.acoustic_scale!r}"
    yield f"lmscale={scales.graph_scale!r}"
    # Not -0.0 for 0.
    yield f"wdpenalty={0.0 - scales.word_insertion_penalty!r}"
    yield f"start=0 end={end}"
    yield f"N={end + 1} L={lattice.num_arcs + len(final)}"
    frames = lattice.state_frames.tolist()
    for node, frame in enumerate([*frames, max(frames[state] for state in final)]):
        yield f"I={node} t={frame * frame_shift_secs:.4f}"
    labels = {0: NO_WORD}
    columns = (lattice.sources, lattice.destinations, lattice.words, lattice.acoustic_costs, lattice.graph_costs)
    for link, (source, destination, word, acoustic, graph) in enumerate(zip(*(column.tolist() for column in columns))):
        label = labels.setdefault(word, _quoted(words[word]))
        yield f"J={link} S={source} E={destination} W={label} a={0.0 - acoustic:.9g} l={0.0 - graph:.9g}"
    for number, state in enumerate(final, lattice.num_arcs):
        acoustic, graph = float(lattice.final_acoustic_costs[state]), float(lattice.final_graph_costs[state])
        yield f"J={number} S={state} E={end} W={NO_WORD} a={0.0 - acoustic:.9g} l={0.0 - graph:.9g}"


def _quoted(name: str) -> str:
    r"""Return a name as HTK reads it: a backslash, and a quotation mark in front, want a backslash."""
    escaped = name.replace("\\", "\\\\")
    return f"\\{escaped}" if escaped[:1] in ("'", '"') else escaped
