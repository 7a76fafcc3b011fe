"""WFDB's signal storage formats: bytes to samples, pure.

Source: WFDB Applications Guide, signal(5). Each packed format stores samples in groups of a
fixed size, so a block can be decoded from any group on without what comes before; only the
differences of format 8 need the sum of all that went before, which its reader keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Raw: TypeAlias = NDArray[np.uint8]
Decoded: TypeAlias = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Packing:
    """How a format lays samples into bytes."""

    group_samples: int
    group_bytes: int
    decode: Callable[[Raw], Decoded]
    """Whole groups, shape (groups * group_bytes,), to (groups * group_samples,)."""
    rest_samples: tuple[int, ...]
    """Samples that the first k bytes of a group hold, k = 0 … group_bytes - 1."""
    invalid: int | None
    """The value that means "no sample here"."""

    def samples_in(self, size: int) -> int:
        """How many whole samples ``size`` bytes hold."""
        groups, rest = divmod(size, self.group_bytes)
        return groups * self.group_samples + self.rest_samples[rest]


def _of(dtype: str, shift: int = 0) -> Callable[[Raw], Decoded]:
    def decode(raw: Raw) -> Decoded:
        return raw.view(dtype).astype(np.int32) - np.int32(shift)

    return decode


def _signed(values: Decoded, bits: int) -> Decoded:
    """Two's complement of the lowest ``bits`` bits."""
    half = np.int32(1 << (bits - 1))
    return ((values & np.int32((1 << bits) - 1)) ^ half) - half


def _decode_24(raw: Raw) -> Decoded:
    padded = np.zeros((len(raw) // 3, 4), np.uint8)
    padded[:, 1:] = raw.reshape(-1, 3)
    return padded.view("<i4")[:, 0].astype(np.int32) >> 8


def _decode_212(raw: Raw) -> Decoded:
    low, middle, high = raw.reshape(-1, 3).astype(np.int32).T
    first = low | (middle & 0x0F) << 8
    second = high | (middle & 0xF0) << 4
    return _signed(np.stack([first, second], axis=1).ravel(), 12)


def _decode_310(raw: Raw) -> Decoded:
    words = raw.view("<u2").astype(np.int32).reshape(-1, 2)
    low, high = words[:, 0], words[:, 1]
    third = low >> 11 | (high >> 11) << 5
    return _signed(np.stack([low >> 1, high >> 1, third], axis=1).ravel(), 10)


def _decode_311(raw: Raw) -> Decoded:
    words = raw.view("<i4").astype(np.int32)
    return _signed(np.stack([words, words >> 10, words >> 20], axis=1).ravel(), 10)


PACKINGS: dict[int, Packing] = {
    8: Packing(1, 1, _of("i1"), (0,), None),
    16: Packing(1, 2, _of("<i2"), (0, 0), -(1 << 15)),
    24: Packing(1, 3, _decode_24, (0, 0, 0), -(1 << 23)),
    32: Packing(1, 4, _of("<i4"), (0, 0, 0, 0), -(1 << 31)),
    61: Packing(1, 2, _of(">i2"), (0, 0), -(1 << 15)),
    80: Packing(1, 1, _of("u1", 128), (0,), -(1 << 7)),
    160: Packing(1, 2, _of("<u2", 32768), (0, 0), -(1 << 15)),
    212: Packing(2, 3, _decode_212, (0, 0, 1), -(1 << 11)),
    310: Packing(3, 4, _decode_310, (0, 0, 1, 1), -(1 << 9)),
    311: Packing(3, 4, _decode_311, (0, 0, 1, 2), -(1 << 9)),
}
"""Every uncompressed format."""

FLAC_INVALID: dict[int, int] = {508: -(1 << 7), 516: -(1 << 15), 524: -(1 << 23)}
"""The FLAC formats and the value that means "no sample here"."""


def decode(packing: Packing, raw: bytes, skip: int, count: int) -> Decoded:
    """``count`` samples after the first ``skip`` (< group_samples) of ``raw``.

    ``raw`` begins at a group's border; a last group that is cut short is completed with zeros,
    so the caller asks for no more samples than ``samples_in`` says.
    """
    short = -len(raw) % packing.group_bytes
    padded = np.frombuffer(raw + bytes(short), np.uint8)
    return packing.decode(padded)[skip : skip + count]


def invalid_value(fmt: int) -> int | None:
    """The value that means "no sample here" in a format, None where it has none."""
    return FLAC_INVALID[fmt] if fmt in FLAC_INVALID else PACKINGS[fmt].invalid
