"""The stage of `asrkit lattice-to-slf`: lattices as HTK writes them, a file each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from asrkit.core.archives import read_scp, resolve
from asrkit.core.errors import ConfigError, DataError, FormatError
from asrkit.core.files import write_lines
from asrkit.lang.symbols import SymbolTable
from asrkit.lattice.lattice import Lattice, LatticeScales
from asrkit.score.sweep import read_best
from asrkit.stages.acoustic import recorded_frame_shift_ms
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, run_stage

INDEX = "slf.scp"

USUAL_SHIFT_MS = 10.0


@dataclass(frozen=True)
class SlfConfig:
    """Configuration of `asrkit lattice-to-slf`.

    Attributes
    ----------
    frame_shift_ms : float or None
        Milliseconds from frame to frame, which archives of lattices do not tell; None: what their decode directory
        does, of models that do not hear every frame, and else 10.
    lm_weight : float
        The files ask for it: ``acscale`` is 1 / weight, ``lmscale`` is 1.
    insertion_penalty : float
        Cost of each word; ``wdpenalty`` is its negative.
    """

    frame_shift_ms: float | None = None
    lm_weight: float = 10.0
    insertion_penalty: float = 0.0

    def __post_init__(self) -> None:
        for name in ("frame_shift_ms", "lm_weight"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name} is {value}, expected a number above 0")
        _ = self.scales

    @property
    def scales(self) -> LatticeScales:
        """What the files say of the weights."""
        return LatticeScales(1.0 / self.lm_weight, 1.0, self.insertion_penalty)


def lattice_to_slf(
    lattices: Path, words: Path, out: Path, config: SlfConfig, options: RunOptions, best: Path | None = None
) -> StageReport:
    """Write lattices in HTK's Standard Lattice Format.

    Parameters
    ----------
    lattices : Path
        Decode directory with ``lat.scp``, or any index (``.scp``) or archive of lattices, Kaldi's own too.
    words : Path
        ``words.txt`` of the graph that they were made with, or the graph directory.
    out : Path
        Directory that receives ``UTTERANCE.slf`` of each (``/`` in an utterance_id becomes ``%2F``) and ``slf.scp``,
        which lists them.
    best : Path, optional
        File (or decode directory) with the LM weight and insertion penalty that `asrkit score` chose; they replace
        those of ``config``.

    Raises
    ------
    DataError, FormatError
        An input is absent or damaged, holds no lattices, or a word_id has no word.
    """
    check_apart(out, lattices)
    if best is not None:
        chosen = read_best(best)
        config = replace(config, lm_weight=chosen.lm_weight, insertion_penalty=chosen.insertion_penalty)
    source = lattices / "lat.scp" if lattices.is_dir() else lattices
    frame_shift_ms = config.frame_shift_ms or recorded_frame_shift_ms(source.parent) or USUAL_SHIFT_MS
    table = words / "words.txt" if words.is_dir() else words
    for path, remedy in (
        (source, "make it with `asrkit decode`, lattice_beam above 0 and save_lattices=true"),
        (table, "give the graph directory that the lattices were made with"),
    ):
        if not path.is_file():
            raise DataError("no such file", where=path, remedy=remedy)
    inputs = [source, table, *_archives(source)]

    def body() -> StageResult:
        from asrkit.lattice.slf import write_slf

        symbols = SymbolTable.load(table).symbols
        listed: dict[str, Path] = {}
        num_arcs = 0
        for key, lattice in options.progress(_lattices(source), total=None, label="lattice-to-slf"):
            if key in listed:
                raise FormatError(f"{key} has two lattices", where=source)
            path = out / f"{key.replace('%', '%25').replace('/', '%2F')}.slf"
            write_slf(path, key, lattice, symbols, frame_shift_ms / 1000, config.scales)
            listed[key] = path.resolve()
            num_arcs += lattice.num_arcs
        if not listed:
            raise DataError("no lattices", where=source)
        write_lines(out / INDEX, (f"{key} {path}" for key, path in listed.items()))
        return StageResult({"lattices": len(listed), "arcs": num_arcs})

    return run_stage("lattice-to-slf", out, inputs, config, [out / INDEX], options, body, uses_seed=False)


def _archives(source: Path) -> list[Path]:
    """Return the archives that an index points into."""
    if source.suffix != ".scp":
        return []
    names = dict.fromkeys(location.rpartition(":")[0] for location in read_scp(source).values())
    return [resolve(name, source.parent) for name in names]


def _lattices(source: Path) -> Iterator[tuple[str, Lattice]]:
    # Numba comes with it.
    from asrkit.lattice.archive import LatticeReader, read_lattices

    yield from LatticeReader(source).items() if source.suffix == ".scp" else read_lattices(source)
