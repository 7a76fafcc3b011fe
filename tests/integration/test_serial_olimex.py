"""The Olimex driver on a real pseudo-terminal: stream, reset, wrong rate, wrong baud."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from serial_bench import Terminal, emulator, repeating, running, terminal

from drivers.emulated.olimex import EmulatedOlimex
from drivers.olimex import Olimex
from drivers.samples import GapCause, LinkState
from drivers.source import SourceChunk

RESET_PACKET = bytes.fromhex("a55a0200" + "0200" * 6 + "02")


class InProcessShield:
    """The emulated shield, played by the test on a terminal of its own."""

    def __init__(self, port: Terminal) -> None:
        self.shield = EmulatedOlimex()
        self.port = port

    def step(self) -> None:
        counts = self.shield.counts(SourceChunk(np.zeros((3, 1))))
        self.port.send(self.shield.packets(counts).tobytes())


async def test_every_sample_equal_to_the_log(tmp_path: Path) -> None:
    with emulator("olimex", tmp_path) as device:
        async with running(Olimex(str(device.port))) as recorder:
            await recorder.samples(500)
        device.end()
        log = device.counts()
    channel = recorder.channel()
    assert recorder.gaps == []
    # It streams from power-up, so the first sample read is not the first one sampled.
    begins = [p for p in np.flatnonzero(log == channel[0]) if p + len(channel) <= len(log)]
    assert any(np.array_equal(log[p : p + len(channel)], channel) for p in begins)
    assert recorder.blocks[0].counts.shape[1] == 1


async def test_unplugged_and_replugged(tmp_path: Path) -> None:
    with emulator("olimex", tmp_path) as device:
        async with running(Olimex(str(device.port))) as recorder:
            await recorder.samples(300)
            device.unplug()
            await recorder.state(LinkState.SEARCHING, "no such port")
            device.replug()
            await recorder.state(LinkState.STREAMING)
            await recorder.samples(100)
        device.end()
    assert [(gap.cause, gap.exact) for gap in recorder.gaps] == [(GapCause.LINK_LOST, False)]


async def test_an_arduino_that_resets_is_waited_for() -> None:
    with terminal() as port:
        device = InProcessShield(port)
        async with running(Olimex(port.path)) as recorder:
            async with repeating(device.step, 3 / 256):
                await recorder.samples(200)
            async with repeating(lambda: port.send(RESET_PACKET), 0.008):
                waiting = await recorder.state(LinkState.WAITING_FOR_DATA)
                port.send(b"Reset signal logged.\r\n")
            device.shield.plug_in()
            async with repeating(device.step, 3 / 256):
                await recorder.state(LinkState.STREAMING)
                await recorder.samples(60)
    assert waiting.reason.endswith("the Arduino was reset and is starting")
    assert [(gap.cause, gap.exact) for gap in recorder.gaps] == [(GapCause.DEVICE_RESTART, False)]
    assert LinkState.LOST not in [change.state for change in recorder.links]


async def test_garbage_names_baud_and_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.serial_driver.SILENCE_S", 1.0)
    draw = random.Random(9)
    with terminal() as port:
        async with (
            repeating(lambda: port.send(draw.randbytes(60)), 0.02),
            running(Olimex(port.path)) as recorder,
        ):
            lost = await recorder.state(LinkState.LOST)
    assert "bytes but no Olimex packet in 1 s at 57600 baud" in lost.reason
    assert "correct the baud rate or the kind of device" in lost.reason
    assert recorder.blocks == []


async def test_a_sketch_of_another_rate_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.olimex.RATE_CHECK_S", 1.0)
    with emulator("olimex", tmp_path) as device:
        async with running(Olimex(str(device.port), rate_hz=125.0)) as recorder:
            lost = await recorder.state(LinkState.LOST)
    assert "packets a second, not 125" in lost.reason
    assert "set rate_hz" in lost.reason
