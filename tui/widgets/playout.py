"""Plays a wave that comes in lumps as a steady sweep. Pure; time is an argument.

Messages come some five times a second, over a radio link often several at once. The head of the
sweep runs on the local clock, a little behind the newest sample; the distance grows when the
head catches up with it (a lump came late) and shrinks slowly again.
"""

from __future__ import annotations

from collections import deque

LEAST_DELAY_S = 0.3
"""One message of 200 ms and its jitter."""
MOST_DELAY_S = 1.5
STARVED_STEP_S = 0.1
RECOVER_PER_S = 0.01
REMEMBERED = 25
"""Messages, about five seconds: how long a slower link stays the standard."""


class Playout:
    """Maps the local clock to the stream time at which the sweep's head stands."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=REMEMBERED)
        self._newest_s = 0.0
        self._head_s: float | None = None
        self._asked_s = 0.0
        self._fed_s = 0.0
        self._starved = False
        self.delay_s = LEAST_DELAY_S

    def arrived(self, end_s: float, now_s: float) -> None:
        """Samples up to stream time ``end_s`` came at local time ``now_s``."""
        self._ends.append(now_s - end_s)
        self._newest_s = max(self._newest_s, end_s)
        self._fed_s = now_s

    def head(self, now_s: float) -> float | None:
        """Return the stream time to draw up to; None before the first message.

        It never runs backwards and never beyond the newest sample.
        """
        if not self._ends:
            return None
        self.delay_s = max(
            LEAST_DELAY_S, self.delay_s - RECOVER_PER_S * max(0.0, now_s - self._asked_s)
        )
        self._asked_s = now_s
        wanted = now_s - min(self._ends) - self.delay_s
        starved = wanted > self._newest_s
        if starved and not self._starved:
            self.delay_s = min(MOST_DELAY_S, self.delay_s + STARVED_STEP_S)
        self._starved = starved
        wanted = min(wanted, self._newest_s)
        self._head_s = wanted if self._head_s is None else max(self._head_s, wanted)
        return self._head_s

    def silent_s(self, now_s: float) -> float:
        """Return how long no samples have come."""
        return now_s - self._fed_s if self._ends else 0.0
