"""Pieces, blocks and reading back: the samples are exact whatever way they came."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.store_making import CYTON, SECOND, START_NS, database, ecg_counts, run, write

from agent.store.blocks import OpenBlock, fold_idle, fold_leftovers, join
from agent.store.blocks import write as write_waves
from agent.store.queue import WaveRun
from agent.store.rows import StoredStream, gap_row, stream_of
from agent.store.wave_reader import events, segments
from drivers.samples import Counts, Gap, GapCause, LeadState, SampleBlock

MINUTE = 60 * 250


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = database()
    yield opened
    opened.close()


def stream(connection: sqlite3.Connection) -> StoredStream:
    connection.row_factory = sqlite3.Row
    found = stream_of(connection.execute("SELECT * FROM streams").fetchone())
    assert found.info == CYTON
    return found


def rows(connection: sqlite3.Connection) -> list[tuple[int, int, str]]:
    found = connection.execute("SELECT first, count, codec FROM waves ORDER BY first")
    return [tuple(row) for row in found]


def read(connection: sqlite3.Connection, **span: int) -> list[SampleBlock | Gap]:
    return list(events(connection, stream(connection), **span))


def samples_of(found: list[SampleBlock | Gap]) -> Counts:
    return np.concatenate([one.counts for one in found if isinstance(one, SampleBlock)])


def test_a_minute_becomes_one_block_and_its_pieces_are_gone(connection: sqlite3.Connection) -> None:
    counts = ecg_counts(MINUTE + 500)
    open_blocks: dict[str, OpenBlock] = {}
    added_s = 0.0
    for first in range(0, len(counts), 250):
        piece = run(counts[first : first + 250], first)
        added_s += write_waves(connection, [piece], open_blocks, now_s=first / 250)
    assert rows(connection) == [
        (0, MINUTE, "flac"),
        (MINUTE, 250, "delta-zlib"),
        (MINUTE + 250, 250, "delta-zlib"),
    ]
    assert added_s == pytest.approx(62.0)
    assert np.array_equal(samples_of(read(connection)), counts)
    assert fold_idle(connection, open_blocks, before_s=1e9) == 0.0
    assert rows(connection)[1:] == [(MINUTE, 500, "flac")]
    assert not open_blocks
    assert np.array_equal(samples_of(read(connection)), counts)


def test_a_block_still_written_to_is_not_idle(connection: sqlite3.Connection) -> None:
    open_blocks: dict[str, OpenBlock] = {}
    write_waves(connection, [run(ecg_counts(250))], open_blocks, now_s=100.0)
    fold_idle(connection, open_blocks, before_s=100.0)
    assert rows(connection) == [(0, 250, "delta-zlib")]
    assert set(open_blocks) == {"s"}


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(run(ecg_counts(250), 300), id="samples are missing"),
        pytest.param(run(ecg_counts(250), 250, states="on off"), id="a lead fell off"),
        pytest.param(run(ecg_counts(250), 250, off_ns=25_000_000), id="time moved"),
        pytest.param(run(ecg_counts(250), 250, off_ns=-SECOND * 3600), id="time moved back"),
    ],
)
def test_a_new_row_begins_where(connection: sqlite3.Connection, second: WaveRun) -> None:
    open_blocks: dict[str, OpenBlock] = {}
    write_waves(connection, [run(ecg_counts(250))], open_blocks, now_s=0.0)
    write_waves(connection, [second], open_blocks, now_s=1.0)
    fold_idle(connection, open_blocks, before_s=1e9)
    assert rows(connection) == [(0, 250, "flac"), (second.first, 250, "flac")]


def test_jitter_of_some_milliseconds_makes_no_new_row(connection: sqlite3.Connection) -> None:
    open_blocks: dict[str, OpenBlock] = {}
    counts = ecg_counts(1000)
    for first in range(0, 1000, 50):
        jitter_ns = (first * 7919) % 15_000_000
        piece = run(counts[first : first + 50], first, off_ns=jitter_ns)
        write_waves(connection, [piece], open_blocks, now_s=0.0)
    fold_idle(connection, open_blocks, before_s=1e9)
    assert rows(connection) == [(0, 1000, "flac")]


def test_a_late_batch_of_minutes_is_cut_into_blocks() -> None:
    counts = ecg_counts(3 * MINUTE)
    pieces = [run(counts[first : first + 50], first) for first in range(0, len(counts), 50)]
    joined = list(join(pieces))
    assert [(one.first, len(one.counts)) for one in joined] == [
        (0, MINUTE),
        (MINUTE, MINUTE),
        (2 * MINUTE, MINUTE),
    ]
    assert np.array_equal(np.concatenate([one.counts for one in joined]), counts)


def test_pieces_that_a_killed_agent_left_are_folded(connection: sqlite3.Connection) -> None:
    counts = ecg_counts(1500)
    for first in (0, 250, 500, 1000, 1250):
        write_waves(connection, [run(counts[first : first + 250], first)], {}, now_s=0.0)
    fold_leftovers(connection)
    assert rows(connection) == [(0, 750, "flac"), (1000, 500, "flac")]
    fold_leftovers(connection)
    assert rows(connection) == [(0, 750, "flac"), (1000, 500, "flac")]
    missing, *_ = [one for one in read(connection) if isinstance(one, Gap)]
    assert (missing.first, missing.count, missing.cause) == (750, 250, GapCause.NOT_STORED)


def test_a_lone_piece_is_left_as_it_is(connection: sqlite3.Connection) -> None:
    write_waves(connection, [run(ecg_counts(250))], {}, now_s=0.0)
    fold_leftovers(connection)
    assert rows(connection) == [(0, 250, "delta-zlib")]


def test_folding_brings_back_what_retention_took_from_an_open_block(
    connection: sqlite3.Connection,
) -> None:
    open_blocks: dict[str, OpenBlock] = {}
    counts = ecg_counts(500)
    for first in (0, 250):
        write_waves(connection, [run(counts[first : first + 250], first)], open_blocks, now_s=0.0)
    connection.execute("DELETE FROM waves WHERE first = 0")
    assert fold_idle(connection, open_blocks, before_s=1e9) == pytest.approx(1.0)
    assert np.array_equal(samples_of(read(connection)), counts)


def test_events_come_back_as_the_driver_gave_them(connection: sqlite3.Connection) -> None:
    counts = ecg_counts(2000)
    open_blocks: dict[str, OpenBlock] = {}
    lost = Gap(500, 250, GapCause.LOST_PACKETS, 2 * SECOND)
    off = "on off"
    for piece in (run(counts[:500], 0), run(counts[750:1000], 750, states=off)):
        write_waves(connection, [piece], open_blocks, now_s=0.0)
    write(connection, gap_row("s", lost, START_NS + lost.host_ns))
    write(connection, gap_row("s", Gap(1000, 5000, GapCause.LINK_LOST, 0, exact=False), START_NS))
    found = read(connection)
    assert [(one.first, one.end) for one in found] == [
        (0, 500),
        (500, 750),
        (750, 1000),
        (1000, 6000),
    ]
    assert found[1] == lost
    assert isinstance(found[3], Gap)
    assert not found[3].exact
    third = found[2]
    assert isinstance(third, SampleBlock)
    assert third.leads == (LeadState.ON, LeadState.OFF)
    assert third.host_ns == 3 * SECOND
    assert [(one.first, one.end) for one in read(connection, first=600, end=800)] == [
        (600, 750),
        (750, 800),
    ]


def test_a_row_that_cannot_be_read_counts_as_missing(connection: sqlite3.Connection) -> None:
    for first in (0, 250, 500):
        write_waves(connection, [run(ecg_counts(250), first)], {}, now_s=0.0)
    connection.execute("UPDATE waves SET samples = x'00' WHERE first = 250")
    found = read(connection)
    assert [(type(one), one.first, one.end) for one in found] == [
        (SampleBlock, 0, 250),
        (Gap, 250, 500),
        (SampleBlock, 500, 750),
    ]


CUTS = st.lists(st.tuples(st.integers(1, 700), st.integers(0, 3)), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None)
@given(CUTS, st.lists(st.integers(0, 24), max_size=4), st.data())
def test_any_cut_and_any_gap_reads_back_exact(
    cuts: list[tuple[int, int]], gap_after: list[int], data: st.DataObject
) -> None:
    connection = database()
    open_blocks: dict[str, OpenBlock] = {}
    whole = ecg_counts(sum(size for size, _ in cuts) + 50 * len(cuts))
    stored = np.zeros(len(whole), bool)
    batch: list[WaveRun] = []
    at = 0
    for number, (size, commits) in enumerate(cuts):
        batch.append(run(whole[at : at + size], at))
        stored[at : at + size] = True
        at += size
        if number in gap_after:
            write(connection, gap_row("s", Gap(at, 50, GapCause.LOST_PACKETS, 0), START_NS))
            at += 50
        if not commits:
            write_waves(connection, batch, open_blocks, now_s=0.0)
            batch = []
    write_waves(connection, batch, open_blocks, now_s=0.0)
    expected = np.where(stored[:, None], whole, 0)

    first = data.draw(st.integers(0, at - 1))
    end = data.draw(st.integers(first + 1, at))
    seen = np.zeros_like(expected)
    told_to = None
    for event in read(connection, first=first, end=end):
        assert told_to in (None, event.first)
        told_to = event.end
        if isinstance(event, SampleBlock):
            seen[event.first : event.end] = event.counts
    assert np.array_equal(seen[first:end], expected[first:end])

    span = (START_NS + first * SECOND // 250, START_NS + end * SECOND // 250)
    for segment in segments(connection, stream(connection), *span):
        assert np.array_equal(segment.counts, expected[segment.first : segment.end])
        missing = np.zeros(len(segment.counts), bool)
        for start, count in segment.relative_gaps:
            missing[start : start + count] = True
        assert np.array_equal(~missing, stored[segment.first : segment.end])
        assert stored[first : segment.first].sum() + stored[segment.end : end].sum() == 0
    connection.close()
