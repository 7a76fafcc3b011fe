"""Philips IntelliVue: the messages of an association, remote operations one within another.

Requests as bytes, the monitor's answers as values. A poll's answer may come in several linked
parts; each is complete in itself, so nothing has to be kept. Sans-I/O, checked on a real capture.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final, TypeAlias

from drivers.decoders.intellivue_wire import IntelliVueError, Reader, absolute_time

DATA: Final = bytes.fromhex("e1000002")
MDS: Final = bytes.fromhex("002100000000")
"""The monitor itself as a managed object: class, context, handle."""

_SINGLE, _EXTENDED, _CREATED = 0x0C16, 0xF13B, 0x0D06
_PERIOD, _WAVE_LIST = 0xF13E, 0xF23A
_ABSOLUTE, _RELATIVE, _MODEL, _BED = 0x0987, 0x098F, 0x0928, 0x091E


class Operation(IntEnum):
    """Type of a remote operation."""

    INVOKE = 1
    RESULT = 2
    ERROR = 3
    LINKED = 5


class Command(IntEnum):
    """What a remote operation does."""

    EVENT = 0
    CONFIRMED_EVENT = 1
    GET = 3
    SET = 4
    CONFIRMED_SET = 5
    ACTION = 7


class Polled(IntEnum):
    """Classes of objects that can be polled."""

    ENUMERATIONS = 0x0005
    NUMERICS = 0x0006
    WAVES = 0x0009
    SYSTEM = 0x0021
    PATIENT = 0x002A
    ALARMS = 0x0036


ALL_GROUPS: Final = 0x0000
ALARM_GROUP: Final = 0x0801


@dataclass(frozen=True, slots=True)
class CreateEvent:
    """The monitor introduces itself; it wants :func:`create_result` as answer."""

    invoke: int
    relative_ticks: int
    """Relative time in 125 µs at the moment ``local_time`` names; wraps after 6.2 days."""
    local_time: datetime | None
    maker: str
    model: str
    bed: str


@dataclass(frozen=True, slots=True)
class PolledObject:
    """One object's attributes in a poll's answer."""

    context: int
    handle: int
    attributes: tuple[tuple[int, bytes], ...]
    """(id, value) in the monitor's order; empty for an object without a value just now."""


@dataclass(frozen=True, slots=True)
class PollAnswer:
    """An answer to a poll, or one linked part of it."""

    invoke: int
    poll: int
    sequence: int
    """Of an extended poll: counts its answers; the first carries scales and labels."""
    relative_ticks: int
    polled: int
    """The class asked for, see :class:`Polled`."""
    group: int
    objects: tuple[PolledObject, ...]
    last: bool
    """False for a linked part that another follows."""


@dataclass(frozen=True, slots=True)
class WaveList:
    """The waves a monitor offers (answer to GET) or accepted (to SET), best first."""

    invoke: int
    text_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer: the poll is not supported, or its option was not granted."""

    invoke: int
    error: int


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks; for the emulator and for reading captures."""

    invoke: int
    command: int
    polled: int = 0
    poll: int = 0
    group: int = 0
    extended: bool = False
    period_ticks: int = 0
    text_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Other:
    """A valid operation that tells nothing we read."""

    invoke: int


Message: TypeAlias = CreateEvent | PollAnswer | WaveList | Refusal | Request | Other


def decode(message: bytes) -> Message:
    """One data message (first byte E1) of either side.

    Raises :class:`IntelliVueError` on anything else, and on one that is cut short.
    """
    if not message.startswith(DATA):
        raise IntelliVueError("no data message")
    reader = Reader(message[len(DATA) :])
    operation = reader.u16()
    body = Reader(reader.take(reader.u16()))
    last = True
    if operation == Operation.LINKED:
        last = body.u8() == 3
        body.u8()
    invoke = body.u16()
    if operation == Operation.ERROR:
        return Refusal(invoke, body.u16())
    command = body.u16()
    content = Reader(body.take(body.u16()))
    if operation == Operation.INVOKE:
        return _invoked(invoke, command, content)
    if operation not in (Operation.RESULT, Operation.LINKED):
        raise IntelliVueError(f"remote operation {operation} is unknown")
    return _answered(invoke, command, content, last)


def _invoked(invoke: int, command: int, content: Reader) -> Message:
    content.take(6)
    if command in (Command.EVENT, Command.CONFIRMED_EVENT):
        ticks, event, size = content.u32(), content.u16(), content.u16()
        value = Reader(content.take(size))
        return _created(invoke, ticks, value) if event == _CREATED else Other(invoke)
    if command == Command.GET:
        return Request(invoke, command)
    content.u32()
    if command == Command.ACTION:
        return _poll_request(invoke, content)
    if command == Command.CONFIRMED_SET:
        return _set_request(invoke, content)
    return Other(invoke)


def _created(invoke: int, ticks: int, value: Reader) -> CreateEvent:
    value.take(6)
    found = dict(value.attributes())
    maker = model = ""
    if _MODEL in found:
        names = Reader(found[_MODEL])
        maker, model = (_ascii(names.take(names.u16())) for _ in range(2))
    return CreateEvent(
        invoke,
        Reader(found[_RELATIVE]).u32() if _RELATIVE in found else ticks,
        absolute_time(found.get(_ABSOLUTE, b"")),
        maker,
        model,
        Reader(found[_BED]).text() if _BED in found else "",
    )


def _ascii(value: bytes) -> str:
    return value.decode("ascii", "replace").strip("\0 ")


def _poll_request(invoke: int, content: Reader) -> Message:
    action, size = content.u16(), content.u16()
    if action not in (_SINGLE, _EXTENDED):
        return Other(invoke)
    poll = Reader(content.take(size))
    number, _partition, polled, group = (poll.u16() for _ in range(4))
    period = 0
    if action == _EXTENDED:
        for name, value in poll.attributes():
            if name == _PERIOD:
                period = Reader(value).u32()
    return Request(invoke, Command.ACTION, polled, number, group, action == _EXTENDED, period)


def _set_request(invoke: int, content: Reader) -> Message:
    count, entries = content.listed()
    for _ in range(count):
        entries.u16()
        name, size = entries.u16(), entries.u16()
        value = entries.take(size)
        if name == _WAVE_LIST:
            return Request(invoke, Command.CONFIRMED_SET, text_ids=_text_ids(value))
    return Other(invoke)


def _text_ids(value: bytes) -> tuple[int, ...]:
    count, entries = Reader(value).listed()
    return tuple(entries.u32() for _ in range(count))


def _answered(invoke: int, command: int, content: Reader, last: bool) -> Message:
    content.take(6)
    if command in (Command.GET, Command.CONFIRMED_SET):
        found = dict(content.attributes())
        return (
            WaveList(invoke, _text_ids(found[_WAVE_LIST]))
            if _WAVE_LIST in found
            else (Other(invoke))
        )
    if command != Command.ACTION:
        return Other(invoke)
    action, size = content.u16(), content.u16()
    if action not in (_SINGLE, _EXTENDED):
        return Other(invoke)
    poll = Reader(content.take(size))
    number = poll.u16()
    sequence = poll.u16() if action == _EXTENDED else 0
    ticks = poll.u32()
    poll.take(8)
    _partition, polled, group = (poll.u16() for _ in range(3))
    return PollAnswer(invoke, number, sequence, ticks, polled, group, _objects(poll), last)


def _objects(poll: Reader) -> tuple[PolledObject, ...]:
    objects = []
    contexts, body = poll.listed()
    for _ in range(contexts):
        context = body.u16()
        count, entries = body.listed()
        for _ in range(count):
            handle = entries.u16()
            objects.append(PolledObject(context, handle, tuple(entries.attributes())))
    return tuple(objects)


def operation(
    kind: Operation,
    invoke: int,
    command: Command,
    content: bytes,
    part: tuple[int, int] | None = None,
) -> bytes:
    """A data message around ``content``; ``part`` is (state, number) of a linked result's part."""
    body = bytes(part or ()) + _u16(invoke, command, len(content)) + content
    return DATA + _u16(kind, len(body)) + body


def create_result(invoke: int) -> bytes:
    """The answer that the monitor's create event wants."""
    content = MDS + bytes(4) + _u16(_CREATED, 0)
    return operation(Operation.RESULT, invoke, Command.CONFIRMED_EVENT, content)


def single_poll(invoke: int, number: int, polled: Polled, group: int = ALL_GROUPS) -> bytes:
    """Ask once for the attributes of all objects of a class."""
    content = MDS + bytes(4) + _u16(_SINGLE, 8, number, 1, polled, group)
    return operation(Operation.INVOKE, invoke, Command.ACTION, content)


def extended_poll(
    invoke: int, number: int, polled: Polled, period_s: float, group: int = ALL_GROUPS
) -> bytes:
    """Ask for a class again and again for ``period_s``; the monitor sends as often as it can."""
    period = round(period_s * 8000).to_bytes(4, "big")
    content = MDS + bytes(4) + _u16(_EXTENDED, 20, number, 1, polled, group, 1, 8, _PERIOD, 4)
    return operation(Operation.INVOKE, invoke, Command.ACTION, content + period)


def get_wave_list(invoke: int) -> bytes:
    """Ask which waves the monitor can send."""
    content = MDS + bytes(4) + _u16(1, 2, _WAVE_LIST)
    return operation(Operation.INVOKE, invoke, Command.GET, content)


def set_wave_list(invoke: int, text_ids: tuple[int, ...]) -> bytes:
    """Ask for these waves, the most wanted first; the answer tells which are sent."""
    listed = wave_list(text_ids)
    entry = _u16(0, _WAVE_LIST, len(listed)) + listed
    content = MDS + bytes(4) + _u16(1, len(entry)) + entry
    return operation(Operation.INVOKE, invoke, Command.CONFIRMED_SET, content)


def wave_list(text_ids: tuple[int, ...]) -> bytes:
    """The value of the wave priority list attribute."""
    return _u16(len(text_ids), 4 * len(text_ids)) + b"".join(
        text_id.to_bytes(4, "big") for text_id in text_ids
    )


def _u16(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)
