"""Recorded ECG files as devices: WFDB, EDF and EDF+; and WFDB annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drivers.files.record import Record, RecordError, Samples, microvolts

__all__ = ["Record", "RecordError", "Samples", "microvolts", "open_record"]


def open_record(
    path: str | Path,
    *,
    leads: Sequence[str] | None = None,
    partial: bool = False,
) -> Record:
    """Open a recording by its form.

    ``path``: a WFDB record without extension or its ``.hea``; ``.edf``. ``leads``: names (or
    numbers from 0) of the signals to read, all ECG leads without it.
    ``partial``: read what is there of a file that was cut short, instead of refusing it.

    Raises RecordError, one line that names the file, what is wrong and what to do.
    """
    place = Path(path)
    suffix = place.suffix.lower()
    if suffix == ".edf":
        from drivers.files.edf import EdfRecord

        return EdfRecord(place, leads=leads, partial=partial)
    from drivers.files.wfdb import open_wfdb

    return open_wfdb(place, leads=leads, partial=partial)
