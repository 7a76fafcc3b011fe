"""Shimmer3: the packets of its stream, its answers to commands, and what an ExG chip is set to.

A packet is ``00``, a time stamp of 24 bits in ticks of 1/32768 s, and the channels that the inquiry
told, in that order. There is no checksum and no length: the header and a stamp that goes on from
the last one are what a packet is known by. After a jump of the stamps, and to get in step, the next
packet must follow by just one sample. Facts: Shimmer "LogAndStream for Shimmer3 Firmware User
Manual" and "ECG User Guide", as the pyshimmer project has them from hardware; ADS1292R data sheet.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.decoders.framing import RUBBISH_KEPT, Rows
from drivers.samples import Counts

TICKS_HZ: Final = 32768
STAMP_TURN: Final = 1 << 24
"""Ticks after which a stamp begins anew: 512 s."""

HEADER: Final = 0x00
ACK: Final = 0xFF
STATUS: Final = b"\x8a\x71"
"""How an unasked status begins; one byte of flags follows. Older firmware puts an ACK before it."""
NOTICE: Final = re.compile(rb"\xff?\x8a\x71.", re.DOTALL)
HEAD_BYTES: Final = 4
LONGEST_STEP: Final = 5 * TICKS_HZ
"""Two packets further apart are not believed to follow each other: the stream has long been lost
by then, and the narrower it is, the fewer bytes look like a packet."""
LATENESS: Final = 8
"""The sensor may read its clock an eighth of a sample late; stamps further off are a jump."""

EXG1: Final = (0x1D, 0x1E, 0x1F)
EXG2: Final = (0x20, 0x21, 0x22)
"""Status, channel 1, channel 2 of either chip, 24 bits each."""

_BIG, _SIGNED = 1, 2
_CHANNELS: Final = {
    **dict.fromkeys((*range(0x00, 0x0A), *range(0x14, 0x1A)), (2, _SIGNED)),
    0x03: (2, 0),
    **dict.fromkeys(range(0x0A, 0x0D), (2, _SIGNED | _BIG)),
    **dict.fromkeys((*range(0x0D, 0x14), 0x1C, 0x27, 0x28), (2, 0)),
    0x1A: (2, _BIG),
    0x1B: (3, _BIG),
    **dict.fromkeys((0x1D, 0x20), (1, 0)),
    **dict.fromkeys((0x1E, 0x1F, 0x21, 0x22), (3, _SIGNED | _BIG)),
    **dict.fromkeys(range(0x23, 0x27), (2, _SIGNED | _BIG)),
}
"""Channel id → bytes and how they are read."""

GAINS: Final = (6, 1, 2, 3, 4, 8, 12)
"""In the order of the gain's three bits in a channel setting."""
REFERENCE_MICROVOLTS: Final = 2.42e6
FULL_SCALE_24: Final = (-0x800000, 0x7FFFFF)
FULL_SCALE_16: Final = (-0x8000, 0x7FFF)
REGISTERS: Final = 10
"""Bytes of a chip's settings; 3 and 4 are those of its channels."""


class ShimmerError(ValueError):
    """Bytes that are no answer of a Shimmer3; ``str()`` tells what is wrong."""


def microvolts_per_count(gain: int, *, bits: int = 24) -> float:
    """Scale of an ExG channel (ECG User Guide, "Calibration")."""
    return REFERENCE_MICROVOLTS / ((1 << (bits - 1)) - 1) / gain


def gain_of(setting: int) -> int:
    """Gain in a channel's setting byte; ShimmerError where its code has none."""
    code = setting >> 4 & 7
    if code >= len(GAINS):
        raise ShimmerError(f"gain code {code} does not exist")
    return GAINS[code]


def ecg_registers(present: bytes, chip: int, gain: int, rate_hz: float) -> bytes:
    """The ten bytes that make a chip measure ECG (ECG User Guide, "ECG configuration").

    ``present`` is what the chip is set to now: its byte 1, which wires clock and reference as the
    board needs it, is kept. The chip itself samples at 125 Hz times a power of two, not slower than
    the Shimmer reads it.
    """
    speed = next(code for code in range(8) if 125 << code >= rate_hz or code == 6)
    code = GAINS.index(gain) << 4
    if chip == 0:
        tail = bytes([code, code, 0x2D, 0x00, 0x00, 0x02, 0x03])
    else:
        tail = bytes([code, code | 7, 0x00, 0x00, 0x00, 0x02, 0x01])
    return bytes([speed, present[1], 0x10]) + tail


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What the device says it will stream."""

    ticks: int
    """Between two samples; the rate is 32768 divided by it."""
    channels: tuple[int, ...]
    buffer: int


def inquiry(body: bytes) -> Inquiry | None:
    """The answer ``02 …`` without its code; None while bytes are missing."""
    if len(body) < 8 or len(body) < 8 + body[6]:
        return None
    ticks = int.from_bytes(body[:2], "little")
    return Inquiry(ticks, tuple(body[8 : 8 + body[6]]), body[7])


def without_notices(data: bytes) -> bytes:
    """``data`` less the statuses that came unasked between answers."""
    return NOTICE.sub(b"", data)


def answer(data: bytes, code: int) -> bytes | None:
    """What follows ACK and ``code`` in what came after a command; None where they did not come."""
    quiet = without_notices(data)
    at = quiet.find(bytes([ACK, code]))
    return None if at < 0 else quiet[at + 2 :]


class Layout:
    """Where the channels lie in a packet or record; ShimmerError for an id that is unknown.

    ``head`` bytes come first: ``00`` and a stamp of three bytes, little endian.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        unknown = [f"{channel:02X}" for channel in channels if channel not in _CHANNELS]
        if unknown:
            raise ShimmerError(f"channel {', '.join(unknown)} is unknown")
        self.channels = tuple(channels)
        self.size = HEAD_BYTES
        # A column per byte of a big-endian word of 32 bits; column 0, the header, holds the zeros.
        places, shifts = [[0, 3, 2, 1]], [0]
        for width, form in (_CHANNELS[channel] for channel in channels):
            at = list(range(self.size, self.size + width))
            self.size += width
            at = at if form & _BIG else at[::-1]
            zeros = [0] * (4 - width)
            places.append(at + zeros if form & _SIGNED else zeros + at)
            shifts.append(8 * (4 - width) if form & _SIGNED else 0)
        self._places = np.array(places).reshape(-1)
        self._shifts = np.array(shifts, np.int32)

    def decode(self, rows: Rows) -> ShimmerPackets:
        """Rows of whole packets, shape (n, size), each beginning with 00."""
        words = np.take(rows, self._places, axis=1).view(">i4") >> self._shifts
        values = words.astype(np.int32)
        return ShimmerPackets(values[:, 0], values[:, 1:])


@dataclass(frozen=True, slots=True)
class ShimmerPackets:
    """Packets in the order they came; n may be 0."""

    stamps: Counts
    """Ticks of 1/32768 s modulo 2²⁴, shape (n,)."""
    counts: Counts
    """Shape (n, channels), in the order of the layout."""


class ShimmerDecoder:
    """Bytes of a standing stream to packets. Never raises; keeps less than a packet and 8 bytes."""

    def __init__(self) -> None:
        self.layout = Layout((*EXG1, *EXG2))
        self.ticks = 64
        self.discarded = 0
        """Bytes thrown away so far."""
        self.breaks = 0
        """How often it fell out of step."""
        self.rubbish = b""
        """The last bytes thrown away."""
        self._pending = b""
        self._in_step = True
        self._last: int | None = None
        self._jumped = False

    @property
    def pending(self) -> int:
        """Bytes kept for the next feed."""
        return len(self._pending)

    def begin(self, layout: Layout, ticks: int) -> None:
        """A stream of ``layout``, ``ticks`` between two samples, begins with the next byte.

        That may be the ACK of the start; then come packets.
        """
        self.reset()
        self.layout, self.ticks = layout, ticks

    def reset(self) -> None:
        """Forget what came before: the port was opened anew."""
        self._drop(self._pending)
        self._pending, self.rubbish = b"", b""
        self._in_step, self._last, self._jumped = True, None, False

    def feed(self, data: bytes) -> ShimmerPackets:
        """Packets that ``data`` completes."""
        buffer, size = self._pending + data, self.layout.size
        runs: list[Rows] = []
        at = 0
        while True:
            if not self._in_step:
                at = self._search(buffer, at)
                if not self._in_step:
                    break
            whole = (len(buffer) - at) // size
            good = self._following(buffer, at, whole)
            if good:
                runs.append(self._rows(buffer, at, good))
                at += good * size
            notice = _notice(buffer, at)
            if notice > 0:
                at += notice
            elif notice < 0 or (good == whole and len(buffer) - at < size):
                break
            else:
                self._in_step = False
                self.breaks += 1
        self._pending = buffer[at:]
        rows = runs[0] if len(runs) == 1 else np.concatenate([self._rows(b"", 0, 0), *runs])
        return self.layout.decode(rows)

    def _rows(self, buffer: bytes, at: int, count: int) -> Rows:
        if not count:
            return np.empty((0, self.layout.size), np.uint8)
        flat = np.frombuffer(buffer, np.uint8, count * self.layout.size, at)
        return flat.reshape(count, self.layout.size)

    def _following(self, buffer: bytes, at: int, count: int) -> int:
        """How many packets, from ``at`` on and of ``count``, each follow the one before."""
        if not count:
            return 0
        # Header and stamp as one integer of each packet, without a copy.
        heads: NDArray[np.uint32] = np.ndarray((count,), "<u4", buffer, at, (self.layout.size,))
        stamps = np.empty(count + 1, np.int64)
        stamps[1:] = heads >> 8
        stamps[0] = stamps[1] - self.ticks if self._last is None else self._last
        steps = (stamps[1:] - stamps[:-1]) & (STAMP_TURN - 1)
        jumps = np.abs(steps - self.ticks) > self.ticks // LATENESS
        good = count
        if jumps.any() or (heads & 0xFF).any():
            again = jumps & np.concatenate([[self._jumped], jumps[:-1]])
            header = heads & 0xFF == HEADER
            sound = header & (steps > 0) & (steps <= LONGEST_STEP) & ~again
            good = count if sound.all() else int(sound.argmin())
        if good:
            self._last, self._jumped = int(stamps[good]), bool(jumps[good - 1])
        return good

    def _search(self, buffer: bytes, at: int) -> int:
        """Where the next believable packet begins, or might begin once more bytes are there."""
        start, size = at, self.layout.size
        while True:
            at = buffer.find(HEADER, at)
            if at < 0:
                at = len(buffer)
                break
            following = at + size
            notice = _notice(buffer, following)
            if notice < 0 or len(buffer) < following + notice + HEAD_BYTES:
                break
            following += notice
            step = (_stamp(buffer, following) - _stamp(buffer, at)) % STAMP_TURN
            late = abs(step - self.ticks)
            if buffer[following] == HEADER and late <= self.ticks // LATENESS:
                self._in_step, self._last, self._jumped = True, None, False
                break
            at += 1
        self._drop(buffer[start:at])
        return at

    def _drop(self, rubbish: bytes) -> None:
        self.discarded += len(rubbish)
        self.rubbish = (self.rubbish + rubbish)[-RUBBISH_KEPT:]


def _stamp(buffer: bytes, packet: int) -> int:
    return int.from_bytes(buffer[packet + 1 : packet + HEAD_BYTES], "little")


def _notice(buffer: bytes, at: int) -> int:
    """Length of ACKs or a status at ``at``; 0 where there are none, -1 while that is open.

    Two ACKs: the start's, and the one that older firmware puts before a status.
    """
    head = buffer[at : at + 5]
    if head[:1] == bytes([HEADER]):
        return 0
    acks = len(head) - len(head[:2].lstrip(bytes([ACK])) + head[2:])
    rest = head[acks:]
    if rest.startswith(STATUS):
        return acks + 3 if len(rest) > len(STATUS) else -1
    if STATUS.startswith(rest):
        return -1 if acks or rest else 0
    return acks if rest[0] == HEADER else 0
