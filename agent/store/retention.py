"""What may be deleted, and in which order: oldest waves first, then trends; alarms never.

Every step is one short transaction, so an alarm never waits long behind it. Age is judged in
the order of writing: a clock that was wrong for a while cannot push new rows before old ones.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from agent.store.connection import transaction

NS_PER_DAY = 86_400 * 10**9
WAVE_ROWS_PER_STEP = 32
WAVE_BYTES_PER_STEP = 2 * 2**20
"""Half an hour of one lead, or ten minutes of eight: some 10 ms, on a slow card 100 ms."""
TREND_ROWS_PER_STEP = 2_000
VACUUM_PAGES_PER_STEP = 256
FREE_PAGES_KEPT = 1_024
"""Freed pages kept in the file for what comes next; more are given back to the file system."""

_TRENDS = (
    # table, key of a row, column of its time, column in whose order the rows are found at once
    ("vitals", "number", "at_ns", "number"),
    ("beats", "stream, time_s", "at_ns", "at_ns"),
    ("gaps", "stream, first", "start_ns", "start_ns"),
    ("rhythm_changes", "stream, start_s", "start_ns", "start_ns"),
    ("findings", "stream, kind, onset_s", "onset_ns", "onset_ns"),
    ("summaries", "id", "start_ns", "start_ns"),
    ("disagreements", "number", "at_ns", "number"),
    ("trials", "number", "at_ns", "number"),
)


@dataclass(frozen=True, slots=True)
class Retention:
    """How much to keep. Alarms, feedback, outbox, audit and settings are kept in any case."""

    wave_days: float = 30.0
    trend_days: float = 365.0
    """Vitals, beats, rhythms, findings, gaps, minute summaries, disagreements of trials."""
    max_mb: float = 8_000.0
    """The database's size, from which on the oldest waves, then the oldest trends, go."""
    min_free_mb: float = 256.0
    """Room left on the disk for others, likewise."""


@dataclass(frozen=True, slots=True)
class Size:
    """The database's pages."""

    page: int
    pages: int
    free_pages: int

    @property
    def used(self) -> int:
        """Bytes in use."""
        return (self.pages - self.free_pages) * self.page

    @property
    def file(self) -> int:
        """Bytes of the file, after a checkpoint."""
        return self.pages * self.page


@dataclass(frozen=True, slots=True)
class Deleted:
    """What one step took away."""

    wave_s: float = 0.0
    rows: int = 0

    def __bool__(self) -> bool:
        return self.rows > 0


def size_of(connection: sqlite3.Connection) -> Size:
    """The database's size now."""
    return Size(
        *(
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_size", "page_count", "freelist_count")
        )
    )


def delete_by_age(connection: sqlite3.Connection, keep: Retention, now_ns: int) -> Deleted:
    """One step of deleting what is too old."""
    deleted = delete_oldest_waves(connection, now_ns - round(keep.wave_days * NS_PER_DAY))
    return deleted or delete_oldest_trends(connection, now_ns - round(keep.trend_days * NS_PER_DAY))


def delete_by_size(
    connection: sqlite3.Connection, keep: Retention, size: Size, disk_free: int
) -> Deleted:
    """One step of deleting what does not fit any more."""
    # A file that shrinks gives its pages to the disk, so they count as free already.
    disk_free += max(size.free_pages - FREE_PAGES_KEPT, 0) * size.page
    if size.used <= keep.max_mb * 1e6 and disk_free >= keep.min_free_mb * 1e6:
        return Deleted()
    return delete_oldest(connection)


def delete_oldest(connection: sqlite3.Connection) -> Deleted:
    """One step of deleting the oldest waves or, when there are none left, the oldest trends."""
    return delete_oldest_waves(connection) or delete_oldest_trends(connection)


def delete_oldest_waves(
    connection: sqlite3.Connection, before_ns: int | None = None, rows: int = WAVE_ROWS_PER_STEP
) -> Deleted:
    """Delete the oldest wave rows, as long as they began before ``before_ns`` (None: at all)."""
    oldest = connection.execute(
        "SELECT number, count / true_rate_hz, start_ns, LENGTH(samples) FROM waves"
        " ORDER BY number LIMIT ?",
        (rows,),
    ).fetchall()
    wave_s, length, last = 0.0, 0, None
    for number, seconds, start_ns, size in oldest:
        if (before_ns is not None and start_ns >= before_ns) or length > WAVE_BYTES_PER_STEP:
            break
        wave_s += seconds
        length += size
        last = number
    if last is None:
        return Deleted()
    with transaction(connection):
        gone = connection.execute("DELETE FROM waves WHERE number <= ?", (last,)).rowcount
    return Deleted(wave_s, gone)


def delete_oldest_trends(
    connection: sqlite3.Connection, before_ns: int | None = None, rows: int = TREND_ROWS_PER_STEP
) -> Deleted:
    """Delete the oldest rows of one table, as long as they lie before ``before_ns``."""
    for table, key, time, order in _TRENDS:
        oldest = f"SELECT {key}, {time} AS at FROM {table} ORDER BY {order} LIMIT :rows"  # noqa: S608
        due = f"SELECT {key} FROM ({oldest}) WHERE :before IS NULL OR at < :before"  # noqa: S608
        with transaction(connection):
            gone = connection.execute(
                f"DELETE FROM {table} WHERE ({key}) IN ({due})",  # noqa: S608
                {"before": before_ns, "rows": rows},
            ).rowcount
        if gone:
            return Deleted(rows=gone)
    return Deleted()


def shrink(connection: sqlite3.Connection, size: Size) -> bool:
    """One step of giving free pages back to the file system; tells whether there was one."""
    spare = size.free_pages - FREE_PAGES_KEPT
    if spare <= 0:
        return False
    pages = min(spare, VACUUM_PAGES_PER_STEP)
    # The pragma frees one page per sqlite3_step; execute() steps once only, a script to the end.
    connection.executescript(f"PRAGMA incremental_vacuum({pages})")
    return True
