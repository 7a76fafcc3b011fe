"""An AD8232 board on a microcontroller: one line of text per sample, ``!`` while a lead is off."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.source import SourceChunk
from drivers.text_lines import MICROVOLTS_PER_UNIT, MIDDLE

LINE_BYTES = 6
LEAD_OFF = -1


class EmulatedTextLines:
    """The sketch with 10 bits; it pads each line to the same length, as some do."""

    title = "AD8232 text lines"
    packet_bytes = LINE_BYTES

    def __init__(self, rate_hz: float = 250.0) -> None:
        self.rate_hz = rate_hz
        self.plug_in()

    def plug_in(self) -> None:
        """It streams from power-up."""
        self.streaming = True

    def receive(self, data: bytes) -> bytes:
        """It has no commands."""
        return b""

    def counts(self, chunk: SourceChunk) -> NDArray[np.int32]:
        """10 bits around the middle, -1 while an electrode is off."""
        lead = chunk.microvolts[:, :1]
        if chunk.lead_off:
            return np.full(lead.shape, LEAD_OFF, np.int32)
        scaled = np.rint(lead / MICROVOLTS_PER_UNIT + MIDDLE)
        return np.clip(scaled, 0, 1023).astype(np.int32)

    def packets(self, counts: NDArray[np.int32]) -> NDArray[np.uint8]:
        """One line each."""
        lines = ["!   " if count == LEAD_OFF else f"{count:4d}" for count in counts[:, 0].tolist()]
        text = "".join(f"{line}\r\n" for line in lines).encode("ascii")
        return np.frombuffer(text, np.uint8).reshape(len(counts), LINE_BYTES)
