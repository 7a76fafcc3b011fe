"""A BITalino (r)evolution: commands of one byte, frames of 3 to 8 bytes at 1000 or 100 Hz."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.decoders.bitalino import (
    CHANNELS,
    ECG_GAIN,
    FRAME_BYTES,
    MODULUS,
    bits_of,
    crc4,
    microvolts_per_count,
)
from drivers.source import SourceChunk

STEPS: Final = {0xC3: 1, 0x83: 10, 0x43: 100, 0x03: 1000}
"""Rate command → of how many samples at 1000 Hz one is sent."""
LINES = 0b1100
"""I1 and I2 are pulled up, O1 and O2 low."""
BATTERY_COUNTS = 600
"""3.87 V."""
STOP: Final = (0x00, 0xFF)


def encode(
    numbers: NDArray[np.integer], lines: NDArray[np.integer], values: NDArray[np.integer]
) -> NDArray[np.uint8]:
    """Frames of sequence numbers (n,), digital lines (n,) and values (n, channels)."""
    count, channels = values.shape
    a = np.zeros((count, CHANNELS), np.int64)
    a[:, :channels] = values
    wide = np.stack(
        [
            (a[:, 4] & 0x03) << 6 | a[:, 5],
            (a[:, 3] & 0x0F) << 4 | a[:, 4] >> 2,
            (a[:, 2] & 0x03) << 6 | a[:, 3] >> 4,
            a[:, 2] >> 2,
            a[:, 1] & 0xFF,
            (a[:, 0] & 0x3F) << 2 | a[:, 1] >> 8,
            lines.astype(np.int64) << 4 | a[:, 0] >> 6,
            numbers.astype(np.int64) << 4,
        ],
        axis=1,
    )
    frames = wide[:, -FRAME_BYTES[channels] :].astype(np.uint8)
    frames[:, -1] |= crc4(frames)
    return frames


class EmulatedBitalino:
    """The board; the electrodes' leads are on the channels that the host chooses, in order."""

    title = "BITalino (r)evolution"
    rate_hz = 1000.0

    def __init__(self, firmware: float = 5.1) -> None:
        self._firmware = firmware
        self._channels = 1
        self.packet_bytes = FRAME_BYTES[self._channels]
        self.plug_in()

    def plug_in(self) -> None:
        """A new Bluetooth link finds it idle."""
        self.streaming = False
        self._threshold = 0
        self._step = 1
        self._phase = 0
        self._number = 0

    def receive(self, data: bytes) -> bytes:
        """Answer commands; while it streams it takes none but stop."""
        return b"".join(self._command(command) for command in data)

    def counts(self, chunk: SourceChunk) -> NDArray[np.int32]:
        """What its converter makes of each chosen channel; an open input rails."""
        samples, leads = chunk.microvolts.shape
        counts = np.zeros((samples, self._channels), np.int32)
        for place in range(self._channels):
            full = 2 ** bits_of(place)
            scale = microvolts_per_count(ECG_GAIN, bits_of(place))
            lead = chunk.microvolts[:, min(place, leads - 1)]
            scaled = np.full(samples, full) if chunk.lead_off else np.rint(lead / scale + full / 2)
            counts[:, place] = np.clip(scaled, 0, full - 1)
        return counts

    def packets(self, counts: NDArray[np.int32]) -> NDArray[np.uint8]:
        """A frame of each sample, at lower rates of each so many."""
        sent = counts[-self._phase % self._step :: self._step]
        self._phase = (self._phase + len(counts)) % self._step
        numbers = (self._number + np.arange(len(sent))) % MODULUS
        self._number = (self._number + len(sent)) % MODULUS
        return encode(numbers, np.full(len(sent), LINES), sent)

    def _command(self, command: int) -> bytes:
        if self.streaming:
            self.streaming = command not in STOP
            return b""
        match command & 0x03:
            case 0:
                self._threshold = command >> 2
            case 1 | 2:
                self._channels = (command >> 2).bit_count()
                self._number = self._phase = 0
                self.streaming = self._channels > 0
                self._channels = max(1, self._channels)
                self.packet_bytes = FRAME_BYTES[self._channels]
            case 3 if command in STEPS:
                self._step = STEPS[command]
            case 3 if command in (0x07, 0x0F):
                return f"BITalino_v{self._firmware}\n".encode("ascii")
            case 3 if command == 0x0B:
                return self._state()
        return b""

    def _state(self) -> bytes:
        words = np.array([512] * CHANNELS + [BATTERY_COUNTS], "<u2").tobytes()
        outputs = b"\0" if self._firmware >= 5.2 else b""
        state = words + bytes([self._threshold]) + outputs + bytes([LINES << 4])
        crc = crc4(np.frombuffer(state, np.uint8)[None, :])[0]
        return state[:-1] + bytes([state[-1] | int(crc)])
