"""What the Bluetooth tests share: a driver at work, what it told, waiting."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from support.bluez import Bluez, Peripheral, PrivateBus

from drivers.samples import Driver, DriverEvent, Gap, LinkChange, LinkState, SampleBlock


@asynccontextmanager
async def in_reach(
    peripheral: Peripheral, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bluez]:
    """A BlueZ with a peripheral in reach; drivers, and processes started later, find it."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("needs dbus-daemon (Debian package dbus-daemon)")
    (tmp_path / "dbus").mkdir()
    bus = PrivateBus(tmp_path / "dbus")
    await bus.up()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    stand_in = Bluez(peripheral)
    await stand_in.start(bus.address)
    try:
        yield stand_in
    finally:
        stand_in.stop()
        bus.stop()


@asynccontextmanager
async def running(driver: Driver) -> AsyncIterator[list[DriverEvent]]:
    """A driver at work, and what it told."""
    events: list[DriverEvent] = []
    task = asyncio.create_task(driver.run(events.append))
    try:
        yield events
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(true: Callable[[], object], what: str, timeout_s: float = 25.0) -> None:
    """Wait for something."""
    try:
        async with asyncio.timeout(timeout_s):
            while not true():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"waited in vain for {what}") from None


def samples(events: list[DriverEvent]) -> int:
    """Samples told so far."""
    return sum(len(e.counts) for e in events if isinstance(e, SampleBlock))


def values(events: list[DriverEvent]) -> list[int]:
    """All counts of the first lead."""
    blocks = [e.counts[:, 0] for e in events if isinstance(e, SampleBlock)]
    return [int(value) for value in np.concatenate(blocks)] if blocks else []


def gaps(events: list[DriverEvent]) -> list[Gap]:
    """All gaps."""
    return [e for e in events if isinstance(e, Gap)]


def states(events: list[DriverEvent]) -> list[LinkState]:
    """The link's walk."""
    return [e.state for e in events if isinstance(e, LinkChange)]


def reasons(events: list[DriverEvent]) -> list[str]:
    """What a person was told of the link."""
    return [e.reason for e in events if isinstance(e, LinkChange) and e.reason]
