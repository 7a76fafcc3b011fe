"""From a monitor's separate waves to ECG rows: the leads of one moment side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.decoders.intellivue_names import LEADS, MILLIVOLT
from drivers.decoders.intellivue_values import Wave
from drivers.samples import Counts, Lead, LeadState

ANOTHER_AFTER = 8
"""Blocks (of 256 ms) without the waves that were there before others are taken instead."""
MOMENTS_WAITING = 8


@dataclass(frozen=True, slots=True)
class EcgSetup:
    """What a stream of rows is; another one is another stream."""

    rate_hz: float
    leads: tuple[Lead, ...]


@dataclass(frozen=True, slots=True)
class EcgBlock:
    """Consecutive rows of one moment."""

    setup: EcgSetup
    ticks: int
    """The monitor's relative time of the first row, 125 µs, wrapping."""
    period_ticks: int
    counts: Counts
    """Shape (n, leads)."""
    sampled: NDArray[np.bool_]
    """False where a lead has a mark in its sample's place, shape (n,)."""
    states: tuple[LeadState, ...]
    demo: bool


class EcgBlocks:
    """Collects the ECG waves of each moment, of several messages where need be.

    ``wanted`` names leads; without it all are taken that the monitor sends at the rate at which it
    sends most. A lead that vanishes is one whose electrode is off.
    """

    def __init__(self, wanted: Sequence[str] = ()) -> None:
        self._wanted = tuple(wanted)
        self._moments: dict[int, list[Wave]] = {}
        self._chosen: tuple[Wave, ...] = ()
        self._setup: EcgSetup | None = None
        self._without = 0

    def reset(self) -> None:
        """A new association: nothing waits any more, but the leads stay those they were."""
        self._moments.clear()

    def feed(self, waves: Sequence[Wave]) -> list[EcgBlock]:
        """Rows of all moments that ``waves`` completes, in order."""
        for wave in waves:
            if self._is_wanted(wave):
                self._moments.setdefault(wave.ticks, []).append(wave)
        # Moments keep their order of arrival, which is that of time even where it wraps.
        ready: list[EcgBlock] = []
        while self._moments:
            ticks, first = next(iter(self._moments.items()))
            if len(self._moments) == 1 and not self._complete(first):
                break
            del self._moments[ticks]
            ready += self._blocks(first)
        return ready

    def _is_wanted(self, wave: Wave) -> bool:
        name = LEADS.get(wave.physio)
        scaled = wave.spec.unit == MILLIVOLT and math.isfinite(wave.spec.per_count)
        chosen = not self._wanted or name in self._wanted
        return name is not None and scaled and wave.spec.per_count != 0 and chosen

    def _complete(self, waves: list[Wave]) -> bool:
        here = {(wave.physio, wave.spec.period_ticks) for wave in waves}
        wanted = {(wave.physio, wave.spec.period_ticks) for wave in self._chosen}
        return bool(wanted) and wanted <= here

    def _blocks(self, waves: list[Wave]) -> Iterator[EcgBlock]:
        here = self._of_chosen_rate(waves)
        if here.keys() - {wave.physio for wave in self._chosen}:
            self._choose(waves)
        elif not here:
            self._without += 1
            if self._chosen and self._without < ANOTHER_AFTER:
                return
            self._choose(waves)
        elif any(wave.spec != here[wave.physio].spec for wave in self._still(here)):
            self._choose(waves)
        self._without = 0
        here = self._of_chosen_rate(waves)
        if here and self._setup is not None:
            yield self._block(self._setup, here)

    def _still(self, here: dict[int, Wave]) -> list[Wave]:
        return [wave for wave in self._chosen if wave.physio in here]

    def _of_chosen_rate(self, waves: list[Wave]) -> dict[int, Wave]:
        if not self._chosen:
            return {}
        period = self._chosen[0].spec.period_ticks
        return {wave.physio: wave for wave in waves if wave.spec.period_ticks == period}

    def _choose(self, waves: list[Wave]) -> None:
        """Take the rate at which there are most leads; the lower, where as many."""
        rates: dict[int, dict[int, Wave]] = {}
        for wave in waves:
            rates.setdefault(wave.spec.period_ticks, {})[wave.physio] = wave
        period = max(rates, key=lambda period: (len(rates[period]), period))
        self._chosen = tuple(sorted(rates[period].values(), key=self._order))
        spec = self._chosen[0].spec
        self._setup = EcgSetup(spec.rate_hz, tuple(map(_lead, self._chosen)))

    def _order(self, wave: Wave) -> int:
        name = LEADS[wave.physio]
        return self._wanted.index(name) if self._wanted else 0

    def _block(self, setup: EcgSetup, here: dict[int, Wave]) -> EcgBlock:
        present = self._still(here)
        length = min(len(here[wave.physio].counts) for wave in present)
        counts = np.empty((length, len(self._chosen)), np.int32)
        sampled = np.ones(length, np.bool_)
        states = []
        for column, (chosen, lead) in enumerate(zip(self._chosen, setup.leads, strict=True)):
            wave = here.get(chosen.physio)
            if wave is None or wave.absent:
                counts[:, column] = round(lead.offset_counts)
                states.append(LeadState.OFF)
            else:
                counts[:, column] = wave.counts[:length]
                sampled &= wave.sampled[:length]
                states.append(LeadState.ON)
        first = here[present[0].physio]
        period = first.spec.period_ticks
        return EcgBlock(setup, first.ticks, period, counts, sampled, tuple(states), first.demo)


def _lead(wave: Wave) -> Lead:
    spec = wave.spec
    return Lead(
        LEADS[wave.physio],
        round(spec.per_count * 1000.0, 9),
        round(spec.zero_count, 6),
        (min(spec.raw_low, spec.raw_high), max(spec.raw_low, spec.raw_high)),
    )
