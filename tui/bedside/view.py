"""What the screen knows of its bed, out of the feed's messages. Pure; time is an argument.

``now_s`` is the host's monotonic clock in seconds, ``now_ns`` UTC in nanoseconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from sync.contract import (
    AlarmInfo,
    AlarmMessage,
    AnyMessage,
    BedState,
    Feedback,
    Priority,
    Reply,
    UnitState,
    Vitals,
)
from tui.widgets.alarm_banner import shown_first
from tui.words import LINK, span

SILENT_S = 3.0
"""Longer than this without a message and the screen shows no number any more."""
OLD_RATE_S = 10.0
"""A rate whose newest beat is older than this is no rate (the agent says so sooner)."""
LAG_S = 1.0
REPLY_S = 3.0
LOG_LENGTH = 200
NO_AGENT = "no_agent"
TECHNICAL = frozenset({"lead_off", "noisy", "flat", "saturated", "no_data"})


@dataclass(frozen=True, slots=True)
class Notice:
    """Why there is no trace, or none to trust."""

    text: str
    blank: bool = False
    """The trace is too old to be taken for the patient's: take it away."""


class BedView:
    """One bed as the feed tells it."""

    def __init__(self, bed: str | None, now_s: float) -> None:
        self.bed = bed
        self.unit: UnitState | None = None
        self.state: BedState | None = None
        self.log: deque[AlarmMessage] = deque(maxlen=LOG_LENGTH)
        self.judged: dict[str, Feedback] = {}
        """What was said of an alarm since this screen began, by alarm id."""
        self.clock_set = True
        self._states: dict[str, BedState] = {}
        """The newest state of every bed, for turning to another one."""
        self._alarms: dict[str, AlarmInfo] = {}
        self._vitals: Vitals | None = None
        self._vitals_s = now_s
        self._heard_s = now_s
        self._link_since_ns = 0
        self._no_agent_seen = False

    def apply(self, message: AnyMessage, now_s: float) -> None:
        """Take in a message; those of other beds count as a sign of life only."""
        self._heard_s = now_s
        self._no_agent_seen = False
        self.clock_set = message.clock == "synced"
        match message:
            case UnitState():
                self.unit = message
                if self.bed is None and message.beds:
                    self.bed = message.beds[0]
            case BedState():
                self._states[message.bed] = message
                if self._is_mine(message.bed):
                    self._take_state(message)
            case Vitals() if self._is_mine(message.bed):
                self._vitals, self._vitals_s = message, now_s
            case Feedback() if self._is_mine(message.bed):
                self.judged[message.alarm_id] = message
            case AlarmMessage() if self._is_mine(message.bed):
                self._take_change(message)
            case _:
                pass

    def turn_to(self, bed: str) -> None:
        """Show another bed: nothing of the one before may stay."""
        self.bed = bed
        self.state = self._states.get(bed)
        self._vitals = None
        self._alarms = {a.alarm_id: a for a in self.state.alarms} if self.state else {}
        self.log.clear()
        self.judged.clear()

    def _is_mine(self, bed: str) -> bool:
        if self.bed is None:
            self.bed = bed
        return bed == self.bed

    def _take_state(self, state: BedState) -> None:
        if self.state is None or state.device.link != self.state.device.link:
            self._link_since_ns = state.time
        self.state = state
        self._alarms = {alarm.alarm_id: alarm for alarm in state.alarms}

    def _take_change(self, change: AlarmMessage) -> None:
        self.log.append(change)
        if change.alarm.state == "inactive":
            self._alarms.pop(change.alarm.alarm_id, None)
        else:
            self._alarms[change.alarm.alarm_id] = change.alarm

    def silent_s(self, now_s: float) -> float:
        """Return for how long the agent has said nothing."""
        return now_s - self._heard_s

    def vitals(self, now_s: float) -> Vitals | None:
        """Return the numbers; None when they are too old to be shown (no false numbers)."""
        return self._vitals if now_s - self._vitals_s <= SILENT_S else None

    def rate(self, now_s: float) -> float | None:
        """Return the heart rate to show; None is shown as ``--``."""
        vitals = self.vitals(now_s)
        if vitals is None or not self.streaming:
            return None
        age = self.rate_age_s(now_s)
        return None if age is not None and age > OLD_RATE_S else vitals.rate_bpm

    def rate_age_s(self, now_s: float) -> float | None:
        """Return how old the newest beat behind the rate is."""
        if self._vitals is None or self._vitals.rate_age_s is None:
            return None
        return self._vitals.rate_age_s + now_s - self._vitals_s

    def lag_s(self, now_s: float) -> float:
        """Return how old the newest sample was when it reached the screen; 0 if not late."""
        vitals = self.vitals(now_s)
        lag = vitals.lag_ms / 1000 if vitals else 0.0
        return lag if lag > LAG_S else 0.0

    @property
    def streaming(self) -> bool:
        """Whether the device's samples are coming, as far as the agent has told."""
        return self.state is None or self.state.device.link == "streaming"

    def alarms(self, now_s: float, reason: str) -> list[AlarmInfo]:
        """Return the alarms to show, most urgent first.

        A silent agent is the screen's own technical alarm and stands first: everything below it
        is old. ``reason`` is what the feed client knows of it.
        """
        shown = shown_first(list(self._alarms.values()))
        if self.silent_s(now_s) <= SILENT_S:
            return shown
        return [self._no_agent(reason, now_s), *shown]

    def _no_agent(self, reason: str, now_s: float) -> AlarmInfo:
        return AlarmInfo(
            alarm_id=NO_AGENT,
            code=NO_AGENT,
            text=f"NO DATA FROM AGENT {span(self.silent_s(now_s))}",
            kind="technical",
            priority=Priority.MEDIUM,
            state="active",
            acknowledged=self._no_agent_seen,
            onset=0,
            raised=0,
            remedy=reason or "watch the patient; the agent is connected but silent",
        )

    def see_no_agent(self) -> None:
        """The person at the screen has seen that the agent is silent."""
        self._no_agent_seen = True

    def has_alarm(self, code: str) -> bool:
        """Return whether an alarm of that code is active or latched."""
        return any(alarm.code == code for alarm in self._alarms.values())

    def unseen(self) -> tuple[str, ...]:
        """Return the ids of the shown alarms that nobody has acknowledged."""
        shown = shown_first(list(self._alarms.values()))
        return tuple(alarm.alarm_id for alarm in shown if not alarm.acknowledged)

    def judgeable(self) -> list[AlarmInfo]:
        """Return the patient's alarms that this screen knows of, newest first."""
        known = {change.alarm.alarm_id: change.alarm for change in self.log} | self._alarms
        patient = [alarm for alarm in known.values() if alarm.kind == "physiological"]
        return sorted(patient, key=lambda alarm: -alarm.raised)

    def audio_paused_s(self, now_ns: int) -> float:
        """Return how long the audio stays paused; 0 when it is on."""
        until = self.state.audio_paused_until if self.state else None
        return max(0.0, (until - now_ns) / 1e9) if until is not None else 0.0

    def notice(self, now_s: float, now_ns: int) -> Notice | None:
        """Return what stands over the trace, the cause nearest to the source first."""
        silent = self.silent_s(now_s)
        if silent > SILENT_S:
            return Notice(f"NO DATA FROM AGENT {span(silent)}", blank=True)
        if self.state is None:
            return Notice(self._waiting(), blank=True)
        device = self.state.device
        if device.link != "streaming":
            since = span(max(0.0, (now_ns - self._link_since_ns) / 1e9))
            return Notice(f"NO DATA — {_link_words(self.state)} {since}", blank=True)
        if not device.leads:
            return Notice("HEART RATE ONLY — this device sends no ECG", blank=True)
        vitals = self.vitals(now_s)
        return _quality_notice(vitals, self.state) if vitals else None

    def _waiting(self) -> str:
        beds = self.unit.beds if self.unit else ()
        if beds and self.bed not in beds:
            return f"this unit has no bed {self.bed}; it has {', '.join(beds)}"
        return "waiting for the agent"

    def worst_of_patient(self) -> Priority | None:
        """Return the priority of the worst physiological alarm shown."""
        for alarm in shown_first(list(self._alarms.values())):
            if alarm.kind == "physiological":
                return alarm.priority
        return None


def _link_words(state: BedState) -> str:
    if state.device.link == "lost":
        return "link lost, reconnecting"
    return LINK[state.device.link]


def _quality_notice(vitals: Vitals, state: BedState) -> Notice | None:
    match vitals.quality:
        case "lead_off":
            leads = ", ".join(state.device.leads_off)
            return Notice(f"LEAD OFF {leads} — check the electrodes".replace("  ", " "))
        case "no_data":
            return Notice("NO DATA — the device is connected but sends nothing", blank=True)
        case "flat":
            return Notice("FLAT SIGNAL — check the electrodes and their cable")
        case "saturated":
            return Notice("SIGNAL OVERLOADED — check the electrodes")
        case "noisy":
            return Notice("NOISY SIGNAL — rhythm not analysed")
        case _:
            return None


def reply_text(reply: Reply, name: str) -> str:
    """Return a refused command as one line."""
    return f"{name.replace('_', ' ')} refused: {reply.reason or 'the agent gave no reason'}"
