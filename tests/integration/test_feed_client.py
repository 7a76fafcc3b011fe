"""The feed client against a feed that comes, goes, lies and comes back."""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.bedside import FeedServer, Unit, alarm

from sync.contract import AnyMessage, BedState, UnitState, Vitals
from sync.feed import FeedClient, FeedError, FeedLink, why_unreachable
from sync.ids import new_id
from tui.bedside.commands import Commands
from tui.lines import print_lines

LONG_S = 10.0


@pytest.fixture
def socket() -> Iterator[Path]:
    """A path short enough for a unix socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "feed.sock"


async def take(messages: AsyncIterator[AnyMessage], count: int) -> list[AnyMessage]:
    return [await asyncio.wait_for(anext(messages), LONG_S) for _ in range(count)]


async def until(condition: object) -> None:
    async with asyncio.timeout(LONG_S):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_retained_messages_then_what_happens(socket: Path) -> None:
    unit = Unit()
    async with FeedServer(socket) as server:
        server.retained = [unit.unit(), unit.state()]
        client = FeedClient(socket)
        messages = client.messages()
        assert await take(messages, 2) == server.retained
        assert client.link is FeedLink.CONNECTED
        live = unit.vitals()
        server.send(live)
        assert await take(messages, 1) == [live]


async def test_the_agent_is_found_again(socket: Path) -> None:
    unit, client = Unit(), FeedClient(socket)
    messages = client.messages()
    waiting = asyncio.create_task(take(messages, 1))
    await until(lambda: client.link is FeedLink.LOST)
    assert client.reason == f"{socket}: no agent there; start it with: wardbeat run"
    async with FeedServer(socket) as server:
        server.retained = [unit.unit()]
        assert isinstance((await waiting)[0], UnitState)
        waiting = asyncio.create_task(take(messages, 1))
        await server.stop()
        await until(lambda: client.link is FeedLink.LOST)
    async with FeedServer(socket) as server:
        server.retained = [unit.state()]
        assert isinstance((await waiting)[0], BedState)


async def test_a_stale_socket_says_that_the_agent_has_stopped(socket: Path) -> None:
    server = await asyncio.start_unix_server(lambda r, w: None, socket)
    server.close()
    client = FeedClient(socket)
    waiting = asyncio.create_task(take(client.messages(), 1))
    await until(lambda: client.link is FeedLink.LOST)
    waiting.cancel()
    assert client.reason == f"{socket}: the agent has stopped; start it with: wardbeat run"


def test_a_socket_one_may_not_read_says_so() -> None:
    reason = why_unreachable(Path("/run/x.sock"), PermissionError(13, "Permission denied"))
    assert reason == "/run/x.sock: not allowed to read the feed; join the agent's group"


async def test_another_programs_socket_is_left_with_a_reason(socket: Path) -> None:
    unit, client = Unit(), FeedClient(socket)
    messages = client.messages()
    async with FeedServer(socket) as server:
        waiting = asyncio.create_task(take(messages, 1))
        await until(lambda: server.connections == 1)
        server.send_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await until(lambda: client.link is FeedLink.LOST)
        assert "is this the agent's feed?" in client.reason
        server.retained = [unit.unit()]
        assert isinstance((await waiting)[0], UnitState)


async def test_a_message_of_a_later_contract_is_passed_over(socket: Path) -> None:
    from sync.feed import frame

    unit, client = Unit(), FeedClient(socket)
    messages = client.messages()
    async with FeedServer(socket) as server:
        server.retained = [unit.unit()]
        await take(messages, 1)
        server.send_bytes(frame("bed/1/hologram", b"{}") + frame("bed/1/vitals", b"[]"))
        server.send(unit.vitals())
        assert isinstance((await take(messages, 1))[0], Vitals)
        assert client.unreadable == 2


async def test_a_command_and_its_reply(socket: Path) -> None:
    unit, client, commands = Unit(), FeedClient(socket), Commands("nurse")
    messages = client.messages()
    async with FeedServer(socket) as server:
        server.retained = [unit.unit()]
        server.on_command = lambda command: [unit.reply(command)]
        await take(messages, 1)
        command = commands.acknowledge("1", (new_id(),))
        await client.send(command)
        (reply,) = await take(messages, 1)
        assert server.commands == [command]
        assert reply.command_id == command.id  # type: ignore[union-attr]


async def test_a_command_without_a_connection_is_an_error_in_one_line(socket: Path) -> None:
    client = FeedClient(socket)
    with pytest.raises(FeedError, match="not connected to the agent yet"):
        await client.send(Commands("nurse").pause_audio("1"))


async def test_lines_until_the_reader_has_gone(socket: Path) -> None:
    class Pipe(io.StringIO):
        def write(self, text: str) -> int:
            if "ASYSTOLE" in self.getvalue():
                raise BrokenPipeError
            return super().write(text)

    unit, out = Unit(), Pipe()
    async with FeedServer(socket) as server:
        server.retained = [unit.unit(), unit.state(), unit.vitals()]
        server.retained.append(unit.change("start", alarm("asystole", "ASYSTOLE", "high")))
        server.retained.append(unit.vitals())
        await asyncio.wait_for(print_lines(FeedClient(socket), out), LONG_S)
    lines = out.getvalue().splitlines()
    assert [line.split("bed 1  ")[1] for line in lines] == [
        "device OpenBCI Cyton: connected",
        "HR 72  sinus rhythm  quality usable  PVC 4/min",
        "*** ASYSTOLE start",
    ]


async def test_lines_tell_a_silent_agent(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.lines.SILENT_S", 0.2)
    unit, out = Unit(), io.StringIO()
    printing = asyncio.create_task(print_lines(FeedClient(socket), out))
    await until(lambda: "NO DATA FROM AGENT" in out.getvalue())
    assert "start it with: wardbeat run" in out.getvalue()
    async with FeedServer(socket) as server:
        server.retained = [unit.vitals()]
        await until(lambda: "the agent is back" in out.getvalue())
    printing.cancel()
