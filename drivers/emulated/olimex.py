"""An Olimex SHIELD-EKG-EMG on an Arduino: it only ever sends, packets of 17 bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.decoders.olimex import (
    CHANNELS,
    FULL_SCALE,
    HEADER,
    MICROVOLTS_PER_COUNT,
    MIDDLE,
    PACKET_BYTES,
    RATE_HZ,
    VERSION,
)
from drivers.source import SourceChunk

SWITCHES = 1
"""Seen in normal use: PD2 is pulled up."""


class EmulatedOlimex:
    """The shield with the stock sketch; the five inputs without a shield follow the first."""

    title = "Olimex SHIELD-EKG-EMG"
    packet_bytes = PACKET_BYTES

    def __init__(self, rate_hz: float = RATE_HZ) -> None:
        self.rate_hz = rate_hz
        self.plug_in()

    def plug_in(self) -> None:
        """It streams from power-up."""
        self.streaming = True
        self._counter = 0

    def receive(self, data: bytes) -> bytes:
        """It has no commands."""
        return b""

    def counts(self, chunk: SourceChunk) -> NDArray[np.int32]:
        """10 bits around the middle; open electrodes rail the amplifier."""
        lead = chunk.microvolts[:, 0]
        if chunk.lead_off:
            column = np.full(len(lead), FULL_SCALE[1], np.int32)
        else:
            scaled = np.rint(lead / MICROVOLTS_PER_COUNT) + MIDDLE
            column = np.clip(scaled, *FULL_SCALE).astype(np.int32)
        return np.repeat(column[:, None], CHANNELS, axis=1)

    def packets(self, counts: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Header, version, counter, six 16-bit values, switches."""
        rows = np.zeros((len(counts), PACKET_BYTES), np.uint8)
        rows[:, :2] = tuple(HEADER)
        rows[:, 2] = VERSION
        rows[:, 3] = (self._counter + np.arange(len(counts))) % 256
        rows[:, 4:16] = counts.astype(">u2").view(np.uint8).reshape(len(counts), 2 * CHANNELS)
        rows[:, 16] = SWITCHES
        self._counter = (self._counter + len(counts)) % 256
        return rows
