"""Is anything missing between one packet and the next? By counter, or by the device's clock.

Both judges combine what the device says with the host's monotonic time, because each alone is
ambiguous: a counter modulo 256 says the same for 3 and for 259 lost packets (OpenBCI_GUI issue
1262), and a device clock that starts anew says nothing of how long it was off.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

HOLD_NS = 250_000_000
"""How long packets are held back when a silence could hide a whole turn of the counter: a backlog
that a stalled USB hub or a busy host delivers late is here by then, a lost packet never is."""

LONGEST_QUICK = 1024
"""Packets of one batch that are compared with an unbroken sequence at once."""

LINKED_LIMIT_NS = 30_000_000_000
"""On a standing link device and host time may part this far: packets may queue, not vanish."""

RELINKED_LIMIT_NS = 2_000_000_000
"""Over a lost link nothing queues: device and host must tell the same length of absence."""

REPEAT_LIMIT_NS = 2_000_000_000
"""A stamp less far back is an old packet delivered again, one further back a clock set anew."""

PERIOD_SAMPLES = 8192
"""The sample period is the mean over about so many samples: it follows drift, not jitter."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What is missing before each packet of a batch."""

    before: NDArray[np.int64] | None
    """Packets lost just before packet i, shape (n,); None where none is."""
    exact: bool = True
    """False where counter and arrival times agree too badly to be sure of the turns."""
    doubted: int | None = None
    """Packet whose counter jumped although no time had passed: the device began anew there."""


class Counter:
    """Losses by a packet counter that wraps, its turns told apart by arrival times.

    ``rate_hz`` is packets per second, ``modulus`` the counter's period, up to 256. Arrival times
    need be right only to half a turn (0.5 s at 250 Hz and 256).
    """

    def __init__(self, rate_hz: float, *, modulus: int = 256) -> None:
        self._rate_hz = rate_hz
        self._modulus = modulus
        self._previous: int | None = None
        self._judged_ns = 0
        self._held_ns: int | None = None
        self._held_excess = 0.0
        self._turns = bytes(range(modulus)) * (LONGEST_QUICK // modulus + 2)

    def start(self) -> None:
        """A new session, or a restarted device: the next packet has nothing before it."""
        self._previous = None
        self._held_ns = None

    def judge(self, counters: NDArray[np.integer], host_ns: int) -> Losses | None:
        """Losses before each packet of a batch whose last packet arrived at ``host_ns``.

        None when a silence might hide a whole turn and it is too early to say: hold the batch
        back and pass it again, with what has arrived since, or ask :meth:`settle`.
        """
        before, excess = self._counted(counters, host_ns)
        if excess > self._modulus / 2:
            if self._held_ns is None or excess < self._held_excess - self._modulus / 16:
                # The first sign, or a backlog that is still being delivered.
                self._held_ns, self._held_excess = host_ns, excess
            if host_ns - self._held_ns < HOLD_NS:
                return None
        return self._accept(counters, host_ns, before, excess)

    def settle(self, counters: NDArray[np.integer], host_ns: int) -> Losses:
        """The same without waiting: the link is gone and no more will come."""
        before, excess = self._counted(counters, host_ns)
        return self._accept(counters, host_ns, before, excess)

    def _counted(
        self, counters: NDArray[np.integer], host_ns: int
    ) -> tuple[NDArray[np.int64] | None, float]:
        """Losses by the counter alone, and how many more packets the time would have held."""
        before = None if self._in_sequence(counters) else self._jumps(counters)
        if self._previous is None:
            return before, 0.0
        passed = (host_ns - self._judged_ns) * 1e-9 * self._rate_hz
        lost = 0 if before is None else int(before.sum())
        return before, passed - len(counters) - lost

    def _in_sequence(self, counters: NDArray[np.integer]) -> bool:
        """True where nothing is missing: nearly always, so it is found out in one comparison."""
        count, first = len(counters), int(counters[0])
        if self._previous is not None and first != (self._previous + 1) % self._modulus:
            return False
        expected = self._turns[first : first + count]
        return count <= LONGEST_QUICK and counters.astype(np.uint8).tobytes() == expected

    def _jumps(self, counters: NDArray[np.integer]) -> NDArray[np.int64]:
        numbers = counters.astype(np.int64)
        previous = numbers[0] - 1 if self._previous is None else self._previous
        return (np.diff(numbers, prepend=previous) - 1) % self._modulus

    def _accept(
        self,
        counters: NDArray[np.integer],
        host_ns: int,
        before: NDArray[np.int64] | None,
        excess: float,
    ) -> Losses:
        turns = max(0, round(excess / self._modulus))
        unexplained = abs(excess - turns * self._modulus) > self._modulus / 4
        doubted = None
        if turns > 0:
            # So long a silence lies between two reads, and this batch began with the second.
            before = np.zeros(len(counters), np.int64) if before is None else before
            before[0] += turns * self._modulus
        elif unexplained and excess < 0 and before is not None:
            doubted = int(before.argmax())
        self._previous = int(counters[-1])
        self._judged_ns = host_ns
        self._held_ns = None
        return Losses(before, exact=not (turns and unexplained), doubted=doubted)


class Step(Enum):
    """How a packet follows the one before it, by the device's clock."""

    CONTINUES = "continues"
    REPEATED = "repeated"
    """The same packet again, or one from before: to be thrown away."""
    RESTARTED = "restarted"
    """The device's clock began anew: its times and those before lie on different lines."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A packet's step, and the samples missing before it (0 unless it continues)."""

    step: Step
    missing: int = 0


class DeviceTime:
    """Losses by the device's own time stamps: ``round(elapsed / period) - samples`` is missing.

    The sample period is measured from the stamps themselves as soon as two packets follow each
    other, since a nominal 130 Hz may be 130.17.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_ns = 1e9 / rate_hz
        self._last_ns: int | None = None
        self._last_host_ns = 0
        self._run_ns = 0
        self._run_samples = 0

    def judge(
        self, device_ns: int, samples: int, host_ns: int, *, relinked: bool = False
    ) -> Judgement:
        """Judge the packet of ``samples`` samples whose last one is at ``device_ns``.

        ``relinked`` says that the link was lost and made again since the packet before.
        """
        if self._last_ns is None:
            self._accept(device_ns, host_ns)
            return Judgement(Step.CONTINUES)
        elapsed = device_ns - self._last_ns
        apart = abs(elapsed - (host_ns - self._last_host_ns))
        limit = RELINKED_LIMIT_NS if relinked else LINKED_LIMIT_NS
        if apart > limit or elapsed < -REPEAT_LIMIT_NS:
            self._accept(device_ns, host_ns)
            return Judgement(Step.RESTARTED)
        if elapsed <= 0:
            return Judgement(Step.REPEATED)
        missing = max(0, round(elapsed / self._period_ns) - samples)
        self._accept(device_ns, host_ns)
        if missing == 0:
            self._measure(elapsed, samples)
        return Judgement(Step.CONTINUES, missing)

    def _accept(self, device_ns: int, host_ns: int) -> None:
        self._last_ns = device_ns
        self._last_host_ns = host_ns

    def _measure(self, elapsed: int, samples: int) -> None:
        self._run_ns += elapsed
        self._run_samples += samples
        if self._run_samples > PERIOD_SAMPLES:
            self._run_ns //= 2
            self._run_samples //= 2
        self._period_ns = self._run_ns / self._run_samples
