"""Lays samples, losses and restarts on a stream axis and gives them out as blocks and gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from drivers.clock import StreamClock
from drivers.continuity import HOLD_NS, Counter, Losses
from drivers.samples import Counts, Emit, Gap, GapCause, LeadState, SampleBlock


@dataclass(frozen=True, slots=True)
class Missing:
    """A number of samples that were lost between two runs of samples."""

    count: int
    cause: GapCause = GapCause.LOST_PACKETS
    exact: bool = True


Part: TypeAlias = Counts | Missing

_Scalar = TypeVar("_Scalar", bound=np.generic)


def runs(counts: Counts, sampled: NDArray[np.bool_]) -> list[Part]:
    """Runs of samples, and of places where the device says that there is none."""
    if not len(counts):
        return []
    edges = (np.flatnonzero(np.diff(sampled)) + 1).tolist()
    parts: list[Part] = []
    for start, end in zip([0, *edges], [*edges, len(counts)], strict=True):
        if sampled[start]:
            parts.append(counts[start:end])
        else:
            parts.append(Missing(end - start, GapCause.NOT_SAMPLED))
    return parts


def _length(parts: Sequence[Part]) -> int:
    return sum(part.count if isinstance(part, Missing) else len(part) for part in parts)


class StreamAxis:
    """The axis of one stream: it alone knows the index of the next sample.

    What it emits follows without a hole: each block or gap begins where the one before ended.
    """

    def __init__(self, emit: Emit, clock: StreamClock) -> None:
        self.clock = clock
        self.next = 0
        """Index of the sample that comes next."""
        self.lost_samples = 0
        """Samples missing so far, whatever the cause."""
        self._emit = emit

    def arrive(
        self,
        parts: Sequence[Part],
        host_ns: int,
        *,
        device_ns: int | None = None,
        leads: tuple[LeadState, ...] = (),
    ) -> None:
        """Lay runs of samples and losses, in order, whose last sample arrived at ``host_ns``.

        ``device_ns`` is the device's time of that last sample, where it has a clock.
        """
        end = self.next + _length(parts)
        if end == self.next:
            return
        self.clock.observe(end, host_ns, device_ns)
        for part in parts:
            self._give(part, leads)

    def rejoin(
        self,
        parts: Sequence[Part],
        host_ns: int,
        cause: GapCause,
        *,
        first: int | None = None,
        device_ns: int | None = None,
        leads: tuple[LeadState, ...] = (),
    ) -> None:
        """Lay the first samples after a loss of unknown length: the clock bounds the gap.

        ``first`` is the index they begin at, where the caller knows better than that the last
        of them arrived without delay. A stream's very first samples have nothing before them.
        """
        if self.clock.started:
            if first is None:
                first = self.clock.index_at(host_ns) + 1 - _length(parts)
            parts = [Missing(max(1, first - self.next), cause, exact=False), *parts]
            self.clock.forget()
        self.arrive(parts, host_ns, device_ns=device_ns, leads=leads)

    def _give(self, part: Part, leads: tuple[LeadState, ...]) -> None:
        first, host_ns = self.next, self.clock.host_ns(self.next)
        if isinstance(part, Missing):
            if part.count:
                self._emit(Gap(first, part.count, part.cause, host_ns, part.exact))
                self.lost_samples += part.count
                self.next += part.count
        elif len(part):
            self._emit(SampleBlock(first, part, host_ns, self.clock.rate_hz, leads))
            self.next += len(part)


JOIN_NS = 300_000_000
"""After a loss of unknown length so much is collected: the least delayed of some five reads tells
where on the axis the device stands, one read alone may have come late."""


@dataclass(frozen=True, slots=True)
class _Batch:
    counters: NDArray[np.integer]
    counts: Counts
    host_ns: int


class CountedStream:
    """Packets of one sample with a wrapping counter, laid on an axis with exact losses."""

    def __init__(self, axis: StreamAxis, rate_hz: float, *, modulus: int = 256) -> None:
        self._axis = axis
        self._counter = Counter(rate_hz, modulus=modulus)
        self._cause: GapCause | None = GapCause.LINK_LOST
        self._held: list[_Batch] = []

    def restart(self, cause: GapCause) -> None:
        """The next packet follows a loss that no counter tells: of the link, or the device."""
        self.settle()
        self._counter.start()
        self._cause = cause

    def arrive(self, counters: NDArray[np.integer], counts: Counts, host_ns: int) -> None:
        """Take packets (counters (n,), counts (n, leads)), the last arrived at ``host_ns``."""
        if not len(counters):
            return
        if self._held and host_ns - self._held[-1].host_ns >= HOLD_NS:
            self.settle()
        self._held.append(_Batch(counters, counts, host_ns))
        joining = self._cause is not None and self._axis.clock.started
        if joining and host_ns - self._held[0].host_ns < JOIN_NS:
            return
        losses = self._counter.judge(self._numbers(), host_ns)
        if losses is not None:
            self._lay(losses)

    def settle(self) -> None:
        """Lay what was held back: nothing more will come to judge it by."""
        if self._held:
            self._lay(self._counter.settle(self._numbers(), self._held[-1].host_ns))

    def _numbers(self) -> NDArray[np.integer]:
        return _joined([batch.counters for batch in self._held])

    def _lay(self, losses: Losses) -> None:
        counts = _joined([batch.counts for batch in self._held])
        before, doubted, host_ns = losses.before, losses.doubted, self._held[-1].host_ns
        if self._cause is not None and self._axis.clock.started:
            self._axis.rejoin(
                _parts(counts, before, losses.exact),
                host_ns,
                self._cause,
                first=self._least_delayed_start(before),
            )
        elif doubted is None or before is None:
            self._axis.arrive(_parts(counts, before, losses.exact), host_ns)
        else:
            self._axis.arrive(_parts(counts[:doubted], before[:doubted], losses.exact), host_ns)
            before = before[doubted:].copy()
            before[0] = 0
            parts = _parts(counts[doubted:], before, losses.exact)
            self._axis.rejoin(parts, host_ns, GapCause.DEVICE_RESTART)
        self._cause = None
        self._held.clear()

    def _least_delayed_start(self, before: NDArray[np.int64] | None) -> int:
        """Where the held packets begin on the axis, by the one read of them that came soonest."""
        starts, end = [], 0
        for batch in self._held:
            end += len(batch.counters)
            laid = end if before is None else end + int(before[:end].sum())
            starts.append(self._axis.clock.index_at(batch.host_ns) + 1 - laid)
        return min(starts)


def _joined(arrays: list[NDArray[_Scalar]]) -> NDArray[_Scalar]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _parts(counts: Counts, before: NDArray[np.int64] | None, exact: bool) -> list[Part]:
    """Runs of samples and, between them, what is missing."""
    if before is None:
        return [counts]
    parts: list[Part] = []
    start = 0
    for jump in np.flatnonzero(before).tolist():
        parts += [counts[start:jump], Missing(int(before[jump]), exact=exact)]
        start = jump
    parts.append(counts[start:])
    return parts
