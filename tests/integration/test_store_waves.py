"""Waves in a real database: exact to the sample, while the agent writes and afterwards."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soundfile
from support.store_making import CYTON, SECOND, START_NS, MovedClock, block, ecg_counts

from agent.store import Reader, Store, StoreError
from agent.store.codec import Codec
from drivers.samples import Counts, Gap, GapCause, Lead, SampleBlock, StreamInfo

BEGAN = 5_000 * SECOND
EVER = (0, 2**62)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wardbeat.db"


@pytest_asyncio.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    opened = Store.open(path, boot_id="boot", clock=MovedClock().clock)
    yield opened
    await opened.close()


def hand_over(store: Store, stream: str, counts: Counts, first: int = 0, cut: int = 50) -> None:
    for start in range(0, len(counts), cut):
        store.samples(stream, block(counts[start : start + cut], first + start, BEGAN))


def ns(sample: int) -> int:
    """UTC of a sample of a stream at 250 Hz that began at START_NS."""
    return START_NS + sample * SECOND // 250


async def test_a_range_is_cut_to_the_sample(store: Store) -> None:
    stream = store.begin_stream("bed1", CYTON, BEGAN)
    counts = ecg_counts(20_000)
    hand_over(store, stream, counts)
    await store.flush()
    for first, end in [(0, 1), (1, 2), (14_999, 15_001), (7, 19_993), (19_999, 20_000)]:
        (segment,) = await store.read_wave("bed1", ns(first), ns(end))
        assert (segment.first, segment.end, segment.start_ns) == (first, end, ns(first))
        assert np.array_equal(segment.counts, counts[first:end])
    assert await store.read_wave("bed1", ns(20_000), ns(30_000)) == []
    assert await store.read_wave("bed1", 0, ns(0)) == []
    assert await store.read_wave("bed2", *EVER) == []


async def test_a_strip_reaches_to_the_newest_sample(store: Store) -> None:
    stream = store.begin_stream("bed1", CYTON, BEGAN)
    counts = ecg_counts(2_600)
    hand_over(store, stream, counts)
    strip = await store.strip("bed1", ns(100), ns(10_000))
    assert strip is not None
    assert (strip.first, strip.end) == (100, 2_600)
    unpacked = np.frombuffer(strip.packed_counts(), "<i4").reshape(-1, 2)
    assert np.array_equal(unpacked, counts[100:])
    assert [lead.name for lead in strip.stream.info.leads] == ["II", "V1"]
    assert await store.strip("bed2", *EVER) is None


async def test_a_strip_tells_its_gaps(store: Store) -> None:
    stream = store.begin_stream("bed1", CYTON, BEGAN)
    counts = ecg_counts(3_000)
    hand_over(store, stream, counts[:1_000])
    store.gap(stream, Gap(1_000, 300, GapCause.LOST_PACKETS, BEGAN + 4 * SECOND))
    hand_over(store, stream, counts[1_300:2_000], 1_300)
    store.gap(stream, Gap(2_000, 500, GapCause.LINK_LOST, BEGAN + 8 * SECOND, exact=False))
    hand_over(store, stream, counts[2_500:], 2_500)
    strip = await store.strip("bed1", ns(500), ns(2_700))
    assert strip is not None
    assert strip.relative_gaps == ((500, 300), (1_500, 500))
    assert [gap.cause for gap in strip.gaps] == [GapCause.LOST_PACKETS, GapCause.LINK_LOST]
    assert [gap.exact for gap in strip.gaps] == [True, False]
    expected = counts[500:2_700].copy()
    for first, count in strip.relative_gaps:
        expected[first : first + count] = 0
    assert np.array_equal(strip.counts, expected)


async def test_a_new_stream_at_the_bed_is_a_segment_of_its_own(store: Store) -> None:
    first = store.begin_stream("bed1", CYTON, BEGAN)
    hand_over(store, first, ecg_counts(1_000))
    strap = StreamInfo("Polar H10", "AA:BB", 130.0, (Lead("ECG", 1.0),))
    second = store.begin_stream("bed1", strap, BEGAN + 10 * SECOND)
    store.samples(second, SampleBlock(0, ecg_counts(650, 1), BEGAN + 10 * SECOND, 130.045))
    await store.flush()
    found = await store.read_wave("bed1", *EVER)
    assert [(one.stream.id, one.counts.shape) for one in found] == [
        (first, (1_000, 2)),
        (second, (650, 1)),
    ]
    assert found[1].true_rate_hz == 130.045
    strip = await store.strip("bed1", *EVER)
    assert strip is not None
    assert strip.stream.id == first


async def test_other_programs_read_while_the_agent_writes(store: Store, path: Path) -> None:
    stream = store.begin_stream("bed1", CYTON, BEGAN)
    counts = ecg_counts(40_000)
    at = 0

    def read() -> int:
        with Reader.open(path) as reader:
            seen = [one for one in reader.events(stream) if isinstance(one, SampleBlock)]
        if not seen:
            return 0
        got = np.concatenate([one.counts for one in seen])
        assert np.array_equal(got, counts[: len(got)])
        return len(got)

    await store.flush()
    while at < len(counts):
        hand_over(store, stream, counts[at : at + 4_000], at)
        at += 4_000
        flushed = asyncio.ensure_future(store.flush())
        assert await asyncio.to_thread(read) in (at - 4_000, at)
        await flushed
        assert await asyncio.to_thread(read) == at


async def test_a_closed_database_can_be_read_where_nothing_may_be_written(path: Path) -> None:
    store = Store.open(path, boot_id="boot")
    stream = store.begin_stream("bed1", CYTON, BEGAN)
    hand_over(store, stream, ecg_counts(500))
    await store.close()
    before = path.read_bytes()
    code = (
        "import os, sys, soundfile\n"
        "from agent.store import Reader, migrations\n"
        "migrations.newest()\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "with Reader.open(sys.argv[1]) as reader:\n"
        "    print(sum(one.end - one.first for one in reader.events(sys.argv[2])))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        copy.write_bytes(before)
        copy.chmod(0o444)
        Path(folder).chmod(0o555)
        command = [sys.executable, "-c", code, copy, stream]
        try:
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        finally:
            Path(folder).chmod(0o755)
        assert said.strip() == "500"
        assert copy.read_bytes() == before


def test_a_reader_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.db: is not there"):
        Reader.open(tmp_path / "none.db")
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but longer than its header " * 10)
    with pytest.raises(StoreError, match=r"notes\.txt: cannot be read"):
        Reader.open(text)


async def test_an_unknown_stream_is_told(store: Store, path: Path) -> None:
    with Reader.open(path) as reader, pytest.raises(StoreError, match="has no stream 42"):
        list(reader.events("42"))


@pytest.mark.shared
@pytest.mark.parametrize("record", ["208", "118"])
async def test_a_recording_comes_back_exact_and_as_small_as_flac(
    store: Store, path: Path, shared: Path, record: str
) -> None:
    counts, _ = soundfile.read(shared / "data/mitdb" / f"{record}.dat", dtype="int16")
    counts = counts[: 360 * 600].astype(np.int32)
    leads = (Lead("MLII", 5.0, 1024.0), Lead("V1", 5.0, 1024.0))
    stream = store.begin_stream("bed1", StreamInfo("Replay", record, 360.0, leads), BEGAN)
    for first in range(0, len(counts), 72):
        host_ns = BEGAN + round(first / 360 * SECOND)
        store.samples(stream, SampleBlock(first, counts[first : first + 72], host_ns, 360.0))
        if first % 7_200 == 0:
            await store.flush()
    await store.flush()
    blocks = await store.read(lambda reader: list(reader.events(stream)))
    assert all(isinstance(one, SampleBlock) for one in blocks)
    stored = np.concatenate([one.counts for one in blocks if isinstance(one, SampleBlock)])
    assert np.array_equal(stored, counts)
    size = await store.read(
        lambda reader: reader.connection.execute(
            "SELECT SUM(LENGTH(samples)) FROM waves WHERE codec = ?", (Codec.FLAC,)
        ).fetchone()[0]
    )
    reference = path.with_suffix(".flac")
    soundfile.write(reference, counts.astype(np.int16), 360, "PCM_16", compression_level=5 / 8)
    assert size <= 1.02 * reference.stat().st_size
