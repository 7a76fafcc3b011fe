"""Message ids: UUIDv7, so that ids sort by the time they were made (RFC 9562, 5.7)."""

from __future__ import annotations

import secrets
import threading
import time
import uuid

_lock = threading.Lock()
_last_tick = 0


def new_id(time_ns: int | None = None) -> str:
    """Return a new UUIDv7 in its canonical text form.

    Args:
        time_ns: UTC, ns since 1970; the host's clock when None.

    Within a process every id is greater than the one before, also when the clock steps back:
    the 12 bits after the milliseconds carry a fraction of 1/4096 ms (RFC 9562, 6.2 method 3),
    and a tick already used is followed by the next one.
    """
    now = time.time_ns() if time_ns is None else time_ns
    milliseconds, rest = divmod(max(now, 0), 1_000_000)
    tick = milliseconds << 12 | rest * 4096 // 1_000_000
    global _last_tick
    with _lock:
        tick = _last_tick = max(tick, _last_tick + 1)
    high = (tick >> 12) << 16 | 0x7000 | (tick & 0xFFF)
    low = 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=high << 64 | low))
