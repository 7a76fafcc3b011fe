"""Commands: checked, done once, answered or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from support.sync_bench import SITE, UNIT, command, head, unit_state, until

from sync.codec import encode
from sync.commands import MAX_PAYLOAD, REMEMBERED, WAITING, CommandDesk
from sync.connection import Incoming
from sync.contract import Command, Reply
from sync.topics import command_topic

NOW = 1_800_000_000_000_000_000


class Case:
    def __init__(
        self,
        handler: Callable[[Command], Awaitable[Reply]] | None = None,
        *,
        clock_synced: bool = True,
        handler_timeout_s: float = 5,
    ) -> None:
        self.done: list[Command] = []
        self.replies: list[Reply] = []
        self.desk = CommandDesk(
            handler or self.obey,
            self.replies.append,
            unit_state,
            max_age_s=30,
            clock_synced=lambda: clock_synced,
            now_ns=lambda: NOW,
            handler_timeout_s=handler_timeout_s,
        )

    async def obey(self, asked: Command) -> Reply:
        self.done.append(asked)
        return Reply(**head(), command_id=asked.id, accepted=True)

    def take(self, asked: Command, *, retained: bool = False) -> None:
        topic = command_topic(SITE, UNIT, asked.name)
        self.desk.take(Incoming(topic, encode(asked), retained, 1))

    async def work(self, replies: int) -> None:
        task = asyncio.create_task(self.desk.run())
        await until(lambda: len(self.replies) >= replies, "the replies")
        task.cancel()


def asked(name: str = "acknowledge", age_s: float = 0, **fields: object) -> Command:
    return command(name, time=NOW - int(age_s * 1e9), **fields)


async def test_done_in_order_and_answered() -> None:
    case = Case()
    commands = [asked("acknowledge"), asked("pause_audio", seconds=60.0), asked("discharge")]
    for one in commands:
        case.take(one)
    await case.work(3)
    assert case.done == commands
    assert [reply.command_id for reply in case.replies] == [one.id for one in commands]
    assert all(reply.accepted for reply in case.replies)


async def test_a_repeat_is_answered_again_and_not_done_again() -> None:
    case = Case()
    one = asked()
    case.take(one)
    case.take(one)
    await case.work(1)
    case.take(one)
    assert case.done == [one]
    assert case.replies[0] == case.replies[1]


async def test_ids_remembered_are_bounded() -> None:
    case = Case()
    for _ in range(REMEMBERED + 10):
        case.take(asked(age_s=100))
    assert len(case.replies) == REMEMBERED + 10
    assert len(case.desk._answers) == REMEMBERED


@pytest.mark.parametrize("age_s", [31.0, -31.0])
async def test_an_old_command_is_refused(age_s: float) -> None:
    case = Case()
    case.take(asked(age_s=age_s))
    assert not case.replies[0].accepted
    assert f"{age_s:.0f} s old" in case.replies[0].reason
    assert "limit 30 s" in case.replies[0].reason


@pytest.mark.parametrize("whose", ["unit", "sender"])
async def test_age_counts_only_between_two_right_clocks(whose: str) -> None:
    case = Case(clock_synced=whose != "unit")
    clock = "unsynced" if whose == "sender" else "synced"
    case.take(asked(age_s=3600, clock=clock))
    await case.work(1)
    assert case.replies[0].accepted


async def test_a_retained_command_is_refused() -> None:
    case = Case()
    case.take(asked(), retained=True)
    assert case.done == []
    assert "retained" in case.replies[0].reason


async def test_more_than_the_unit_can_take_is_refused_and_may_come_again() -> None:
    case = Case()
    commands = [asked() for _ in range(WAITING + 1)]
    for one in commands:
        case.take(one)
    assert "busy" in case.replies[0].reason
    assert case.replies[0].command_id == commands[-1].id
    case.replies.clear()
    await case.work(WAITING)
    case.take(commands[-1])
    await case.work(WAITING + 1)
    assert case.done[-1] == commands[-1]


async def test_a_handler_that_hangs_is_given_up() -> None:
    async def hang(_: Command) -> Reply:
        await asyncio.sleep(60)
        raise AssertionError

    case = Case(hang, handler_timeout_s=0.05)
    case.take(asked())
    await case.work(1)
    assert "no answer in 0.05 s" in case.replies[0].reason


async def test_a_handler_that_fails_is_told_and_the_next_is_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(_: Command) -> Reply:
        raise RuntimeError("disk full")

    case = Case(fail)
    case.take(asked())
    case.take(asked())
    await case.work(2)
    assert "see the unit's log" in case.replies[0].reason
    assert "disk full" in caplog.text


@pytest.mark.parametrize(
    ("payload", "answered"),
    [
        (b'{"id": "x", "name": "reboot"}', True),
        (b'{"id": "x/y"}', False),
        (b'{"id": 7}', False),
        (b"", False),
        (b"\xff", False),
        (b"[" * 100_000, False),
        (b'{"id": "x", "by": "' + b"a" * MAX_PAYLOAD + b'"}', False),
    ],
)
async def test_a_damaged_command_is_answered_where_its_id_can_be_read(
    payload: bytes, answered: bool
) -> None:
    case = Case()
    case.desk.take(Incoming(command_topic(SITE, UNIT, "admit"), payload, False, 1))
    assert [reply.command_id for reply in case.replies] == ["x"] * answered
    assert not any(reply.accepted for reply in case.replies)


async def test_an_id_that_cannot_stand_in_a_topic_is_refused_quietly() -> None:
    case = Case()
    case.take(msgspec.structs.replace(asked(), id="a/#"))
    assert case.replies == []
    assert case.done == []
