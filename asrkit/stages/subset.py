"""`asrkit subset`: a data directory with some utterances of another."""

from __future__ import annotations

from pathlib import Path

from asrkit.core.errors import DataError, FormatError
from asrkit.core.files import read_lines
from asrkit.data.audio import audio_info, segment_samples
from asrkit.data.datadir import DataDir
from asrkit.data.subset import SubsetConfig, choose_utterances, write_subset
from asrkit.data.tables import SPECS
from asrkit.features.frontend import load_front_end
from asrkit.features.pipeline import INPUTS_FILE
from asrkit.stages.acoustic import copy_file
from asrkit.stages.record import RunOptions, StageReport, StageResult, run_stage


def subset(
    path: Path,
    out: Path,
    config: SubsetConfig,
    options: RunOptions,
    utterances: Path | None = None,
    without: Path | None = None,
) -> StageReport:
    """Write the data directory ``out`` with some utterances of the data directory ``path``, features included.

    Parameters
    ----------
    utterances : Path, optional
        List of the only utterances to choose from: the first field of each line.
    without : Path, optional
        Data directory whose utterances are left out.

    Raises
    ------
    DataError, FormatError
        A directory is damaged, or there is nothing to take.
    """
    if out.resolve() in (path.resolve(), *([] if without is None else [without.resolve()])):
        raise DataError("OUT is one of the directories that are read", where=out, remedy="name another directory")
    tables = [path / name for name in SPECS if (path / name).exists()]
    front_end = [path / name for name in ("frontend.json", INPUTS_FILE) if (path / name).exists()]
    inputs = [*tables, *front_end, *(one for one in (utterances, without and without / "utt2spk") if one is not None)]

    def body() -> StageResult:
        data = DataDir.load(path)
        left_out = set() if without is None else set(DataDir.load(without).utterances)
        if utterances is not None:
            listed = {line.split()[0] for line in read_lines(utterances) if line.strip()}
            left_out |= set(data.utterances) - listed
        secs = utterance_secs(data) if config.needs_lengths else {}
        keep = choose_utterances(data, config, secs, options.seed, left_out)
        write_subset(data, keep, out)
        (out / INPUTS_FILE).unlink(missing_ok=True)
        for file in front_end:
            copy_file(file, out / file.name)
        speakers = {data.utterances[key].speaker for key in keep}
        figures: dict[str, object] = {"utterances": len(keep), "of": len(data.utterances), "speakers": len(speakers)}
        if secs:
            figures["hours"] = sum(secs[key] for key in keep) / 3600
        return StageResult(figures)

    outputs = [out / file.name for file in (*tables, *front_end)]
    # Features may be extracted anew in OUT, e.g. warped ones.
    return run_stage("subset", out, inputs, config, outputs, options, body, sealed=False)


def utterance_secs(data: DataDir) -> dict[str, float]:
    """Return the length of each utterance: from its frames where there are features, else from its audio."""
    counted, front_end = data.path / "utt2num_frames", data.path / "frontend.json"
    if counted.exists() and front_end.exists():
        shift = load_front_end(data.path).frame_shift_ms / 1000
        frames = _read_counts(counted)
        if data.utterances.keys() <= frames.keys():
            return {key: frames[key] * shift for key in data.utterances}
    secs = {}
    for key, utterance in data.utterances.items():
        info = audio_info(data.audio_path(utterance))
        start, end = segment_samples(info, utterance.start_secs, utterance.end_secs)
        secs[key] = (end - start) / info.sample_rate_hz
    return secs


def _read_counts(path: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for number, line in enumerate(read_lines(path), 1):
        key, _, count = line.partition(" ")
        if not key or not count.strip().isdecimal():
            raise FormatError(
                f"expected an utterance and its number of frames, found {line!r}",
                where=f"{path}:{number}",
                remedy="remove the file, or extract the features again",
            )
        counts[key] = int(count)
    return counts
