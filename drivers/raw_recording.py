"""A device's raw bytes with their times in a file: recorded as they came, to be decoded again.

Format, all integers little endian::

    "WBRAW1\\n"  u32 length  header (JSON: kind, address, options, started_utc_ns, started_ns …)
    then entries:  u32 length of data  u8 type  u8 channel  u64 monotonic ns  data  u32 CRC-32

The CRC is over everything of the entry before it. Entries are only ever appended; after a crash
the torn last one is recognised by its length or CRC and left out. Files are created 0640.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

MAGIC: Final = b"WBRAW1\n"
_HEAD: Final = struct.Struct("<IBBQ")
_CRC: Final = struct.Struct("<I")
_KNOWN: Final = frozenset(range(1, 8))
LONGEST: Final = 1 << 20
"""No read of a port is so long: a longer entry is damage."""
FLUSH_NS: Final = 1_000_000_000


class EntryType(IntEnum):
    """What an entry tells."""

    OPENED = 1
    """A session began: the port is open, the peripheral connected."""
    RECEIVED = 2
    """Bytes of one read, one datagram, or one notification (its channel)."""
    SENT = 3
    """What the driver wrote."""
    CLOSED = 4
    """The session ended; data is the reason, UTF-8."""
    READ = 5
    """The answer to a read of a Bluetooth characteristic (its channel)."""
    OFFERED = 6
    """Whether the peripheral has a characteristic (its channel): 1 or 0."""
    CHANNEL = 7
    """Names a channel; data is the name, UTF-8. Channel 0 needs none."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; ``channel`` is a name: ``""`` or a characteristic."""

    type: EntryType
    at_ns: int
    data: bytes = b""
    channel: str = ""


class RawRecordingError(Exception):
    """A file that is no raw recording, or can't be written: one line."""


class RawWriter:
    """Appends entries; flushed at least every second, so a crash costs no more."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        """Create ``path``; raises :class:`RawRecordingError` where it exists or can't be made."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        except FileExistsError:
            raise RawRecordingError(f"{path}: exists already; choose another name") from None
        except OSError as fault:
            raise RawRecordingError(f"{path}: can't be created ({fault.strerror})") from fault
        self._file: BinaryIO = os.fdopen(descriptor, "wb")
        self._channels: dict[str, int] = {"": 0}
        self._flushed_ns = 0
        self._path = path
        self.fault: RawRecordingError | None = None
        """Why nothing is written any more."""
        self.entries = 0
        self.bytes = 0
        text = json.dumps(header, ensure_ascii=False).encode()
        self._file.write(MAGIC + len(text).to_bytes(4, "little") + text)
        self._file.flush()

    def __enter__(self) -> RawWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        except OSError as fault:
            self.fault = RawRecordingError(f"{self._path}: can't be written ({fault.strerror})")

    def note(self, kind: EntryType, at_ns: int, data: bytes = b"", channel: str = "") -> None:
        """Append an entry; a disk that takes none is told by :attr:`fault`, not to the driver."""
        if self.fault is not None:
            return
        try:
            if channel not in self._channels:
                self._channels[channel] = len(self._channels)
                self._append(EntryType.CHANNEL, self._channels[channel], at_ns, channel.encode())
            self._append(kind, self._channels[channel], at_ns, data)
        except OSError as fault:
            self.fault = RawRecordingError(f"{self._path}: can't be written ({fault.strerror})")
            return
        self.entries += 1
        self.bytes += len(data)

    def _append(self, kind: EntryType, channel: int, at_ns: int, data: bytes) -> None:
        body = _HEAD.pack(len(data), kind, channel, at_ns) + data
        self._file.write(body + _CRC.pack(zlib.crc32(body)))
        if at_ns - self._flushed_ns >= FLUSH_NS:
            self._file.flush()
            self._flushed_ns = at_ns


class RawReader:
    """Reads a recording back; :attr:`torn` tells whether its end was cut off."""

    def __init__(self, path: Path) -> None:
        """Open ``path``; raises :class:`RawRecordingError` where it is no recording."""
        self._path = path
        self.torn = False
        try:
            data = path.read_bytes()
        except OSError as fault:
            raise RawRecordingError(f"{path}: can't be read ({fault.strerror})") from fault
        size_at = len(MAGIC)
        self._at = size_at + 4 + int.from_bytes(data[size_at : size_at + 4], "little")
        try:
            header = json.loads(data[size_at + 4 : self._at])
        except ValueError:
            header = None
        if not data.startswith(MAGIC) or not isinstance(header, dict):
            raise RawRecordingError(f"{path}: is no recording of raw bytes")
        self.header: dict[str, Any] = header
        self._data = data

    def entries(self) -> Iterator[Entry]:
        """All entries, in order, up to where the file was torn."""
        data, at, channels = self._data, self._at, {0: ""}
        while at < len(data):
            body_end = at + _HEAD.size
            if body_end > len(data):
                break
            length, number, channel, at_ns = _HEAD.unpack_from(data, at)
            body_end += length
            if length > LONGEST or body_end + _CRC.size > len(data):
                break
            if _CRC.unpack_from(data, body_end)[0] != zlib.crc32(data[at:body_end]):
                break
            content = data[body_end - length : body_end]
            at = body_end + _CRC.size
            if number == EntryType.CHANNEL:
                channels[channel] = content.decode("utf-8", "replace")
            elif number in _KNOWN:
                yield Entry(EntryType(number), at_ns, content, channels.get(channel, ""))
        self.torn = at < len(data)
