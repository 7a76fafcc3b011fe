"""What the writer does between commits: checkpoints, retention, room on the disk, figures."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import replace
from pathlib import Path

from agent.store.database import Database
from agent.store.errors import Fault, fault_of
from agent.store.health import StoreHealth
from agent.store.retention import (
    Deleted,
    Retention,
    Size,
    delete_by_age,
    delete_by_size,
    delete_oldest,
    shrink,
    size_of,
)
from agent.store.space import Reserve, free_bytes

log = logging.getLogger(__name__)

CHECKPOINT_S = 15.0
"""How often the WAL is written back: it stays at some MB and a page that changed many times is
written once."""
RETENTION_S = 10.0
ROOM_PAGES = 512
"""Free pages that a full disk must leave in the file before waves are written into it again."""
ROOM_STEPS = 16
"""Retention steps in one go when the disk is full; some 100 ms."""
FULL_SHOWN_S = 60.0
"""How long a full disk is told after the last write that failed for it."""
GROWTH_AFTER_S = 120.0
"""Uptime from which on the growth is believed."""
STEP_DISTRUST_S = 3_600.0
"""After a step of the wall clock nothing is deleted for its age for this long."""


class Upkeep:
    """Bounded steps; runs in the writer's thread only."""

    def __init__(self, database: Database, retention: Retention, reserve: Reserve) -> None:
        """Do nothing yet; ``begin`` does."""
        self._database = database
        self._retention = retention
        self._reserve = reserve
        self.wave_s = 0.0
        """Seconds of wave stored."""
        self.outbox = 0
        """Messages in the outbox."""
        self.figures = StoreHealth()
        self._full_until = float("-inf")
        self._begun = 0.0
        self._used_at_begin = 0
        self._freed = 0
        self._checkpoint_due = 0.0
        self._retention_due = 0.0
        self._trust_clock_from = float("-inf")

    def begin(self, now_s: float) -> None:
        """Count what is there."""
        connection = self._database.connection
        (wave_s,) = connection.execute("SELECT SUM(count / true_rate_hz) FROM waves").fetchone()
        (self.outbox,) = connection.execute("SELECT COUNT(*) FROM outbox").fetchone()
        self.wave_s = wave_s or 0.0
        self._begun, self._freed = now_s, 0
        self._used_at_begin = size_of(connection).used
        self._reserve.hold()
        self.refresh(now_s)

    def clock_stepped(self, now_s: float) -> None:
        """The wall clock was set: do not judge any row's age by it for a while."""
        self._trust_clock_from = now_s + STEP_DISTRUST_S

    def is_full(self, now_s: float) -> bool:
        """Whether the disk was full a short while ago, or has no room for the reserve."""
        return now_s < self._full_until or self._reserve.missing

    def make_room(self, now_s: float) -> bool:
        """After a write failed for a full disk: tells whether a retry has a chance."""
        if not self.is_full(now_s):
            log.error("%s: the disk is full; the oldest waves go first", self._database.path)
        self._full_until = now_s + FULL_SHOWN_S
        released = self._reserve.release()
        # First the WAL into the file: deleting writes to the WAL too, from its begin again then.
        self.checkpoint()
        deleted = self._deleted_oldest()
        self.checkpoint()
        return released or bool(deleted)

    def room_for_bulk(self, now_s: float) -> bool:
        """Whether waves and trends may be written: what a full disk has left is the alarms'."""
        if self._reserve.held or not self.is_full(now_s):
            return True
        connection = self._database.connection
        for _ in range(ROOM_STEPS):
            if size_of(connection).free_pages >= ROOM_PAGES:
                return True
            if not self._deleted_oldest():
                return False
        return size_of(connection).free_pages >= ROOM_PAGES

    def step(self, now_s: float, now_ns: int) -> bool:
        """Do what is due, at most some 100 ms of it; tells whether more is waiting."""
        full = self.is_full(now_s)
        if full:
            self._reserve.hold()
        if full or now_s >= self._checkpoint_due:
            self.checkpoint()
            self._checkpoint_due = now_s + CHECKPOINT_S
        if now_s < self._retention_due:
            return False
        self.refresh(now_s)
        if self._retain(now_s, now_ns):
            return True
        self._retention_due = now_s + RETENTION_S
        return False

    def checkpoint(self) -> None:
        """Write the WAL back as far as no reader holds it."""
        try:
            self._database.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            if fault_of(error) is Fault.DISK_FULL and self._reserve.release():
                self.checkpoint()
            else:
                log.debug("%s: the checkpoint waits: %s", self._database.path, error)

    def refresh(self, now_s: float) -> None:
        """Bring ``figures`` up to date."""
        path = self._database.path
        size = size_of(self._database.connection)
        disk_free = _free(path)
        self.figures = replace(
            self.figures,
            wave_hours=max(self.wave_s, 0.0) / 3600,
            size_mb=size.used / 1e6,
            wal_mb=_length(Path(f"{path}-wal")) / 1e6,
            disk_free_mb=None if disk_free is None else disk_free / 1e6,
            hours_left=self._hours_left(size, disk_free, now_s),
            disk_full=self.is_full(now_s),
            nearly_full=disk_free is not None and disk_free < self._retention.min_free_mb * 1e6,
        )

    def _hours_left(self, size: Size, disk_free: int | None, now_s: float) -> float | None:
        uptime_s = now_s - self._begun
        grown = size.used + self._freed - self._used_at_begin
        if uptime_s < GROWTH_AFTER_S or grown <= 0:
            return None
        room = self._retention.max_mb * 1e6 - size.used
        if disk_free is not None:
            spare = size.free_pages * size.page
            room = min(room, disk_free + spare - self._retention.min_free_mb * 1e6)
        return max(room, 0.0) / (grown / uptime_s) / 3600

    def _retain(self, now_s: float, now_ns: int) -> bool:
        connection = self._database.connection
        size = size_of(connection)
        disk_free = _free(self._database.path)
        deleted = Deleted()
        if disk_free is not None:
            deleted = delete_by_size(connection, self._retention, size, disk_free)
        if not deleted and now_s >= self._trust_clock_from:
            deleted = delete_by_age(connection, self._retention, now_ns)
        if deleted:
            self._account(deleted, size)
            return True
        return shrink(connection, size)

    def _deleted_oldest(self) -> Deleted:
        connection = self._database.connection
        size = size_of(connection)
        try:
            deleted = delete_oldest(connection)
        except sqlite3.Error as error:
            if fault_of(error) is not Fault.DISK_FULL:
                raise
            return Deleted()
        self._account(deleted, size)
        return deleted

    def _account(self, deleted: Deleted, before: Size) -> None:
        self.wave_s -= deleted.wave_s
        self._freed += before.used - size_of(self._database.connection).used


def _free(path: Path) -> int | None:
    try:
        return free_bytes(path.parent)
    except OSError:
        return None


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
