"""What waits for the next commit, bounded: waves are dropped first, then trends, oldest first.

Alarms, the outbox, settings and the audit never wait here (see ``writer``).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from drivers.samples import Counts

SqlValue: TypeAlias = str | bytes | int | float | None

ROW_COST = 300
"""Bytes a waiting row is counted as (tuple and numbers in CPython, rounded up)."""
DROPPED_RANGES = 1000
"""Dropped ranges told apart per stream; beyond, a gap between two of them joins them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One statement with its parameters."""

    sql: str
    values: tuple[SqlValue, ...]


@dataclass(frozen=True, slots=True, eq=False)
class WaveRun:
    """Consecutive samples of one stream, none missing."""

    stream: str
    first: int
    counts: Counts
    start_ns: int
    """UTC of sample ``first``."""
    host_ns: int
    true_rate_hz: float
    lead_states: str

    @property
    def end(self) -> int:
        """Index of the sample after the last one."""
        return self.first + len(self.counts)

    @property
    def cost(self) -> int:
        """Bytes it is counted as."""
        return self.counts.nbytes + ROW_COST


@dataclass(frozen=True, slots=True)
class Dropped:
    """Consecutive samples of one stream that were given up."""

    stream: str
    first: int
    count: int
    start_ns: int
    host_ns: int


@dataclass(slots=True)
class Batch:
    """What one commit writes, in this order."""

    events: list[Row] = field(default_factory=list)
    """Gaps and clock steps."""
    dropped: list[Dropped] = field(default_factory=list)
    trends: list[Row] = field(default_factory=list)
    """Vitals, summaries, beats, rhythms, findings."""
    waves: list[WaveRun] = field(default_factory=list)
    since: float | None = None
    """When the oldest of it was put into the queue."""

    def __bool__(self) -> bool:
        return bool(self.events or self.dropped or self.trends or self.waves)


class BulkQueue:
    """Not thread-safe: the writer's lock guards it."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._waves: deque[WaveRun] = deque()
        self._trends: deque[Row] = deque()
        self._events: deque[Row] = deque()
        self._dropped: dict[str, list[Dropped]] = {}
        self.cost = 0
        """Bytes waiting."""
        self.dropped_samples = 0
        self.dropped_rows = 0
        self.waiting_since: float | None = None
        """When the oldest of what waits was put here."""

    def put_wave(self, run: WaveRun, now_s: float) -> None:
        """Add samples; their array must not be changed afterwards."""
        self._waves.append(run)
        self._account(run.cost, now_s)

    def put_trend(self, row: Row, now_s: float) -> None:
        """Add a row that may be dropped after all waves are."""
        self._trends.append(row)
        self._account(ROW_COST, now_s)

    def put_event(self, row: Row, now_s: float) -> None:
        """Add a row that is dropped last of all: it says what the waves mean."""
        self._events.append(row)
        self._account(ROW_COST, now_s)

    def take(self, wave_bytes: int) -> Batch:
        """Everything that waits, but of the waves no more than ``wave_bytes`` at once."""
        batch = Batch(list(self._events), self._take_dropped(), list(self._trends))
        batch.since = self.waiting_since
        self._events.clear()
        self._trends.clear()
        taken = 0
        while self._waves and taken < wave_bytes:
            run = self._waves.popleft()
            taken += run.cost
            batch.waves.append(run)
        self.cost = sum(run.cost for run in self._waves)
        if not self._waves:
            self.waiting_since = None
        return batch

    def put_back(self, batch: Batch, now_s: float) -> None:
        """Return a batch that could not be written to the front."""
        self.waiting_since = batch.since
        self._events.extendleft(reversed(batch.events))
        self._trends.extendleft(reversed(batch.trends))
        self._waves.extendleft(reversed(batch.waves))
        for dropped in batch.dropped:
            self._remember(dropped)
        rows = len(batch.events) + len(batch.trends)
        self._account(rows * ROW_COST + sum(run.cost for run in batch.waves), now_s)

    def _account(self, cost: int, now_s: float) -> None:
        if self.waiting_since is None:
            self.waiting_since = now_s
        self.cost += cost
        while self.cost > self._limit and (self._waves or self._trends or self._events):
            self._drop_one()

    def _drop_one(self) -> None:
        if self._waves:
            run = self._waves.popleft()
            self.cost -= run.cost
            self.dropped_samples += len(run.counts)
            self._remember(
                Dropped(run.stream, run.first, len(run.counts), run.start_ns, run.host_ns)
            )
            return
        (self._trends or self._events).popleft()
        self.cost -= ROW_COST
        self.dropped_rows += 1

    def _remember(self, new: Dropped) -> None:
        """Keep what was dropped as few ranges: the writer may be held up for hours."""
        ranges = self._dropped.setdefault(new.stream, [])
        last = ranges[-1] if ranges else None
        joined = last is not None and last.first + last.count == new.first
        if last is not None and (joined or len(ranges) >= DROPPED_RANGES):
            ranges[-1] = replace(last, count=new.first + new.count - last.first)
        else:
            ranges.append(new)

    def _take_dropped(self) -> list[Dropped]:
        dropped = [one for ranges in self._dropped.values() for one in ranges]
        self._dropped.clear()
        return dropped
