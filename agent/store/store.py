"""The store as the unit uses it.

Methods that are awaited return when what they say is on the disk. The others only hand over
and never block; what they were given is on the disk within about a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from agent.alarms.types import Alarm, AlarmChange
from agent.clock import StreamTime, UnitClock
from agent.rhythm.types import Beat, Finding, RhythmChange
from agent.store.connection import transaction
from agent.store.database import Damage, Database
from agent.store.errors import Fault, StoreUnwritableError, fault_of
from agent.store.health import StoreHealth
from agent.store.judgements import INSERT_TRIAL, Disagreement, disagreement_row, feedback_row
from agent.store.outbox import SqliteOutbox, insert_messages
from agent.store.queue import BulkQueue, Row, WaveRun
from agent.store.reader import Reader, ReaderThread
from agent.store.retention import Retention
from agent.store.rows import (
    INSERT_AUDIT,
    INSERT_CLOCK_STEP,
    INSERT_RUN,
    UPSERT_SETTING,
    alarm_change_row,
    beat_row,
    finding_row,
    gap_row,
    lead_states_text,
    rhythm_row,
    stream_row,
    summary_row,
    vitals_row,
)
from agent.store.space import RESERVE_BYTES, Reserve
from agent.store.upkeep import Upkeep
from agent.store.wave_reader import WaveSegment
from agent.store.writer import Clock, Work, Writer
from drivers.samples import Gap, SampleBlock, StreamInfo
from sync.contract import Feedback, Strip, Summary, Vitals
from sync.ids import new_id
from sync.outbox import OutboxMessage

log = logging.getLogger(__name__)

T = TypeVar("T")

CLOSE_S = 30.0
"""How long closing waits for the last writes."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Sizes of the store; the defaults suit one to sixteen beds on a Pi."""

    retention: Retention = field(default_factory=Retention)
    queue_bytes: int = 16 * 2**20
    """Waves and trends waiting in memory: half an hour of one Cyton while the disk hangs, over
    a minute of sixteen."""
    reserve_bytes: int = RESERVE_BYTES
    """Room kept for alarms when the disk is full; 0 keeps none."""


@dataclass(slots=True)
class _Stream:
    """What the store must know of a stream that is being written."""

    bed: str
    leads: int
    time: StreamTime
    end: int = 0


class Store:
    """Everything a unit keeps, in one SQLite database; one store per database.

    Used from one event loop; ``open`` may run before there is one.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        clock: Clock,
        run_number: int,
        history: ReaderThread,
        outbox_reader: ReaderThread,
    ) -> None:
        """Use ``open``."""
        self.path = database.path
        self.run_number = run_number
        """Counts the starts of the agent on this database: 1, 2, 3, …"""
        self.outbox = SqliteOutbox(self._durably, outbox_reader)
        self._database = database
        self._writer = writer
        self._clock = clock
        self._readers = (history, outbox_reader)
        self._history = history
        self._streams: dict[str, _Stream] = {}

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        boot_id: str,
        version: str = "",
        clock: Clock | None = None,
        options: StoreOptions | None = None,
    ) -> Store:
        """Open or create the database and start the writer; may take a second on a large one.

        A damaged database is put aside, what may not be lost is carried over into a new one,
        and ``damage`` and ``health().troubles`` say so.

        Args:
            path: the database file; missing folders are made.
            boot_id: the host's boot, within which monotonic times can be compared.
            version: wardbeat's, for the log of runs.
            clock: where wall times come from; the host's clock when None.
            options: sizes and retention.

        Raises:
            StoreInUseError: another agent has the database.
            StoreTooNewError: a later wardbeat made it.
            StoreForeignError: it is another program's.
            StoreUnwritableError: the folder or file cannot be written.
        """
        options = options or StoreOptions()
        clock = clock or UnitClock()
        database = Database(Path(path))
        reserve = Reserve(database.path, options.reserve_bytes)
        reserve.release_if_cramped()
        database.open(clock.utc_ns())
        try:
            upkeep = Upkeep(database, options.retention, reserve)
            _begin(upkeep, database, clock)
            number = _next_run(database.connection)
            started = (clock.utc_ns(), clock.monotonic_ns())
            run_row = Row(INSERT_RUN, (number, boot_id, version, *started))
            _save_run(database, upkeep, run_row)
        except BaseException:
            database.close()
            raise
        writer = Writer(database, BulkQueue(options.queue_bytes), upkeep, clock, run_row)
        writer.start()
        readers = (ReaderThread(database, name) for name in ("store-history", "store-outbox"))
        return cls(database, writer, clock, number, *readers)

    @property
    def damage(self) -> Damage | None:
        """The damage that was found at the start or since, if any."""
        return self._database.damage

    async def close(self) -> None:
        """Write what waits and close.

        Raises:
            StoreUnwritableError: the disk did not take the last writes in time.
        """
        await asyncio.to_thread(self._close)

    def health(self) -> StoreHealth:
        """How the store is doing; never blocks for long."""
        return self._writer.health()

    # Durable: on the disk when the call returns.

    async def alarm_change(
        self, change: AlarmChange, bed: str, messages: Sequence[OutboxMessage]
    ) -> None:
        """Store a change and queue its messages, in one transaction.

        The same change again (by its id) is a no-op, its messages included.
        """
        row = alarm_change_row(change, bed)

        def write(connection: sqlite3.Connection) -> int:
            if not connection.execute(row.sql, row.values).rowcount:
                return 0
            return insert_messages(connection, messages)

        await self._durably(write)

    async def feedback(
        self, feedback: Feedback, strip: Strip | None, messages: Sequence[OutboxMessage]
    ) -> None:
        """Store a judgement of an alarm with its ECG and queue its messages."""
        row = feedback_row(feedback, strip)

        def write(connection: sqlite3.Connection) -> int:
            _execute(connection, [row])
            return insert_messages(connection, messages)

        await self._durably(write)

    async def enqueue(self, messages: Sequence[OutboxMessage]) -> None:
        """Queue messages for the broker."""
        await self._durably(lambda connection: insert_messages(connection, messages))

    async def audit(
        self,
        *,
        who: str,
        what: str,
        bed: str = "",
        accepted: bool = True,
        reason: str = "",
        details: Mapping[str, Any] | None = None,
        at_ns: int | None = None,
    ) -> None:
        """Note who asked for what, and what became of it."""
        row = self._audit_row(who, what, bed, accepted, reason, details or {}, at_ns)
        await self._durably(lambda connection: _execute(connection, [row]))

    async def set_settings(
        self, bed: str, values: Mapping[str, Any], *, who: str, at_ns: int | None = None
    ) -> None:
        """Keep settings of a bed (anything JSON can say), and audit the change with them."""
        set_ns = self._clock.utc_ns() if at_ns is None else at_ns
        rows = [
            Row(UPSERT_SETTING, (bed, name, _json(value), set_ns, who))
            for name, value in values.items()
        ]
        rows.append(self._audit_row(who, "set", bed, True, "", values, set_ns))
        await self._durably(lambda connection: _execute(connection, rows))

    async def flush(self) -> None:
        """Commit what was handed over so far.

        Raises:
            StoreUnwritableError: the disk refuses; it is tried again each second.
        """
        await self._settled(self._writer.flush)

    # Handed over: on the disk within about a second.

    def begin_stream(self, bed: str, info: StreamInfo, host_ns: int) -> str:
        """A stream begins at a bed; returns its id for the calls below."""
        stream = new_id()
        # A device that gives rates only has no sampling rate: its axis counts seconds.
        rate_hz = info.rate_hz if info.rate_hz > 0 else 1.0
        self._streams[stream] = _Stream(
            bed, len(info.leads), StreamTime(rate_hz, 0, host_ns, rate_hz)
        )
        start_ns = self._clock.utc_ns(host_ns)
        self._writer.head(stream_row(stream, self.run_number, bed, info, start_ns, host_ns))
        return stream

    def samples(self, stream: str, block: SampleBlock) -> None:
        """Keep samples; the counts are copied.

        Raises:
            ValueError: an unknown stream, another number of leads, or samples that lie before
                the last ones of the stream.
        """
        known = self._known(stream)
        counts = np.array(block.counts, np.int32, order="C")
        if counts.ndim != 2 or counts.shape[1] != known.leads:
            raise ValueError(f"counts of shape {counts.shape} in a stream of {known.leads} leads")
        if block.first < known.end:
            raise ValueError(f"samples from {block.first} on, but {known.end} are stored already")
        if not len(counts):
            return
        rate_hz = known.time.nominal_rate_hz
        known.time = StreamTime(rate_hz, block.first, block.host_ns, block.true_rate_hz)
        known.end = block.end
        run = WaveRun(
            stream,
            block.first,
            counts,
            self._clock.utc_ns(block.host_ns),
            block.host_ns,
            block.true_rate_hz,
            lead_states_text(block.leads),
        )
        self._writer.add(lambda queue, now_s: queue.put_wave(run, now_s))

    def gap(self, stream: str, gap: Gap) -> None:
        """Keep a gap."""
        self._known(stream)
        row = gap_row(stream, gap, self._clock.utc_ns(gap.host_ns))
        self._writer.add(lambda queue, now_s: queue.put_event(row, now_s))

    def vitals(self, vitals: Vitals) -> None:
        """Keep one second's numbers."""
        self._trend(vitals_row(vitals))

    def summary(self, summary: Summary) -> None:
        """Keep one minute's summary (``enqueue`` sends it)."""
        self._trend(summary_row(summary))

    def beats(self, stream: str, beats: Sequence[Beat]) -> None:
        """Keep beats."""
        for beat in beats:
            self._trend(beat_row(stream, beat, self.utc_ns(stream, beat.time_s)))

    def rhythm(self, stream: str, change: RhythmChange) -> None:
        """Keep a change of rhythm."""
        self._trend(rhythm_row(stream, change, self.utc_ns(stream, change.start_s)))

    def finding(self, stream: str, finding: Finding) -> None:
        """Keep a finding, or what became of it: the last one given of (kind, onset_s) counts."""
        ended_ns = None if finding.ended_s is None else self.utc_ns(stream, finding.ended_s)
        onset_ns = self.utc_ns(stream, finding.onset_s)
        self._trend(finding_row(stream, finding, onset_ns, ended_ns))

    def disagreement(self, one: Disagreement) -> None:
        """Keep what a network in shadow said otherwise."""
        self._trend(disagreement_row(one))

    def trial(self, bed: str, candidate: str, seconds: float) -> None:
        """Keep that a candidate ran beside the one in use for so long."""
        self._trend(Row(INSERT_TRIAL, (self._clock.utc_ns(), bed, candidate, seconds)))

    def clock_step(self, by_ns: int) -> None:
        """The host's wall clock was set by so much: noted, so that times can be corrected."""
        values = (self.run_number, self._clock.utc_ns(), by_ns, self._clock.monotonic_ns())
        row = Row(INSERT_CLOCK_STEP, values)
        self._writer.add(lambda queue, now_s: queue.put_event(row, now_s))
        self._writer.clock_stepped()

    def utc_ns(self, stream: str, time_s: float) -> int:
        """UTC of a stream time, by the newest samples of the stream."""
        return self._clock.utc_ns(self._known(stream).time.monotonic_ns(time_s))

    # Reading.

    async def open_alarms(self, bed: str) -> list[Alarm]:
        """The alarms of a bed that are active or latched: what a restarted agent goes on with."""
        return await self.read(lambda reader: reader.open_alarms(bed))

    async def settings(self, bed: str) -> dict[str, Any]:
        """The settings of a bed: its limits, the patient's pseudonym, the last audio pause, …"""
        return await self.read(lambda reader: reader.settings(bed))

    async def read_wave(self, bed: str, start_ns: int, end_ns: int) -> list[WaveSegment]:
        """What is committed of a bed's wave in the UTC range [start_ns, end_ns)."""
        return await self.read(lambda reader: reader.read_wave(bed, start_ns, end_ns))

    async def strip(self, bed: str, start_ns: int, end_ns: int) -> WaveSegment | None:
        """The longest stretch of one stream in the range, up to the newest sample handed over.

        None where nothing was recorded.
        """
        try:
            await self.flush()
        except StoreUnwritableError as error:
            log.warning("the strip may lack its last second: %s", error)
        found = await self.read_wave(bed, start_ns, end_ns)
        return max(found, key=lambda segment: len(segment.counts), default=None)

    async def read(self, ask: Callable[[Reader], T]) -> T:
        """Ask anything of the history: ``await store.read(lambda r: r.vitals(bed, a, b))``."""
        return await self._history.call(ask)

    def _known(self, stream: str) -> _Stream:
        try:
            return self._streams[stream]
        except KeyError:
            raise ValueError(f"no stream {stream} was begun") from None

    def _trend(self, row: Row) -> None:
        self._writer.add(lambda queue, now_s: queue.put_trend(row, now_s))

    def _audit_row(
        self,
        who: str,
        what: str,
        bed: str,
        accepted: bool,
        reason: str,
        details: Mapping[str, Any],
        at_ns: int | None,
    ) -> Row:
        at_ns = self._clock.utc_ns() if at_ns is None else at_ns
        said = (bed, who, what, accepted, reason, _json(details))
        return Row(INSERT_AUDIT, (at_ns, *said))

    async def _durably(self, run: Callable[[sqlite3.Connection], int]) -> None:
        """Run in the writer; return after the commit. A cancelled caller changes nothing."""
        grown = 0

        def counted(connection: sqlite3.Connection) -> int:
            nonlocal grown
            grown = run(connection)
            return grown

        def news() -> None:
            if grown > 0:
                self.outbox.notify()

        await self._settled(lambda settle: self._writer.submit(Work(counted, settle)), news)

    async def _settled(
        self,
        hand_over: Callable[[Callable[[BaseException | None], None]], None],
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Hand something to the writer's thread and wait here until it settles it."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def finish(error: BaseException | None) -> None:
            after()
            if done.cancelled():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def settle(error: BaseException | None) -> None:
            # The loop may be gone when the writer is done: nobody waits then.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, error)

        hand_over(settle)
        await done

    def _close(self) -> None:
        for reader in self._readers:
            reader.close()
        self._writer.stop(CLOSE_S)


def _execute(connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
    for row in rows:
        connection.execute(row.sql, row.values)
    return 0


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _begin(upkeep: Upkeep, database: Database, clock: Clock) -> None:
    """Begin the upkeep; damage in what the first check left out shows here."""
    try:
        upkeep.begin(time.monotonic())
    except sqlite3.DatabaseError as error:
        if fault_of(error) is not Fault.DAMAGED:
            raise
        database.replace(str(error), clock.utc_ns())
        upkeep.begin(time.monotonic())


def _next_run(connection: sqlite3.Connection) -> int:
    (last,) = connection.execute("SELECT COALESCE(MAX(number), 0) FROM runs").fetchone()
    return int(last) + 1


def _save_run(database: Database, upkeep: Upkeep, row: Row) -> None:
    """Count this start, so that no later one gets its number; a full disk is no reason to stop."""
    for _ in range(2):
        try:
            with transaction(database.connection) as connection:
                connection.execute(row.sql, row.values)
        except sqlite3.Error as error:
            log.warning("%s: the start is not noted yet: %s", database.path, error)
            if fault_of(error) is not Fault.DISK_FULL or not upkeep.make_room(time.monotonic()):
                return
        else:
            return
