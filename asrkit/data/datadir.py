"""A Kaldi data directory as typed, checked tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from asrkit.core.archives import ArchiveReader, read_scp, resolve
from asrkit.core.errors import DataError
from asrkit.core.files import read_lines, write_lines


@dataclass(frozen=True)
class Utterance:
    """One utterance: a stretch of a recording, who speaks, and what is said.

    Attributes
    ----------
    utterance_id : str
        Unique key; sorts with its speaker as prefix where the corpus allows.
    recording_id : str
        Key into ``wav.scp``; equals ``utterance_id`` when there are no segments.
    speaker : str
        Speaker id.
    words : tuple of str or None
        The transcript; None where the directory has no ``text``.
    start_secs, end_secs : float or None
        Stretch of the recording; None for the whole of it.
    """

    utterance_id: str
    recording_id: str
    speaker: str
    words: tuple[str, ...] | None = None
    start_secs: float | None = None
    end_secs: float | None = None


@dataclass(frozen=True)
class DataDir:
    """The utterances of a data directory, in the C-locale order of their ids, and where their audio is.

    Attributes
    ----------
    path : Path
        The directory.
    utterances : dict of str to Utterance
        Sorted by key.
    recordings : dict of str to str
        recording_id -> path of the audio file, as written in ``wav.scp``.
    """

    path: Path
    utterances: dict[str, Utterance]
    recordings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | str) -> DataDir:
        """Read ``wav.scp``, ``utt2spk`` and, where present, ``text`` and ``segments``.

        Raises
        ------
        DataError, FormatError
            A table is absent or damaged, or an id of one is missing in another. `asrkit validate` finds all
            such faults at once; this stops at the first.
        """
        path = Path(path)
        if not path.is_dir():
            raise DataError("no such data directory", where=path, remedy="make one with `asrkit prepare`")
        recordings = read_scp(path / "wav.scp")
        speakers = read_scp(path / "utt2spk")
        if not speakers:
            raise DataError("no utterances", where=path / "utt2spk", remedy="make the data directory again")
        texts = read_text(path / "text") if (path / "text").exists() else None
        segments = read_segments(path / "segments") if (path / "segments").exists() else None
        for name, table in (("text", texts), ("segments", segments)):
            for key in sorted((table or {}).keys() - speakers.keys()):
                raise _missing(key, name, "utt2spk", path)
        utterances: dict[str, Utterance] = {}
        for key in sorted(speakers):
            if texts is not None and key not in texts:
                raise _missing(key, "utt2spk", "text", path)
            recording, start, end = key, None, None
            if segments is not None:
                if key not in segments:
                    raise _missing(key, "utt2spk", "segments", path)
                recording, start, end = segments[key]
            if recording not in recordings:
                raise _missing(recording, "segments" if segments is not None else "utt2spk", "wav.scp", path)
            words = None if texts is None else texts[key]
            utterances[key] = Utterance(key, recording, speakers[key], words, start, end)
        return cls(path, utterances, recordings)

    def save(self) -> None:
        """Write the tables under ``self.path``, each whole; ``segments`` and ``text`` go where there are none."""
        utterances = [self.utterances[key] for key in sorted(self.utterances)]
        write_lines(self.path / "wav.scp", (f"{k} {v}" for k, v in sorted(self.recordings.items())))
        if any(u.start_secs is not None for u in utterances):
            write_lines(self.path / "segments", map(_segment_line, utterances))
        else:
            (self.path / "segments").unlink(missing_ok=True)
        if all(u.words is not None for u in utterances):
            save_text(self.path / "text", {u.utterance_id: u.words or () for u in utterances})
        else:
            (self.path / "text").unlink(missing_ok=True)
        write_lines(self.path / "spk2utt", (f"{s} {' '.join(us)}" for s, us in sorted(self.by_speaker().items())))
        write_lines(self.path / "utt2spk", (f"{u.utterance_id} {u.speaker}" for u in utterances))

    def by_speaker(self) -> dict[str, list[str]]:
        """Return speaker -> sorted utterance ids (Kaldi's ``spk2utt``)."""
        table: dict[str, list[str]] = {}
        for key in sorted(self.utterances):
            table.setdefault(self.utterances[key].speaker, []).append(key)
        return table

    def subset(self, keep: Iterable[str], path: Path | str) -> DataDir:
        """Return the directory restricted to utterance ids ``keep``, to be saved under another path."""
        kept = {key: self.utterances[key] for key in sorted(keep)}
        used = {u.recording_id for u in kept.values()}
        return DataDir(Path(path), kept, {k: v for k, v in self.recordings.items() if k in used})

    def audio_path(self, utterance: Utterance) -> Path:
        """Return the audio file of an utterance (a relative path is looked up from here, then from the directory)."""
        return resolve(self.recordings[utterance.recording_id], self.path)

    def features(self, name: str = "feats") -> ArchiveReader:
        """Open ``NAME.scp``; see `asrkit extract`."""
        scp = self.path / f"{name}.scp"
        if not scp.exists():
            raise DataError(f"no {name}.scp", where=self.path, remedy=f"run `asrkit extract {self.path}`")
        return ArchiveReader(scp)


def read_text(path: Path | str) -> dict[str, tuple[str, ...]]:
    """Read ``text``: utterance_id -> words; an id alone is an empty transcript. A repeated id is a DataError."""
    table: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split()
        if not fields or fields[0] in table:
            what = f"duplicate utterance {fields[0]!r}" if fields else "empty line"
            raise DataError(what, where=f"{path}:{number}", remedy="run `asrkit validate --fix`")
        table[fields[0]] = tuple(fields[1:])
    return table


def read_segments(path: Path | str) -> dict[str, tuple[str, float, float | None]]:
    """Read ``segments``: utterance_id -> (recording_id, start_secs, end_secs); an end of -1 becomes None."""
    table: dict[str, tuple[str, float, float | None]] = {}
    for number, line in enumerate(read_lines(path), 1):
        try:
            key, recording, start, end = line.split()
            table[key] = (recording, float(start), None if float(end) < 0 else float(end))
        except ValueError:
            raise DataError(
                f"expected 'utterance recording start end', found {line!r}", where=f"{path}:{number}"
            ) from None
    return table


def save_text(path: Path | str, table: Mapping[str, Iterable[str]]) -> None:
    """Write ``text`` (or hypotheses), sorted by utterance id."""
    write_lines(path, (f"{key} {' '.join(words)}".rstrip() for key, words in sorted(table.items())))


def _segment_line(utterance: Utterance) -> str:
    end = -1 if utterance.end_secs is None else utterance.end_secs
    return f"{utterance.utterance_id} {utterance.recording_id} {utterance.start_secs or 0:.3f} {end:.3f}"


def _missing(key: str, here: str, there: str, path: Path) -> DataError:
    return DataError(
        f"{key!r} is in {here} and not in {there}", where=path, remedy=f"run `asrkit validate {path} --fix`"
    )
