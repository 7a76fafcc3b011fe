"""Stored waves back into samples: exact counts on the stream axis, gaps with their causes."""

from __future__ import annotations

import logging
import math
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np

from agent.store.codec import CodecError, decode
from agent.store.rows import StoredStream, gap_of, lead_states_of
from drivers.samples import Counts, Gap, GapCause, SampleBlock

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 16
"""Blocks held in memory while a long stretch is read."""
SPLIT_NS = 1_000_000_000
"""Where the wall clock jumped by more within a stream, a time range falls apart there."""

_COLUMNS = "first, count, start_ns, host_ns, true_rate_hz, lead_states, codec, samples FROM waves"


@dataclass(frozen=True, slots=True, eq=False)
class WaveSegment:
    """A stretch of one stream between two stored samples."""

    stream: StoredStream
    first: int
    """Index of its first sample on the stream axis."""
    start_ns: int
    """UTC of its first sample."""
    true_rate_hz: float
    counts: Counts
    """Shape (samples, leads), the device's own integers; 0, meaning nothing, inside gaps."""
    gaps: tuple[Gap, ...]
    """What is missing inside, on the stream axis."""

    @property
    def end(self) -> int:
        """Index of the sample after the last one."""
        return self.first + len(self.counts)

    @property
    def relative_gaps(self) -> tuple[tuple[int, int], ...]:
        """(first sample, count) of each gap, counted from the segment's first sample."""
        return tuple((gap.first - self.first, gap.count) for gap in self.gaps)

    def packed_counts(self) -> bytes:
        """As ``sync.contract.Strip.counts``: int32 little endian, sample by sample."""
        return self.counts.astype("<i4").tobytes()


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """One row, decoded and cut to what was asked for."""

    block: SampleBlock
    start_ns: int


def segments(
    connection: sqlite3.Connection, stream: StoredStream, start_ns: int, end_ns: int
) -> list[WaveSegment]:
    """What is stored of a stream in the UTC range [start_ns, end_ns)."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} WHERE stream = :stream AND start_ns < :end AND start_ns >= COALESCE("  # noqa: S608
        "(SELECT MAX(start_ns) FROM waves WHERE stream = :stream AND start_ns <= :start), :start)"
        " ORDER BY first",
        {"stream": stream.number, "start": start_ns, "end": end_ns},
    )
    found: list[list[_Piece]] = []
    for row in rows:
        rate_hz = row["true_rate_hz"]
        since, until = (
            math.ceil((edge - row["start_ns"]) * rate_hz / 1e9) for edge in (start_ns, end_ns)
        )
        piece = _cut(row, len(stream.info.leads), row["first"] + since, row["first"] + until)
        if piece is None:
            continue
        if found and _on_one_line(found[-1][-1], piece, stream.info.rate_hz):
            found[-1].append(piece)
        else:
            found.append([piece])
    return [_segment(connection, stream, pieces) for pieces in found]


def events(
    connection: sqlite3.Connection, stream: StoredStream, first: int = 0, end: int | None = None
) -> Iterator[SampleBlock | Gap]:
    """Blocks and gaps of a stream in order, without a hole, as its driver gave them.

    Begins at the first thing stored at or after ``first``; block borders are the store's own.
    """
    limit = 2**62 if end is None else end
    leads = len(stream.info.leads)
    read_to, told_to = first, None
    while True:
        rows = _rows_from(connection, stream.number, read_to, limit)
        upto = min(rows[-1]["first"] + rows[-1]["count"], limit) if rows else limit
        found: list[SampleBlock | Gap] = list(_recorded(connection, stream.number, read_to, upto))
        pieces = (_cut(row, leads, read_to, limit) for row in rows)
        found += [piece.block for piece in pieces if piece is not None]
        for event in sorted(found, key=attrgetter("first")):
            if told_to is not None and event.first > told_to:
                missing = event.first - told_to
                yield _not_stored(told_to, missing, event.host_ns, stream.info.rate_hz)
            yield event
            told_to = event.end
        if not rows or upto >= limit:
            return
        read_to = upto


def _rows_from(
    connection: sqlite3.Connection, stream: int, at: int, limit: int
) -> list[sqlite3.Row]:
    return connection.execute(
        f"SELECT {_COLUMNS} WHERE stream = :stream AND first < :limit AND first + count > :at"  # noqa: S608
        " AND first >= COALESCE("
        "(SELECT MAX(first) FROM waves WHERE stream = :stream AND first <= :at), :at)"
        " ORDER BY first LIMIT :rows",
        {"stream": stream, "at": at, "limit": limit, "rows": ROWS_AT_ONCE},
    ).fetchall()


def _cut(row: sqlite3.Row, leads: int, first: int, end: int) -> _Piece | None:
    """Decode a row and keep samples ``first`` to ``end - 1``; None where nothing is left."""
    since = max(first - row["first"], 0)
    until = min(end - row["first"], row["count"])
    if since >= until:
        return None
    try:
        counts = decode(row["codec"], row["samples"], row["count"], leads)
    except CodecError as error:
        log.error("samples from %d on cannot be read and count as missing: %s", row["first"], error)
        return None
    later_ns = round(since / row["true_rate_hz"] * 1e9)
    block = SampleBlock(
        first=row["first"] + since,
        counts=counts[since:until],
        host_ns=row["host_ns"] + later_ns,
        true_rate_hz=row["true_rate_hz"],
        leads=lead_states_of(row["lead_states"]),
    )
    return _Piece(block, row["start_ns"] + later_ns)


def _on_one_line(before: _Piece, after: _Piece, rate_hz: float) -> bool:
    expected_ns = before.start_ns + (after.block.first - before.block.first) / rate_hz * 1e9
    # A true rate 2 % off its nominal one moves a whole block of a minute by 1.2 s.
    tolerance_ns = SPLIT_NS + 0.02 * abs(after.start_ns - before.start_ns)
    return abs(after.start_ns - expected_ns) <= tolerance_ns


def _segment(
    connection: sqlite3.Connection, stream: StoredStream, pieces: list[_Piece]
) -> WaveSegment:
    first, end = pieces[0].block.first, pieces[-1].block.end
    counts = np.zeros((end - first, len(stream.info.leads)), np.int32)
    gaps: list[Gap] = []
    at = first
    for piece in pieces:
        block = piece.block
        if block.first > at:
            known = _recorded(connection, stream.number, at, block.first)
            gaps += _filled(known, at, block.first, block.host_ns, stream.info.rate_hz)
        counts[block.first - first : block.end - first] = block.counts
        at = block.end
    head = pieces[0]
    return WaveSegment(stream, first, head.start_ns, head.block.true_rate_hz, counts, tuple(gaps))


def _recorded(connection: sqlite3.Connection, stream: int, at: int, limit: int) -> list[Gap]:
    """The recorded gaps in ``[at, limit)``, cut to it."""
    rows = connection.execute(
        "SELECT first, count, cause, exact, host_ns FROM gaps"
        " WHERE stream = ? AND first < ? AND first + count > ? ORDER BY first",
        (stream, limit, at),
    )
    cut = []
    for gap in map(gap_of, rows):
        first = max(gap.first, at)
        cut.append(replace(gap, first=first, count=min(gap.end, limit) - first))
    return cut


def _filled(known: Iterable[Gap], at: int, end: int, host_ns: int, rate_hz: float) -> Iterator[Gap]:
    """Cover ``[at, end)``: the known gaps, and *not stored* where nothing is known."""
    for gap in known:
        if gap.first > at:
            yield _not_stored(at, gap.first - at, gap.host_ns, rate_hz)
        yield gap
        at = gap.end
    if at < end:
        yield _not_stored(at, end - at, host_ns, rate_hz)


def _not_stored(first: int, count: int, until_host_ns: int, rate_hz: float) -> Gap:
    return Gap(
        first, count, GapCause.NOT_STORED, until_host_ns - round(count / rate_hz * 1e9), exact=True
    )
