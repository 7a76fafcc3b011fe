"""WFDB annotation files in the MIT format, read and written.

Source: WFDB Applications Guide, annot(5). A word of 16 bits holds a code (6 bits) and the
interval to the annotation before (10 bits); longer intervals and the other fields follow as
pseudo-annotations.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from drivers.files.record import RecordError

_CODES = {
    "N": 1, "L": 2, "R": 3, "a": 4, "V": 5, "F": 6, "J": 7, "A": 8, "S": 9, "E": 10,
    "j": 11, "/": 12, "Q": 13, "~": 14, "|": 16, "s": 18, "T": 19, "*": 20, "D": 21, '"': 22,
    "=": 23, "p": 24, "B": 25, "^": 26, "t": 27, "+": 28, "u": 29, "?": 30, "!": 31, "[": 32,
    "]": 33, "e": 34, "n": 35, "@": 36, "x": 37, "f": 38, "(": 39, ")": 40, "r": 41,
}  # fmt: skip
_SYMBOLS = {code: symbol for symbol, code in _CODES.items()}
_LAST_CODE = 49
_SKIP, _NUM, _SUB, _CHN, _AUX = 59, 60, 61, 62, 63
_LONGEST = 1023
_NOTE = _CODES['"']
_RESOLUTION = "## time resolution: "


@dataclass(frozen=True, slots=True)
class Annotation:
    """A mark at a sample of a record."""

    sample: int
    symbol: str
    """``N``, ``V``, ``+`` (rhythm), ``~`` (quality), … as the WFDB tools print it."""
    subtype: int = 0
    """-128 … 127."""
    chan: int = 0
    """0 … 255."""
    num: int = 0
    """-128 … 127."""
    aux: str = ""
    """A note such as ``(AFIB``; at most 255 bytes, without the zero byte some files end it by."""


def read_annotations(path: str | Path) -> list[Annotation]:
    """All annotations of a file, in its order (which is that of time).

    Codes without a name (user-defined, 42-49) come as their number in brackets, ``[42]``. Raises
    RecordError where there is no such file or it breaks off.
    """
    place = Path(path)
    try:
        data = place.read_bytes()
    except OSError as error:
        raise RecordError(
            error.strerror or "cannot be read", str(place), "check the path and its permissions"
        ) from error
    try:
        return decode_annotations(data)
    except ValueError as error:
        raise RecordError(str(error), str(place), "copy it again from its source") from error


def decode_annotations(data: bytes) -> list[Annotation]:
    """Annotations out of a file's bytes. Raises ValueError where it is not one or breaks off."""
    found: list[Annotation] = []
    at = 0
    time = 0
    chan = num = 0
    while True:
        if at + 2 > len(data):
            raise ValueError("is no annotation file, or was cut short")
        (word,) = struct.unpack_from("<H", data, at)
        at += 2
        if word == 0:
            return [mark for mark in found if not _is_definition(mark)]
        code, value = word >> 10, word & 0x3FF
        if code == _SKIP:
            if at + 4 > len(data):
                raise ValueError("was cut short")
            high, low = struct.unpack_from("<HH", data, at)
            time += struct.unpack("<i", struct.pack("<I", high << 16 | low))[0]
            at += 4
        elif code <= _LAST_CODE:
            time += value
            at, found_one, chan, num = _fields(
                data, at, Annotation(time, _symbol(code), 0, chan, num)
            )
            if code:
                found.append(found_one)
        else:
            raise ValueError(f"has an unknown code {code} at byte {at - 2}")


def _fields(data: bytes, at: int, annotation: Annotation) -> tuple[int, Annotation, int, int]:
    """The pseudo-annotations behind an annotation; chan and num hold until they are changed."""
    subtype, chan, num, aux = 0, annotation.chan, annotation.num, ""
    while at + 2 <= len(data):
        (word,) = struct.unpack_from("<H", data, at)
        code, value = word >> 10, word & 0x3FF
        if code == _SUB:
            subtype = _signed_byte(value)
        elif code == _CHN:
            chan = value & 0xFF
        elif code == _NUM:
            num = _signed_byte(value)
        elif code == _AUX:
            length = value & 0xFF
            text = data[at + 2 : at + 2 + length]
            if len(text) < length:
                raise ValueError("was cut short")
            aux = text.rstrip(b"\x00").decode("utf-8", errors="replace")
            at += length + length % 2
        else:
            break
        at += 2
    return at, Annotation(annotation.sample, annotation.symbol, subtype, chan, num, aux), chan, num


def _signed_byte(value: int) -> int:
    return ((value & 0xFF) ^ 0x80) - 0x80


def _symbol(code: int) -> str:
    return _SYMBOLS.get(code, f"[{code}]")


def _is_definition(mark: Annotation) -> bool:
    """Whether this is the file's own preamble (time resolution, custom codes), not a mark."""
    return mark.sample == 0 and mark.symbol == '"' and mark.aux.startswith("##")


def write_annotations(path: str | Path, annotations: Iterable[Annotation], rate_hz: float) -> None:
    """Write an annotation file, in the order of time; an existing one is replaced as a whole.

    ``rate_hz`` is that of the record whose samples the annotations count. Raises ValueError for
    an annotation that the format cannot hold, OSError where the file cannot be written.
    """
    place = Path(path)
    data = encode_annotations(annotations, rate_hz)
    unfinished = place.with_name(place.name + ".part")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as file:
        file.write(data)
    unfinished.replace(place)


def encode_annotations(annotations: Iterable[Annotation], rate_hz: float) -> bytes:
    """The bytes of an annotation file. Raises ValueError as ``write_annotations`` does."""
    preamble = Annotation(0, '"', aux=f"{_RESOLUTION}{rate_hz:.12g}")
    out = bytearray()
    before = Annotation(0, "N")
    for mark in (preamble, *sorted(annotations, key=lambda a: a.sample)):
        out += _encoded(mark, before)
        before = mark
    return bytes(out + b"\0\0")


def _encoded(mark: Annotation, before: Annotation) -> bytes:
    code = _CODES.get(mark.symbol)
    if code is None:
        raise ValueError(f"{mark.symbol!r} is no symbol of a WFDB annotation")
    if mark.sample < 0:
        raise ValueError(f"an annotation cannot stand before the record: sample {mark.sample}")
    words = bytearray()
    interval = mark.sample - before.sample
    if interval > _LONGEST:
        words += struct.pack("<HHH", _SKIP << 10, interval >> 16, interval & 0xFFFF)
        interval = 0
    words += _word(code, interval)
    if mark.subtype:
        words += _word(_SUB, _byte(mark.subtype, -128, "subtype"))
    if mark.chan != before.chan:
        words += _word(_CHN, _byte(mark.chan, 0, "chan"))
    if mark.num != before.num:
        words += _word(_NUM, _byte(mark.num, -128, "num"))
    if mark.aux:
        text = mark.aux.encode()
        words += _word(_AUX, _byte(len(text), 0, "aux length")) + text + bytes(len(text) % 2)
    return bytes(words)


def _word(code: int, value: int) -> bytes:
    return struct.pack("<H", code << 10 | value)


def _byte(value: int, lowest: int, what: str) -> int:
    if not lowest <= value <= lowest + 255:
        raise ValueError(f"an annotation's {what} cannot be {value}")
    return value & 0xFF
