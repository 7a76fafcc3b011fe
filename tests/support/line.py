"""A TCP line between a client and a broker that can be cut, frozen, slowed or made to swallow."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4


class Verdict(Enum):
    """What becomes of a packet."""

    PASS = auto()
    SWALLOW = auto()
    CUT = auto()
    """The connection is cut instead."""


@dataclass(frozen=True)
class Packet:
    """An MQTT packet as it passes."""

    kind: int
    raw: bytes

    upward: bool
    """From the client to the broker."""
    body: bytes

    @property
    def packet_id(self) -> int:
        """Of a PUBACK, or of a PUBLISH with QoS 1."""
        start = 2 + int.from_bytes(self.body[:2], "big") if self.kind == PUBLISH else 0
        return int.from_bytes(self.body[start : start + 2], "big")

    @property
    def message_id(self) -> str:
        """Of a PUBLISH that carries a JSON message of ours."""
        found = re.search(rb'"id":"([0-9a-f-]{36})"', self.body)
        return found[1].decode() if found else ""

    @property
    def qos(self) -> int:
        """Of a PUBLISH."""
        return self.raw[0] >> 1 & 3


async def read_packet(reader: asyncio.StreamReader, *, upward: bool) -> Packet:
    """Read one packet; IncompleteReadError at the end."""
    raw = bytearray(await reader.readexactly(1))
    length, shift = 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        raw.append(byte)
        length |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            break
    body = await reader.readexactly(length)
    return Packet(raw[0] >> 4, bytes(raw) + body, upward, body)


@dataclass
class Line:
    """``async with Line(port) as line``: connect to ``line.port`` instead of the broker.

    ``judge`` sees every packet. ``delay_s``: each packet waits. ``flowing`` cleared: nothing
    passes any more and nobody is told (half-open TCP), on connections there are now.
    """

    target: int
    judge: Callable[[Packet], Verdict] = lambda packet: Verdict.PASS
    delay_s: float = 0.0
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    accepting: bool = True
    connections: int = 0
    passed: list[Packet] = field(default_factory=list)
    """Every packet of both directions, in the order they passed."""
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Line:
        self.flowing.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def acknowledged(self) -> set[str]:
        """Ids of the messages whose PUBACK passed to the client, over all connections so far."""
        under_way: dict[int, str] = {}
        done: set[str] = set()
        for packet in self.passed:
            if packet.kind == CONNECT:
                under_way.clear()
            elif packet.kind == PUBLISH and packet.upward and packet.qos == 1:
                under_way[packet.packet_id] = packet.message_id
            elif packet.kind == PUBACK and not packet.upward and packet.packet_id in under_way:
                done.add(under_way.pop(packet.packet_id))
        return done

    def freeze(self) -> None:
        """Let the present connections die silently; new ones work."""
        self.flowing.clear()
        self.flowing = asyncio.Event()
        self.flowing.set()

    def cut(self) -> None:
        """Cut all connections hard (RST)."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        broker = None
        try:
            if not self.accepting:
                return
            self.connections += 1
            far_reader, broker = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(broker)
            await asyncio.gather(
                self._pump(reader, broker, self.flowing, upward=True),
                self._pump(far_reader, writer, self.flowing, upward=False),
            )
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for end in (writer, broker):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        flowing: asyncio.Event,
        *,
        upward: bool,
    ) -> None:
        while True:
            packet = await read_packet(reader, upward=upward)
            await flowing.wait()
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            match self.judge(packet):
                case Verdict.SWALLOW:
                    continue
                case Verdict.CUT:
                    raise ConnectionAbortedError
            self.passed.append(packet)
            if writer.is_closing():
                raise ConnectionResetError
            writer.write(packet.raw)
            await writer.drain()
