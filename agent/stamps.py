"""What every message carries: id, time, boot, sequence number, clock state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Literal, TypedDict

from agent.clock import UnitClock, is_synchronised


class Stamp(TypedDict):
    """The head of a ``sync.contract.Message``, to be passed as keywords."""

    id: str
    time: int
    boot: str
    seq: int
    clock: Literal["synced", "unsynced"]


class Stamper:
    """Stamps the messages of one run of a unit; sequence numbers count per topic."""

    def __init__(
        self, boot: str, clock: UnitClock, new_id: Callable[[], str], *, trust_clock: bool
    ) -> None:
        self.boot = boot
        self._clock = clock
        self._new_id = new_id
        self._trust = trust_clock
        self._seq: Counter[str] = Counter()
        self._synced = self._is_synced()

    @property
    def synced(self) -> bool:
        """Whether the wall clock can be believed."""
        return self._synced

    def refresh(self) -> None:
        """Ask the kernel again (about once a minute)."""
        self._synced = self._is_synced()

    def stamp(self, topic: str) -> Stamp:
        """The head of the next message on ``topic``."""
        self._seq[topic] += 1
        return Stamp(
            id=self._new_id(),
            time=self._clock.utc_ns(),
            boot=self.boot,
            seq=self._seq[topic],
            clock="synced" if self._synced else "unsynced",
        )

    def _is_synced(self) -> bool:
        return self._trust or is_synchronised()
