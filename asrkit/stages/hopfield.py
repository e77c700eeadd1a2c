"""`asrkit hopfield`: patterns of speech in an associative memory, what it restores of them, and how many it holds."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.core.files import write_json
from asrkit.core.jobs import map_in_order
from asrkit.core.streams import random_stream
from asrkit.nnet.energy.hopfield import Recall
from asrkit.nnet.energy.hopfield_capacity import LoadResult, add_noise, half_load, measure_load
from asrkit.nnet.energy.hopfield_config import CapacityConfig, RecallConfig
from asrkit.nnet.energy.hopfield_file import StoredPatterns, load_patterns, save_patterns, store
from asrkit.nnet.energy.hopfield_picture import draw_capacity, draw_recall
from asrkit.nnet.energy.modern_hopfield import ModernHopfieldNetwork
from asrkit.stages.acoustic import data_files
from asrkit.stages.hopfield_config import RecallStageConfig, StoreConfig
from asrkit.stages.label_patterns import read_patterns, source_file
from asrkit.stages.pictures import check_pictures
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, check_failures, run_stage

MODEL, RECALLED, RECALL_PICTURE = "model.safetensors", "recall.json", "recall.png"
CURVE, CURVE_PICTURE = "capacity.json", "capacity.png"

DRAWN = 12
"""Patterns in the picture, at most."""

MAX_BITS = 1 << 27
"""Of all cues of a share of noise; each takes some ten bytes of memory several times over."""


def store_patterns(data_path: Path, out: Path, source: str, config: StoreConfig, options: RunOptions) -> StageReport:
    """Make patterns of labelled speech and store them.

    Parameters
    ----------
    data_path : Path
        Data directory with features.
    out : Path
        Directory to be made: ``model.safetensors``.
    source : str
        ``phones``, or labels of whole utterances; see :func:`asrkit.stages.label_patterns.read_patterns`.

    Raises
    ------
    DataError, FormatError
        Features or labels are absent or damaged.
    ConfigError
        The patterns are too large for weights between all of their units.
    TooManyFailedError
        Too many utterances have no features.
    """
    check_apart(out, data_path)
    inputs = [*data_files(data_path, ("utt2spk", "segments")), source_file(source, data_path)]

    def body() -> StageResult:
        found = read_patterns(source, data_path, config, options.seed)
        check_failures(found.failures, found.utterances, options, data_path)
        stored = store(config.rule, found.values, found.labels, found.frames, found.dim)
        save_patterns(out / MODEL, stored, {"source": source})
        count, units = found.values.shape
        alike = np.abs(found.values.astype(np.float64) @ found.values.T / units)[np.triu_indices(count, 1)]
        figures = {
            "rule": config.rule,
            "patterns": count,
            "units": units,
            "load": round(count / units, 4),
            "mean_overlap": round(float(alike.mean()), 4) if count > 1 else 0.0,
            "stretches": found.stretches,
        }
        return StageResult(figures, found.failures)

    return run_stage("hopfield store", out, inputs, _Sourced(source, config), [out / MODEL], options, body)


@dataclasses.dataclass(frozen=True)
class _Sourced:
    """A configuration of `asrkit hopfield store` and where the labels come from, as a record holds them."""

    labels: str
    store: StoreConfig


def recall_patterns(
    model_path: Path, out: Path, config: RecallStageConfig, options: RunOptions, pictures: bool = True
) -> StageReport:
    """Damage the patterns of a network, and see what it makes of them.

    Parameters
    ----------
    model_path : Path
        What :func:`store_patterns` made.
    out : Path
        Directory to be made: ``recall.json``, a row a share of noise, and ``recall.png``.

    Raises
    ------
    ModelError
        There is no model, or it is damaged.
    ConfigError
        A picture is wanted, and matplotlib is not installed.
    """
    check_apart(out, model_path)
    check_pictures(pictures, "--no-picture")

    def body() -> StageResult:
        stored = load_patterns(model_path / MODEL)
        if stored.patterns.size * config.cues > MAX_BITS:
            raise ConfigError(
                f"{config.cues} cues of {len(stored.patterns)} patterns of {stored.patterns.shape[1]} units are more "
                f"than {MAX_BITS} bits",
                remedy="--set cues=… fewer",
            )
        rows, drawn = [], [("stored", stored.patterns[:DRAWN].astype(np.float64))]
        for share in options.progress(config.noise, total=len(config.noise), label="noise"):
            stream = random_stream(options.seed, "hopfield noise", f"{share:g}")
            originals = np.repeat(stored.patterns.astype(np.float64), config.cues, axis=0)
            cues = add_noise(originals, share, stream)
            found = _recall(stored, cues, config.recall, stream)
            rows.append(_row(share, stored, originals, cues, found, config.cues))
            first = slice(0, DRAWN * config.cues, config.cues)
            drawn += [(f"{share:.0%} wrong", cues[first]), ("recalled", found.states[first])]
        write_json(out / RECALLED, rows)
        if pictures:
            draw_recall(stored.labels[:DRAWN], drawn, stored.frames, stored.dim, out / RECALL_PICTURE)
        figures = {f"patterns_restored_at_{row['noise']:g}": row["patterns_restored"] for row in rows}
        return StageResult(figures, lines=tuple(map(_line, rows)))

    outputs = [out / RECALLED] + [out / RECALL_PICTURE] * pictures
    return run_stage("hopfield recall", out, [model_path / MODEL], config, outputs, options, body)


def _recall(
    stored: StoredPatterns, cues: NDArray[np.float64], config: RecallConfig, stream: np.random.Generator
) -> Recall:
    if stored.network is None:
        return ModernHopfieldNetwork(stored.patterns, config.beta).recall(cues, config)
    return stored.network.recall(cues, config, stream)


def _row(
    share: float,
    stored: StoredPatterns,
    originals: NDArray[np.float64],
    cues: NDArray[np.float64],
    found: Recall,
    cues_each: int,
) -> dict[str, Any]:
    """Return what is counted; ``nearest`` of cues is what a search through all patterns would have made of them."""
    right = found.states == originals
    return {
        "noise": share,
        "cues": len(originals),
        "bits_right": round(float(right.mean()), 5),
        "patterns_restored": round(float(right.all(axis=1).mean()), 5),
        "nearest_right": _nearest_right(found.states, stored, cues_each),
        "cues_nearest_right": _nearest_right(cues, stored, cues_each),
        "settled": round(float(found.settled.mean()), 5),
        "cycles": round(float(found.cycles.mean()), 5),
        "sweeps": round(float(found.sweeps.mean()), 2),
    }


def _nearest_right(states: NDArray[np.float64], stored: StoredPatterns, cues_each: int) -> float:
    """Return the share of states whose own pattern is the nearest; of k that are equally near, one in k counts."""
    products = states @ stored.patterns.T.astype(np.float64)
    own = np.repeat(np.arange(len(stored.patterns)), cues_each)
    nearest = products == products.max(axis=1, keepdims=True)
    return round(float((nearest[np.arange(len(own)), own] / nearest.sum(axis=1)).mean()), 5)


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['noise']:.0%} of the bits wrong: {row['bits_right']:.1%} right after recall, "
        f"{row['patterns_restored']:.1%} of {row['cues']} patterns restored, {row['nearest_right']:.1%} nearest to "
        f"their own (before: {row['cues_nearest_right']:.1%})"
    )


def capacity(out: Path, config: CapacityConfig, options: RunOptions, pictures: bool = True) -> StageReport:
    """Measure how many random patterns networks hold.

    Parameters
    ----------
    out : Path
        Directory to be made: ``capacity.json``, a row a size and load, and ``capacity.png``.

    Raises
    ------
    ConfigError
        A picture is wanted, and matplotlib is not installed.
    """
    check_pictures(pictures, "--no-picture")

    def body() -> StageResult:
        jobs = [(units, load) for units in config.units for load in sorted(config.loads)]
        work = functools.partial(measure_load, config=config, seed=options.seed)
        results = map_in_order(work, jobs, options.num_jobs, "threads")
        found = list(options.progress(results, total=len(jobs), label="loads"))
        write_json(out / CURVE, [{**dataclasses.asdict(one), "load": one.load} for one in found])
        by_size: dict[int, list[LoadResult]] = {}
        for one in found:
            by_size.setdefault(one.units, []).append(one)
        if pictures:
            draw_capacity(by_size, config.rule == "outer", out / CURVE_PICTURE)
        halves = {units: half_load(rows) for units, rows in by_size.items()}
        return StageResult({f"half_recalled_at_{n}": None if h is None else round(h, 4) for n, h in halves.items()})

    outputs = [out / CURVE] + [out / CURVE_PICTURE] * pictures
    return run_stage("hopfield capacity", out, [], config, outputs, options, body)
