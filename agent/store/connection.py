"""SQLite connections of this store, and its one form of a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUSY_TIMEOUT_S = 5.0
WAL_LIMIT_BYTES = 4 * 2**20
"""A WAL that grew larger is cut back to this after the checkpoint."""
WAL_CHECKPOINT_PAGES = 1536
"""6 MB. Rarely reached, as the upkeep checkpoints every few seconds: a commit that has to do it
takes longer. With one transaction more the WAL stays below the reserve (``space``)."""
FULL_CHECK_BYTES = 64 * 2**20
"""Up to this size everything is checked at start (under a second on a Pi's card); beyond, only
the tables that may not be lost."""
KEPT_TABLES = (
    "runs", "streams", "alarm_changes", "outbox", "audit", "settings", "feedback",
)  # fmt: skip
"""What may not be lost: never dropped, never deleted by age or size, saved from damage."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit that may write; nothing is read or changed yet."""
    return sqlite3.connect(
        path, isolation_level=None, timeout=BUSY_TIMEOUT_S, check_same_thread=False
    )


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, beside a running agent or on an unused database."""
    try:
        return _read_only(path, "mode=ro")
    except sqlite3.OperationalError:
        # An unused database has no -wal and -shm, and who may not make them (another user, a
        # read-only disk) reads the file alone. Beside a running agent that would read nonsense.
        if Path(f"{path}-wal").exists():
            raise
        return _read_only(path, "immutable=1")


def _read_only(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        isolation_level=None,
        timeout=BUSY_TIMEOUT_S,
        check_same_thread=False,
    )
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA user_version").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def configure(connection: sqlite3.Connection) -> None:
    """Set what the writing connection needs.

    ``synchronous=FULL`` holds for everything: each commit is an fsync of the WAL. Under NORMAL
    a power cut would take all commits since the last checkpoint, far more than the 2 s of wave
    that may be lost; and as the WAL is one file, an alarm's fsync would write the waves anyway.
    One fsync a second is what the promise costs.
    """
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    # Debian's SQLite zeroes what is deleted: megabytes of WAL for a step of retention.
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_CHECKPOINT_PAGES}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One transaction: all of it is durable after the block, or none of it is there."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def quick_check(connection: sqlite3.Connection, size: int) -> list[str]:
    """SQLite's complaints; of a file of over FULL_CHECK_BYTES only those about KEPT_TABLES."""
    if size <= FULL_CHECK_BYTES:
        return _complaints(connection, "PRAGMA quick_check(10)")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    return [
        complaint
        for table in KEPT_TABLES
        if table in tables
        for complaint in _complaints(connection, f"PRAGMA quick_check({table})")
    ]


def _complaints(connection: sqlite3.Connection, pragma: str) -> list[str]:
    said = [str(row[0]).replace("\n", " ") for row in connection.execute(pragma)]
    return [] if said == ["ok"] else said
