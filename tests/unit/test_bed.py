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

RATE_HZ = 250.0
INFO = StreamInfo("board", "port", RATE_HZ, (Lead("II", 1.0, 0.0),))


@pytest.fixture
def store() -> MagicMock:
    names = iter(("first", "second"))
    store = MagicMock(spec=Store)
    store.begin_stream.side_effect = lambda *_: next(names)
    store.alarm_change, store.enqueue = AsyncMock(), AsyncMock()
    return store


def bed_on(store: MagicMock) -> Bed:
    clock = MovedClock().clock
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
