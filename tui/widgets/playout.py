"""Plays a wave that comes in lumps as a steady sweep. Pure; time is an argument.

Messages come some five times a second, over a radio link often several at once. The head of the
sweep runs on the local clock behind the newest sample, as far behind as the lumps of the last
seconds needed in order never to be overtaken.
"""

from __future__ import annotations

from collections import deque

LEAST_DELAY_S = 0.3
"""One message of 200 ms and its jitter."""
MOST_DELAY_S = 1.5
SPARE_S = 0.05
RECOVER_PER_S = 0.05
"""How fast the head comes nearer again when the lumps have become smaller."""
REMEMBERED = 50
"""Messages, about ten seconds: how long a lump counts."""


class Playout:
    """Maps the local clock to the stream time at which the sweep's head stands."""

    def __init__(self) -> None:
        self._lags: deque[float] = deque(maxlen=REMEMBERED)
        """Local time minus stream time of each message's end: the least is the true offset."""
        self._lumps: deque[float] = deque(maxlen=REMEMBERED)
        """How far the clock ran beyond the newest sample before each message came."""
        self._newest_s = 0.0
        self._head_s: float | None = None
        self._asked_s = 0.0
        self._fed_s = 0.0
        self.delay_s = LEAST_DELAY_S

    def arrived(self, end_s: float, now_s: float) -> None:
        """Samples up to stream time ``end_s`` came at local time ``now_s``."""
        if self._lags:
            self._lumps.append(now_s - min(self._lags) - self._newest_s)
        self._lags.append(now_s - end_s)
        self._newest_s = max(self._newest_s, end_s)
        self._fed_s = now_s

    def head(self, now_s: float) -> float | None:
        """Return the stream time to draw up to; None before the first message.

        It never runs backwards and never beyond the newest sample.
        """
        if not self._lags:
            return None
        eased = self.delay_s - RECOVER_PER_S * max(0.0, now_s - self._asked_s)
        needed = max(self._lumps, default=0.0) + SPARE_S
        self.delay_s = min(MOST_DELAY_S, max(LEAST_DELAY_S, eased, needed))
        self._asked_s = now_s
        wanted = min(now_s - min(self._lags) - self.delay_s, self._newest_s)
        self._head_s = wanted if self._head_s is None else max(self._head_s, wanted)
        return self._head_s

    def silent_s(self, now_s: float) -> float:
        """Return how long no samples have come."""
        return now_s - self._fed_s if self._lags else 0.0
