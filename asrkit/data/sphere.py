"""The header of a NIST SPHERE file (``.sph``, and the ``.wav`` of TIMIT): where its samples are and how they are coded.

Source: NIST SPHERE 2.6a, file ``doc/header.doc``. Only the header is read here; the samples are then plain
headerless audio, which `asrkit.data.audio` reads like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from asrkit.core.errors import DataError

MAGIC = b"NIST_1A"
_MAX_HEADER_BYTES = 1 << 20

Coding = Literal["PCM_16", "ULAW", "ALAW"]

_CODINGS: dict[str, Coding] = {
    "pcm": "PCM_16",
    "ulaw": "ULAW",
    "mu-law": "ULAW",
    "alaw": "ALAW",
    "a-law": "ALAW",
}


@dataclass(frozen=True)
class SphereHeader:
    """How the samples of a SPHERE file are stored.

    Attributes
    ----------
    header_bytes : int
        Offset of the first sample in the file.
    sample_rate_hz, num_samples, num_channels : int
        ``num_samples`` is per channel.
    coding : {'PCM_16', 'ULAW', 'ALAW'}
        Two bytes a sample for PCM_16, else one.
    endian : {'LITTLE', 'BIG'}
        Byte order of PCM_16.
    """

    header_bytes: int
    sample_rate_hz: int
    num_samples: int
    num_channels: int
    coding: Coding
    endian: Literal["LITTLE", "BIG"]

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.num_channels * (2 if self.coding == "PCM_16" else 1)


def read_sphere_header(path: Path | str) -> SphereHeader:
    """Read and check the header of a SPHERE file.

    Raises
    ------
    DataError
        The header is damaged, the samples are compressed (shorten, wavpack) or coded in a way that is not
        read here, or the file ends before the samples that the header announces.
    """
    path = Path(path)
    with path.open("rb") as handle:
        first = handle.read(16)
        size = first[8:].strip()
        if not first.startswith(MAGIC + b"\n") or not size.isdigit() or not 16 < int(size) <= _MAX_HEADER_BYTES:
            raise DataError(f"damaged SPHERE header: it begins {first!r}", where=path, remedy="copy the file again")
        header_bytes = int(size)
        fields = _fields(handle.read(header_bytes - 16), path)
        start = handle.read(4)
    coding = str(fields.get("sample_coding", "pcm")).lower()
    if "," in coding or start == b"ajkg":
        raise DataError(
            f"SPHERE samples are compressed (sample_coding {coding})",
            where=path,
            remedy="uncompress it: `sph2pipe -f wav IN.sph OUT.wav`, or `sox IN.sph OUT.wav`",
        )
    header = _header(fields, header_bytes, coding, path)
    return _with_length(header, fields.get("sample_count"), path)


def _header(fields: dict[str, str | int], header_bytes: int, coding: str, path: Path) -> SphereHeader:
    num_channels = _positive(fields, "channel_count", path, default=1)
    num_bytes = _positive(fields, "sample_n_bytes", path, default=2 if coding == "pcm" else 1)
    order = str(fields.get("sample_byte_format", "01"))
    stored = _CODINGS.get(coding)
    expected_bytes = 2 if stored == "PCM_16" else 1
    if stored is None or num_bytes != expected_bytes or (stored == "PCM_16" and order not in ("01", "10")):
        raise DataError(
            f"SPHERE samples are {coding}, {num_bytes} bytes each, byte order {order}; "
            "expected 16-bit pcm (01 or 10), ulaw or alaw",
            where=path,
            remedy="convert it with sph2pipe or sox to 16-bit WAV",
        )
    if num_channels > 1 and str(fields.get("channels_interleaved", "TRUE")).upper() == "FALSE":
        raise DataError("SPHERE channels are not interleaved", where=path, remedy="convert it with sox to WAV")
    rate = _positive(fields, "sample_rate", path)
    return SphereHeader(header_bytes, rate, 0, num_channels, stored, "BIG" if order == "10" else "LITTLE")


def _with_length(header: SphereHeader, announced: str | int | None, path: Path) -> SphereHeader:
    """Set ``num_samples``: what the header announces, or where it does not, what the file holds."""
    found = max(0, path.stat().st_size - header.header_bytes) // header.frame_bytes
    num_samples = found if announced is None else announced
    if not isinstance(num_samples, int) or num_samples < 0:
        raise DataError(f"damaged SPHERE header: sample_count is {announced!r}", where=path)
    if found < num_samples:
        raise DataError(
            f"truncated SPHERE file: {found} samples found, its header announces {num_samples}",
            where=path,
            remedy="copy the file again from its source",
        )
    return replace(header, num_samples=num_samples)


def _fields(body: bytes, path: Path) -> dict[str, str | int]:
    """Parse ``name -i 12``, ``name -r 1.5`` and ``name -s3 abc`` lines up to ``end_head``."""
    fields: dict[str, str | int] = {}
    for line in body.decode("latin-1").split("\n"):
        if line.strip() == "end_head":
            return fields
        parts = line.strip().split(None, 2)
        if len(parts) < 3 or line.startswith(";"):
            continue
        name, kind, value = parts
        if kind == "-i":
            try:
                fields[name] = int(value)
            except ValueError:
                raise DataError(f"damaged SPHERE header: {line.strip()!r}", where=path) from None
        else:
            fields[name] = value.strip()
    raise DataError("damaged SPHERE header: no end_head", where=path, remedy="copy the file again")


def _positive(fields: dict[str, str | int], name: str, path: Path, default: int | None = None) -> int:
    value = fields.get(name, default)
    if isinstance(value, str) and value.isdigit():  # libsndfile writes `sample_n_bytes -s1 1`
        value = int(value)
    if not isinstance(value, int) or value <= 0:
        raise DataError(f"damaged SPHERE header: {name} is {value!r}, expected a positive integer", where=path)
    return value
