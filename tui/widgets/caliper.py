"""Two lines on a frozen trace and what lies between them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tui.widgets.history import WaveHistory
from tui.widgets.sweep import Sweep


@dataclass(slots=True)
class Caliper:
    """Columns of the sweep, counted from stream time 0 as ``Sweep`` counts them."""

    fixed: int
    moving: int

    def move(self, columns: int, sweep: Sweep) -> None:
        """Move the moving line; it stays on the trace."""
        wanted = self.moving + columns
        if sweep.holds(wanted):
            self.moving = wanted

    def swap(self) -> None:
        """Move the other line from now on."""
        self.fixed, self.moving = self.moving, self.fixed

    def reading(self, sweep: Sweep, history: WaveHistory) -> str:
        """Return time, rate and voltage between the lines: ``840 ms  71 /min  0.9 mV``."""
        seconds = abs(sweep.time_at(self.moving) - sweep.time_at(self.fixed))
        text = f"{seconds * 1000:.0f} ms"
        if seconds >= 0.2:
            text += f"  {60 / seconds:.0f} /min"
        low = history.value(sweep.time_at(self.fixed))
        high = history.value(sweep.time_at(self.moving))
        if low is not None and high is not None:
            text += f"  {(high - low) / 1000:+.2f} mV"
        return text
