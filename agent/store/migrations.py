"""The schema's versions: plain .sql files, applied in order, counted in ``user_version``."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Migration:
    """One schema file; ``number`` is the version it leads to."""

    number: int
    name: str
    sql: str


@cache
def migrations() -> tuple[Migration, ...]:
    """All schema files, in order."""
    folder = files("agent.store").joinpath("schema")
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=_name)
    return tuple(
        Migration(int(file.name[:4]), file.name, file.read_text(encoding="utf-8")) for file in found
    )


def newest() -> int:
    """The version this program writes."""
    return migrations()[-1].number


def version_of(connection: sqlite3.Connection) -> int:
    """The version of a database; 0 before its first migration."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database up to date, each step in a transaction of its own."""
    for migration in migrations():
        if migration.number <= version_of(connection):
            continue
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{migration.sql}\n"
                f"PRAGMA user_version = {migration.number};\nCOMMIT;"
            )
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _name(file: object) -> str:
    return str(getattr(file, "name", ""))
