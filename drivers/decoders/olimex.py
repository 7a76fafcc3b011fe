"""Olimex SHIELD-EKG-EMG: packets "P2" of 17 bytes in, counters and 10-bit values out.

``A5 5A``, version 2, a counter, six big-endian 16-bit values of 0 to 1023, four switches. There
is no checksum, but the unused bits are a good stand-in for one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.decoders.framing import FixedFrames, Rows
from drivers.samples import Counts

PACKET_BYTES = 17
CHANNELS = 6
HEADER = b"\xa5\x5a"
VERSION = 2
MIDDLE = 512
FULL_SCALE = (0, 1023)

RATE_HZ = 256.0
"""Of the stock sketch."""

MICROVOLTS_PER_COUNT = 5e6 / 1024 / 2848
"""5 V over 10 bits at a gain of 2848: one position of a trimmer, so no more than a guess."""

RESET_SWITCHES = 2
"""What the olimex-ekg-emg sketch sends for a while after a reset: counter 0, all channels 512."""


@dataclass(frozen=True, slots=True)
class OlimexPackets:
    """Packets in the order they came; n may be 0."""

    counters: NDArray[np.uint8]
    """Shape (n,), each one more than the last modulo 256 when none is lost."""
    counts: Counts
    """Shape (n, 6), 0 to 1023; channel 1 is the shield's ECG."""
    switches: NDArray[np.uint8]
    """Levels of PD5 to PD2 in bits 3 to 0, shape (n,)."""
    reset: NDArray[np.bool_]
    """Packets that say "I have just been reset" and hold no sample, shape (n,)."""


class OlimexDecoder:
    """Bytes of the serial port to packets. Never raises; keeps less than 36 bytes."""

    def __init__(self) -> None:
        self.frames = FixedFrames(PACKET_BYTES, HEADER, _valid)

    def feed(self, data: bytes) -> OlimexPackets:
        """Packets that ``data`` completes."""
        rows = self.frames.feed(data)
        values = rows[:, 4:16].reshape(len(rows), CHANNELS, 2).astype(np.int32)
        counts: Counts = values[:, :, 0] << 8 | values[:, :, 1]
        counters, switches = rows[:, 3], rows[:, 16]
        reset = (switches == RESET_SWITCHES) & (counters == 0) & (counts == MIDDLE).all(axis=1)
        return OlimexPackets(counters, counts, switches, reset)


def _valid(rows: Rows) -> NDArray[np.bool_]:
    sound: NDArray[np.bool_] = (
        (rows[:, 0] == HEADER[0])
        & (rows[:, 1] == HEADER[1])
        & (rows[:, 2] == VERSION)
        & (rows[:, 4:16:2] <= FULL_SCALE[1] >> 8).all(axis=1)
        & (rows[:, 16] <= 0x0F)
    )
    return sound
