"""The durable outbox as the publisher sees it; ``agent.store`` implements it in SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class Lane(IntEnum):
    """Order of sending: all waiting alarms before any strip, strips before summaries, and so on."""

    ALARM = 0
    STRIP = 1
    SUMMARY = 2
    FEEDBACK = 3


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One message that must reach the broker; it leaves the outbox on PUBACK only."""

    id: str
    """UUIDv7, the message's own id."""
    lane: Lane
    topic: str
    payload: bytes
    content_type: str = "application/json"
    number: int = 0
    """Order within the outbox, given by the store."""


class Outbox(Protocol):
    """What the publisher needs of the store."""

    async def pending(self, limit: int, skip: frozenset[int]) -> Sequence[OutboxMessage]:
        """Lanes in order, oldest first within one, without the numbers in ``skip`` (in flight)."""

    async def confirmed(self, numbers: Sequence[int]) -> None:
        """The broker sent PUBACK for these: delete them, durably."""

    async def wait_for_news(self, timeout_s: float) -> None:
        """Return when a message was added, or after the timeout."""
