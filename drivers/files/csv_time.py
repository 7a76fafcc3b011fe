"""The stream axis of a text file: from a told rate, or from its time column; pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.files.record import Run

_JITTERED = 0.02
"""Share of uneven steps above which times are those of arrival, not of sampling."""


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Where each line's sample stands."""

    rate_hz: float
    runs: tuple[Run, ...]
    warnings: tuple[str, ...] = ()


def regular_axis(rate_hz: float, n_lines: int, *warnings: str) -> TimeAxis:
    """One sample a line, without gaps."""
    return TimeAxis(rate_hz, (Run(0, 0, n_lines),), warnings)


def timed_axis(
    times: Callable[[int, bool], NDArray[np.float64]], n_lines: int, chunk_lines: int
) -> TimeAxis | None:
    """Rate and gaps out of a time column; None where the times make no sense.

    ``times(chunk, only_first)`` gives the seconds of a chunk's lines, or of its first line alone:
    only chunks whose ends are not as far apart as their lines say are looked into.
    """
    first = times(0, False)
    steps = np.diff(first)
    steps = steps[np.isfinite(steps)]
    if not len(steps) or not np.nanmax(steps) > 0:
        return None
    typical = float(np.median(steps[steps > 0]))
    even = steps[(steps > 0) & (steps < 1.7 * typical)]
    n_chunks = -(-n_lines // chunk_lines)
    starts = np.array([times(chunk, True)[0] for chunk in range(n_chunks)])
    if len(even) < (1 - _JITTERED) * len(steps):
        return _arrival_axis(starts, first, times(n_chunks - 1, False)[-1], n_lines)
    rate = 1 / float(np.mean(even))
    span = float(np.sum(even))
    quantum = _quantum(first)
    # Whole chunks tell the rate more finely; those with a gap in them are left out.
    lengths = np.diff(starts)
    allowed = 1.5 + quantum / span * chunk_lines
    lengths = lengths[np.abs(lengths * rate - chunk_lines) < allowed]
    if len(lengths):
        span = float(np.median(lengths))
        rate = chunk_lines / span
    whole = round(rate)
    if whole and abs(rate - whole) / whole < 2e-4 + quantum / span:
        rate = float(whole)
    return _with_gaps(times, starts, n_lines, chunk_lines, rate, quantum)


def _arrival_axis(
    starts: NDArray[np.float64], first: NDArray[np.float64], last: float, n_lines: int
) -> TimeAxis | None:
    span = last - starts[0]
    if not span > 0 or not np.isfinite(span):
        return None
    rate = (n_lines - 1) / span
    return regular_axis(
        float(rate), n_lines, "its times are uneven: the rate is their mean, gaps are not seen"
    )


def _quantum(times: NDArray[np.float64]) -> float:
    """How finely the times are written."""
    for digits in range(1, 10):
        if np.allclose(times, np.round(times, digits), rtol=0, atol=10.0 ** -(digits + 2)):
            return float(10.0**-digits)
    return 1e-9


def _with_gaps(
    times: Callable[[int, bool], NDArray[np.float64]],
    starts: NDArray[np.float64],
    n_lines: int,
    chunk_lines: int,
    rate: float,
    quantum: float,
) -> TimeAxis:
    runs: list[Run] = []
    place = source = 0
    backwards = False
    for chunk in range(len(starts)):
        begin = chunk * chunk_lines
        lines = min(chunk_lines, n_lines - begin)
        is_last = chunk + 1 == len(starts)
        if not is_last and abs((starts[chunk + 1] - starts[chunk]) * rate - lines) < 0.5:
            continue
        there = times(chunk, False)
        if not is_last:
            there = np.append(there, starts[chunk + 1])
        steps = np.diff(there) * rate
        backwards |= bool(np.any(steps < 0))
        for jump in np.flatnonzero(steps > 1.5 + quantum * rate):
            after = begin + int(jump) + 1
            runs.append(Run(place, source, after - source))
            place += after - source + round(float(steps[jump])) - 1
            source = after
    runs.append(Run(place, source, n_lines - source))
    warnings = ("its times jump back: such lines are read as if they followed",)
    return TimeAxis(rate, tuple(runs), warnings if backwards else ())
