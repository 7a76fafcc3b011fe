"""The unit's wall clock: monotonic time plus an offset that follows the host's clock.

A Pi without a clock chip starts at a wrong time and is set minutes later, so intervals are
always monotonic and wall time is only ever *added*. A step is noticed, told and never spreads
into an interval.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STEP_NS = 500_000_000
"""A larger difference between host clock and ours is a step; NTP slews what is smaller."""

_STA_UNSYNC = 0x40
_TIME_ERROR = 5


@dataclass(frozen=True, slots=True)
class Step:
    """The host's wall clock was set."""

    by_ns: int


class UnitClock:
    """UTC for a monotonic instant; call ``follow`` about once a second."""

    def __init__(
        self,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns
        self._offset_ns = wall_ns() - monotonic_ns()

    def monotonic_ns(self) -> int:
        """Now, on the clock that never steps."""
        return self._monotonic_ns()

    def utc_ns(self, monotonic_ns: int | None = None) -> int:
        """UTC of a monotonic instant, now if none is given."""
        return (self._monotonic_ns() if monotonic_ns is None else monotonic_ns) + self._offset_ns

    def follow(self) -> Step | None:
        """Take over the host's clock; tells of a step."""
        offset_ns = self._wall_ns() - self._monotonic_ns()
        difference_ns = offset_ns - self._offset_ns
        self._offset_ns = offset_ns
        return Step(difference_ns) if abs(difference_ns) > STEP_NS else None


@dataclass(frozen=True, slots=True)
class StreamTime:
    """Where a stream axis lies on the monotonic clock, as its newest block told it."""

    nominal_rate_hz: float
    first: int
    host_ns: int
    true_rate_hz: float

    def monotonic_ns(self, stream_s: float) -> int:
        """Host monotonic time of a stream time."""
        samples = stream_s * self.nominal_rate_hz - self.first
        return self.host_ns + round(samples / self.true_rate_hz * 1e9)


def boot_id() -> str:
    """The kernel's id of this boot, so stored monotonic times can be told apart."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"pid{os.getpid()}"


class _Timex(ctypes.Structure):
    """The head of ``struct timex`` (Linux ``adjtimex(2)``); the rest is padding."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("padding", ctypes.c_byte * 256),
    )


@cache
def _libc() -> ctypes.CDLL | None:
    name = ctypes.util.find_library("c")
    return ctypes.CDLL(name, use_errno=True) if name else None


def is_synchronised() -> bool:
    """Whether the kernel's clock is disciplined by a time server (``adjtimex(2)``)."""
    libc = _libc()
    if libc is None or not hasattr(libc, "adjtimex"):
        return False
    answer = _Timex()
    state = libc.adjtimex(ctypes.byref(answer))
    return state != _TIME_ERROR and state >= 0 and not answer.status & _STA_UNSYNC
