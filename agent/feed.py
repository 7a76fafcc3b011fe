"""The local feed: what the screens on this unit see, over a Unix socket.

Framing and messages are those of ``sync.feed`` and ``sync.contract``. A screen can never hold
the unit up: each has a queue of its own, from which waves are dropped first; a screen that
takes nothing for ``STALLED_S`` is let go and may come back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

from sync.codec import ContractError
from sync.contract import AnyMessage, Command, Reply
from sync.feed import FrameError, FrameReader, local_topic, message_frame, read_message
from sync.topics import DELIVERY, KIND_OF_MESSAGE, Kind

log = logging.getLogger(__name__)

QUEUE_LIMIT = 400
"""Frames waiting for one screen: about 20 s of one bed."""
STALLED_S = 10.0
WAVE_HISTORY = 50
"""Wave messages kept per bed for a screen that joins: 10 s of 200 ms."""
MOST_SCREENS = 32


class _Screen:
    """One connected screen and the frames it has still to take."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._frames: deque[tuple[bool, bytes]] = deque()
        self._news = asyncio.Event()

    def put(self, data: bytes, *, droppable: bool) -> None:
        """Queue a frame; when the queue is full the oldest droppable one makes room."""
        if len(self._frames) >= QUEUE_LIMIT:
            oldest = next((i for i, (drop, _) in enumerate(self._frames) if drop), None)
            if oldest is None:
                if droppable:
                    return
                oldest = 0
            del self._frames[oldest]
        self._frames.append((droppable, data))
        self._news.set()

    async def write_all(self) -> None:
        """Write frames as they come, until the screen stalls or is gone."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._frames:
                self._writer.write(self._frames.popleft()[1])
                async with asyncio.timeout(STALLED_S):
                    await self._writer.drain()


class FeedServer:
    """Serves the feed; ``on_command`` answers what screens ask."""

    def __init__(self, path: Path, on_command: Callable[[Command], Awaitable[Reply]]) -> None:
        self._path = path
        self._on_command = on_command
        self._screens: set[_Screen] = set()
        self._retained: dict[str, bytes] = {}
        self._waves: dict[str, deque[bytes]] = {}

    def publish(self, message: AnyMessage) -> None:
        """Give a message to every screen; a retained kind also to those that come later."""
        kind, data = KIND_OF_MESSAGE[type(message)], message_frame(message)
        if DELIVERY[kind].retained:
            self._retained[local_topic(message)] = data
        if kind is Kind.WAVE:
            history = self._waves.setdefault(local_topic(message), deque(maxlen=WAVE_HISTORY))
            history.append(data)
        for screen in self._screens:
            screen.put(data, droppable=kind in (Kind.WAVE, Kind.VITALS))

    async def run(self) -> None:
        """Serve until cancelled. The socket is the owner's and group's only (0660)."""
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, self._path)
        self._path.chmod(0o660)
        try:
            async with server:
                await server.serve_forever()
        finally:
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._screens) >= MOST_SCREENS:
            log.warning("feed: a further screen was refused: %d are connected", MOST_SCREENS)
            writer.close()
            return
        screen = _Screen(writer)
        for data in self._retained.values():
            screen.put(data, droppable=False)
        for history in self._waves.values():
            for data in history:
                screen.put(data, droppable=True)
        self._screens.add(screen)
        try:
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(screen.write_all())
                await self._read_commands(reader, screen)
                writing.cancel()
        except* (OSError, TimeoutError, FrameError) as errors:
            log.info("feed: a screen was let go: %s", errors.exceptions[0] or "it stalled")
        finally:
            self._screens.discard(screen)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _read_commands(self, reader: asyncio.StreamReader, screen: _Screen) -> None:
        frames = FrameReader()
        while data := await reader.read(4096):
            for topic, payload in frames.feed(data):
                try:
                    command = read_message(topic, payload)
                except ContractError as error:
                    log.warning("feed: %s", error)
                    continue
                if isinstance(command, Command):
                    reply = await self._on_command(command)
                    screen.put(message_frame(reply), droppable=False)
