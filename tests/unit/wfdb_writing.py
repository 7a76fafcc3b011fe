"""Writing WFDB records for tests, each format the plain way, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def packed(fmt: int, samples: Sequence[int]) -> bytes:
    """The bytes of samples in one of WFDB's uncompressed formats."""
    if fmt == 8:
        differences = [b - a for a, b in zip([0, *samples], samples, strict=False)]
        return bytes(d & 0xFF for d in differences)
    if fmt == 80:
        return bytes(s + 128 for s in samples)
    if fmt == 160:
        return b"".join((s + 32768).to_bytes(2, "little") for s in samples)
    if fmt == 61:
        return b"".join(s.to_bytes(2, "big", signed=True) for s in samples)
    if fmt in (16, 24, 32):
        return b"".join(s.to_bytes(fmt // 8, "little", signed=True) for s in samples)
    if fmt == 212:
        out = b""
        for i in range(0, len(samples), 2):
            a, b = (s & 0xFFF for s in (*samples[i : i + 2], 0)[:2])
            out += bytes([a & 0xFF, a >> 8 | b >> 8 << 4, b & 0xFF])
        return out[: len(out) - len(samples) % 2]
    out = b""
    for i in range(0, len(samples), 3):
        a, b, c = (s & 0x3FF for s in (*samples[i : i + 3], 0, 0)[:3])
        if fmt == 311:
            out += (a | b << 10 | c << 20).to_bytes(4, "little")
        else:
            low = a << 1 | (c & 0x1F) << 11
            high = b << 1 | (c >> 5) << 11
            out += low.to_bytes(2, "little") + high.to_bytes(2, "little")
    return out[:-2] if len(samples) % 3 == 1 else out


def write_record(
    folder: Path, name: str, header: str, files: dict[str, bytes] | None = None
) -> Path:
    """A header and its signal files; the record's path without extension."""
    (folder / f"{name}.hea").write_text(header)
    for file, data in (files or {}).items():
        (folder / file).write_bytes(data)
    return folder / name
