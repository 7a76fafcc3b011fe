"""How many live beds one core carries: the whole agent with N beds, up until one is late.

    python -m benchmarks.beds DATA [--beds 1 4 16 64 …] [--seconds 40] [--json FILE]

Each run is the agent itself (networks on, SQLite, feed) with N beds that replay ordinary records,
brought to 250 Hz, one lead, in real time; the process is bound to one core. A screen on another
core takes every message. The beds' devices begin spread over 200 ms, for no two send in step.

Latency runs from the moment at which a stretch's last sample is due to the stretch's arrival at
the screen. The device block that completes a stretch (the resampler needs four samples more) is
due 100 ms later; from then on counts the time that is ours (block p99). The first ten seconds are
left out. A real unit's configuration allows 16 beds; that limit is not in force here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agent.config import BedSection, Config, DeviceSection, UnitSection
from agent.unit import Unit
from drivers.replay import LIVE_BLOCK_S, RecordSource
from drivers.samples import Driver, DriverEvent, Emit, SampleBlock
from sync.contract import Wave
from sync.feed import FrameReader, read_message

RATE_HZ = 250
RECORDS = ("101", "106", "109", "112", "115", "122", "205", "223")
MINUTES = 5
PHASES_S = 0.2
SETTLED_S = 10.0
LATE_MS = 100.0
"""p99 of a block's time with us beyond this is late."""


class _Origins(Unit):
    """The unit, noting for each bed the host time of stream second 0."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.origins: dict[str, int] = {}

    def _driver(self, bed: Any) -> Driver:
        driver = super()._driver(bed)
        play = driver.run

        def note(emit: Emit, event: DriverEvent) -> None:
            if isinstance(event, SampleBlock) and bed.name not in self.origins:
                self.origins[bed.name] = event.host_ns - event.first * 1_000_000_000 // RATE_HZ
            emit(event)

        async def run(emit: Emit) -> None:
            await asyncio.sleep(PHASES_S * (int(bed.name) - 1) / len(self._config.bed))
            await play(partial(note, emit))

        driver.run = run  # type: ignore[method-assign]
        return driver


def serve(folder: Path, beds: int, core: int) -> None:
    """The process that is measured."""
    os.sched_setaffinity(0, {core})
    names = sorted(path.with_suffix("") for path in folder.glob("*.hea"))
    sections = tuple(
        BedSection(
            name=str(k + 1),
            device=DeviceSection("replay", str(names[k % len(names)]), {"loop": True}),
        )
        for k in range(beds)
    )
    unit_section = UnitSection(
        site="bench", name="unit", data_dir=str(folder / "data"),
        feed=str(folder / "feed.sock"), trust_clock=True,
    )  # fmt: skip
    unit = _Origins(Config(unit=unit_section, bed=sections))
    try:
        asyncio.run(unit.run())
    finally:
        (folder / "origins.json").write_text(json.dumps(unit.origins))


async def watch(feed: Path, seconds: float) -> list[tuple[str, int, int]]:
    """(bed, stream end in ns, arrival in monotonic ns) of every stretch that comes."""
    reader, writer = await asyncio.open_unix_connection(feed)
    frames, out = FrameReader(), []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        data = await reader.read(1 << 16)
        at_ns = time.monotonic_ns()
        for topic, payload in frames.feed(data):
            if not topic.endswith("/wave"):
                continue
            wave = read_message(topic, payload)
            assert isinstance(wave, Wave)
            end_s = wave.start_s + len(wave.microvolts) / 2 / wave.rate_hz
            out.append((wave.bed, round(end_s * 1e9), at_ns))
    writer.close()
    return out


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(records: Path, beds: int, seconds: float) -> dict[str, float]:
    """One run with ``beds`` beds."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in records.iterdir():
            (folder / path.name).symlink_to(path)
        arguments = ["--serve", name, str(beds), str(cores[-1])]
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.beds", *arguments],
            env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=None,
        )  # fmt: skip
        feed = folder / "feed.sock"
        while not feed.exists():
            if process.poll() is not None:
                raise SystemExit(f"the unit with {beds} beds did not start")
            time.sleep(0.05)
        asyncio.run(watch(feed, SETTLED_S))
        began, used = time.monotonic(), cpu_s(process.pid)
        heard = asyncio.run(watch(feed, seconds))
        share = (cpu_s(process.pid) - used) / (time.monotonic() - began)
        memory = rss_mb(process.pid)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        origins = json.loads((folder / "origins.json").read_text())
    begin_ns = round(began * 1e9)
    late = np.array([at - end - origins[bed] for bed, end, at in heard if at > begin_ns]) / 1e6
    # A screen that joins is first given what it missed: those stretches are old.
    fresh = np.array([end + origins[bed] >= begin_ns for bed, end, _ in heard])
    latency = late[fresh]
    return {
        "beds": beds,
        "cpu_percent": 100 * share,
        "cpu_percent_per_bed": 100 * share / beds,
        "p50_ms": float(np.median(latency)),
        "p99_ms": float(np.percentile(latency, 99)),
        "block_p99_ms": float(np.percentile(latency, 99)) - 1000.0 * LIVE_BLOCK_S,
        "blocks": len(latency),
        "blocks_due": beds * seconds * 5,
        "rss_mb": memory,
    }


def make_records(data: Path, folder: Path) -> None:
    """First leads of ordinary records at 250 Hz."""
    import wfdb

    for name in RECORDS:
        source = RecordSource(data / "mitdb" / name, RATE_HZ)
        wanted, parts = MINUTES * 60 * RATE_HZ, []
        while wanted > 0:
            chunk = source.read(wanted).microvolts[:, :1]
            parts.append(chunk)
            wanted -= len(chunk)
        wfdb.wrsamp(
            f"m{name}", RATE_HZ, ["mV"], ["MLII"], np.concatenate(parts) / 1000.0, fmt=["16"],
            write_dir=str(folder),
        )  # fmt: skip


def main() -> None:
    """Measure and print the table."""
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--beds", type=int, nargs="*", default=[1, 4, 16, 64, 96, 128])
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--json", type=Path, help="keep the figures here as well")
    chosen = parser.parse_args()
    rows = []
    print("beds   CPU of a core   per bed  sample to feed: p50, p99   block p99     lost      RSS")
    with tempfile.TemporaryDirectory() as name:
        make_records(chosen.data, Path(name))
        for beds in chosen.beds:
            row = measure(Path(name), beds, chosen.seconds)
            rows.append(row)
            lost = 1 - row["blocks"] / row["blocks_due"]
            print(
                f"{beds:4d} {row['cpu_percent']:13.1f} % {row['cpu_percent_per_bed']:7.2f} %"
                f" {row['p50_ms']:12.1f} ms {row['p99_ms']:7.1f} ms {row['block_p99_ms']:8.1f} ms"
                f" {100 * max(lost, 0):6.1f} % {row['rss_mb']:5.0f} MB",
                flush=True,
            )
            if row["block_p99_ms"] > LATE_MS:
                break
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
