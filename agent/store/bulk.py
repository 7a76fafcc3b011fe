"""One batch of the bulk queue into the database."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agent.store.blocks import BLOCK_S, OpenBlock, fold_idle, write
from agent.store.errors import Fault, fault_of
from agent.store.queue import Batch, Dropped, Row, WaveRun
from agent.store.rows import gap_row
from drivers.samples import Gap, GapCause

log = logging.getLogger(__name__)

IDLE_S = 2 * BLOCK_S
"""A block to which nothing was added for this long is folded as it is."""


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a batch."""

    wave_s: float
    """Seconds of wave added."""
    rejected: int = 0
    """Rows and runs the database would not take."""


def write_batch(
    connection: sqlite3.Connection,
    heads: Sequence[Row],
    batch: Batch,
    open_blocks: dict[str, OpenBlock],
    now_s: float,
) -> Written:
    """Write everything inside the caller's transaction, or raise."""
    _rows(connection, heads)
    _rows(connection, batch.events)
    _rows(connection, [not_stored(dropped) for dropped in batch.dropped])
    _rows(connection, batch.trends)
    wave_s = write(connection, batch.waves, open_blocks, now_s)
    return Written(wave_s + fold_idle(connection, open_blocks, now_s - IDLE_S))


def write_acceptable(
    connection: sqlite3.Connection,
    heads: Sequence[Row],
    batch: Batch,
    open_blocks: dict[str, OpenBlock],
    now_s: float,
) -> Written:
    """Write row by row inside the caller's transaction, leaving out what is refused."""
    wave_s, rejected = 0.0, 0
    for part in _parts(batch, heads, now_s):
        blocks_before = dict(open_blocks)
        connection.execute("SAVEPOINT part")
        try:
            wave_s += part(connection, open_blocks)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and fault_of(error) is not Fault.PROGRAM:
                raise
            connection.execute("ROLLBACK TO part")
            open_blocks.clear()
            open_blocks.update(blocks_before)
            rejected += 1
            log.error("the store refused a row and goes on without it: %s", error)
        connection.execute("RELEASE part")
    return Written(wave_s, rejected)


def has_idle(open_blocks: dict[str, OpenBlock], now_s: float) -> bool:
    """Whether a block waits for nothing any more."""
    return any(block.touched_s < now_s - IDLE_S for block in open_blocks.values())


def not_stored(dropped: Dropped) -> Row:
    """Tell of samples that were given up; like any gap they keep their place on the axis."""
    gap = Gap(dropped.first, dropped.count, GapCause.NOT_STORED, dropped.host_ns)
    return gap_row(dropped.stream, gap, dropped.start_ns)


_Part = Callable[[sqlite3.Connection, dict[str, OpenBlock]], float]


def _parts(batch: Batch, heads: Sequence[Row], now_s: float) -> Iterator[_Part]:
    gaps = [not_stored(dropped) for dropped in batch.dropped]
    for row in (*heads, *batch.events, *gaps, *batch.trends):
        yield _row_part(row)
    for run in batch.waves:
        yield _run_part(run, now_s)


def _row_part(row: Row) -> _Part:
    def part(connection: sqlite3.Connection, _: dict[str, OpenBlock]) -> float:
        connection.execute(row.sql, row.values)
        return 0.0

    return part


def _run_part(run: WaveRun, now_s: float) -> _Part:
    return lambda connection, open_blocks: write(connection, [run], open_blocks, now_s)


def _rows(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Run rows in order, those of one statement together."""
    start = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or rows[end].sql != rows[start].sql:
            connection.executemany(rows[start].sql, [row.values for row in rows[start:end]])
            start = end
