"""Where a database's records and labels lie: in one folder, or as PhysioNet publishes them.

Either way ``data/<database>`` holds WFDB records, in FLAC, ``.dat`` or the challenges' ``.mat``;
PhysioNet puts some deeper (``training/A00/A00001``) and has the labels of CinC 2017 in
``REFERENCE-v3.csv``, those of CinC 2015 in the headers. Only the records of ``records.toml`` are
taken: the others are kept apart to test on.
"""

from __future__ import annotations

import csv
import tomllib
from functools import lru_cache
from pathlib import Path

_LISTS = Path(__file__).with_name("records.toml")
_REFERENCES = ("REFERENCE.csv", "REFERENCE-v3.csv")


class NoRecordsError(Exception):
    """A database's folder is missing or holds none of its records; the text says what to do."""


@lru_cache(maxsize=1)
def _lists() -> dict[str, tuple[str, ...]]:
    found = tomllib.loads(_LISTS.read_text(encoding="ascii"))
    return {
        database: tuple(name for token in text.split() for name in _spelt_out(token))
        for database, text in found.items()
    }


def _spelt_out(token: str) -> list[str]:
    """``A00005-00007`` is three names, anything else one."""
    first, dash, last = token.partition("-")
    if not dash:
        return [token]
    letter, digits = first[0], first[1:]
    return [f"{letter}{i:0{len(digits)}}" for i in range(int(digits), int(last) + 1)]


def trained_on(database: str) -> tuple[str, ...]:
    """Names of the records that the shipped networks are trained on."""
    return _lists()[database]


def paths(data: Path, database: str) -> dict[str, Path]:
    """Each record's path without suffix, by name, in a fixed order.

    :class:`NoRecordsError` where there is none.
    """
    folder, wanted = data / database, set(trained_on(database))
    listed = folder / "RECORDS"
    if listed.is_file():
        found = [folder / line for line in listed.read_text(encoding="ascii").split()]
        found = [path for path in found if path.with_suffix(".hea").is_file()]
    else:
        found = sorted(path.with_suffix("") for path in folder.rglob("*.hea"))
    kept = {path.name: path for path in found if path.name in wanted}
    if not kept:
        raise NoRecordsError(
            f"{folder}: none of the records that the networks are trained on; "
            f"get them by 'python -m models.training.fetch --data {data} {database}'"
        )
    return kept


def labels(data: Path, database: str) -> dict[str, str]:
    """Each record's class: of cinc2017 N A O ~, of cinc2015 the alarm and 1 or 0; else none."""
    if database == "cinc2017":
        return _challenge_2017(data / database)
    if database == "cinc2015":
        return _challenge_2015(data, data / database / "ALARMS.csv")
    return {}


def _challenge_2017(folder: Path) -> dict[str, str]:
    for name in _REFERENCES:
        found = [folder / name, *sorted(folder.rglob(name))]
        for path in found:
            if path.is_file():
                with path.open(encoding="ascii", newline="") as lines:
                    return {row[0]: row[1] for row in csv.reader(lines) if row}
    raise NoRecordsError(f"{folder}: no {' or '.join(_REFERENCES)} with the records' classes")


def _challenge_2015(data: Path, table: Path) -> dict[str, str]:
    if table.is_file():
        with table.open(encoding="ascii", newline="") as lines:
            return {row["record"]: f"{row['alarm']} {row['true']}" for row in csv.DictReader(lines)}
    found = {}
    for name, path in paths(data, "cinc2015").items():
        header = path.with_suffix(".hea").read_text(encoding="ascii", errors="replace")
        notes = [line[1:].strip() for line in header.splitlines() if line.startswith("#")]
        if len(notes) >= 2:
            found[name] = f"{notes[0]} {int(notes[1].lower().startswith('true'))}"
    return found
