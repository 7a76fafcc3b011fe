"""Drivers that other packages bring: entry points of the group ``wardbeat.drivers``.

A broken one warns and stands in for itself: its bed says why, the others start. A package can't
take a built-in driver's name, nor one that another package has.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from drivers.samples import Driver, Emit, LinkChange, LinkHealth, LinkState

GROUP: Final = "wardbeat.drivers"
_NAME = re.compile(r"[a-z][a-z0-9_]*")

log = logging.getLogger(__name__)
_warned: set[str] = set()


@dataclass(frozen=True, slots=True)
class Plugin:
    """One driver of another package."""

    kind: str
    package: str
    """Name and version of who brings it."""
    entry: EntryPoint | None
    fault: str = ""
    """Why it can't be used, known without loading it."""

    def load(self) -> tuple[Callable[..., Driver] | None, str]:
        """Its driver class, or None and why not. Whatever it does on import stays its own fault."""
        if self.entry is None or self.fault:
            return None, self.fault
        try:
            make = self.entry.load()
        except Exception as fault:
            return None, f"can't be loaded ({said(fault)})"
        if not callable(make) or not callable(getattr(make, "run", None)):
            return None, f"{self.entry.value} is no driver class: it has no run(emit)"
        driver: Callable[..., Driver] = make
        return driver, ""


def plugins(built_in: Collection[str]) -> list[Plugin]:
    """Every plug-in that is installed, by name; those whose name is taken bear that fault."""
    found: dict[str, Plugin] = {}
    refused: list[Plugin] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown package"
        fault = ""
        if not _NAME.fullmatch(entry.name):
            fault = "its name must be small letters, digits and _, as a configuration writes it"
        elif entry.name in built_in:
            fault = "its name is that of a built-in driver, which stays"
        elif entry.name in found:
            if found[entry.name].entry == entry:
                continue
            fault = f"its name is taken by {found[entry.name].package}"
        plugin = Plugin(entry.name, package, entry, fault)
        if fault:
            refused.append(plugin)
            warn(plugin, fault)
        else:
            found[entry.name] = plugin
    return [*found.values(), *refused]


def warn(plugin: Plugin, fault: str) -> None:
    """Say it in the log, once."""
    line = f"driver {plugin.kind} of {plugin.package}: {fault}; update or remove that package"
    if line not in _warned:
        _warned.add(line)
        log.warning("%s", line)


def said(fault: Exception) -> str:
    """An exception in a few words, on one line."""
    text = " ".join(str(fault).split())[:120]
    return f"{type(fault).__name__}: {text}" if text else type(fault).__name__


class BrokenDriver:
    """Stands where a plug-in should: says why there is no device, and waits."""

    def __init__(
        self, address: str, reason: str, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.health = LinkHealth()
        self.address = address
        self.reason = reason
        self._now_ns = now_ns

    async def run(self, emit: Emit) -> None:
        """Tell of it once, until cancelled."""
        reason = f"{self.address}: {self.reason}"
        emit(LinkChange(LinkState.SEARCHING, self._now_ns()))
        emit(LinkChange(LinkState.LOST, self._now_ns(), reason))
        await asyncio.Event().wait()
