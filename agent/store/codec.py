"""Sample blocks to bytes and back, exact to the last bit.

Two codecs, named in every row of ``waves``:

``flac``
    A complete FLAC file (level 8), one channel per lead: blocks of a minute are as small as
    FLAC at level 5 over the whole recording, any FLAC decoder reads them, and every frame has
    a CRC. FLAC carries up to 8 leads of up to 24 bits.
``delta-zlib``
    First differences along time, int32 little endian, lead by lead, deflated: for the pieces
    of one second that wait to be folded into a block (FLAC's headers alone would be a third of
    them), and for whatever FLAC cannot carry.
"""

from __future__ import annotations

import io
import zlib
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from drivers.samples import Counts

FLAC_LEVEL = 8 / 8
"""Level 8 takes 2.5 ms for a minute of two leads, against 1.3 ms at level 5."""
FLAC_LEADS = 8
FLAC_RATE_LIMIT = 655_350
_INT16 = (-(2**15), 2**15 - 1)
_INT24 = (-(2**23), 2**23 - 1)


class Codec(StrEnum):
    """How a row's samples are packed."""

    FLAC = "flac"
    DELTA_ZLIB = "delta-zlib"


class CodecError(ValueError):
    """Bytes that do not unpack to the samples their row promises."""


def encode_piece(counts: Counts) -> bytes:
    """Pack ``counts``, shape (samples, leads), as ``delta-zlib``."""
    # Differences wrap around in 32 bits and the sum wraps back: exact over the whole range.
    deltas = np.diff(counts.astype(np.uint32), axis=0, prepend=np.uint32(0))
    return zlib.compress(np.ascontiguousarray(deltas.T, "<u4").tobytes(), 1)


def encode_block(counts: Counts, rate_hz: float) -> tuple[Codec, bytes]:
    """Pack ``counts``, shape (samples, leads), as small as it gets."""
    low, high = int(counts.min()), int(counts.max())
    if counts.shape[1] > FLAC_LEADS or low < _INT24[0] or high > _INT24[1]:
        return Codec.DELTA_ZLIB, encode_piece(counts)
    if low >= _INT16[0] and high <= _INT16[1]:
        return Codec.FLAC, _flac(counts.astype(np.int16), rate_hz, "PCM_16")
    return Codec.FLAC, _flac(counts << np.int32(8), rate_hz, "PCM_24")


def _flac(aligned: NDArray[np.int16] | NDArray[np.int32], rate_hz: float, subtype: str) -> bytes:
    import soundfile  # costs 0.1 s and is first needed a minute after the start

    packed = io.BytesIO()
    with soundfile.SoundFile(
        packed,
        "w",
        samplerate=min(max(round(rate_hz), 1), FLAC_RATE_LIMIT),
        channels=aligned.shape[1],
        format="FLAC",
        subtype=subtype,
        compression_level=FLAC_LEVEL,
    ) as file:
        file.write(aligned)
    return packed.getvalue()


def decode(codec: str, packed: bytes, count: int, leads: int) -> Counts:
    """Unpack to shape (count, leads).

    Raises:
        CodecError: an unknown codec, damaged bytes, or another number of samples or leads.
    """
    try:
        counts = _UNPACK[Codec(codec)](packed, count, leads)
    except (ValueError, RuntimeError, zlib.error) as error:
        raise CodecError(f"{len(packed)} bytes of {codec!r} do not unpack: {error}") from error
    if counts.shape != (count, leads):
        raise CodecError(f"{codec} gave {counts.shape} (samples, leads), not {(count, leads)}")
    return counts


def _inflate(packed: bytes, count: int, leads: int) -> Counts:
    # Bounded, so that damaged bytes cannot ask for more memory than their row promises.
    stream = zlib.decompressobj()
    raw = stream.decompress(packed, count * leads * 4 + 1)
    if not stream.eof:
        raise ValueError("they are cut short or hold more samples than promised")
    deltas = np.frombuffer(raw, "<u4").reshape(leads, count)
    return np.ascontiguousarray(np.cumsum(deltas, axis=1, dtype=np.uint32).T).astype(np.int32)


def _unflac(packed: bytes, count: int, leads: int) -> Counts:
    import soundfile

    with soundfile.SoundFile(io.BytesIO(packed)) as file:
        if (file.frames, file.channels) != (count, leads):
            raise ValueError(f"it holds {file.frames} samples of {file.channels} leads")
        shift = np.int32(16 if file.subtype == "PCM_16" else 8)
        aligned = file.read(dtype="int32", always_2d=True)
    return np.asarray(aligned, np.int32) >> shift


_UNPACK = {Codec.FLAC: _unflac, Codec.DELTA_ZLIB: _inflate}
