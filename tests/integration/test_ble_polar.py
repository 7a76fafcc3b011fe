"""Polar H10 through bleak's real BlueZ backend, against a stand-in on a private D-Bus."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from support.bluez import Bluez, PrivateBus, ecg_packet

from drivers.heart_rate import HeartRateStrap
from drivers.polar import PolarH10
from drivers.samples import (
    BatteryReading,
    Driver,
    DriverEvent,
    Gap,
    GapCause,
    HeartRateReading,
    LeadState,
    LinkChange,
    LinkState,
    SampleBlock,
    StreamInfo,
)

T0 = 599_616_000_000_000_000
PERIOD_NS = 1e9 / 130.045
PACKET = 73


def packet(number: int) -> bytes:
    """The strap's packet ``number``: a ramp, so that every sample is known."""
    first = number * PACKET
    last_ns = T0 + round((first + PACKET - 1) * PERIOD_NS)
    return ecg_packet(last_ns, [k % 4000 - 2000 for k in range(first, first + PACKET)])


@pytest.fixture
async def bluez(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bluez]:
    """A BlueZ with a strap in reach."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("needs dbus-daemon (Debian package dbus-daemon)")
    bus = PrivateBus(tmp_path)
    await bus.up()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    stand_in = Bluez()
    await stand_in.start(bus.address)
    yield stand_in
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


async def until(true: object, what: str, timeout_s: float = 25.0) -> None:
    """Wait for something."""
    assert callable(true)
    try:
        async with asyncio.timeout(timeout_s):
            while not true():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"waited in vain for {what}") from None


def samples(events: list[DriverEvent]) -> int:
    """Samples told so far."""
    return sum(len(e.counts) for e in events if isinstance(e, SampleBlock))


async def test_streams_loses_the_link_and_recovers_with_an_exact_gap(bluez: Bluez) -> None:
    strap = PolarH10("1234ABCD")
    async with running(strap) as events:
        await until(lambda: bluez.strap.streaming, "the stream")
        for number in range(3):
            bluez.strap.data.send(packet(number))
        await until(lambda: samples(events) == 3 * PACKET, "three packets")
        bluez.cut()
        await until(lambda: link_states(events)[-1:] != [LinkState.STREAMING], "the loss")
        await until(lambda: bluez.strap.streaming, "the stream again")
        # The sensor's clock ran on: by it, five packets are missing.
        await asyncio.sleep(1.0)
        bluez.strap.data.send(packet(8))
        await until(lambda: samples(events) == 4 * PACKET, "the packet after the loss")
    info = next(e for e in events if isinstance(e, StreamInfo))
    assert info.device == "Polar H10"
    assert info.leads[0].microvolts_per_count == 1.0
    gap = next(e for e in events if isinstance(e, Gap))
    assert (gap.first, gap.count) == (3 * PACKET, 5 * PACKET)
    assert gap.cause is GapCause.LINK_LOST
    assert gap.exact
    assert values(events) == [k % 4000 - 2000 for k in [*range(219), *range(584, 657)]]
    assert bluez.strap.commands[-1] == b"\x03\x00", "left stopped: a stream empties the battery"
    assert sum(isinstance(e, StreamInfo) for e in events) == 1, "one stream over both links"
    battery = next(e for e in events if isinstance(e, BatteryReading))
    assert battery.percent == 85


def link_states(events: list[DriverEvent]) -> list[LinkState]:
    """The link's walk."""
    return [e.state for e in events if isinstance(e, LinkChange)]


def values(events: list[DriverEvent]) -> list[int]:
    """All microvolts."""
    blocks = [e.counts[:, 0] for e in events if isinstance(e, SampleBlock)]
    return [int(value) for value in np.concatenate(blocks)]


async def test_real_recording_arrives_sample_for_sample(bluez: Bluez, shared: Path) -> None:
    path = shared / "captures" / "polar_h10" / "hr_data_2023-01-13_11-40-07.bin"
    data = path.read_bytes()[24 : 24 + 40 * 233]
    packets = [data[k + 4 : k + 233] for k in range(0, len(data), 233)]
    async with running(PolarH10("A0:9E:1A:00:00:01")) as events:
        await until(lambda: bluez.strap.streaming, "the stream")
        for one in packets:
            bluez.strap.data.send(one)
        await until(lambda: samples(events) == 40 * PACKET, "forty packets")
    expected = [
        int.from_bytes(one[k : k + 3], "little", signed=True)
        for one in packets
        for k in range(10, 229, 3)
    ]
    assert values(events) == expected
    assert not any(isinstance(e, Gap) for e in events)


async def test_contact_lost_is_told_with_the_samples(bluez: Bluez) -> None:
    async with running(PolarH10("1234ABCD")) as events:
        await until(lambda: bluez.strap.streaming, "the stream")
        bluez.strap.rate.send(bytes.fromhex("163c1104"))
        bluez.strap.data.send(packet(0))
        bluez.strap.rate.send(bytes.fromhex("043c"))
        bluez.strap.data.send(packet(1))
        await until(lambda: samples(events) == 2 * PACKET, "two packets")
    blocks = [e for e in events if isinstance(e, SampleBlock)]
    assert [block.leads for block in blocks] == [(LeadState.ON,), (LeadState.OFF,)]
    reading = next(e for e in events if isinstance(e, HeartRateReading))
    assert reading.rate_bpm == 60
    assert reading.rr_ms == pytest.approx((1016.6,), abs=0.1)


async def test_refused_connections_and_a_stream_left_running(bluez: Bluez) -> None:
    bluez.refusals = 2
    bluez.strap.streaming = bluez.strap.forgets_stop = True
    async with running(PolarH10("1234ABCD")) as events:
        await until(lambda: bluez.strap.data.notifying and len(bluez.strap.commands) >= 4, "start")
        await until(lambda: bluez.strap.streaming, "the stream")
        bluez.strap.data.send(packet(0))
        await until(lambda: samples(events) == PACKET, "a packet")
    assert bluez.connects >= 3
    starts = [command[0] for command in bluez.strap.commands]
    assert starts[:4] == [1, 2, 3, 2], "error 6 after a reconnect: stop, then start anew"


async def test_strap_out_of_reach_says_what_to_do(bluez: Bluez) -> None:
    bluez.in_reach = False
    async with running(PolarH10("Polar H10 99999999")) as events:
        await until(lambda: LinkState.LOST in link_states(events), "the failure")
    reason = next(e.reason for e in events if isinstance(e, LinkChange) and e.reason)
    assert "not found by Bluetooth in 10 s" in reason
    assert "wet electrodes" in reason


async def test_heart_rate_strap_gives_rate_and_rr(bluez: Bluez) -> None:
    async with running(HeartRateStrap("1234ABCD")) as events:
        await until(lambda: bluez.strap.rate.notifying, "the subscription")
        bluez.strap.rate.send(bytes.fromhex("164d1603"))
        await until(lambda: any(isinstance(e, HeartRateReading) for e in events), "a reading")
    info = next(e for e in events if isinstance(e, StreamInfo))
    assert info.leads == ()
    reading = next(e for e in events if isinstance(e, HeartRateReading))
    assert (reading.rate_bpm, reading.contact) == (77, LeadState.ON)
    assert LinkState.STREAMING in link_states(events)


async def test_no_bluetooth_at_all_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nobody")
    async with running(PolarH10("1234ABCD")) as events:
        await until(lambda: LinkState.LOST in link_states(events), "the failure")
    reason = next(e.reason for e in events if isinstance(e, LinkChange) and e.reason)
    assert "bluetooth.service" in reason
