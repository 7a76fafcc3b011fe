"""The devices wardbeat can read: their names, and a driver for one of them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Final

from drivers.plugins import BrokenDriver, plugins, said, warn
from drivers.samples import Driver, DriverError

KINDS: Final = {
    "cyton": ("drivers.cyton", "Cyton"),
    "olimex": ("drivers.olimex", "Olimex"),
    "bitalino": ("drivers.bitalino", "Bitalino"),
    "protocentral": ("drivers.protocentral", "Protocentral"),
    "shimmer3": ("drivers.shimmer", "Shimmer3"),
    "text_lines": ("drivers.text_lines", "TextLines"),
    "polar_h10": ("drivers.polar", "PolarH10"),
    "movesense": ("drivers.movesense", "Movesense"),
    "ganglion": ("drivers.ganglion", "Ganglion"),
    "heart_rate": ("drivers.heart_rate", "HeartRateStrap"),
    "intellivue": ("drivers.intellivue", "IntelliVue"),
    "replay": ("drivers.replay", "ReplayDriver"),
}
"""Kind in the configuration → module and class; imported only when a bed has one."""

QUALITY: Final = {
    "cyton": "silver",
    "olimex": "gold",
    "bitalino": "silver",
    "protocentral": "silver",
    "shimmer3": "gold",
    "text_lines": "silver",
    "polar_h10": "gold",
    "movesense": "gold",
    "ganglion": "silver",
    "heart_rate": "silver",
    "intellivue": "gold",
    "replay": "gold",
}
"""Kind → its level in docs/devices/quality_scale.md, which the tests hold it to."""

CUSTOM: Final = "custom"
"""The level of every driver that another package brings."""

INJECTED: Final = frozenset({"now_ns", "utc_ns", "sleep", "random"})
"""Parameters of drivers that tests set and a configuration must not."""


def names() -> tuple[str, ...]:
    """Every known kind of device: those built in, then those of plug-ins."""
    return (*KINDS, *(plugin.kind for plugin in plugins(KINDS) if not plugin.fault))


def create(
    kind: str,
    address: str,
    options: Mapping[str, object],
    *,
    now_ns: Callable[[], int] | None = None,
) -> Driver:
    """A driver for the device of ``kind`` at ``address``; nothing is opened yet.

    ``now_ns`` is its clock where that is not the host's: in a replay.

    Raises :class:`DriverError` for a kind or an option that does not exist, naming the nearest
    one that does, and for a value the device cannot have. A plug-in that is broken gives a
    driver that only says so: one package must not keep a unit from starting.
    """
    if kind not in KINDS:
        brought = next((p for p in plugins(KINDS) if p.kind == kind), None)
        if brought is not None:
            make, fault = brought.load()
            if make is not None:
                return _made(make, kind, address, options, now_ns, brought.package)
            warn(brought, fault)
            return BrokenDriver(address, f"driver {kind} of {brought.package} {fault}")
        raise DriverError(
            f"no kind of device is called {kind!r}",
            address,
            _nearest(kind, names()),
            transient=False,
        )
    module, name = KINDS[kind]
    make = getattr(importlib.import_module(module), name)
    return _made(make, kind, address, options, now_ns)


def _made(
    make: Callable[..., Driver],
    kind: str,
    address: str,
    options: Mapping[str, object],
    now_ns: Callable[[], int] | None,
    package: str = "",
) -> Driver:
    _check_options(make, kind, address, options)
    try:
        return make(address, **options, **({"now_ns": now_ns} if now_ns else {}))
    except DriverError:
        raise
    except (TypeError, ValueError) as fault:
        raise DriverError(
            f"options {dict(options)} do not fit {kind} ({fault})",
            address,
            "correct their values",
            transient=False,
        ) from fault
    except Exception as fault:
        if not package:
            raise
        return BrokenDriver(address, f"driver {kind} of {package} failed ({said(fault)})")


def _check_options(
    make: Callable[..., Driver], kind: str, address: str, options: Mapping[str, object]
) -> None:
    parameters = list(inspect.signature(make).parameters)
    known = [name for name in parameters[1:] if name not in INJECTED]
    for option in options:
        if option not in known:
            raise DriverError(
                f"{kind} has no option {option!r}",
                address,
                _nearest(option, known),
                transient=False,
            )


def _nearest(wrong: str, known: tuple[str, ...] | list[str]) -> str:
    close = get_close_matches(wrong, known, n=1)
    every = ", ".join(known)
    return f"did you mean {close[0]!r}? There are {every}" if close else f"there are {every}"
