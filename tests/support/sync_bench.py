"""What the tests of the publisher share: an outbox in memory, a subscriber, messages."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from sync.codec import content_type, decode, encode
from sync.contract import (
    AlarmInfo,
    AlarmMessage,
    AnyMessage,
    BedState,
    Command,
    DeviceInfo,
    Limits,
    Priority,
    Reply,
    Rhythm,
    Strip,
    Summary,
    UnitState,
    Vitals,
)
from sync.ids import new_id
from sync.outbox import Lane, OutboxMessage
from sync.publisher import Publisher
from sync.settings import BrokerSettings, UnitIdentity
from sync.topics import topic_of

SITE, UNIT, BED = "clinic", "u1", "1"


def head(seq: int = 0) -> dict[str, Any]:
    return {"id": new_id(), "time": time.time_ns(), "boot": "boot-1", "seq": seq}


def alarm(seq: int = 0, code: str = "asystole") -> AlarmMessage:
    return AlarmMessage(
        **head(seq),
        unit=UNIT,
        bed=BED,
        phase="start",
        alarm=AlarmInfo(
            alarm_id=new_id(),
            code=code,
            text="Asystole",
            kind="physiological",
            priority=Priority.HIGH,
            state="active",
            acknowledged=False,
            onset=1,
            raised=2,
        ),
    )


def summary(seq: int = 0) -> Summary:
    return Summary(
        **head(seq),
        unit=UNIT,
        bed=BED,
        start=time.time_ns(),
        duration_s=60.0,
        rate_min=60.0,
        rate_mean=70.0,
        rate_max=80.0,
        beats=70,
        seconds_by_rhythm={"normal": 60.0},
    )


def strip(seq: int = 0, samples: int = 5000) -> Strip:
    return Strip(
        **head(seq),
        unit=UNIT,
        bed=BED,
        alarm_id=new_id(),
        start=time.time_ns(),
        rate_hz=250.0,
        leads=("II",),
        microvolts_per_count=(0.5,),
        offset_counts=(0.0,),
        samples=samples,
        counts=bytes(4 * samples),
    )


def vitals(seq: int = 0) -> Vitals:
    return Vitals(**head(seq), unit=UNIT, bed=BED, rate_bpm=72.0, quality="usable")


def state(seq: int = 0, rate_bpm: float | None = None) -> BedState:
    return BedState(
        **head(seq),
        unit=UNIT,
        bed=BED,
        device=DeviceInfo(name="Polar H10", address="A0:9E", link="streaming"),
        rhythm=Rhythm.NORMAL,
        rate_bpm=rate_bpm,
        limits=Limits(),
    )


def unit_state(seq: int = 0) -> UnitState:
    return UnitState(**head(seq), unit=UNIT, site=SITE, online=True, since=1, beds=(BED,))


def command(name: Any = "acknowledge", **fields: Any) -> Command:
    return Command(**{**head(), "name": name, "bed": BED, "by": "nurse", **fields})


def out(message: AnyMessage) -> OutboxMessage:
    lane = {AlarmMessage: Lane.ALARM, Strip: Lane.STRIP, Summary: Lane.SUMMARY}[type(message)]
    topic = topic_of(SITE, UNIT, message)
    return OutboxMessage(message.id, lane, topic, encode(message), content_type(message))


class MemoryOutbox:
    """An outbox that forgets at the end of the test."""

    def __init__(self) -> None:
        self.waiting: dict[int, OutboxMessage] = {}
        self.confirmed_ids: list[str] = []
        self.failing = False
        self._lanes: dict[Lane, dict[int, OutboxMessage]] = {lane: {} for lane in Lane}
        self._last = 0
        self._news = asyncio.Event()

    def add(self, *messages: AnyMessage) -> None:
        for message in messages:
            self.add_raw(out(message))

    def add_raw(self, item: OutboxMessage) -> None:
        self._last += 1
        numbered = dataclasses.replace(item, number=self._last)
        self.waiting[self._last] = self._lanes[item.lane][self._last] = numbered
        self._news.set()

    async def pending(self, limit: int, skip: frozenset[int]) -> Sequence[OutboxMessage]:
        self._check()
        in_order = (m for lane in self._lanes.values() for m in lane.values())
        return list(islice((m for m in in_order if m.number not in skip), limit))

    async def confirmed(self, numbers: Sequence[int]) -> None:
        self._check()
        for number in numbers:
            message = self.waiting.pop(number)
            del self._lanes[message.lane][number]
            self.confirmed_ids.append(message.id)

    async def wait_for_news(self, timeout_s: float) -> None:
        try:
            await asyncio.wait_for(self._news.wait(), timeout_s)
        except TimeoutError:
            return
        self._news.clear()

    def _check(self) -> None:
        if self.failing:
            raise OSError("disk full")


class Subscriber:
    """An independent client (its own thread), as any subscriber of the ward would be."""

    def __init__(
        self, port: int, topic_filter: str = "wardbeat/v1/#", *, qos: int = 1, five: bool = True
    ) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.raw: list[mqtt.MQTTMessage] = []
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"test-{new_id()[-12:]}",
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda *_: self._client.subscribe(topic_filter, qos)
        self._client.on_message = self._take
        self._subscribed = False
        self._client.on_subscribe = lambda *_: setattr(self, "_subscribed", True)
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> Subscriber:
        self._client.loop_start()
        give_up_at = time.monotonic() + 10
        while not self._subscribed:
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain)

    def _take(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.raw.append(message)
        self.messages.append((message.topic, bytes(message.payload)))

    def of(self, *kinds: type[AnyMessage]) -> list[Any]:
        """Decoded messages of these types, in the order they came, repeats included."""
        decoded = [decode(topic, payload) for topic, payload in list(self.messages)]
        return [message for message in decoded if isinstance(message, kinds)]

    def unique(self, *kinds: type[AnyMessage]) -> list[Any]:
        """The same, repeats of an id left out, as the centre does."""
        first: dict[str, Any] = {}
        for message in self.of(*kinds):
            first.setdefault(message.id, message)
        return list(first.values())


@dataclass
class Bench:
    """A publisher under test: ``async with Bench(settings) as bench``."""

    settings: BrokerSettings
    outbox: Any = field(default_factory=MemoryOutbox)
    links: list[tuple[bool, str]] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    states: list[BedState] = field(default_factory=lambda: [state()])
    publisher: Publisher = field(init=False)
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.publisher = Publisher(
            self.settings,
            UnitIdentity(SITE, UNIT),
            self.outbox,
            birth=unit_state,
            states=lambda: self.states,
            on_command=self.obey,
            on_link=lambda up, reason: self.links.append((up, reason)),
        )

    async def obey(self, asked: Command) -> Reply:
        self.commands.append(asked)
        return Reply(**head(), command_id=asked.id, accepted=True)

    async def __aenter__(self) -> Bench:
        self.task = asyncio.create_task(self.publisher.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    @property
    def up(self) -> bool:
        return bool(self.links) and self.links[-1][0]

    async def connected(self) -> None:
        await until(lambda: self.up, "the publisher connects")

    async def drained(self, timeout_s: float = 20.0) -> None:
        await until(lambda: not self.outbox.waiting, "the outbox is drained", timeout_s)


async def until(true: Callable[[], object], what: str, timeout_s: float = 15.0) -> None:
    """Wait until ``true()``; fail naming ``what``."""
    give_up_at = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < give_up_at, f"in vain: {what}"
        await asyncio.sleep(0.01)


def quick(port: int, **fields: Any) -> BrokerSettings:
    """Settings with short times, for a broker on the loopback."""
    given: dict[str, Any] = {
        "port": port,
        "reconnect_min_s": 0.05,
        "reconnect_max_s": 0.3,
        "ack_timeout_s": 1.0,
        "connect_timeout_s": 2.0,
        "will_delay_s": 1,
        "session_expiry_s": 30,
        "heartbeat_s": 0.5,
    }
    return BrokerSettings(**{**given, **fields})
