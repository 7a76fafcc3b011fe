"""The whole unit with a Polar H10 played by the BlueZ stand-in: real ECG, a cut link, the gap."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.ble_bedside import ALARM_WITHIN_NS, SAMPLES_WITHIN_NS, alarms, rates, until
from support.bluez import Bluez, PrivateBus
from support.unit import Unit

PACKET = 73
PACKET_S = 0.5613
CONTACT = bytes.fromhex("163c1104")


@pytest.fixture
async def bluez(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bluez]:
    """A BlueZ with a strap in reach; processes started later find it."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("needs dbus-daemon (Debian package dbus-daemon)")
    (tmp_path / "dbus").mkdir()
    bus = PrivateBus(tmp_path / "dbus")
    await bus.up()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    stand_in = Bluez()
    await stand_in.start(bus.address)
    yield stand_in
    stand_in.stop()
    bus.stop()


class Wearer:
    """Sends the recording's packets as the strap would, in real time; packets pass unheard too."""

    def __init__(self, bluez: Bluez, packets: list[bytes]) -> None:
        self._bluez, self._packets = bluez, packets
        self.sent: list[int] = []

    async def run(self) -> None:
        """One packet after the other; only while a stream runs does anybody hear it."""
        start = time.monotonic()
        for number, packet in enumerate(self._packets):
            await asyncio.sleep(max(0.0, start + number * PACKET_S - time.monotonic()))
            if self._bluez.strap.streaming and self._bluez.strap.data.notifying:
                self._bluez.strap.rate.send(CONTACT)
                self._bluez.strap.data.send(packet)
                self.sent.append(number)


async def test_polar_from_strap_to_store(tmp_path: Path, bluez: Bluez, shared: Path) -> None:
    recording = shared / "captures" / "polar_h10" / "hr_data_2023-01-13_11-40-07.bin"
    data = recording.read_bytes()[24 + 200 * 233 : 24 + 500 * 233]
    wearer = Wearer(bluez, [data[k + 4 : k + 233] for k in range(0, len(data), 233)])
    unit = Unit(tmp_path, driver="polar_h10", address="1234ABCD")
    process = await asyncio.to_thread(unit.start)
    wearing = asyncio.create_task(wearer.run())
    try:
        await until(lambda: rates(unit), "a heart rate")
        before = len(wearer.sent)
        cut_ns = time.time_ns()
        bluez.cut()
        await until(lambda: alarms(unit, "device_lost"), "the loss as an alarm")
        await until(lambda: len(wearer.sent) > before, "a packet after the return")
        assert time.time_ns() - cut_ns < SAMPLES_WITHIN_NS
        (alarm_ns,) = alarms(unit, "device_lost")
        assert alarm_ns - cut_ns < ALARM_WITHIN_NS
        await until(lambda: len(wearer.sent) > before + 4, "packets after the return")
        await until(lambda: unit.rows("SELECT * FROM gaps"), "the gap in the store")
    finally:
        wearing.cancel()
        await asyncio.to_thread(process.stop)
    cause, count, exact = unit.rows("SELECT cause, count, exact FROM gaps")[0]
    jumps = [b - a - 1 for a, b in zip(wearer.sent, wearer.sent[1:], strict=False) if b > a + 1]
    assert (cause, exact) == ("link_lost", 1)
    assert count == sum(jumps) * PACKET, "what the strap sent unheard, to the sample"
    assert 40 < rates(unit)[-1] < 130
    assert {row[0] for row in unit.rows("SELECT DISTINCT lead_states FROM waves")} >= {"on"}
    assert unit.rows("SELECT count(*) FROM beats")[0][0] > 3
