"""The Bluetooth link itself: what others left behind, one attempt at a time, contact or link."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.ble_bench import in_reach, reasons, running, states, until
from support.bluez import Bluez, PrivateBus, Strap

from drivers import ble_link
from drivers.heart_rate import HeartRateStrap
from drivers.polar import PolarH10
from drivers.samples import DriverError, HeartRateReading, LeadState, LinkState


async def test_a_link_that_an_earlier_program_left_is_ended_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_reach(Strap(), tmp_path, monkeypatch) as bluez:
        bluez.device.is_connected = True
        async with running(worn()) as events:
            await until(lambda: rate_of(bluez).notifying, "the subscription")
            assert bluez.device.disconnects == 1, "a connected strap does not advertise"
            assert bluez.connects == 1
        assert not reasons(events)


async def test_an_attempt_without_end_is_ended_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_reach(Strap(), tmp_path, monkeypatch) as bluez:
        bluez.device.is_connecting = True
        async with running(worn()) as events:
            await until(lambda: rate_of(bluez).notifying, "the subscription")
        assert not any("InProgress" in reason for reason in reasons(events))


async def test_an_attempt_that_begins_to_hang_later_is_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_reach(Strap(), tmp_path, monkeypatch) as bluez:
        async with running(worn()) as events:
            await until(lambda: rate_of(bluez).notifying, "the subscription")
            bluez.cut()
            bluez.device.is_connecting = True
            await until(lambda: rate_of(bluez).notifying, "the subscription again")
        assert LinkState.LOST in states(events)


async def test_two_connects_never_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bleak import BleakClient

    running_now, most = 0, 0
    connect = BleakClient.connect

    async def counted(client: BleakClient, **options: object) -> None:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        try:
            await asyncio.sleep(0.3)
            await connect(client)
        finally:
            running_now -= 1

    monkeypatch.setattr(BleakClient, "connect", counted)
    async with in_reach(Strap(), tmp_path, monkeypatch) as bluez:

        async def attempt(address: str) -> None:
            async with ble_link.connected(address):
                await asyncio.sleep(0.1)

        await asyncio.gather(
            *(attempt(address) for address in ("1234ABCD", "Polar H10 1234ABCD", "1234ABCD")),
            return_exceptions=True,
        )
        assert bluez.connects >= 1
    assert most == 1


async def test_a_strap_that_is_away_keeps_no_other_from_connecting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_reach(Strap(), tmp_path, monkeypatch) as bluez:

        async def away() -> None:
            async with ble_link.connected("Polar H10 00000000"):
                pass

        search = asyncio.create_task(away())
        await asyncio.sleep(0.3)
        async with running(worn()):
            await until(lambda: rate_of(bluez).notifying, "the subscription", 5)
            assert not search.done(), "the other one is still being searched"
        search.cancel()
        with pytest.raises((asyncio.CancelledError, DriverError)):
            await search


async def test_contact_lost_is_no_link_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strap = Strap()
    async with in_reach(strap, tmp_path, monkeypatch) as bluez, running(worn()) as events:
        await until(lambda: strap.rate.notifying, "the subscription")
        strap.rate.send(bytes.fromhex("164d1603"))
        strap.rate.send(bytes.fromhex("0400"))
        await until(lambda: len(readings(events)) == 2, "both readings")
        assert LinkState.LOST not in states(events)
        bluez.cut()
        await until(lambda: LinkState.LOST in states(events), "the loss")
    told = readings(events)
    assert [one.contact for one in told] == [LeadState.ON, LeadState.OFF]
    assert told[1].rate_bpm is None


async def test_first_packets_are_heard_because_notifications_are_not_acquired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strap = Strap()
    # The stand-in has no AcquireNotify, which loses what comes before its socket is read.
    strap.rate.greets = bytes.fromhex("063c")
    async with in_reach(strap, tmp_path, monkeypatch), running(worn()) as events:
        await until(lambda: readings(events), "the packet sent at once")


async def test_a_refused_start_says_so_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strap = Strap()
    strap.refuses = "f002000a00"
    async with in_reach(strap, tmp_path, monkeypatch), running(PolarH10("1234ABCD")) as events:
        await until(lambda: LinkState.LOST in states(events), "the refusal")
        strap.refuses = ""
        await until(lambda: strap.streaming, "the stream")
    assert any("refused to start the ECG: MTU too small" in one for one in reasons(events))


async def test_bluez_that_does_not_answer_is_no_fault_of_the_clean_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dbus").mkdir()
    bus = PrivateBus(tmp_path / "dbus")
    await bus.up()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    try:
        assert await ble_link.ble_stale.clean(lambda address, name: True) == 0
    finally:
        bus.stop()


def worn() -> HeartRateStrap:
    """The strap's driver."""
    return HeartRateStrap("1234ABCD")


def rate_of(bluez: Bluez):  # type: ignore[no-untyped-def]
    """The strap's heart rate characteristic."""
    assert isinstance(bluez.peripheral, Strap)
    return bluez.peripheral.rate


def readings(events: list[object]) -> list[HeartRateReading]:
    return [event for event in events if isinstance(event, HeartRateReading)]
