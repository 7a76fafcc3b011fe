"""What can be read: one line a kind of device, from the drivers themselves."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from drivers import catalogue
from drivers.plugins import Plugin, plugins, warn

RATES: Final = {
    "cyton": "250 Hz",
    "olimex": "256 Hz",
    "bitalino": "1000 or 100 Hz",
    "protocentral": "125 or 128 Hz",
    "shimmer3": "128 to 1024 Hz",
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
    quality: str
    """Level on the quality scale."""
    package: str = ""
    """Who brings it, where it isn't built in."""
    broken: str = ""
    """Why it can't be used; only of a plug-in."""


def kinds() -> list[KindInfo]:
    """Every kind of the catalogue, in its order."""
    brought = [_brought(plugin) for plugin in plugins(catalogue.KINDS)]
    return [*(describe(kind) for kind in catalogue.KINDS), *brought]


def _brought(plugin: Plugin) -> KindInfo:
    make, fault = plugin.load()
    if make is None:
        warn(plugin, fault)
        return KindInfo(plugin.kind, "", "", "", catalogue.CUSTOM, plugin.package, fault)
    module = importlib.import_module(make.__module__)
    transport, rate, note = _told(make, module)
    return KindInfo(plugin.kind, transport, rate, note, catalogue.CUSTOM, plugin.package)


def describe(kind: str) -> KindInfo:
    """One kind; what a driver doesn't tell stays empty."""
    found = catalogue.KINDS[kind]
    module = importlib.import_module(found[0])
    transport, rate, note = _told(getattr(module, found[1]), module)
    return KindInfo(
        kind,
        TRANSPORTS.get(kind) or transport,
        RATES.get(kind) or rate,
        note,
        catalogue.QUALITY.get(kind, ""),
    )


def _told(driver: Any, module: ModuleType) -> tuple[str, str, str]:
    """Transport, rate and note, as class and module tell them."""
    bases = (BASES.get(base.__name__, "") for base in getattr(driver, "__mro__", ()))
    transport = getattr(driver, "transport", "") or next(filter(None, bases), "")
    note = inspect.cleandoc(module.__doc__ or driver.__doc__ or "").split("\n")[0].rstrip(".")
    return str(transport), _rate(getattr(module, "RATE_HZ", None)), note


def _rate(rate_hz: object) -> str:
    return f"{rate_hz:g} Hz" if isinstance(rate_hz, int | float) else ""
