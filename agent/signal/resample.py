"""Streaming resampler: the device's rate to the chain's ``RATE_HZ`` on the same stream axis.

Polyphase windowed-sinc interpolation whose phase is kept in integers, so it never drifts and
each output sample is the same however the input was cut. Its delay is not an output delay on
the axis: sample ``k`` stands at ``k / RATE_HZ`` seconds of stream time, it only becomes known
``look_ahead_s`` later.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from agent.signal.types import RATE_HZ

LOWEST_HZ = 100.0
HIGHEST_HZ = 2000.0
_HALF_WIDTH = 4.0
"""Samples of the slower rate on each side: pass band to 0.3, stop band from 0.7 of it, -50 dB."""
_KAISER_BETA = 4.5
_MOST_PHASES = 2048
"""Rates without a small common multiple take the nearest earlier of so many phases (< 5 µs)."""


@dataclass(frozen=True, slots=True)
class Resampled:
    """Consecutive chain samples of one stretch without a gap."""

    first: int
    """Chain index of the first one."""
    microvolts: NDArray[np.float64]
    """Shape (n, leads)."""


class Resampler:
    """One stretch of samples after another; ``start`` at a beginning and after each gap.

    Outside a stretch its first and last samples are held, so an electrode's offset does not
    ring into the signal at a gap's edges.
    """

    def __init__(self, rate_hz: float, leads: int) -> None:
        """``rate_hz`` from 100 to 2000, not necessarily whole; ValueError beyond."""
        if not LOWEST_HZ <= rate_hz <= HIGHEST_HZ:
            raise ValueError(
                f"a sampling rate of {rate_hz:g} Hz can't be analysed; "
                f"use a device rate from {LOWEST_HZ:g} to {HIGHEST_HZ:g} Hz"
            )
        self._leads = leads
        step = Fraction(rate_hz).limit_denominator(1_000_000) / RATE_HZ
        self._num, self._den = step.numerator, step.denominator
        self._same = step == 1
        slower = min(rate_hz, RATE_HZ)
        self._half = 0 if self._same else int(np.ceil(_HALF_WIDTH * rate_hz / slower))
        self.look_ahead_s = self._half / rate_hz
        self._phases = min(self._den, _MOST_PHASES)
        self._bank = _phase_bank(self._phases, self._half, slower / rate_hz)
        self._tail = np.empty((0, self._leads))
        self._tail_first = 0
        self._next = 0

    def start(self, first: int) -> None:
        """A stretch begins with input sample ``first`` of the stream axis."""
        self._tail = np.empty((0, self._leads))
        self._tail_first = first
        self._next = self.chain_index(first)

    def chain_index(self, sample: int) -> int:
        """The first chain sample at or after input sample ``sample`` of the axis."""
        return -(-sample * self._den // self._num)

    def push(self, microvolts: NDArray[np.float64]) -> Resampled:
        """Take the stretch's next samples, shape (n, leads); give what is known by them."""
        if not len(microvolts):
            return Resampled(self._next, microvolts)
        if not len(self._tail) and not self._same:
            microvolts = np.concatenate([np.repeat(microvolts[:1], self._half, 0), microvolts])
            self._tail_first -= self._half
        return self._produce(microvolts, self._half)

    def finish(self) -> Resampled:
        """The stretch is over: give its last samples, up to the last input sample."""
        if self._same or not len(self._tail):
            return Resampled(self._next, self._tail[:0])
        return self._produce(np.repeat(self._tail[-1:], self._half, 0), self._half)

    def _produce(self, more: NDArray[np.float64], half: int) -> Resampled:
        if self._same:
            first, self._next = self._next, self._next + len(more)
            return Resampled(first, more)
        known = np.concatenate([self._tail, more]) if len(self._tail) else more
        # Output k needs the input samples up to floor(k * num / den) + half.
        last = self._tail_first + len(known) - 1 - half
        stop = max(self._next, self.chain_index(last + 1))
        produced = Resampled(self._next, self._weighed(known, self._tail_first, self._next, stop))
        self._next = stop
        keep = stop * self._num // self._den - (half - 1) - self._tail_first
        self._tail_first += keep
        self._tail = known[keep:]
        return produced

    def known_with(self, samples: int) -> int:
        """The first chain sample that needs an input sample at or after ``samples`` of the axis."""
        return self.chain_index(samples - self._half)

    def alone(self, first: int, microvolts: NDArray[np.float64]) -> Resampled:
        """What input samples of one lead from ``first`` on, shape (n,), give to the output.

        The rest of the axis counts as zero; nothing of the stretch under way changes.
        """
        if self._same:
            return Resampled(first, microvolts[:, None])
        nothing = np.zeros(2 * self._half)
        known = np.concatenate([nothing, microvolts, nothing])[:, None]
        start, stop = self.known_with(first), self.chain_index(first + len(microvolts) + self._half)
        return Resampled(start, self._weighed(known, first - len(nothing), start, stop))

    def _weighed(
        self, known: NDArray[np.float64], known_first: int, start: int, stop: int
    ) -> NDArray[np.float64]:
        """Chain samples ``start`` to ``stop`` - 1 out of input samples from ``known_first`` on."""
        k = np.arange(start, stop, dtype=np.int64) * self._num
        whole = k // self._den
        phase = (k - whole * self._den) * self._phases // self._den
        at = whole - (self._half - 1) - known_first
        taps = self._bank[:, phase]
        out = np.empty((len(k), known.shape[1]))
        for lead in range(known.shape[1]):
            # Tap by tap: a fixed order of additions, so no cut can change a rounding.
            line = np.ascontiguousarray(known[:, lead])
            total = np.zeros(len(k))
            for j in range(2 * self._half):
                total += taps[j] * line[at + j]
            out[:, lead] = total
        return out


def _phase_bank(phases: int, half: int, slower: float) -> NDArray[np.float64]:
    """Taps for each fraction of an input step, shape (2 * half, phases); each column sums to 1."""
    distance = (np.arange(2 * half) - (half - 1))[:, None] - np.arange(phases) / phases
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (distance / max(half, 1)) ** 2, 0, 1)))
    taps: NDArray[np.float64] = np.sinc(distance * slower) * window
    return taps / taps.sum(axis=0) if half else taps
