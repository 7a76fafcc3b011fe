"""The publisher when broker or line fail: nothing lost, nothing doubled, a clear reason."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.line import CONNECT, PUBACK, PUBLISH, Line, Packet, Verdict
from support.mosquitto import Certificates, Mosquitto, free_port
from support.sync_bench import (
    Bench,
    Subscriber,
    alarm,
    out,
    quick,
    strip,
    summary,
    until,
    vitals,
)

from sync.contract import AlarmMessage, Strip, Summary

BOTH = pytest.mark.parametrize("protocol", ["5", "3.1.1"])
DURABLE = (AlarmMessage, Strip, Summary)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as running:
        yield running


def every(count: int, kind: int, verdict: Verdict) -> Callable[[Packet], Verdict]:
    """Do this to every ``count``-th packet of this kind."""
    seen = 0

    def judge(packet: Packet) -> Verdict:
        nonlocal seen
        seen += packet.kind == kind
        return verdict if packet.kind == kind and seen % count == 0 else Verdict.PASS

    return judge


# --- losses --------------------------------------------------------------------------------------


@BOTH
async def test_after_an_outage_alarms_come_first_and_in_order(
    broker: Mosquitto, protocol: str
) -> None:
    async with Bench(quick(broker.port, protocol=protocol)) as bench:
        await bench.connected()
        broker.stop()
        await until(lambda: not bench.up, "the loss is told")
        for seq in range(50):
            bench.outbox.add(summary(seq), alarm(seq))
        assert not bench.publisher.publish_live(vitals())
        await asyncio.sleep(0.5)
        assert len(bench.outbox.waiting) == 100
        broker.start()
        with Subscriber(broker.port) as subscriber:
            await bench.drained()
            await until(lambda: len(subscriber.unique(*DURABLE)) == 100, "all arrive")
        bench_alarms = [m.seq for m in subscriber.unique(AlarmMessage)]
    assert bench_alarms == list(range(50))
    kinds = [type(m) for m in subscriber.unique(*DURABLE)]
    assert kinds == [AlarmMessage] * 50 + [Summary] * 50


@BOTH
async def test_a_message_leaves_the_outbox_on_puback_only_when_the_broker_is_killed(
    broker: Mosquitto, protocol: str
) -> None:
    async with Line(broker.port, delay_s=0.0005) as line:
        bench = Bench(quick(line.port, protocol=protocol))
        bench.outbox.add(*(alarm(seq) for seq in range(1000)))
        everything = {message.id for message in bench.outbox.waiting.values()}
        async with bench:
            for share in (200, 500):
                await until(lambda share=share: bench.publisher.health.confirmed > share, "some")
                broker.kill()
                await until(lambda: not bench.up, "the loss is told")
                await asyncio.sleep(0.05)
                gone = set(bench.outbox.confirmed_ids)
                assert gone <= line.acknowledged()
                assert gone | {m.id for m in bench.outbox.waiting.values()} == everything
                broker.start()
            await bench.drained(30)
    assert line.acknowledged() >= everything
    assert sorted(bench.outbox.confirmed_ids) == sorted(everything)


@BOTH
@pytest.mark.parametrize(
    ("kind", "verdict"),
    [(PUBACK, Verdict.SWALLOW), (PUBACK, Verdict.CUT), (PUBLISH, Verdict.CUT)],
    ids=["puback-swallowed", "cut-at-puback", "cut-at-publish"],
)
async def test_each_message_arrives_exactly_once_by_its_id_and_in_order(
    broker: Mosquitto, protocol: str, kind: int, verdict: Verdict
) -> None:
    async with Line(broker.port, judge=every(60, kind, verdict)) as line:
        bench = Bench(quick(line.port, protocol=protocol, ack_timeout_s=0.3))
        for seq in range(100):
            bench.outbox.add(summary(seq), alarm(seq))
        with Subscriber(broker.port) as subscriber:
            async with bench:
                await bench.drained(40)
            await until(lambda: len(subscriber.unique(*DURABLE)) == 200, "all arrive")
    assert bench.publisher.health.connects > 1
    assert len(subscriber.of(*DURABLE)) > 200
    assert [m.seq for m in subscriber.unique(AlarmMessage)] == list(range(100))
    assert [m.seq for m in subscriber.unique(Summary)] == list(range(100))
    assert len(bench.outbox.confirmed_ids) == len(set(bench.outbox.confirmed_ids)) == 200


async def test_a_half_open_line_is_noticed_and_the_rest_sent_over_a_new_one(
    broker: Mosquitto,
) -> None:
    async with Line(broker.port) as line, Bench(quick(line.port)) as bench:
        await bench.connected()
        line.freeze()
        bench.outbox.add(*(alarm(seq) for seq in range(10)))
        with Subscriber(broker.port) as subscriber:
            await bench.drained()
            await until(lambda: len(subscriber.unique(AlarmMessage)) == 10, "all arrive")
    told = [reason for up, reason in bench.links if not up]
    assert any("no PUBACK" in reason for reason in told)


async def test_a_half_open_line_is_noticed_without_anything_to_send(broker: Mosquitto) -> None:
    async with Line(broker.port) as line:
        settings = quick(line.port, keepalive_s=2, heartbeat_s=10, ack_timeout_s=60)
        async with Bench(settings) as bench:
            await bench.connected()
            line.freeze()
            await until(lambda: bench.publisher.health.connects == 2, "it connects again")
    assert any("no answer to a ping" in reason for _, reason in bench.links)


async def test_a_slow_broker_is_not_taken_for_a_lost_one(broker: Mosquitto) -> None:
    async with Line(
        broker.port, delay_s=0.03
    ) as line:  # 60 PUBLISH in turn take longer than the time-out
        bench = Bench(quick(line.port, ack_timeout_s=1))
        bench.outbox.add(*(alarm(seq) for seq in range(60)))
        async with bench:
            await bench.drained(30)
    assert line.connections == 1


async def test_an_outbox_that_fails_is_tried_again(broker: Mosquitto) -> None:
    async with Bench(quick(broker.port)) as bench:
        await bench.connected()
        bench.outbox.failing = True
        bench.outbox.add(alarm(1))
        await asyncio.sleep(0.3)
        assert bench.up
        bench.outbox.failing = False
        await bench.drained()


# --- refusals ------------------------------------------------------------------------------------


@BOTH
async def test_a_wrong_password_is_named_and_mended_without_a_restart(
    tmp_path: Path, protocol: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    with Mosquitto(tmp_path / "broker", users={"u1": "right"}) as broker:
        settings = quick(broker.port, protocol=protocol, username="u1", password_file=str(secret))
        async with Bench(settings) as bench:
            bench.outbox.add(alarm())
            await until(lambda: bench.links, "the refusal is told")
            await asyncio.sleep(0.5)
            assert bench.links == [
                (
                    False,
                    f"broker 127.0.0.1:{broker.port} refused the user name or password (u1); "
                    "check [sync] username and password_file",
                )
            ]
            secret.write_text("right\n")
            await bench.drained()


@pytest.mark.parametrize(
    "extra",
    # With this line, Mosquitto 2.0.11 closes the connection after each refusal.
    ["", "max_queued_messages 0\n"],
    ids=["refuses", "refuses-and-closes"],
)
async def test_what_the_broker_refuses_is_kept_and_does_not_hold_up_the_rest(
    tmp_path: Path, extra: str
) -> None:
    acl = "user u1\ntopic readwrite wardbeat/v1/clinic/u1/#\ntopic deny wardbeat/v1/+/+/bed/9/#\n"
    secret = tmp_path / "secret"
    secret.write_text("right")
    secret.chmod(0o600)
    with Mosquitto(tmp_path / "broker", users={"u1": "right"}, acl=acl, extra=extra) as broker:
        bench = Bench(quick(broker.port, username="u1", password_file=str(secret)))
        denied = dataclasses.replace(out(alarm()), topic="wardbeat/v1/clinic/u1/bed/9/alarm")
        bench.outbox.add_raw(denied)
        bench.outbox.add(alarm(), summary())
        async with bench:
            await until(lambda: len(bench.outbox.confirmed_ids) == 2, "the others are taken")
            await until(lambda: bench.up and bench.links[-1][1], "the refusal is told")
            assert [m.id for m in bench.outbox.waiting.values()] == [denied.id]
            up, reason = bench.links[-1]
    assert up
    assert "refuses wardbeat/v1/clinic/u1/bed/9/alarm (Not authorized)" in reason
    assert "check its limits and what it allows user u1" in reason


async def test_a_message_larger_than_the_broker_takes_is_kept_and_named(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, extra="max_packet_size 10000\n") as broker:
        bench = Bench(quick(broker.port, protocol="5"))
        bench.outbox.add(strip(), summary(), alarm())
        async with bench:
            await until(lambda: len(bench.outbox.confirmed_ids) == 2, "the others are taken")
            assert "takes 10000 bytes only" in bench.links[-1][1]
            assert len(bench.outbox.waiting) == 1


async def test_a_message_on_which_the_broker_closes_does_not_hold_up_the_rest(
    tmp_path: Path,
) -> None:
    with Mosquitto(tmp_path, extra="max_packet_size 10000\n") as broker:
        bench = Bench(quick(broker.port, protocol="3.1.1"))
        bench.outbox.add(*(strip(samples=100) for _ in range(3)), strip(), summary(), alarm())
        async with bench:
            await until(lambda: len(bench.outbox.confirmed_ids) == 5, "the others are taken")
            assert [m.lane.name for m in bench.outbox.waiting.values()] == ["STRIP"]
            await until(lambda: bench.up and bench.links[-1][1], "it is told")
    assert "closes the connection on message" in bench.links[-1][1]


@pytest.mark.parametrize(
    ("host", "reason"),
    [("127.0.0.1", "unreachable: connection refused"), ("localhost", "connection refused")],
)
async def test_an_unreachable_broker_is_named(host: str, reason: str) -> None:
    port = free_port()
    async with Bench(quick(port, host=host)) as bench:
        await until(lambda: bench.links, "it is told")
    up, told = bench.links[0]
    assert not up
    assert reason in told
    assert f"{host}:{port}" in told


async def test_an_unknown_host_is_named() -> None:
    settings = quick(1883, host="broker.invalid", allow_plain_text=True)
    async with Bench(settings) as bench:
        await until(lambda: bench.links, "it is told")
    assert "broker.invalid:1883" in bench.links[0][1]


async def test_something_else_than_a_broker_is_named() -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)
        writer.close()

    async def garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(1)
        writer.close()

    for server, reason in ((silent, "did not answer"), (garbage, "broker 127.0.0.1")):
        listening = await asyncio.start_server(server, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        async with Bench(quick(port, connect_timeout_s=0.3)) as bench:
            await until(lambda bench=bench: bench.links, "it is told")
        assert bench.links[0][0] is False
        assert reason in bench.links[0][1]
        listening.close()


async def test_a_second_unit_under_the_same_name_is_suspected(broker: Mosquitto) -> None:
    settings = quick(broker.port)
    hint = "does another client use the id wardbeat-clinic-u1?"
    async with Bench(settings) as first, Bench(settings):
        await until(lambda: any(hint in reason for _, reason in first.links), "it is told")


# --- versions of MQTT ----------------------------------------------------------------------------


async def test_a_broker_that_closes_on_5_0_gets_3_1_1_and_it_is_remembered(
    broker: Mosquitto,
) -> None:
    asked: list[int] = []

    def only_3_1_1(packet: Packet) -> Verdict:
        if packet.kind == CONNECT:
            level = packet.body[6]
            asked.append(level)
            return Verdict.CUT if level == 5 else Verdict.PASS
        return Verdict.PASS

    async with Line(broker.port, judge=only_3_1_1) as line, Bench(quick(line.port)) as bench:
        await bench.connected()
        assert bench.publisher.health.protocol == "3.1.1"
        line.cut()
        await until(lambda: bench.publisher.health.connects == 2, "it connects again")
        bench.outbox.add(alarm())
        await bench.drained()
    assert asked == [5, 4, 4]


# --- TLS -----------------------------------------------------------------------------------------


async def test_tls_with_the_right_authority_and_a_certificate_of_its_own(tmp_path: Path) -> None:
    files = Certificates(tmp_path / "tls")
    with Mosquitto(tmp_path, certificates=files, ask_client_certificate=True) as broker:
        bench = Bench(
            quick(
                broker.port,
                host="localhost",
                tls=True,
                ca_file=str(files.ca),
                cert_file=str(files.client),
                key_file=str(files.client_key),
            )
        )
        bench.outbox.add(*(alarm(seq) for seq in range(500)))
        async with bench:
            await bench.drained()
    assert bench.publisher.health.connects == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ca_file": "other"}, "its certificate is not trusted"),
        ({"host": "127.0.0.1"}, "check [sync] ca_file and that host is the name"),
        ({"tls": False, "ca_file": ""}, "closed the connection before CONNACK"),
        ({"ca_file": "missing"}, "[sync] ca_file: cannot read"),
        ({"ca_file": "empty"}, "holds no valid PEM"),
    ],
    ids=["other-authority", "other-name", "plain-text", "missing-file", "no-certificate"],
)
async def test_what_is_wrong_with_tls_is_named(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    files = Certificates(tmp_path / "tls")
    (tmp_path / "empty").write_text("not a certificate")
    places = {
        "other": str(Certificates(tmp_path / "other").ca),
        "missing": str(tmp_path / "nowhere.pem"),
        "empty": str(tmp_path / "empty"),
    }
    given = {"host": "localhost", "tls": True, "ca_file": str(files.ca), **change}
    given["ca_file"] = places.get(given["ca_file"], given["ca_file"])
    with Mosquitto(tmp_path / "broker", certificates=files) as broker:
        async with Bench(quick(broker.port, **given)) as bench:
            bench.outbox.add(alarm())
            await until(lambda: bench.links, "it is told")
            await asyncio.sleep(0.2)
            assert len(bench.outbox.waiting) == 1
    assert all(up is False for up, _ in bench.links)
    assert reason in bench.links[0][1]
