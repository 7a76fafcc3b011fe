"""The local feed: a unit's messages over a unix socket, for screens at the bed.

Wire: frames both ways, each a big-endian u32 length and a MessagePack array
``[topic: str, payload: bytes]`` of that length. Topic and payload are those of MQTT, the topic
without its ``wardbeat/v1/<site>/<unit>/`` (``bed/1/vitals``, ``command/acknowledge``).

To a new client the agent sends the retained messages (``unit``, each bed's ``state``), then the
last ten seconds of each bed's ``wave``, then everything as it happens. It sends ``vitals`` for
every bed each second, also without a device: a client takes three silent seconds for a dead
agent. A command goes up as ``command/<name>`` and is answered on ``reply/<id>``.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import msgspec

from sync.codec import ContractError, encode
from sync.contract import AnyMessage, Command
from sync.topics import DELIVERY, MESSAGE_OF_KIND, Kind, TopicError, parse, topic_of

MAX_FRAME = 1 << 20
"""Longest frame body in bytes: a strip of one minute of eight leads at 500 Hz fits."""

FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 2.0
"""A nurse waits in front of the screen: the pause between tries stays short."""
READ_BYTES = 1 << 16

_LENGTH = struct.Struct(">I")
_body_encoder = msgspec.msgpack.Encoder()
_body_decoder = msgspec.msgpack.Decoder(tuple[str, bytes])
_ANY_UNIT = "wardbeat/v1/-/-/"


class FrameError(ValueError):
    """The other side does not speak the feed's framing; the connection is of no more use."""


class FeedError(Exception):
    """A command could not be sent; the text is one line for the person at the screen."""


class FeedLink(StrEnum):
    """The link to the agent as the client sees it."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"


def frame(topic: str, payload: bytes) -> bytes:
    """Return one frame.

    Raises:
        FrameError: the frame would be longer than MAX_FRAME.
    """
    body = _body_encoder.encode((topic, payload))
    if len(body) > MAX_FRAME:
        raise FrameError(f"{topic}: a frame of {len(body)} bytes; {MAX_FRAME} is the most")
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Bytes in, frames out; how the bytes were cut does not matter. Sans-I/O."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """Return the (topic, payload) of every frame that ``data`` completes.

        Holds at most one unfinished frame besides ``data``.

        Raises:
            FrameError: a frame longer than MAX_FRAME, or one that is no [topic, payload]; every
                later call raises again.
        """
        buffer = self._buffer
        buffer += data
        frames: list[tuple[str, bytes]] = []
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > MAX_FRAME:
                raise FrameError(f"a frame of {length} bytes; {MAX_FRAME} is the most")
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            try:
                frames.append(_body_decoder.decode(bytes(buffer[start + _LENGTH.size : end])))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise FrameError(f"not a frame of the feed: {error}") from None
            start = end
        del buffer[:start]
        return frames


def local_topic(message: AnyMessage) -> str:
    """Return the topic of ``message`` on the feed: ``bed/1/vitals``."""
    return topic_of("-", "-", message).removeprefix(_ANY_UNIT)


def message_frame(message: AnyMessage) -> bytes:
    """Return ``message`` as one frame of the feed."""
    return frame(local_topic(message), encode(message))


_JsonOrBinary = msgspec.json.Decoder[AnyMessage] | msgspec.msgpack.Decoder[AnyMessage]


def _decoder(kind: Kind) -> _JsonOrBinary:
    message = MESSAGE_OF_KIND[kind]
    if DELIVERY[kind].binary:
        return msgspec.msgpack.Decoder(message)
    return msgspec.json.Decoder(message)


_decoders: dict[Kind, _JsonOrBinary] = {kind: _decoder(kind) for kind in Kind}


def read_message(topic: str, payload: bytes) -> AnyMessage:
    """Read what a frame carries; which unit speaks is told by the message itself.

    Raises:
        ContractError: not a topic of the contract, or not a payload of its kind.
    """
    try:
        return _decoders[parse(_ANY_UNIT + topic).kind].decode(payload)
    except (TopicError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(f"feed: {topic[:80]}: {' '.join(str(error).split())[:200]}") from None


class FeedClient:
    """One screen's connection to the agent; it finds the agent again whenever it is lost."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.link = FeedLink.CONNECTING
        self.reason = ""
        """Why there is no connection: one line for the person at the screen."""
        self.unreadable = 0
        """Messages thrown away because they were none of the contract's."""
        self._writer: asyncio.StreamWriter | None = None

    async def messages(self) -> AsyncIterator[AnyMessage]:
        """Yield every message as it comes, for ever, over all connections.

        After a reconnection the agent tells its retained messages and its last seconds of wave
        anew: the same messages (``boot``, ``seq``) may come again.
        """
        pause = FIRST_RETRY_S
        while True:
            try:
                reader, self._writer = await asyncio.open_unix_connection(self.path)
            except OSError as error:
                self._lost(why_unreachable(self.path, error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_RETRY_S)
                continue
            self.link, self.reason = FeedLink.CONNECTED, ""
            try:
                async for message in self._received(reader):
                    pause = FIRST_RETRY_S
                    yield message
            finally:
                await self._hang_up()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY_S)

    async def send(self, command: Command) -> None:
        """Send a command; what became of it comes among the messages as a ``Reply``.

        Raises:
            FeedError: there is no connection to the agent now.
        """
        if self._writer is None:
            raise FeedError(self.reason or f"{self.path}: not connected to the agent yet")
        try:
            self._writer.write(message_frame(command))
            await self._writer.drain()
        except OSError as error:
            raise FeedError(f"{self.path}: the agent closed the connection ({error})") from None

    async def _received(self, reader: asyncio.StreamReader) -> AsyncIterator[AnyMessage]:
        frames = FrameReader()
        try:
            while data := await reader.read(READ_BYTES):
                for topic, payload in frames.feed(data):
                    try:
                        yield read_message(topic, payload)
                    except ContractError:
                        self.unreadable += 1
        except FrameError as error:
            self._lost(f"{self.path}: {error}; is this the agent's feed?")
        except OSError as error:
            self._lost(f"{self.path}: {error}")
        else:
            self._lost(f"{self.path}: the agent closed the connection")

    def _lost(self, reason: str) -> None:
        self.link, self.reason = FeedLink.LOST, reason

    async def _hang_up(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def why_unreachable(path: Path, error: OSError) -> str:
    """Say in one line why the agent's socket cannot be opened and what to do."""
    match error:
        case FileNotFoundError():
            return f"{path}: no agent there; start it with: wardbeat run"
        case ConnectionRefusedError():
            return f"{path}: the agent has stopped; start it with: wardbeat run"
        case PermissionError():
            return f"{path}: not allowed to read the feed; join the agent's group"
        case _:
            return f"{path}: {error.strerror or error}"
