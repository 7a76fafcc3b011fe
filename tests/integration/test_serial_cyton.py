"""The Cyton driver on a real pseudo-terminal, against the emulator as its own process."""

from __future__ import annotations

import asyncio
import os
import termios
from pathlib import Path

import numpy as np
import pytest
from serial_bench import MISSING, Recorder, Terminal, emulator, repeating, running, terminal

from drivers.cyton import Cyton
from drivers.emulated.cyton import BANNER, EmulatedCyton
from drivers.samples import GapCause, LinkState, StreamInfo
from drivers.source import SourceChunk

RAILED = 0x7FFFFF


def places_off(recorder: Recorder, log: np.ndarray) -> list[int]:
    """After each gap: place of its first sample on the axis less its place in the log."""
    channel = recorder.channel()
    found = []
    for gap in recorder.gaps:
        after = channel[gap.end : gap.end + 8]
        places = np.flatnonzero(log[: len(log) - 8] == after[0])
        places = [int(p) for p in places if np.array_equal(log[p : p + 8], after)]
        found.append(min((gap.end - p for p in places), key=abs))
    return found


async def test_dialogue_and_every_sample_equal_to_the_log(tmp_path: Path) -> None:
    with emulator("cyton", tmp_path, spans=[["lead_off", 1.0, 1.4]]) as device:
        driver = Cyton(str(device.port))
        async with running(driver) as recorder:
            await recorder.samples(500)
        await asyncio.sleep(0.1)
        port = os.open(device.port, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        termios.tcflush(port, termios.TCIFLUSH)
        await asyncio.sleep(0.1)
        with pytest.raises(BlockingIOError):  # cancelled, the driver left the board quiet
            os.read(port, 1)
        os.close(port)
        device.end()
        log = device.counts()
    channel = recorder.channel()
    assert recorder.gaps == []
    assert np.array_equal(channel, log[: len(channel)])
    assert set(channel[250:350]) == {RAILED}
    (info,) = [event for event in recorder.events if isinstance(event, StreamInfo)]
    assert (info.device, info.firmware, info.rate_hz) == ("OpenBCI Cyton", "v3.1.2", 250.0)
    assert [change.state for change in recorder.links] == [
        LinkState.SEARCHING,
        LinkState.CONNECTING,
        LinkState.WAITING_FOR_DATA,
        LinkState.STREAMING,
        LinkState.STOPPED,
    ]
    sizes = [len(block.counts) for block in recorder.blocks]
    assert np.median(sizes) in range(10, 51)
    stamps = np.diff([block.host_ns for block in recorder.blocks])
    assert (stamps > 0).all()
    assert driver.health.frames == len(channel)
    assert driver.health.damaged == driver.health.lost_samples == 0


async def test_packets_lost_in_the_air_are_counted_exactly(tmp_path: Path) -> None:
    with emulator("cyton", tmp_path, drop_packets=0.08, seed=5) as device:
        driver = Cyton(str(device.port))
        async with running(driver) as recorder:
            await recorder.samples(500)
        device.end()
        log = device.counts()
    channel = recorder.channel()
    kept = channel != MISSING
    assert np.array_equal(channel[kept], log[: len(channel)][kept])
    assert 0.02 < 1 - kept.mean() < 0.2
    assert all(gap.exact and gap.cause is GapCause.LOST_PACKETS for gap in recorder.gaps)
    assert driver.health.lost_samples == int((~kept).sum())


async def test_unplugged_and_replugged(tmp_path: Path) -> None:
    with emulator("cyton", tmp_path) as device:
        driver = Cyton(str(device.port))
        async with running(driver) as recorder:
            await recorder.samples(400)
            device.unplug()
            lost = await recorder.state(LinkState.LOST, "the device is gone")
            assert lost.reason == (
                f"{device.port}: the device is gone; plug it in again; it will be found"
            )
            await recorder.state(LinkState.SEARCHING, "no such port")
            device.replug()
            back = await recorder.state(LinkState.STREAMING)
            await recorder.samples(200)
        device.end()
        log = device.counts()
    (gap,) = recorder.gaps
    assert gap.cause is GapCause.LINK_LOST
    assert not gap.exact
    assert gap.count >= (back.host_ns - lost.host_ns) / 4e6 - 100
    assert [abs(places) <= 15 for places in places_off(recorder, log)] == [True]
    assert len([e for e in recorder.events if isinstance(e, StreamInfo)]) == 1
    assert driver.health.reconnects == 1


async def test_a_source_can_pull_the_plug_itself(tmp_path: Path) -> None:
    with emulator("cyton", tmp_path, spans=[["unplugged", 1.0, 2.0]]) as device:
        async with running(Cyton(str(device.port))) as recorder:
            await recorder.state(LinkState.LOST, "the device is gone")
            await recorder.state(LinkState.STREAMING)
            await recorder.samples(100)
        device.end()
        log = device.counts()
    assert [gap.cause for gap in recorder.gaps] == [GapCause.LINK_LOST]
    assert [abs(places) <= 15 for places in places_off(recorder, log)] == [True]


async def test_a_silent_board_is_lost_with_a_reason_and_found_again(tmp_path: Path) -> None:
    with emulator("cyton", tmp_path) as device:
        async with running(Cyton(str(device.port))) as recorder:
            await recorder.samples(300)
            device.freeze()
            lost = await recorder.state(LinkState.LOST)
            assert lost.reason == (
                f"{device.port}: no Cyton packet in 2 s at 115200 baud; "
                "is the dongle's switch on GPIO6?"
            )
            device.thaw()
            await recorder.state(LinkState.STREAMING)
            await recorder.samples(100)
        device.end()
        log = device.counts()
    assert [gap.cause for gap in recorder.gaps] == [GapCause.LINK_LOST]
    assert [abs(places) <= 15 for places in places_off(recorder, log)] == [True]


async def test_a_stall_longer_than_a_turn_of_the_counter_is_exact(tmp_path: Path) -> None:
    """Frozen for 1.6 s: 0.6 s are lost in the air, the rest comes late, all by the counter."""
    with emulator("cyton", tmp_path) as device:
        async with running(Cyton(str(device.port))) as recorder:
            await recorder.samples(200)
            device.freeze()
            await asyncio.sleep(1.6)
            device.thaw()
            await recorder.samples(600)
        device.end()
        log = device.counts()
    channel = recorder.channel()
    kept = channel != MISSING
    assert np.array_equal(channel[kept], log[: len(channel)][kept])
    (gap,) = recorder.gaps
    assert gap.exact
    assert gap.count > 100
    assert LinkState.LOST not in [change.state for change in recorder.links]


async def test_a_port_that_is_missing_at_first_is_waited_for(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    async with running(Cyton(str(port))) as recorder:
        searching = await recorder.state(LinkState.SEARCHING, "no such port")
        assert searching.reason.startswith(f"{port}: no such port; plug the device in")
        with emulator("cyton", tmp_path) as device:
            await recorder.state(LinkState.STREAMING)
            await recorder.samples(50)
            device.end()
            await recorder.state(LinkState.LOST)


def means(log: np.ndarray) -> np.ndarray:
    """What a board with a Daisy makes of every sample and the one before it."""
    return np.trunc((log[:-1] + log[1:]) / 2).astype(np.int64)


async def test_with_a_daisy_every_sample_is_the_mean_of_two(tmp_path: Path) -> None:
    with emulator("cyton", tmp_path, options={"daisy": True}) as device:
        driver = Cyton(str(device.port), daisy=True)
        async with running(driver) as recorder:
            await recorder.samples(300)
        device.end()
        log = device.counts()
    channel = recorder.channel()
    assert recorder.gaps == []
    assert np.array_equal(channel, means(log)[::2][: len(channel)])
    (info,) = [event for event in recorder.events if isinstance(event, StreamInfo)]
    assert (info.firmware, info.rate_hz) == ("v3.1.2 with Daisy", 125.0)


async def test_with_a_daisy_lost_packets_are_counted_exactly(tmp_path: Path) -> None:
    with emulator("cyton", tmp_path, options={"daisy": True}, drop_packets=0.05, seed=6) as device:
        async with running(Cyton(str(device.port), daisy=True)) as recorder:
            await recorder.samples(400)
        device.end()
        log = means(device.counts())[::2]
    channel = recorder.channel()
    kept = channel != MISSING
    begin = int(np.flatnonzero(log == channel[0])[0])
    assert np.array_equal(channel[kept], log[begin : begin + len(channel)][kept])
    assert 0.02 < 1 - kept.mean() < 0.25
    assert all(gap.exact and gap.cause is GapCause.LOST_PACKETS for gap in recorder.gaps)


async def test_a_daisy_that_is_not_read_is_switched_off(tmp_path: Path) -> None:
    with emulator("cyton", tmp_path, options={"daisy": True}) as device:
        async with running(Cyton(str(device.port))) as recorder:
            await recorder.samples(200)
        device.end()
        log = device.counts()
    channel = recorder.channel()
    assert np.array_equal(channel, log[: len(channel)])


async def test_a_daisy_that_is_missing_is_told() -> None:
    with terminal() as port:
        device = InProcessBoard(port)
        driver = Cyton(port.path, daisy=True)
        async with repeating(device.step, 0.012), running(driver) as recorder:
            lost = await recorder.state(LinkState.LOST)
    assert lost.reason == (
        f"{port.path}: finds no Daisy (it says 'no daisy to attach!8'); "
        "seat the Daisy on the board, or set daisy = false"
    )


class InProcessBoard:
    """The emulated board, played by the test on a terminal of its own."""

    def __init__(self, port: Terminal) -> None:
        self.board = EmulatedCyton()
        self.port = port
        self.silent = False

    def step(self) -> None:
        answer = self.board.receive(self.port.received())
        if answer:
            self.port.send(answer)
        if self.board.streaming and not self.silent:
            counts = self.board.counts(SourceChunk(np.zeros((3, 1))))
            self.port.send(self.board.packets(counts).tobytes())


async def test_a_board_that_resets_itself_is_started_again() -> None:
    with terminal() as port:
        device = InProcessBoard(port)
        async with repeating(device.step, 0.012), running(Cyton(port.path)) as recorder:
            await recorder.samples(100)
            device.board.plug_in()
            port.send(BANNER.encode())
            await recorder.state(LinkState.LOST, "the board was reset")
            await recorder.state(LinkState.STREAMING)
            await recorder.samples(50)
    assert [(gap.cause, gap.exact) for gap in recorder.gaps] == [(GapCause.DEVICE_RESTART, False)]


async def test_a_dongle_that_lost_its_board_says_so() -> None:
    text = b"Failure: Communications timeout - Device failed to poll Host$$$"
    with terminal() as port:
        device = InProcessBoard(port)
        async with repeating(device.step, 0.012), running(Cyton(port.path)) as recorder:
            await recorder.samples(100)
            device.silent = True
            port.send(text)
            lost = await recorder.state(LinkState.LOST, "Communications timeout")
    assert "is the board switched to PC" in lost.reason
    assert "\n" not in lost.reason


async def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.cyton.RESET_S", 0.3)
    with terminal() as port:
        async with running(Cyton(port.path)) as recorder:
            lost = await recorder.state(LinkState.LOST)
    assert "no answer to 'v'" in lost.reason
    assert "dongle's switch on GPIO6?" in lost.reason


async def test_a_device_of_another_kind_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.cyton.RESET_S", 0.3)
    with terminal() as port:
        async with (
            repeating(lambda: port.send(b"512,0\r\n"), 0.01),
            running(Cyton(port.path)) as recorder,
        ):
            lost = await recorder.state(LinkState.LOST)
    assert "bytes but no Cyton's answer to 'v' at 115200 baud" in lost.reason
    assert "correct the port or the kind of device" in lost.reason
