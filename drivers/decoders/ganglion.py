"""OpenBCI Ganglion: notifications of 20 bytes in, numbered samples of four channels out. Sans-I/O.

Source: docs.openbci.com "Ganglion Data Format"; the counter's turn as OpenBCI's Python reader has
it. Byte 0 is the id. Firmware 3 sends values of 18 (id 0 to 99) or 19 bits (100 to 199).
Firmware 2 sends differences to the sample before (1 to 100, or 101 to 200) and, once a turn, one
whole sample (id 0): after a loss its level is unknown until then, and nothing is given out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.samples import Counts

SERVICE: Final = "0000fe84-0000-1000-8000-00805f9b34fb"
DATA: Final = "2d30c082-f39f-4ce6-923f-3484ea480596"
COMMAND: Final = "2d30c083-f39f-4ce6-923f-3484ea480596"
SOFTWARE: Final = "00002a28-0000-1000-8000-00805f9b34fb"
"""Software revision: it begins with the firmware's generation."""

RATE_HZ: Final = 200.0
CHANNELS: Final = 4
MICROVOLTS_PER_COUNT: Final = 1.2e6 / (8388607 * 1.5 * 51)
FULL_SCALE: Final = (-0x800000, 0x7FFFFF)
PACKET_BYTES: Final = 20
WHOLE_BYTES: Final = 1 + 3 * CHANNELS

STEPS: Final = 100
"""Compressed packets in a turn of the id."""
IMPEDANCE_IDS: Final = range(201, 206)
"""Of channels 1 to 4 and of the reference."""
TEXT_PART, TEXT_END = 206, 207
LONGEST_TEXT: Final = 1024

_NUMBERS: Final = np.arange(2 * STEPS + 1, dtype=np.uint8)
_NUMBERS.flags.writeable = False


@dataclass(frozen=True, slots=True)
class GanglionSamples:
    """Consecutive samples."""

    numbers: NDArray[np.uint8]
    """Each one more than the last modulo ``turn`` when none is lost, shape (n,)."""
    counts: Counts
    """Shape (n, 4)."""


@dataclass(frozen=True, slots=True)
class Impedance:
    """Of a channel, 1 to 4; 5 is the reference."""

    channel: int
    ohms: float


@dataclass(frozen=True, slots=True)
class Text:
    """What the board says to a command."""

    text: str


Item: TypeAlias = GanglionSamples | Impedance | Text


class GanglionDecoder:
    """Notifications of one firmware, 2 or 3, to what they hold. Never raises."""

    def __init__(self, firmware: int) -> None:
        self._deltas = firmware < 3
        self.turn = 2 * STEPS + (1 if self._deltas else 0)
        """Samples until the number begins anew."""
        self.damaged = 0
        """Notifications that are none of the board's."""
        self.unlevelled = 0
        """Good ones of which the level was not known."""
        self._level: list[int] | None = None
        self._next = 0
        self._text = ""

    @property
    def pending(self) -> int:
        """Characters kept of an unfinished text."""
        return len(self._text)

    def feed(self, data: bytes) -> Item | None:
        """Take one notification; None where it gives nothing yet."""
        if data and data[0] in IMPEDANCE_IDS:
            return self._impedance(data)
        if data and data[0] in (TEXT_PART, TEXT_END):
            return self._said(data)
        lowest = 1 if self._deltas else 0
        if self._deltas and len(data) >= WHOLE_BYTES and data[0] == 0:
            return self._whole(data)
        if len(data) == PACKET_BYTES and lowest <= data[0] < lowest + 2 * STEPS:
            turn, step = divmod(data[0] - lowest, STEPS)
            values = _unpacked(data, 18 + turn)
            if self._deltas:
                return self._changed(step, values)
            return self._samples(2 * step, [value << (6 - turn) for value in values])
        self.damaged += 1
        return None

    def _whole(self, data: bytes) -> GanglionSamples:
        level = [int.from_bytes(data[k : k + 3], "big", signed=True) for k in range(1, 13, 3)]
        self._level, self._next = level, 0
        return self._samples(0, level)

    def _changed(self, step: int, deltas: list[int]) -> GanglionSamples | None:
        if self._level is None or step != self._next:
            self._level = None
            self.unlevelled += 1
            return None
        values = [level - delta for level, delta in zip(self._level, deltas, strict=False)]
        values += [level - delta for level, delta in zip(values, deltas[CHANNELS:], strict=True)]
        if max(values) > -FULL_SCALE[0] or min(values) < FULL_SCALE[0]:
            # No converter gives this: the difference itself was damaged.
            self._level = None
            self.damaged += 1
            return None
        self._level, self._next = values[CHANNELS:], step + 1
        return self._samples(1 + 2 * step, values)

    @staticmethod
    def _samples(first: int, values: list[int]) -> GanglionSamples:
        counts = np.array(values, np.int32).reshape(-1, CHANNELS)
        return GanglionSamples(_NUMBERS[first : first + len(counts)], counts)

    def _impedance(self, data: bytes) -> Impedance | None:
        digits = data[1:].rstrip(b"\0").removesuffix(b"Z")
        if not digits.isdigit():
            self.damaged += 1
            return None
        return Impedance(data[0] - 200, int(digits) / 2)

    def _said(self, data: bytes) -> Text | None:
        whole = self._text + data[1:].rstrip(b"\0").decode("ascii", "replace")
        self._text = "" if data[0] == TEXT_END else whole[:LONGEST_TEXT]
        return Text(whole[:LONGEST_TEXT]) if data[0] == TEXT_END else None


def fields(data: bytes, bits: int) -> NDArray[np.int64]:
    """The eight numbers of ``bits`` bits from byte 1 on, two samples of four: shape (2, 4).

    The board puts a copy of the sign in the lowest bit: a number with it set is the remaining
    bits less 2 to the power of ``bits``.
    """
    return np.array(_unpacked(data, bits), np.int64).reshape(2, CHANNELS)


def _unpacked(data: bytes, bits: int) -> list[int]:
    """Plain integers: for eight of them arrays cost more than they save."""
    packed = int.from_bytes(data[1:PACKET_BYTES], "big") >> (8 * (PACKET_BYTES - 1) - 8 * bits)
    mask = (1 << bits) - 1
    found = [packed >> shift & mask for shift in range(7 * bits, -1, -bits)]
    return [(value & ~1) - (1 << bits) if value & 1 else value for value in found]


def packed_fields(values: NDArray[np.int64], bits: int) -> bytes:
    """The other way, 19 bytes; for an emulated board."""
    packed, mask = 0, (1 << bits) - 1
    for value in values.ravel().tolist():
        packed = packed << bits | (value & mask & ~1 | (1 if value < 0 else 0))
    return (packed << (8 * (PACKET_BYTES - 1) - 8 * bits)).to_bytes(PACKET_BYTES - 1, "big")
