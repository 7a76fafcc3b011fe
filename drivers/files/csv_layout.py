"""How a text file of samples is laid out, guessed from its first lines; pure.

There is no standard: separator, decimal sign, headers, units and the time column are found from
what exports of common tools have in common. What cannot be found must be told by a person.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

_RATE = re.compile(
    r"(?:sampl\w*?[ _-]*(?:rate|freq[a-z]*)|frequency|\bfs)[\W_]{0,4}?(?:hz\W{0,2})?\"?\s*[:=]\s*"
    r"(\d+(?:[.,]\d+)?)",
    re.IGNORECASE,
)
_TIME_NAME = re.compile(
    r"^(elapsed|time|timestamp|zeit|t|secs?|seconds|millis|ms|date|datetime|clock)(\b|_)",
    re.IGNORECASE,
)
_COUNTER_NAME = re.compile(
    r"^(samples?|index|nseq|seq|counter|count|frame|no|nr|#|n|i|sample[ _](index|number|#|no))\.?$",
    re.IGNORECASE,
)
_IN_BRACKETS = re.compile(r"^(.*?)\s*[(\[/]\s*([^)\]]*?)\s*[)\]]?$")
_VOLTS = {"v", "mv", "uv", "µv", "μv", "nv", "volt", "volts", "millivolts", "microvolts"}
_NO_VOLTS = {
    "",
    "-",
    "no_units",
    "adc",
    "counts",
    "raw",
    "mmhg",
    "g",
    "hz",
    "bpm",
    "%",
    "hh:mm:ss.mmm",
}
_UNIT_WORDS = {"volt": "V", "volts": "V", "millivolts": "mV", "microvolts": "uV"}
_TIME_UNITS = {
    "s": 1.0, "sec": 1.0, "secs": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "millis": 1e-3,
    "milliseconds": 1e-3, "us": 1e-6, "µs": 1e-6, "microseconds": 1e-6, "ns": 1e-9,
}  # fmt: skip
_CLOCK = re.compile(r"(?:(\d{1,9}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the file."""

    name: str
    unit: str
    """As written, empty where the file doesn't tell it."""
    scale: tuple[float, float] | None = None
    """(µV per count, count at 0 V) where the tool that wrote the file is known for it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read the file's lines."""

    separator: str | None
    """None for blanks."""
    decimal: str
    skip_lines: int
    """Lines before the first line of data."""
    columns: tuple[Column, ...]
    time_column: int | None
    time_unit_s: float | None
    """Seconds in one unit of the time column; None where clock times are written."""
    ignored: frozenset[int]
    """Columns that number the samples or are empty: no signal."""
    rate_hz: float | None
    comments: tuple[str, ...]


def number(text: str, decimal: str = ".") -> float:
    """A cell's number, NaN where it holds none."""
    cell = text.strip().strip("'\"")
    try:
        return float(cell.replace(",", ".") if decimal == "," else cell)
    except ValueError:
        return float("nan")


def clock_seconds(text: str) -> float:
    """Seconds of ``mm:ss.mmm``, ``hh:mm:ss.mmm`` or an ISO date and time; NaN for others."""
    cell = text.strip().strip("[]'\"")
    match = _CLOCK.fullmatch(cell)
    if match:
        hours, minutes, seconds = match.groups(default="0")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
    moment = iso_moment(cell)
    return float("nan") if moment is None else moment.timestamp()


def iso_moment(text: str) -> datetime | None:
    """The moment of an ISO 8601 date and time (in UTC where it tells no zone)."""
    cell = text.strip().strip("[]'\"").replace(",", ".")
    if not re.match(r"\d{4}-\d\d-\d\d[T ]", cell):
        return None
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return moment if moment.tzinfo else datetime.fromisoformat(cell + "+00:00")


def split(line: str, separator: str | None) -> list[str]:
    """A line's cells."""
    return line.split(separator) if separator else line.split()


def find_layout(lines: Sequence[str]) -> Layout | None:
    """The layout of a file that begins with ``lines``; None where no line looks like data."""
    start = _first_data(lines)
    if start is None:
        return None
    body = [line for line in lines[start:] if line.strip()]
    separator, decimal = _separator(body)
    width = len(split(body[0], separator))
    heads = [line for line in lines[:start] if line.strip()]
    comments = tuple(line.strip().lstrip("#%").strip() for line in heads)
    columns = _columns(heads, separator, width)
    rows = [split(line, separator) for line in body]
    time_column = _time_column(columns, rows, decimal)
    ignored = _ignored(columns, rows, decimal, time_column)
    time_unit_s = None
    if time_column is not None:
        time_unit_s = _time_unit(columns[time_column], [row[time_column] for row in rows], decimal)
    match = next((m for m in (_RATE.search(line) for line in heads) if m), None)
    return Layout(
        separator=separator,
        decimal=decimal,
        skip_lines=start,
        columns=columns,
        time_column=time_column,
        time_unit_s=time_unit_s,
        ignored=ignored,
        rate_hz=float(match[1].replace(",", ".")) if match else None,
        comments=comments,
    )


def _is_value(cell: str) -> bool:
    text = cell.strip().strip("'\"[]")
    if re.fullmatch(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?|nan", text, re.IGNORECASE):
        return True
    return clock_seconds(text) == clock_seconds(text)


def _first_data(lines: Sequence[str]) -> int | None:
    """The first line that holds values only, an empty cell here and there allowed."""
    for index, line in enumerate(lines):
        if line.lstrip()[:1] in ("", "#", "%"):
            continue
        cells = [cell for cell in re.split(r"[;\t]|,(?!\d)|(?<=\d),(?=\d)", line) if cell.strip()]
        if len(cells) == 1:
            cells = cells[0].split()
        if cells and all(_is_value(cell) for cell in cells):
            return index
    return None


def _separator(body: Sequence[str]) -> tuple[str | None, str]:
    """Separator and decimal sign out of lines of data."""
    sample = body[: min(200, len(body))]
    for separator in (";", "\t"):
        if _parted_by(sample, separator):
            cells = [cell for line in sample for cell in line.split(separator)]
            comma = any("," in cell for cell in cells) and not any("." in cell for cell in cells)
            return separator, "," if comma else "."
    if _parted_by(sample, ","):
        return (None, ",") if _comma_is_decimal(sample) else (",", ".")
    return None, "."


def _parted_by(lines: Sequence[str], separator: str) -> bool:
    """Whether a separator parts the lines; a damaged line here and there may lack it."""
    return sum(separator in line for line in lines) >= 0.8 * len(lines)


def _comma_is_decimal(lines: Sequence[str]) -> bool:
    """Whether ``0,145`` is one number: blanks part columns, or a line holds one small number."""
    if any("." in line for line in lines):
        return False
    cells = [line.split() for line in lines]
    if all(len(row) > 1 and not any(c.endswith(",") for c in row) for row in cells):
        return True
    parts = [line.strip().split(",") for line in lines]
    if any(len(row) != 2 or not row[1].isdecimal() for row in parts):
        return False
    return all(row[0].lstrip("+-") in "0123456789" for row in parts) and any(
        len(row[1]) > 1 for row in parts
    )


def _columns(heads: Sequence[str], separator: str | None, width: int) -> tuple[Column, ...]:
    """Names and units out of the header lines that have as many cells as the data."""
    rows: list[list[str]] = []
    for line in heads:
        # In a file parted by blanks a unit in brackets belongs to the name before it.
        text = line.strip("#% \r\n")
        parts = split(text, separator) if separator else re.split(r"\s+(?![(\[])", text)
        cells = [part.strip(" \t'\"[") for part in ([text] if width == 1 else parts)]
        # Some tools end lines of data with a separator and heads without.
        if len(cells) in (width, width - 1):
            rows.append(cells + [""] * (width - len(cells)))
    units = [""] * width
    known = _VOLTS | _NO_VOLTS | _TIME_UNITS.keys()
    if len(rows) > 1 and all(cell.lower() in known for cell in rows[-1]):
        units = rows.pop()
    names = rows[-1] if rows else [""] * width
    columns = []
    for name, unit in zip(names, units, strict=True):
        match = _IN_BRACKETS.match(name)
        if not unit and match and match[2].lower() in (_VOLTS | _TIME_UNITS.keys()):
            name, unit = match[1], match[2]
        elif not unit and re.search(r"_[mu]v$", name, re.IGNORECASE):
            name, unit = name[:-3], name[-2:]
        columns.append(Column(name.strip(), _UNIT_WORDS.get(unit.lower(), unit)))
    return tuple(columns)


def _time_column(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], decimal: str
) -> int | None:
    for index, column in enumerate(columns):
        if _TIME_NAME.match(column.name) or column.unit.lower() in _TIME_UNITS:
            values = _values(rows, index, decimal)
            if _rises(values):
                return index
    if any(column.name for column in columns) or len(columns) < 2:
        return None
    values = _values(rows, 0, decimal)
    steps = [b - a for a, b in pairwise(values)]
    even = bool(steps) and _rises(values) and max(steps) < 2.5 * max(min(steps), 1e-12)
    return 0 if even and steps[0] != 1 else None


def _ignored(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], decimal: str, time_column: int | None
) -> frozenset[int]:
    found = {i for i, column in enumerate(columns) if _COUNTER_NAME.match(column.name)}
    for index in range(len(columns)):
        if not any(index < len(row) and row[index].strip() for row in rows):
            found.add(index)
    if not any(column.name for column in columns) and len(columns) > 1 and time_column is None:
        values = _values(rows, 0, decimal)
        if len(values) > 2 and all(b - a == 1 for a, b in pairwise(values)):
            found.add(0)
    return frozenset(found)


def _values(rows: Sequence[Sequence[str]], index: int, decimal: str) -> list[float]:
    """A column's numbers or clock times; the last row may be cut off and is left out."""
    cells = [row[index] for row in rows[:-1] or rows if index < len(row)]
    plain = [number(cell, decimal) for cell in cells]
    if cells and plain[0] != plain[0]:
        return [clock_seconds(cell) for cell in cells]
    return plain


def _rises(values: Sequence[float]) -> bool:
    return len(values) > 1 and all(b >= a for a, b in pairwise(values)) and values[-1] > values[0]


def _time_unit(column: Column, cells: Sequence[str], decimal: str) -> float | None:
    """Seconds in a unit of the time column, by its unit, its name, or the size of its steps."""
    first = number(cells[0], decimal)
    if first != first:
        return None
    told = _TIME_UNITS.get(column.unit.lower()) or _TIME_UNITS.get(column.name.lower())
    if told:
        return told
    values = [number(cell, decimal) for cell in cells[:-1] or cells]
    step = (values[-1] - values[0]) / max(1, len(values) - 1)
    # An ECG has 50 to 5,000 samples a second.
    return next(
        (unit for unit, limit in ((1.0, 0.1), (1e-3, 100), (1e-6, 1e5)) if step < limit), 1e-9
    )
