"""EDF and EDF+ headers and time-keeping annotations: bytes to typed values, pure.

Sources: Kemp 1992 (EDF), Kemp and Olivan 2003 (EDF+), https://www.edfplus.info/specs/.
"""

from __future__ import annotations

import contextlib
import math
import re
from dataclasses import dataclass
from datetime import date, datetime, time

FIXED_BYTES = 256
_SIGNAL_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_ONSET = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15[\d.]*)?\x14")


class EdfFormatError(Exception):
    """What is wrong with a header, in a few words."""


@dataclass(frozen=True, slots=True)
class EdfSignalHeader:
    """One signal; physical = (digital - offset) * scale, in ``unit``."""

    label: str
    unit: str
    physical: tuple[float, float]
    digital: tuple[int, int]
    samples_per_record: int

    @property
    def is_annotation(self) -> bool:
        """Whether it holds EDF+ annotations instead of samples."""
        return self.label == "EDF Annotations"

    @property
    def scale(self) -> float:
        """Units per count; negative where the header tells an inverted signal."""
        low, high = self.physical
        return (high - low) / (self.digital[1] - self.digital[0])

    @property
    def offset(self) -> float:
        """The count that stands for 0."""
        return self.digital[0] - self.physical[0] / self.scale


@dataclass(frozen=True, slots=True)
class EdfHeader:
    """A file's header."""

    header_bytes: int
    kind: str
    """``EDF``, ``EDF+C`` or ``EDF+D``."""
    n_records: int | None
    """None while the recorder had not closed the file (-1 in the header)."""
    record_s: float
    start: datetime | None
    signals: tuple[EdfSignalHeader, ...]

    @property
    def record_samples(self) -> int:
        """Samples of all signals in one data record."""
        return sum(s.samples_per_record for s in self.signals)


def signal_count(fixed: bytes) -> int:
    """How many signal headers follow the first 256 bytes. Raises EdfFormatError."""
    if len(fixed) < FIXED_BYTES or fixed[:8].strip() != b"0":
        raise EdfFormatError("is no EDF file")
    count = _integer(fixed[252:256], "number of signals")
    if count < 0:
        raise EdfFormatError(f"tells an impossible number of signals: {count}")
    return count


def parse_header(data: bytes) -> EdfHeader:
    """Parse the 256 fixed bytes and the signal headers after them. Raises EdfFormatError."""
    count = signal_count(data)
    if len(data) < FIXED_BYTES * (count + 1):
        raise EdfFormatError("ends inside its header")
    reserved = _text(data[192:236])
    n_records = _integer(data[236:244], "number of data records")
    record_s = _number(data[244:252], "data record duration")
    columns: list[list[bytes]] = []
    at = FIXED_BYTES
    for width in _SIGNAL_FIELDS:
        columns.append([data[at + i * width : at + (i + 1) * width] for i in range(count)])
        at += width * count
    return EdfHeader(
        header_bytes=_integer(data[184:192], "header size"),
        kind=reserved[:5] if reserved[:5] in ("EDF+C", "EDF+D") else "EDF",
        n_records=None if n_records < 0 else n_records,
        record_s=record_s,
        start=_start(data),
        signals=tuple(_signal([column[i] for column in columns]) for i in range(count)),
    )


def record_onset(annotation: bytes) -> float | None:
    """Seconds from the file's start to a data record's start, out of its first annotation list.

    None where the record keeps no time (EDF+ 2.2.4 demands it).
    """
    match = _ONSET.match(annotation)
    return None if match is None else float(match[1])


def _signal(fields: list[bytes]) -> EdfSignalHeader:
    label = _text(fields[0])
    samples = _integer(fields[8], f"samples per record of {label}")
    if samples < 0:
        raise EdfFormatError(f"tells an impossible number of samples for {label}")
    if label == "EDF Annotations":
        return EdfSignalHeader(label, "", (-1.0, 1.0), (-32768, 32767), samples)
    physical = (_number(fields[3], f"range of {label}"), _number(fields[4], f"range of {label}"))
    digital = (_integer(fields[5], f"range of {label}"), _integer(fields[6], f"range of {label}"))
    if physical[0] == physical[1] or digital[0] == digital[1]:
        # Unused inputs are written so; one count is then taken as one unit.
        physical = (float(digital[0]), float(digital[0] + 1))
        digital = (digital[0], digital[0] + 1)
    return EdfSignalHeader(label, _text(fields[2]), physical, digital, samples)


def _text(field: bytes) -> str:
    # The standard says ASCII; real files bring the micro sign in Latin-1.
    return field.decode("latin-1").strip(" \x00")


def _integer(field: bytes, what: str) -> int:
    try:
        return int(_text(field))
    except ValueError:
        raise EdfFormatError(f"has an unreadable {what}: {_text(field)!r}") from None


def _number(field: bytes, what: str) -> float:
    try:
        # Some recorders write a comma as decimal sign.
        value = float(_text(field).replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise EdfFormatError(f"has an unreadable {what}: {_text(field)!r}")
    return value


def _start(data: bytes) -> datetime | None:
    """Start of the recording; the full date of the recording field outranks the short one."""
    try:
        day, month, year = (int(part) for part in _text(data[168:176]).split("."))
        hours, minutes, seconds = (int(part) for part in _text(data[176:184]).split("."))
        clock = time(hours, minutes, seconds)
        # Clipping date of EDF+: 85-99 are 1985-1999, 00-84 are 2000-2084.
        begun = date(year + (1900 if year >= 85 else 2000), month, day)
    except ValueError:
        return None
    words = _text(data[88:168]).split()
    if len(words) > 1 and words[0] == "Startdate" and words[1].count("-") == 2:
        full_day, name, full_year = words[1].split("-")
        with contextlib.suppress(ValueError):
            begun = date(int(full_year), _MONTHS.index(name.upper()) + 1, int(full_day))
    return datetime.combine(begun, clock)
