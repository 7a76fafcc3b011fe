"""The centre's view of all units and beds, made of their messages.

Pure: messages and times go in, the view is read. Times are ns of one clock of the station
(``now_ns``); a unit's own clock is never compared with it, for it may be wrong.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import StrEnum

from sync.codec import decode
from sync.contract import (
    AlarmInfo,
    AlarmMessage,
    AnyMessage,
    BedState,
    Command,
    Feedback,
    Reply,
    Strip,
    Summary,
    UnitState,
    Vitals,
)
from sync.topics import Kind, Topic, parse

SILENT_AFTER_NS = 15_000_000_000
"""A unit not heard for so long is out, whatever the retained "online" says: the broker may have
died with the will unsent. Three heartbeats of a unit."""
STALE_AFTER_NS = 10_000_000_000
"""Vitals older than this are no present numbers any more."""
IDS_KEPT = 2048
"""Ids remembered per unit: what a unit can send again (its window) fits ten times."""
HISTORY = 200
MISSING_KEPT = 1000

DURABLE = (AlarmMessage, Strip, Summary, Feedback)
"""Of these a hole in ``seq`` is a loss; the others may be dropped or replaced by newer ones."""


class Presence(StrEnum):
    """Whether a unit is there."""

    ONLINE = "online"
    OFFLINE = "offline"
    """It said so, or its will did."""
    SILENT = "silent"
    """It said online, and is not heard any more."""
    UNKNOWN = "unknown"
    """Known from retained messages only, for less than the time-out."""


@dataclass(slots=True)
class BedView:
    """One bed as the centre knows it."""

    bed: str
    state: BedState | None = None
    vitals: Vitals | None = None
    vitals_heard_ns: int = 0
    summary: Summary | None = None
    alarms: dict[str, AlarmInfo] = field(default_factory=dict)
    """Active and latched ones, by alarm id."""
    history: deque[AlarmMessage] = field(default_factory=lambda: deque(maxlen=HISTORY))
    """Alarm changes in the order they came, repeats left out."""
    strips: OrderedDict[str, Strip] = field(default_factory=OrderedDict)
    """The ECG around an alarm, by alarm id; the newest few."""
    feedback: OrderedDict[str, Feedback] = field(default_factory=OrderedDict)
    """What was thought of an alarm, by alarm id; the newest few, the newest word on each."""

    def current_vitals(self, now_ns: int) -> Vitals | None:
        """Return the vitals while they are fresh, so that no old number is shown as present."""
        fresh = now_ns - self.vitals_heard_ns <= STALE_AFTER_NS
        return self.vitals if fresh else None


@dataclass(slots=True)
class SequenceTrack:
    """The ``seq`` of one topic within one boot."""

    expected: int
    missing: set[int] = field(default_factory=set)
    lost: int = 0
    """Missing ones so long ago that they are only counted."""

    def take(self, seq: int) -> None:
        """A message came; one that was missed fills its hole."""
        if seq < self.expected:
            self.missing.discard(seq)
            return
        first_kept = max(self.expected, seq - MISSING_KEPT)
        self.lost += first_kept - self.expected
        self.missing.update(range(first_kept, seq))
        self.expected = seq + 1
        while len(self.missing) > MISSING_KEPT:
            self.missing.discard(min(self.missing))
            self.lost += 1


@dataclass(slots=True)
class UnitView:
    """One unit and its beds."""

    site: str
    unit: str
    first_ns: int
    """When the station first knew of it."""
    state: UnitState | None = None
    heard_ns: int | None = None
    """When it last sent something itself (a retained message is no sign of life)."""
    beds: dict[str, BedView] = field(default_factory=dict)
    tracks: dict[tuple[str, str], SequenceTrack] = field(default_factory=dict)
    """By (topic, boot); of the present boot and the one before."""
    _ids: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def presence(self, now_ns: int) -> Presence:
        """Return whether the unit is there at ``now_ns``."""
        if self.state is not None and not self.state.online:
            return Presence.OFFLINE
        if self.heard_ns is None:
            waited = now_ns - self.first_ns
            return Presence.UNKNOWN if waited < SILENT_AFTER_NS else Presence.SILENT
        return Presence.ONLINE if now_ns - self.heard_ns < SILENT_AFTER_NS else Presence.SILENT

    @property
    def missing(self) -> int:
        """Durable messages that never came (or not yet), over the boots known."""
        return sum(len(track.missing) + track.lost for track in self.tracks.values())

    def is_repeat(self, message: AnyMessage) -> bool:
        """Return whether a durable message came before; remember it."""
        if message.id in self._ids:
            return True
        self._ids[message.id] = None
        if len(self._ids) > IDS_KEPT:
            self._ids.popitem(last=False)
        return False

    def track(self, topic: str, message: AnyMessage) -> None:
        """Follow the ``seq`` of a durable message."""
        key = topic, message.boot
        if key in self.tracks:
            self.tracks[key].take(message.seq)
            return
        boots = list(dict.fromkeys(boot for _, boot in self.tracks))
        if message.boot not in boots and len(boots) >= 2:
            self.tracks = {k: track for k, track in self.tracks.items() if k[1] != boots[0]}
        self.tracks[key] = SequenceTrack(expected=message.seq + 1)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message."""

    topic: Topic
    message: AnyMessage
    repeat: bool = False
    """It came before: nothing changed."""


class Station:
    """All units that were heard of."""

    def __init__(self) -> None:
        self.units: dict[tuple[str, str], UnitView] = {}
        """By (site, unit)."""

    def take(self, topic: str, payload: bytes, now_ns: int, *, retained: bool = False) -> Taken:
        """Take a message as it came from the broker.

        Args:
            retained: it was kept by the broker and sent because of our subscription.

        Raises:
            ContractError: it breaks the contract; nothing changed.
        """
        message = decode(topic, payload)
        where = parse(topic)
        if isinstance(message, Command):
            return Taken(where, message)
        unit = self.units.setdefault(
            (where.site, where.unit), UnitView(where.site, where.unit, now_ns)
        )
        if self._says_alive(message) and not retained:
            unit.heard_ns = now_ns
        if isinstance(message, DURABLE):
            if unit.is_repeat(message):
                return Taken(where, message, repeat=True)
            unit.track(topic, message)
        if isinstance(message, UnitState):
            self._take_unit(unit, message)
        elif not isinstance(message, Reply):
            bed = unit.beds.setdefault(where.name, BedView(where.name))
            self._take_bed(unit, bed, message, now_ns, retained=retained)
        return Taken(where, message)

    def beds(self) -> list[tuple[UnitView, BedView]]:
        """Return all beds that exist, by site, unit and bed name.

        A retained state outlives its bed; what a unit no longer lists is left out.
        """
        return [
            (unit, bed)
            for _, unit in sorted(self.units.items())
            for name, bed in sorted(unit.beds.items())
            if unit.state is None or not unit.state.beds or name in unit.state.beds
        ]

    @staticmethod
    def _says_alive(message: AnyMessage) -> bool:
        """A will is the broker's word, not the unit's."""
        return not (isinstance(message, UnitState) and not message.online)

    @staticmethod
    def _take_unit(unit: UnitView, message: UnitState) -> None:
        before = unit.state
        if before is not None and before.boot == message.boot and message.since < before.since:
            return  # the will of an earlier connection, overtaken by a newer birth
        unit.state = message

    def _take_bed(
        self, unit: UnitView, bed: BedView, message: AnyMessage, now_ns: int, *, retained: bool
    ) -> None:
        match message:
            case BedState():
                bed.state = message
                bed.alarms = {alarm.alarm_id: alarm for alarm in message.alarms}
            case Vitals() if not retained:
                bed.vitals, bed.vitals_heard_ns = message, now_ns
            case Summary():
                bed.summary = message
            case AlarmMessage():
                bed.history.append(message)
                if self._is_present(unit, bed, message):
                    self._apply(bed, message.alarm)
            case Strip():
                bed.strips[message.alarm_id] = message
                while len(bed.strips) > HISTORY // 10:
                    bed.strips.popitem(last=False)
            case Feedback():
                bed.feedback[message.alarm_id] = message
                while len(bed.feedback) > HISTORY:
                    bed.feedback.popitem(last=False)

    @staticmethod
    def _is_present(unit: UnitView, bed: BedView, message: AlarmMessage) -> bool:
        """Tell a present change from one that waited in the outbox and is history by now.

        Only times of one boot are compared: between boots the unit's clock may have been set.
        """
        if unit.state is not None and message.boot != unit.state.boot:
            return False
        if bed.state is None or bed.state.boot != message.boot:
            return True
        return message.time >= bed.state.time

    @staticmethod
    def _apply(bed: BedView, alarm: AlarmInfo) -> None:
        if alarm.state == "inactive":
            bed.alarms.pop(alarm.alarm_id, None)
        else:
            bed.alarms[alarm.alarm_id] = alarm


KINDS_WATCHED = tuple(kind for kind in Kind if kind not in (Kind.WAVE, Kind.COMMAND))
"""What a station subscribes to; waves only for the beds that are looked at, with a lease."""
