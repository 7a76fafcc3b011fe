"""A bed between its driver and its store."""

from __future__ import annotations

import asyncio
from unittest.mock import AsyncMock, MagicMock

import numpy as np
import pytest
from support.ecg import sinus
from support.store_making import MovedClock

from agent.alarms.catalogue import CATALOGUE
from agent.bed import Bed, Services
from agent.config import BedSection, DeviceSection
from agent.networks import Networks
from agent.outlets import Outlets
from agent.stamps import Stamper
from agent.store import Store
from drivers.samples import DriverEvent, Lead, SampleBlock, StreamInfo
from drivers.scenario import Scenario, ScenarioSource
from drivers.scenario import Step as Play

RATE_HZ = 250.0
INFO = StreamInfo("board", "port", RATE_HZ, (Lead("II", 1.0, 0.0),))


@pytest.fixture
def store() -> MagicMock:
    names = iter(("first", "second"))
    store = MagicMock(spec=Store)
    store.begin_stream.side_effect = lambda *_: next(names)
    store.alarm_change, store.enqueue = AsyncMock(), AsyncMock()
    return store


def bed_on(store: MagicMock, moved: MovedClock | None = None) -> Bed:
    clock = (moved or MovedClock()).clock
    stamper = Stamper("boot", clock, lambda: "id", trust_clock=True)
    outlets = Outlets("site", "unit", stamper, MagicMock())
    services = Services(clock, store, outlets, Networks(), CATALOGUE, lambda: "id", 120.0)
    return Bed(BedSection(name="1", device=DeviceSection("cyton", "port")), services)


def stream(seconds: int) -> list[DriverEvent]:
    counts = np.rint(sinus(0.0, seconds)).astype(np.int32)[:, None]
    starts = range(0, len(counts), 50)
    return [INFO, *(SampleBlock(k, counts[k : k + 50], 0, RATE_HZ) for k in starts)]


async def test_beats_belong_to_the_stream_they_were_found_in(store: MagicMock) -> None:
    bed = bed_on(store)
    for event in stream(12) + stream(12):  # the second stream begins before the first is analysed
        bed.emit(event)
    working = asyncio.create_task(bed.work())
    while store.beats.call_count < 20:
        await asyncio.sleep(0.01)
    working.cancel()
    found = [(call.args[0], call.args[1][0].time_s) for call in store.beats.call_args_list]
    streams = [name for name, _ in found]
    assert streams == sorted(streams)
    assert set(streams) == {"first", "second"}
    assert max(time_s for name, time_s in found if name == "first") > 8.0


async def test_the_minute_counts_pacing_pulses_beside_the_beats(store: MagicMock) -> None:
    moved = MovedClock()
    bed = bed_on(store, moved)
    source = ScenarioSource(RATE_HZ, Scenario("", (Play(rhythm="paced", seconds=99),)))
    bed.emit(INFO)
    at = 0
    while at < 20 * RATE_HZ:
        counts = np.rint(source.read(50).microvolts).astype(np.int32)
        bed.emit(SampleBlock(at, counts, 0, RATE_HZ))
        at += len(counts)
    working = asyncio.create_task(bed.work())
    async with asyncio.timeout(30):
        while store.vitals.call_count < 18:
            await asyncio.sleep(0.01)
        moved.pass_s(61.0)
        while not store.summary.call_count:
            await asyncio.sleep(0.05)
    working.cancel()
    (summary,) = store.summary.call_args.args
    assert summary.pulses >= 22
    assert summary.pulses - 2 <= summary.beats <= summary.pulses + 1
