"""What can be read: one line a kind of device, from the drivers themselves."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import Final

from drivers import catalogue

RATES: Final = {
    "cyton": "250 Hz",
    "olimex": "256 Hz",
    "text_lines": "measured",
    "polar_h10": "130 Hz",
    "movesense": "125 to 512 Hz",
    "ganglion": "200 Hz",
    "heart_rate": "rate, RR",
    "intellivue": "250 or 500 Hz",
    "replay": "the record's",
}
TRANSPORTS: Final = {"intellivue": "UDP, RS-232", "replay": "file"}
"""Of drivers that share no base class; the others' base tells it."""
BASES: Final = {"SerialDevice": "serial", "BleDevice": "Bluetooth LE"}


@dataclass(frozen=True, slots=True)
class KindInfo:
    """A kind of device as a person chooses it."""

    kind: str
    """For ``driver =`` in the configuration."""
    transport: str
    rate: str
    note: str
    """What it is, one line."""


def kinds() -> list[KindInfo]:
    """Every kind of the catalogue, in its order."""
    return [describe(kind) for kind in catalogue.names()]


def describe(kind: str) -> KindInfo:
    """One kind; what a driver doesn't tell stays empty."""
    found = catalogue.KINDS[kind]
    module = importlib.import_module(found[0])
    driver = getattr(module, found[1])
    bases = (BASES.get(base.__name__, "") for base in driver.__mro__)
    transport = TRANSPORTS.get(kind) or next(filter(None, bases), "")
    rate = RATES.get(kind) or _rate(getattr(module, "RATE_HZ", None))
    note = inspect.cleandoc(module.__doc__ or driver.__doc__ or "").split("\n")[0].rstrip(".")
    return KindInfo(kind, transport, rate, note)


def _rate(rate_hz: object) -> str:
    return f"{rate_hz:g} Hz" if isinstance(rate_hz, int | float) else ""
