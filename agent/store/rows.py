"""Values of the house to rows and back, one pair of functions per table."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass

import msgspec

from agent.alarms.types import Alarm, AlarmChange, AlarmKind, AlarmState, Phase, Priority
from agent.rhythm.types import Beat, BeatClass, Finding, FindingKind, Rhythm, RhythmChange
from agent.store.queue import Row, SqlValue
from drivers.samples import Gap, GapCause, Lead, LeadState, StreamInfo
from sync.contract import ModelInfo, Summary, Vitals

_STREAM = "(SELECT number FROM streams WHERE id = ?)"


def _insert(table: str, columns: str, *, or_: str = "", stream: bool = False) -> str:
    """Build an INSERT; with ``stream``, the first column takes a stream's id."""
    count = columns.count(",") + 1
    values = ", ".join([_STREAM if stream else "?"] + ["?"] * (count - 1))
    return f"INSERT {or_} INTO {table} ({columns}) VALUES ({values})"  # noqa: S608


@dataclass(frozen=True, slots=True)
class StoredStream:
    """A stream as the database knows it."""

    number: int
    id: str
    run: int
    bed: str
    info: StreamInfo
    start_ns: int
    """UTC of its begin."""
    host_ns: int


STREAM_COLUMNS = (
    "id, run, bed, device, address, serial_number, firmware, rate_hz, leads, start_ns, host_ns"
)
INSERT_STREAM = _insert("streams", STREAM_COLUMNS, or_="OR IGNORE")


def stream_row(
    stream: str, run: int, bed: str, info: StreamInfo, start_ns: int, host_ns: int
) -> Row:
    """A stream's begin."""
    leads = json.dumps([asdict(lead) for lead in info.leads], separators=(",", ":"))
    about = (info.device, info.address, info.serial_number, info.firmware, info.rate_hz)
    return Row(INSERT_STREAM, (stream, run, bed, *about, leads, start_ns, host_ns))


def stream_of(row: sqlite3.Row) -> StoredStream:
    """Read a row of ``streams``."""
    info = StreamInfo(
        device=row["device"],
        address=row["address"],
        rate_hz=row["rate_hz"],
        leads=msgspec.json.decode(row["leads"], type=tuple[Lead, ...]),
        serial_number=row["serial_number"],
        firmware=row["firmware"],
    )
    return StoredStream(
        row["number"], row["id"], row["run"], row["bed"], info, row["start_ns"], row["host_ns"]
    )


def lead_states_text(states: tuple[LeadState, ...]) -> str:
    """What ``waves.lead_states`` holds."""
    return " ".join(state.value for state in states)


def lead_states_of(text: str) -> tuple[LeadState, ...]:
    """Read ``waves.lead_states``."""
    return tuple(LeadState(word) for word in text.split())


INSERT_GAP = _insert(
    "gaps", "stream, first, count, cause, exact, start_ns, host_ns", or_="OR REPLACE", stream=True
)


def gap_row(stream: str, gap: Gap, start_ns: int) -> Row:
    """Missing samples."""
    return Row(
        INSERT_GAP,
        (stream, gap.first, gap.count, gap.cause.value, gap.exact, start_ns, gap.host_ns),
    )


def gap_of(row: sqlite3.Row) -> Gap:
    """Read a row of ``gaps``."""
    return Gap(
        row["first"], row["count"], GapCause(row["cause"]), row["host_ns"], bool(row["exact"])
    )


INSERT_VITALS = _insert(
    "vitals",
    "bed, at_ns, rate_bpm, rr_ms, pvc_per_min, quality, p_usable, rhythm, rhythm_confidence,"
    " rate_age_s, lag_ms",
)


def vitals_row(vitals: Vitals) -> Row:
    """One second's numbers."""
    return Row(
        INSERT_VITALS,
        (
            vitals.bed,
            vitals.time,
            vitals.rate_bpm,
            vitals.rr_ms,
            vitals.pvc_per_min,
            vitals.quality,
            vitals.p_usable,
            vitals.rhythm.value,
            vitals.rhythm_confidence,
            vitals.rate_age_s,
            vitals.lag_ms,
        ),
    )


_SUMMARY_COLUMNS = (
    "bed, duration_s, rate_min, rate_mean, rate_max, beats, pvcs, seconds_unusable, gaps,"
    " lost_samples, rmssd_ms, sdnn_ms, pnn50, pulses"
)
INSERT_SUMMARY = _insert(
    "summaries", f"id, start_ns, seconds_by_rhythm, models, {_SUMMARY_COLUMNS}", or_="OR IGNORE"
)


def summary_row(summary: Summary) -> Row:
    """One minute."""
    figures: tuple[SqlValue, ...] = tuple(
        getattr(summary, name) for name in _SUMMARY_COLUMNS.split(", ")
    )
    rhythms = json.dumps(summary.seconds_by_rhythm)
    models = msgspec.json.encode(summary.models).decode()
    return Row(INSERT_SUMMARY, (summary.id, summary.start, rhythms, models, *figures))


def models_of(text: str) -> tuple[ModelInfo, ...]:
    """Read ``summaries.models``."""
    return msgspec.json.decode(text, type=tuple[ModelInfo, ...])


INSERT_BEAT = _insert(
    "beats",
    "stream, time_s, at_ns, kind, rr_s, confidence, judged_by, amplitude_uv",
    or_="OR REPLACE",
    stream=True,
)


def beat_row(stream: str, beat: Beat, at_ns: int) -> Row:
    """One beat."""
    judged = (beat.kind.value, beat.rr_s, beat.confidence, beat.judged_by, beat.amplitude_uv)
    return Row(INSERT_BEAT, (stream, beat.time_s, at_ns, *judged))


def beat_of(row: sqlite3.Row) -> Beat:
    """Read a row of ``beats``."""
    return Beat(
        time_s=row["time_s"],
        kind=BeatClass(row["kind"]),
        rr_s=row["rr_s"],
        confidence=row["confidence"],
        judged_by=row["judged_by"],
        amplitude_uv=row["amplitude_uv"],
    )


INSERT_RHYTHM = _insert(
    "rhythm_changes",
    "stream, start_s, start_ns, rhythm, confidence, judged_by",
    or_="OR REPLACE",
    stream=True,
)


def rhythm_row(stream: str, change: RhythmChange, start_ns: int) -> Row:
    """A rhythm begins."""
    return Row(
        INSERT_RHYTHM,
        (
            stream,
            change.start_s,
            start_ns,
            change.rhythm.value,
            change.confidence,
            change.judged_by,
        ),
    )


def rhythm_of(row: sqlite3.Row) -> RhythmChange:
    """Read a row of ``rhythm_changes``."""
    return RhythmChange(row["start_s"], Rhythm(row["rhythm"]), row["confidence"], row["judged_by"])


# A finding's later rows (a new value, its end) replace the one from its begin.
INSERT_FINDING = _insert(
    "findings",
    "stream, kind, onset_s, onset_ns, found_s, ended_s, ended_ns, value, limit_value, confidence,"
    " judged_by, beats",
    or_="OR REPLACE",
    stream=True,
)


def finding_row(stream: str, finding: Finding, onset_ns: int, ended_ns: int | None) -> Row:
    """A finding as it stands."""
    return Row(
        INSERT_FINDING,
        (
            stream,
            finding.kind.value,
            finding.onset_s,
            onset_ns,
            finding.found_s,
            finding.ended_s,
            ended_ns,
            finding.value,
            finding.limit,
            finding.confidence,
            finding.judged_by,
            json.dumps(finding.beats),
        ),
    )


def finding_of(row: sqlite3.Row) -> Finding:
    """Read a row of ``findings``."""
    return Finding(
        kind=FindingKind(row["kind"]),
        onset_s=row["onset_s"],
        found_s=row["found_s"],
        ended_s=row["ended_s"],
        value=row["value"],
        limit=row["limit_value"],
        confidence=row["confidence"],
        judged_by=row["judged_by"],
        beats=tuple(json.loads(row["beats"])),
    )


INSERT_ALARM_CHANGE = _insert(
    "alarm_changes",
    "id, bed, at_ns, phase, who, alarm_id, code, text, kind, priority, state, acknowledged,"
    " onset_ns, raised_ns, ended_ns, value, limit_value, confidence, judged_by, hidden, remedy",
    or_="OR IGNORE",
)


def alarm_change_row(change: AlarmChange, bed: str) -> Row:
    """One change with the whole alarm after it."""
    alarm = change.alarm
    head: tuple[SqlValue, ...] = (change.id, bed, change.at_ns, change.phase.value, change.by)
    what = (alarm.id, alarm.code, alarm.text, alarm.kind.value, alarm.priority.value)
    state = (alarm.state.value, alarm.acknowledged)
    times = (alarm.onset_ns, alarm.raised_ns, alarm.ended_ns)
    why = (alarm.value, alarm.limit, alarm.confidence, alarm.judged_by)
    return Row(
        INSERT_ALARM_CHANGE,
        (*head, *what, *state, *times, *why, alarm.hidden, alarm.remedy),
    )


def alarm_of(row: sqlite3.Row, id_column: str = "alarm_id") -> Alarm:
    """Read the alarm in a row of ``alarm_changes`` (or, by its ``id``, of the view ``alarms``)."""
    return Alarm(
        id=row[id_column],
        code=row["code"],
        text=row["text"],
        kind=AlarmKind(row["kind"]),
        priority=Priority(row["priority"]),
        state=AlarmState(row["state"]),
        acknowledged=bool(row["acknowledged"]),
        onset_ns=row["onset_ns"],
        raised_ns=row["raised_ns"],
        ended_ns=row["ended_ns"],
        value=row["value"],
        limit=row["limit_value"],
        confidence=row["confidence"],
        judged_by=row["judged_by"],
        hidden=bool(row["hidden"]),
        remedy=row["remedy"],
    )


def alarm_change_of(row: sqlite3.Row) -> AlarmChange:
    """Read a row of ``alarm_changes``."""
    return AlarmChange(row["id"], row["at_ns"], Phase(row["phase"]), alarm_of(row), row["who"])


INSERT_MESSAGE = _insert("outbox", "id, lane, topic, payload, content_type", or_="OR IGNORE")
INSERT_AUDIT = _insert("audit", "at_ns, bed, who, what, accepted, reason, details")
UPSERT_SETTING = _insert("settings", "bed, name, value, set_ns, who", or_="OR REPLACE")
INSERT_RUN = _insert("runs", "number, boot, version, started_ns, host_ns", or_="OR IGNORE")
INSERT_CLOCK_STEP = _insert("clock_steps", "run, at_ns, step_ns, host_ns")
INSERT_WAVE = _insert(
    "waves",
    "stream, first, count, start_ns, host_ns, true_rate_hz, lead_states, codec, samples",
    stream=True,
)
