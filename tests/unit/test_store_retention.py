"""What is deleted, in which order, and what never is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.store_making import (
    SECOND,
    START_NS,
    change,
    database,
    ecg_counts,
    message,
    run,
    vitals,
    write,
)

from agent.rhythm.types import Beat, BeatClass
from agent.store.blocks import write as write_waves
from agent.store.outbox import insert_messages
from agent.store.queue import Row
from agent.store.retention import (
    FREE_PAGES_KEPT,
    VACUUM_PAGES_PER_STEP,
    Retention,
    Size,
    delete_by_age,
    delete_by_size,
    delete_oldest,
    delete_oldest_waves,
    shrink,
    size_of,
)
from agent.store.rows import INSERT_AUDIT, alarm_change_row, beat_row, vitals_row

DAY = 86_400 * SECOND
PLENTY = 2**50


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = database()
    yield opened
    opened.close()


def fill(connection: sqlite3.Connection, rows: int = 5, every_ns: int = DAY) -> None:
    """A row of each kind per day; the sixth day is now."""
    for number in range(rows):
        at_ns = START_NS + number * every_ns
        wave = run(ecg_counts(250), 250 * number, off_ns=number * every_ns)
        write_waves(connection, [wave], {}, now_s=0.0)
        write(connection, vitals_row(vitals(at_ns)))
        write(connection, beat_row("s", Beat(float(number), BeatClass.N, 1.0, 1.0, "r"), at_ns))
        write(connection, alarm_change_row(change(at_ns=at_ns), "bed1"))
        insert_messages(connection, [message()])
        write(connection, Row(INSERT_AUDIT, (at_ns, "bed1", "nurse", "admit", True, "", "{}")))


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    tables = ("waves", "vitals", "beats", "alarm_changes", "outbox", "audit")
    return {
        table: connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608
        for table in tables
    }


def until_done(step: object, *args: object) -> int:
    assert callable(step)
    steps = 0
    while step(*args):
        steps += 1
        assert steps < 1000
    return steps


KEPT = {"alarm_changes": 5, "outbox": 5, "audit": 5}


def test_what_is_too_old_goes_but_never_alarms(connection: sqlite3.Connection) -> None:
    fill(connection)
    keep = Retention(wave_days=1.5, trend_days=3.5)
    until_done(delete_by_age, connection, keep, START_NS + 5 * DAY)
    assert counts(connection) == {"waves": 1, "vitals": 3, "beats": 3, **KEPT}


def test_nothing_goes_before_its_time(connection: sqlite3.Connection) -> None:
    fill(connection)
    keep = Retention(wave_days=30, trend_days=30)
    assert not delete_by_age(connection, keep, START_NS + 5 * DAY)
    big = Size(4096, 10, 0)
    assert not delete_by_size(connection, keep, big, PLENTY)
    assert counts(connection) == {"waves": 5, "vitals": 5, "beats": 5, **KEPT}


@pytest.mark.parametrize(
    ("keep", "disk_free"),
    [
        pytest.param(Retention(max_mb=0.001, min_free_mb=0), PLENTY, id="larger than allowed"),
        pytest.param(Retention(min_free_mb=100), 99_000_000, id="the disk has too little left"),
    ],
)
def test_for_room_waves_go_first_then_trends_and_never_alarms(
    connection: sqlite3.Connection, keep: Retention, disk_free: int
) -> None:
    fill(connection)
    assert delete_oldest_waves(connection, rows=2).rows == 2
    (oldest,) = connection.execute("SELECT MIN(first) FROM waves").fetchone()
    assert oldest == 500
    assert delete_by_size(connection, keep, size_of(connection), disk_free).wave_s == 3.0
    assert counts(connection) == {"waves": 0, "vitals": 5, "beats": 5, **KEPT}
    until_done(lambda: delete_by_size(connection, keep, size_of(connection), disk_free))
    assert counts(connection) == {"waves": 0, "vitals": 0, "beats": 0, **KEPT}


def test_one_step_is_bounded(connection: sqlite3.Connection) -> None:
    fill(connection, rows=100, every_ns=SECOND)
    assert delete_oldest(connection).rows == 32
    assert counts(connection)["waves"] == 68


def test_rows_from_before_the_clock_was_set_go_in_their_turn(
    connection: sqlite3.Connection,
) -> None:
    """A Pi without a clock chip writes its first minutes at 1970: they are not the oldest."""
    fill(connection, rows=2)
    wave = run(ecg_counts(250), 5000, off_ns=-START_NS)
    write_waves(connection, [wave], {}, now_s=0.0)
    keep = Retention(wave_days=4)
    until_done(delete_by_age, connection, keep, START_NS + 2 * DAY)
    assert counts(connection)["waves"] == 3
    until_done(delete_by_age, connection, keep, START_NS + 10 * DAY)
    assert counts(connection)["waves"] == 0


def test_a_clock_that_is_set_back_deletes_nothing(connection: sqlite3.Connection) -> None:
    fill(connection)
    assert not delete_by_age(connection, Retention(wave_days=1, trend_days=1), 0)


def test_the_file_shrinks_by_what_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "unit.db"
    connection = database(path)
    connection.execute("BEGIN")
    noise = ecg_counts(6000)
    for number in range(600):
        write_waves(connection, [run(noise, 6000 * number)], {}, now_s=0.0)
    connection.execute("COMMIT")
    before = size_of(connection)
    until_done(delete_oldest_waves, connection)
    steps = until_done(lambda: shrink(connection, size_of(connection)))
    after = size_of(connection)
    assert after.free_pages == FREE_PAGES_KEPT
    assert steps >= (before.pages - after.pages) // VACUUM_PAGES_PER_STEP
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert path.stat().st_size == after.file < before.file / 2.5
    connection.close()
