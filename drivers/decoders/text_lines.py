"""Lines of numbers in, one row of values per line out: AD8232 sketches and any text or CSV."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

LONGEST_LINE = 256
"""No sketch writes a longer one: a line that does not end is another baud rate."""

NO_SAMPLE: Final = b"!"
"""What AD8232 sketches write while an electrode is off."""

NUMBER: Final = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
COUNT_LIMIT = 2**31 - 1

WIDEST_PLAIN = 64
"""Columns up to which plain lines are read all at once."""


@dataclass(frozen=True, slots=True)
class TextSamples:
    """Lines in the order they came; n may be 0."""

    counts: NDArray[np.int32]
    """Shape (n, columns); 0 where there is no sample."""
    sampled: NDArray[np.bool_]
    """False where the line says "no sample", shape (n,)."""
    lengths: NDArray[np.int32]
    """Bytes of each line with its end: what it took a full serial line to send, shape (n,)."""

    def after(self, first: int) -> TextSamples:
        """Without the first so many lines."""
        return TextSamples(self.counts[first:], self.sampled[first:], self.lengths[first:])


class TextLineDecoder:
    """Bytes of the serial port to numbers. Never raises; keeps at most 256 bytes.

    ``columns`` are those of the leads, from 1; ``decimals`` how many of a value's become part of
    its count; ``lead_off_column`` is one that is not 0 while an electrode is off. Numbers are
    separated by comma, semicolon, tab or space, and a decimal comma is one where semicolon or tab
    separates. Lines that are no such numbers count as damage.
    """

    def __init__(
        self,
        columns: Sequence[int] = (1,),
        *,
        decimals: int = 0,
        lead_off_column: int | None = None,
    ) -> None:
        self._columns = [column - 1 for column in columns]
        self._factor = 10.0**decimals
        self._off = None if lead_off_column is None else lead_off_column - 1
        self._wanted = max(self._columns if self._off is None else [*self._columns, self._off])
        self._pending = b""
        self._whole = False
        self.discarded = 0
        """Bytes of lines that were thrown away."""
        self.overlong = 0
        """Lines that were longer than any device's."""

    @property
    def pending(self) -> int:
        """Bytes kept for the next feed."""
        return len(self._pending)

    def reset(self) -> None:
        """Forget what came before; the first line may be the end of one."""
        self.discarded += len(self._pending)
        self._pending = b""
        self._whole = False
        self.overlong = 0

    def feed(self, data: bytes) -> TextSamples:
        """The samples of all lines that ``data`` completes."""
        buffer = self._pending + data
        plain = self._plain(buffer) if self._whole else None
        if plain is not None:
            return plain
        *lines, rest = buffer.split(b"\n")
        rows: list[list[int] | None] = []
        lengths: list[int] = []
        for line in lines:
            if not self._whole:
                self._whole = True
                self._drop(line)
            elif line.strip() == NO_SAMPLE:
                rows.append(None)
            else:
                self._add(line, rows)
            if len(rows) > len(lengths):
                lengths.append(len(line) + 1)
        if len(rest) > LONGEST_LINE:
            # What follows is the end of a line whose beginning is gone.
            self._drop(rest)
            self._whole, rest = False, b""
        self._pending = rest
        return self._samples(rows, lengths)

    def _plain(self, buffer: bytes) -> TextSamples | None:
        """All lines at once where they are plain numbers; None where each must be looked at."""
        end = buffer.rfind(b"\n") + 1
        head, rest = buffer[:end], buffer[end:]
        width = len(head[: head.find(b"\n")].replace(b",", b" ").split())
        if not self._wanted < width <= WIDEST_PLAIN or len(rest) > LONGEST_LINE:
            return None
        if not _plain_lines(width).fullmatch(head):
            return None
        lengths = [len(line) + 1 for line in head[:-1].split(b"\n")]
        numbers = np.array([float(field) for field in head.replace(b",", b" ").split()])
        rows = numbers.reshape(len(lengths), width)
        scaled = rows[:, self._columns] * self._factor
        if max(lengths) > LONGEST_LINE or np.abs(scaled).max() > COUNT_LIMIT:
            return None
        self._pending = rest
        counts = np.rint(scaled).astype(np.int32)
        sampled = np.ones(len(rows), np.bool_)
        if self._off is not None:
            sampled = rows[:, self._off] == 0
            counts[~sampled] = 0
        return TextSamples(counts, sampled, np.array(lengths, np.int32))

    def _add(self, line: bytes, rows: list[list[int] | None]) -> None:
        values = _numbers(line) if len(line) <= LONGEST_LINE else None
        if values is None or self._wanted >= len(values):
            self._drop(line)
        elif self._off is not None and values[self._off]:
            rows.append(None)
        else:
            scaled = [values[column] * self._factor for column in self._columns]
            if all(abs(value) <= COUNT_LIMIT for value in scaled):
                rows.append([round(value) for value in scaled])
            else:
                self._drop(line)

    def _drop(self, line: bytes) -> None:
        self.discarded += len(line) + 1
        self.overlong += len(line) > LONGEST_LINE

    def _samples(self, rows: list[list[int] | None], lengths: list[int]) -> TextSamples:
        none = [0] * len(self._columns)
        counts = [none if row is None else row for row in rows]
        return TextSamples(
            np.array(counts, np.int32).reshape(len(rows), len(self._columns)),
            np.array([row is not None for row in rows], np.bool_),
            np.array(lengths, np.int32),
        )


@cache
def _plain_lines(width: int) -> re.Pattern[bytes]:
    """Whole lines of ``width`` numbers, separated by commas and spaces."""
    number = rb"[+-]?\d{1,9}(?:\.\d{1,9})?"
    further = rb"(?:[, ]+%b){%d}" % (number, width - 1)
    return re.compile(rb"(?>(?> *%b%b *\r?\n)+)" % (number, further))


def _numbers(line: bytes) -> list[float] | None:
    if b";" in line or b"\t" in line:
        fields = re.split(rb"[;\t]", line.replace(b",", b".").strip(b" \r"))
    else:
        fields = line.replace(b",", b" ").split()
    values: list[float] = []
    for field in fields:
        number = field.strip()
        if not NUMBER.fullmatch(number):
            return None
        values.append(float(number))
    return values if all(map(math.isfinite, values)) else None
