"""From a unit's outbox through a real Mosquitto to the centre's view, and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.line import PUBACK, Line, Packet, Verdict
from support.mosquitto import Mosquitto
from support.sync_bench import (
    SITE,
    UNIT,
    Bench,
    Subscriber,
    alarm,
    command,
    quick,
    summary,
    until,
    vitals,
)

from sync.contract import Reply
from sync.station import Presence, Station, Taken
from sync.subscriber import StationSubscriber


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as running:
        yield running


class Centre:
    def __init__(self, port: int, **settings: Any) -> None:
        self.station = Station()
        self.taken: list[Taken] = []
        self.links: list[tuple[bool, str]] = []
        self.subscriber = StationSubscriber(
            quick(port, **settings),
            self.station,
            client_id="centre-1",
            on_taken=self.taken.append,
            on_link=lambda up, reason: self.links.append((up, reason)),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Centre]:
        task = asyncio.create_task(self.subscriber.run())
        await until(lambda: self.links and self.links[-1][0], "the centre listens")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def alarms(self) -> list[int]:
        """The ``seq`` of the alarm changes at the bed, in the order they came."""
        unit = self.station.units.get((SITE, UNIT))
        bed = unit.beds.get("1") if unit else None
        return [message.seq for message in bed.history] if bed else []


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_the_centre_gets_each_alarm_once_though_the_line_swallows_pubacks(
    broker: Mosquitto, protocol: str
) -> None:
    pubacks = 0

    def swallow_some(packet: Packet) -> Verdict:
        nonlocal pubacks
        pubacks += packet.kind == PUBACK
        lost = packet.kind == PUBACK and pubacks % 50 == 7
        return Verdict.SWALLOW if lost else Verdict.PASS

    async with (
        Line(broker.port, judge=swallow_some) as line,
        Centre(broker.port, protocol=protocol).running() as centre,
        Bench(quick(line.port, protocol=protocol, ack_timeout_s=0.3)) as bench,
    ):
        for seq in range(120):
            bench.outbox.add(summary(seq), alarm(seq))
        await bench.drained()
        await until(lambda: len(centre.alarms) == 120, "all alarms are there")
    assert centre.alarms == list(range(120))
    assert any(taken.repeat for taken in centre.taken)
    assert centre.station.units[SITE, UNIT].missing == 0
    assert centre.subscriber.damaged == 0


async def test_alarms_wait_in_the_broker_while_the_centre_restarts(broker: Mosquitto) -> None:
    centre = Centre(broker.port)
    async with Bench(quick(broker.port)) as bench:
        async with centre.running():
            bench.outbox.add(alarm(0))
            await until(lambda: centre.alarms == [0], "the first is there")
        bench.outbox.add(*(alarm(seq) for seq in range(1, 30)))
        await bench.drained()
        async with centre.running():
            await until(lambda: len(centre.alarms) == 30, "the others waited")
    assert centre.alarms == list(range(30))


async def test_a_unit_is_seen_to_come_and_go(broker: Mosquitto) -> None:
    async with Centre(broker.port).running() as centre:
        async with Bench(quick(broker.port)) as bench:
            await until(lambda: (SITE, UNIT) in centre.station.units, "the birth comes")
            await bench.connected()
            bench.publisher.publish_live(vitals())
            unit = centre.station.units[SITE, UNIT]
            heard = unit.heard_ns
            assert heard is not None
            assert unit.presence(heard) is Presence.ONLINE
            await until(lambda: unit.heard_ns > heard, "its heartbeats come")
        await until(lambda: unit.presence(unit.heard_ns) is Presence.OFFLINE, "it says goodbye")


async def test_the_centre_commands_and_is_answered(broker: Mosquitto) -> None:
    async with Centre(broker.port).running() as centre, Bench(quick(broker.port)) as bench:
        await bench.connected()
        asked = command("pause_audio", seconds=120.0)
        assert centre.subscriber.send(SITE, UNIT, asked)
        await until(lambda: any(isinstance(t.message, Reply) for t in centre.taken), "the reply")
        reply = next(t.message for t in centre.taken if isinstance(t.message, Reply))
    assert (reply.command_id, reply.accepted) == (asked.id, True)
    assert bench.commands == [asked]


async def test_without_a_link_nothing_is_sent(broker: Mosquitto) -> None:
    centre = Centre(broker.port)
    assert not centre.subscriber.send(SITE, UNIT, command())
    async with centre.running():
        broker.stop()
        await until(lambda: not centre.links[-1][0], "the loss is told")
        assert not centre.subscriber.send(SITE, UNIT, command())
        broker.start()
        await until(lambda: centre.links[-1][0], "it listens again")


async def test_what_is_no_message_of_ours_is_counted(broker: Mosquitto) -> None:
    async with Centre(broker.port).running() as centre:
        with Subscriber(broker.port, "nothing") as other:
            other.publish(f"wardbeat/v1/{SITE}/{UNIT}/unit", b"{}")
            await until(lambda: centre.subscriber.damaged == 1, "it is counted")
    assert centre.station.units == {}
