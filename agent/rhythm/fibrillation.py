"""Ventricular fibrillation and flutter out of the wave itself. Stands alone without a network.

A normal ECG is calm most of the time and steep for a moment in each beat; a fibrillating or
fluttering ventricle writes a wave without isoelectric line, never calm and nowhere much steeper
than elsewhere, three to nine times a second. Four figures of the last four seconds say so; the
leakage is that of the "VF filter" (Kuo and Dillman 1978). Bounds: docs/rhythm.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from agent.rhythm.beats import NamedBeat
from agent.rhythm.episode import Episode
from agent.rhythm.types import Finding, FindingKind
from agent.signal.types import RATE_HZ, Signal
from models.inference import RhythmProbabilities

WINDOW_S = 4
"""The wave must last so long (usual definition)."""
HEIGHT_UV = 200.0
"""Lower is no fibrillatory wave but standstill with noise (fine VF is 0.1-0.2 mV and higher)."""
STEEPNESS = 3.6
"""98th percentile of the slope over its mean: 2.5-3.4 in VF and flutter, 5-14 in beats."""
CALM = 0.48
"""Share of samples under a fifth of their second's peak: 0.15-0.45 in VF, 0.5-0.95 in beats."""
LEAKAGE = 0.80
"""What is left of the wave after a notch at its mean frequency: 1 in noise, 0 in a sine."""
CROSSINGS = (5.0, 24.0)
"""Zero crossings per second: under these it is a slow wide rhythm, over these it is noise."""
NEEDED = 1
"""Seconds in a row whose window must be a fibrillatory wave."""
GONE = 3
"""Seconds in a row whose window must be none, to end it."""
ORGANISED_BEATS = 4
ORGANISED_SPREAD = 1.25
"""Longest over shortest RR interval of a regular row."""
ORGANISED_BPM = 180.0
P_ALONE = 0.90
"""Stage 2's probability that is believed without the rule."""
P_AGAINST = 0.05
"""Stage 2's probability under which the rule needs a second window more."""
P_SECONDS = 3
"""Seconds in a row for which stage 2 must say so."""


def is_organised(beats: Sequence[NamedBeat], since_s: float) -> bool:
    """Whether the beats since then are regular, of one shape and not too fast for beats.

    A tall wide rhythm leaves no isoelectric line either, but a detector does not find a steady
    row of equal complexes in a fibrillation.
    """
    recent = [named for named in beats if named.beat.time_s >= since_s]
    if len(recent) < ORGANISED_BEATS:
        return False
    rr = [b.beat.time_s - a.beat.time_s for a, b in pairwise(recent)]
    shapes = Counter(named.shape.index for named in recent)
    return (
        max(rr) <= ORGANISED_SPREAD * min(rr)
        and sum(rr) / len(rr) >= 60.0 / ORGANISED_BPM
        and shapes.most_common(1)[0][1] >= len(recent) - 1
    )


@dataclass(frozen=True, slots=True)
class Wave:
    """Figures of a window, see the bounds above."""

    height_uv: float
    steepness: float
    calm: float
    leakage: float
    crossings_hz: float

    @property
    def fibrillating(self) -> bool:
        """Whether all of them lie where VF and flutter do."""
        return (
            self.height_uv >= HEIGHT_UV
            and self.steepness < STEEPNESS
            and self.calm < CALM
            and self.leakage < LEAKAGE
            and CROSSINGS[0] <= self.crossings_hz <= CROSSINGS[1]
        )


def is_fibrillatory(window: Signal) -> bool:
    """Whether a window, shape (n * 250,), is one fibrillatory wave; cheapest figures first."""
    slope = np.abs(np.diff(window))
    mean_slope = float(slope.mean())
    if not mean_slope > 0.0:  # also where a sample is missing
        return False
    rank = int(0.98 * len(slope))
    if float(np.partition(slope, rank)[rank]) >= STEEPNESS * mean_slope:
        return False
    return measure(window).fibrillating


def measure(window: Signal) -> Wave:
    """The figures of a window, shape (n * 250,), without missing samples."""
    wave = window - np.median(window)
    size = np.abs(wave)
    slope = np.abs(np.diff(wave))
    seconds = size.reshape(-1, RATE_HZ)
    total = float(size.sum()) + 1e-6
    half_period = int(np.clip(round(np.pi * total / (float(slope.sum()) + 1e-6)), 2, RATE_HZ))
    early, late = wave[:-half_period], wave[half_period:]
    rank = int(0.98 * len(slope))
    centred = wave - wave.mean()
    return Wave(
        height_uv=2.0 * float(np.percentile(size, 95)),
        steepness=float(np.partition(slope, rank)[rank]) / (float(slope.mean()) + 1e-9),
        calm=float((seconds < 0.2 * seconds.max(1, keepdims=True)).mean()),
        leakage=float(np.abs(early + late).sum())
        / (float(np.abs(early).sum() + np.abs(late).sum()) + 1e-6),
        crossings_hz=float(np.count_nonzero(centred[1:] * centred[:-1] < 0)) / len(seconds),
    )


class Fibrillation:
    """VF, second by second: the rule, and stage 2 where it runs."""

    def __init__(self) -> None:
        self.episode = Episode(FindingKind.VF)
        self._for = 0
        self._against = 0
        self._likely = 0
        self._last: RhythmProbabilities | None = None
        self._judge = "rules"

    def stage2(self, probabilities: RhythmProbabilities, judged_by: str) -> None:
        """Stage 2's word on the newest second."""
        self._last = probabilities
        self._judge = judged_by
        self._likely = self._likely + 1 if probabilities.vf >= P_ALONE else 0

    def gap(self) -> None:
        """Unusable signal: what was counted before it no longer counts."""
        self._for = self._likely = 0
        self._last = None

    def lose(self, at_s: float, found_s: float) -> list[Finding]:
        """The signal has been unusable for too long to say that it still fibrillates."""
        return self.episode.end(at_s, found_s)

    def second(self, window: Signal, beats: Sequence[NamedBeat], end_s: float) -> list[Finding]:
        """A further second, which ends the window of WINDOW_S seconds; the newest beats."""
        rule = is_fibrillatory(window) and not is_organised(beats, end_s - WINDOW_S)
        network = self._likely >= P_SECONDS
        doubted = self._last is not None and self._last.vf < P_AGAINST
        self._for = self._for + 1 if rule else 0
        if network or self._for >= NEEDED + doubted:
            self._against = 0
            return self.episode.begin(
                end_s - (WINDOW_S if rule else P_SECONDS),
                end_s,
                confidence=self._last.vf if network and self._last else 0.8,
                judged_by=self._judge if network else "rules",
            )
        self._against = 0 if rule else self._against + 1
        if self.episode.open and self._against >= GONE:
            return self.episode.end(end_s - GONE, end_s)
        return []
