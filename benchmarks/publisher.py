"""Messages per second from the outbox to a Mosquitto on the loopback, PUBACK and delete included.

``python benchmarks/publisher.py`` fills an outbox, then times from the start of the publisher until
the outbox is empty. ``memory`` shows the publisher by itself, ``sqlite`` with the unit's own store,
whose every delete is on disk before it counts. Must: 1,000 per second; goal: 5,000.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.mosquitto import Mosquitto
from support.sync_bench import (
    SITE,
    UNIT,
    MemoryOutbox,
    alarm,
    out,
    state,
    summary,
    unit_state,
    until,
)

from agent.store import Store
from sync.contract import AnyMessage
from sync.outbox import OutboxMessage
from sync.publisher import Publisher
from sync.settings import BrokerSettings, UnitIdentity

CHUNK = 500


@dataclass(frozen=True)
class Result:
    """One run."""

    outbox: str
    protocol: str
    broker: str
    messages: int
    payload_bytes: int
    seconds: float
    per_second: float
    cpu_us_per_message: float


@asynccontextmanager
async def filled(kind: str, messages: list[AnyMessage]) -> AsyncIterator[Any]:
    """Give an outbox that holds the messages."""
    if kind == "memory":
        memory = MemoryOutbox()
        memory.add(*messages)
        yield memory
        return
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "unit.db", boot_id="benchmark")
        try:
            rows: list[OutboxMessage] = [out(message) for message in messages]
            for start in range(0, len(rows), CHUNK):
                await store.enqueue(rows[start : start + CHUNK])
            yield store.outbox
        finally:
            await store.close()


async def measure(kind: str, protocol: Any, broker: Mosquitto, name: str, count: int) -> Result:
    """Drain ``count`` messages: one alarm to four summaries."""
    messages: list[AnyMessage] = [
        alarm(seq) if seq % 5 == 0 else summary(seq) for seq in range(count)
    ]
    size = sum(len(out(message).payload) for message in messages) // count
    async with filled(kind, messages) as outbox:
        publisher = Publisher(
            BrokerSettings(port=broker.port, protocol=protocol),
            UnitIdentity(SITE, UNIT),
            outbox,
            birth=unit_state,
            states=lambda: [state()],
            on_command=lambda asked: asyncio.sleep(0, None),  # type: ignore[arg-type]
            on_link=lambda up, reason: None,
        )
        began, cpu = time.perf_counter(), time.process_time()
        task = asyncio.create_task(publisher.run())
        await until(lambda: publisher.health.confirmed == count, "all confirmed", 300)
        while await outbox.pending(1, frozenset()):
            await outbox.wait_for_news(0.01)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return Result(
        outbox=kind,
        protocol=publisher.health.protocol,
        broker=name,
        messages=count,
        payload_bytes=size,
        seconds=round(seconds, 3),
        per_second=round(count / seconds),
        cpu_us_per_message=round(cpu / count * 1e6, 1),
    )


BROKERS = {"default": "", "in-flight 1000": "max_inflight_messages 1000\n"}
"""Mosquitto's default lets a 5.0 client have 20 messages in flight only."""


def main() -> int:
    """Run all combinations and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = []
    for name, extra in BROKERS.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            Mosquitto(Path(folder), extra=extra) as broker,
        ):
            for kind in ("sqlite", "memory"):
                for protocol in ("5", "3.1.1"):
                    run = measure(kind, protocol, broker, name, arguments.messages)
                    results.append(asyncio.run(run))
    results.sort(key=lambda result: result.per_second)
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
        return 0
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; weakest first")
    print(f"{'outbox':8}{'MQTT':7}{'mosquitto.conf':17}{'messages/s':>11}{'CPU µs/message':>16}")
    for r in results:
        print(
            f"{r.outbox:8}{r.protocol:7}{r.broker:17}{r.per_second:11,.0f}"
            f"{r.cpu_us_per_message:16.0f}"
        )
    print(f"{results[0].messages} messages of {results[0].payload_bytes} bytes on average")
    return 0


if __name__ == "__main__":
    sys.exit(main())
