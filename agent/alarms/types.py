"""The alarm vocabulary (IEC 60601-1-8's words, kept apart): condition, signal, latched,
acknowledged, paused.

The engine is pure: times come in as arguments (UTC nanoseconds), ids from a factory it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Priority(StrEnum):
    """Alarm priorities; ``HIGH`` outranks everything in the house."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 is the most urgent."""
        return ("high", "medium", "low").index(self.value)


class AlarmKind(StrEnum):
    """Physiological: about the patient. Technical: about the equipment."""

    PHYSIOLOGICAL = "physiological"
    TECHNICAL = "technical"


class Phase(StrEnum):
    """What an alarm change is (IHE ACM's event phases)."""

    START = "start"
    CONTINUE = "continue"
    UPDATE = "update"
    ESCALATE = "escalate"
    DEESCALATE = "de-escalate"
    END = "end"


class AlarmState(StrEnum):
    """The state of one alarm after a change."""

    ACTIVE = "active"
    LATCHED = "latched"
    """The condition is over, the alarm stays until a person acknowledges it."""
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Definition:
    """One row of the catalogue."""

    code: str
    """Our name, also in ``analyze``'s output: ``asystole``, ``lead_off``."""
    text: str
    """As shown at the bed, without the ``***`` prefix."""
    kind: AlarmKind
    priority: Priority
    latching: bool
    can_switch_off: bool
    enabled: bool
    family: str
    """Alarms of a family hide each other: only the one of lowest ``rank`` is shown and sounds."""
    rank: int
    mdc: int | None
    snomed: int | None
    remedy: str = ""
    """For technical alarms: what to do."""
    delay_s: float = 0.0
    """How long the condition must hold before the alarm starts."""
    escalate_after_s: float | None = None
    """A LOW alarm becomes MEDIUM when it has lasted this long: monitoring is no longer possible."""
    unit: str = ""
    """Unit of an alarm's value and limit."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm as it stands."""

    id: str
    """UUIDv7, from its start to its end, across restarts of the agent."""
    code: str
    text: str
    kind: AlarmKind
    priority: Priority
    state: AlarmState
    acknowledged: bool
    onset_ns: int
    """When the condition began, UTC ns."""
    raised_ns: int
    """When the alarm was raised, UTC ns."""
    ended_ns: int | None = None
    """When the condition was over, UTC ns (a latched alarm has one)."""
    value: float | None = None
    limit: float | None = None
    confidence: float = 1.0
    judged_by: str = "rules"
    hidden: bool = False
    """True while a worse alarm of its family is active."""
    remedy: str = ""
    """For a technical alarm: what to do."""


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """One change of one alarm: stored, then published, exactly once by its id."""

    id: str
    at_ns: int
    phase: Phase
    alarm: Alarm
    """The alarm after the change."""
    by: str = ""
    """Who did it, where a person did (acknowledge)."""
