"""What is sent and not yet confirmed: how much more may be sent, and when the broker is too late.

Pure: time is an argument (s, of any steady clock).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

BULK_BYTES = 32 * 1024
"""Bytes of strips and summaries that may be under way: an alarm raised now waits behind them."""
SLOWEST_BYTES_PER_S = 4096
"""The slowest line on which a message still counts as under way rather than lost."""
ALARM_SHARE = 5
"""One slot of so many is kept free for alarms."""

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    item: T
    size: int
    urgent: bool
    sent_at: float
    overtaken: bool = False
    """A message sent after this one is confirmed already: brokers confirm in order."""


class Window(Generic[T]):
    """The messages of one connection that wait for their PUBACK."""

    def __init__(self, limit: int, ack_timeout_s: float) -> None:
        self._limit = max(limit, 1)
        self._bulk_limit = max(self._limit - max(self._limit // ALARM_SHARE, 1), 1)
        self._ack_timeout_s = ack_timeout_s
        self._flights: dict[int, _Flight[T]] = {}
        self._bytes = 0
        self._bulk_bytes = 0
        self._last_ack_at = float("-inf")

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def free(self) -> int:
        """Slots an alarm may still take."""
        return self._limit - len(self._flights)

    @property
    def items(self) -> list[T]:
        """What is in flight, oldest first."""
        return [flight.item for flight in self._flights.values()]

    def admits(self, size: int, *, urgent: bool, occupied: int = 0) -> bool:
        """Return whether a message of ``size`` bytes may be sent now.

        Urgent ones (alarms, states, replies) use the whole window; bulk leaves a share of the
        slots free and only ``BULK_BYTES`` on the line, or one message if it is larger.
        ``occupied`` slots are taken by messages that wait for another try.
        """
        slots = len(self._flights) + occupied
        if urgent:
            return slots < self._limit
        fits = self._bulk_bytes == 0 or self._bulk_bytes + size <= BULK_BYTES
        return slots < self._bulk_limit and fits

    def sent(self, packet_id: int, item: T, size: int, *, urgent: bool, now: float) -> None:
        """A message went out under ``packet_id``."""
        self._flights[packet_id] = _Flight(item, size, urgent, now)
        self._bytes += size
        self._bulk_bytes += 0 if urgent else size

    def confirmed(self, packet_id: int, now: float) -> T | None:
        """PUBACK came; return its message, None for a packet id that is not in flight."""
        oldest = next(iter(self._flights), None)
        flight = self._flights.pop(packet_id, None)
        if flight is None:
            return None
        if oldest is not None and oldest != packet_id:
            self._flights[oldest].overtaken = True
        self._bytes -= flight.size
        self._bulk_bytes -= 0 if flight.urgent else flight.size
        self._last_ack_at = now
        return flight.item

    def overdue_s(self, now: float) -> float:
        """Return by how many seconds the broker's PUBACK is too late; 0 while it is in time.

        A slow broker that goes on confirming is never too late. One that confirms a later
        message has lost the earlier PUBACK (MQTT 5.0, 4.6: in order), so that one is.
        """
        oldest = next(iter(self._flights.values()), None)
        if oldest is None:
            return 0.0
        since = oldest.sent_at if oldest.overtaken else max(oldest.sent_at, self._last_ack_at)
        allowed = self._ack_timeout_s + self._bytes / SLOWEST_BYTES_PER_S
        return max(now - since - allowed, 0.0)
