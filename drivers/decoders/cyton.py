"""OpenBCI Cyton: packets of 33 bytes in, sample numbers and counts out.

Format: docs.openbci.com "Cyton Data Format". There is no checksum; a packet is ``A0``, a number,
eight 24-bit channels, six auxiliary bytes, and an end byte ``C0`` to ``C6`` that says what the
auxiliary bytes are.
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
    """Shape (n, 8)."""
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


def _valid(rows: Rows) -> NDArray[np.bool_]:
    # Unsigned, so an end byte below the first wraps round to above the last.
    ends = rows[:, 32] - np.uint8(FIRST_END)
    sound: NDArray[np.bool_] = (rows[:, 0] == HEADER) & (ends <= LAST_END - FIRST_END)
    return sound
