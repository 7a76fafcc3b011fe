"""The BITalino driver on a real pseudo-terminal, against the emulator as its own process."""

from __future__ import annotations

import asyncio
import os
import termios
from pathlib import Path

import numpy as np
import pytest
from serial_bench import MISSING, Terminal, emulator, repeating, running, terminal

from drivers import probe
from drivers.bitalino import Bitalino
from drivers.emulated.bitalino import EmulatedBitalino
from drivers.samples import BatteryReading, GapCause, LinkState, StreamInfo
from drivers.source import SourceChunk


async def test_dialogue_and_every_sample_equal_to_the_log(tmp_path: Path) -> None:
    with emulator("bitalino", tmp_path) as device:
        driver = Bitalino(str(device.port))
        async with running(driver) as recorder:
            await recorder.samples(2000)
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
    (info,) = [event for event in recorder.events if isinstance(event, StreamInfo)]
    assert (info.device, info.firmware, info.rate_hz) == ("BITalino (r)evolution", "v5.1", 1000.0)
    (battery,) = [event for event in recorder.events if isinstance(event, BatteryReading)]
    assert battery.percent == 58
    assert driver.health.damaged == driver.health.lost_samples == 0


async def test_100_hz_and_two_leads(tmp_path: Path) -> None:
    options = {"firmware": 5.2}
    with emulator("bitalino", tmp_path, options=options) as device:
        driver = Bitalino(str(device.port), leads=["I", "II"], channels=[3, 1], rate_hz=100)
        async with running(driver) as recorder:
            await recorder.samples(150)
        device.end()
        log = device.counts()
    counts = np.concatenate([block.counts for block in recorder.blocks])
    assert recorder.gaps == []
    assert np.array_equal(counts[:, 1], log[: 10 * len(counts) : 10])
    assert [lead.name for lead in driver.leads] == ["I", "II"]


async def test_frames_lost_are_counted(tmp_path: Path) -> None:
    with emulator("bitalino", tmp_path, drop_packets=0.05, seed=5) as device:
        driver = Bitalino(str(device.port))
        async with running(driver) as recorder:
            await recorder.samples(2500)
        device.end()
        log = device.counts()
    channel = recorder.channel()
    kept = channel != MISSING
    assert np.array_equal(channel[kept], log[: len(channel)][kept])
    assert 0.02 < 1 - kept.mean() < 0.12
    assert all(gap.exact and gap.cause is GapCause.LOST_PACKETS for gap in recorder.gaps)


async def test_unplugged_and_replugged(tmp_path: Path) -> None:
    with emulator("bitalino", tmp_path) as device:
        driver = Bitalino(str(device.port))
        async with running(driver) as recorder:
            await recorder.samples(800)
            device.unplug()
            await recorder.state(LinkState.SEARCHING, "no such port")
            device.replug()
            await recorder.state(LinkState.STREAMING)
            await recorder.samples(600)
        device.end()
    (gap,) = recorder.gaps
    assert (gap.cause, gap.exact) == (GapCause.LINK_LOST, False)
    assert driver.health.reconnects == 1


class InProcessBoard:
    """The emulated board, played by the test on a terminal of its own."""

    def __init__(self, port: Terminal, *, deaf_to: bytes = b"") -> None:
        self.board = EmulatedBitalino()
        self.port = port
        self._deaf_to = deaf_to

    def step(self) -> None:
        heard = bytes(byte for byte in self.port.received() if byte not in self._deaf_to)
        answer = self.board.receive(heard)
        if answer:
            self.port.send(answer)
        if self.board.streaming:
            counts = self.board.counts(SourceChunk(np.zeros((12, 1))))
            self.port.send(self.board.packets(counts).tobytes())


async def test_a_board_left_streaming_is_stopped_first_even_by_old_firmware() -> None:
    with terminal() as port:
        device = InProcessBoard(port, deaf_to=b"\xff")
        device.board.receive(b"\xfd")
        async with repeating(device.step, 0.012), running(Bitalino(port.path)) as recorder:
            await recorder.samples(300)
    assert recorder.gaps == []
    assert recorder.blocks[0].counts.shape[1] == 1


async def test_a_bluetooth_link_that_stands_late_is_waited_for() -> None:
    with terminal() as port:
        device = InProcessBoard(port)
        async with running(Bitalino(port.path)) as recorder:
            await asyncio.sleep(2.5)
            async with repeating(device.step, 0.012):
                await recorder.samples(200)
    assert LinkState.LOST not in [change.state for change in recorder.links]


async def test_nobody_and_somebody_else_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.bitalino.ANSWER_S", 0.2)
    monkeypatch.setattr("drivers.bitalino.LINK_S", 0.4)
    with terminal() as port:
        async with running(Bitalino(port.path)) as recorder:
            silent = await recorder.state(LinkState.LOST)
        async with (
            repeating(lambda: port.send(b"512,0\r\n"), 0.01),
            running(Bitalino(port.path)) as recorder,
        ):
            other = await recorder.state(LinkState.LOST)
    assert "no answer; is it switched on, charged and near?" in silent.reason
    assert "bytes but no BITalino's answer at 115200 baud; correct the port" in other.reason


async def test_an_idle_board_is_known_by_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LISTEN_S", 0.05)
    monkeypatch.setattr(probe, "ANSWER_S", 0.3)
    with terminal() as port:
        device = InProcessBoard(port)
        async with repeating(device.step, 0.012):
            verdicts = await probe.probe(port.path, listen_s=0.05, say=lambda line: None)
    assert [(verdict.kind, verdict.how_sure) for verdict in verdicts] == [("bitalino", "sure")]
    assert not device.board.streaming
