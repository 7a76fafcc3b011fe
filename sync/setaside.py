"""Messages that the broker would not take: kept in the outbox, tried again later.

Pure: time is an argument (s, of any steady clock).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sync.outbox import Lane, OutboxMessage

REFUSED_S = 10.0
"""A refusal (not authorised, quota exceeded) may be mended at the broker any moment."""
BULK_S = 600.0
"""A strip or summary on which the broker closes costs a connection at each try."""
CLOSINGS = 3
"""A broker that closed so many times on the same message closes because of it."""


@dataclass(slots=True)
class SetAside:
    """Outbox numbers not to be sent now."""

    _until: dict[int, float] = field(default_factory=dict)
    _closings: dict[int, int] = field(default_factory=dict)
    reason: str = ""
    """The broker's last refusal, empty when nothing is set aside."""

    @property
    def cautious(self) -> bool:
        """True while the broker may be closing because of one message: send them one by one.

        Alone in flight, the guilty one is certain; and its refusal is not lost in the reset of a
        connection that still had packets to read.
        """
        return bool(self._closings)

    def numbers(self, now: float) -> frozenset[int]:
        """Return what is set aside at ``now``; what has waited long enough is free again."""
        self._until = {number: end for number, end in self._until.items() if end > now}
        if not self._until:
            self.reason = ""
        return frozenset(self._until)

    def refused(self, number: int, reason: str, now: float) -> None:
        """The broker said no to this message."""
        self._until[number] = now + REFUSED_S
        self._closings.pop(number, None)
        self.reason = reason

    def closed_on(self, message: OutboxMessage, now: float) -> None:
        """The broker closed the connection while this was the first message in flight."""
        closings = self._closings.get(message.number, 0) + 1
        self._closings = {message.number: closings}
        if closings >= CLOSINGS:
            self._closings = {}
            self._until[message.number] = now + (
                REFUSED_S if message.lane == Lane.ALARM else BULK_S
            )
            self.reason = f"closes the connection on message {message.id} to {message.topic}"

    def taken(self, number: int) -> None:
        """The broker confirmed this message."""
        self._closings.pop(number, None)
        self._until.pop(number, None)
