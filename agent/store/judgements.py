"""What people and candidates say otherwise: feedback on alarms, disagreements of a trial."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import msgspec

from agent.alarms.types import Alarm
from agent.store.queue import Row
from agent.store.reader import Reader
from agent.store.rows import alarm_of, models_of
from sync.contract import Feedback, ModelInfo, Strip

INSERT_FEEDBACK = (
    "INSERT OR IGNORE INTO feedback (id, bed, at_ns, alarm_id, code, judgement, rhythm, note, who,"
    " judged_by, models, strip) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_DISAGREEMENT = (
    "INSERT INTO disagreements (at_ns, bed, stage, in_use, in_use_said, in_use_confidence,"
    " candidate, candidate_said, candidate_confidence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_TRIAL = "INSERT INTO trials (at_ns, bed, candidate, seconds) VALUES (?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class StoredFeedback:
    """The newest judgement of one alarm."""

    bed: str
    at_ns: int
    alarm: Alarm
    judgement: str
    rhythm: str | None
    note: str
    judged_by: str
    models: tuple[ModelInfo, ...]
    strip: Strip | None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A beat, or the first of some seconds, on which a candidate says otherwise."""

    at_ns: int
    bed: str
    stage: str
    """``quality``, ``rhythm`` or ``beats``."""
    in_use: str
    """Name and version."""
    in_use_said: str
    in_use_confidence: float
    candidate: str
    candidate_said: str
    candidate_confidence: float


def feedback_row(feedback: Feedback, strip: Strip | None) -> Row:
    """A judgement and the ECG it is of."""
    rhythm = None if feedback.rhythm is None else feedback.rhythm.value
    said = (feedback.alarm_id, feedback.code, feedback.judgement, rhythm, feedback.note)
    models = msgspec.json.encode(feedback.models).decode()
    ecg = None if strip is None else msgspec.msgpack.encode(strip)
    who = (feedback.by, feedback.judged_by, models, ecg)
    return Row(INSERT_FEEDBACK, (feedback.id, feedback.bed, feedback.time, *said, *who))


def disagreement_row(one: Disagreement) -> Row:
    """A disagreement."""
    use = (one.in_use, one.in_use_said, one.in_use_confidence)
    candidate = (one.candidate, one.candidate_said, one.candidate_confidence)
    return Row(INSERT_DISAGREEMENT, (one.at_ns, one.bed, one.stage, *use, *candidate))


def alarm(reader: Reader, bed: str, alarm_id: str) -> Alarm | None:
    """An alarm of a bed as it stands, by its id."""
    row = reader.connection.execute(
        "SELECT * FROM alarms WHERE bed = ? AND id = ?", (bed, alarm_id)
    ).fetchone()
    return None if row is None else alarm_of(row, "id")


def feedback(reader: Reader) -> list[StoredFeedback]:
    """The newest judgement of each alarm that was judged, oldest alarm first."""
    rows = reader.connection.execute(
        "SELECT * FROM feedback AS said WHERE NOT EXISTS (SELECT 1 FROM feedback AS later"
        " WHERE later.alarm_id = said.alarm_id AND later.number > said.number) ORDER BY number"
    ).fetchall()
    found = [(row, alarm(reader, row["bed"], row["alarm_id"])) for row in rows]
    return [_stored(row, of) for row, of in found if of is not None]


def _stored(row: sqlite3.Row, of: Alarm) -> StoredFeedback:
    ecg = row["strip"]
    return StoredFeedback(
        bed=row["bed"],
        at_ns=row["at_ns"],
        alarm=of,
        judgement=row["judgement"],
        rhythm=row["rhythm"],
        note=row["note"],
        judged_by=row["judged_by"],
        models=models_of(row["models"]),
        strip=None if ecg is None else msgspec.msgpack.decode(ecg, type=Strip),
    )


def disagreements(reader: Reader, start_ns: int = 0) -> list[Disagreement]:
    """What candidates said otherwise since a UTC time, oldest first."""
    names = ", ".join(Disagreement.__slots__)
    rows = reader.connection.execute(
        f"SELECT {names} FROM disagreements WHERE at_ns >= ? ORDER BY number",  # noqa: S608
        (start_ns,),
    )
    return [Disagreement(*row) for row in rows]


def trials(reader: Reader, start_ns: int = 0) -> dict[str, float]:
    """Seconds that each candidate ran beside the one in use, all beds together."""
    rows = reader.connection.execute(
        "SELECT candidate, SUM(seconds) FROM trials WHERE at_ns >= ? GROUP BY candidate",
        (start_ns,),
    )
    return {candidate: float(seconds) for candidate, seconds in rows}
