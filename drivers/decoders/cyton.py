"""OpenBCI Cyton: packets of 33 bytes in, sample numbers and counts out.

Format: docs.openbci.com "Cyton Data Format". There is no checksum; a packet is ``A0``, a number,
eight 24-bit channels, six auxiliary bytes, and an end byte ``C0`` to ``C6`` that says what the
auxiliary bytes are. With a Daisy the board sends its own eight channels in packets of odd numbers
and the Daisy's in those of even ones, each the mean of the last two samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.decoders.framing import FixedFrames, Rows
from drivers.samples import Counts

PACKET_BYTES = 33
CHANNELS = 8
RATE_HZ = 250.0
DAISY_RATE_HZ = RATE_HZ / 2
DAISY_TURN = 128
"""Pairs after which their numbers begin anew."""
HEADER = 0xA0
FIRST_END, LAST_END = 0xC0, 0xC6
FULL_SCALE = (-0x800000, 0x7FFFFF)

REFERENCE_MICROVOLTS = 4.5e6
"""ADS1299 reference, ±4.5 V over ±8388607 counts at gain 1."""

GAINS = (1, 2, 4, 6, 8, 12, 24)
"""In the order of the gain digit of the ``x`` command."""


def microvolts_per_count(gain: int) -> float:
    """Scale of a channel at one of ``GAINS``; 0.02235 µV at gain 24."""
    return REFERENCE_MICROVOLTS / gain / FULL_SCALE[1]


@dataclass(frozen=True, slots=True)
class CytonPackets:
    """Packets in the order they came; n may be 0."""

    numbers: NDArray[np.uint8]
    """Sample numbers, shape (n,), each one more than the last modulo 256 when none is lost."""
    counts: Counts
    """Shape (n, 8), or (n, 16) where they are samples of ``DaisyPairs``."""
    aux: NDArray[np.uint8]
    """The six auxiliary bytes, shape (n, 6); their meaning hangs on ``ends``."""
    ends: NDArray[np.uint8]
    """End bytes ``C0`` to ``C6``, shape (n,)."""


class CytonDecoder:
    """Bytes of the serial port to packets. Never raises; keeps less than 67 bytes."""

    def __init__(self) -> None:
        self.frames = FixedFrames(PACKET_BYTES, bytes([HEADER]), _valid)

    def feed(self, data: bytes) -> CytonPackets:
        """Packets that ``data`` completes."""
        rows = self.frames.feed(data)
        wide = np.zeros((len(rows), CHANNELS, 4), np.uint8)
        wide[:, :, :3] = rows[:, 2:26].reshape(-1, CHANNELS, 3)
        counts = (wide.view(">i4")[:, :, 0] >> 8).astype(np.int32)
        return CytonPackets(rows[:, 1], counts, rows[:, 26:32], rows[:, 32])


class DaisyPairs:
    """Packets of a Cyton with a Daisy to samples of 16 channels, at half the rate.

    A packet of an odd number, the board's, and the next one, the Daisy's, are a sample; the means
    they carry lie 4 ms apart. Where either is lost there is none. The number of a sample goes round
    at ``DAISY_TURN``. The very first packet of a stream is even and alone: no mean, not used.
    """

    def __init__(self) -> None:
        self._held: CytonPackets | None = None

    def forget(self) -> None:
        """A new stream begins."""
        self._held = None

    def join(self, packets: CytonPackets) -> CytonPackets:
        """Samples that ``packets`` complete; auxiliary and end bytes are the board's."""
        if not len(packets.numbers):
            return packets
        numbers, counts, aux, ends = packets.numbers, packets.counts, packets.aux, packets.ends
        if self._held is not None:
            numbers = np.concatenate([self._held.numbers, numbers])
            counts = np.concatenate([self._held.counts, counts])
            aux = np.concatenate([self._held.aux, aux])
            ends = np.concatenate([self._held.ends, ends])
        odd = numbers & 1 == 1
        self._held = (
            CytonPackets(numbers[-1:], counts[-1:], aux[-1:], ends[-1:]) if odd[-1] else None
        )
        first = np.flatnonzero(odd[:-1] & (numbers[1:] == numbers[:-1] + np.uint8(1)))
        wide = np.concatenate([counts[first], counts[first + 1]], axis=1)
        return CytonPackets(numbers[first] >> np.uint8(1), wide, aux[first], ends[first])


def _valid(rows: Rows) -> NDArray[np.bool_]:
    # Unsigned, so an end byte below the first wraps round to above the last.
    ends = rows[:, 32] - np.uint8(FIRST_END)
    sound: NDArray[np.bool_] = (rows[:, 0] == HEADER) & (ends <= LAST_END - FIRST_END)
    return sound
