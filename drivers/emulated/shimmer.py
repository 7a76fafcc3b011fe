"""A Shimmer3 ECG unit with LogAndStream: commands, ACKs, and packets with its time stamps."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.decoders.shimmer import (
    ACK,
    EXG1,
    EXG2,
    FULL_SCALE_24,
    HEAD_BYTES,
    REGISTERS,
    STAMP_TURN,
    TICKS_HZ,
    gain_of,
    microvolts_per_count,
)
from drivers.source import SourceChunk

FIRMWARE: Final = (3, 0, 16, 9)
"""LogAndStream 0.16.9."""
EMG: Final = bytes.fromhex("03a81049402300000203"), bytes.fromhex("03a010c1c10000000201")
"""What a real one was last set to: not to ECG."""
RAIL_24: Final = FULL_SCALE_24[1]
SENSOR_BITS: Final = ((0x10, EXG1), (0x08, EXG2))
CONFIG: Final = bytes.fromhex("01ff0109")
NO_LEADS_OFF: Final = 0x80
"""The status byte a real one sends."""
CHANNELS: Final = 4


class EmulatedShimmer3:
    """The sensor as the host sees it over RFCOMM; its clock runs whether it streams or not.

    Its rate is chosen here: what the host sets is acknowledged, but the inquiry tells this one.
    """

    title = "Shimmer3"

    def __init__(self, rate_hz: float = 512.0) -> None:
        self.rate_hz = rate_hz
        self.clock = 5_000_000
        """Ticks since it was switched on."""
        self._ticks = round(TICKS_HZ / rate_hz)
        self._registers = [bytearray(chip) for chip in EMG]
        self._choose(0x80)
        self.plug_in()

    def plug_in(self) -> None:
        """The link is made anew; the sensor itself was on all the time, and stopped streaming."""
        self.streaming = False
        self._unread = b""

    def receive(self, data: bytes) -> bytes:
        """Carry out the commands that are whole."""
        said = b""
        self._unread += data
        while self._unread:
            size = self._size(self._unread)
            if len(self._unread) < size:
                break
            command, self._unread = self._unread[:size], self._unread[size:]
            said += self._done(command)
        return said

    def counts(self, chunk: SourceChunk) -> NDArray[np.int32]:
        """Leads on channels 1, 2, …; an open input rails."""
        samples, leads = chunk.microvolts.shape
        self.clock += samples * self._ticks
        counts = np.zeros((samples, CHANNELS), np.int32)
        for channel in range(CHANNELS):
            if chunk.lead_off:
                counts[:, channel] = RAIL_24
            elif channel < leads:
                gain = gain_of(self._registers[channel // 2][3 + channel % 2])
                scaled = np.rint(chunk.microvolts[:, channel] / microvolts_per_count(gain))
                counts[:, channel] = np.clip(scaled, *FULL_SCALE_24)
        return counts

    def packets(self, counts: NDArray[np.int32]) -> NDArray[np.uint8]:
        """``00``, the stamp, and of each chip a status and two channels."""
        rows = np.zeros((len(counts), self.packet_bytes), np.uint8)
        stamps = (self.clock - self._ticks * np.arange(len(counts), 0, -1)) % STAMP_TURN
        rows[:, 1:4] = stamps.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3]
        wide = counts.astype(">i4").view(np.uint8).reshape(len(counts), CHANNELS, 4)[:, :, 1:]
        for place, chip in enumerate(self._chips()):
            at = HEAD_BYTES + 7 * place
            rows[:, at] = NO_LEADS_OFF
            first = 0 if chip is EXG1 else 2
            rows[:, at + 1 : at + 7] = wide[:, first : first + 2].reshape(len(counts), 6)
        return rows

    def _choose(self, sensors: int) -> None:
        self._sensors = sensors
        self.packet_bytes = HEAD_BYTES + 7 * len(self._chips())

    def _chips(self) -> list[tuple[int, ...]]:
        return [chip for bit, chip in SENSOR_BITS if self._sensors & bit]

    def _size(self, command: bytes) -> int:
        """Bytes of the command that begins here; as far as they tell it."""
        match command[0]:
            case 0x05:
                return 3
            case 0x08 | 0x63:
                return 4
            case 0x61:
                return 4 + (command[3] if len(command) > 3 else 0)
            case 0xA3:
                return 2
        return 1

    def _done(self, command: bytes) -> bytes:
        ack = bytes([ACK])
        match command[0]:
            case 0x01:
                channels = [channel for chip in self._chips() for channel in chip]
                ticks = self._ticks.to_bytes(2, "little")
                return ack + b"\x02" + ticks + CONFIG + bytes([len(channels), 1, *channels])
            case 0x2E:
                kind, major, minor, patch = FIRMWARE
                return ack + bytes([0x2F, kind, 0, major, 0, minor, patch])
            case 0x3F:
                return ack + b"\x25\x03"
            case 0x03:
                return ack + b"\x04" + self._ticks.to_bytes(2, "little")
            case 0x72:
                return ack + bytes([0x8A, 0x71, 0x10 if self.streaming else 0x00])
            case 0x08:
                self._choose(command[1])
            case 0x61 | 0x63:
                return ack + self._chip(command)
            case 0x07 | 0x20:
                self.streaming = command[0] == 0x07
            case 0x05 | 0xA3 | 0x96:
                pass
            case _:
                return b""
        return ack

    def _chip(self, command: bytes) -> bytes:
        chip, offset, length = command[1] % 2, command[2], command[3]
        registers = self._registers[chip]
        if command[0] == 0x63:
            return bytes([0x62, length]) + bytes(registers[offset : offset + length])
        registers[offset : offset + length] = command[4:]
        del registers[REGISTERS:]
        return b""
