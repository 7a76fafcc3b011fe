"""A bed that streams, and a store that does not take its time, for tests of what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from support.store_making import CYTON, SECOND, block, change, message

from agent.store import Retention, Store, StoreOptions
from agent.store import upkeep as upkeep_module
from agent.store import writer as writer_module
from drivers.samples import Lead

MB = 2**20
SMALL = StoreOptions(Retention(min_free_mb=0.0), queue_bytes=MB // 2, reserve_bytes=8 * MB)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the second pass in a twentieth, so that tests need not wait."""
    monkeypatch.setattr(writer_module, "COMMIT_S", 0.05)
    monkeypatch.setattr(writer_module, "RETRY_S", 0.05)
    monkeypatch.setattr(upkeep_module, "RETENTION_S", 0.1)
    monkeypatch.setattr(upkeep_module, "CHECKPOINT_S", 0.1)
    monkeypatch.setattr(upkeep_module, "FULL_SHOWN_S", 0.5)


EIGHT_LEADS = replace(CYTON, leads=tuple(Lead(f"V{number}", 0.02235) for number in range(1, 9)))


class Bed:
    """A Cyton with eight leads of noise that no codec can shrink: 6 kB/s."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.stream = store.begin_stream("bed1", EIGHT_LEADS, 5_000 * SECOND)
        self.chance = np.random.default_rng(1)
        self.at = 0
        self.alarms: list[str] = []

    def wave(self, seconds: int = 1) -> None:
        """Stream so many seconds."""
        for _ in range(seconds):
            noise = self.chance.integers(-(2**21), 2**21, (250, 8), np.int32)
            self.store.samples(self.stream, block(noise, self.at))
            self.at += 250

    async def alarm(self) -> None:
        """Raise an alarm; returns when it is stored."""
        one = change()
        async with asyncio.timeout(20):
            await self.store.alarm_change(one, "bed1", [message()])
        self.alarms.append(one.id)

    async def stored_alarms(self) -> list[str]:
        """The ids of the alarm changes that are stored, in order."""
        log = await self.store.read(lambda reader: reader.alarm_log("bed1"))
        return [one.id for one in log]


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that must come."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)
