"""The disk fills, fails or hangs while the unit runs: waves go first, alarms stay."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.store_making import (
    CYTON,
    SECOND,
    START_NS,
    MovedClock,
    block,
    change,
    message,
    vitals,
)

from agent.store import (
    Reader,
    Retention,
    Store,
    StoreClosedError,
    StoreOptions,
    StoreUnwritableError,
)
from agent.store import connection as connection_module
from agent.store import database as database_module
from agent.store import store as store_module
from agent.store import upkeep as upkeep_module
from agent.store import writer as writer_module
from drivers.samples import Gap, GapCause, Lead, SampleBlock

EVER = (0, 2**62)
MB = 2**20
SMALL = StoreOptions(Retention(min_free_mb=0.0), queue_bytes=MB // 2, reserve_bytes=8 * MB)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wardbeat.db"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
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
        for _ in range(seconds):
            noise = self.chance.integers(-(2**21), 2**21, (250, 8), np.int32)
            self.store.samples(self.stream, block(noise, self.at))
            self.at += 250

    async def alarm(self) -> None:
        one = change()
        async with asyncio.timeout(20):
            await self.store.alarm_change(one, "bed1", [message()])
        self.alarms.append(one.id)

    async def stored_alarms(self) -> list[str]:
        log = await self.store.read(lambda reader: reader.alarm_log("bed1"))
        return [one.id for one in log]


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


def fill_up(disk: Path) -> Path:
    """Take all that is left."""
    filler = disk / "somebody elses.log"
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(descriptor, b"x" * 4096):
            pass
    with contextlib.suppress(OSError):
        os.close(descriptor)
    return filler


@pytest.mark.usefixtures("hasty")
async def test_a_full_disk_costs_old_waves_but_no_alarm(small_disk: Path) -> None:
    path = small_disk / "wardbeat.db"
    store = Store.open(path, boot_id="boot", clock=MovedClock().clock, options=SMALL)
    bed = Bed(store)
    for _ in range(100):
        bed.wave(seconds=40)
        await bed.alarm()
        await store.flush()
    assert store.health().dropped_samples == 0
    assert await bed.stored_alarms() == bed.alarms
    assert len(await store.outbox.pending(1000, frozenset())) == len(bed.alarms)
    events = await store.read(lambda reader: list(reader.events(bed.stream)))
    kept = [one for one in events if isinstance(one, SampleBlock)]
    assert kept[0].first > 0
    assert kept[-1].end == bed.at
    for before, after in pairwise(events):
        assert before.end == after.first
    gone = [one for one in events if isinstance(one, Gap)]
    assert {one.cause for one in gone} <= {GapCause.NOT_STORED}
    await store.close()


@pytest.mark.usefixtures("hasty")
async def test_a_disk_that_others_filled_still_takes_alarms(small_disk: Path) -> None:
    path = small_disk / "wardbeat.db"
    store = Store.open(path, boot_id="boot", clock=MovedClock().clock, options=SMALL)
    bed = Bed(store)
    bed.wave(seconds=30)
    await store.flush()
    filler = fill_up(small_disk)
    for _ in range(60):
        bed.wave(seconds=40)
        await bed.alarm()
        await asyncio.sleep(0.02)
    assert store.health().disk_full
    assert any("disk is full" in trouble for trouble in store.health().troubles)
    assert await bed.stored_alarms() == bed.alarms

    filler.unlink()
    bed.wave(seconds=2)
    await until(lambda: not store.health().troubles and store.health().waiting_kb == 0)
    await until(lambda: Path(f"{path}.reserve").exists())
    await bed.alarm()
    await store.close()
    with Reader.open(path) as reader:
        assert [one.id for one in reader.alarm_log("bed1")] == bed.alarms
        newest = max(event.end for event in reader.events(bed.stream))
        assert newest == bed.at


@pytest.mark.usefixtures("hasty")
async def test_a_disk_full_at_the_start_still_takes_alarms(small_disk: Path) -> None:
    path = small_disk / "wardbeat.db"
    store = Store.open(path, boot_id="boot", clock=MovedClock().clock, options=SMALL)
    Bed(store).wave(seconds=50)
    await store.close()
    fill_up(small_disk)
    store = Store.open(path, boot_id="boot", clock=MovedClock().clock, options=SMALL)
    bed = Bed(store)
    for _ in range(20):
        bed.wave()
        await bed.alarm()
    assert await bed.stored_alarms() == bed.alarms
    await store.close()


@pytest.mark.usefixtures("hasty")
async def test_a_database_that_may_not_grow_turns_over_its_waves(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limited(connection: sqlite3.Connection) -> None:
        connection_module.configure(connection)
        connection.execute("PRAGMA max_page_count = 1200")

    monkeypatch.setattr(database_module, "configure", limited)
    store = Store.open(path, boot_id="boot", clock=MovedClock().clock, options=SMALL)
    bed = Bed(store)
    for _ in range(150):
        bed.wave(seconds=30)
        await bed.alarm()
        await store.flush()
    assert await bed.stored_alarms() == bed.alarms
    events = await store.read(lambda reader: list(reader.events(bed.stream)))
    assert events[0].first > 0
    assert events[-1].end == bed.at
    await store.close()


@pytest.mark.usefixtures("hasty")
async def test_the_size_that_is_allowed_is_kept_and_the_file_shrinks(path: Path) -> None:
    large = Store.open(path, boot_id="boot", clock=MovedClock().clock)
    bed = Bed(large)
    for _ in range(50):
        bed.wave(seconds=60)
        await large.flush()
    await bed.alarm()
    await large.close()
    before = path.stat().st_size

    options = StoreOptions(Retention(max_mb=0.3, min_free_mb=0.0))
    small = Store.open(path, boot_id="boot", clock=MovedClock().clock, options=options)
    await until(lambda: 0 < small.health().size_mb < 0.3)
    # Some freed pages stay in the file, for what comes next.
    await until(lambda: path.stat().st_size < 0.3e6 + 1_050 * 4_096 < before)
    assert len(await small.open_alarms("bed1")) == 1
    await small.close()


def broken(code: int, times: int) -> tuple[Callable[..., int], list[int]]:
    """``insert_messages``, failing the first ``times`` times as SQLite does."""
    real = store_module.insert_messages
    calls: list[int] = []

    def insert(*arguments: object) -> int:
        calls.append(1)
        if len(calls) <= times:
            error = sqlite3.OperationalError("as if by the storage card")
            error.sqlite_errorcode = code
            raise error
        return real(*arguments)  # type: ignore[arg-type]

    return insert, calls


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY]
)
async def test_an_alarm_is_tried_again_until_the_disk_takes_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    store = Store.open(path, boot_id="boot")
    bed = Bed(store)
    insert, calls = broken(code, times=4)
    monkeypatch.setattr(store_module, "insert_messages", insert)
    waiting = asyncio.ensure_future(bed.alarm())
    await until(lambda: bool(store.health().troubles))
    assert str(path) in store.health().troubles[0]
    assert store.health().lag_s > 0
    await waiting
    assert len(calls) == 5
    assert await bed.stored_alarms() == bed.alarms
    assert len(await store.outbox.pending(10, frozenset())) == 1
    bed.wave()
    await until(lambda: not store.health().troubles)
    await store.close()


@pytest.mark.usefixtures("hasty")
async def test_damage_found_at_work_begins_a_new_database_and_loses_no_alarm(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(path, boot_id="boot", clock=MovedClock().clock)
    bed = Bed(store)
    bed.wave(seconds=5)
    await bed.alarm()
    await store.flush()
    insert, _ = broken(sqlite3.SQLITE_CORRUPT, times=1)
    monkeypatch.setattr(store_module, "insert_messages", insert)
    await bed.alarm()
    assert store.damage is not None
    assert store.damage.moved_to.exists()
    assert "was damaged" in store.health().troubles[0]
    assert await bed.stored_alarms() == bed.alarms
    assert store.health().outbox == 2
    bed.wave(seconds=5)
    await store.flush()
    kept = await store.read(lambda reader: list(reader.events(bed.stream)))
    assert kept[-1].end == bed.at
    await store.close()
    with Reader.open(store.damage.moved_to) as old:
        assert len(old.alarm_log("bed1")) == 1
    with Reader.open(path) as reader:
        # The minute under way was still in memory, so its block is whole.
        assert [(one.first, one.end) for one in reader.events(bed.stream)] == [(0, bed.at)]


@pytest.mark.usefixtures("hasty")
async def test_a_disk_that_hangs_costs_waves_before_trends_and_tells_it(path: Path) -> None:
    store = Store.open(path, boot_id="boot", clock=MovedClock().clock, options=SMALL)
    bed = Bed(store)
    await store.flush()
    hang = sqlite3.connect(path, isolation_level=None)
    hang.execute("BEGIN IMMEDIATE")
    for second in range(600):
        bed.wave()
        store.vitals(vitals(START_NS + second))
    waiting = asyncio.ensure_future(bed.alarm())
    await asyncio.sleep(0.1)
    assert store.health().waiting_kb <= 525
    assert store.health().dropped_samples > 0
    hang.execute("ROLLBACK")
    hang.close()
    await waiting
    await store.flush()
    assert len(await store.read(lambda reader: reader.vitals("bed1", *EVER))) == 600
    events = await store.read(lambda reader: list(reader.events(bed.stream)))
    gone = [one for one in events if isinstance(one, Gap)]
    assert {one.cause for one in gone} == {GapCause.NOT_STORED}
    assert sum(one.count for one in gone) == store.health().dropped_samples
    assert (events[0].first, events[-1].end) == (0, bed.at)
    assert all(before.end == after.first for before, after in pairwise(events))
    await store.close()


@pytest.mark.usefixtures("hasty")
async def test_closing_on_a_dead_disk_tells_who_waits(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(path, boot_id="boot")
    insert, _ = broken(sqlite3.SQLITE_IOERR_FSYNC, times=10**9)
    monkeypatch.setattr(store_module, "insert_messages", insert)
    waiting = asyncio.ensure_future(store.alarm_change(change(), "bed1", [message()]))
    await until(lambda: bool(store.health().troubles))
    await store.close()
    with pytest.raises(StoreClosedError, match="was closed before this was written"):
        await waiting


@pytest.mark.usefixtures("hasty")
async def test_a_strip_is_cut_from_what_there_is_when_the_disk_refuses(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(path, boot_id="boot", clock=MovedClock().clock)
    bed = Bed(store)
    bed.wave(seconds=2)
    await store.flush()

    def refuse(*_: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    monkeypatch.setattr(writer_module, "write_batch", refuse)
    bed.wave()
    with pytest.raises(StoreUnwritableError, match="try again"):
        await store.flush()
    strip = await store.strip("bed1", *EVER)
    assert strip is not None
    assert strip.end == 500
    monkeypatch.undo()
    await store.flush()
    strip = await store.strip("bed1", *EVER)
    assert strip is not None
    assert strip.end == 750
    await store.close()


async def test_a_reserve_is_only_taken_where_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "wardbeat.db"
    huge = StoreOptions(reserve_bytes=2**60)
    store = Store.open(path, boot_id="boot", options=huge)
    assert not Path(f"{path}.reserve").exists()
    await store.close()
    none = Store.open(path, boot_id="boot", options=StoreOptions(reserve_bytes=0))
    assert not Path(f"{path}.reserve").exists()
    await none.close()
    store = Store.open(path, boot_id="boot", options=SMALL)
    assert os.stat(f"{path}.reserve").st_blocks * 512 >= MB  # noqa: PTH116
    await store.close()
