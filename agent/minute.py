"""The minute's summary: what a central station keeps for the trend."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from agent.rhythm.types import Beat, BeatClass, Rhythm
from agent.signal.rate import hrv
from agent.signal.types import Rate, SignalState

MINUTE_S = 60.0


class Minute:
    """Gathers one minute; a new one begins after each ``figures``."""

    def __init__(self) -> None:
        self._rates: list[float] = []
        self._kinds: Counter[BeatClass] = Counter()
        self._rr_ms: list[float] = []
        self._rhythm_s: Counter[Rhythm] = Counter()
        self._unusable_s = 0
        self._gaps = 0
        self._lost_samples = 0
        self._pulses = 0

    def beat(self, beat: Beat) -> None:
        """Count a beat; only intervals between normal beats make the variability figures."""
        self._kinds[beat.kind] += 1
        if beat.kind is BeatClass.N and beat.rr_s is not None:
            self._rr_ms.append(beat.rr_s * 1000)

    def second(self, rate: Rate, rhythm: Rhythm, state: SignalState) -> None:
        """Take one second's rate, rhythm and signal state."""
        if rate.bpm is not None:
            self._rates.append(rate.bpm)
        self._rhythm_s[rhythm] += 1
        self._unusable_s += state is not SignalState.USABLE

    def pulses(self, count: int) -> None:
        """Count pacing pulses."""
        self._pulses += count

    def gap(self, lost_samples: int) -> None:
        """Count a gap."""
        self._gaps += 1
        self._lost_samples += lost_samples

    def figures(self) -> dict[str, Any]:
        """The fields of ``sync.contract.Summary`` this minute gives."""
        rates = np.array(self._rates)
        variability = hrv(self._rr_ms)
        return {
            "rate_min": float(rates.min()) if len(rates) else None,
            "rate_mean": round(float(rates.mean()), 1) if len(rates) else None,
            "rate_max": float(rates.max()) if len(rates) else None,
            "beats": self._kinds.total(),
            "pvcs": self._kinds[BeatClass.V],
            "seconds_by_rhythm": {r.value: float(n) for r, n in self._rhythm_s.items()},
            "seconds_unusable": float(self._unusable_s),
            "gaps": self._gaps,
            "lost_samples": self._lost_samples,
            "rmssd_ms": variability.rmssd_ms,
            "sdnn_ms": variability.sdnn_ms,
            "pnn50": variability.pnn50,
            "pulses": self._pulses,
        }
