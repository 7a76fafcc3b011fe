"""Opening the database: one owner, checked, brought up to date; a damaged one is put aside."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agent.store.connection import KEPT_TABLES, configure, connect, quick_check
from agent.store.errors import (
    Fault,
    StoreError,
    StoreForeignError,
    StoreInUseError,
    StoreTooNewError,
    StoreUnwritableError,
    fault_of,
)
from agent.store.migrations import migrate, newest, version_of
from agent.store.salvage import salvage

APPLICATION_ID = 0x77624543
"""In the file's header, ``wbEC``: so we know it for ours."""
FILE_MODE = 0o640
FOLDER_MODE = 0o750
SUFFIXES = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged database was put aside and a new one begun."""

    moved_to: Path
    problem: str
    """What SQLite said."""
    saved: dict[str, int]
    """Rows carried over, per table."""

    def __str__(self) -> str:
        """One line for a technical alarm and the log."""
        saved = ", ".join(f"{count} {table}" for table, count in self.saved.items() if count)
        return (
            f"the database was damaged ({self.problem}) and is kept as {self.moved_to};"
            f" a new one was begun with {saved or 'nothing'} carried over;"
            " check the storage card"
        )


class Database:
    """The one connection that writes, and the lock that keeps it the only one."""

    def __init__(self, path: Path) -> None:
        """Do nothing yet; ``open`` does."""
        self.path = path
        self.damage: Damage | None = None
        self.generation = 0
        """Counts up when the file behind the path is another one: readers must reopen."""
        self._lock: int | None = None
        self._connection: sqlite3.Connection | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The writing connection."""
        if self._connection is None:
            raise StoreError(self.path, "is not open", "open the store first")
        return self._connection

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to write with."""
        return self._connection is not None

    def open(self, now_ns: int) -> None:
        """Lock, check, put aside if damaged, migrate.

        Raises:
            StoreInUseError, StoreTooNewError, StoreForeignError, StoreUnwritableError.
        """
        try:
            _make_folder(self.path.parent)
            self._lock = _lock(self.path)
            _make_file(self.path)
        except OSError as error:
            raise _unwritable(self.path, error.strerror or str(error)) from error
        try:
            self._open(now_ns)
        except BaseException:
            self.close()
            raise

    def replace(self, problem: str, now_ns: int) -> None:
        """Put the damaged database aside and begin a new one, with what can be carried over."""
        self.disconnect()
        stamp = datetime.fromtimestamp(now_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%S%fZ")
        aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}")
        for suffix in SUFFIXES:
            source = Path(f"{self.path}{suffix}")
            if source.exists():
                source.rename(f"{aside}{suffix}")
        _make_file(self.path)
        self._connection = _begin(self.path)
        migrate(self._connection)
        self.damage = Damage(aside, problem, salvage(aside, self._connection, KEPT_TABLES))
        self.generation += 1

    def reconnect(self) -> None:
        """Open the same file afresh after an I/O error."""
        self.disconnect()
        self._connection = _begin(self.path)

    def close(self) -> None:
        """Close the connection (SQLite then empties the WAL) and give the lock back."""
        self.disconnect()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def disconnect(self) -> None:
        """Close the connection, whatever state it is in; the lock stays."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self, now_ns: int) -> None:
        try:
            self._connection = _begin(self.path)
            problem = "; ".join(quick_check(self._connection, self.path.stat().st_size))
        except sqlite3.Error as error:
            if fault_of(error) is not Fault.DAMAGED:
                raise _unwritable(self.path, str(error)) from error
            problem = str(error)
        try:
            if problem:
                self.replace(problem, now_ns)
            migrate(self.connection)
        except (sqlite3.Error, OSError) as error:
            raise _unwritable(self.path, str(error)) from error


def _begin(path: Path) -> sqlite3.Connection:
    """Connect to a database of ours or an empty file; another's is left untouched."""
    connection = connect(path)
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        if tables and application != APPLICATION_ID:
            raise StoreForeignError(
                path, "is another program's database", "give wardbeat a path of its own"
            )
        version = version_of(connection)
        if version > newest():
            raise StoreTooNewError(
                path,
                f"has schema {version}, this wardbeat knows up to {newest()}",
                "update wardbeat or give it another database",
            )
        configure(connection)
        if not tables:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    except BaseException:
        connection.close()
        raise
    return connection


def _make_folder(folder: Path) -> None:
    for one in (*reversed(folder.parents), folder):
        if not one.exists():
            one.mkdir(FOLDER_MODE, exist_ok=True)


def _make_file(path: Path) -> None:
    """Create the file with its mode; SQLite gives -wal and -shm the same."""
    # Closing a descriptor of the file would drop SQLite's own locks on it: only before connect.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    os.close(descriptor)


def _lock(path: Path) -> int:
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
        os.close(descriptor)
        if error.errno != errno.EWOULDBLOCK:
            raise
        raise StoreInUseError(
            path,
            f"another agent has it (process {owner or 'unknown'})",
            "stop that one, or give this one another database",
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _unwritable(path: Path, why: str) -> StoreUnwritableError:
    return StoreUnwritableError(
        path, f"cannot be written ({why})", "check the mount, the free space and the folder's owner"
    )
