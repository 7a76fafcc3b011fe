"""Polar Measurement Data (PMD): control point and ECG notifications of the H10.

Source: Polar's PMD document and SDK, checked on real bytes. Sans-I/O.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from drivers.samples import Counts

SERVICE: Final = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"
CONTROL_POINT: Final = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA: Final = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"

RATE_HZ: Final = 130.0
RESOLUTION_BITS: Final = 14
HEADER: Final = 10
"""Measurement type, u64 time stamp, frame type."""
SAMPLE: Final = 3
COMPRESSED: Final = 0x80
RESPONSE: Final = 0xF0
FEATURES: Final = 0x0F
ECG_FEATURE: Final = 0x01


class Measurement(IntEnum):
    """What a PMD stream measures; only ECG is read here."""

    ECG = 0


class Command(IntEnum):
    """First byte of a control point write."""

    GET_SETTINGS = 1
    START = 2
    STOP = 3


ERRORS: Final = {
    0: "success",
    1: "unknown command",
    2: "unknown measurement",
    3: "not supported",
    4: "wrong length",
    5: "wrong parameter",
    6: "already in that state",
    7: "resolution not supported",
    8: "rate not supported",
    9: "range not supported",
    10: "MTU too small",
    11: "channel count not supported",
    12: "wrong state",
    13: "in the charger",
    14: "disk full",
}
ALREADY: Final = 6
WRONG_STATE: Final = 12

_SETTING_SIZE: Final = {0: 2, 1: 2, 2: 2, 3: 4, 4: 1, 5: 4, 6: 16}
_RATE, _RESOLUTION = 0, 1


class PmdError(ValueError):
    """Bytes that are no PMD packet we can read; the text says which and why."""


@dataclass(frozen=True, slots=True)
class EcgFrame:
    """One ECG notification."""

    last_ns: int
    """The sensor's time of the last sample: ns since 2000-01-01 by a clock nobody set."""
    microvolts: Counts
    """Shape (n, 1)."""


@dataclass(frozen=True, slots=True)
class Response:
    """An indication of the control point."""

    command: int
    measurement: int
    error: int
    parameters: bytes

    @property
    def ok(self) -> bool:
        """Done, or already so: error 6 is what a start finds when the stream still runs."""
        return self.error in (0, ALREADY)

    @property
    def said(self) -> str:
        """The error in words."""
        return ERRORS.get(self.error, f"error {self.error}")


def decode_ecg(data: bytes) -> EcgFrame:
    """Read an ECG notification: s24 little endian microvolts, frame type 0.

    Raises:
        PmdError: another measurement, a frame type the H10 does not send, or a torn packet.
    """
    if len(data) < HEADER:
        raise PmdError(f"PMD packet of {len(data)} bytes; {HEADER} is the least")
    if data[0] & 0x3F != Measurement.ECG:
        raise PmdError(f"PMD measurement {data[0] & 0x3F}; only ECG (0) is read")
    kind = data[9]
    if kind != 0:
        packed = "compressed " if kind & COMPRESSED else ""
        raise PmdError(f"PMD {packed}ECG frame type {kind & 0x7F}; only type 0 is known")
    body = data[HEADER:]
    if not body or len(body) % SAMPLE:
        raise PmdError(f"PMD ECG frame with {len(body)} bytes of samples; 3 make one")
    octets = np.frombuffer(body, np.uint8).reshape(-1, SAMPLE).astype(np.int32)
    values = octets[:, 0] | octets[:, 1] << 8 | octets[:, 2] << 16
    signed = (values ^ 0x800000) - 0x800000
    (last_ns,) = struct.unpack_from("<Q", data, 1)
    return EcgFrame(last_ns, signed[:, None].astype(np.int32))


def decode_response(data: bytes) -> Response | None:
    """Read an indication; None for what answers no command (a stream was stopped).

    Raises:
        PmdError: a torn answer.
    """
    if not data or data[0] != RESPONSE:
        return None
    if len(data) < 4:
        raise PmdError(f"PMD answer of {len(data)} bytes; 4 is the least")
    return Response(data[1], data[2], data[3], data[5:])


def has_ecg(features: bytes) -> bool:
    """Whether a read of the control point offers ECG (the H9 and old firmware do not)."""
    return len(features) >= 2 and features[0] == FEATURES and bool(features[1] & ECG_FEATURE)


def settings(parameters: bytes) -> dict[int, list[int]]:
    """Setting type → values offered, little endian.

    Raises:
        PmdError: a setting of unknown size or a torn list.
    """
    offered: dict[int, list[int]] = {}
    at = 0
    while at < len(parameters):
        kind, count = parameters[at], parameters[at + 1] if at + 1 < len(parameters) else 0
        size = _SETTING_SIZE.get(kind)
        end = at + 2 + (size or 0) * count
        if size is None or not count or end > len(parameters):
            raise PmdError(f"PMD setting {kind} x {count} does not fit {len(parameters)} bytes")
        values = parameters[at + 2 : end]
        offered[kind] = [
            int.from_bytes(values[i : i + size], "little") for i in range(0, len(values), size)
        ]
        at = end
    return offered


def get_settings() -> bytes:
    """Ask which ECG settings there are."""
    return bytes((Command.GET_SETTINGS, Measurement.ECG))


def start_ecg(offered: dict[int, list[int]]) -> bytes:
    """Start the ECG with the first rate and resolution on offer (the H10 has one of each)."""
    rate = offered.get(_RATE, [round(RATE_HZ)])[0]
    bits = offered.get(_RESOLUTION, [RESOLUTION_BITS])[0]
    chosen = struct.pack("<BBHBBH", _RATE, 1, rate, _RESOLUTION, 1, bits)
    return bytes((Command.START, Measurement.ECG)) + chosen


def stop_ecg() -> bytes:
    """Stop the ECG: a running stream keeps the strap awake for hours."""
    return bytes((Command.STOP, Measurement.ECG))


def rate_of(offered: dict[int, list[int]]) -> float:
    """The rate that ``start_ecg`` will choose, Hz."""
    return float(offered.get(_RATE, [round(RATE_HZ)])[0])
