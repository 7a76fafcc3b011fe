"""What is recorded from a device decodes again to the same samples: serial, Bluetooth and UDP."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from monitor_bench import monitor
from serial_bench import PATIENCE_S, Recorder, emulator
from support.bluez import Bluez, PrivateBus, ecg_packet

from drivers.raw_recording import EntryType, RawReader
from drivers.recording import record, replay
from drivers.samples import (
    DriverError,
    DriverEvent,
    Gap,
    HeartRateReading,
    LinkState,
    NumericReading,
    SampleBlock,
    StreamInfo,
)


@dataclass
class Recording:
    """A recording that is being made."""

    path: Path
    live: Recorder = field(default_factory=Recorder)


@contextlib.asynccontextmanager
async def recording(kind: str, address: str, path: Path) -> AsyncIterator[Recording]:
    """Record a device for the length of a block."""
    made = Recording(path)
    task = asyncio.create_task(record(kind, address, {}, path, made.live.emit))
    try:
        yield made
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def again(path: Path) -> Recorder:
    """The recording, replayed."""
    played = Recorder()
    async with asyncio.timeout(PATIENCE_S):
        reader = await replay(path, played.emit)
    assert not reader.torn
    return played


def laid(events: list[DriverEvent]) -> list[tuple[object, ...]]:
    """Samples and gaps as they lie on the axis, however they were cut into blocks."""
    rows: list[tuple[object, ...]] = []
    for event in events:
        if isinstance(event, SampleBlock):
            rows += [(event.first + k, *row) for k, row in enumerate(event.counts.tolist())]
        elif isinstance(event, Gap):
            rows.append((event.first, event.count, event.cause, event.exact, "gap"))
    return rows


@pytest.mark.parametrize("kind", ["cyton", "olimex", "shimmer3", "text_lines"])
async def test_a_serial_device_with_its_unplugging(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.text_lines.MEASURE_S", 1.0)
    path = tmp_path / "device.wbraw"
    with emulator(kind, tmp_path) as device:
        async with recording(kind, str(device.port), path) as made:
            await made.live.samples(400)
            device.unplug()
            await made.live.state(LinkState.LOST)
            device.replug()
            await made.live.state(LinkState.STREAMING)
            await made.live.samples(300)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    played = await again(path)
    live, replayed = laid(made.live.events), laid(played.events)
    assert replayed == live
    assert len(made.live.gaps) >= 1
    stamps = np.array([block.host_ns for block in made.live.blocks])
    assert np.array_equal(stamps, [block.host_ns for block in played.blocks])
    infos = [event for event in played.events if isinstance(event, StreamInfo)]
    assert infos == [event for event in made.live.events if isinstance(event, StreamInfo)]


@pytest.mark.parametrize("serial", [False, True], ids=["udp", "rs232"])
async def test_a_monitor(tmp_path: Path, serial: bool) -> None:
    path = tmp_path / "monitor.wbraw"
    with monitor(tmp_path, serial=serial) as device:
        async with recording("intellivue", device.address, path) as made:
            await made.live.samples(768)
    played = await again(path)
    assert laid(played.events) == laid(made.live.events)
    assert len(laid(played.events)) >= 768
    values = [e for e in played.events if isinstance(e, NumericReading)]
    assert values == [e for e in made.live.events if isinstance(e, NumericReading)]


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


async def test_a_strap_with_its_cut_link(tmp_path: Path, bluez: Bluez) -> None:
    path = tmp_path / "strap.wbraw"
    last_ns = 599_616_000_000_000_000

    async def send(count: int) -> None:
        nonlocal last_ns
        while not (bluez.strap.streaming and bluez.strap.data.notifying):
            await asyncio.sleep(0.01)
        for _ in range(count):
            last_ns += 561_346_400
            bluez.strap.rate.send(bytes.fromhex("163c1104"))
            bluez.strap.data.send(ecg_packet(last_ns, [k * 3 for k in range(73)]))
            await asyncio.sleep(0.05)

    async with recording("polar_h10", "1234ABCD", path) as made:
        await send(8)
        await made.live.until(lambda: len(made.live.blocks) >= 8)
        bluez.cut()
        await made.live.state(LinkState.LOST)
        last_ns += 20 * 561_346_400
        await send(8)
        await made.live.until(lambda: len(made.live.blocks) >= 16)
    played = await again(path)
    assert laid(played.events) == laid(made.live.events)
    assert len(played.gaps) == 1
    rates = [(e.rate_bpm, e.rr_ms) for e in played.events if isinstance(e, HeartRateReading)]
    live = [e for e in made.live.events if isinstance(e, HeartRateReading)]
    assert rates == [(e.rate_bpm, e.rr_ms) for e in live]
    channels = {entry.channel for entry in RawReader(path).entries()}
    assert any(channel.startswith("fb005c82") for channel in channels)


async def test_it_records_for_the_seconds_asked_and_refuses_what_it_does_not_know(
    tmp_path: Path,
) -> None:
    path = tmp_path / "nothing.wbraw"
    written = await record("cyton", str(tmp_path / "none"), {}, path, print, seconds=0.2)
    assert (written.entries, written.bytes) == (0, 0)
    played = await again(path)
    assert played.blocks == []
    assert RawReader(path).header["kind"] == "cyton"
    with pytest.raises(DriverError, match="did you mean 'cyton'"):
        await record("cytn", "x", {}, tmp_path / "other", print)
    with pytest.raises(DriverError, match="is a file already, without raw bytes"):
        await record("replay", "x", {}, tmp_path / "other", print)
    kinds = [entry.type for entry in RawReader(path).entries()]
    assert EntryType.RECEIVED not in kinds
