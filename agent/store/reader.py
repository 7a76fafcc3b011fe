"""Reading what is stored, beside the agent that writes it or without one. Never writes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from agent.alarms.types import Alarm, AlarmChange
from agent.rhythm.types import Beat, Finding, RhythmChange
from agent.store.connection import connect_read_only
from agent.store.database import Database
from agent.store.errors import StoreClosedError, StoreError, StoreTooNewError
from agent.store.migrations import newest, version_of
from agent.store.rows import (
    StoredStream,
    alarm_change_of,
    alarm_of,
    beat_of,
    finding_of,
    rhythm_of,
    stream_of,
)
from agent.store.wave_reader import WaveSegment, events, segments
from drivers.samples import Gap, SampleBlock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timed(Generic[T]):
    """Something found in a stream, with its wall time."""

    at_ns: int
    """UTC of its begin."""
    stream: str
    value: T


@dataclass(frozen=True, slots=True)
class StoredVitals:
    """One second's numbers; ``None`` where the signal allowed none."""

    at_ns: int
    rate_bpm: float | None
    rr_ms: float | None
    pvc_per_min: int | None
    quality: str
    p_usable: float
    rhythm: str
    rhythm_confidence: float
    rate_age_s: float | None
    lag_ms: float


class Reader:
    """One read-only connection; for one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path

    @classmethod
    def open(cls, path: Path | str) -> Reader:
        """Open a database for reading.

        Raises:
            StoreError: it is not there, not a database, or of a later version.
        """
        path = Path(path)
        if not path.exists():
            raise StoreError(path, "is not there", "name the database of a unit")
        try:
            connection = connect_read_only(path)
        except sqlite3.Error as error:
            raise StoreError(path, f"cannot be read ({error})", "check path and rights") from error
        version = version_of(connection)
        if version > newest():
            connection.close()
            raise StoreTooNewError(
                path, f"has schema {version}, known are up to {newest()}", "update wardbeat"
            )
        return cls(connection, path)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def streams(self, bed: str, start_ns: int = 0, end_ns: int = 2**62) -> list[StoredStream]:
        """The streams of a bed that may hold something of [start_ns, end_ns), oldest first."""
        rows = self.connection.execute(
            "SELECT * FROM streams WHERE bed = ? ORDER BY number", (bed,)
        ).fetchall()
        return [
            stream_of(row)
            for row in rows
            if row["start_ns"] < end_ns and self._newest_sample(row) >= start_ns
        ]

    def stream(self, stream: str) -> StoredStream:
        """One stream by its id.

        Raises:
            StoreError: there is none.
        """
        row = self.connection.execute("SELECT * FROM streams WHERE id = ?", (stream,)).fetchone()
        if row is None:
            raise StoreError(self.path, f"has no stream {stream}", "list the bed's streams")
        return stream_of(row)

    def read_wave(self, bed: str, start_ns: int, end_ns: int) -> list[WaveSegment]:
        """The wave of a bed in the UTC range [start_ns, end_ns), stream by stream.

        Exact counts; what is missing between two stored samples is told as gaps.
        """
        with self._snapshot():
            return [
                segment
                for stream in self.streams(bed)
                for segment in segments(self.connection, stream, start_ns, end_ns)
            ]

    def events(
        self, stream: str, first: int = 0, end: int | None = None
    ) -> Iterator[SampleBlock | Gap]:
        """A stream's blocks and gaps in order, as its driver gave them, however long it is."""
        return events(self.connection, self.stream(stream), first, end)

    def vitals(self, bed: str, start_ns: int, end_ns: int) -> list[StoredVitals]:
        """The numbers of each second in [start_ns, end_ns)."""
        names = ", ".join(StoredVitals.__slots__)
        rows = self.connection.execute(
            f"SELECT {names} FROM vitals WHERE bed = ? AND at_ns >= ? AND at_ns < ?"  # noqa: S608
            " ORDER BY at_ns",
            (bed, start_ns, end_ns),
        )
        return [StoredVitals(*row) for row in rows]

    def beats(self, bed: str, start_ns: int, end_ns: int) -> list[Timed[Beat]]:
        """The beats in [start_ns, end_ns)."""
        return self._timed("beats", "at_ns", beat_of, bed, start_ns, end_ns)

    def rhythms(self, bed: str, start_ns: int, end_ns: int) -> list[Timed[RhythmChange]]:
        """The changes of rhythm in [start_ns, end_ns)."""
        return self._timed("rhythm_changes", "start_ns", rhythm_of, bed, start_ns, end_ns)

    def findings(self, bed: str, start_ns: int, end_ns: int) -> list[Timed[Finding]]:
        """The findings that began in [start_ns, end_ns)."""
        return self._timed("findings", "onset_ns", finding_of, bed, start_ns, end_ns)

    def alarm_log(self, bed: str, start_ns: int = 0, end_ns: int = 2**62) -> list[AlarmChange]:
        """The alarm changes of a bed in [start_ns, end_ns), in the order they were stored."""
        rows = self.connection.execute(
            "SELECT * FROM alarm_changes WHERE bed = ? AND at_ns >= ? AND at_ns < ?"
            " ORDER BY number",
            (bed, start_ns, end_ns),
        )
        return [alarm_change_of(row) for row in rows]

    def open_alarms(self, bed: str) -> list[Alarm]:
        """The alarms of a bed that are active or latched, oldest first."""
        rows = self.connection.execute(
            "SELECT * FROM alarms WHERE bed = ? AND state <> 'inactive' ORDER BY last_change",
            (bed,),
        )
        return [alarm_of(row, "id") for row in rows]

    def settings(self, bed: str) -> dict[str, Any]:
        """The settings of a bed, decoded from JSON."""
        rows = self.connection.execute("SELECT name, value FROM settings WHERE bed = ?", (bed,))
        return {row["name"]: json.loads(row["value"]) for row in rows}

    def _newest_sample(self, stream: sqlite3.Row) -> int:
        """UTC of the newest thing in a stream, at least its begin."""
        row = self.connection.execute(
            "SELECT start_ns, count, true_rate_hz FROM waves WHERE stream = ?"
            " ORDER BY start_ns DESC LIMIT 1",
            (stream["number"],),
        ).fetchone()
        if row is None:
            return int(stream["start_ns"])
        return int(row["start_ns"] + row["count"] / row["true_rate_hz"] * 1e9)

    def _timed(
        self,
        table: str,
        time: str,
        read: Callable[[sqlite3.Row], T],
        bed: str,
        start_ns: int,
        end_ns: int,
    ) -> list[Timed[T]]:
        rows = self.connection.execute(
            # CROSS JOIN keeps SQLite from walking through whole streams to find the range.
            f"SELECT found.*, streams.id AS stream_id FROM {table} AS found"  # noqa: S608
            " CROSS JOIN streams ON streams.number = found.stream"
            f" WHERE streams.bed = ? AND found.{time} >= ? AND found.{time} < ?"
            f" ORDER BY found.{time}",
            (bed, start_ns, end_ns),
        )
        return [Timed(row[time], row["stream_id"], read(row)) for row in rows]

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Several reads of one moment, though the agent folds and deletes meanwhile."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("ROLLBACK")


class ReaderThread:
    """A reader in a thread of its own, so that the event loop never waits for the disk."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._generation = -1
        self._closed = False
        self._reader: Reader | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def call(self, ask: Callable[[Reader], T]) -> T:
        """Run a question in the thread.

        Raises:
            StoreClosedError: the store was closed.
        """
        if self._closed:
            raise StoreClosedError(self._database.path, "is closed", "open the store again")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: ask(self._current()))

    def close(self) -> None:
        """End the thread after what it is doing; blocks; may be called again."""
        if not self._closed:
            self._closed = True
            self._thread.submit(self._drop)
        self._thread.shutdown()

    def _current(self) -> Reader:
        generation = self._database.generation
        if self._reader is None or self._generation != generation:
            self._drop()
            self._reader = Reader.open(self._database.path)
            self._generation = generation
        return self._reader

    def _drop(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
