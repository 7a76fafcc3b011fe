"""How the store is doing: what the unit tells the centre and what becomes a technical alarm."""

from __future__ import annotations

from dataclasses import dataclass

from sync.contract import BufferState


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """A snapshot; cheap to ask for at any time."""

    wave_hours: float = 0.0
    """Hours of wave stored, over all beds together."""
    size_mb: float = 0.0
    """The database in use, without its free pages."""
    wal_mb: float = 0.0
    disk_free_mb: float | None = None
    hours_left: float | None = None
    """Until old waves must go to make room, at the present rate; None until that is known."""
    outbox: int = 0
    """Messages the broker has not confirmed."""
    waiting_kb: float = 0.0
    """Waves and trends waiting for their commit."""
    lag_s: float = 0.0
    """How long the oldest of what waits has waited; over some seconds the disk is too slow."""
    dropped_samples: int = 0
    """Samples given up since the start because the disk was full or too slow."""
    dropped_rows: int = 0
    """Trend rows given up likewise."""
    rejected_rows: int = 0
    """Rows the database would not take; the log says why."""
    disk_full: bool = False
    """A write failed for it within the last minute."""
    nearly_full: bool = False
    """Less is free than shall be left to others: the oldest waves go before their time."""
    troubles: tuple[str, ...] = ()
    """One line each, worth a technical alarm: what happened and what to do."""

    def buffer(self) -> BufferState:
        """As the wire contract says it."""
        return BufferState(
            wave_hours=round(self.wave_hours, 2),
            hours_left=None if self.hours_left is None else round(self.hours_left, 1),
            outbox=self.outbox,
            disk_free_mb=None if self.disk_free_mb is None else round(self.disk_free_mb, 1),
        )
