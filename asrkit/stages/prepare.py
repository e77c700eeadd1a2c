"""Stage: a corpus as published becomes data directories."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asrkit.core.errors import AsrkitError, DataError, FormatError
from asrkit.core.files import read_json, write_lines
from asrkit.core.jobs import chunks, map_in_order
from asrkit.data.audio import AudioInfo, audio_info, segment_samples
from asrkit.data.corpora import an4, folder, fsdd, librispeech, timit, yesno
from asrkit.data.corpora.corpus import Corpus, CorpusConfig, Entry, cut_speakers, speaker_list, write_part
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_failures, log, run_stage

READERS: Mapping[str, Callable[[Path, Any], Corpus]] = {
    "yesno": yesno.read,
    "fsdd": fsdd.read,
    "an4": an4.read,
    "librispeech": librispeech.read,
    "timit": timit.read,
    "folder": folder.read,
}

_CHUNK = 256


@dataclass(frozen=True)
class _Request:
    """What decides the result beside the label files; compared with the last run's."""

    corpus: CorpusConfig
    source: str
    audio: str


def prepare(name: str, src: Path, out: Path, config: CorpusConfig, options: RunOptions) -> StageReport:
    """Read the corpus ``name`` (a key of ``READERS``) at ``src`` and write its parts as data directories in ``out``.

    Writes ``out/PART/{wav.scp,utt2spk,spk2utt}`` and, where the corpus has them, ``text``, ``segments``,
    ``spk2gender``, ``phones.ali``, ``text_phones`` and ``out/local/lexicon.txt``. No audio is copied: ``wav.scp`` holds
    absolute paths. Files of an earlier run that this one does not make are removed. Utterances without a transcript,
    without words, or with audio that cannot be read as one channel are failures.

    Raises
    ------
    DataError, FormatError, ConfigError
        The corpus is not at ``src``, a label file is damaged, or a speaker is unknown.
    TooManyFailedError
        More than ``options.max_failed`` of the utterances failed.
    """
    src = Path(os.path.abspath(src))
    corpus = READERS[name](src, config)
    dev_speakers = speaker_list(config.dev_speakers)
    if dev_speakers:
        corpus = replace(corpus, parts=cut_speakers(corpus.parts, dev_speakers, "dev", "--dev-speakers"))
    outputs = [out / part / table for part, entries in corpus.parts.items() for table in _tables(entries)]
    if corpus.lexicon:
        outputs.append(out / "local" / "lexicon.txt")
    request = _Request(replace(config, dev_speakers=dev_speakers), str(src), _listing(corpus))
    stage = f"prepare {name}"
    return run_stage(
        stage,
        out,
        corpus.labels,
        request,
        outputs,
        options,
        lambda: _write(corpus, out, outputs, stage, options),
        uses_seed=False,
        sealed=False,
    )


def _write(corpus: Corpus, out: Path, outputs: Sequence[Path], stage: str, options: RunOptions) -> StageResult:
    infos, unreadable = _probe(corpus, options)
    failures = [Failure(*item) for item in corpus.failures.items()]
    kept: dict[str, list[Entry]] = {}
    for part, entries in corpus.parts.items():
        kept[part] = []
        for entry in entries:
            reason = unreadable.get(entry.audio) or _fault(entry, infos[entry.audio])
            if reason is None:
                kept[part].append(entry)
            else:
                failures.append(Failure(entry.utterance.utterance_id, reason))
    total = len(failures) + sum(map(len, kept.values()))
    check_failures(failures, total, options, out)
    for part, entries in kept.items():
        if not entries:
            raise DataError(f"no utterance left for {part}", where=out, remedy="see the failures above")
    _remove_earlier(out, stage, outputs)
    for part, entries in kept.items():
        write_part(out / part, entries, infos)
    if corpus.lexicon:
        write_lines(out / "local" / "lexicon.txt", corpus.lexicon)
    parts = {part: _count(entries, infos) for part, entries in kept.items()}
    figures: dict[str, Any] = {
        "utterances": sum(counts["utterances"] for counts in parts.values()),
        "speakers": len({entry.utterance.speaker for entries in kept.values() for entry in entries}),
        "hours": round(sum(counts["hours"] for counts in parts.values()), 4),
        "parts": parts,
        "absent": list(corpus.absent),
    }
    lines = [
        f"{part}: {counts['utterances']} utterances, {counts['speakers']} speakers, {counts['hours']:.2f} h, "
        f"{' and '.join(map(str, counts['sample_rates_hz']))} Hz"
        for part, counts in parts.items()
    ]
    lines += [f"absent: {what}" for what in corpus.absent]
    return StageResult(figures, tuple(failures), tuple(lines))


def _fault(entry: Entry, info: AudioInfo) -> str | None:
    """Say what is wrong with an utterance whose recording can be read."""
    if entry.utterance.words == ():
        return "empty transcript"
    try:
        segment_samples(info, entry.utterance.start_secs, entry.utterance.end_secs)
    except DataError as error:
        return str(error)
    return None


def _probe(corpus: Corpus, options: RunOptions) -> tuple[dict[Path, AudioInfo], dict[Path, str]]:
    """Read the header of every recording: what it holds, or why it cannot be used."""
    paths = sorted({entry.audio for entries in corpus.parts.values() for entry in entries})
    pieces = chunks(paths, _CHUNK)
    results = options.progress(
        map_in_order(_probe_chunk, pieces, options.num_jobs, "threads"), total=len(pieces), label="audio headers"
    )
    infos: dict[Path, AudioInfo] = {}
    unreadable: dict[Path, str] = {}
    for path, result in zip(paths, (result for piece in results for result in piece), strict=True):
        if isinstance(result, str):
            unreadable[path] = result
        else:
            infos[path] = result
    return infos, unreadable


def _probe_chunk(paths: Sequence[Path]) -> list[AudioInfo | str]:
    results: list[AudioInfo | str] = []
    for path in paths:
        try:
            info = audio_info(path)
        except AsrkitError as error:
            results.append(str(error))
            continue
        if info.num_channels != 1:
            results.append(
                f"{path}: {info.num_channels} channels found, expected one (mix them with `sox IN OUT remix -`)"
            )
        elif "\n" in str(path) or "\r" in str(path):
            results.append(f"{path!s}: a line break in the path cannot stand in wav.scp (rename it)")
        else:
            results.append(info)
    return results


def _count(entries: Sequence[Entry], infos: Mapping[Path, AudioInfo]) -> dict[str, Any]:
    secs = 0.0
    for entry in entries:
        info = infos[entry.audio]
        start, end = segment_samples(info, entry.utterance.start_secs, entry.utterance.end_secs)
        secs += (end - start) / info.sample_rate_hz
    return {
        "utterances": len(entries),
        "speakers": len({entry.utterance.speaker for entry in entries}),
        "hours": round(secs / 3600, 4),
        "sample_rates_hz": sorted({infos[entry.audio].sample_rate_hz for entry in entries}),
    }


def _tables(entries: Sequence[Entry]) -> list[str]:
    names = ["wav.scp", "utt2spk", "spk2utt"]
    if any(entry.utterance.words is not None for entry in entries):
        names.append("text")
    if any(entry.utterance.start_secs is not None or entry.utterance.end_secs is not None for entry in entries):
        names.append("segments")
    if any(entry.gender is not None for entry in entries):
        names.append("spk2gender")
    if any(entry.phones is not None for entry in entries):
        names += ["phones.ali", "text_phones"]
    return names


def _listing(corpus: Corpus) -> str:
    """Sum up which recordings there are; their bytes are not hashed, which for 1,000 h would take an hour."""
    digest = hashlib.sha256()
    count = 0
    for part, entries in sorted(corpus.parts.items()):
        for entry in entries:
            stat = entry.audio.stat() if entry.audio.exists() else None
            size, time = (stat.st_size, stat.st_mtime_ns) if stat else (-1, -1)
            digest.update(f"{part}\0{entry.audio}\0{size}\0{time}\n".encode())
            count += 1
    for name, reason in sorted(corpus.failures.items()):
        digest.update(f"{name}\0{reason}\n".encode())
    return f"{count} recordings, {digest.hexdigest()[:16]}"


def _remove_earlier(out: Path, stage: str, outputs: Sequence[Path]) -> None:
    """Remove the tables an earlier run made here and this one does not, lest a stale dev set stays in use."""
    try:
        earlier = read_json(out / "stage.json")[stage]["outputs"]
    except (FormatError, KeyError, TypeError):
        return
    for name in sorted({*earlier} - {os.path.abspath(path) for path in outputs}):
        path = Path(name)
        if path.is_file() and Path(os.path.abspath(out)) in path.parents:
            log.info("removing %s, which an earlier run made", path)
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
