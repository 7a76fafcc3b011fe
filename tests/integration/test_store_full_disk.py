"""A full disk, and what is allowed to be stored: waves go first, alarms stay."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from support.store_bed import MB, SMALL, Bed, hurry, until
from support.store_making import (
    SECOND,
    START_NS,
    MovedClock,
    vitals,
)

from agent.store import (
    Reader,
    Retention,
    Store,
    StoreOptions,
)
from agent.store import connection as connection_module
from agent.store import database as database_module
from agent.store import upkeep as upkeep_module
from agent.store.rows import vitals_row
from agent.store.space import Reserve
from drivers.samples import Gap, GapCause, SampleBlock


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
    hurry(monkeypatch)


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


def test_hours_left_follow_from_how_fast_it_grows(path: Path) -> None:
    database = database_module.Database(path)
    database.open(START_NS)
    keep = Retention(max_mb=10.0, min_free_mb=0.0)
    upkeep = upkeep_module.Upkeep(database, keep, Reserve(path, size=0))
    upkeep.begin(now_s=0.0)
    assert upkeep.figures.hours_left is None
    database.connection.execute("CREATE TABLE ballast (bytes BLOB)")
    database.connection.execute("INSERT INTO ballast VALUES (randomblob(1000000))")
    upkeep.refresh(now_s=60.0)
    assert upkeep.figures.hours_left is None
    upkeep.refresh(now_s=3600.0)
    assert upkeep.figures.hours_left == pytest.approx(9.0, rel=0.05)
    upkeep.refresh(now_s=7200.0)
    assert upkeep.figures.hours_left == pytest.approx(18.0, rel=0.05)
    database.connection.execute("INSERT INTO ballast VALUES (randomblob(9500000))")
    upkeep.refresh(now_s=7300.0)
    assert upkeep.figures.hours_left == 0.0
    database.close()


def test_after_the_clock_was_set_nothing_goes_for_its_age(path: Path) -> None:
    database = database_module.Database(path)
    database.open(START_NS)
    keep = Retention(wave_days=1, trend_days=1, min_free_mb=0.0)
    upkeep = upkeep_module.Upkeep(database, keep, Reserve(path, size=0))
    upkeep.begin(now_s=0.0)
    row = vitals_row(vitals(START_NS))
    database.connection.execute(row.sql, row.values)
    ten_years_ns = START_NS + 3_650 * 86_400 * SECOND

    def rows() -> int:
        found = database.connection.execute("SELECT COUNT(*) FROM vitals").fetchone()
        return int(found[0])

    upkeep.clock_stepped(now_s=100.0)
    upkeep.step(now_s=3_600.0, now_ns=ten_years_ns)
    assert rows() == 1
    upkeep.step(now_s=3_800.0, now_ns=ten_years_ns)
    assert rows() == 0
    database.close()
