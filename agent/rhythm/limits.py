"""The patient's limits: what a nurse may set and the analysis obeys."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

RANGES: Final[dict[str, tuple[float, float]]] = {
    "hr_high": (60.0, 250.0),
    "hr_low": (20.0, 150.0),
    "asystole_s": (3.0, 10.0),
    "pause_s": (1.5, 5.0),
    "vt_bpm": (80.0, 200.0),
    "vt_beats": (3, 15),
    "svt_bpm": (120.0, 250.0),
    "svt_beats": (3, 20),
    "pvc_per_min": (1, 60),
    "af_s": (20.0, 300.0),
}
"""What each limit may be set to; a monitor's own ranges, not a clinical recommendation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RhythmLimits:
    """Limits of one bed, adult defaults; ValueError outside ``RANGES`` or when they cross."""

    hr_high: float = 120.0
    """Beats per minute above which the rate is high."""
    hr_low: float = 50.0
    """Beats per minute below which the rate is low."""
    asystole_s: float = 4.0
    """Seconds without a QRS that are an asystole."""
    pause_s: float = 2.0
    """Seconds without a QRS that are a pause."""
    vt_bpm: float = 100.0
    """Rate from which a ventricular run is a tachycardia."""
    vt_beats: int = 5
    """Ventricular beats in a row that make the tachycardia sustained."""
    svt_bpm: float = 150.0
    """Rate from which a supraventricular run is a tachycardia."""
    svt_beats: int = 5
    """Beats in a row that make it."""
    pvc_per_min: int = 10
    """PVCs within 60 s that are too many."""
    af_s: float = 30.0
    """Seconds an atrial fibrillation must last to begin, and be gone to end."""

    def __post_init__(self) -> None:
        for field in fields(self):
            low, high = RANGES[field.name]
            value = getattr(self, field.name)
            if not low <= value <= high:
                raise ValueError(f"{field.name} = {value:g} is outside {low:g} to {high:g}")
        if self.hr_low >= self.hr_high:
            raise ValueError(f"hr_low = {self.hr_low:g} is not below hr_high = {self.hr_high:g}")
        if self.pause_s >= self.asystole_s:
            raise ValueError(
                f"pause_s = {self.pause_s:g} is not below asystole_s = {self.asystole_s:g}"
            )

    @property
    def extreme_high(self) -> float:
        """High limit + 20, not over 200 (but never below the high limit itself)."""
        return max(min(self.hr_high + 20.0, 200.0), self.hr_high)

    @property
    def extreme_low(self) -> float:
        """Low limit − 10, not under 30 (but never above the low limit itself)."""
        return min(max(self.hr_low - 10.0, 30.0), self.hr_low)
