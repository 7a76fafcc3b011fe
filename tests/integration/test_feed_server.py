"""The local feed over a real socket: late screens, slow screens, commands, garbage."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.feed import QUEUE_LIMIT, WAVE_HISTORY, FeedServer
from sync.contract import (
    BedState,
    Command,
    DeviceInfo,
    Limits,
    Reply,
    Rhythm,
    Vitals,
    Wave,
)
from sync.feed import FeedClient

HEAD = {"time": 1, "boot": "b"}


def wave(seq: int, samples: int = 50) -> Wave:
    """A stretch of flat wave."""
    return Wave(
        id=f"w{seq}", seq=seq, unit="pi", bed="1", start_s=seq / 5, rate_hz=250.0, lead="II",
        microvolts=bytes(2 * samples), **HEAD,
    )  # fmt: skip


def vitals(seq: int) -> Vitals:
    """A second's numbers."""
    return Vitals(id=f"v{seq}", seq=seq, unit="pi", bed="1", **HEAD)


def state(seq: int) -> BedState:
    """A bed's state."""
    device = DeviceInfo(name="Cyton", address="/dev/ttyUSB0", link="streaming")
    return BedState(
        id=f"s{seq}", seq=seq, unit="pi", bed="1", device=device, rhythm=Rhythm.NORMAL,
        limits=Limits(), **HEAD,
    )  # fmt: skip


async def answer(command: Command) -> Reply:
    """Accept whatever is asked."""
    return Reply(id="r", seq=1, command_id=command.id, accepted=True, **HEAD)


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[FeedServer]:
    """A running feed."""
    server = FeedServer(path, answer)
    task = asyncio.create_task(server.run())
    while not path.exists():
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A socket's path, in a folder that does not exist yet."""
    return tmp_path / "run" / "feed.sock"


async def test_late_screen_gets_state_then_wave_then_everything(path: Path) -> None:
    async with serving(path) as server:
        server.publish(state(1))
        server.publish(state(2))
        for seq in range(WAVE_HISTORY + 7):
            server.publish(wave(seq))
        messages = FeedClient(path).messages()
        first = await anext(messages)
        assert first.id == "s2", "only the newest state is kept"
        history = [await anext(messages) for _ in range(WAVE_HISTORY)]
        assert [message.seq for message in history] == list(range(7, WAVE_HISTORY + 7))
        server.publish(vitals(1))
        assert (await anext(messages)).id == "v1"


async def test_socket_is_for_owner_and_group(path: Path) -> None:
    async with serving(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert stat.S_IMODE(path.parent.stat().st_mode) & 0o007 == 0
    assert not path.exists(), "a stopped feed leaves no socket behind"


async def test_command_is_answered_to_who_asked(path: Path) -> None:
    async with serving(path) as server:
        server.publish(state(1))
        client = FeedClient(path)
        messages = client.messages()
        await anext(messages)
        await client.send(Command(id="c1", seq=1, name="acknowledge", bed="1", by="nurse", **HEAD))
        reply = await anext(messages)
        assert isinstance(reply, Reply)
        assert reply.command_id == "c1"


async def test_stalled_screen_holds_nobody_up_and_loses_waves_first(path: Path) -> None:
    async with serving(path) as server:
        server.publish(state(1))
        with socket.socket(socket.AF_UNIX) as stalled:
            stalled.connect(str(path))
            await asyncio.sleep(0.1)
            big = 40_000
            for seq in range(4 * QUEUE_LIMIT):
                server.publish(wave(seq, big if seq < 20 else 50))
            server.publish(state(2))
            other = FeedClient(path).messages()
            assert (await anext(other)).id == "s2"


async def test_garbage_ends_that_connection_only(path: Path) -> None:
    async with serving(path) as server:
        server.publish(state(1))
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"\xff" * 64)
        await writer.drain()
        async with asyncio.timeout(5):
            while await reader.read(4096):
                pass
        assert (await anext(FeedClient(path).messages())).id == "s1"


async def test_screen_that_leaves_is_forgotten(path: Path) -> None:
    async with serving(path) as server:
        server.publish(state(1))
        _, writer = await asyncio.open_unix_connection(path)
        await asyncio.sleep(0.05)
        writer.close()
        await asyncio.sleep(0.05)
        for seq in range(3):
            server.publish(wave(seq))
        assert not server._screens
