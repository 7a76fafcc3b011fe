"""The one thread that writes.

Two ways lead to it. *Durable work* (alarm changes, outbox, audit, settings) is committed as
soon as the thread is free, many in one transaction where many wait, and its caller learns when
it is on the disk; it is never dropped: while the disk refuses, it is tried again every second.
*Bulk* (waves, trends, gaps) waits in a bounded queue for the commit of the second.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from agent.store.blocks import OpenBlock, fold_idle, fold_leftovers
from agent.store.bulk import has_idle, write_acceptable, write_batch
from agent.store.connection import transaction
from agent.store.database import Database
from agent.store.errors import (
    Fault,
    StoreClosedError,
    StoreError,
    StoreOverloadedError,
    StoreUnwritableError,
    fault_of,
)
from agent.store.health import StoreHealth
from agent.store.queue import Batch, BulkQueue, Row
from agent.store.upkeep import Upkeep

log = logging.getLogger(__name__)

COMMIT_S = 1.0
"""How often bulk is committed: what a crash may cost."""
WORK_LIMIT = 10_000
"""Durable writes waiting at once; each has a caller that waits for it."""
BATCH_BYTES = 4 * 2**20
"""Waves in one transaction: an alarm that comes meanwhile waits for some 100 ms at most."""
BATCHES = 16
"""Transactions in which a flush empties the queue, however fast it is filled meanwhile."""
ATTEMPTS = 8
RETRY_S = 1.0


class Clock(Protocol):
    """The unit's clock (``agent.clock.UnitClock``)."""

    def monotonic_ns(self) -> int:
        """Now, on the clock that never steps."""

    def utc_ns(self, monotonic_ns: int | None = None) -> int:
        """UTC of a monotonic instant, now if none is given."""


@dataclass(frozen=True, slots=True)
class Work:
    """One durable write."""

    run: Callable[[sqlite3.Connection], int]
    """Runs inside a transaction and maybe again, so it changes nothing but the database;
    returns by how many messages the outbox grew."""
    settle: Callable[[BaseException | None], None]
    """Called once, in the writer's thread: after the commit, or with the error."""
    since: float = field(default_factory=time.monotonic)


_REMEDIES = {
    Fault.DISK_FULL: "free some space",
    Fault.BUSY: "let no other program write to the database",
}


_FULL = "the disk is full: old waves are deleted, alarms kept"


class _NotNowError(Exception):
    """The disk refuses; nothing was written, and it may work in a second."""


class Writer:
    """Owns the database's connection from ``start`` to ``stop``."""

    def __init__(
        self, database: Database, queue: BulkQueue, upkeep: Upkeep, clock: Clock, run_row: Row
    ) -> None:
        """Do nothing yet; ``start`` does."""
        self._database = database
        self._queue = queue
        self._upkeep = upkeep
        self._clock = clock
        self._wake = threading.Condition()
        self._work: deque[Work] = deque()
        self._flushes: list[Work] = []
        self._heads = [run_row]
        """Rows that others refer to: the run and its streams; kept to begin anew with."""
        self._saved_heads = 0
        self._open_blocks: dict[str, OpenBlock] = {}
        self._closing = False
        self._troubles: dict[Fault, str] = {}
        self._rejected_rows = 0
        self._next_commit = time.monotonic() + COMMIT_S
        self._retry_at = 0.0
        """When durable work that the disk refused is tried again."""
        self._upkeep_waits = False
        self._refused = False
        """Whether the disk refused something in this turn."""
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    def start(self) -> None:
        """Begin; the connection is the thread's from here on."""
        if self._database.damage is not None:
            self._troubles[Fault.DAMAGED] = f"{self._database.path}: {self._database.damage}"
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Write what waits, close the database and end. Blocks; may be called again."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise StoreUnwritableError(
                self._database.path,
                f"the last writes are not done after {timeout_s:g} s",
                "check the storage card; what was confirmed is safe",
            )

    def submit(self, work: Work) -> None:
        """Hand in a durable write."""
        with self._wake:
            self._refuse_when_closed()
            if len(self._work) >= WORK_LIMIT:
                raise StoreOverloadedError(
                    self._database.path,
                    f"{WORK_LIMIT} writes are waiting already",
                    "check the storage card",
                )
            self._work.append(work)
            self._wake.notify()

    def flush(self, settle: Callable[[BaseException | None], None]) -> None:
        """Commit the bulk that waits now, then settle."""
        with self._wake:
            self._refuse_when_closed()
            self._flushes.append(Work(_nothing, settle))
            self._wake.notify()

    def head(self, row: Row) -> None:
        """Add a row that what follows refers to (a stream's begin); never dropped."""
        with self._wake:
            self._heads.append(row)

    def add(self, put: Callable[[BulkQueue, float], None]) -> None:
        """Add to the next bulk commit."""
        with self._wake:
            put(self._queue, time.monotonic())

    def clock_stepped(self) -> None:
        """The wall clock was set."""
        self._upkeep.clock_stepped(time.monotonic())

    def health(self) -> StoreHealth:
        """The store's figures now."""
        now_s = time.monotonic()
        with self._wake:
            waiting = [work.since for work in self._work]
            if self._queue.waiting_since is not None:
                waiting.append(self._queue.waiting_since)
            return replace(
                self._upkeep.figures,
                outbox=self._upkeep.outbox,
                waiting_kb=self._queue.cost / 1e3,
                lag_s=now_s - min(waiting) if waiting else 0.0,
                dropped_samples=self._queue.dropped_samples,
                dropped_rows=self._queue.dropped_rows,
                rejected_rows=self._rejected_rows,
                disk_full=self._upkeep.is_full(now_s),
                troubles=tuple(self._troubles.copy().values()),
            )

    def _refuse_when_closed(self) -> None:
        if self._closing:
            raise StoreClosedError(self._database.path, "is closed", "open the store again")

    def _run(self) -> None:
        self._tidy()
        closing = False
        while not closing:
            closing = self._wait()
            try:
                self._turn(closing)
            except Exception as error:
                # The thread must outlive anything: a writer that died unseen would be worse.
                log.exception("%s: the writer stumbled and goes on", self._database.path)
                self._put_off(Fault.PROGRAM, f"the writer failed ({error}); see the log")
                self._retry_at = time.monotonic() + RETRY_S
        self._end()

    def _tidy(self) -> None:
        """Fold what a killed agent left in pieces."""
        try:
            with transaction(self._database.connection) as connection:
                fold_leftovers(connection)
        except (sqlite3.Error, ValueError) as error:
            log.warning("%s: old pieces stay as they are: %s", self._database.path, error)

    def _wait(self) -> bool:
        """Sleep until there is something to do; tells whether it is the last time."""
        with self._wake:
            while not self._closing:
                now_s = time.monotonic()
                ready_at = self._next_commit
                if self._flushes or self._upkeep_waits:
                    ready_at = now_s
                elif self._work:
                    ready_at = min(ready_at, self._retry_at)
                if now_s >= ready_at:
                    break
                self._wake.wait(ready_at - now_s)
            return self._closing

    def _turn(self, closing: bool) -> None:
        now_s = time.monotonic()
        due = closing or now_s >= self._next_commit
        # Taken before the commit: one that comes meanwhile wants what comes with it.
        with self._wake:
            flushes, self._flushes = self._flushes, []
        self._refused = False
        try:
            self._commit_work()
        except _NotNowError:
            self._retry_at = time.monotonic() + RETRY_S
        if due or flushes:
            self._bulk_turn(now_s, flushes, everything=closing or bool(flushes))
        if due:
            self._next_commit = max(self._next_commit + COMMIT_S, time.monotonic())
        if due or self._upkeep_waits:
            self._keep_up(now_s)
        if not self._refused and not self._work:
            for fault in (Fault.BUSY, Fault.UNWRITABLE, Fault.PROGRAM):
                self._troubles.pop(fault, None)

    def _bulk_turn(self, now_s: float, flushes: list[Work], *, everything: bool) -> None:
        error: BaseException | None = None
        try:
            self._commit_bulk(now_s, everything=everything)
        except _NotNowError as reason:
            error = StoreUnwritableError(self._database.path, str(reason), "try again in a second")
        except Exception as reason:
            error = reason
            raise
        finally:
            for flush in flushes:
                flush.settle(error)

    def _keep_up(self, now_s: float) -> None:
        self._upkeep_waits = False
        with contextlib.suppress(_NotNowError):
            self._attempt(partial(self._step, now_s))
        if self._upkeep.is_full(now_s):
            self._put_off(Fault.DISK_FULL, _FULL)
        else:
            self._troubles.pop(Fault.DISK_FULL, None)

    def _step(self, now_s: float) -> None:
        self._upkeep_waits = self._upkeep.step(now_s, self._clock.utc_ns())

    def _commit_work(self) -> None:
        while self._work and (self._closing or time.monotonic() >= self._retry_at):
            self._attempt(self._commit_group)

    def _commit_group(self) -> None:
        """Commit all that waits together; a work that fails by its own fault fails alone."""
        with self._wake:
            group = list(self._work)
        try:
            self._commit_together(group)
        except Exception as error:
            if _is_of_the_disk(error):
                raise
            for work in group:
                self._commit_alone(work)

    def _commit_alone(self, work: Work) -> None:
        try:
            self._commit_together([work])
        except Exception as error:
            if _is_of_the_disk(error):
                raise
            self._settle([work], error)

    def _commit_together(self, group: list[Work]) -> None:
        connection = self._database.connection
        with transaction(connection):
            grown = sum(work.run(connection) for work in group)
        self._upkeep.outbox += grown
        self._settle(group, None)

    def _settle(self, group: list[Work], error: BaseException | None) -> None:
        with self._wake:
            for _ in group:
                self._work.popleft()
        for work in group:
            work.settle(error)

    def _commit_bulk(self, now_s: float, *, everything: bool) -> None:
        self._attempt(partial(self._want_room, now_s))
        for _ in range(BATCHES if everything else 1):
            with self._wake:
                batch = self._queue.take(BATCH_BYTES)
            try:
                self._attempt(partial(self._write, batch, now_s))
            except BaseException:
                with self._wake:
                    self._queue.put_back(batch, now_s)
                raise
            if not self._queue.cost:
                return

    def _want_room(self, now_s: float) -> None:
        if not self._upkeep.room_for_bulk(now_s):
            raise _NotNowError("the disk is full: waves and trends wait")

    def _write(self, batch: Batch, now_s: float) -> None:
        """One transaction; what the database refuses for good is left out and counted."""
        with self._wake:
            heads = self._heads[self._saved_heads :]
        if not (batch or heads or has_idle(self._open_blocks, now_s)):
            return
        connection = self._database.connection
        open_blocks = dict(self._open_blocks)
        try:
            with transaction(connection):
                written = write_batch(connection, heads, batch, open_blocks, now_s)
        except Exception as error:
            if _is_of_the_disk(error):
                raise
            open_blocks = dict(self._open_blocks)
            with transaction(connection):
                written = write_acceptable(connection, heads, batch, open_blocks, now_s)
        self._open_blocks = open_blocks
        self._saved_heads += len(heads)
        self._upkeep.wave_s += written.wave_s
        self._rejected_rows += written.rejected

    def _attempt(self, job: Callable[[], None]) -> None:
        """Do a job that may be repeated, mending what can be mended in between.

        Raises:
            _NotNowError: it cannot be mended now.
        """
        for _ in range(ATTEMPTS):
            try:
                if not self._database.is_connected:
                    self._database.reconnect()
                job()
            except sqlite3.Error as error:
                self._mend(error)
            except StoreError as error:
                raise self._put_off(Fault.UNWRITABLE, error.what) from error
            else:
                return
        raise self._put_off(Fault.UNWRITABLE, f"not written after {ATTEMPTS} attempts")

    def _mend(self, error: sqlite3.Error) -> None:
        match fault_of(error):
            case Fault.DISK_FULL:
                self._make_room(error)
            case Fault.DAMAGED:
                self._begin_anew(error)
            case Fault.UNWRITABLE:
                self._database.disconnect()
                raise self._put_off(Fault.UNWRITABLE, f"cannot be written ({error})") from error
            case Fault.BUSY:
                why = f"another program is writing to it ({error})"
                raise self._put_off(Fault.BUSY, why) from error
            case Fault.PROGRAM:
                raise error

    def _make_room(self, error: sqlite3.Error) -> None:
        not_now = self._put_off(Fault.DISK_FULL, _FULL)
        try:
            if not self._upkeep.make_room(time.monotonic()):
                raise not_now from error
        except sqlite3.Error as second:
            if fault_of(second) is not Fault.DAMAGED:
                raise not_now from second
            self._begin_anew(second)

    def _begin_anew(self, error: sqlite3.Error) -> None:
        """The file was damaged while in use: put it aside and go on with a new one."""
        log.error("%s: damaged while in use: %s", self._database.path, error)
        try:
            self._database.replace(str(error), self._clock.utc_ns())
            self._upkeep.begin(time.monotonic())
        except (sqlite3.Error, OSError) as second:
            raise self._put_off(Fault.UNWRITABLE, f"cannot be begun anew ({second})") from second
        self._saved_heads = 0
        self._troubles[Fault.DAMAGED] = f"{self._database.path}: {self._database.damage}"

    def _put_off(self, fault: Fault, why: str) -> _NotNowError:
        """Make the error that means trying again in a second, and tell the trouble."""
        self._refused = True
        text = f"{self._database.path}: {why}; {_REMEDIES.get(fault, 'check the storage card')}"
        # The first time is worth a line in the log; that it goes on, health says.
        log.log(logging.DEBUG if fault in self._troubles else logging.ERROR, "%s", text)
        self._troubles[fault] = text
        return _NotNowError(why)

    def _end(self) -> None:
        """Fold what is open, tell those whose write did not make it, close."""
        try:
            connection = self._database.connection
            with transaction(connection):
                fold_idle(connection, self._open_blocks, float("inf"))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except (sqlite3.Error, StoreError) as error:
            log.warning("%s: closed without tidying up: %s", self._database.path, error)
        closed = StoreClosedError(
            self._database.path, "was closed before this was written", "write it again"
        )
        for flush in self._flushes:
            flush.settle(closed)
        self._settle(list(self._work), closed)
        self._database.close()


def _is_of_the_disk(error: Exception) -> bool:
    """Whether an error may go away by itself, as those of the work itself do not."""
    return isinstance(error, sqlite3.Error) and fault_of(error) is not Fault.PROGRAM


def _nothing(_: sqlite3.Connection) -> int:
    return 0
