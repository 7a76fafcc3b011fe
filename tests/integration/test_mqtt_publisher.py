"""The publisher against a real Mosquitto: what arrives, in which order, kept how."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.line import PUBACK, PUBLISH, Line
from support.mosquitto import Mosquitto
from support.sync_bench import (
    SITE,
    UNIT,
    Bench,
    Subscriber,
    alarm,
    command,
    head,
    quick,
    state,
    strip,
    summary,
    until,
    vitals,
)

from sync.codec import encode
from sync.contract import (
    AlarmMessage,
    BedState,
    Command,
    Reply,
    Strip,
    Summary,
    UnitState,
    Vitals,
)
from sync.topics import command_topic

BOTH = pytest.mark.parametrize("protocol", ["5", "3.1.1"])
DURABLE = (AlarmMessage, Strip, Summary)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as running:
        yield running


@BOTH
async def test_everything_waiting_arrives_once_alarms_first_and_in_order(
    broker: Mosquitto, protocol: str
) -> None:
    bench = Bench(quick(broker.port, protocol=protocol))
    for seq in range(300):
        bench.outbox.add(summary(seq), alarm(seq))
    bench.outbox.add(*(strip(seq) for seq in range(5)))
    with Subscriber(broker.port) as subscriber:
        async with bench:
            await bench.drained()
            await until(lambda: len(subscriber.of(*DURABLE)) == 605, "all arrive")
        kinds = [type(message) for message in subscriber.of(*DURABLE)]
        assert kinds == [AlarmMessage] * 300 + [Strip] * 5 + [Summary] * 300
        assert [m.seq for m in subscriber.of(AlarmMessage)] == list(range(300))
        assert [m.seq for m in subscriber.of(Summary)] == list(range(300))
    assert bench.publisher.health.protocol == protocol


async def test_five_thousand_queued_messages_drain(broker: Mosquitto) -> None:
    bench = Bench(quick(broker.port))
    bench.outbox.add(*(summary(seq) for seq in range(4000)))
    bench.outbox.add(*(alarm(seq) for seq in range(1000)))
    with Subscriber(broker.port) as subscriber:
        async with bench:
            await bench.drained(40)
            await until(lambda: len(subscriber.messages) >= 5000, "all arrive", 20)
        assert [m.seq for m in subscriber.of(AlarmMessage)] == list(range(1000))
        assert [m.seq for m in subscriber.of(Summary)] == list(range(4000))
    assert bench.publisher.health.sent == bench.publisher.health.confirmed == 5000
    assert bench.publisher.health.connects == 1


async def test_an_alarm_raised_later_overtakes_waiting_strips(broker: Mosquitto) -> None:
    async with Line(broker.port, delay_s=0.01) as line:
        bench = Bench(quick(line.port, ack_timeout_s=5))
        bench.outbox.add(*(strip(seq) for seq in range(100)))
        with Subscriber(broker.port) as subscriber:
            async with bench:
                await until(lambda: subscriber.of(Strip), "the first strip arrives")
                before = len(subscriber.of(Strip))
                bench.outbox.add(alarm())
                await until(lambda: subscriber.of(AlarmMessage), "the alarm arrives")
                order = [type(message) for message in subscriber.of(*DURABLE)]
            # A strip on its way and the one behind it in the send buffer, with some slack.
            assert order.index(AlarmMessage) <= before + 5


async def test_never_more_in_flight_than_the_broker_takes(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, extra="max_inflight_messages 5\n") as broker:
        async with Line(broker.port, delay_s=0.001) as line:
            bench = Bench(quick(line.port))
            bench.outbox.add(*(alarm(seq) for seq in range(100)))
            async with bench:
                await bench.drained()
            in_flight = most = 0
            for packet in line.passed:
                in_flight += (packet.kind == PUBLISH and packet.qos == 1) - (packet.kind == PUBACK)
                most = max(most, in_flight)
    assert 1 < most <= 5


@BOTH
async def test_birth_and_states_are_retained_and_newer_states_replace_older(
    broker: Mosquitto, protocol: str
) -> None:
    async with Bench(quick(broker.port, protocol=protocol)) as bench:
        await bench.connected()
        for rate in range(60, 91):
            bench.publisher.publish_state(state(rate, rate_bpm=float(rate)))
        await asyncio.sleep(0.3)
        with Subscriber(broker.port) as late:
            await until(lambda: late.of(UnitState) and late.of(BedState), "both are kept")
            assert late.of(UnitState)[0].online is True
            assert late.of(BedState)[0].rate_bpm == 90.0
            assert all(message.retain for message in late.raw[:2])


@BOTH
async def test_a_stop_in_order_says_offline_at_once(broker: Mosquitto, protocol: str) -> None:
    async with Bench(quick(broker.port, protocol=protocol)) as bench:
        await bench.connected()
    with Subscriber(broker.port) as late:
        await until(lambda: late.of(UnitState), "the state is kept")
        assert late.of(UnitState)[0].online is False


async def test_the_will_waits_about_one_reconnect(broker: Mosquitto) -> None:
    async with Line(broker.port) as line, Bench(quick(line.port, will_delay_s=2)) as bench:
        await bench.connected()
        with Subscriber(broker.port) as subscriber:
            line.cut()
            await until(lambda: bench.publisher.health.connects == 2, "it connects again")
            await asyncio.sleep(2.5)
            assert all(unit.online for unit in subscriber.of(UnitState))
            line.accepting = False
            line.cut()
            await until(lambda: not subscriber.of(UnitState)[-1].online, "the will is sent")
            line.accepting = True
            await until(lambda: subscriber.of(UnitState)[-1].online, "the birth follows")


async def test_the_will_of_3_1_1_is_followed_by_a_birth(broker: Mosquitto) -> None:
    async with Line(broker.port) as line, Bench(quick(line.port, protocol="3.1.1")) as bench:
        await bench.connected()
        with Subscriber(broker.port) as subscriber:
            line.cut()
            await until(lambda: bench.publisher.health.connects == 2, "it connects again")
            await until(
                lambda: [u.online for u in subscriber.of(UnitState)][-2:] == [False, True],
                "offline, then online",
            )


async def test_live_messages_expire_and_say_what_they_are(broker: Mosquitto) -> None:
    with Subscriber(broker.port, "wardbeat/v1/+/+/bed/+/vitals") as subscriber:
        async with Bench(quick(broker.port)) as bench:
            await bench.connected()
            assert bench.publisher.publish_live(vitals(7))
            await until(lambda: subscriber.of(Vitals), "vitals arrive")
        message: Any = subscriber.raw[0]
        assert (message.qos, message.retain) == (0, False)
        assert message.properties.MessageExpiryInterval == 10
        assert message.properties.ContentType == "application/json"
        assert message.properties.UserProperty == [("contract", "1")]


async def test_live_messages_are_dropped_without_a_link(broker: Mosquitto) -> None:
    bench = Bench(quick(broker.port))
    assert not bench.publisher.publish_live(vitals(1))
    with Subscriber(broker.port) as subscriber:
        async with bench:
            await bench.connected()
            assert bench.publisher.publish_live(vitals(2))
            await until(lambda: subscriber.of(Vitals), "vitals arrive")
        assert [message.seq for message in subscriber.of(Vitals)] == [2]
    assert bench.publisher.health.live_dropped == 1


async def test_live_messages_never_pile_up_before_a_stuck_line(broker: Mosquitto) -> None:
    async with (
        Line(broker.port) as line,
        Bench(quick(line.port, ack_timeout_s=60, heartbeat_s=10)) as bench,
    ):
        await bench.connected()
        line.flowing.clear()
        wave = msgspec.structs.replace(vitals(), quality="usable" * 10_000)
        taken = sum(bench.publisher.publish_live(wave) for _ in range(1000))
        assert taken < 500
        assert bench.publisher.health.live_dropped == 1000 - taken
        line.flowing.set()


@BOTH
async def test_a_command_is_done_once_and_answered(broker: Mosquitto, protocol: str) -> None:
    asked = command(alarm_ids=("a",))
    topic = command_topic(SITE, UNIT, "acknowledge")
    with Subscriber(broker.port, "wardbeat/v1/+/+/reply/+") as subscriber:
        async with Bench(quick(broker.port, protocol=protocol)) as bench:
            await bench.connected()
            subscriber.publish(topic, encode(asked))
            subscriber.publish(topic, encode(asked))
            await until(lambda: len(subscriber.of(Reply)) == 2, "it is answered, and again")
            assert bench.commands == [asked]
        first, second = subscriber.of(Reply)
        assert first == second
        assert (first.command_id, first.accepted) == (asked.id, True)


@pytest.mark.parametrize(
    ("payload", "retain", "reason"),
    [
        (json.dumps({"id": "x1", "name": "reboot"}).encode(), False, "command/acknowledge"),
        (encode(command("admit")), False, "its topic of"),
        (encode(command()), True, "retained"),
        (encode(command(time=1)), False, "old by the unit's clock"),
    ],
    ids=["damaged", "other-name", "retained", "old"],
)
async def test_a_bad_command_is_refused_with_a_reason(
    broker: Mosquitto, payload: bytes, retain: bool, reason: str
) -> None:
    with Subscriber(broker.port, "wardbeat/v1/+/+/reply/+") as subscriber:
        topic = command_topic(SITE, UNIT, "acknowledge")
        if retain:
            subscriber.publish(topic, payload, retain=True)
            await asyncio.sleep(0.2)
        async with Bench(quick(broker.port)) as bench:
            await bench.connected()
            if not retain:
                subscriber.publish(topic, payload)
            await until(lambda: subscriber.of(Reply), "it is answered")
            assert bench.commands == []
        reply = subscriber.of(Reply)[0]
        assert reply.accepted is False
        assert reason in reply.reason
        assert reply.command_id == json.loads(payload)["id"]


async def test_a_handler_that_fails_still_answers(broker: Mosquitto) -> None:
    class Failing(Bench):
        async def obey(self, asked: Command) -> Reply:
            raise RuntimeError("no such bed")

    topic = command_topic(SITE, UNIT, "acknowledge")
    with Subscriber(broker.port, "wardbeat/v1/+/+/reply/+") as subscriber:
        async with Failing(quick(broker.port)) as bench:
            await bench.connected()
            for asked in (command(), command()):
                subscriber.publish(topic, encode(asked))
            await until(lambda: len(subscriber.of(Reply)) == 2, "both are answered")
        assert {reply.accepted for reply in subscriber.of(Reply)} == {False}


async def test_a_command_sent_while_the_unit_is_away_waits_for_it(broker: Mosquitto) -> None:
    async with Line(broker.port) as line:
        async with Bench(quick(line.port)) as bench:
            await bench.connected()
            line.accepting = False
            line.cut()
            await until(lambda: not bench.up, "the link is lost")
            with Subscriber(broker.port, "wardbeat/v1/+/+/reply/+") as subscriber:
                subscriber.publish(command_topic(SITE, UNIT, "acknowledge"), encode(command()))
                await asyncio.sleep(0.2)
                line.accepting = True
                await until(lambda: subscriber.of(Reply), "it is answered")
        assert len(bench.commands) == 1


async def test_an_unknown_field_is_no_reason_to_refuse(broker: Mosquitto) -> None:
    body = {
        **json.loads(encode(command())),
        "added_in_version_1_7": True,
        **{"seq": head(3)["seq"]},
    }
    with Subscriber(broker.port, "wardbeat/v1/+/+/reply/+") as subscriber:
        async with Bench(quick(broker.port)) as bench:
            await bench.connected()
            topic = command_topic(SITE, UNIT, "acknowledge")
            subscriber.publish(topic, json.dumps(body).encode())
            await until(lambda: subscriber.of(Reply), "it is answered")
        assert subscriber.of(Reply)[0].accepted
