"""Movesense GATT SensorData Protocol (GSP): commands out, answers and measurements in. Sans-I/O.

Source: Movesense's GSP documentation as sokolmarek/movesense-commander and sensein/movesense-py
read it, checked on real payloads. A packet too long for one notification comes as kind 2 and
goes on as kind 3; only its resource tells how long it must be, so the assembler is told.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from drivers.samples import Counts

SERVICE: Final = "34802252-7185-4d5d-b431-630e7050e8f0"
COMMAND: Final = "34800001-7185-4d5d-b431-630e7050e8f0"
DATA: Final = "34800002-7185-4d5d-b431-630e7050e8f0"

RATES_HZ: Final = (125, 128, 200, 250, 256, 500, 512)
SAMPLES: Final = 16
"""An ECG packet always holds so many."""
RAW_MICROVOLTS: Final = 0.381469726563
"""One count of the raw path; the other path's counts are microvolts already."""
CLAMP_MICROVOLTS: Final = 32_767
"""Beyond it the microvolt path stands still."""
RAW_FULL_SCALE: Final = (-(1 << 17), (1 << 17) - 1)
"""18 bits of the MAX30003."""

HEART_RATE_PATH: Final = "/Meas/HR"
BATTERY_PATH: Final = "/System/Energy/Level"
INFO_PATH: Final = "/Meas/ECG/Info"
TIME_PATH: Final = "/Time/Detailed"

OK: Final = (200, 202)
NOT_FOUND: Final = 404
SLOTS_USED_UP: Final = 429
STATUS: Final = {
    400: "bad request",
    404: "not there",
    409: "in use with another rate",
    429: "all request slots used up",
    503: "busy",
}

LONGEST_NOTIFICATION: Final = 512
"""Of a Bluetooth attribute; also the most that is kept of an unfinished packet."""


class Code(IntEnum):
    """First byte of a command; those that erase or switch off are not here on purpose."""

    HELLO = 0
    SUBSCRIBE = 1
    UNSUBSCRIBE = 2
    GET = 4
    PUT_SYSTEM_MODE = 7
    PUT_UTC_TIME = 8


class Kind(IntEnum):
    """First byte of a notification."""

    ANSWER = 1
    DATA = 2
    CONTINUED = 3


APPLICATION_MODE: Final = 5
"""System mode whose setting reboots the sensor: the only cure for status 429."""


class GspError(ValueError):
    """Bytes that are no GSP packet we can read; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a command of ours."""

    reference: int
    body: bytes
    """From the status on; HELLO has none."""

    @property
    def status(self) -> int:
        """As in HTTP; 0 where the answer is too short to hold one."""
        return int.from_bytes(self.body[:2], "little") if len(self.body) >= 2 else 0

    @property
    def ok(self) -> bool:
        """Done or accepted."""
        return self.status in OK

    @property
    def said(self) -> str:
        """The status in words."""
        return f"{self.status}, {STATUS[self.status]}" if self.status in STATUS else self.number

    @property
    def number(self) -> str:
        """The bare status."""
        return f"status {self.status}"

    @property
    def value(self) -> bytes:
        """What was asked for."""
        return self.body[2:]


@dataclass(frozen=True, slots=True)
class Packet:
    """A whole packet of a subscription."""

    reference: int
    payload: bytes


class Assembler:
    """Notifications to whole packets. ``lengths``: reference → payload length, none = any.

    Never raises. An unfinished packet is dropped, and counted, when the next one begins.
    """

    def __init__(self, lengths: Mapping[int, int] | None = None) -> None:
        self.lengths: dict[int, int] = dict(lengths or {})
        self.damaged = 0
        """Notifications that made no packet."""
        self._begun: dict[int, bytes] = {}

    @property
    def pending(self) -> int:
        """Bytes kept for a continuation."""
        return sum(map(len, self._begun.values()))

    def expect(self, reference: int, length: int | None) -> None:
        """A subscription whose packets have ``length`` payload bytes, None for any length."""
        if length is not None:
            self.lengths[reference] = length

    def forget(self) -> None:
        """The link is new: no subscription is left."""
        self.lengths.clear()
        self._begun.clear()

    def feed(self, data: bytes) -> Answer | Packet | None:
        """Take one notification; None where it completes nothing."""
        if len(data) < 2:
            self.damaged += 1
            return None
        kind, reference, body = data[0], data[1], data[2:]
        if kind == Kind.ANSWER:
            return Answer(reference, body)
        if kind == Kind.DATA:
            if self._begun.pop(reference, None) is not None:
                self.damaged += 1
            return self._whole(reference, body)
        begun = self._begun.pop(reference, None) if kind == Kind.CONTINUED else None
        if begun is None:
            self.damaged += 1
            return None
        return self._whole(reference, begun + body)

    def _whole(self, reference: int, payload: bytes) -> Packet | None:
        length = self.lengths.get(reference)
        if length is None or len(payload) == length:
            return Packet(reference, payload)
        if len(payload) > min(length, LONGEST_NOTIFICATION):
            self.damaged += 1
            return None
        self._begun[reference] = payload
        return None


@dataclass(frozen=True, slots=True)
class EcgPacket:
    """16 samples."""

    first_ms: int
    """Milliseconds since the sensor booted, of the first sample; begins anew after 2**32."""
    counts: Counts
    """Shape (16, 1)."""


@dataclass(frozen=True, slots=True)
class HeartRatePacket:
    """What the sensor itself found; it comes with each beat, without a time."""

    rate_bpm: float | None
    """The sensor's average; None where it has none."""
    rr_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hello:
    """Who the sensor is."""

    protocol: int
    serial_number: str
    product: str
    application: str
    version: str


@dataclass(frozen=True, slots=True)
class EcgInfo:
    """What the ECG can be set to."""

    rates_hz: tuple[int, ...]
    array_size: int
    low_pass_hz: tuple[int, ...]
    high_pass_hz: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DetailedTime:
    """The sensor's two clocks at one instant."""

    utc_us: int
    relative_ms: int


def ecg_path(rate_hz: int, *, raw: bool = False) -> str:
    """The resource of an ECG: in microvolts, or in the converter's counts."""
    return f"/Meas/ECG/{rate_hz}" + ("" if raw else "/mV")


def ecg_bytes(*, raw: bool = False) -> int:
    """Payload of one ECG packet."""
    return 4 + SAMPLES * (4 if raw else 2)


def decode_ecg(payload: bytes, *, raw: bool = False) -> EcgPacket:
    """Read an ECG payload.

    Raises:
        GspError: of another length.
    """
    if len(payload) != ecg_bytes(raw=raw):
        raise GspError(f"ECG packet of {len(payload)} bytes; {ecg_bytes(raw=raw)} are due")
    values = np.frombuffer(payload, "<i4" if raw else "<i2", SAMPLES, 4)
    (first_ms,) = struct.unpack_from("<I", payload)
    return EcgPacket(first_ms, values[:, None].astype(np.int32))


def decode_heart_rate(payload: bytes) -> HeartRatePacket:
    """Read a heart rate payload.

    Raises:
        GspError: too short, or half an interval at its end.
    """
    if len(payload) < 4 or len(payload) % 2:
        raise GspError(f"heart rate packet of {len(payload)} bytes; 4 and 2 an interval are due")
    (rate,) = struct.unpack_from("<f", payload)
    found = rate if math.isfinite(rate) and 0 < rate < 1000 else None
    return HeartRatePacket(found, struct.unpack(f"<{len(payload) // 2 - 2}H", payload[4:]))


def decode_temperature(payload: bytes) -> tuple[int, float]:
    """Milliseconds since boot, kelvin.

    Raises:
        GspError: of another length.
    """
    if len(payload) != 8:
        raise GspError(f"temperature packet of {len(payload)} bytes; 8 are due")
    at_ms, kelvin = struct.unpack("<If", payload)
    return at_ms, kelvin


def decode_time(value: bytes) -> DetailedTime:
    """Read the answer to GET /Time/Detailed.

    Raises:
        GspError: too short.
    """
    if len(value) < 12:
        raise GspError(f"time of {len(value)} bytes; 12 are the least")
    return DetailedTime(*struct.unpack_from("<QI", value))


def decode_ecg_info(value: bytes) -> EcgInfo:
    """Read the answer to GET /Meas/ECG/Info.

    Raises:
        GspError: torn.
    """
    try:
        rates, at = _array(value, 0, "H")
        (size,) = struct.unpack_from("<H", value, at)
        low, at = _array(value, at + 2, "H")
        high, at = _array(value, at, "f")
    except (struct.error, IndexError):
        raise GspError(f"ECG info of {len(value)} bytes is torn") from None
    whole = [tuple(int(number) for number in numbers) for numbers in (rates, low)]
    return EcgInfo(whole[0], size, whole[1], high)


def _array(value: bytes, at: int, kind: str) -> tuple[tuple[float, ...], int]:
    layout = f"<{value[at]}{kind}"
    return struct.unpack_from(layout, value, at + 1), at + 1 + struct.calcsize(layout)


def decode_hello(body: bytes) -> Hello:
    """Read the answer to HELLO: a version, then texts that each end with NUL.

    Raises:
        GspError: fewer than five texts.
    """
    texts = [text.decode("utf-8", "replace") for text in body[1:].split(b"\0")]
    if len(texts) < 5:
        raise GspError(f"greeting with {len(texts)} texts; 5 are due")
    return Hello(body[0], texts[0], texts[1], texts[3], texts[4])


def command(code: Code, reference: int, payload: bytes = b"") -> bytes:
    """A command under a reference of one's own, 1 to 255."""
    return bytes((code, reference)) + payload


def path(resource: str) -> bytes:
    """A resource as SUBSCRIBE and GET want it."""
    return resource.encode() + b"\0"


def utc(utc_us: int) -> bytes:
    """The payload of PUT_UTC_TIME, microseconds since 1970."""
    return struct.pack("<Q", utc_us)
