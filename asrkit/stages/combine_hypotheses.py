"""`asrkit combine hypotheses`: the words of several systems vote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asrkit.core.errors import DataError
from asrkit.data.datadir import DataDir
from asrkit.lattice.rover import RoverConfig, SaidWord, rover
from asrkit.stages.combined_files import (
    CombinedFiles,
    Hypotheses,
    check_systems,
    hypothesis_file,
    missing_utterances,
    read_hypotheses,
)
from asrkit.stages.hypothesis_files import ALTERNATIVES, HYPOTHESES, TIMES
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_failures, run_stage


def combine_hypotheses(
    data_path: Path, systems: Sequence[Path], out: Path, config: RoverConfig, options: RunOptions
) -> StageReport:
    """Let the hypotheses of several systems vote (ROVER).

    Parameters
    ----------
    data_path : Path
        Data directory that the systems decoded.
    systems : sequence of Path
        Decode directories, the best first, or files of lines ``utterance_id word word...``. Of a decode directory the
        words of the main setting are taken, which have confidences.
    out : Path
        Directory to be made, see :class:`~asrkit.stages.combined_files.CombinedFiles`.

    Raises
    ------
    ConfigError, DataError, FormatError
        There are fewer than two systems, weights for another number of them, or something is absent or damaged; or the
        method needs confidences, and there are none.
    TooManyFailedError
        A system has no hypothesis for too many utterances.
    """
    check_systems(systems, out, config.weights)
    files = [hypothesis_file(system) for system in systems]

    def body() -> StageResult:
        data = DataDir.load(data_path)
        tables = [read_hypotheses(file) for file in files]
        failures = missing_utterances(data, tables, systems)
        failed = {failure.utterance_id for failure in failures}
        check_failures(failures, len(data.utterances), options, data_path)
        combined = CombinedFiles(data)
        keys = [key for key in data.utterances if key not in failed]
        for key in options.progress(keys, total=len(keys), label="vote"):
            combined.add(key, _vote(key, tables, config))
        combined.save(out)
        return StageResult(
            {**combined.figures(), "systems": len(systems), "unanimous": _unanimous(keys, tables)}, tuple(failures)
        )

    # Times and confidences are written where all systems have them.
    outputs = [out / name for name in (HYPOTHESES, *((TIMES, ALTERNATIVES) if _have_times(files) else ()))]
    inputs = [data_path / "utt2spk", data_path / "segments", *files]
    return run_stage("combine hypotheses", out, inputs, config, outputs, options, body, uses_seed=False)


def _vote(key: str, tables: Sequence[Hypotheses], config: RoverConfig) -> list[SaidWord]:
    try:
        return rover([table[key] for table in tables], config)
    except DataError as error:
        error.where = error.where or key
        raise


def _have_times(files: Sequence[Path]) -> bool:
    return all(file.name == ALTERNATIVES for file in files)


def _unanimous(keys: Sequence[str], tables: Sequence[Hypotheses]) -> int:
    """Return of how many utterances all systems have the same words."""
    said = ({tuple(one.word for one in table[key]) for table in tables} for key in keys)
    return sum(len(one) == 1 for one in said)
