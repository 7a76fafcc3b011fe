"""The whole unit with a Bluetooth sensor played by the BlueZ stand-in: a link cut and back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from support.bluez import Bluez
from support.unit import Unit

from drivers.scenario import ScenarioSource

ALARM_WITHIN_NS = 2_000_000_000
SAMPLES_WITHIN_NS = 5_000_000_000


@dataclass
class Wearer:
    """Sends packets in real time; time passes for the sensor whether it is heard or not."""

    packet_s: float
    send: Callable[[int], bool]
    """Sends packet ``number``; whether anybody was subscribed."""
    sent: list[int] = field(default_factory=list)

    async def run(self) -> None:
        """One packet after the other."""
        start, number = time.monotonic(), 0
        while True:
            await asyncio.sleep(max(0.0, start + number * self.packet_s - time.monotonic()))
            if self.send(number):
                self.sent.append(number)
            number += 1

    def unheard(self) -> int:
        """Packets between the first and the last one heard that nobody heard."""
        return self.sent[-1] - self.sent[0] + 1 - len(self.sent)


class Ecg:
    """Sinus rhythm in microvolts, in packets."""

    def __init__(self, rate_hz: float) -> None:
        self._source = ScenarioSource(rate_hz=rate_hz, scenario="sinus", seed=3)

    def take(self, count: int) -> list[int]:
        """The next samples."""
        found: list[int] = []
        while len(found) < count:
            chunk = self._source.read(count - len(found))
            found += [round(value) for value in chunk.microvolts[:, 0]]
        return found


async def until(true: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    """Wait for something."""
    give_up_at = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < give_up_at, f"waited in vain for {what}"
        await asyncio.sleep(0.1)


async def cut_and_return(
    unit: Unit,
    bluez: Bluez,
    wearer: Wearer,
    *,
    waves: bool = True,
    known: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Start, see a rate, cut the link for 3 s, see alarm and return; leaves the unit stopped.

    ``known`` waits for more than a rate before the cut.
    Asserts an alarm within 2 s of the cut, and samples (or readings) within 5 s of the return.
    """
    process = await asyncio.to_thread(unit.start)
    wearing = asyncio.create_task(wearer.run())
    try:
        await until(lambda: rates(unit), "a heart rate")
        if known is not None:
            await known()
        await asyncio.sleep(2.0)
        bluez.in_reach = False
        cut_ns = time.time_ns()
        bluez.cut()
        await until(lambda: alarms(unit, "device_lost"), "the loss as an alarm")
        (alarm_ns,) = alarms(unit, "device_lost")
        assert alarm_ns - cut_ns < ALARM_WITHIN_NS
        await asyncio.sleep(3.0)
        before = len(wearer.sent)
        bluez.in_reach = True
        back_ns = time.time_ns()
        bluez.advertise()
        await until(lambda: len(wearer.sent) > before, "a packet after the return")
        assert time.time_ns() - back_ns < SAMPLES_WITHIN_NS
        await until(lambda: alarms(unit, "device_lost", "end"), "the end of the alarm")
        if waves:
            await until(lambda: unit.rows("SELECT * FROM gaps"), "the gap in the store")
        await asyncio.sleep(1.5)
    finally:
        wearing.cancel()
        await asyncio.sleep(0.5)  # for the last packet to arrive
        await asyncio.to_thread(process.stop)


def rates(unit: Unit) -> list[float]:
    """Heart rates stored so far."""
    rows = unit.rows("SELECT rate_bpm FROM vitals WHERE rate_bpm IS NOT NULL ORDER BY number")
    return [row[0] for row in rows]


def alarms(unit: Unit, code: str, phase: str = "start") -> list[int]:
    """When an alarm started, or came to another phase: UTC ns."""
    query = "SELECT at_ns FROM alarm_changes WHERE code = ? AND phase = ? ORDER BY number"
    return [row[0] for row in unit.rows(query, code, phase)]


def gap(unit: Unit) -> tuple[str, int, int]:
    """Cause, count and exactness of the one gap."""
    ((cause, count, exact),) = unit.rows("SELECT cause, count, exact FROM gaps")
    return cause, count, exact


def stored(unit: Unit) -> int:
    """Samples in the store."""
    return int(unit.rows("SELECT coalesce(sum(count), 0) FROM waves")[0][0])


def folder_for(tmp_path: Path) -> Path:
    """Where the unit lives, beside the bus."""
    folder = tmp_path / "unit"
    folder.mkdir()
    return folder
