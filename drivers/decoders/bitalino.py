"""BITalino (r)evolution: frames of 3 to 8 bytes in, sequence numbers and converter counts out.

A frame has no header: its last byte holds a 4-bit sequence number and a 4-bit CRC (polynomial
x⁴ + x + 1), the one before the four digital lines. So a frame is believed when CRC, sequence and
lines agree with the frame before it; else, after a loss or damage, when the next frame agrees
with it. Layout: BITalino firmware (r)evolution 5.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.samples import Counts

CHANNELS = 6
WIDE_CHANNELS = 4
"""The first four channels of a frame have 10 bits, the two after them 6."""
MODULUS = 16
FRAME_BYTES: Final = (0, 3, 4, 6, 7, 8, 8)
"""By the number of channels."""

SUPPLY_V = 3.3
ECG_GAIN = 1100.0
"""Of the ECG sensor's data sheet."""

STATE_BYTES: Final = (16, 17)
"""Firmware 5.2 added the PWM output."""
BATTERY_EMPTY_V, BATTERY_FULL_V = 3.4, 4.2
"""The board's lamp warns at 3.4 V; a full cell has 4.2 V."""

Bytes: TypeAlias = NDArray[np.uint8]

_HALF: Final = np.uint8(4)
_NIBBLE: Final = np.array([0, 3, 6, 5, 12, 15, 10, 9, 11, 8, 13, 14, 7, 4, 1, 2], np.uint8)
_CRC, _VALUE = np.divmod(np.arange(16 * 256), 256)
_BYTE: Final = _NIBBLE[_NIBBLE[_CRC] ^ _VALUE >> 4] ^ (_VALUE & 0x0F).astype(np.uint8)
"""CRC after a byte, by 256 * CRC before + byte."""
_LAST: Final = _NIBBLE[_NIBBLE[_CRC] ^ _VALUE >> 4]
"""CRC after the high half of the last byte."""


def bits_of(place: int) -> int:
    """Resolution of the channel that comes as number ``place``, from 0, in a frame."""
    return 10 if place < WIDE_CHANNELS else 6


def microvolts_per_count(gain: float, bits: int) -> float:
    """Scale of a sensor of ``gain`` around half the supply; 2.93 µV for the ECG sensor."""
    return float(SUPPLY_V * 1e6 / gain / 2**bits)


def crc4(frames: Bytes) -> Bytes:
    """CRC of each row without its last half byte, shape (n,)."""
    crc = np.zeros(len(frames), np.intp)
    for column in range(frames.shape[1] - 1):
        crc = _BYTE[crc << 8 | frames[:, column]].astype(np.intp)
    found: Bytes = _LAST[crc << 8 | frames[:, -1]]
    return found


@dataclass(frozen=True, slots=True)
class BitalinoFrames:
    """Frames in the order they came; n may be 0."""

    numbers: Bytes
    """Sequence numbers 0 to 15, shape (n,), one more than the last when none is lost."""
    counts: Counts
    """Shape (n, channels), those of a frame in the order of their connectors."""
    lines: Bytes
    """I1, I2, O1, O2 in bits 3 to 0, shape (n,)."""
    damage: list[tuple[int, int]]
    """Before which frame bytes were thrown away, and how many."""


class BitalinoDecoder:
    """Bytes of the serial port to frames of ``channels`` channels.

    Never raises; keeps less than two frames. ``discarded`` counts the bytes thrown away.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._size = FRAME_BYTES[channels]
        self.discarded = 0
        self.reset()

    def reset(self) -> None:
        """Forget what came before: the port was opened anew."""
        self.discarded += len(getattr(self, "_pending", b""))
        self._pending = b""
        self._next = -1
        self._lines = 0
        self._told: int | None = None

    @property
    def pending(self) -> int:
        """Bytes kept for the next feed."""
        return len(self._pending)

    def feed(self, data: bytes) -> BitalinoFrames:
        """Frames that ``data`` completes."""
        buffer = np.frombuffer(self._pending + data, np.uint8)
        pairs: NDArray[np.bool_] | None = None
        runs: list[Bytes] = []
        damage: list[tuple[int, int]] = []
        at = given = 0
        while True:
            if self._next < 0:
                pairs = self._pairs(buffer) if pairs is None else pairs
                at = self._search(buffer, pairs, at)
                if self._next < 0:
                    break
            run, whole = self._in_step(buffer, at)
            if len(run):
                if self._told is not None and self.discarded > self._told:
                    damage.append((given, self.discarded - self._told))
                self._told = self.discarded
                runs.append(run)
                given += len(run)
                at += run.size
            if len(run) == whole:
                break
            self._next = -1
        self._pending = buffer[at:].tobytes()
        return self._frames(runs, damage)

    def _in_step(self, buffer: Bytes, at: int) -> tuple[Bytes, int]:
        """Frames from ``at`` on that follow each other, and how many there would be room for."""
        whole = (len(buffer) - at) // self._size
        rows = buffer[at : at + whole * self._size].reshape(whole, self._size)
        follows = (np.arange(self._next, self._next + whole) & 0x0F) == rows[:, -1] >> 4
        sound = follows & (crc4(rows) == rows[:, -1] & 0x0F) & (rows[:, -2] >> 4 == self._lines)
        good = whole if sound.all() else int(sound.argmin())
        self._next = (self._next + good) % MODULUS
        return rows[:good], whole

    def _pairs(self, buffer: Bytes) -> NDArray[np.bool_]:
        """Where in ``buffer`` two frames begin that agree with each other."""
        size = self._size
        if len(buffer) < 2 * size:
            return np.zeros(0, np.bool_)
        frames = np.lib.stride_tricks.sliding_window_view(buffer, size)
        sound = crc4(frames) == frames[:, -1] & 0x0F
        numbers, lines = frames[:, -1] >> 4, frames[:, -2] >> 4
        found: NDArray[np.bool_] = (
            sound[:-size]
            & sound[size:]
            & ((numbers[:-size] + 1) & 0x0F == numbers[size:])
            & (lines[:-size] == lines[size:])
        )
        return found

    def _search(self, buffer: Bytes, pairs: NDArray[np.bool_], at: int) -> int:
        """Where the next believable frame begins, or might once more bytes are there."""
        places = np.flatnonzero(pairs[at:])
        if len(places):
            found = at + int(places[0])
            self._next = int(buffer[found + self._size - 1] >> 4)
            self._lines = int(buffer[found + self._size - 2] >> 4)
        else:
            found = max(at, len(buffer) - 2 * self._size + 1)
        self.discarded += found - at
        return found

    def _frames(self, runs: list[Bytes], damage: list[tuple[int, int]]) -> BitalinoFrames:
        rows = np.concatenate(runs) if runs else np.empty((0, self._size), np.uint8)
        wide = np.zeros((len(rows), max(FRAME_BYTES)), np.int32)
        wide[:, -self._size :] = rows
        b7, b6, b5, b4, b3, b2, b1 = (wide[:, column] for column in range(7))
        values = (
            (b1 & 0x0F) << 6 | b2 >> 2,
            (b2 & 0x03) << 8 | b3,
            b4 << 2 | b5 >> 6,
            (b5 & 0x3F) << 4 | b6 >> 4,
            (b6 & 0x0F) << 2 | b7 >> 6,
            b7 & 0x3F,
        )
        counts = np.stack(values[: self._channels], axis=1)
        numbers, lines = rows[:, -1] >> _HALF, rows[:, -2] >> _HALF
        return BitalinoFrames(numbers, counts, lines, damage)


@dataclass(frozen=True, slots=True)
class BitalinoState:
    """What an idle board says of itself."""

    battery_counts: int

    @property
    def battery_v(self) -> float:
        """Voltage of its cell, which the converter sees halved."""
        return self.battery_counts * 2 * SUPPLY_V / 1024

    @property
    def battery_percent(self) -> int:
        """Between the voltage at which its lamp warns and that of a full cell, in a line."""
        share = (self.battery_v - BATTERY_EMPTY_V) / (BATTERY_FULL_V - BATTERY_EMPTY_V)
        return round(100 * min(1.0, max(0.0, share)))


def decode_state(answer: bytes) -> BitalinoState | None:
    """The answer to the state command; None where it is none, or damaged."""
    if len(answer) not in STATE_BYTES:
        return None
    row = np.frombuffer(answer, np.uint8)[None, :]
    if crc4(row)[0] != answer[-1] & 0x0F:
        return None
    return BitalinoState(int.from_bytes(answer[12:14], "little"))
