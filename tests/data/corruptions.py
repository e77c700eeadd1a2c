"""Ways to spoil a valid data directory, one for each thing that `asrkit validate` must find, and what to expect."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asrkit.core.archives import ArchiveReader, ArchiveWriter
from tests.factories import make_samples, write_wav

Spoil = Callable[[Path, str], None]


@dataclass(frozen=True)
class Corruption:
    """``spoil(path, utterance_id)`` makes ``validate`` find ``kind``; ``mended`` says whether ``--fix`` mends it.

    ``made`` are arguments of `make_data_dir` that it needs; ``removes`` says that the utterance goes.
    """

    kind: str
    spoil: Spoil
    mended: bool = False
    removes: bool = False
    made: dict[str, Any] = field(default_factory=dict)


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change a file as a list of lines; a UnicodeError where an earlier change left it in UTF-16."""
    text = path.read_text(encoding="utf-8")
    if text[1:2] == "\0" or text[:1] == "\0":
        raise UnicodeError(f"{path} is UTF-16")
    lines = text.split("\n")[:-1]
    path.write_text("".join(f"{line}\n" for line in change(lines)), encoding="utf-8")


def edit_line(path: Path, key: str, change: Callable[[str], str]) -> None:
    """Change the lines of one id; an empty result deletes a line."""
    edit(path, lambda lines: [new for line in lines if (new := change(line) if line.split()[0] == key else line)])


def edit_bytes(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change a file as bytes."""
    path.write_bytes(change(path.read_bytes()))


def in_file(name: str, change: Callable[[list[str]], list[str]]) -> Spoil:
    """Change the lines of a file."""
    return lambda path, key: edit(path / name, change)


def in_line(name: str, change: Callable[[str], str]) -> Spoil:
    """Change the utterance's line of a file."""
    return lambda path, key: edit_line(path / name, key, change)


def in_bytes(name: str, change: Callable[[bytes], bytes]) -> Spoil:
    """Change the bytes of a file."""
    return lambda path, key: edit_bytes(path / name, change)


def wav_of(path: Path, key: str) -> Path:
    """Return the utterance's audio file in a directory without segments."""
    return path / "wav" / f"{key}.wav"


def audio(num_samples: int, change: Callable[[Any], Any] = lambda samples: samples, rate: int = 8000) -> Spoil:
    """Replace the utterance's audio by changed noise."""
    return lambda path, key: void(write_wav(wav_of(path, key), change(make_samples(num_samples)), rate))


def void(_: object) -> None:
    """Forget a value."""


def set_segment(start: str | None = None, end: str | None = None) -> Spoil:
    """Change the times of the utterance's segment."""

    def change(line: str) -> str:
        fields = line.split()
        return " ".join([*fields[:2], start or fields[2], end or fields[3]])

    return in_line("segments", change)


def last_of_recording(spoil: Callable[[float], Spoil]) -> Spoil:
    """Spoil with the end of the utterance's recording in seconds."""
    import soundfile

    def apply(path: Path, key: str) -> None:
        info = soundfile.info(str(path / "wav" / f"{key.split('-')[0]}-rec.wav"))
        spoil(info.duration)(path, key)

    return apply


def rewrite_features(change: Callable[[Any], Any], name: str = "feats") -> Spoil:
    """Change the matrix of the utterance (or of its speaker) in an archive."""

    def apply(path: Path, key: str) -> None:
        wanted = key if name == "feats" else key.split("-")[0]
        matrices = {k: np.array(m) for k, m in ArchiveReader(path / f"{name}.scp").items()}
        with ArchiveWriter(path, name) as writer:
            for k, matrix in matrices.items():
                writer.write(k, change(matrix) if k == wanted else matrix)

    return apply


def with_nan(matrix: Any) -> Any:
    """Put a NaN into the third row."""
    matrix[2, 1] = np.nan
    return matrix


def composed_and_decomposed(path: Path, key: str) -> None:
    """Write one word composed in one transcript and decomposed in all others."""
    edit(path / "text", lambda lines: [f"{line} {unicodedata.normalize('NFD', 'née')}" for line in lines])
    edit_line(path / "text", key, lambda line: unicodedata.normalize("NFC", line))


def rename_everywhere(new_speaker: str) -> Spoil:
    """Give the utterance a speaker that its id does not begin with, consistently."""

    def apply(path: Path, key: str) -> None:
        edit_line(path / "utt2spk", key, lambda line: f"{key} {new_speaker}")
        old = key.split("-")[0]
        edit_line(path / "spk2utt", old, lambda line: " ".join(f for f in line.split() if f != key))
        edit(path / "spk2utt", lambda lines: sorted([*lines, f"{new_speaker} {key}"]))

    return apply


def remove(name: str) -> Spoil:
    """Delete a file."""
    return lambda path, key: (path / name).unlink()


SEGMENTS = {"segments": True}
FEATURES = {"features": True}

CORRUPTIONS: dict[str, Corruption] = {
    # the files as text
    "utt2spk-missing": Corruption("missing-table", remove("utt2spk")),
    "wav.scp-missing": Corruption("missing-table", remove("wav.scp")),
    "spk2utt-missing": Corruption("missing-table", remove("spk2utt"), mended=True),
    "text-missing": Corruption("no-text", remove("text")),
    "text-empty": Corruption("empty-table", in_bytes("text", lambda raw: b"")),
    "latin-1": Corruption("encoding", in_bytes("text", lambda raw: raw.replace(b"two", b"n\xe9e")), mended=True),
    "cp1252": Corruption("encoding", in_bytes("text", lambda raw: raw.replace(b"two", b"it\x92s")), mended=True),
    "utf-16": Corruption("encoding", in_bytes("text", lambda raw: raw.decode().encode("utf-16")), mended=True),
    "utf-16-le": Corruption("encoding", in_bytes("utt2spk", lambda raw: raw.decode().encode("utf-16-le")), mended=True),
    "bom": Corruption("byte-order-mark", in_bytes("text", lambda raw: b"\xef\xbb\xbf" + raw), mended=True),
    "crlf": Corruption("line-ends", in_bytes("utt2spk", lambda raw: raw.replace(b"\n", b"\r\n")), mended=True),
    "cr": Corruption("line-ends", in_bytes("text", lambda raw: raw.replace(b"\n", b"\r")), mended=True),
    "nul": Corruption("control-character", in_line("text", lambda line: f"{line} a\0b")),
    "blank": Corruption("blank-line", in_file("wav.scp", lambda lines: [*lines[:1], "", *lines[1:]]), mended=True),
    "trailing": Corruption("white-space", in_line("utt2spk", lambda line: f"{line}  "), mended=True),
    "leading": Corruption("white-space", in_line("text", lambda line: f" {line}"), mended=True),
    "double": Corruption("white-space", in_line("text", lambda line: f"{line}  six"), mended=True),
    "tab": Corruption("white-space", in_line("wav.scp", lambda line: line.replace(" ", "\t", 1)), mended=True),
    "no-break-space": Corruption("odd-space", in_line("text", lambda line: f"{line}\u00a0one"), mended=True),
    "zero-width": Corruption("odd-space", in_line("text", lambda line: f"{line}\u200b"), mended=True),
    "no-last-end": Corruption("last-line", in_bytes("text", lambda raw: raw[:-1]), mended=True),
    "extra-field": Corruption("bad-line", in_line("utt2spk", lambda line: f"{line} x")),
    "no-speaker": Corruption("bad-line", in_line("utt2spk", lambda line: line.split()[0])),
    "no-path": Corruption("bad-line", in_line("wav.scp", lambda line: line.split()[0])),
    "three-fields": Corruption("bad-line", in_line("segments", lambda line: line.rsplit(" ", 1)[0]), made=SEGMENTS),
    "no-number": Corruption("bad-line", set_segment(end="1.2s"), made=SEGMENTS),
    "frames-no-number": Corruption(
        "bad-line", in_line("utt2num_frames", lambda line: f"{line.split()[0]} many"), made=FEATURES
    ),
    "pipe": Corruption("pipe", in_line("wav.scp", lambda line: f"{line.split()[0]} sph2pipe -f wav a.sph |")),
    # ids
    "unsorted": Corruption("unsorted", in_file("utt2spk", lambda lines: lines[::-1]), mended=True),
    "unsorted-text": Corruption("unsorted", in_file("text", lambda lines: [*lines[1:], lines[0]]), mended=True),
    "locale-order": Corruption(  # the order of a locale that ignores case: a capital has to come first
        "unsorted", in_file("text", lambda lines: [lines[0], "spk1-Utt1 one", *lines[1:]]), mended=True
    ),
    "duplicate": Corruption(
        "duplicate", lambda path, key: edit_line(path / "text", key, lambda line: f"{line}\n{line}"), mended=True
    ),
    "conflict": Corruption(
        "conflict", lambda path, key: edit_line(path / "text", key, lambda line: f"{line}\n{line} six")
    ),
    "not-in-text": Corruption("missing-id", in_line("text", lambda line: ""), mended=True, removes=True),
    "not-in-wav": Corruption("missing-id", in_line("wav.scp", lambda line: ""), mended=True, removes=True),
    "not-in-utt2spk": Corruption("missing-id", in_line("utt2spk", lambda line: ""), mended=True, removes=True),
    "not-in-segments": Corruption(
        "missing-id", in_line("segments", lambda line: ""), mended=True, removes=True, made=SEGMENTS
    ),
    "id-in-other-case": Corruption(
        "missing-id", in_line("text", lambda line: line.replace("utt", "UTT")), mended=True, removes=True
    ),
    "only-in-text": Corruption("missing-id", in_file("text", lambda lines: [*lines, "zoe-1 one two"]), mended=True),
    "not-in-feats": Corruption(
        "missing-id",
        in_line("feats.scp", lambda line: ""),
        mended=True,
        removes=True,
        made={**FEATURES, "num_utterances": 12},
    ),
    "only-in-feats": Corruption(
        "unknown-id", in_file("feats.scp", lambda lines: [*lines, "zoe-1 x.ark:6"]), mended=True, made=FEATURES
    ),
    "half-of-feats": Corruption("stale-features", in_file("feats.scp", lambda lines: lines[::2]), made=FEATURES),
    "half-of-cmvn": Corruption("stale-features", in_file("cmvn.scp", lambda lines: lines[:1]), made=FEATURES),
    "speaker-only-in-cmvn": Corruption(
        "unknown-id", in_file("cmvn.scp", lambda lines: [*lines, "zoe x.ark:4"]), mended=True, made=FEATURES
    ),
    "speaker-without-warp": Corruption(
        "stale-features", lambda path, key: void((path / "spk2warp").write_text("spk1 1.04\n"))
    ),
    "implausible-warp": Corruption("bad-line", lambda path, key: void((path / "utt2warp").write_text(f"{key} 10.4\n"))),
    "unknown-recording": Corruption(
        "missing-recording",
        in_line("segments", lambda line: line.replace("-rec", "-other")),
        mended=True,
        removes=True,
        made=SEGMENTS,
    ),
    "unused-recording": Corruption(
        "unused-recording", in_file("wav.scp", lambda lines: [*lines, "zoe-rec wav/x.wav"]), mended=True, made=SEGMENTS
    ),
    "spk2utt-lacks": Corruption(
        "spk2utt", in_file("spk2utt", lambda lines: [lines[0].rsplit(" ", 1)[0], *lines[1:]]), mended=True
    ),
    "spk2utt-swapped": Corruption(
        "spk2utt", in_file("spk2utt", lambda lines: [*lines[:-1], f"{lines[-1]} spk1-utt1"]), mended=True
    ),
    "spk2utt-speaker": Corruption("spk2utt", in_file("spk2utt", lambda lines: lines[:-1]), mended=True),
    "single-utterance": Corruption("single-utterance", rename_everywhere("spk")),
    "speaker-prefix": Corruption("speaker-prefix", rename_everywhere("zoe")),
    # audio
    "missing-audio": Corruption(
        "missing-audio", lambda path, key: wav_of(path, key).unlink(), mended=True, removes=True
    ),
    "empty-audio": Corruption(
        "bad-audio", lambda path, key: void(wav_of(path, key).write_bytes(b"")), mended=True, removes=True
    ),
    "no-samples": Corruption("bad-audio", audio(0), mended=True, removes=True),
    "truncated-wav": Corruption(
        "bad-audio", lambda path, key: edit_bytes(wav_of(path, key), lambda raw: raw[:999]), mended=True, removes=True
    ),
    "truncated-flac": Corruption(
        "bad-audio",
        lambda path, key: edit_bytes(path / "wav" / f"{key}.flac", lambda raw: raw[: len(raw) // 2]),
        mended=True,
        removes=True,
        made={"suffix": ".flac"},
    ),
    "text-as-audio": Corruption(
        "bad-audio", lambda path, key: void(wav_of(path, key).write_text("hello")), mended=True, removes=True
    ),
    "same-audio": Corruption(
        "same-audio",
        lambda path, key: edit(
            path / "wav.scp",
            lambda lines: [f"{line.split()[0]} {lines[0].split(' ', 1)[1]}" for line in lines[:2]] + lines[2:],
        ),
    ),
    "other-rate": Corruption("sample-rate", audio(4000, rate=16000)),
    "two-channels": Corruption("channels", audio(4000, lambda samples: np.stack([samples, samples[::-1]], axis=1))),
    "few-samples": Corruption("too-short", audio(7), mended=True, removes=True),
    "short-segment": Corruption(
        "too-short", set_segment(start="0.1", end="0.12"), mended=True, removes=True, made=SEGMENTS
    ),
    "empty-segment": Corruption(
        "bad-segment", set_segment(start="0.3", end="0.3"), mended=True, removes=True, made=SEGMENTS
    ),
    "backward-segment": Corruption(
        "bad-segment", set_segment(start="0.3", end="0.1"), mended=True, removes=True, made=SEGMENTS
    ),
    "segment-outside": Corruption(
        "bad-segment", set_segment(start="100.1", end="101.5"), mended=True, removes=True, made=SEGMENTS
    ),
    "segment-far-out": Corruption(
        "bad-segment",
        last_of_recording(lambda secs: set_segment(end=f"{secs + 0.7}")),
        mended=True,
        removes=True,
        made=SEGMENTS,
    ),
    "segment-overhang": Corruption(
        "segment-overhang", last_of_recording(lambda secs: set_segment(end=f"{secs + 0.2}")), mended=True, made=SEGMENTS
    ),
    "negative-start": Corruption(
        "bad-segment", set_segment(start="-0.2", end="0.4"), mended=True, removes=True, made=SEGMENTS
    ),
    "zeros": Corruption("silent", audio(4000, lambda samples: samples * 0)),
    "constant": Corruption("silent", audio(4000, lambda samples: samples * 0 + 77)),
    "clipping": Corruption("clipping", audio(4000, lambda s: np.clip(s * 20.0, -32768, 32767).astype(np.int16))),
    "dc-offset": Corruption("dc-offset", audio(4000, lambda samples: samples + np.int16(900))),
    # transcripts
    "no-words": Corruption("empty-transcript", in_line("text", lambda line: line.split()[0])),
    "epsilon": Corruption("reserved-symbol", in_line("text", lambda line: f"{line} <eps>")),
    "sentence-start": Corruption("reserved-symbol", in_line("text", lambda line: line.replace(" ", " <s> ", 1))),
    "disambiguation": Corruption("reserved-symbol", in_line("text", lambda line: f"{line} #0")),
    "silence-word": Corruption("silence-word", in_line("text", lambda line: f"{line} !SIL")),
    "one-in-capitals": Corruption("mixed-case", in_line("text", lambda line: f"{line} Two two")),
    "shouting": Corruption("mixed-case", in_line("text", lambda line: f"{line.split()[0]} ALPHA BRAVO")),
    "nfc-and-nfd": Corruption("normalisation", composed_and_decomposed, mended=True),
    "novel": Corruption("too-much-text", in_line("text", lambda line: line + " seven" * 20)),
    # features
    "archive-gone": Corruption("bad-features", remove("feats.ark"), made=FEATURES),
    "archive-cut": Corruption("bad-features", in_bytes("feats.ark", lambda raw: raw[:-9]), made=FEATURES),
    "no-offset": Corruption("bad-features", in_line("feats.scp", lambda line: line.split(":")[0]), made=FEATURES),
    "frames-disagree": Corruption(
        "feature-frames", in_line("utt2num_frames", lambda line: f"{line.split()[0]} 17"), made=FEATURES
    ),
    "too-few-frames": Corruption("feature-frames", rewrite_features(lambda m: m[:30]), made=FEATURES),
    "other-duration": Corruption(
        "feature-frames", in_line("utt2dur", lambda line: f"{line.split()[0]} 9.25"), made=FEATURES
    ),
    "other-dimension": Corruption("feature-dimension", rewrite_features(lambda m: m[:, :4]), made=FEATURES),
    "cmvn-dimension": Corruption("feature-dimension", rewrite_features(lambda m: m[:, :4], "cmvn"), made=FEATURES),
    "nan": Corruption("feature-values", rewrite_features(with_nan), made=FEATURES),
    "infinity": Corruption("feature-values", rewrite_features(lambda m: m - np.float32(np.inf)), made=FEATURES),
    "cmvn-nan": Corruption("feature-values", rewrite_features(lambda m: m * np.nan, "cmvn"), made=FEATURES),
}
