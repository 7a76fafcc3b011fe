"""Lays samples, losses and restarts on a stream axis and gives them out as blocks and gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.clock import StreamClock
from drivers.continuity import Counter, Losses
from drivers.samples import Counts, Emit, Gap, GapCause, LeadState, SampleBlock


@dataclass(frozen=True, slots=True)
class Missing:
    """A number of samples that were lost between two runs of samples."""

    count: int
    cause: GapCause = GapCause.LOST_PACKETS
    exact: bool = True


Part: TypeAlias = Counts | Missing


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
        device_ns: int | None = None,
        leads: tuple[LeadState, ...] = (),
    ) -> None:
        """Lay the first samples after a loss of unknown length: the clock bounds the gap.

        The very first samples of a stream have nothing before them and begin it.
        """
        if self.clock.started:
            due = self.clock.index_at(host_ns) + 1 - _length(parts)
            parts = [Missing(max(1, due - self.next), cause, exact=False), *parts]
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


class CountedStream:
    """Packets of one sample with a wrapping counter, laid on an axis with exact losses."""

    def __init__(self, axis: StreamAxis, rate_hz: float, *, modulus: int = 256) -> None:
        self._axis = axis
        self._counter = Counter(rate_hz, modulus=modulus)
        self._cause: GapCause | None = GapCause.LINK_LOST
        self._held: list[tuple[NDArray[np.integer], Counts]] = []
        self._held_ns = 0

    def restart(self, cause: GapCause) -> None:
        """The next packet follows a loss that no counter tells: of the link, or the device."""
        self.settle()
        self._counter.start()
        self._cause = cause

    def arrive(self, counters: NDArray[np.integer], counts: Counts, host_ns: int) -> None:
        """Take packets (counters (n,), counts (n, leads)), the last arrived at ``host_ns``."""
        if not len(counters):
            return
        self._held.append((counters, counts))
        self._held_ns = host_ns
        numbers = np.concatenate([held[0] for held in self._held])
        losses = self._counter.judge(numbers, host_ns)
        if losses is not None:
            self._lay(losses)

    def settle(self) -> None:
        """Lay what was held back: nothing more will come to judge it by."""
        if self._held:
            numbers = np.concatenate([held[0] for held in self._held])
            losses = self._counter.settle(numbers, self._held_ns)
            self._lay(losses)

    def _lay(self, losses: Losses) -> None:
        counts = np.concatenate([held[1] for held in self._held])
        self._held.clear()
        before, doubted = losses.before, losses.doubted
        if doubted is not None:
            self._lay_run(counts[:doubted], before[:doubted], losses.exact)
            self._cause = GapCause.DEVICE_RESTART
            counts, before = counts[doubted:], before[doubted:].copy()
            before[0] = 0
        self._lay_run(counts, before, losses.exact)

    def _lay_run(self, counts: Counts, before: NDArray[np.int64], exact: bool) -> None:
        if not len(counts):
            return
        parts: list[Part] = []
        start = 0
        for jump in np.flatnonzero(before).tolist():
            parts += [counts[start:jump], Missing(int(before[jump]), exact=exact)]
            start = jump
        parts.append(counts[start:])
        if self._cause is None:
            self._axis.arrive(parts, self._held_ns)
        else:
            self._axis.rejoin(parts, self._held_ns, self._cause)
            self._cause = None
