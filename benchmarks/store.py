"""What the store costs: bits per sample against FLAC, commits and messages per second, CPU.

``python benchmarks/store.py`` prints one table per question:

size      every recording as a bed would store it, against FLAC level 5 over the whole recording
          (one file, same integers); blobs alone, and the database file with all its pages.
          Must: 1.15 times; goal: 1.0.
alarms    time from ``alarm_change`` to its return (alarm and message on disk, fsync done), alone
          and beside sixteen streaming beds, and how many a second when many come at once.
outbox    messages queued, read and confirmed a second, 200 at a time. Goal: 5,000.
cpu       share of one core per bed, streaming in real time (eight leads at 250 Hz, in blocks of
          200 ms, with beats and vitals): everything the process does, feeding included.
read      milliseconds to read a strip of 20 s and an hour of wave.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.store_making import CYTON, SECOND, START_NS, change, message, vitals

from agent.rhythm.types import Beat, BeatClass
from agent.store import Store
from drivers.samples import Counts, Lead, SampleBlock, StreamInfo

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SETS = {"mitdb": 360.0, "svdb": 128.0, "vfdb": 250.0, "cinc2015": 250.0, "cinc2017": 300.0}
CYTON_UV = 0.02235
BLOCK_S = 0.2


def flac5_bytes(counts: Counts) -> int:
    """FLAC level 5 over a whole recording, headers included."""
    narrow = counts.min() >= -(2**15) and counts.max() < 2**15
    subtype, aligned = (
        ("PCM_16", counts.astype(np.int16)) if narrow else ("PCM_24", counts << np.int32(8))
    )
    packed = io.BytesIO()
    soundfile.write(packed, aligned, 250, subtype, format="FLAC", compression_level=5 / 8)
    return len(packed.getvalue())


def blocks(counts: Counts, rate_hz: float) -> Iterator[SampleBlock]:
    """A recording as a driver would give it."""
    size = round(rate_hz * BLOCK_S)
    for first in range(0, len(counts), size):
        host_ns = round(first / rate_hz * SECOND)
        yield SampleBlock(first, counts[first : first + size], host_ns, rate_hz)


async def stored_bytes(counts: Counts, rate_hz: float) -> tuple[int, int]:
    """Bytes of the blobs and of the database file, after commits each second as at a bed."""
    leads = tuple(Lead(str(number), 1.0) for number in range(counts.shape[1]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "unit.db"
        store = Store.open(path, boot_id="bench")
        await store.flush()
        empty = await store.read(
            lambda reader: reader.connection.execute("PRAGMA page_count").fetchone()[0]
        )
        stream = store.begin_stream("bed", StreamInfo("bench", "", rate_hz, leads), 0)
        for number, block in enumerate(blocks(counts, rate_hz)):
            store.samples(stream, block)
            if number % 50 == 49:
                await store.flush()
        await store.flush()
        await store.close()
        again = Store.open(path, boot_id="bench")
        blobs, pages, free = await again.read(
            lambda reader: tuple(
                reader.connection.execute(
                    "SELECT (SELECT SUM(LENGTH(samples)) FROM waves),"
                    " (SELECT page_count FROM pragma_page_count()),"
                    " (SELECT freelist_count FROM pragma_freelist_count())"
                ).fetchone()
            )
        )
        await again.close()
    return blobs, (pages - free - empty) * 4096


def recordings(name: str, limit: int) -> Iterator[Counts]:
    """The first recordings of a set, as stored in it."""
    for file in sorted((SHARED / name).glob("*.dat"))[:limit]:
        yield soundfile.read(file, dtype="int16", always_2d=True)[0].astype(np.int32)


def as_cyton(counts: Counts, leads: int) -> Counts:
    """MIT-BIH (5 µV steps, 360 Hz) as a Cyton's 24-bit counts: hum, 1 µV of noise, offset.

    The recording's own steps are gone after resampling and noise; the offset is an electrode's.
    """
    chance = np.random.default_rng(1)
    ecg_uv = resample_poly((counts[:, 0] - 1024) * 5.0, 25, 36)
    time_s = np.arange(len(ecg_uv)) / 250
    columns = [
        ecg_uv * (0.4 + 0.1 * lead)
        + 20 * np.sin(2 * np.pi * 50 * time_s + lead)
        + chance.normal(0, 1.0, len(ecg_uv))
        + 3_000 * (lead + 1)
        for lead in range(leads)
    ]
    return np.rint(np.stack(columns, axis=1) / CYTON_UV).astype(np.int32)


async def size(records: int) -> None:
    """Print the table of sizes."""
    print(f"{'recordings':24}{'samples':>12}{'FLAC 5':>9}{'stored':>9}{'blobs':>8}{'file':>8}")
    print(f"{'':24}{'':>12}{'bits':>9}{'bits':>9}{'ratio':>8}{'ratio':>8}")
    sets: list[tuple[str, float, Sequence[Counts]]] = [
        (name, rate_hz, list(recordings(name, records))) for name, rate_hz in SETS.items()
    ]
    mitdb = list(recordings("mitdb", max(records // 4, 1)))
    sets.append(("Cyton from mitdb, 1 lead", 250.0, [as_cyton(one, 1) for one in mitdb]))
    sets.append(("Cyton from mitdb, 8 leads", 250.0, [as_cyton(one, 8) for one in mitdb]))
    for name, rate_hz, found in sets:
        samples = reference = blobs = file = 0
        for counts in found:
            one_blobs, one_file = await stored_bytes(counts, rate_hz)
            samples += counts.size
            reference += flac5_bytes(counts)
            blobs += one_blobs
            file += one_file
        print(
            f"{name:24}{samples:12,}{reference * 8 / samples:9.3f}{blobs * 8 / samples:9.3f}"
            f"{blobs / reference:8.3f}{file / reference:8.3f}",
            flush=True,
        )


class Ward:
    """Beds that stream in real time."""

    def __init__(self, store: Store, beds: int) -> None:
        self.store = store
        chance = np.random.default_rng(2)
        self.counts = np.cumsum(chance.normal(0, 40, (250 * 60, 8)), axis=0).astype(np.int32)
        self.eight = replace(CYTON, leads=tuple(Lead(f"V{n}", CYTON_UV) for n in range(8)))
        self.names = [f"bed{number}" for number in range(beds)]

    async def stream(self, seconds: float) -> None:
        """Feed all beds for a while."""
        began_ns = time.monotonic_ns()
        streams = [self.store.begin_stream(name, self.eight, began_ns) for name in self.names]
        for number in range(round(seconds / BLOCK_S)):
            at = number * 50
            due_ns = began_ns + at * 4_000_000
            cut = self.counts[at % 15_000 : at % 15_000 + 50]
            for name, stream in zip(self.names, streams, strict=True):
                self.store.samples(stream, SampleBlock(at, cut, due_ns, 250.0))
                if number % 5 == 0:
                    self.store.vitals(vitals(START_NS + due_ns, bed=name))
                    beat = Beat(at / 250, BeatClass.N, 0.8, 0.99, "beats 1.0.0")
                    self.store.beats(stream, [beat])
            await asyncio.sleep(max(due_ns - time.monotonic_ns(), 0) / 1e9)


async def alarms(path: Path) -> None:
    """Print the times of alarm changes."""
    store = Store.open(path, boot_id="bench")

    async def timed(count: int) -> list[float]:
        times = []
        for _ in range(count):
            began = time.perf_counter()
            await store.alarm_change(change(), "bed0", [message()])
            times.append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(0.01)
        return times

    print(f"{'alarm_change':24}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for name, beds in (("alone", 0), ("beside 16 beds", 16)):
        streaming = asyncio.ensure_future(Ward(store, beds).stream(12.0))
        times = await timed(500)
        streaming.cancel()
        p50, p99 = np.percentile(times, [50, 99])
        print(f"{name:24}{p50:9.2f}{p99:9.2f}{max(times):9.2f}", flush=True)
    began = time.perf_counter()
    await asyncio.gather(*(store.alarm_change(change(), "bed0", [message()]) for _ in range(5_000)))
    print(f"{'5,000 at once':24}{5_000 / (time.perf_counter() - began):9,.0f} per second")
    await store.close()


async def outbox(path: Path, total: int = 40_000) -> None:
    """Print messages per second through the outbox."""
    store = Store.open(path, boot_id="bench")
    payload = b"x" * 600
    messages = [message(payload=payload) for _ in range(total)]
    began = time.perf_counter()
    for start in range(0, total, 200):
        await store.enqueue(messages[start : start + 200])
    queued_s = time.perf_counter() - began
    began = time.perf_counter()
    done = 0
    flying: list[int] = []
    while done < total:
        waiting = await store.outbox.pending(200, frozenset(flying))
        await store.outbox.confirmed(flying)
        done += len(flying)
        flying = [one.number for one in waiting]
    drained_s = time.perf_counter() - began
    print(f"{'outbox, 200 at a time':24}{'per second':>12}")
    print(f"{'enqueue':24}{total / queued_s:12,.0f}")
    print(f"{'pending + confirmed':24}{total / drained_s:12,.0f}", flush=True)
    await store.close()


async def cpu(path: Path, seconds: float) -> None:
    """Print the share of a core that storing takes."""
    print(f"{'CPU, 8 leads at 250 Hz':24}{'per bed':>10}{'lag max':>10}{'kB/s bed':>10}")
    for beds in (1, 16):
        store = Store.open(path.with_name(f"{beds}.db"), boot_id="bench")
        before = time.process_time()
        streaming = asyncio.ensure_future(Ward(store, beds).stream(seconds))
        lag_s = 0.0
        while not streaming.done():
            lag_s = max(lag_s, store.health().lag_s)
            await asyncio.sleep(0.25)
        used = (time.process_time() - before) / seconds / beds
        await store.flush()
        length = await store.read(
            lambda reader: reader.connection.execute(
                "SELECT SUM(LENGTH(samples)) FROM waves"
            ).fetchone()[0]
        )
        print(
            f"{beds:3} bed(s){'':15}{used:10.3%}{lag_s:9.2f}s{length / seconds / beds / 1e3:10.2f}",
            flush=True,
        )
        await store.close()


async def read(path: Path) -> None:
    """Print how long reading takes."""
    store = Store.open(path, boot_id="bench")
    stream = store.begin_stream("bed0", CYTON, 0)
    chance = np.random.default_rng(3)
    hour = np.cumsum(chance.normal(0, 40, (250 * 3_600, 2)), axis=0).astype(np.int32)
    first_ns = store.utc_ns(stream, 0.0)
    for block in blocks(hour, 250.0):
        store.samples(stream, block)
        if block.first % 15_000 == 0:
            await store.flush()
    await store.flush()
    print(f"{'reading, 2 leads':24}{'ms':>9}")
    for name, span_s in (("strip of 20 s", 20), ("an hour", 3_600)):
        times = []
        for _ in range(10):
            began = time.perf_counter()
            await store.read_wave("bed0", first_ns + 50 * SECOND, first_ns + (50 + span_s) * SECOND)
            times.append((time.perf_counter() - began) * 1e3)
        print(f"{name:24}{np.median(times):9.1f}", flush=True)
    await store.close()


async def main(records: int, seconds: float, only: list[str]) -> None:
    """Run what was asked for."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder)
        tables = {
            "size": lambda: size(records),
            "alarms": lambda: alarms(path / "alarms.db"),
            "outbox": lambda: outbox(path / "outbox.db"),
            "cpu": lambda: cpu(path / "cpu.db", seconds),
            "read": lambda: read(path / "read.db"),
        }
        for name in only or tables:
            await tables[name]()
            print()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("only", nargs="*", help="size, alarms, outbox, cpu, read (all)")
    parser.add_argument("--records", type=int, default=8, help="recordings per set (8)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of streaming per row (60)")
    options = parser.parse_args()
    asyncio.run(main(options.records, options.seconds, options.only))
