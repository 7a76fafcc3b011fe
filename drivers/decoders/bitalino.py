"""BITalino (r)evolution: frames of 3 to 8 bytes in, sequence numbers and converter counts out.

A frame has no header: its last byte holds a 4-bit sequence number and a 4-bit CRC (polynomial
x⁴ + x + 1), the one before the four digital lines. So a frame is believed when CRC, sequence and
lines agree with the frame before it; else, after a loss or damage, when the next frame agrees
with it. Layout: BITalino firmware (r)evolution 5.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
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

Words: TypeAlias = NDArray[np.uint64]
"""A frame each: CRC (0 where it is right), lines, number and channels in the bits below."""

_CRC_BIT, _LINES_BIT, _NUMBER_BIT = 0, 4, 8
_CHANNEL_BITS: Final = (12, 22, 32, 42, 52, 58)
_PARTS: Final = (
    (0, 4, 4, _NUMBER_BIT),
    (1, 4, 4, _LINES_BIT),
    (1, 0, 4, _CHANNEL_BITS[0] + 6),
    (2, 2, 6, _CHANNEL_BITS[0]),
    (2, 0, 2, _CHANNEL_BITS[1] + 8),
    (3, 0, 8, _CHANNEL_BITS[1]),
    (4, 0, 8, _CHANNEL_BITS[2] + 2),
    (5, 6, 2, _CHANNEL_BITS[2]),
    (5, 0, 6, _CHANNEL_BITS[3] + 4),
    (6, 4, 4, _CHANNEL_BITS[3]),
    (6, 0, 4, _CHANNEL_BITS[4] + 2),
    (7, 6, 2, _CHANNEL_BITS[4]),
    (7, 0, 6, _CHANNEL_BITS[5]),
)
"""(byte from the end, lowest bit, bits, where they stand in the word)."""

_NIBBLE: Final = np.array([0, 3, 6, 5, 12, 15, 10, 9, 11, 8, 13, 14, 7, 4, 1, 2], np.uint64)
"""CRC after a half byte of zeros, by the CRC before it."""
_COUNTING: Final = (np.arange(1 << 15, dtype=np.uint64) % MODULUS) << np.uint64(_NUMBER_BIT)
_PLACES: Final = np.arange(max(STATE_BYTES), dtype=np.intp)[:, None] * 256
_AGREE: Final = np.uint64(0xFFF)
_HALF: Final = np.uint64(0x0F)


def bits_of(place: int) -> int:
    """Resolution of the channel that comes as number ``place``, from 0, in a frame."""
    return 10 if place < WIDE_CHANNELS else 6


def microvolts_per_count(gain: float, bits: int) -> float:
    """Scale of a sensor of ``gain`` around half the supply; 2.93 µV for the ECG sensor."""
    return float(SUPPLY_V * 1e6 / gain / 2**bits)


@cache
def _table(size: int) -> Words:
    """What each byte at each place of a frame is in the frame's word, shape (size * 256,).

    Fields don't overlap, and a CRC is linear: the word is the exclusive or of its bytes' parts.
    """
    value = np.arange(256, dtype=np.uint64)
    crc = _NIBBLE[value >> np.uint64(4)] ^ (value & _HALF)
    columns: list[Words] = []
    for place in range(size):
        column = crc.copy()
        for at, low, width, bit in _PARTS:
            if at == place:
                part = (value >> np.uint64(low)) & np.uint64((1 << width) - 1)
                column |= part << np.uint64(bit)
        columns.insert(0, column)
        crc = _NIBBLE[_NIBBLE[crc]]
    return np.concatenate(columns)


def words_of(frames: Bytes) -> Words:
    """Each row's word, shape (n,)."""
    size = frames.shape[1]
    parts = _table(size)[frames.T + _PLACES[:size]]
    found: Words = np.bitwise_xor.reduce(parts, axis=0)
    return found


def crc4(frames: Bytes) -> Bytes:
    """CRC of each row whose last half byte is 0; else 0 where the CRC there is right."""
    return (words_of(frames) & _HALF).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Break:
    """A place where a frame does not follow the one before it."""

    before: int
    """Frame, of those given with it, that comes after the break."""
    missing: int
    """Frames lost by the sequence number: as many, or 16, 32 … more."""
    thrown: int
    """Bytes thrown away there."""


@dataclass(frozen=True, slots=True)
class BitalinoFrames:
    """Frames in the order they came; n may be 0."""

    words: Words
    """Shape (n,)."""
    counts: Counts
    """Shape (n, channels), those of a frame in the order of their connectors."""
    breaks: list[Break]

    @property
    def numbers(self) -> Bytes:
        """Sequence numbers 0 to 15, shape (n,), one more than the last when none is lost."""
        return (self.words >> np.uint64(_NUMBER_BIT) & _HALF).astype(np.uint8)

    @property
    def lines(self) -> Bytes:
        """I1, I2, O1, O2 in bits 3 to 0, shape (n,)."""
        return (self.words >> np.uint64(_LINES_BIT) & _HALF).astype(np.uint8)


class BitalinoDecoder:
    """Bytes of the serial port to frames of ``channels`` channels.

    Never raises; keeps less than two frames. ``discarded`` counts the bytes thrown away.
    """

    def __init__(self, channels: int) -> None:
        self._size = FRAME_BYTES[channels]
        self._shifts = np.array(_CHANNEL_BITS[:channels], np.uint64)
        self._masks = np.array([2 ** bits_of(k) - 1 for k in range(channels)], np.uint64)
        self._pending = b""
        self.discarded = 0
        self.reset()

    def reset(self) -> None:
        """Forget what came before: the port was opened anew."""
        self.discarded += len(self._pending)
        self._pending = b""
        self._in_step = False
        self._last: int | None = None
        """Number of the last frame given; None when there was none since the port was opened."""
        self._next = 0
        self._lines = 0
        self._told = 0

    @property
    def pending(self) -> int:
        """Bytes kept for the next feed."""
        return len(self._pending)

    def feed(self, data: bytes) -> BitalinoFrames:
        """Frames that ``data`` completes."""
        buffer = np.frombuffer(self._pending + data, np.uint8)
        pairs: NDArray[np.intp] | None = None
        runs: list[Words] = []
        breaks: list[Break] = []
        at = given = 0
        while True:
            if not self._in_step:
                pairs = self._pairs(buffer) if pairs is None else pairs
                at = self._search(buffer, pairs, at)
                if not self._in_step:
                    break
                self._note_break(given, breaks)
            whole = min((len(buffer) - at) // self._size, len(_COUNTING) - MODULUS)
            run = self._run(buffer[at : at + whole * self._size].reshape(whole, self._size))
            runs.append(run)
            given += len(run)
            at += len(run) * self._size
            if whole == 0:
                break
            self._in_step = len(run) == whole
        self._pending = buffer[at:].tobytes()
        words = runs[0] if len(runs) == 1 else np.concatenate(runs or [np.empty(0, np.uint64)])
        counts = (words[:, None] >> self._shifts & self._masks).astype(np.int32)
        return BitalinoFrames(words, counts, breaks)

    def _run(self, rows: Bytes) -> Words:
        """Those of the frames from the first on that follow each other."""
        words = words_of(rows)
        due = _COUNTING[self._next : self._next + len(rows)] + np.uint64(self._lines << _LINES_BIT)
        sound = words & _AGREE == due
        good = len(rows) if sound.all() else int(sound.argmin())
        if good:
            self._last = (self._next + good - 1) % MODULUS
            self._next = (self._last + 1) % MODULUS
        return words[:good]

    def _pairs(self, buffer: Bytes) -> NDArray[np.intp]:
        """Where in ``buffer`` two frames begin that agree with each other."""
        size = self._size
        if len(buffer) < 2 * size:
            return np.empty(0, np.intp)
        words = words_of(np.lib.stride_tricks.sliding_window_view(buffer, size)) & _AGREE
        following = (words[:-size] + np.uint64(1 << _NUMBER_BIT)) & _AGREE
        sound = (words[:-size] & _HALF == 0) & (following == words[size:])
        return np.flatnonzero(sound)

    def _search(self, buffer: Bytes, pairs: NDArray[np.intp], at: int) -> int:
        """Where the next believable frame begins, or might once more bytes are there."""
        place = int(np.searchsorted(pairs, at))
        self._in_step = place < len(pairs)
        if self._in_step:
            found = int(pairs[place])
            self._next = int(buffer[found + self._size - 1] >> 4)
            self._lines = int(buffer[found + self._size - 2] >> 4)
        else:
            found = max(at, len(buffer) - 2 * self._size + 1)
        self.discarded += found - at
        return found

    def _note_break(self, given: int, breaks: list[Break]) -> None:
        if self._last is not None:
            missing = (self._next - self._last - 1) % MODULUS
            if missing or self.discarded > self._told:
                breaks.append(Break(given, missing, self.discarded - self._told))
        self._told = self.discarded


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
    if crc4(row)[0] != 0:
        return None
    return BitalinoState(int.from_bytes(answer[12:14], "little"))
