"""The shown heart rate against the expert's beats, second by second.

EC57 asks for the root mean square of the difference and leaves the averaging of the reference
to the tester. Here the expert's beats go through the rule the unit shows its rate by
(``agent.signal.rate``), as far as the chain had settled them; so what is measured is wrong beats,
not the averaging or its delay.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from agent.scoring import ReferenceBeats
from agent.signal.rate import RateMeter
from agent.signal.types import Hop

NEAR_FIBRILLATION_S = 10.0
"""So near to annotated flutter or fibrillation there is no reference rate."""


class RateComparison:
    """Hops in, the error of each second that has a shown and a reference rate out."""

    def __init__(self, reference: ReferenceBeats, from_s: float = 0.0) -> None:
        self._reference = reference
        self._from_s = from_s
        self._meter = RateMeter()
        self._at = 0
        self.errors: list[float] = []
        """|shown - reference|, beats per minute."""
        self.withheld = 0
        """Seconds with a reference rate and none shown."""

    def hop(self, hop: Hop) -> None:
        """Take one hop; they come in order."""
        if hop.rate is None:
            return
        times = self._reference.time_s
        while self._at < len(times) and times[self._at] < hop.settled_s:
            self._meter.beat(float(times[self._at]))
            self._at += 1
        true = self._meter.rate(hop.rate.time_s).bpm
        if true is None or hop.end_s <= self._from_s or self._fibrillates(hop.end_s):
            return
        if hop.rate.bpm is None:
            self.withheld += 1
        else:
            self.errors.append(abs(hop.rate.bpm - true))

    def _fibrillates(self, time_s: float) -> bool:
        near = NEAR_FIBRILLATION_S
        return any(a - near < time_s < b + near for a, b in self._reference.fibrillation)


def rate_errors(hops: Iterable[Hop], reference: ReferenceBeats) -> NDArray[np.float64]:
    """The errors of a whole recording, beats per minute."""
    comparison = RateComparison(reference)
    for hop in hops:
        comparison.hop(hop)
    return np.array(comparison.errors)


def root_mean_square(squares: float, count: int) -> float:
    """Of a sum of squares; NaN of nothing."""
    return float(np.sqrt(squares / count)) if count else float("nan")
