"""Philips IntelliVue: the wire's own values, big endian throughout. Sans-I/O.

Source: IntelliVue Data Export Interface Programming Guide, checked on a real capture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

TICK_NS: Final = 125_000
"""Relative times and periods count in 125 µs."""


class IntelliVueError(ValueError):
    """Bytes that are no IntelliVue message we can read; the text says which and why."""


class Reader:
    """Reads values one after another; raises :class:`IntelliVueError` at the end of the bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """So many bytes."""
        if count > self.left:
            raise IntelliVueError(f"{count} bytes wanted where {self.left} are left")
        self._at += count
        return self._data[self._at - count : self._at]

    def u8(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Two bytes."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """Four bytes."""
        return int.from_bytes(self.take(4), "big")

    def real(self) -> float:
        """A FLOAT: an exponent of 8 bits and a mantissa of 24; NaN where it is no number."""
        exponent = int.from_bytes(self.take(1), "big", signed=True)
        mantissa = int.from_bytes(self.take(3), "big", signed=True)
        match mantissa & 0xFFFFFF:
            case 0x7FFFFF | 0x800000:
                return math.nan
            case 0x7FFFFE:
                return math.inf
            case 0x800002:
                return -math.inf
        # A power of a positive integer is exact, so 950 × 10⁻¹ is 95.0 and not 95.00000000000001.
        return float(mantissa * 10**exponent if exponent >= 0 else mantissa / 10**-exponent)

    def text(self) -> str:
        """A counted string of UTF-16BE, closed by NUL."""
        return self.take(self.u16()).decode("utf-16-be", "replace").strip("\0 ")

    def listed(self) -> tuple[int, Reader]:
        """A list's count, and a reader of its bytes."""
        count = self.u16()
        return count, Reader(self.take(self.u16()))

    def attributes(self) -> Iterator[tuple[int, bytes]]:
        """A counted list of (id, value)."""
        count, entries = self.listed()
        for _ in range(count):
            name = entries.u16()
            yield name, entries.take(entries.u16())


def absolute_time(value: bytes) -> datetime | None:
    """BCD century, year, month, day, hour, minute, second; None where the monitor tells none.

    The monitor's local time, set by whoever set its clock; it bears UTC's zone for want of one.
    """
    digits = value[:7].hex()
    if len(digits) < 14 or not digits.isdecimal():
        return None
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
