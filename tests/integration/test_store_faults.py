"""The disk fails, hangs or is damaged while the unit runs: no alarm is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from support.store_bed import SMALL, Bed, hurry, until
from support.store_making import (
    START_NS,
    MovedClock,
    change,
    message,
    vitals,
)

from agent.store import (
    Reader,
    Store,
    StoreClosedError,
    StoreOverloadedError,
    StoreUnwritableError,
)
from agent.store import database as database_module
from agent.store import store as store_module
from agent.store import upkeep as upkeep_module
from agent.store import writer as writer_module
from drivers.samples import Gap, GapCause

EVER = (0, 2**62)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wardbeat.db"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


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


@pytest.mark.usefixtures("hasty")
async def test_a_disk_that_fails_between_works_doubles_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bad work makes the group go singly; the disk fails in the midst of that."""
    store = Store.open(path, boot_id="boot")
    hang = sqlite3.connect(path, isolation_level=None)
    hang.execute("BEGIN IMMEDIATE")
    insert, _ = broken(sqlite3.SQLITE_IOERR, times=1)
    monkeypatch.setattr(store_module, "insert_messages", insert)
    works = [
        asyncio.ensure_future(store.audit(who="a", what="first")),
        asyncio.ensure_future(store.audit(who="b", what="second")),
        asyncio.ensure_future(store.enqueue([message()])),
        asyncio.ensure_future(store.audit(who="c", what="bad", at_ns=2**70)),
        asyncio.ensure_future(store.audit(who="d", what="third")),
    ]
    await asyncio.sleep(0.05)
    hang.execute("ROLLBACK")
    hang.close()
    results = await asyncio.gather(*works, return_exceptions=True)
    assert [type(one) for one in results] == [
        type(None), type(None), type(None), OverflowError, type(None),
    ]  # fmt: skip
    audit = await store.read(
        lambda reader: reader.connection.execute(
            "SELECT what FROM audit ORDER BY number"
        ).fetchall()
    )
    assert [row[0] for row in audit] == ["first", "second", "third"]
    assert store.health().outbox == 1
    await store.close()


@pytest.mark.usefixtures("hasty")
async def test_more_writes_than_can_wait_are_refused_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "WORK_LIMIT", 3)
    store = Store.open(path, boot_id="boot")
    hang = sqlite3.connect(path, isolation_level=None)
    hang.execute("BEGIN IMMEDIATE")
    waiting = [asyncio.ensure_future(store.enqueue([message()])) for _ in range(3)]
    await asyncio.sleep(0.05)
    with pytest.raises(StoreOverloadedError, match="3 writes are waiting"):
        await store.enqueue([message()])
    hang.execute("ROLLBACK")
    hang.close()
    await asyncio.gather(*waiting)
    await store.enqueue([message()])
    assert store.health().outbox == 4
    await store.close()


@pytest.mark.usefixtures("hasty")
async def test_when_nothing_can_be_carried_over_the_streams_go_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(path, boot_id="boot", clock=MovedClock().clock)
    bed = Bed(store)
    bed.wave()
    await store.flush()
    monkeypatch.setattr(database_module, "salvage", lambda *_: {})
    insert, _ = broken(sqlite3.SQLITE_NOTADB, times=1)
    monkeypatch.setattr(store_module, "insert_messages", insert)
    other = Bed(store)
    other.wave()
    await bed.alarm()
    bed.wave()
    await store.flush()
    assert await bed.stored_alarms() == bed.alarms
    runs, streams = await store.read(
        lambda reader: reader.connection.execute(
            "SELECT (SELECT COUNT(*) FROM runs), (SELECT COUNT(*) FROM streams)"
        ).fetchone()
    )
    assert (runs, streams) == (1, 2)
    assert store.health().rejected_rows == 0
    assert store.damage is not None
    assert "nothing carried over" in str(store.damage)
    await store.close()


@pytest.mark.usefixtures("hasty")
async def test_damage_that_upkeep_finds_begins_a_new_database(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(path, boot_id="boot", clock=MovedClock().clock)
    bed = Bed(store)
    await bed.alarm()
    real = upkeep_module.delete_by_size
    calls: list[int] = []

    def damaged(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(upkeep_module, "delete_by_size", damaged)
    await until(lambda: store.damage is not None)
    assert await bed.stored_alarms() == bed.alarms
    await bed.alarm()
    assert await bed.stored_alarms() == bed.alarms
    await store.close()
