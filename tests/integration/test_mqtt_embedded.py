"""The demo's embedded broker: 3.1.1 only, with the same guarantees."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest
from support.sync_bench import Bench, Subscriber, alarm, quick, summary, until

from sync.contract import AlarmMessage, Summary, UnitState
from sync.embedded import EmbeddedBrokerError, embedded_broker


async def subscribed(port: int) -> Subscriber:
    return await asyncio.to_thread(lambda: Subscriber(port, qos=1, five=False).__enter__())


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
async def test_alarms_before_summaries_over_3_1_1(protocol: str) -> None:
    async with embedded_broker() as settings:
        bench = Bench(quick(settings.port_number, protocol=protocol))
        for seq in range(50):
            bench.outbox.add(summary(seq), alarm(seq))
        subscriber = await subscribed(settings.port_number)
        try:
            async with bench:
                await bench.drained()
                await until(lambda: len(subscriber.unique(AlarmMessage, Summary)) == 100, "all")
            assert bench.publisher.health.protocol == "3.1.1"
            kinds = [type(message) for message in subscriber.unique(AlarmMessage, Summary)]
            assert kinds == [AlarmMessage] * 50 + [Summary] * 50
            await until(lambda: not subscriber.of(UnitState)[-1].online, "the farewell")
        finally:
            subscriber.__exit__()


async def test_settings_given_reach_the_broker() -> None:
    async with embedded_broker() as settings, Bench(settings) as bench:
        await bench.connected()


async def test_a_taken_port_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(EmbeddedBrokerError, match=f"127.0.0.1:{port}.*give another port"):
            async with embedded_broker(port):
                pass


async def test_without_amqtt_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amqtt.broker", None)
    with pytest.raises(EmbeddedBrokerError, match=r"wardbeat\[demo\]"):
        async with embedded_broker():
            pass
