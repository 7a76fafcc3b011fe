"""kill -9 anywhere: the database opens, no alarm is lost or doubled, little wave is gone."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from support.store_making import change

from agent.store import Store
from drivers.samples import Counts, Gap, SampleBlock

AGENT = """
import asyncio, sys, time
from pathlib import Path

sys.path.insert(0, sys.argv[3])
from support.store_making import RATE_HZ, CYTON, block, change, message, vitals
from test_store_kill import samples

from agent.store import Store

def say(*words):
    print(*words, flush=True)

async def stream(store, speed):
    began = time.monotonic_ns()
    bed = store.begin_stream("bed1", CYTON, began)
    say("stream", bed)
    at = 0
    while True:
        store.samples(bed, block(samples(at, at + 50), at, began))
        at += 50
        say("wave", at)
        await asyncio.sleep(50 / RATE_HZ / speed)

async def alarms(store):
    while True:
        one, about = change(), message()
        say("raised", one.id, about.id)
        await store.alarm_change(one, "bed1", [about])
        say("stored", one.id, about.id)

async def confirm(store):
    while True:
        waiting = await store.outbox.pending(3, frozenset())
        await store.outbox.confirmed([one.number for one in waiting])
        for one in waiting:
            say("confirmed", one.id)
        await asyncio.sleep(0.005)

async def main(path, speed):
    store = Store.open(path, boot_id="boot")
    await asyncio.gather(stream(store, speed), alarms(store), confirm(store))

asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
"""


def samples(first: int, end: int) -> Counts:
    """Samples that tell their own index."""
    index = np.arange(first, end)
    return np.stack([index * 7 % 50_021, index * 13 % 1_009 - 500], axis=1).astype(np.int32)


@dataclass(slots=True)
class Heard:
    """What an agent said before it was killed, with the time of each line."""

    lines: list[tuple[float, list[str]]] = field(default_factory=list)

    def of(self, word: str) -> Iterator[list[str]]:
        """The lines that begin with a word."""
        return (line[1:] for _, line in self.lines if line[0] == word)


def run_and_kill(path: Path, after_s: float, speed: float) -> tuple[Heard, float]:
    """Let an agent work, then kill it."""
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-c", AGENT, str(path), str(speed), str(tests)]
    environment = {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    heard = Heard()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as agent:
        assert agent.stdout is not None
        output = agent.stdout

        def listen() -> None:
            for line in output:
                if line.endswith("\n"):
                    heard.lines.append((time.monotonic(), line.split()))

        listener = threading.Thread(target=listen)
        listener.start()
        while not heard.lines and agent.poll() is None and after_s > 0:
            time.sleep(0.005)
        time.sleep(abs(after_s))
        agent.kill()
        killed_at = time.monotonic()
        listener.join()
    return heard, killed_at


async def stored_samples(store: Store, stream: str) -> int:
    """How many samples of a stream are there; they are the right ones, without a hole."""
    at = 0
    for event in await store.read(lambda reader: list(reader.events(stream))):
        assert not isinstance(event, Gap)
        assert isinstance(event, SampleBlock)
        assert event.first == at
        assert np.array_equal(event.counts, samples(event.first, event.end))
        at = event.end
    return at


async def test_killed_at_any_moment_no_alarm_is_lost_or_doubled(tmp_path: Path) -> None:
    path = tmp_path / "wardbeat.db"
    chance = random.Random(208)
    raised: list[str] = []
    stored: list[str] = []
    about: dict[str, str] = {}
    confirmed: set[str] = set()
    # A negative time kills during the start: before the agent has said anything.
    delays = [-0.25, -0.35, *(chance.uniform(0.0, 1.3) for _ in range(6))]
    for delay in delays:
        heard, _ = run_and_kill(path, delay, speed=20.0)
        raised += [line[0] for line in heard.of("raised")]
        stored += [line[0] for line in heard.of("stored")]
        about |= {line[0]: line[1] for line in heard.of("raised")}
        confirmed |= {line[0] for line in heard.of("confirmed")}

        store = Store.open(path, boot_id="boot")
        assert store.damage is None
        log = [one.id for one in await store.read(lambda reader: reader.alarm_log("bed1"))]
        assert len(set(log)) == len(log)
        assert set(stored) <= set(log) <= set(raised)
        waiting = {one.id for one in await store.outbox.pending(1_000_000, frozenset())}
        assert waiting.isdisjoint(confirmed)
        assert waiting <= {about[one] for one in log}
        # A message that is neither waiting nor confirmed was on its way when the agent was
        # killed: at most the three it was just confirming.
        unaccounted = {about[one] for one in log} - waiting - confirmed
        assert len(unaccounted) <= 3
        confirmed |= unaccounted
        for (stream,) in heard.of("stream"):
            await store.flush()
            if await store.read(
                lambda reader, stream=stream: reader.connection.execute(
                    "SELECT COUNT(*) FROM streams WHERE id = ?", (stream,)
                ).fetchone()[0]
            ):
                await stored_samples(store, stream)
        await store.close()
    assert len(stored) > 50
    assert len(confirmed) > 20


@pytest.mark.parametrize("delay", [2.3, 3.1])
async def test_a_kill_costs_at_most_two_seconds_of_wave(tmp_path: Path, delay: float) -> None:
    path = tmp_path / "wardbeat.db"
    heard, killed_at = run_and_kill(path, delay, speed=1.0)
    old = [line for at, line in heard.lines if line[0] == "wave" and at < killed_at - 2.0]
    (stream,) = next(heard.of("stream"))
    store = Store.open(path, boot_id="boot")
    assert await stored_samples(store, stream) >= int(old[-1][1])
    await store.close()


async def test_open_alarms_survive_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "wardbeat.db"
    heard, _ = run_and_kill(path, 0.5, speed=1.0)
    store = Store.open(path, boot_id="boot")
    open_ids = {one.id for one in await store.open_alarms("bed1")}
    log = await store.read(lambda reader: reader.alarm_log("bed1"))
    assert open_ids == {one.alarm.id for one in log}
    assert len(open_ids) >= len(list(heard.of("stored"))) > 0
    again = change(log[0].alarm)
    await store.alarm_change(again, "bed1", [])
    assert {one.id for one in await store.open_alarms("bed1")} == open_ids
    await store.close()
