"""EDF, EDF+C and EDF+D files as one ``Record``.

Read by this module and not by edfio: EDF+D keeps its gaps only in the time-keeping annotations,
which edfio skips (it joins the records), and blocks are wanted by sample, not by second.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from drivers.files.edf_header import (
    FIXED_BYTES,
    EdfFormatError,
    EdfHeader,
    EdfSignalHeader,
    parse_header,
    record_onset,
    signal_count,
)
from drivers.files.record import (
    Record,
    RecordError,
    Run,
    Samples,
    Signal,
    axis_pieces,
    choose_leads,
    scale_of,
)
from drivers.samples import Lead

_BULK_BYTES = 65_536
_LONGEST_S = 366 * 86_400
"""A gap of more than a year is a damaged time."""
_COPY_AGAIN = "copy the file again from its source"


class EdfRecord(Record):
    """An EDF file; the gaps of EDF+D keep their place on the axis."""

    def __init__(
        self, path: Path, *, leads: Sequence[str] | None = None, partial: bool = False
    ) -> None:
        self._path = path
        self._file = _open(path)
        try:
            header = self._read_header()
            signals = [s for s in header.signals if not s.is_annotation]
            # A signal without a unit may well be the ECG: its name decides.
            chosen, warnings = choose_leads(
                [Signal(s.label, s.unit or "uV", s.samples_per_record) for s in signals],
                leads,
                str(path),
            )
            if header.record_s <= 0 or signals[chosen[0]].samples_per_record == 0:
                raise RecordError("tells no sampling rate", str(path), _COPY_AGAIN)
            self._header = header
            self._per_record = signals[chosen[0]].samples_per_record
            self._columns = [self._column_of(signals[i]) for i in chosen]
            n_records, note = self._count_records(partial)
            rate_hz = self._per_record / header.record_s
            onsets = self._onsets(n_records)
            self._runs, jumped_back = _runs(onsets, header.record_s, self._per_record)
        except RecordError:
            self.close()
            raise
        if jumped_back:
            note += ("some data records overlap in time: they are read one after the other",)
        last = self._runs[-1]
        start = header.start
        super().__init__(
            name=path.stem,
            address=str(path),
            form=header.kind,
            rate_hz=rate_hz,
            leads=tuple(_lead(signals[i]) for i in chosen),
            n_samples=last.first + last.count,
            start=None if start is None else start + timedelta(seconds=float(onsets[0])),
            warnings=warnings + note,
        )

    def _read_header(self) -> EdfHeader:
        try:
            fixed = self._file.read(FIXED_BYTES)
            header = parse_header(fixed + self._file.read(FIXED_BYTES * signal_count(fixed)))
        except EdfFormatError as error:
            raise RecordError(str(error), str(self._path), _COPY_AGAIN) from error
        if header.header_bytes < FIXED_BYTES * (len(header.signals) + 1):
            raise RecordError("tells a wrong header size", str(self._path), _COPY_AGAIN)
        return header

    def _column_of(self, wanted: EdfSignalHeader) -> int:
        """Samples before the signal's own in a data record."""
        column = 0
        for signal in self._header.signals:
            if signal is wanted:
                break
            column += signal.samples_per_record
        return column

    def _count_records(self, partial: bool) -> tuple[int, tuple[str, ...]]:
        """Data records to read, and warnings."""
        size = self._path.stat().st_size - self._header.header_bytes
        there = max(0, size) // (2 * self._header.record_samples)
        told = self._header.n_records
        if told is None:
            note: tuple[str, ...] = ("was never closed by its recorder: read as far as it goes",)
        elif there >= told:
            there, note = told, ()
        else:
            what = f"holds {there:,} of {told:,} data records (it was cut short)"
            if not partial:
                raise RecordError(
                    what, str(self._path), f"{_COPY_AGAIN}, or read what is there with --partial"
                )
            note = (what,)
        if not there:
            raise RecordError("holds no data record", str(self._path), _COPY_AGAIN)
        return there, note

    def _onsets(self, n_records: int) -> NDArray[np.float64]:
        """Each data record's start, seconds from the start in the header."""
        header = self._header
        column = 0
        for signal in header.signals:
            if signal.is_annotation:
                break
            column += signal.samples_per_record
        else:
            return np.arange(n_records, dtype=np.float64) * header.record_s
        length = 2 * signal.samples_per_record
        first = self._annotation(0, column, length)
        if header.kind != "EDF+D":
            return (first or 0.0) + np.arange(n_records, dtype=np.float64) * header.record_s
        onsets = [self._annotation(i, column, length) for i in range(n_records)]
        if None in onsets:
            raise RecordError(
                f"data record {onsets.index(None)} tells no time, as EDF+D must",
                str(self._path),
                _COPY_AGAIN,
            )
        times = np.array(onsets, np.float64)
        if np.ptp(times) > _LONGEST_S:
            raise RecordError("tells impossible times", str(self._path), _COPY_AGAIN)
        return times

    def _annotation(self, record: int, column: int, length: int) -> float | None:
        return record_onset(self._bytes(record, column, length))

    def _bytes(self, record: int, column: int, length: int) -> bytes:
        """``length`` bytes from sample ``column`` of a data record on."""
        samples = record * self._header.record_samples + column
        self._file.seek(self._header.header_bytes + 2 * samples)
        data = self._file.read(length)
        if len(data) < length:
            raise RecordError("became shorter while it was read", str(self._path), "read it again")
        return data

    def _read(self, first: int, count: int) -> Samples:
        counts = np.zeros((count, len(self.leads)), np.int32)
        valid = np.zeros(counts.shape, np.bool_)
        for into, source, length in axis_pieces(self._runs, first, count):
            counts[into] = self._samples(source, length)
            valid[into] = True
        return Samples(counts, valid)

    def _samples(self, first: int, count: int) -> NDArray[np.int16]:
        """Samples by their number in the file, shape (count, leads)."""
        per_record = self._per_record
        record, skip = divmod(first, per_record)
        records = -(-(skip + count) // per_record)
        out = np.empty((records * per_record, len(self._columns)), np.int16)
        width = self._header.record_samples
        if 2 * width <= _BULK_BYTES:
            block = np.frombuffer(self._bytes(record, 0, 2 * width * records), "<i2")
            block = block.reshape(records, width)
            for lead, column in enumerate(self._columns):
                out[:, lead] = block[:, column : column + per_record].reshape(-1)
        else:
            for lead, column in enumerate(self._columns):
                for i in range(records):
                    part = self._bytes(record + i, column, 2 * per_record)
                    out[i * per_record : (i + 1) * per_record, lead] = np.frombuffer(part, "<i2")
        return out[skip : skip + count]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _runs(onsets: NDArray[np.float64], record_s: float, per_record: int) -> tuple[list[Run], bool]:
    """Runs of samples on the axis, and whether any record overlapped the one before."""
    places = np.rint((onsets - onsets[0]) / record_s * per_record).astype(np.int64)
    runs: list[Run] = []
    jumped_back = False
    begin, place = 0, 0
    for index in range(1, len(places) + 1):
        end = place + (index - begin) * per_record
        if index < len(places) and places[index] <= end:
            jumped_back |= bool(places[index] < end)
            continue
        runs.append(Run(place, begin * per_record, (index - begin) * per_record))
        if index < len(places):
            begin, place = index, int(places[index])
    return runs, jumped_back


def _lead(signal: EdfSignalHeader) -> Lead:
    unit_uv = scale_of(signal.unit)
    return Lead(
        name=signal.label,
        microvolts_per_count=(unit_uv or 1.0) * signal.scale,
        offset_counts=signal.offset,
        full_scale_counts=(min(signal.digital), max(signal.digital)),
        calibrated=unit_uv is not None,
    )


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise RecordError(
            error.strerror or "cannot be read", str(path), "check the path and its permissions"
        ) from error
