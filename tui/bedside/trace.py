"""The wave on its way from the feed to the sweep: kept, played out evenly, beats in time. Pure."""

from __future__ import annotations

import heapq

from sync.contract import Wave
from tui.widgets.history import WaveHistory
from tui.widgets.playout import Playout

KEEP_S = 300.0
"""A whole cascade at the slowest speed, and a freeze of two minutes before it."""
PULSE = "|"
"""Stands for a pacing pulse where a beat has its class."""
STALE_S = 1.5
"""Without samples for so long the trace is greyed."""


class Trace:
    """One lead of one bed."""

    def __init__(self) -> None:
        self.history = WaveHistory(KEEP_S)
        self.lead = ""
        """Name of the lead; empty before the first message."""
        self._playout = Playout()
        self._beats: list[tuple[float, str]] = []
        self._newest = ("", -1)

    def take(self, wave: Wave, now_s: float) -> None:
        """Take in a message; one that the agent repeats after a reconnection changes nothing."""
        boot, seq = self._newest
        if wave.boot == boot and wave.seq <= seq:
            return
        self._newest = (wave.boot, wave.seq)
        self.lead = wave.lead
        if wave.boot != boot or wave.start_s < self.history.start_s:
            self.history.clear()
        end_before = self.history.end_s
        self.history.add(wave.start_s, wave.rate_hz, wave.microvolts)
        if self.history.end_s < end_before or not end_before:
            self._playout = Playout()
            self._beats.clear()
        self._playout.arrived(self.history.end_s, now_s)
        for beat in wave.beats:
            heapq.heappush(self._beats, beat)
        for pulse_s in wave.pulses:
            heapq.heappush(self._beats, (pulse_s, PULSE))

    def forget(self) -> None:
        """Turn to another bed."""
        self.history.clear()
        self._playout, self._newest, self.lead = Playout(), ("", -1), ""
        self._beats.clear()

    def head(self, now_s: float) -> float | None:
        """Return the stream time to draw up to."""
        return self._playout.head(now_s)

    def beats_until(self, head_s: float) -> list[tuple[float, str]]:
        """Return what the head has reached since the last call: beats (time, class), pulses."""
        reached = []
        while self._beats and self._beats[0][0] <= head_s:
            reached.append(heapq.heappop(self._beats))
        return reached

    def is_live(self, now_s: float) -> bool:
        """Return whether samples are coming."""
        return self._playout.silent_s(now_s) < STALE_S
