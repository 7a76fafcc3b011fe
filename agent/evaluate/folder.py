"""A folder of recordings: which records it holds, and what the experts said of them.

Laid out flat, as PhysioNet publishes it (deeper folders), or several databases side by side.
Beat and rhythm annotations are ``RECORD.atr``; the classes of CinC 2017 are in ``REFERENCE.csv``
(or ``REFERENCE-v3.csv``), the alarms of CinC 2015 in ``ALARMS.csv`` or in the headers' comments.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from drivers.files import RecordError
from drivers.files.annotations import Annotation, read_annotations

ANNOTATIONS = ".atr"
REFERENCES = ("REFERENCE.csv", "REFERENCE-v3.csv")
ALARMS = "ALARMS.csv"


class EvaluateError(Exception):
    """What stops a whole evaluation: one line that says what, where and what to do."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One record of a folder."""

    name: str
    """Its path within the folder, as every table tells it."""
    path: Path
    """Without suffix."""

    @property
    def annotated(self) -> bool:
        """Whether an expert's annotations lie beside it."""
        return self.path.with_name(self.path.name + ANNOTATIONS).is_file()

    def annotations(self) -> list[Annotation]:
        """The expert's annotations; RecordError where there are none that can be read."""
        return read_annotations(self.path.with_name(self.path.name + ANNOTATIONS))


def entries(folder: Path, only: Sequence[str] = ()) -> list[Entry]:
    """The records of a folder, those of ``only`` if it names any (by whole or last name).

    Raises EvaluateError where there is no such folder or record.
    """
    if not folder.is_dir():
        raise EvaluateError(f"{folder}: no such folder; name one that holds WFDB records")
    found = sorted(Entry(str(path.relative_to(folder).as_posix()), path) for path in _paths(folder))
    if not found:
        raise EvaluateError(f"{folder}: holds no WFDB record; name a folder with .hea files")
    if not only:
        return found
    for name in only:
        if not any(name in (entry.name, entry.path.name) for entry in found):
            raise EvaluateError(f"{folder}: no record {name}; it holds {_some(found)}")
    return [e for e in found if e.name in only or e.path.name in only]


def _paths(folder: Path) -> Iterator[Path]:
    """Each record's path without suffix; a RECORDS file may name folders, by a slash at the end."""
    listed = folder / "RECORDS"
    if not listed.is_file():
        for header in folder.rglob("*.hea"):
            yield header.with_name(header.name.removesuffix(".hea"))
        return
    for name in dict.fromkeys(listed.read_text(encoding="utf-8", errors="replace").split()):
        if name.endswith("/"):
            yield from _paths(folder / name)
        else:
            yield folder / name


def _some(found: Sequence[Entry]) -> str:
    names = [entry.name for entry in found[:5]]
    return ", ".join(names) + (f" and {len(found) - 5} more" if len(found) > 5 else "")


def annotated(
    found: Iterable[Entry], folder: Path, *, named: bool
) -> tuple[list[Entry], list[str]]:
    """The records to compare with annotations, and one line for each folder without any.

    Within a folder that has annotations a record without stays in the list: reading it fails and
    is told. So does every record that was ``named``. EvaluateError where no record has any.
    """
    kept: list[Entry] = []
    without: list[str] = []
    groups: dict[Path, list[Entry]] = {}
    for entry in found:
        groups.setdefault(entry.path.parent, []).append(entry)
    for place, group in groups.items():
        if named or any(entry.annotated for entry in group):
            kept += group
        else:
            without.append(f"{place}: no annotations ({ANNOTATIONS}), left out")
    if not any(entry.annotated for entry in kept):
        raise EvaluateError(
            f"{folder}: no annotations; beside each RECORD.hea there must be a RECORD{ANNOTATIONS}"
        )
    return kept, without


def rhythm_classes(folder: Path) -> dict[str, str]:
    """Record name to N, A, O or ~ of CinC 2017; empty where the folder has none."""
    for name in REFERENCES:
        for path in _named(folder, name):
            rows = _rows(path)
            return {row[0]: row[1].strip() for row in rows if len(row) > 1}
    return {}


@dataclass(frozen=True, slots=True)
class BedsideAlarm:
    """What CinC 2015 says of a record: the alarm at its end."""

    kind: str
    """As the challenge writes it: ``Asystole``, ``Ventricular_Tachycardia``, …"""
    true: bool


def bedside_alarms(folder: Path) -> dict[str, BedsideAlarm]:
    """Record name to alarm, out of ``ALARMS.csv``; empty where the folder has none."""
    for path in _named(folder, ALARMS):
        return {
            row[0]: BedsideAlarm(row[1].strip(), row[2].strip() == "1")
            for row in _rows(path)
            if len(row) > 2 and row[0] != "record"
        }
    return {}


def alarm_in_header(entry: Entry) -> BedsideAlarm | None:
    """The alarm in a header's comments: its kind, then ``True alarm`` or ``False alarm``."""
    try:
        text = entry.path.with_name(entry.path.name + ".hea").read_text("ascii", errors="replace")
    except OSError:
        return None
    notes = [line.lstrip("# ").strip() for line in text.splitlines() if line.startswith("#")]
    for kind, verdict in pairwise(notes):
        if verdict.lower() in ("true alarm", "false alarm"):
            return BedsideAlarm(kind, verdict.lower().startswith("true"))
    return None


def _named(folder: Path, name: str) -> Iterator[Path]:
    if (folder / name).is_file():
        yield folder / name
    else:
        yield from sorted(folder.rglob(name))


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return [row for row in csv.reader(lines) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"cannot be read ({error})", str(path), "copy it again") from error
