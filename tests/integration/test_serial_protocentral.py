"""The ProtoCentral driver on a real pseudo-terminal, against the emulator as its own process."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import numpy as np
import pytest
from serial_bench import emulator, repeating, running, terminal

from drivers.decoders.protocentral import PRODUCTS
from drivers.emulated.protocentral import EmulatedProtocentral
from drivers.protocentral import Protocentral
from drivers.samples import GapCause, LeadState, LinkState, StreamInfo
from drivers.source import SourceChunk


@pytest.mark.parametrize("product", PRODUCTS)
async def test_every_sample_equal_to_the_log(tmp_path: Path, product: str) -> None:
    with emulator("protocentral", tmp_path, options={"product": product}) as device:
        driver = Protocentral(str(device.port), product=product)
        async with running(driver) as recorder:
            await recorder.samples(150)
        device.end()
        log = device.counts()
    channel = recorder.channel()
    assert recorder.gaps == []
    begins = [p for p in np.flatnonzero(log == channel[0]) if p + len(channel) <= len(log)]
    assert any(np.array_equal(log[p : p + len(channel)], channel) for p in begins)
    (info,) = [event for event in recorder.events if isinstance(event, StreamInfo)]
    assert info.rate_hz == PRODUCTS[product].rate_hz
    assert driver.health.damaged < PRODUCTS[product].frame_bytes


async def test_a_lead_that_falls_off_is_told(tmp_path: Path) -> None:
    with emulator("protocentral", tmp_path, spans=[["lead_off", 1.5, 2.0]]) as device:
        async with running(Protocentral(str(device.port))) as recorder:
            await recorder.samples(300)
        device.end()
    off = [block for block in recorder.blocks if block.leads == (LeadState.OFF,)]
    assert sum(len(block.counts) for block in off) in range(60, 66)
    assert not any(block.counts.any() for block in off)
    assert recorder.blocks[0].leads == recorder.blocks[-1].leads == (LeadState.ON,)
    stamps = np.diff([block.host_ns for block in recorder.blocks])
    assert (stamps > 0).all()


async def test_unplugged_and_replugged(tmp_path: Path) -> None:
    options = {"product": "max30003"}
    with emulator("protocentral", tmp_path, options=options) as device:
        driver = Protocentral(str(device.port), product="max30003")
        async with running(driver) as recorder:
            await recorder.samples(150)
            device.unplug()
            await recorder.state(LinkState.SEARCHING, "no such port")
            device.replug()
            await recorder.state(LinkState.STREAMING)
            await recorder.samples(60)
        device.end()
        log = device.counts()
    (gap,) = recorder.gaps
    assert (gap.cause, gap.exact) == (GapCause.LINK_LOST, False)
    channel = recorder.channel()
    first, again = (int(np.flatnonzero(log == channel[at])[0]) for at in (0, gap.end))
    assert abs(gap.end - (again - first)) <= 12
    assert driver.health.reconnects == 1


async def test_text_at_the_start_is_waited_out() -> None:
    device = EmulatedProtocentral()
    with terminal() as port:
        async with running(Protocentral(port.path)) as recorder:
            async with repeating(lambda: port.send(b"SPIFFS initialized\r\n"), 0.1):
                await asyncio.sleep(0.5)
            counts = device.counts(SourceChunk(np.ones((5, 1)) * 100))
            async with repeating(lambda: port.send(device.packets(counts).tobytes()), 0.04):
                await recorder.samples(50)
    assert recorder.gaps == []
    assert LinkState.LOST not in [change.state for change in recorder.links]


async def test_a_silent_board_and_one_of_another_language_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("drivers.protocentral.BOOT_S", 0.5)
    monkeypatch.setattr("drivers.serial_driver.SILENCE_S", 1.0)
    with terminal() as port:
        async with running(Protocentral(port.path)) as recorder:
            silent = await recorder.state(LinkState.LOST)
    assert ": no ProtoCentral frame in 0 s at 115200 baud; is it powered" in silent.reason
    draw = random.Random(9)
    with terminal() as port:
        async with (
            repeating(lambda: port.send(b"\x0a\xfa" + draw.randbytes(60)), 0.02),
            running(Protocentral(port.path)) as recorder,
        ):
            lost = await recorder.state(LinkState.LOST)
    assert "bytes but no ProtoCentral frame in 1 s at 115200 baud" in lost.reason
    assert recorder.blocks == []


async def test_the_frames_of_another_product_are_named(tmp_path: Path) -> None:
    with emulator("protocentral", tmp_path, options={"product": "ads1292r"}) as device:
        async with running(Protocentral(str(device.port), baud=57600)) as recorder:
            lost = await recorder.state(LinkState.LOST)
        device.end()
    assert 'set product = "ads1292r"' in lost.reason
    assert recorder.blocks == []
