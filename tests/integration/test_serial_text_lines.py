"""The text-line driver on a real pseudo-terminal: its rate measured, lead off, wrong baud."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from serial_bench import MISSING, emulator, repeating, running, terminal

from drivers.samples import GapCause, HeartRateReading, LeadState, LinkState, StreamInfo
from drivers.text_lines import TextLines


async def test_the_rate_is_measured_and_lead_off_is_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.text_lines.MEASURE_S", 2.0)
    with emulator("text_lines", tmp_path, spans=[["lead_off", 3.5, 4.0]]) as device:
        async with running(TextLines(str(device.port))) as recorder:
            await recorder.samples(700)
        device.end()
        log = device.counts()
    (info,) = [event for event in recorder.events if isinstance(event, StreamInfo)]
    assert info.rate_hz == pytest.approx(250, rel=0.02)
    assert any(link.reason.endswith("its rate is measured for 2 s") for link in recorder.links)
    off = [gap for gap in recorder.gaps if gap.cause is GapCause.NOT_SAMPLED]
    assert sum(gap.count for gap in off) == 125
    assert len(off) == len(recorder.gaps)
    channel = recorder.channel()
    kept = np.where(log >= 0, log, MISSING)
    begins = np.flatnonzero(kept == channel[0])
    assert any(np.array_equal(kept[p : p + len(channel)], channel) for p in begins)


async def test_a_lead_that_is_off_from_the_start_is_told_without_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.text_lines.MEASURE_S", 1.0)
    spans = [["lead_off", 0.0, 2.5], ["lead_off", 5.5, 8.0]]
    with emulator("text_lines", tmp_path, spans=spans) as device:
        async with running(TextLines(str(device.port))) as recorder:
            waiting = await recorder.state(LinkState.WAITING_FOR_DATA)
            await recorder.samples(250)
            late = await recorder.state(LinkState.WAITING_FOR_DATA, "an electrode is off")
            await recorder.samples(500)
    assert waiting.reason == f"{device.port}: an electrode is off; put it back"
    assert late.reason == waiting.reason
    infos = [event for event in recorder.events if isinstance(event, StreamInfo)]
    assert [len(info.leads) for info in infos] == [0, 1], "no lead yet, then the stream"
    assert infos[1].rate_hz == pytest.approx(250, rel=0.02)
    told = [event for event in recorder.events if isinstance(event, HeartRateReading)]
    assert {event.contact for event in told} == {LeadState.OFF}
    assert {event.rate_bpm for event in told} == {None}
    before = [e for e in told if e.host_ns < recorder.blocks[0].host_ns]
    assert 2 <= len(before) <= 4, "once a second"
    assert len(told) > len(before), "of a lead that fell off later, too"


async def test_lines_that_never_end_name_the_baud_rate() -> None:
    with terminal() as port:
        async with (
            repeating(lambda: port.send(b"\xf0" * 60), 0.02),
            running(TextLines(port.path, rate_hz=250.0)) as recorder,
        ):
            lost = await recorder.state(LinkState.LOST)
    assert "no end of line in 256 bytes at 9600 baud; correct the baud rate" in lost.reason
    assert recorder.blocks == []
