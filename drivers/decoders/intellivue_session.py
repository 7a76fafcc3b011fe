"""Philips IntelliVue: making and ending an association, and finding a monitor. Sans-I/O.

The presentation headers are fixed bytes, as the programming guide gives them; what is negotiated
stands in the user data. Checked on a real capture.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from drivers.decoders.intellivue_wire import IntelliVueError, Reader

PORT: Final = 24105
"""UDP port of the monitor's data."""
BROADCAST_PORT: Final = 24005
"""Here the monitor tells every minute or so that it is there."""

NUMERICS_1S: Final = 0x80000000
WAVES: Final = 0x08000000
ENUMERATIONS: Final = 0x04000000
PRIORITY_LIST: Final = 0x02000000

POLL_PERIOD_TICKS: Final = 320_000
"""40 s, as in the capture; the monitor keeps an association at least so long without a poll."""
LONGEST_MESSAGE: Final = 0x3000
"""What we can take; the monitor has its own limit, 1456 bytes."""

_SESSION_DATA: Final = bytes.fromhex("0508130100160102800014020002")
_PRESENTATION: Final = bytes.fromhex(
    "3180a0808001010000a280a003000001a4803080020101060452010001308006025101000000003080020102"
    "060c2a8648ce14020100000001013080060c2a8648ce140201000000020100000000000061803080020101a0"
    "806080a180060c2a8648ce14020100000003010000be802880060c2a8648ce140201000000010102010281"
)
_USER_DATA_AT: Final = bytes.fromhex("02010281")
_TRAILER: Final = bytes(16)

RELEASE_REQUEST: Final = bytes.fromhex("0918c11661803080020101a08062808001000000000000000000")
RELEASE_RESPONSE: Final = bytes.fromhex("0a18c11661803080020101a08063808001000000000000000000")
ABORT: Final = bytes.fromhex(
    "192e110103c129a080a0803080020101060251010000000061803080020101a0806480800101" + "00" * 10
)

_PROFILE, _EXTENSION = 0x0001, 0xF001
_PROTOCOLS, _ADDRESS = 0xF101, 0xF100
_DATA_EXPORT, _UDP = 5, 1


class Kind(IntEnum):
    """First byte of a message."""

    ANNOUNCEMENT = 0x00
    REQUEST = 0x0D
    ACCEPT = 0x0E
    REFUSE = 0x0C
    RELEASE = 0x09
    RELEASED = 0x0A
    ABORT = 0x19
    DATA = 0xE1


@dataclass(frozen=True, slots=True)
class Granted:
    """What the monitor promised when it accepted."""

    poll_period_s: float
    longest_message: int
    options: int
    """Bits as ``WAVES``, ``ENUMERATIONS``; a poll without its bit is answered by an error."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A monitor's broadcast: where its data are to be had."""

    port: int
    bed: str
    """The label a user gave the bed, ``""`` where none."""


def kind(message: bytes) -> Kind | None:
    """What a message is by its first byte."""
    try:
        return Kind(message[0]) if message else None
    except ValueError:
        return None


def association_request(options: int) -> bytes:
    """Ask for an association with ``options`` (``NUMERICS_1S | WAVES …``)."""
    extension = _counted(_EXTENSION, options.to_bytes(4, "big") + bytes(4))
    profile = b"".join(
        number.to_bytes(4, "big")
        for number in (0x80000000, POLL_PERIOD_TICKS, LONGEST_MESSAGE, LONGEST_MESSAGE, 0)
    )
    profile += bytes.fromhex("60000000") + _list(extension)
    return request_with(_list(_counted(_PROFILE, profile)))


def request_with(support: bytes) -> bytes:
    """An association request with a poll profile support list."""
    user = bytes.fromhex("800000004000000000000000800000002000000000000000") + support
    rest = _PRESENTATION + _length(len(user)) + user + _TRAILER
    body = _SESSION_DATA + b"\xc1" + _length(len(rest)) + rest
    return b"\x0d" + _length(len(body)) + body


def _length(length: int) -> bytes:
    return bytes([length]) if length < 0xFF else b"\xff" + length.to_bytes(2, "big")


def _counted(name: int, value: bytes) -> bytes:
    return name.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


def _list(*entries: bytes) -> bytes:
    return (
        len(entries).to_bytes(2, "big")
        + sum(map(len, entries)).to_bytes(2, "big")
        + b"".join(entries)
    )


def decode_accept(message: bytes) -> Granted:
    """What an association response grants; raises :class:`IntelliVueError` where it isn't there."""
    if kind(message) is not Kind.ACCEPT:
        raise IntelliVueError("no association response")
    at = message.find(_USER_DATA_AT)
    if at < 0:
        raise IntelliVueError("an association response without user data")
    reader = Reader(message[at + len(_USER_DATA_AT) :])
    size = reader.u8()
    if size == 0x82:
        size = reader.u16()
    user = Reader(reader.take(size))
    user.take(24)
    for name, value in user.attributes():
        if name == _PROFILE:
            return _profile(Reader(value))
    raise IntelliVueError("an association response without a poll profile")


def _profile(profile: Reader) -> Granted:
    profile.u32()
    period, receive, _transmit, _bandwidth, _options = (profile.u32() for _ in range(5))
    granted = 0
    for name, value in profile.attributes():
        if name == _EXTENSION:
            granted = Reader(value).u32()
    return Granted(period / 8000, receive, granted)


def decode_announcement(message: bytes) -> Announcement:
    """A broadcast (Connect Indication); raises :class:`IntelliVueError` on anything else."""
    if not message.startswith(bytes.fromhex("00000100")):
        raise IntelliVueError("no Connect Indication")
    # Nomenclature, then a remote operation (type, length), invoke id, command, length, managed
    # object, event time and type: 4 + 4 + 6 + 6 + 8 bytes; the attributes follow.
    reader = Reader(message)
    reader.take(4 + 4 + 6 + 6 + 4 + 2 + 2)
    port, bed = PORT, ""
    for name, value in reader.attributes():
        if name == _PROTOCOLS:
            port = _data_port(Reader(value)) or port
        elif name == 0xF135:
            bed = value.decode("utf-16-be", "replace").strip("\0 ")
    return Announcement(port, bed)


def _data_port(protocols: Reader) -> int | None:
    count, entries = protocols.listed()
    for _ in range(count):
        application, transport, port, _options = (entries.u16() for _ in range(4))
        if (application, transport) == (_DATA_EXPORT, _UDP):
            return port
    return None
