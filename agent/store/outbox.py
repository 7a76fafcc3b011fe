"""The outbox in SQLite, as the publisher sees it (``sync.outbox.Outbox``)."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence

from agent.store.reader import ReaderThread
from agent.store.rows import INSERT_MESSAGE
from sync.outbox import Lane, OutboxMessage

Durably = Callable[[Callable[[sqlite3.Connection], int]], Awaitable[None]]
"""Runs a function in a transaction of the writer; returns after the commit."""


def insert_messages(connection: sqlite3.Connection, messages: Iterable[OutboxMessage]) -> int:
    """Queue messages; one whose id is queued already is left as it is. Returns how many."""
    return connection.executemany(
        INSERT_MESSAGE,
        [(m.id, m.lane.value, m.topic, m.payload, m.content_type) for m in messages],
    ).rowcount


class SqliteOutbox:
    """Implements ``sync.outbox.Outbox``; for one publisher."""

    def __init__(self, durably: Durably, reader: ReaderThread) -> None:
        self._durably = durably
        self._reader = reader
        self._news = asyncio.Event()

    async def pending(self, limit: int, skip: frozenset[int]) -> Sequence[OutboxMessage]:
        """Lanes in order, oldest first within one, without the numbers in ``skip``."""
        return await self._reader.call(lambda reader: _pending(reader.connection, limit, skip))

    async def confirmed(self, numbers: Sequence[int]) -> None:
        """The broker has these: they are gone, durably, when this returns."""
        wanted = [(number,) for number in numbers]
        if wanted:
            await self._durably(lambda connection: -_delete(connection, wanted))

    async def wait_for_news(self, timeout_s: float) -> None:
        """Return when a message was added since the last call, or after the timeout."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), timeout_s)
        self._news.clear()

    def notify(self) -> None:
        """A message was added."""
        self._news.set()


def _pending(
    connection: sqlite3.Connection, limit: int, skip: frozenset[int]
) -> list[OutboxMessage]:
    rows = connection.execute(
        "SELECT number, id, lane, topic, payload, content_type FROM outbox"
        " ORDER BY lane, number LIMIT ?",
        (limit + len(skip),),
    )
    found: list[OutboxMessage] = []
    for row in rows:
        if len(found) == limit:
            break
        if row["number"] not in skip:
            found.append(
                OutboxMessage(
                    id=row["id"],
                    lane=Lane(row["lane"]),
                    topic=row["topic"],
                    payload=row["payload"],
                    content_type=row["content_type"],
                    number=row["number"],
                )
            )
    return found


def _delete(connection: sqlite3.Connection, numbers: Sequence[tuple[int]]) -> int:
    return connection.executemany("DELETE FROM outbox WHERE number = ?", numbers).rowcount
