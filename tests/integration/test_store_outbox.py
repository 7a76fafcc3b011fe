"""The outbox as the publisher needs it: in order, durable, gone only when confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.store_making import change, message

from agent.store import Store
from sync.outbox import Lane, Outbox, OutboxMessage

NONE: frozenset[int] = frozenset()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wardbeat.db"


@pytest_asyncio.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    opened = Store.open(path, boot_id="boot")
    yield opened
    await opened.close()


async def test_alarms_come_before_strips_before_summaries(store: Store) -> None:
    outbox: Outbox = store.outbox
    lanes = [Lane.SUMMARY, Lane.ALARM, Lane.STRIP, Lane.SUMMARY, Lane.ALARM, Lane.STRIP]
    sent = [message(lane) for lane in lanes]
    for one in sent:
        await store.enqueue([one])
    waiting = await outbox.pending(10, NONE)
    assert [one.lane for one in waiting] == sorted(lanes)
    order = [sent[index].id for index in (1, 4, 2, 5, 0, 3)]
    assert [one.id for one in waiting] == order
    assert [one.id for one in await outbox.pending(3, NONE)] == order[:3]


async def test_a_message_comes_back_whole(store: Store) -> None:
    one = OutboxMessage(
        "018f0000-0000-7000-8000-000000000001",
        Lane.STRIP,
        "wardbeat/v1/s/u/bed/1/strip",
        bytes(range(256)),
        "application/vnd.msgpack",
    )
    await store.enqueue([one])
    (back,) = await store.outbox.pending(1, NONE)
    assert (back.id, back.lane, back.topic, back.payload, back.content_type) == (
        one.id,
        one.lane,
        one.topic,
        one.payload,
        one.content_type,
    )
    assert back.number > 0


async def test_what_is_in_flight_is_skipped_and_stays(store: Store) -> None:
    await store.enqueue([message() for _ in range(10)])
    first = await store.outbox.pending(4, NONE)
    flying = frozenset(one.number for one in first)
    second = await store.outbox.pending(4, flying)
    assert len(second) == 4
    assert flying.isdisjoint(one.number for one in second)
    again = await store.outbox.pending(100, NONE)
    assert len(again) == 10


async def test_a_new_alarm_overtakes_what_waits(store: Store) -> None:
    await store.enqueue([message(Lane.SUMMARY) for _ in range(50)])
    flying = frozenset(one.number for one in await store.outbox.pending(20, NONE))
    urgent = message()
    await store.alarm_change(change(), "bed1", [urgent])
    assert (await store.outbox.pending(1, flying))[0].id == urgent.id


async def test_confirmed_messages_are_gone_for_good(store: Store, path: Path) -> None:
    await store.enqueue([message() for _ in range(5)])
    waiting = await store.outbox.pending(10, NONE)
    await store.outbox.confirmed([one.number for one in waiting[:3]])
    await store.outbox.confirmed([one.number for one in waiting[:3]])
    await store.outbox.confirmed([])
    assert store.health().outbox == 2
    await store.close()
    again = Store.open(path, boot_id="boot")
    left = await again.outbox.pending(10, NONE)
    assert [one.id for one in left] == [one.id for one in waiting[3:]]
    assert again.health().outbox == 2
    await again.close()


async def test_a_number_is_never_used_twice(store: Store, path: Path) -> None:
    """A PUBACK that comes late must not delete another message."""
    await store.enqueue([message()])
    (old,) = await store.outbox.pending(1, NONE)
    await store.outbox.confirmed([old.number])
    await store.close()
    again = Store.open(path, boot_id="boot")
    await again.enqueue([message()])
    (new,) = await again.outbox.pending(1, NONE)
    assert new.number > old.number
    await again.close()


async def test_the_same_message_is_queued_once(store: Store) -> None:
    one = message()
    await store.enqueue([one, one])
    await store.enqueue([one])
    assert len(await store.outbox.pending(10, NONE)) == 1
    assert store.health().outbox == 1


async def test_news_wakes_who_waits(store: Store) -> None:
    waiting = asyncio.ensure_future(store.outbox.wait_for_news(30.0))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await store.enqueue([message()])
    await asyncio.wait_for(waiting, 5.0)


async def test_news_between_asking_and_waiting_is_not_missed(store: Store) -> None:
    assert await store.outbox.pending(10, NONE) == []
    await store.enqueue([message()])
    await asyncio.wait_for(store.outbox.wait_for_news(30.0), 5.0)


async def test_without_news_waiting_ends_by_itself(store: Store) -> None:
    await store.outbox.confirmed([1, 2, 3])
    await asyncio.wait_for(store.outbox.wait_for_news(0.05), 5.0)


async def test_thousands_are_drained_in_order_while_more_come(store: Store) -> None:
    total = 3_000
    await store.enqueue([message(payload=b"%d" % number) for number in range(total // 2)])
    drained: list[int] = []

    async def add() -> None:
        for number in range(total // 2, total, 100):
            batch = [message(payload=b"%d" % one) for one in range(number, number + 100)]
            await store.enqueue(batch)

    adding = asyncio.ensure_future(add())
    while len(drained) < total:
        waiting = await store.outbox.pending(200, NONE)
        drained += [int(one.payload) for one in waiting]
        await store.outbox.confirmed([one.number for one in waiting])
    await adding
    assert drained == list(range(total))
    assert store.health().outbox == 0
