"""Devices whose packets no counter numbers, or one that turns too fast: the host's clock judges.

A loss shows only as a stream that stays behind the host's clock. Reads may come late by tens of
milliseconds, so what seems missing is believed when no read of a quarter second was in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.axis import Missing, Part, StreamAxis
from drivers.continuity import HOLD_NS
from drivers.samples import DriverError, GapCause, LeadState

BEHIND_S = 0.1
"""A stream so far behind has lost samples; less cannot be told from a late read, and the stream's
clock takes it up."""

RATE_CHECK_S = 10.0
RATE_TOLERANCE = 0.035
"""The stream's clock follows a rate that is up to 3 % off; the rest is the jitter of 10 s."""

PAUSE_NS = 500_000_000
"""A silence as long as this is a loss, not a slow rate."""

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 100.0, 2000.0
"""What the analysis takes: below, a QRS is a handful of samples and its width not to be told."""


def check_analysable(rate_hz: float, address: str, unit: str) -> None:
    """Refuse a measured rate that nothing can analyse; ``unit`` is what is counted: "lines".

    Raises :class:`DriverError` that says which side it errs on and what would do.
    """
    if rate_hz < LOWEST_RATE_HZ:
        what = f"sends {rate_hz:.0f} {unit} a second: the rate is too low to analyse"
        remedy = f"let it send at least {LOWEST_RATE_HZ:.0f}, better 250"
    elif rate_hz > HIGHEST_RATE_HZ:
        what = f"sends {rate_hz:.0f} {unit} a second: the rate is too high to analyse"
        remedy = f"let it send at most {HIGHEST_RATE_HZ:.0f}, better 250"
    else:
        return
    raise DriverError(what, address, remedy)


@dataclass(frozen=True, slots=True)
class _Read:
    parts: Sequence[Part]
    length: int
    host_ns: int
    leads: tuple[LeadState, ...]


class UncountedStream:
    """Runs of samples laid on an axis, with gaps where the host's clock shows them.

    ``modulus`` is that of a counter by which the caller found the losses below one turn; what is
    added here is then a whole number of turns.
    """

    def __init__(self, axis: StreamAxis, rate_hz: float, *, modulus: int = 1) -> None:
        self._axis = axis
        self._limit = max(BEHIND_S * rate_hz, modulus / 2)
        self._modulus = modulus
        self._cause: GapCause | None = None
        self._held: list[_Read] = []

    def restart(self, cause: GapCause) -> None:
        """The next samples follow a loss of unknown length: of the link, or the device."""
        self.settle()
        self._cause = cause

    def arrive(
        self, parts: Sequence[Part], host_ns: int, leads: tuple[LeadState, ...] = ()
    ) -> None:
        """Take runs of samples and known losses, the last of which arrived at ``host_ns``."""
        length = sum(part.count if isinstance(part, Missing) else len(part) for part in parts)
        if not length:
            return
        if self._cause is not None or not self._axis.clock.started:
            self._axis.rejoin(parts, host_ns, self._cause or GapCause.LINK_LOST, leads=leads)
            self._cause = None
            return
        self._held.append(_Read(parts, length, host_ns, leads))
        behind = self._behind()
        if behind <= self._limit:
            self._lay(0)
        elif host_ns - self._held[0].host_ns >= HOLD_NS:
            self._lay(behind)

    def settle(self) -> None:
        """Lay what was held back: nothing more will come to judge it by."""
        if self._held:
            behind = self._behind()
            self._lay(behind if behind > self._limit else 0)

    def _behind(self) -> int:
        """Samples that the least delayed read lacks by the host's clock."""
        end, least = self._axis.next, None
        for read in self._held:
            end += read.length
            lacks = self._axis.clock.index_at(read.host_ns) + 1 - end
            least = lacks if least is None else min(least, lacks)
        return least or 0

    def _lay(self, behind: int) -> None:
        missing = round(behind / self._modulus) * self._modulus
        for number, read in enumerate(self._held):
            before = [Missing(missing, exact=False)] if missing and number == 0 else []
            self._axis.arrive([*before, *read.parts], read.host_ns, leads=read.leads)
        self._held.clear()


class RateCheck:
    """Refuses a stream whose rate is not the configured one: every time in it would be wrong.

    It judges stretches of ``over_s``; ``measured`` where nobody configured the rate: then a rate
    that moved away is no fault of the configuration, and is measured anew.
    """

    def __init__(
        self,
        rate_hz: float,
        address: str,
        unit: str,
        *,
        over_s: float = RATE_CHECK_S,
        measured: bool = False,
    ) -> None:
        self._rate_hz = rate_hz
        self._address = address
        self._unit = unit
        self._over_s = over_s
        self._measured = measured
        self._begun_ns: int | None = None
        self._last_ns = 0
        self._samples = 0

    def start(self) -> None:
        """A new session."""
        self._begun_ns = None

    def observe(self, samples: int, host_ns: int) -> None:
        """Take the samples of one read; raises DriverError after ``over_s`` of a wrong rate."""
        if self._begun_ns is None or host_ns - self._last_ns > PAUSE_NS:
            self._begun_ns, self._samples = host_ns, 0
        else:
            self._samples += samples
        self._last_ns = host_ns
        passed_s = (host_ns - self._begun_ns) / 1e9
        if passed_s < self._over_s:
            return
        rate_hz = self._samples / passed_s
        self._begun_ns, self._samples = host_ns, 0
        if abs(rate_hz / self._rate_hz - 1) <= RATE_TOLERANCE:
            return
        check_analysable(rate_hz, self._address, self._unit)
        raise DriverError(
            f"sends {rate_hz:.0f} {self._unit} a second, not {self._rate_hz:.0f}",
            self._address,
            "its rate is measured anew"
            if self._measured
            else f"set rate_hz to the device's rate, perhaps {rate_hz:.0f}",
            transient=self._measured,
        )
