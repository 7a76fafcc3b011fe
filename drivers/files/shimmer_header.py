"""The header of a Shimmer3's SD log: 256 bytes that tell rate, channels, chips and clock.

Offsets: Shimmer "SDLog Firmware User Manual", proven on a real log. The clock difference is big
endian; of the start's five bytes the first is the highest, the rest little endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from drivers.decoders.shimmer import EXG1, EXG2, REGISTERS, TICKS_HZ

HEADER_BYTES = 256
BLOCK_BYTES = 512
SYNC_BYTES = 9
"""A sign and 64 bits before each block of a log that was synchronised by radio."""
SHIMMER3 = 3
_SYNCHRONISED = 0x04
_FIRMWARES = (2, 3)
"""SDLog and LogAndStream."""

EXG1_16 = (EXG1[0], 0x23, 0x24)
EXG2_16 = (EXG2[0], 0x25, 0x26)
SENSORS: tuple[tuple[int, tuple[int, ...]], ...] = (
    (7, (0x00, 0x01, 0x02)),
    (13, (0x03,)),
    (1, (0x0D,)),
    (0, (0x0E,)),
    (11, (0x0F,)),
    (9, (0x10,)),
    (8, (0x11,)),
    (23, (0x12,)),
    (15, (0x27, 0x28)),
    (10, (0x13,)),
    (2, (0x1C,)),
    (6, (0x0A, 0x0B, 0x0C)),
    (12, (0x04, 0x05, 0x06)),
    (5, (0x07, 0x08, 0x09)),
    (22, (0x14, 0x15, 0x16)),
    (21, (0x17, 0x18, 0x19)),
    (18, (0x1A, 0x1B)),
    (4, EXG1),
    (20, EXG1_16),
    (3, EXG2),
    (19, EXG2_16),
)
"""Bit of the sensors' field and its channels, in the order in which they stand in a record."""


@dataclass(frozen=True, slots=True)
class ShimmerHeader:
    """What a log says of itself."""

    ticks: int
    """Between two samples."""
    channels: tuple[int, ...]
    synchronised: bool
    registers: tuple[bytes, bytes]
    """Settings of both ExG chips."""
    firmware: str
    start_ticks: int
    """Of the first record since the sensor was switched on, 40 bits."""
    clock_ticks: int
    """Unix time less the sensor's own, in ticks; 0 where its clock was never set."""

    @property
    def rate_hz(self) -> float:
        """Samples per second."""
        return TICKS_HZ / self.ticks

    def start(self) -> datetime | None:
        """UTC of the first record, without a zone; None where the sensor did not know."""
        if not self.clock_ticks:
            return None
        seconds = (self.start_ticks + self.clock_ticks) / TICKS_HZ
        try:
            return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)).replace(
                tzinfo=None
            )
        except OverflowError:
            return None


def parse_header(data: bytes) -> ShimmerHeader | None:
    """The header; None where these 256 bytes are no Shimmer3's."""
    if len(data) < HEADER_BYTES:
        return None
    ticks = int.from_bytes(data[:2], "little")
    sensors = int.from_bytes(data[3:6], "little")
    firmware = int.from_bytes(data[0x22:0x24], "big")
    hardware = int.from_bytes(data[0x1E:0x20], "big")
    if hardware != SHIMMER3 or firmware not in _FIRMWARES or not ticks or not sensors:
        return None
    known = sum(1 << bit for bit, _ in SENSORS) | 1 << 17
    if sensors & ~known:
        return None
    version = int.from_bytes(data[0x24:0x26], "big"), data[0x26], data[0x27]
    return ShimmerHeader(
        ticks=ticks,
        channels=tuple(c for bit, channels in SENSORS if sensors >> bit & 1 for c in channels),
        synchronised=bool(data[0x10] & _SYNCHRONISED),
        registers=(data[0x38 : 0x38 + REGISTERS], data[0x42 : 0x42 + REGISTERS]),
        firmware=f"{'SDLog' if firmware == 2 else 'LogAndStream'} {'.'.join(map(str, version))}",
        start_ticks=data[0xFB] << 32 | int.from_bytes(data[0xFC:0x100], "little"),
        clock_ticks=int.from_bytes(data[0x2C:0x34], "big"),
    )
