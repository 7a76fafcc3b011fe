"""The alarm engine: conditions in, alarm changes out. A pure state machine.

A *condition* is what the analysis or the unit finds true or no longer true. An *alarm* is what
the house makes of it: it starts (after the row's delay), may latch when the condition is over,
is acknowledged by a person, ends. Time comes in as UTC nanoseconds and may jump either way:
a step back delays nothing that was due (see ``tick``).

Rules kept here (IEC 60601-1-8 as makers apply it; ``docs/alarms.md``):

* a latching alarm whose condition is over stays ``LATCHED`` until acknowledged;
* acknowledging touches the alarms named, and no later one;
* a latched alarm whose condition comes back is active again under its old id;
* of a family only the worst active alarm is shown; the others are ``hidden``, not lost;
* a short event is shown for ``SHOWN_AT_LEAST_NS`` although its cause is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.alarms.types import (
    Alarm,
    AlarmChange,
    AlarmState,
    Definition,
    Phase,
    Priority,
)

SHOWN_AT_LEAST_NS = 5_000_000_000
"""A whole burst of the medium alarm sound fits in; shorter, nobody could find the cause."""
RESUME_WITHIN_NS = 20_000_000_000
"""After a restart a stored alarm's condition must be found again within this, or it is over."""
AUDIO_PAUSE_MAX_S = 120.0
"""The common practice; the responsible organisation may set less, a nurse cannot set more."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as its finder reports it."""

    code: str
    present: bool
    onset_ns: int
    value: float | None = None
    limit: float | None = None
    confidence: float = 1.0
    judged_by: str = "rules"
    detail: str = ""
    """A technical alarm's own remedy, where it knows better than the catalogue."""


@dataclass(slots=True)
class _Entry:
    """One alarm and what the engine remembers beside it."""

    alarm: Alarm
    present: bool
    since_ns: int
    """When it was raised on the engine's own clock, which steps along with the host's."""
    resume_until_ns: int | None = None
    over_ns: int | None = None
    """When the condition was over, of an alarm that is still shown for its shortest time."""


class AlarmEngine:
    """All alarms of one bed."""

    def __init__(
        self,
        catalogue: Mapping[str, Definition],
        new_id: Callable[[], str],
        *,
        audio_pause_max_s: float = AUDIO_PAUSE_MAX_S,
    ) -> None:
        self._catalogue = catalogue
        self._new_id = new_id
        self._audio_pause_max_s = audio_pause_max_s
        self._entries: dict[str, _Entry] = {}
        self._waiting: dict[str, Condition] = {}
        self._waiting_since: dict[str, int] = {}
        self._now_ns = 0
        self._audio_paused_until_ns: int | None = None

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """Active and latched alarms, most urgent first, hidden ones after the shown."""
        return tuple(sorted((entry.alarm for entry in self._entries.values()), key=_urgency))

    @property
    def audio_paused_until_ns(self) -> int | None:
        """End of the audio pause, or None."""
        return self._audio_paused_until_ns

    def restore(self, alarms: Iterable[Alarm], now_ns: int) -> None:
        """Take up the alarms that were open when the unit stopped, under their old ids."""
        self._now_ns = now_ns
        for alarm in alarms:
            if alarm.code in self._catalogue and alarm.state is not AlarmState.INACTIVE:
                present = alarm.state is AlarmState.ACTIVE
                until = now_ns + RESUME_WITHIN_NS if present else None
                self._entries[alarm.code] = _Entry(alarm, present, now_ns, until)

    def condition(self, condition: Condition, now_ns: int) -> list[AlarmChange]:
        """Take one report; unchanged reports cost nothing and change nothing."""
        definition = self._catalogue[condition.code]
        changes = self.tick(now_ns)
        entry = self._entries.get(condition.code)
        if not condition.present:
            self._waiting.pop(condition.code, None)
            self._waiting_since.pop(condition.code, None)
            if entry is not None and entry.present:
                changes += self._over(entry, condition.onset_ns)
        elif entry is not None:
            changes += self._again(entry, condition)
        elif definition.enabled and definition.delay_s <= 0:
            changes += self._start(definition, condition)
        elif definition.enabled:
            self._waiting_since.setdefault(condition.code, self._now_ns)
            self._waiting.setdefault(condition.code, condition)
        return changes + self._rehide()

    def tick(self, now_ns: int) -> list[AlarmChange]:
        """Let time pass: delays run out, short events end, audio pauses end.

        When the clock steps back, everything the engine waits for moves back with it, so that no
        alarm comes late because of the step.
        """
        if now_ns < self._now_ns:
            self._shift(now_ns - self._now_ns)
        self._now_ns = now_ns
        changes: list[AlarmChange] = []
        for code, condition in list(self._waiting.items()):
            definition = self._catalogue[code]
            if now_ns - self._waiting_since[code] >= definition.delay_s * 1e9:
                del self._waiting[code], self._waiting_since[code]
                changes += self._start(definition, condition)
        for entry in list(self._entries.values()):
            changes += self._age(entry)
        if self._audio_paused_until_ns is not None and now_ns >= self._audio_paused_until_ns:
            self._audio_paused_until_ns = None
        return changes + self._rehide()

    def acknowledge(
        self, alarm_ids: Sequence[str], by: str, now_ns: int
    ) -> tuple[list[AlarmChange], str]:
        """Acknowledge the alarms named, or all open now when none is named.

        Returns the changes, and why nothing changed where nothing did.
        """
        changes = self.tick(now_ns)
        wanted = [
            entry
            for entry in self._entries.values()
            if not alarm_ids or entry.alarm.id in alarm_ids
        ]
        if not wanted:
            return changes, "no such alarm is active or latched now"
        for entry in wanted:
            if entry.alarm.state is AlarmState.LATCHED:
                changes.append(self._end(entry, by=by, acknowledged=True))
            elif not entry.alarm.acknowledged:
                entry.alarm = replace(entry.alarm, acknowledged=True)
                changes.append(self._change(entry.alarm, Phase.UPDATE, by))
        return changes + self._rehide(), ""

    def pause_audio(self, seconds: float | None, now_ns: int) -> int:
        """Silence the sound, never the sight, for a limited time; returns its end, UTC ns."""
        allowed = self._audio_pause_max_s
        length_s = allowed if seconds is None else min(max(seconds, 0.0), allowed)
        self._audio_paused_until_ns = now_ns + round(length_s * 1e9)
        return self._audio_paused_until_ns

    def resume_audio(self) -> None:
        """End the audio pause now."""
        self._audio_paused_until_ns = None

    def _start(self, definition: Definition, condition: Condition) -> list[AlarmChange]:
        alarm = Alarm(
            id=self._new_id(),
            code=definition.code,
            text=definition.text,
            kind=definition.kind,
            priority=definition.priority,
            state=AlarmState.ACTIVE,
            acknowledged=False,
            onset_ns=condition.onset_ns,
            raised_ns=self._now_ns,
            value=condition.value,
            limit=condition.limit,
            confidence=condition.confidence,
            judged_by=condition.judged_by,
            remedy=condition.detail or definition.remedy,
        )
        entry = _Entry(alarm, present=True, since_ns=self._now_ns)
        self._entries[definition.code] = entry
        entry.alarm = replace(alarm, hidden=self._is_hidden(entry))
        return [self._change(entry.alarm, Phase.START)]

    def _again(self, entry: _Entry, condition: Condition) -> list[AlarmChange]:
        """The condition of an open alarm is reported present."""
        entry.resume_until_ns = entry.over_ns = None
        entry.present = True
        if entry.alarm.state is AlarmState.ACTIVE:
            return self._know_better(entry, condition.detail)
        entry.alarm = replace(
            entry.alarm,
            state=AlarmState.ACTIVE,
            ended_ns=None,
            value=condition.value,
            limit=condition.limit,
            confidence=condition.confidence,
            judged_by=condition.judged_by,
        )
        return [self._change(entry.alarm, Phase.UPDATE)]

    def _know_better(self, entry: _Entry, detail: str) -> list[AlarmChange]:
        """The cause became known after the alarm was raised: told once, not at every retry."""
        if not detail or entry.alarm.remedy != self._catalogue[entry.alarm.code].remedy:
            return []
        entry.alarm = replace(entry.alarm, remedy=detail)
        return [self._change(entry.alarm, Phase.UPDATE)]

    def _over(self, entry: _Entry, ended_ns: int) -> list[AlarmChange]:
        """The condition of an active alarm is over."""
        definition = self._catalogue[entry.alarm.code]
        entry.present = False
        entry.resume_until_ns = None
        entry.over_ns = ended_ns
        if definition.latching and not entry.alarm.acknowledged:
            entry.alarm = replace(
                entry.alarm, state=AlarmState.LATCHED, ended_ns=ended_ns, hidden=False
            )
            return [self._change(entry.alarm, Phase.UPDATE)]
        return self._age(entry)

    def _age(self, entry: _Entry) -> list[AlarmChange]:
        """What the mere passing of time does to an alarm."""
        alarm = entry.alarm
        definition = self._catalogue[alarm.code]
        if entry.resume_until_ns is not None and self._now_ns >= entry.resume_until_ns:
            return self._over(entry, self._now_ns)
        if alarm.state is AlarmState.ACTIVE and not entry.present:
            shown_ns = self._now_ns - entry.since_ns
            enough = alarm.acknowledged or shown_ns >= SHOWN_AT_LEAST_NS
            return [self._end(entry)] if enough else []
        lasted_ns = self._now_ns - entry.since_ns
        after_s = definition.escalate_after_s
        if after_s is not None and alarm.priority is Priority.LOW and lasted_ns >= after_s * 1e9:
            entry.alarm = replace(alarm, priority=Priority.MEDIUM, acknowledged=False)
            return [self._change(entry.alarm, Phase.ESCALATE)]
        return []

    def _end(self, entry: _Entry, by: str = "", *, acknowledged: bool = False) -> AlarmChange:
        ended = entry.over_ns or entry.alarm.ended_ns or self._now_ns
        entry.alarm = replace(
            entry.alarm,
            state=AlarmState.INACTIVE,
            ended_ns=ended,
            acknowledged=acknowledged or entry.alarm.acknowledged,
        )
        del self._entries[entry.alarm.code]
        return self._change(entry.alarm, Phase.END, by)

    def _rehide(self) -> list[AlarmChange]:
        """Tell of every alarm that a worse one of its family now covers, or no longer covers."""
        changes: list[AlarmChange] = []
        for entry in self._entries.values():
            hidden = self._is_hidden(entry)
            if hidden is not entry.alarm.hidden:
                entry.alarm = replace(entry.alarm, hidden=hidden)
                changes.append(self._change(entry.alarm, Phase.UPDATE))
        return changes

    def _is_hidden(self, entry: _Entry) -> bool:
        """Only a worse alarm that is active hides: a latched one is history already.

        What is latched is never hidden either: a person still has to see and acknowledge it.
        """
        if entry.alarm.state is AlarmState.LATCHED:
            return False
        mine = self._catalogue[entry.alarm.code]
        return any(
            other.alarm.state is AlarmState.ACTIVE
            and self._catalogue[code].family == mine.family
            and self._catalogue[code].rank < mine.rank
            and other.alarm.priority.rank <= entry.alarm.priority.rank
            for code, other in self._entries.items()
        )

    def _change(self, alarm: Alarm, phase: Phase, by: str = "") -> AlarmChange:
        return AlarmChange(id=self._new_id(), at_ns=self._now_ns, phase=phase, alarm=alarm, by=by)

    def _shift(self, step_ns: int) -> None:
        self._waiting_since = {code: at + step_ns for code, at in self._waiting_since.items()}
        for entry in self._entries.values():
            entry.since_ns += step_ns
            if entry.resume_until_ns is not None:
                entry.resume_until_ns += step_ns
        if self._audio_paused_until_ns is not None:
            self._audio_paused_until_ns += step_ns


def _urgency(alarm: Alarm) -> tuple[bool, int, bool, bool, int]:
    return (
        alarm.hidden,
        alarm.priority.rank,
        alarm.acknowledged,
        alarm.state is AlarmState.LATCHED,
        -alarm.raised_ns,
    )
