"""Miniature corpora laid out as their publishers lay them out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def samples(count: int = 1600) -> NDArray[np.int16]:
    """A smooth tone, so that its byte order can be told as with speech."""
    return (8000 * np.sin(np.arange(count) / 20)).astype(np.int16)


def wav(path: Path, count: int = 1600, rate: int = 16000) -> Path:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), samples(count), rate, format="FLAC" if path.suffix == ".flac" else "WAV")
    return path


def sphere(path: Path, count: int = 1600, coding: str = "pcm", order: str = "01", body: bytes | None = None) -> Path:
    """Write a SPHERE file with a header like TIMIT's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = [
        "NIST_1A",
        "   1024",
        "database_id -s5 TIMIT",
        "channel_count -i 1",
        f"sample_count -i {count}",
        "sample_rate -i 16000",
        "sample_n_bytes -i 2",
        f"sample_byte_format -s2 {order}",
        "sample_sig_bits -i 16",
        f"sample_coding -s{len(coding)} {coding}",
        "end_head",
    ]
    header = ("\n".join(fields) + "\n").encode().ljust(1024)
    if body is None:
        body = samples(count).astype("<i2" if order == "01" else ">i2").tobytes()
    path.write_bytes(header + body)
    return path


def raw(path: Path, kind: str = ">i2", count: int = 1600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(samples(count).astype(kind).tobytes())
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())
    return path


def table(path: Path) -> dict[str, str]:
    """Read a table of a data directory."""
    return dict(line.partition(" ")[::2] for line in path.read_text(encoding="utf-8").splitlines())
