"""CSV and other text files of samples as one ``Record``.

A file's integers are kept as they are; decimals become integers of the finest decimal place that
the first lines show (no finer than 1 nV), so a value is exact as written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from drivers.files.csv_exports import as_known_export
from drivers.files.csv_layout import (
    Column,
    Layout,
    clock_seconds,
    find_layout,
    iso_moment,
    number,
    split,
)
from drivers.files.csv_time import TimeAxis, regular_axis, timed_axis
from drivers.files.record import (
    Record,
    RecordError,
    Samples,
    Signal,
    axis_pieces,
    choose_leads,
    scale_of,
)
from drivers.samples import Lead

_HEAD_BYTES = 65_536
_SCAN_BYTES = 1 << 20
CHUNK_LINES = 4096
_FINEST_UV = 1e-3
_BOM = b"\xef\xbb\xbf"
_INT32_MAX = 2**31 - 1


class CsvRecord(Record):
    """A text file of samples, parsed in chunks as they are asked for."""

    def __init__(
        self,
        path: Path,
        *,
        leads: Sequence[str] | None = None,
        rate_hz: float | None = None,
        unit: str | None = None,
    ) -> None:
        self._path = path
        if unit is not None and scale_of(unit) is None:
            raise RecordError(
                f"cannot be read in the unit {unit!r}", str(path), "choose V, mV, uV or nV"
            )
        self._file = _open(path)
        try:
            self._layout, head = self._find_layout()
            self._offsets, self._n_lines = self._index()
            self._chosen, warnings = self._choose(leads)
            self._decimals = [_decimals(head, i, self._layout) for i in self._chosen]
            self._cached: tuple[int, NDArray[np.float64]] | None = None
            axis = self._axis(rate_hz)
            made = [self._lead(column, n, unit) for n, column in enumerate(self._chosen)]
        except RecordError:
            self.close()
            raise
        self._runs = axis.runs
        told_start = None
        if self._layout.time_column is not None:
            cells = split(head[0], self._layout.separator)
            told_start = iso_moment(cells[self._layout.time_column])
        uncalibrated = [lead.name for lead in made if not lead.calibrated]
        if uncalibrated:
            warnings += (f"no unit is told for {', '.join(uncalibrated)}: its scale is a guess",)
        super().__init__(
            name=path.stem,
            address=str(path),
            form="CSV",
            rate_hz=axis.rate_hz,
            leads=tuple(made),
            n_samples=axis.runs[-1].first + axis.runs[-1].count,
            start=None if told_start is None else told_start.replace(tzinfo=None),
            comments=self._layout.comments,
            warnings=warnings + axis.warnings,
        )

    def _find_layout(self) -> tuple[Layout, list[str]]:
        """The layout and the lines of data among the file's first."""
        raw = self._file.read(_HEAD_BYTES)
        if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise RecordError("is written in UTF-16", str(self._path), "save it as UTF-8")
        whole = len(raw) < _HEAD_BYTES
        lines = raw.removeprefix(_BOM).decode("utf-8", errors="replace").splitlines()
        if not whole:
            lines = lines[:-1]
        layout = find_layout(lines)
        if layout is None:
            raise RecordError(
                "holds no line of samples",
                str(self._path),
                "give a text file with one sample a line",
            )
        body = [line for line in lines[layout.skip_lines :] if line.strip()]
        return as_known_export(layout), body

    def _index(self) -> tuple[list[int], int]:
        """Byte offset of every CHUNK_LINES-th line of data and of the end, and how many lines."""
        ends_before = self._layout.skip_lines
        self._file.seek(0)
        position = seen = 0
        start = len(_BOM) if self._file.read(3) == _BOM else 0
        self._file.seek(0)
        offsets = [start] if not ends_before else []
        last_text = 0
        while block := self._file.read(_SCAN_BYTES):
            bytes_ = np.frombuffer(block, np.uint8)
            ends = np.flatnonzero(bytes_ == 10)
            for wanted in range(
                -(-(seen + 1 - ends_before) // CHUNK_LINES) * CHUNK_LINES + ends_before,
                seen + len(ends) + 1,
                CHUNK_LINES,
            ):
                if wanted >= max(1, ends_before):
                    offsets.append(position + int(ends[wanted - seen - 1]) + 1)
            text = np.flatnonzero(bytes_ > 32)
            if len(text):
                after = int(text[-1])
                last_text = seen + int(np.searchsorted(ends, after)) + 1
            seen += len(ends)
            position += len(block)
        n_lines = last_text - ends_before
        offsets = offsets[: -(-n_lines // CHUNK_LINES)]
        return [*offsets, position], n_lines

    def _choose(self, leads: Sequence[str] | None) -> tuple[list[int], tuple[str, ...]]:
        layout = self._layout
        left_out = set(layout.ignored)
        if layout.time_column is not None:
            left_out.add(layout.time_column)
        places = [i for i in range(len(layout.columns)) if i not in left_out]
        signals = [
            Signal(layout.columns[i].name or f"column {i}", layout.columns[i].unit or "mV", 1)
            for i in places
        ]
        chosen, warnings = choose_leads(signals, leads, str(self._path))
        return [places[i] for i in chosen], warnings

    def _axis(self, rate_hz: float | None) -> TimeAxis:
        told = rate_hz or self._layout.rate_hz
        if told is not None:
            if not 1 <= told <= 1e6:
                raise RecordError(
                    f"cannot have a rate of {told:g} Hz", str(self._path), "give its rate in Hz"
                )
            return regular_axis(float(told), self._n_lines)
        axis = None
        if self._layout.time_column is not None:
            axis = timed_axis(self._times, self._n_lines, CHUNK_LINES)
        if axis is None:
            raise RecordError(
                "tells no sampling rate", str(self._path), "give it with --rate, in Hz"
            )
        return axis

    def _times(self, chunk: int, only_first: bool) -> NDArray[np.float64]:
        """The time column of a chunk, or of its first line alone, in seconds."""
        layout = self._layout
        assert layout.time_column is not None  # noqa: S101 - asked for timed files only
        if only_first:
            self._file.seek(self._offsets[chunk])
            lines = [self._file.readline().decode("utf-8", errors="replace")]
        else:
            lines = self._lines(chunk)
        if layout.time_unit_s is not None:
            return self._parse(lines, [layout.time_column])[:, 0] * layout.time_unit_s
        rows = (split(line, layout.separator) for line in lines)
        column = layout.time_column
        return np.array(
            [clock_seconds(row[column]) if column < len(row) else np.nan for row in rows]
        )

    def _lines(self, chunk: int) -> list[str]:
        begin, end = self._offsets[chunk], self._offsets[chunk + 1]
        self._file.seek(begin)
        text = self._file.read(end - begin).decode("utf-8", errors="replace")
        # Only \n ends a line here, as in the index of offsets; splitlines() knows others.
        count = min(CHUNK_LINES, self._n_lines - chunk * CHUNK_LINES)
        return text.split("\n")[:count]

    def _parse(self, lines: Sequence[str], columns: Sequence[int]) -> NDArray[np.float64]:
        """Cells as numbers, shape (lines, columns); NaN where there is none."""
        layout = self._layout
        plain = [line.replace(",", ".") for line in lines] if layout.decimal == "," else lines
        try:
            cells = np.loadtxt(
                plain, delimiter=layout.separator, usecols=columns, ndmin=2, comments=None
            )
            if len(cells) == len(lines):
                return cells
        except (ValueError, IndexError):
            pass  # an empty or damaged cell somewhere: cell by cell then
        out = np.full((len(lines), len(columns)), np.nan)
        for row, line in enumerate(lines):
            parts = split(line, layout.separator)
            for place, column in enumerate(columns):
                if column < len(parts):
                    out[row, place] = number(parts[column], layout.decimal)
        return out

    def _chunk(self, index: int) -> NDArray[np.float64]:
        if self._cached is None or self._cached[0] != index:
            self._cached = (index, self._parse(self._lines(index), self._chosen))
        return self._cached[1]

    def _lead(self, column: int, place: int, unit: str | None) -> Lead:
        """The lead of a column; sets how many decimals it keeps."""
        told = self._layout.columns[column]
        values = self._chunk(0)[:, place]
        largest = float(np.nanmax(np.abs(values), initial=0.0))
        unit_uv, known = _unit_uv(told, unit, self._decimals[place], largest)
        decimals = self._decimals[place]
        while decimals and (
            unit_uv / 10**decimals < 0.999 * _FINEST_UV or largest * 10**decimals > _INT32_MAX / 10
        ):
            decimals -= 1
        self._decimals[place] = decimals
        offset = 0.0
        if told.scale is not None and unit is None:
            unit_uv, offset = told.scale
            known = told.name.startswith("ECG")
        return Lead(
            name=told.name or f"column {column}",
            microvolts_per_count=unit_uv / 10**decimals,
            offset_counts=offset * 10**decimals,
            calibrated=known,
        )

    def _read(self, first: int, count: int) -> Samples:
        values = np.full((count, len(self.leads)), np.nan)
        for into, line, length in axis_pieces(self._runs, first, count):
            done = 0
            while done < length:
                chunk, skip = divmod(line + done, CHUNK_LINES)
                part = self._chunk(chunk)[skip : skip + length - done]
                start = into.start + done
                values[start : start + len(part)] = part
                done += len(part)
        valid = np.isfinite(values)
        scaled = np.where(valid, values, 0.0) * 10.0 ** np.array(self._decimals)
        clipped = np.clip(np.rint(scaled), -_INT32_MAX, _INT32_MAX)
        return Samples(clipped.astype(np.int32), valid)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _unit_uv(column: Column, told: str | None, decimals: int, largest: float) -> tuple[float, bool]:
    """µV in one unit of a column, and whether anyone said so.

    Without a word, small decimals are millivolts and everything else microvolts.
    """
    known = scale_of(told or column.unit)
    if known is not None:
        return known, True
    return (1e3 if decimals and largest < 50 else 1.0), False


def _decimals(lines: Sequence[str], column: int, layout: Layout) -> int:
    """Decimal places that a column's cells use, 15 where any has an exponent."""
    most = 0
    for line in lines:
        cells = split(line, layout.separator)
        cell = cells[column].strip().strip("'\"").lower() if column < len(cells) else ""
        if "e" in cell:
            return 15
        _, point, places = cell.partition(layout.decimal)
        most = max(most, len(places) if point and places.isdecimal() else 0)
    return most


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise RecordError(
            error.strerror or "cannot be read", str(path), "check the path and its permissions"
        ) from error
