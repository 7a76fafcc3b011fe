"""Bluetooth Heart Rate Measurement (0x2A37) and Battery Level (0x2A19). Sans-I/O.

Source: Heart Rate Service 1.0, Bluetooth SIG; examples from real straps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.samples import LeadState

SERVICE: Final = "0000180d-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a37-0000-1000-8000-00805f9b34fb"
BATTERY_SERVICE: Final = "0000180f-0000-1000-8000-00805f9b34fb"
BATTERY_LEVEL: Final = "00002a19-0000-1000-8000-00805f9b34fb"
FIRMWARE: Final = "00002a26-0000-1000-8000-00805f9b34fb"
MAKER: Final = "00002a29-0000-1000-8000-00805f9b34fb"
MODEL: Final = "00002a24-0000-1000-8000-00805f9b34fb"
SERIAL_NUMBER: Final = "00002a25-0000-1000-8000-00805f9b34fb"

_WIDE_RATE = 0x01
_CONTACT_FOUND = 0x02
_CONTACT_KNOWN = 0x04
_HAS_ENERGY = 0x08
_HAS_RR = 0x10


class HeartRateError(ValueError):
    """A notification too short to hold what its flags say."""


@dataclass(frozen=True, slots=True)
class HeartRate:
    """One notification."""

    rate_bpm: int | None
    """None where the strap says 0: no value yet."""
    contact: LeadState
    rr_ms: tuple[float, ...] = ()
    """Oldest first; sent in units of 1/1024 s."""
    energy_kj: int | None = None
    damaged: bool = False
    """A byte was left over; what stood before it is kept."""


def decode_heart_rate(data: bytes) -> HeartRate:
    """Read a Heart Rate Measurement.

    Raises:
        HeartRateError: shorter than its flags say.
    """
    flags = data[0] if data else 0
    wide = bool(flags & _WIDE_RATE)
    at = 3 if wide else 2
    least = at + (2 if flags & _HAS_ENERGY else 0)
    if len(data) < least:
        raise HeartRateError(f"heart rate packet of {len(data)} bytes; its flags need {least}")
    rate = int.from_bytes(data[1:at], "little")
    energy = None
    if flags & _HAS_ENERGY:
        energy = int.from_bytes(data[at : at + 2], "little")
        at += 2
    rest = data[at:] if flags & _HAS_RR else b""
    pairs = len(rest) // 2
    rr = tuple(
        int.from_bytes(rest[2 * i : 2 * i + 2], "little") * 1000 / 1024 for i in range(pairs)
    )
    return HeartRate(rate or None, _contact(flags), rr, energy, damaged=len(rest) % 2 == 1)


def _contact(flags: int) -> LeadState:
    """A strap that does not support contact detection says nothing, which is not "off"."""
    if not flags & _CONTACT_KNOWN:
        return LeadState.UNKNOWN
    return LeadState.ON if flags & _CONTACT_FOUND else LeadState.OFF


def decode_battery(data: bytes) -> int | None:
    """Percent, None where the byte makes no sense."""
    return data[0] if len(data) == 1 and data[0] <= 100 else None
