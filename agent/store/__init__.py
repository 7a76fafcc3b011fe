"""Everything a unit keeps: one SQLite database, one thread that writes it."""

from agent.store.errors import (
    StoreClosedError,
    StoreError,
    StoreForeignError,
    StoreInUseError,
    StoreOverloadedError,
    StoreTooNewError,
    StoreUnwritableError,
)
from agent.store.health import StoreHealth
from agent.store.judgements import Disagreement, StoredFeedback
from agent.store.reader import Reader, StoredVitals, Timed
from agent.store.retention import Retention
from agent.store.store import Store, StoreOptions
from agent.store.wave_reader import WaveSegment

__all__ = [
    "Disagreement",
    "Reader",
    "Retention",
    "Store",
    "StoreClosedError",
    "StoreError",
    "StoreForeignError",
    "StoreHealth",
    "StoreInUseError",
    "StoreOptions",
    "StoreOverloadedError",
    "StoreTooNewError",
    "StoreUnwritableError",
    "StoredFeedback",
    "StoredVitals",
    "Timed",
    "WaveSegment",
]
