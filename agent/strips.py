"""The strip: the ECG around an alarm, 10 s before and 10 s after, for whoever judges it later."""

from __future__ import annotations

import logging
from collections import deque

from agent.alarms.types import AlarmChange, AlarmKind, Phase, Priority
from agent.outlets import Outlets
from agent.stamps import Stamp
from agent.store import Store, StoreError, WaveSegment
from sync.contract import Strip
from sync.topics import Kind

log = logging.getLogger(__name__)

BEFORE_NS = AFTER_NS = 10_000_000_000
WAITING_LIMIT = 64
"""Strips still to be cut; beyond it the oldest is given up (its wave is in the store anyway)."""


def strip_of(cut: WaveSegment, stamp: Stamp, unit: str, bed: str, alarm_id: str) -> Strip:
    """The contract's strip of a stretch of wave."""
    leads = cut.stream.info.leads
    return Strip(
        **stamp,
        unit=unit,
        bed=bed,
        alarm_id=alarm_id,
        start=cut.start_ns,
        rate_hz=cut.true_rate_hz,
        leads=tuple(lead.name for lead in leads),
        microvolts_per_count=tuple(lead.microvolts_per_count for lead in leads),
        offset_counts=tuple(lead.offset_counts for lead in leads),
        samples=len(cut.counts),
        counts=cut.packed_counts(),
        gaps=cut.relative_gaps,
    )


class StripTaker:
    """Cuts one bed's strips when their last sample is there."""

    def __init__(self, bed: str, store: Store, outlets: Outlets) -> None:
        self._bed = bed
        self._store = store
        self._outlets = outlets
        self._waiting: deque[tuple[int, str]] = deque(maxlen=WAITING_LIMIT)

    def note(self, change: AlarmChange, now_ns: int) -> None:
        """Remember an alarm that wants a strip."""
        alarm = change.alarm
        wanted = alarm.kind is AlarmKind.PHYSIOLOGICAL and alarm.priority is not Priority.LOW
        if wanted and change.phase is Phase.START:
            self._waiting.append((now_ns, alarm.id))

    async def take_due(self, now_ns: int) -> None:
        """Cut and enqueue the strips whose time has come."""
        while self._waiting and now_ns - self._waiting[0][0] >= AFTER_NS:
            raised_ns, alarm_id = self._waiting.popleft()
            try:
                await self._take(raised_ns, alarm_id)
            except StoreError as error:
                log.error("bed %s: no strip of alarm %s: %s", self._bed, alarm_id, error)

    async def _take(self, raised_ns: int, alarm_id: str) -> None:
        cut = await self._store.strip(self._bed, raised_ns - BEFORE_NS, raised_ns + AFTER_NS)
        if cut is None:
            return
        stamp = self._outlets.stamp(Kind.STRIP, self._bed)
        strip = strip_of(cut, stamp, self._outlets.unit_name, self._bed, alarm_id)
        await self._store.enqueue([self._outlets.for_outbox(strip)])
        self._outlets.shown(strip)
