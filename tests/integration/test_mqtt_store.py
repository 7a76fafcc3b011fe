"""The publisher on the unit's own SQLite outbox and a real Mosquitto."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.mosquitto import Mosquitto
from support.sync_bench import Bench, Subscriber, alarm, out, quick, summary, until

from agent.store import Store
from sync.contract import AlarmMessage, Summary


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    store = Store.open(folder / "unit.db", boot_id="boot-1")
    try:
        yield store
    finally:
        await store.close()


async def waiting(store: Store) -> int:
    return len(await store.outbox.pending(10_000, frozenset()))


async def test_an_outage_over_a_restart_of_the_unit_loses_and_doubles_nothing(
    broker: Mosquitto, tmp_path: Path
) -> None:
    broker.stop()
    sent: list[str] = []
    for run in range(2):  # twice without a broker
        async with opened(tmp_path) as store, Bench(quick(broker.port), outbox=store.outbox):
            for seq in range(40 * run, 40 * run + 40):
                messages = [summary(seq), alarm(seq)]
                await store.enqueue([out(message) for message in messages])
                sent += [message.id for message in messages]
            assert await waiting(store) == 80 * (run + 1)
    broker.start()
    with Subscriber(broker.port) as subscriber:
        async with opened(tmp_path) as store:
            async with Bench(quick(broker.port), outbox=store.outbox):
                await until(lambda: len(subscriber.messages) >= 162, "all arrive")
            assert await waiting(store) == 0
        arrived = subscriber.of(AlarmMessage, Summary)
    assert sorted(message.id for message in arrived) == sorted(sent)
    assert [m.seq for m in arrived if isinstance(m, AlarmMessage)] == list(range(80))
    assert all(isinstance(message, AlarmMessage) for message in arrived[:80])


async def test_the_broker_killed_in_the_middle(broker: Mosquitto, tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        bench = Bench(quick(broker.port, window=20), outbox=store.outbox)
        await store.enqueue([out(alarm(seq)) for seq in range(600)])
        async with bench:
            await until(lambda: bench.publisher.health.confirmed >= 100, "some are confirmed")
            broker.kill()
            await until(lambda: not bench.up, "the loss is told")
            confirmed = bench.publisher.health.confirmed
            assert 600 - await waiting(store) <= confirmed
            broker.start()
            with Subscriber(broker.port) as subscriber:
                await until(lambda: bench.publisher.health.confirmed >= 600, "the rest is sent")
                last = lambda: [m.seq for m in subscriber.unique(AlarmMessage)][-1:]  # noqa: E731
                await until(lambda: last() == [599], "the last arrives")
                rest = [message.seq for message in subscriber.unique(AlarmMessage)]
        assert await waiting(store) == 0
    # What the killed broker had not confirmed came again, in order and without a hole.
    assert rest == list(range(rest[0], 600))
    assert rest[0] <= confirmed
