"""Movesense through bleak's real BlueZ backend, against a stand-in on a private D-Bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.ble_bench import gaps, in_reach, reasons, running, samples, states, until, values
from support.bluez import Bluez
from support.peripherals import Movesense as Sensor

from drivers.movesense import Movesense
from drivers.samples import (
    BatteryReading,
    Gap,
    GapCause,
    HeartRateReading,
    LinkState,
    StreamInfo,
)

STEP_MS = 80
SERIAL = "250230002214"


@pytest.fixture
def sensor() -> Sensor:
    return Sensor()


@pytest.fixture
async def bluez(
    sensor: Sensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bluez]:
    async with in_reach(sensor, tmp_path, monkeypatch) as stand_in:
        yield stand_in


def ecg(sensor: Sensor, number: int, offset_ms: int = 5000) -> None:
    """Packet ``number``: a ramp, so that every sample is known."""
    ramp = range(16 * number, 16 * number + 16)
    sensor.send(sensor.sensor.ecg(offset_ms + STEP_MS * number, ramp))


def streams(sensor: Sensor) -> bool:
    return len(sensor.sensor.subscriptions) == 2


async def test_streams_loses_the_link_and_recovers_with_an_exact_gap(
    bluez: Bluez, sensor: Sensor
) -> None:
    async with running(Movesense(SERIAL, utc_ns=lambda: 1_700_000_000_000_000_000)) as events:
        await until(lambda: streams(sensor), "both subscriptions")
        first = dict(sensor.sensor.subscriptions)
        for number in (0, 1, 3):
            ecg(sensor, number)
        sensor.send(sensor.sensor.heart_rate(147.8, [406]))
        await until(lambda: samples(events) == 48, "three packets")
        bluez.cut()
        await until(lambda: states(events)[-1:] != [LinkState.STREAMING], "the loss")
        await until(lambda: streams(sensor), "both subscriptions again")
        await asyncio.sleep(1.0)
        ecg(sensor, 20)
        await until(lambda: samples(events) == 64, "the packet after the loss")
        assert not set(first) & set(sensor.sensor.subscriptions), "new references"
    assert [(g.first, g.count, g.cause, g.exact) for g in gaps(events)] == [
        (32, 16, GapCause.LOST_PACKETS, True),
        (64, 256, GapCause.LINK_LOST, True),
    ]
    assert values(events) == [*range(32), *range(48, 64), *range(320, 336)]
    infos = [e for e in events if isinstance(e, StreamInfo)]
    assert [(i.device, i.rate_hz, i.serial_number) for i in infos] == [("Movesense", 200.0, SERIAL)]
    reading = next(e for e in events if isinstance(e, HeartRateReading))
    assert (reading.rate_bpm, reading.rr_ms) == (148, (406.0,))
    assert next(e for e in events if isinstance(e, BatteryReading)).percent == 77
    assert sensor.sensor.utc_us == 1_700_000_000_000_000
    assert sensor.sensor.subscriptions == {}, "left stopped: both slots are given back"


async def test_packets_cut_by_a_small_mtu_are_put_together(bluez: Bluez, sensor: Sensor) -> None:
    sensor.sensor.payload_limit = 18
    async with running(Movesense(SERIAL)) as events:
        await until(lambda: streams(sensor), "both subscriptions")
        for number in range(5):
            ecg(sensor, number)
        await until(lambda: samples(events) == 80, "five packets")
    assert values(events) == list(range(80))


async def test_used_up_slots_are_freed_by_one_reboot(bluez: Bluez, sensor: Sensor) -> None:
    sensor.sensor.slots = 0
    sensor.on_reboot = bluez.cut
    async with running(Movesense(SERIAL)) as events:
        await until(lambda: streams(sensor), "both subscriptions")
        ecg(sensor, 0)
        await until(lambda: samples(events) == 16, "a packet")
    assert sensor.sensor.reboots == 1
    assert any("429" in reason and "rebooted" in reason for reason in reasons(events))


async def test_a_boot_is_a_new_clock_and_a_bounded_gap(bluez: Bluez, sensor: Sensor) -> None:
    async with running(Movesense(SERIAL)) as events:
        await until(lambda: streams(sensor), "both subscriptions")
        ecg(sensor, 0, offset_ms=9_000_000)
        await until(lambda: samples(events) == 16, "a packet")
        bluez.cut()
        await until(lambda: states(events)[-1:] != [LinkState.STREAMING], "the loss")
        await until(lambda: streams(sensor), "both subscriptions again")
        ecg(sensor, 0, offset_ms=300)
        await until(lambda: samples(events) == 32, "a packet after the boot")
    (gap,) = gaps(events)
    assert (gap.cause, gap.exact) == (GapCause.DEVICE_RESTART, False)


async def test_the_clock_turns_without_a_gap(bluez: Bluez, sensor: Sensor) -> None:
    async with running(Movesense(SERIAL)) as events:
        await until(lambda: streams(sensor), "both subscriptions")
        for number in range(4):
            ecg(sensor, number, offset_ms=(1 << 32) - 100)
        await until(lambda: samples(events) == 64, "four packets")
    assert not any(isinstance(e, Gap) for e in events)


async def test_an_old_firmware_is_read_in_counts(bluez: Bluez, sensor: Sensor) -> None:
    sensor.sensor.only_raw = True
    async with running(Movesense(SERIAL, rate_hz=250)) as events:
        await until(lambda: streams(sensor), "both subscriptions")
        ecg(sensor, 100)
        await until(lambda: samples(events) == 16, "a packet")
    info = next(e for e in events if isinstance(e, StreamInfo))
    scale = info.leads[0].microvolts_per_count
    assert values(events)[0] * scale == pytest.approx(1600, abs=0.2)


async def test_a_sensor_without_an_answer_says_what_to_do(bluez: Bluez, sensor: Sensor) -> None:
    sensor.answers = False
    async with running(Movesense(SERIAL)) as events:
        await until(lambda: LinkState.LOST in states(events), "the failure")
    assert any("no answer to HELLO in 5 s" in reason for reason in reasons(events))
