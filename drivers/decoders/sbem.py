"""SBEM, the log of a Movesense sensor: chunks that describe themselves. Sans-I/O.

Source: sokolmarek/movesense-commander ``docs/sbem-format.md``; checked on two real logs. After
``SBEM0112`` come chunks of id, length and payload. Id 0 describes another id: a path, a format
and a scale, or a group of ids; each other chunk is one record, read in its group's order.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

MAGIC: Final = b"SBEM0112"
WIDE: Final = 0xFF
"""An id or a length that says: the real one follows, in more bytes."""
DESCRIPTOR: Final = 0

BRACKETS: Final = 64
"""Leaves without bytes that a record may hold besides its values."""

_FORMATS: Final = {
    "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
    "int64": "q", "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip
_TAG = re.compile(r"<(PTH|FRM|MOD|GRP)>([^\n]*)")

Value: TypeAlias = float | int
Tree: TypeAlias = dict[str, Any]


class SbemError(ValueError):
    """Bytes that are no SBEM log we can read; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a descriptor says of one id."""

    path: str = ""
    format: str = ""
    scale: str = ""
    """The formula from count to unit, as written; counts are given out, not units."""
    group: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """One measurement: its resource and the values by name, arrays as lists."""

    name: str
    """``MeasECGmV``, ``TimeDetailed``."""
    values: Tree
    utc_us: int | None = None
    """Of a record that anchors the sensor's clock."""


@dataclass
class SbemDecoder:
    """A log in pieces to records; keeps one unfinished chunk of at most ``longest`` bytes."""

    longest: int = 1 << 16
    entries: dict[int, Entry] = field(default_factory=dict)
    _pending: bytes = b""
    _begun: bool = False

    @property
    def pending(self) -> int:
        """Bytes kept for the next piece; not 0 at the end: the log was cut."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[Record]:
        """Records that ``data`` completes.

        Raises:
            SbemError: no SBEM, a chunk longer than any is, a group of unknown ids.
        """
        buffer, at = self._pending + data, 0
        if not self._begun:
            if len(buffer) < len(MAGIC):
                self._pending = buffer
                return []
            if not buffer.startswith(MAGIC):
                raise SbemError(f"no SBEM log: it begins with {buffer[:8]!r}")
            self._begun, at = True, len(MAGIC)
        records = []
        while (chunk := self._chunk(buffer, at)) is not None:
            number, payload, at = chunk
            if number == DESCRIPTOR:
                self._describe(payload)
            else:
                records.append(self._record(number, payload))
        self._pending = buffer[at:]
        return records

    def _chunk(self, buffer: bytes, at: int) -> tuple[int, bytes, int] | None:
        number, at = _prefixed(buffer, at, 2)
        length, at = _prefixed(buffer, at, 4)
        if length > self.longest:
            raise SbemError(f"a chunk of {length} bytes; {self.longest} are the most")
        if length < 0 or at + length > len(buffer):
            return None
        return number, buffer[at : at + length], at + length

    def _describe(self, payload: bytes) -> None:
        if len(payload) < 2:
            raise SbemError(f"descriptor of {len(payload)} bytes")
        tags = dict(_TAG.findall(payload[2:].rstrip(b"\0").decode("utf-8", "replace")))
        try:
            group = tuple(int(part) for part in tags.get("GRP", "").split(",") if part)
        except ValueError:
            raise SbemError(f"group {tags['GRP']!r} is no list of ids") from None
        self.entries[int.from_bytes(payload[:2], "little")] = Entry(
            tags.get("PTH", ""), tags.get("FRM", ""), tags.get("MOD", ""), group
        )

    def _record(self, number: int, payload: bytes) -> Record:
        reader = _Reader(payload)
        for taken, entry in enumerate(self._leaves(number, 0)):
            if taken > 2 * len(payload) + BRACKETS:
                raise SbemError(f"record {number}: its group is longer than its bytes")
            reader.take(entry)
        if reader.at != len(payload):
            raise SbemError(f"record {number}: {len(payload)} bytes, its group has {reader.at}")
        return reader.record()

    def _leaves(self, number: int, depth: int) -> Iterator[Entry]:
        entry = self.entries.get(number)
        if entry is None or depth > 4:
            raise SbemError(f"id {number} is not described")
        if not entry.group:
            yield entry
        for part in entry.group:
            yield from self._leaves(part, depth + 1)


class _Reader:
    """One record, leaf by leaf; ``[`` and ``]`` bracket what repeats."""

    def __init__(self, payload: bytes) -> None:
        self.at = 0
        self._payload = payload
        self._repeated = False
        self._name = ""
        self._values: Tree = {}
        self._utc_us: int | None = None

    def take(self, entry: Entry) -> None:
        if entry.path in ("[", "]"):
            self._repeated = entry.path == "["
            return
        layout = _FORMATS.get(entry.format)
        if layout is None:
            raise SbemError(f"{entry.path}: format {entry.format!r} is unknown")
        try:
            (value,) = struct.unpack_from("<" + layout, self._payload, self.at)
        except struct.error:
            raise SbemError(f"{entry.path}: the record is too short") from None
        self.at += struct.calcsize("<" + layout)
        parts = [part for part in re.split(r"[.+]", entry.path) if part not in ("", "Samples")]
        parts = parts[1:] if parts[:1] == ["Array"] else parts
        if entry.path.rpartition(".")[2] == "Samples":
            parts.append("Samples")
        self._name = self._name or (parts[0] if parts else entry.path)
        self._put(parts[1:], value)

    def _put(self, parts: list[str], value: Value) -> None:
        if parts == ["utcTime"]:
            self._utc_us = int(value)
        elif not self._repeated:
            self._values[".".join(parts)] = value
        else:
            listed = self._values.setdefault(".".join(parts), [])
            if not isinstance(listed, list):
                raise SbemError(f"{'.'.join(parts)} is one value and many")
            listed.append(value)

    def record(self) -> Record:
        return Record(self._name, self._values, self._utc_us)


def _prefixed(buffer: bytes, at: int, wide: int) -> tuple[int, int]:
    """A number of one byte or of ``wide`` after ``FF``; -1 where the buffer ends first."""
    if at >= len(buffer):
        return -1, at
    if buffer[at] != WIDE:
        return buffer[at], at + 1
    if at + 1 + wide > len(buffer):
        return -1, len(buffer)
    return int.from_bytes(buffer[at + 1 : at + 1 + wide], "little"), at + 1 + wide
