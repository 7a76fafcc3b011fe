"""Waves into rows: each second's samples as a piece, a minute's pieces folded into one block.

Pieces bound what a crash can cost; blocks are small and few. A block replaces its pieces in
one transaction, so every sample is in the table exactly once at any time.

A row holds samples that follow each other without a hole, with the same lead states, on one
straight line of time: where the true rate or the wall clock moves, a new row begins.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from agent.store.codec import Codec, decode, encode_block, encode_piece
from agent.store.queue import WaveRun
from agent.store.rows import INSERT_WAVE
from drivers.samples import Counts

BLOCK_S = 60.0
"""At 60 s FLAC's headers cost under 1 % and a row's unfilled page some 5 %; a strip around an
alarm still touches two blocks at most."""
TIME_TOLERANCE_NS = 20_000_000
"""How far a sample's time may lie off its row's straight line."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenBlock:
    """What is stored of a stream in pieces so far."""

    start: WaveRun
    """The run that began it (of its counts only the times are used)."""
    parts: tuple[Counts, ...]
    count: int
    touched_s: float
    """Monotonic time of the last part."""

    @property
    def seconds(self) -> float:
        """Length so far."""
        return self.count / self.start.true_rate_hz

    def takes(self, run: WaveRun) -> bool:
        """Whether ``run`` belongs into this block."""
        return follows(self.start, self.count, run)

    def with_run(self, run: WaveRun, now_s: float) -> OpenBlock:
        """The block with ``run`` added."""
        parts = (*self.parts, run.counts)
        return replace(self, parts=parts, count=self.count + len(run.counts), touched_s=now_s)


def follows(before: WaveRun, count: int, run: WaveRun) -> bool:
    """Whether ``run`` belongs into the row that ``before`` began and that holds ``count``."""
    if before.first + count != run.first or before.lead_states != run.lead_states:
        return False
    passed_ns = round(count * 1e9 / before.true_rate_hz)
    return (
        before.counts.shape[1] == run.counts.shape[1]
        and abs(before.host_ns + passed_ns - run.host_ns) <= TIME_TOLERANCE_NS
        and abs(before.start_ns + passed_ns - run.start_ns) <= TIME_TOLERANCE_NS
    )


def join(runs: Iterable[WaveRun]) -> Iterator[WaveRun]:
    """Put together what follows each other, stream by stream, at most a block at a time."""
    growing: dict[str, list[WaveRun]] = {}
    counted: dict[str, int] = {}
    for run in runs:
        group = growing.setdefault(run.stream, [])
        count = counted.get(run.stream, 0)
        if group and (
            not follows(group[0], count, run)
            or count + len(run.counts) > BLOCK_S * group[0].true_rate_hz
        ):
            yield _joined(group)
            group.clear()
            count = 0
        group.append(run)
        counted[run.stream] = count + len(run.counts)
    yield from (_joined(group) for group in growing.values() if group)


def _joined(group: list[WaveRun]) -> WaveRun:
    if len(group) == 1:
        return group[0]
    return replace(group[0], counts=np.concatenate([run.counts for run in group]))


def write(
    connection: sqlite3.Connection,
    runs: Iterable[WaveRun],
    open_blocks: dict[str, OpenBlock],
    now_s: float,
) -> float:
    """Store runs inside the caller's transaction; returns the seconds of wave added.

    ``open_blocks`` is brought up to date; ``now_s`` is any monotonic time.
    """
    added_s = 0.0
    for run in join(runs):
        block = open_blocks.pop(run.stream, None)
        if block is not None and not block.takes(run):
            added_s += fold(connection, block)
            block = None
        _insert(connection, run, Codec.DELTA_ZLIB, encode_piece(run.counts))
        added_s += len(run.counts) / run.true_rate_hz
        if block is None:
            block = OpenBlock(run, (), 0, now_s)
        block = block.with_run(run, now_s)
        if block.seconds >= BLOCK_S:
            added_s += fold(connection, block)
        else:
            open_blocks[run.stream] = block
    return added_s


def fold(connection: sqlite3.Connection, block: OpenBlock) -> float:
    """Replace a block's pieces by the block; returns the seconds of wave that came back by it."""
    start = block.start
    counts = np.concatenate(block.parts)
    codec, packed = encode_block(counts, start.true_rate_hz)
    replaced = connection.execute(
        "DELETE FROM waves WHERE stream = (SELECT number FROM streams WHERE id = ?)"
        " AND codec = 'delta-zlib' AND first >= ? AND first < ? RETURNING count",
        (start.stream, start.first, start.first + block.count),
    ).fetchall()
    _insert(connection, replace(start, counts=counts), codec, packed)
    # Retention may have taken pieces of an open block, which the block now brings back.
    brought_back = block.count - sum(int(count) for (count,) in replaced)
    return brought_back / start.true_rate_hz


def fold_idle(
    connection: sqlite3.Connection, open_blocks: dict[str, OpenBlock], before_s: float
) -> float:
    """Fold the blocks to which nothing was added since ``before_s``: their stream has ended."""
    added_s = 0.0
    for stream, block in list(open_blocks.items()):
        if block.touched_s < before_s:
            added_s += fold(connection, block)
            del open_blocks[stream]
    return added_s


def fold_leftovers(connection: sqlite3.Connection) -> None:
    """Fold the pieces that a killed agent left; before any stream of this run begins."""
    pieces = connection.execute(
        "SELECT streams.id, json_array_length(streams.leads), waves.first, waves.count,"
        " waves.start_ns, waves.host_ns, waves.true_rate_hz, waves.lead_states, waves.codec,"
        " waves.samples FROM waves JOIN streams ON streams.number = waves.stream"
        " WHERE waves.codec = 'delta-zlib' AND waves.count < 30.0 * waves.true_rate_hz"
        " ORDER BY waves.stream, waves.first"
    ).fetchall()
    block: OpenBlock | None = None
    for stream, leads, first, count, start_ns, host_ns, rate_hz, states, codec, packed in pieces:
        counts = decode(codec, packed, count, leads)
        run = WaveRun(stream, first, counts, start_ns, host_ns, rate_hz, states)
        if block is not None and block.start.stream == stream and block.takes(run):
            block = block.with_run(run, 0.0)
            continue
        if block is not None and len(block.parts) > 1:
            fold(connection, block)
        block = OpenBlock(run, (counts,), count, 0.0)
    if block is not None and len(block.parts) > 1:
        fold(connection, block)


def _insert(connection: sqlite3.Connection, run: WaveRun, codec: Codec, packed: bytes) -> None:
    connection.execute(
        INSERT_WAVE,
        (
            run.stream,
            run.first,
            len(run.counts),
            run.start_ns,
            run.host_ns,
            run.true_rate_hz,
            run.lead_states,
            codec.value,
            packed,
        ),
    )
