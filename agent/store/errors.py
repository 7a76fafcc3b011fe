"""What can go wrong with the store, each named by its condition."""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from pathlib import Path


class StoreError(Exception):
    """A fault of the store: one line that names where, what happened and what to do."""

    def __init__(self, where: Path | str, what: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}; {remedy}")
        self.where = str(where)
        self.what = what
        self.remedy = remedy


class StoreInUseError(StoreError):
    """Another agent has this database."""


class StoreTooNewError(StoreError):
    """A later wardbeat made this database."""


class StoreForeignError(StoreError):
    """The file is another program's database."""


class StoreUnwritableError(StoreError):
    """Folder or file cannot be written."""


class StoreOverloadedError(StoreError):
    """So many durable writes are waiting that no more are taken; nothing was written."""


class StoreClosedError(StoreError):
    """The store was closed before this could be written."""


class Fault(StrEnum):
    """What an SQLite error means for the writer."""

    DISK_FULL = "disk full"
    DAMAGED = "damaged"
    BUSY = "busy"
    UNWRITABLE = "unwritable"
    PROGRAM = "program"
    """The statement itself is wrong: repeating it cannot help."""


_FAULTS = {
    sqlite3.SQLITE_FULL: Fault.DISK_FULL,
    sqlite3.SQLITE_CORRUPT: Fault.DAMAGED,
    sqlite3.SQLITE_NOTADB: Fault.DAMAGED,
    sqlite3.SQLITE_BUSY: Fault.BUSY,
    sqlite3.SQLITE_LOCKED: Fault.BUSY,
    sqlite3.SQLITE_PROTOCOL: Fault.BUSY,
    sqlite3.SQLITE_IOERR: Fault.UNWRITABLE,
    sqlite3.SQLITE_READONLY: Fault.UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: Fault.UNWRITABLE,
    sqlite3.SQLITE_PERM: Fault.UNWRITABLE,
    sqlite3.SQLITE_NOMEM: Fault.UNWRITABLE,
}


def fault_of(error: sqlite3.Error) -> Fault:
    """Sort an SQLite error by its primary result code (the low byte of the extended one)."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return Fault.PROGRAM
    return _FAULTS.get(code & 0xFF, Fault.PROGRAM)
