"""What may not be lost, read out of a damaged database as far as it can be read."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from agent.store.connection import connect_read_only, transaction

log = logging.getLogger(__name__)


def salvage(damaged: Path, connection: sqlite3.Connection, tables: Iterable[str]) -> dict[str, int]:
    """Copy rows of ``tables`` from a damaged file; returns how many per table.

    Each table is read forwards and backwards, so that one bad page costs that page's rows only.
    """
    saved = dict.fromkeys(tables, 0)
    try:
        source = connect_read_only(damaged)
    except sqlite3.DatabaseError as error:
        log.error("%s: nothing of it can be read: %s", damaged, error)
        return saved
    with contextlib.closing(source):
        source.row_factory = None
        for table in saved:
            try:
                saved[table] = _copy(source, connection, table)
            except sqlite3.DatabaseError as error:
                log.error("%s: table %s is lost: %s", damaged, table, error)
    return saved


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    theirs = _columns(source, table)
    columns = [name for name in _columns(target, table) if name in theirs]
    if not columns:
        return 0
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
    before = target.total_changes
    with transaction(target):
        for direction in ("ASC", "DESC"):
            query = (
                f"SELECT {names} FROM {table} NOT INDEXED"  # noqa: S608
                f" ORDER BY {columns[0]} {direction}"
            )
            for row in _readable(source, query, table):
                # A row of nonsense (a type the schema forbids) is no reason to lose the others.
                with contextlib.suppress(sqlite3.IntegrityError):
                    target.execute(insert, row)
    return target.total_changes - before


def _readable(source: sqlite3.Connection, query: str, table: str) -> Iterator[tuple[object, ...]]:
    try:
        yield from source.execute(query)
    except sqlite3.DatabaseError as error:
        log.warning("table %s: reading stops: %s", table, error)


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
