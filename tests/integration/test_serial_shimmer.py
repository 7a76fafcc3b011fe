"""The Shimmer3 driver on a real pseudo-terminal, against the emulator as its own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from serial_bench import MISSING, Recorder, Terminal, emulator, repeating, running, terminal

from drivers.emulated.shimmer import EmulatedShimmer3
from drivers.samples import GapCause, LinkState, StreamInfo
from drivers.shimmer import Shimmer3
from drivers.source import SourceChunk

RAILED = 0x7FFFFF


def told(recorder: Recorder) -> StreamInfo:
    (info,) = [event for event in recorder.events if isinstance(event, StreamInfo)]
    return info


async def test_dialogue_and_every_sample_equal_to_the_log(tmp_path: Path) -> None:
    with emulator("shimmer3", tmp_path, spans=[["lead_off", 1.0, 1.4]]) as device:
        driver = Shimmer3(str(device.port))
        async with running(driver) as recorder:
            await recorder.samples(1000)
        device.end()
        log = device.counts()
    channel = recorder.channel()
    assert recorder.gaps == []
    assert np.array_equal(channel, log[: len(channel)])
    assert set(channel[512:716]) == {RAILED}
    info = told(recorder)
    assert (info.device, info.firmware) == ("Shimmer3", "LogAndStream 0.16.9")
    assert (info.rate_hz, [lead.name for lead in info.leads]) == (512.0, ["II", "I"])
    assert driver.health.damaged == driver.health.lost_samples == 0


async def test_packets_lost_in_the_air_are_counted_exactly(tmp_path: Path) -> None:
    with emulator("shimmer3", tmp_path, drop_packets=0.08, seed=5) as device:
        async with running(Shimmer3(str(device.port))) as recorder:
            await recorder.samples(800)
        device.end()
        log = device.counts()
    channel = recorder.channel()
    kept = channel != MISSING
    begin = int(np.flatnonzero(log == channel[0])[0])
    assert np.array_equal(channel[kept], log[begin : begin + len(channel)][kept])
    assert 0.02 < 1 - kept.mean() < 0.2
    assert all(gap.exact and gap.cause is GapCause.LOST_PACKETS for gap in recorder.gaps)


async def test_unplugged_and_replugged_is_exact_by_the_sensors_clock(tmp_path: Path) -> None:
    with emulator("shimmer3", tmp_path) as device:
        driver = Shimmer3(str(device.port))
        async with running(driver) as recorder:
            await recorder.samples(800)
            device.unplug()
            await recorder.state(LinkState.LOST, "the device is gone")
            await recorder.state(LinkState.SEARCHING, "no such port")
            device.replug()
            await recorder.state(LinkState.STREAMING)
            await recorder.samples(400)
        device.end()
        log = device.counts()
    channel = recorder.channel()
    kept = channel != MISSING
    assert np.array_equal(channel[kept], log[: len(channel)][kept])
    assert [(gap.cause, gap.exact) for gap in recorder.gaps] == [(GapCause.LINK_LOST, True)]
    assert driver.health.reconnects == 1
    told(recorder)


class InProcessSensor:
    """The emulated sensor, played by the test on a terminal of its own."""

    def __init__(self, port: Terminal, *, rate_hz: float = 512.0) -> None:
        self.sensor = EmulatedShimmer3(rate_hz)
        self.port = port
        self.change: Callable[[bytes], bytes] = lambda said: said

    def step(self) -> None:
        answer = self.change(self.sensor.receive(self.port.received()))
        if answer:
            self.port.send(answer)
        if self.sensor.streaming:
            counts = self.sensor.counts(SourceChunk(np.zeros((6, 2))))
            self.port.send(self.sensor.packets(counts).tobytes())


async def test_one_that_still_streams_and_sends_statuses_is_set_up_all_the_same() -> None:
    with terminal() as port:
        device = InProcessSensor(port)
        device.sensor.receive(b"\x08\x90\x00\x00\x07")
        device.change = lambda said: said + b"\xff\x8a\x71\x12" if said else said
        driver = Shimmer3(port.path, leads=["II", "V"], channels=[1, 4], gain=12)
        async with repeating(device.step, 0.012), running(driver) as recorder:
            await recorder.samples(300)
    assert [lead.name for lead in told(recorder).leads] == ["II", "V"]
    assert driver.health.damaged == 0


async def test_a_sensor_that_was_switched_off_begins_its_clock_anew() -> None:
    with terminal() as port:
        device = InProcessSensor(port)
        async with repeating(device.step, 0.012), running(Shimmer3(port.path)) as recorder:
            await recorder.samples(300)
            device.sensor = EmulatedShimmer3()
            device.sensor.clock = 77
            await recorder.state(LinkState.LOST, "no Shimmer3 packet in 2 s")
            await recorder.state(LinkState.STREAMING)
            await recorder.samples(100)
    assert [(gap.cause, gap.exact) for gap in recorder.gaps] == [(GapCause.DEVICE_RESTART, False)]


def other_hardware(said: bytes) -> bytes:
    return said.replace(b"\xff\x25\x03", b"\xff\x25\x0a")


def other_gain(said: bytes) -> bytes:
    return said[:6] + b"\x10" + said[7:] if said[1:2] == b"\x62" else said


def other_channels(said: bytes) -> bytes:
    return said.replace(b"\x03\x01\x1d\x1e\x1f", b"\x01\x01\x12")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other_hardware, "it is hardware 10 with LogAndStream 0.16.9, not a Shimmer3"),
        (other_gain, "ExG chip 1 did not take gain 4"),
        (other_channels, "streams channels 12, not the ECG's"),
        (lambda said: said.replace(b"\xff\x02", b"\xff\x03"), "no Shimmer3's answer to the inqu"),
        (lambda said: b"", "no answer to command 2E in 0 s"),
    ],
)
async def test_what_does_not_fit_is_told_in_one_line(
    change: Callable[[bytes], bytes], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.shimmer.ANSWER_S", 0.4)
    with terminal() as port:
        device = InProcessSensor(port)
        device.change = change
        async with repeating(device.step, 0.012), running(Shimmer3(port.path)) as recorder:
            lost = await recorder.state(LinkState.LOST)
    assert says in lost.reason
    assert "\n" not in lost.reason


async def test_another_rate_than_asked_for_is_told() -> None:
    with terminal() as port:
        device = InProcessSensor(port, rate_hz=256.0)
        async with repeating(device.step, 0.012), running(Shimmer3(port.path)) as recorder:
            lost = await recorder.state(LinkState.LOST)
    assert "it keeps 256 Hz, not 512" in lost.reason
