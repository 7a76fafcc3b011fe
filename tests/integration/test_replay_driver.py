"""A record played as a device on the event loop: exact counts, links, loops, faults."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

from drivers.replay import ReplayDriver
from drivers.samples import (
    DriverEvent,
    Gap,
    GapCause,
    LinkChange,
    LinkState,
    SampleBlock,
    StreamInfo,
)


def record(folder: Path, samples: list[int]) -> Path:
    (folder / "r.hea").write_text(f"r 1 100 {len(samples)}\nr.dat 16 200 16 0 0 0 0 II\n")
    (folder / "r.dat").write_bytes(np.array(samples, "<i2").tobytes())
    return folder / "r"


async def play(driver: ReplayDriver, until: int) -> list[DriverEvent]:
    """Run a driver until it has told ``until`` events, then cancel it."""
    events: list[DriverEvent] = []
    enough = asyncio.Event()

    def take(event: DriverEvent) -> None:
        events.append(event)
        if len(events) == until:
            enough.set()

    task = asyncio.create_task(driver.run(take))
    try:
        async with asyncio.timeout(30):
            await enough.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return events


def links(events: list[DriverEvent]) -> list[LinkState]:
    return [event.state for event in events if isinstance(event, LinkChange)]


async def test_every_count_once_and_in_order(tmp_path: Path) -> None:
    samples = [*range(250), *[-32768] * 100, *range(250, 500)]
    events = await play(ReplayDriver(record(tmp_path, samples), speed=0), 66)
    assert links(events)[:2] == [LinkState.SEARCHING, LinkState.CONNECTING]
    (info,) = [event for event in events if isinstance(event, StreamInfo)]
    assert (info.rate_hz, info.device) == (100, "WFDB record")
    blocks = [event for event in events if isinstance(event, SampleBlock)]
    gaps = [event for event in events if isinstance(event, Gap)]
    assert np.concatenate([b.counts[:, 0] for b in blocks]).tolist() == list(range(500))
    assert sum(gap.count for gap in gaps) == 100
    assert {gap.cause for gap in gaps} == {GapCause.NOT_SAMPLED}
    pieces = sorted([*blocks, *gaps], key=lambda piece: piece.first)
    assert [p.first for p in pieces] == [0, *[p.end for p in pieces[:-1]]]
    ended = [event for event in events if isinstance(event, LinkChange)][-2:]
    assert ended[0].state is LinkState.WAITING_FOR_DATA
    assert "has ended" in ended[0].reason
    assert ended[1].state is LinkState.STOPPED


async def test_faster_than_time_keeps_host_time_in_step(tmp_path: Path) -> None:
    events = await play(ReplayDriver(record(tmp_path, list(range(400))), speed=40), 46)
    blocks = [event for event in events if isinstance(event, SampleBlock)]
    steps = np.diff([block.host_ns for block in blocks])
    np.testing.assert_allclose(steps, 0.1e9 / 40, atol=2)
    assert {block.true_rate_hz for block in blocks} == {4000.0}


async def test_a_loop_goes_on_after_a_gap(tmp_path: Path) -> None:
    events = await play(ReplayDriver(record(tmp_path, list(range(20))), speed=0, loop=True), 20)
    pieces = [event for event in events if isinstance(event, SampleBlock | Gap)]
    assert [p.first for p in pieces] == [0, *[p.end for p in pieces[:-1]]]
    first_gap = next(piece for piece in pieces if isinstance(piece, Gap))
    assert (first_gap.first, first_gap.count) == (20, 100)
    again = next(p for p in pieces if p.first == 120)
    assert isinstance(again, SampleBlock)
    assert again.counts[:, 0].tolist() == list(range(10))


async def test_a_record_that_is_not_there_is_said_and_tried_again(tmp_path: Path) -> None:
    driver = ReplayDriver(tmp_path / "r", speed=0)
    events: list[DriverEvent] = []
    lost = asyncio.Event()
    streaming = asyncio.Event()

    def take(event: DriverEvent) -> None:
        events.append(event)
        if isinstance(event, LinkChange) and event.state is LinkState.LOST:
            lost.set()
        if isinstance(event, LinkChange) and event.state is LinkState.STREAMING:
            streaming.set()

    task = asyncio.create_task(driver.run(take))
    try:
        async with asyncio.timeout(30):
            await lost.wait()
            record(tmp_path, [1, 2, 3])
            await streaming.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    said = next(e for e in events if isinstance(e, LinkChange) and e.state is LinkState.LOST)
    assert "r.hea: no such header file; give a WFDB record's path" in said.reason


def test_a_negative_speed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="speed must not be negative"):
        ReplayDriver(tmp_path / "r", speed=-1)


async def test_wfdb_stays_out_of_the_runtime() -> None:
    code = (
        "import sys, drivers.replay, drivers.scenario, drivers.files.edf, drivers.files.csv, "
        "drivers.files.wfdb_segments, drivers.files.annotations; "
        "print([name for name in ('wfdb', 'pandas', 'matplotlib') if name in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.decode().strip() == "[]"


async def test_a_record_that_nothing_can_analyse_is_refused_in_one_line(tmp_path: Path) -> None:
    path = record(tmp_path, list(range(100)))
    header = path.with_suffix(".hea")
    header.write_text(header.read_text().replace("r 1 100", "r 1 50"))
    events = await play(ReplayDriver(path), 3)
    (lost,) = [e for e in events if isinstance(e, LinkChange) and e.state is LinkState.LOST]
    assert lost.reason == (
        f"{path}: has 50 samples a second, which can't be analysed; "
        "choose a record of 100 to 2000 Hz"
    )
    assert not any(isinstance(event, StreamInfo) for event in events)
