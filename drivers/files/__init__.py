"""Recorded ECG files as devices: WFDB, EDF and EDF+, CSV, Shimmer3 logs; and WFDB annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drivers.files.record import Record, RecordError, Samples, microvolts

__all__ = ["Record", "RecordError", "Samples", "microvolts", "open_record"]


def open_record(
    path: str | Path,
    *,
    leads: Sequence[str] | None = None,
    rate_hz: float | None = None,
    unit: str | None = None,
    partial: bool = False,
) -> Record:
    """Open a recording by its form.

    ``path``: a WFDB record without extension or its ``.hea``; ``.edf``; ``.csv``, ``.tsv`` or
    ``.txt``; the log of a Shimmer3's card, without extension or as ``.bin``. ``leads``: names (or
    numbers from 0) of the signals to read, all ECG leads without it.
    ``rate_hz`` and ``unit`` (``mV``, ``uV``, ``V``) are for a CSV that doesn't tell them.
    ``partial``: read what is there of a file that was cut short, instead of refusing it.

    Raises RecordError, one line that names the file, what is wrong and what to do.
    """
    place = Path(path)
    suffix = place.suffix.lower()
    if suffix == ".edf":
        from drivers.files.edf import EdfRecord

        return EdfRecord(place, leads=leads, partial=partial)
    if suffix in (".csv", ".tsv", ".txt"):
        from drivers.files.csv import CsvRecord

        return CsvRecord(place, leads=leads, rate_hz=rate_hz, unit=unit)
    if suffix in ("", ".bin"):
        from drivers.files.shimmer import ShimmerRecord, is_shimmer

        if suffix or is_shimmer(place):
            return ShimmerRecord(place, leads=leads)
    from drivers.files.wfdb import open_wfdb

    return open_wfdb(place, leads=leads, partial=partial)
