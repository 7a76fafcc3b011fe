"""A Movesense sensor's side of GSP: commands in, notifications out; no clock and no radio."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from drivers.decoders import movesense as gsp

SERIAL_NUMBER = "250230002214"
SLOTS = 2
"""Subscriptions this sensor can hold besides."""


class EmulatedMovesense:
    """One sensor with its subscriptions; ``boot_ms`` is the caller's clock since it booted.

    ``slots`` below 2 answers 429; ``payload_limit`` cuts packets into kind 2 and kind 3;
    ``only_raw`` is an older firmware without the microvolt path.
    """

    def __init__(self) -> None:
        self.slots = SLOTS
        self.payload_limit = 244
        self.only_raw = False
        self.reboots = 0
        self.utc_us = 0
        self.subscriptions: dict[int, str] = {}
        self.commands: list[bytes] = []

    def unlinked(self) -> None:
        """The link is gone, and with it every subscription."""
        self.subscriptions.clear()

    @property
    def ecg_reference(self) -> int | None:
        """Of the running ECG."""
        found = (r for r, p in self.subscriptions.items() if p.startswith("/Meas/ECG/"))
        return next(found, None)

    def receive(self, data: bytes) -> list[bytes]:
        """Take a command; its notifications."""
        self.commands.append(data)
        code, reference, payload = data[0], data[1], data[2:]
        resource = payload.rstrip(b"\0").decode("utf-8", "replace")
        match code:
            case gsp.Code.HELLO:
                texts = (SERIAL_NUMBER, "Movesense Flash", "0C8CDC000001", "gatt", "1.0.0")
                body = b"\1" + b"".join(text.encode() + b"\0" for text in texts)
                return [bytes((gsp.Kind.ANSWER, reference)) + body]
            case gsp.Code.SUBSCRIBE:
                return [self._answer(reference, self._subscribe(reference, resource))]
            case gsp.Code.UNSUBSCRIBE:
                known = self.subscriptions.pop(reference, None) is not None
                return [self._answer(reference, 200 if known else gsp.NOT_FOUND)]
            case gsp.Code.GET if resource == gsp.BATTERY_PATH:
                return [self._answer(reference, 200, bytes([77]))]
            case gsp.Code.PUT_UTC_TIME:
                (self.utc_us,) = struct.unpack("<Q", payload)
                return [self._answer(reference, 200)]
            case gsp.Code.PUT_SYSTEM_MODE:
                self.reboots += 1
                self.slots = SLOTS
                self.subscriptions.clear()
                return []
        return [self._answer(reference, gsp.NOT_FOUND)]

    def ecg(self, first_ms: int, microvolts: Sequence[int]) -> list[bytes]:
        """16 samples from ``first_ms`` on, if somebody subscribed."""
        reference = self.ecg_reference
        if reference is None:
            return []
        stamp = struct.pack("<I", first_ms % (1 << 32))
        if self.subscriptions[reference].endswith("/mV"):
            lowest, highest = -32_768, gsp.CLAMP_MICROVOLTS
            body = struct.pack("<16h", *(min(max(v, lowest), highest) for v in microvolts))
        else:
            body = struct.pack("<16i", *(round(v / gsp.RAW_MICROVOLTS) for v in microvolts))
        return self._data(reference, stamp + body)

    def heart_rate(self, rate_bpm: float, rr_ms: Iterable[int]) -> list[bytes]:
        """A beat, if somebody subscribed."""
        intervals = tuple(rr_ms)
        body = struct.pack(f"<f{len(intervals)}H", rate_bpm, *intervals)
        found = (r for r, p in self.subscriptions.items() if p == gsp.HEART_RATE_PATH)
        return [part for reference in found for part in self._data(reference, body)]

    def _subscribe(self, reference: int, resource: str) -> int:
        known = {gsp.HEART_RATE_PATH} | {
            gsp.ecg_path(rate, raw=raw)
            for rate in gsp.RATES_HZ
            for raw in ((True,) if self.only_raw else (True, False))
        }
        if resource not in known:
            return gsp.NOT_FOUND
        if len(self.subscriptions) >= self.slots:
            return gsp.SLOTS_USED_UP
        self.subscriptions[reference] = resource
        return 200

    def _data(self, reference: int, payload: bytes) -> list[bytes]:
        cuts = range(0, len(payload), self.payload_limit)
        return [
            bytes((gsp.Kind.CONTINUED if cut else gsp.Kind.DATA, reference))
            + payload[cut : cut + self.payload_limit]
            for cut in cuts
        ]

    @staticmethod
    def _answer(reference: int, status: int, value: bytes = b"") -> bytes:
        return bytes((gsp.Kind.ANSWER, reference)) + status.to_bytes(2, "little") + value
