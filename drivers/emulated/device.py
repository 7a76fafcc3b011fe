"""What the emulator asks of a device it plays."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.source import SourceChunk


class EmulatedDevice(Protocol):
    """One device's side of its protocol; it has no clock and no port."""

    title: str
    rate_hz: float
    packet_bytes: int
    streaming: bool

    def plug_in(self) -> None:
        """Power up in the state a device that was just plugged in is in."""

    def receive(self, data: bytes) -> bytes:
        """Take what the host wrote and give the answer."""
        ...

    def counts(self, chunk: SourceChunk) -> NDArray[np.int32]:
        """What its converter makes of the electrodes' voltages: shape (n, channels)."""
        ...

    def packets(self, counts: NDArray[np.int32]) -> NDArray[np.uint8]:
        """One packet per sample, numbered on: shape (n, packet_bytes)."""
        ...
