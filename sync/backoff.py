"""How long to wait before the broker is tried again."""

from __future__ import annotations


def backoff_s(attempt: int, low_s: float, high_s: float, jitter: float) -> float:
    """Return the pause before try ``attempt`` (0, 1, …), doubling up to ``high_s``.

    ``jitter`` in 0…1 takes up to half of it away, so that a ward does not come back in step.
    """
    ceiling = min(high_s, low_s * 2.0 ** min(attempt, 30))
    return ceiling * (1 - jitter / 2)
