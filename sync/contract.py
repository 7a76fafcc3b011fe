"""The wire contract, version 1: every message between a unit, its screens and the centre.

The same structs run over MQTT and over the local feed, so a screen does not know which one
feeds it. JSON except ``Wave`` and ``Strip`` (MessagePack). ``docs/wire-contract.md`` describes
them, and its JSON Schemas are generated from this file.

Fields may be added, never removed or given another meaning, within version 1; a reader
ignores fields it does not know.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What every message carries."""

    id: str
    """UUIDv7: a repeat has the same id and is harmless."""
    time: int
    """UTC, ns since 1970, when the message was made."""
    boot: str
    """Boot id of the unit's run: ``seq`` counts within it."""
    seq: int
    """Counts up by one per topic and boot: a hole shows a loss."""
    clock: Literal["synced", "unsynced"] = "synced"


class Rhythm(StrEnum):
    """The rhythm in force."""

    NORMAL = "normal"
    AF = "af"
    OTHER = "other"
    VT = "vt"
    VF = "vf"
    ASYSTOLE = "asystole"
    NOT_ANALYSED = "not_analysed"


class Priority(StrEnum):
    """Alarm priority."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class AlarmInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm as it stands; the whole truth about it in every message that names it."""

    alarm_id: str
    code: str
    """``asystole``, ``lead_off``, …"""
    text: str
    kind: Literal["physiological", "technical"]
    priority: Priority
    state: Literal["active", "latched", "inactive"]
    acknowledged: bool
    onset: int
    """UTC ns."""
    raised: int
    """UTC ns."""
    ended: int | None = None
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    mdc: int | None = None
    snomed: int | None = None
    judged_by: str = "rules"
    confidence: float = 1.0
    hidden: bool = False
    """A worse alarm of its family is active: do not show this one first."""
    remedy: str = ""


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A network in use."""

    name: str
    version: str
    sha256: str


class AlarmMessage(Message, frozen=True, kw_only=True, tag="alarm"):
    """``bed/<bed>/alarm``: one change of one alarm. Outbox, QoS 1, never expires."""

    unit: str
    bed: str
    phase: Literal["start", "continue", "update", "escalate", "de-escalate", "end"]
    inactivation: Literal["enabled", "audio-paused", "alert-acknowledged"] = "enabled"
    alarm: AlarmInfo
    by: str = ""


class DeviceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The device at a bed."""

    name: str
    address: str
    link: Literal["searching", "connecting", "waiting_for_data", "streaming", "lost", "stopped"]
    reason: str = ""
    leads: tuple[str, ...] = ()
    rate_hz: float = 0.0
    battery_percent: int | None = None
    leads_off: tuple[str, ...] = ()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Alarm limits in force at a bed."""

    hr_high: int = 120
    hr_low: int = 50
    asystole_s: float = 4.0
    pause_s: float = 2.0
    pvc_per_min: int = 10


class Numeric(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value that a bedside monitor measured itself; ours are fields of their own."""

    name: str
    """``SpO2``, ``NBP systolic``, ``HR``: the same whatever language the monitor speaks."""
    value: float | None = None
    unit: str = ""
    usable: bool = True
    """False where the monitor itself calls the value questionable."""


class DeviceAlarmInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An alarm that a bedside monitor raised itself; never merged with the unit's own."""

    code: int
    source: int
    technical: bool
    priority: Priority
    text: str
    """In the monitor's language."""
    silenced: bool = False
    latched: bool = False


class BedState(Message, frozen=True, kw_only=True, tag="state"):
    """``bed/<bed>/state``: retained; a late subscriber needs nothing else."""

    unit: str
    bed: str
    patient: str | None = None
    """Pseudonym; never a name."""
    device: DeviceInfo
    rhythm: Rhythm
    rate_bpm: float | None = None
    quality: str = "no_data"
    alarms: tuple[AlarmInfo, ...] = ()
    """All alarms that are active or latched, most urgent first."""
    device_alarms: tuple[DeviceAlarmInfo, ...] = ()
    """Those of a bedside monitor that is the bed's device."""
    audio_paused_until: int | None = None
    limits: Limits


class Vitals(Message, frozen=True, kw_only=True, tag="vitals"):
    """``bed/<bed>/vitals``: once a second, QoS 0, expires after 10 s."""

    unit: str
    bed: str
    rate_bpm: float | None = None
    rr_ms: float | None = None
    pvc_per_min: int | None = None
    quality: Literal["usable", "noisy", "flat", "saturated", "lead_off", "no_data"] = "no_data"
    p_usable: float = 0.0
    rhythm: Rhythm = Rhythm.NOT_ANALYSED
    rhythm_confidence: float = 0.0
    rate_age_s: float | None = None
    """Age of the newest beat behind ``rate_bpm``."""
    lag_ms: float = 0.0
    """Age of the newest sample when this was made."""
    numerics: tuple[Numeric, ...] = ()
    """What a bedside monitor that is the bed's device measures beside the ECG."""


class Summary(Message, frozen=True, kw_only=True, tag="summary"):
    """``bed/<bed>/summary``: each minute. Outbox, QoS 1."""

    unit: str
    bed: str
    start: int
    """UTC ns of the minute's first sample."""
    duration_s: float
    rate_min: float | None = None
    rate_mean: float | None = None
    rate_max: float | None = None
    beats: int = 0
    pvcs: int = 0
    seconds_by_rhythm: dict[str, float] = {}
    seconds_unusable: float = 0.0
    gaps: int = 0
    lost_samples: int = 0
    rmssd_ms: float | None = None
    sdnn_ms: float | None = None
    pnn50: float | None = None
    models: tuple[ModelInfo, ...] = ()
    pulses: int = 0
    """Pacing pulses marked; they are no beats."""


Judgement = Literal["true", "false", "unsure"]
"""What a person thinks of an alarm: there was such an event, there was none, hard to say."""


class Feedback(Message, frozen=True, kw_only=True, tag="feedback"):
    """``bed/<bed>/feedback``: a person's judgement of one alarm. Outbox, QoS 1.

    The strip of the alarm is a message of its own, by the same ``alarm_id``. Of several
    judgements of an alarm the newest counts.
    """

    unit: str
    bed: str
    alarm_id: str
    code: str
    """Of the alarm: ``vt``, …"""
    judgement: Judgement
    rhythm: Rhythm | None = None
    """The rhythm they see, where they said so."""
    note: str = ""
    by: str
    judged_by: str = "rules"
    """Who raised the alarm: name and version of a network, or ``rules``."""
    models: tuple[ModelInfo, ...] = ()
    """In use when the judgement was made."""


class Strip(Message, frozen=True, kw_only=True, tag="strip"):
    """``bed/<bed>/strip``: the ECG around an alarm, as device counts. Outbox, MessagePack."""

    unit: str
    bed: str
    alarm_id: str
    start: int
    """UTC ns of the first sample."""
    rate_hz: float
    leads: tuple[str, ...]
    microvolts_per_count: tuple[float, ...]
    offset_counts: tuple[float, ...]
    samples: int
    counts: bytes
    """int32 little endian, sample by sample, lead by lead."""
    gaps: tuple[tuple[int, int], ...] = ()
    """(first sample, count) relative to the strip; counts hold 0 there, meaning nothing."""


class Wave(Message, frozen=True, kw_only=True, tag="wave"):
    """``bed/<bed>/wave``: live display wave. QoS 0, MessagePack, while a lease is held."""

    unit: str
    bed: str
    start_s: float
    """Stream time of the first sample: continuous from message to message but for gaps."""
    rate_hz: float
    lead: str
    microvolts: bytes
    """int16 little endian, one lead; -32768 = no sample."""
    beats: tuple[tuple[float, str], ...] = ()
    """(stream time of the R peak, class) newly found; they may lie before ``start_s``."""
    pulses: tuple[float, ...] = ()
    """Stream times of pacing pulses newly found; they are no beats."""


class BufferState(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the buffer is used."""

    wave_hours: float = 0.0
    hours_left: float | None = None
    outbox: int = 0
    disk_free_mb: float | None = None


class UnitState(Message, frozen=True, kw_only=True, tag="unit"):
    """``unit``: retained birth, and the will says ``online = false``."""

    unit: str
    site: str
    online: bool
    since: int
    version: str = ""
    models: tuple[ModelInfo, ...] = ()
    beds: tuple[str, ...] = ()
    buffer: BufferState = BufferState()
    health: dict[str, float] = {}


class Command(Message, frozen=True, kw_only=True, tag="command"):
    """``command/<name>``: what the centre or a screen asks; answered on ``reply/<id>``."""

    name: Literal[
        "acknowledge",
        "pause_audio",
        "resume_audio",
        "set_limits",
        "admit",
        "discharge",
        "wave_lease",
        "judge",
    ]
    bed: str
    by: str
    """Who asks; stored in the audit."""
    alarm_ids: tuple[str, ...] = ()
    """acknowledge: which alarms; empty means all that are active or latched now. judge: the one."""
    seconds: float | None = None
    """pause_audio, wave_lease: how long."""
    limits: Limits | None = None
    patient: str | None = None
    judgement: Judgement | None = None
    """judge: what the person thinks of the alarm."""
    rhythm: Rhythm | None = None
    """judge: the rhythm they see."""
    note: str = ""
    """judge: in their words, at most 500 characters."""


class Reply(Message, frozen=True, kw_only=True, tag="reply"):
    """``reply/<id>``: what became of the command with that id."""

    command_id: str
    accepted: bool
    reason: str = ""


AnyMessage = (
    AlarmMessage
    | BedState
    | Vitals
    | Summary
    | Strip
    | Feedback
    | Wave
    | UnitState
    | Command
    | Reply
)
