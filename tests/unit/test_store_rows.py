"""Every value of the house comes back from its row as it was."""

from __future__ import annotations

import sqlite3
from dataclasses import MISSING, fields, replace

import pytest
from support.store_making import CYTON, SECOND, START_NS, change, database, vitals, write

from agent.alarms.types import Alarm, AlarmState, Phase
from agent.rhythm.types import Beat, BeatClass, Finding, FindingKind, Rhythm, RhythmChange
from agent.store.queue import Row
from agent.store.rows import (
    alarm_change_of,
    alarm_change_row,
    alarm_of,
    beat_of,
    beat_row,
    finding_of,
    finding_row,
    gap_of,
    gap_row,
    lead_states_of,
    lead_states_text,
    rhythm_of,
    rhythm_row,
    stream_of,
    stream_row,
    summary_row,
    vitals_row,
)
from drivers.samples import Gap, GapCause, LeadState
from sync.contract import ModelInfo, Summary


def stored(row: Row, table: str) -> sqlite3.Row:
    connection = database()
    connection.row_factory = sqlite3.Row
    connection.execute("DELETE FROM streams WHERE id <> 's' OR ? = 'streams'", (table,))
    write(connection, row)
    (found,) = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
    assert isinstance(found, sqlite3.Row)
    return found


def test_an_alarm_change_keeps_every_field() -> None:
    one = change(phase=Phase.UPDATE, state=AlarmState.LATCHED)
    defaults = [f for f in fields(Alarm) if f.default is not MISSING]
    assert all(getattr(one.alarm, field.name) != field.default for field in defaults), (
        "give support.store_making.alarm a value for the new field, and the table a column"
    )
    row = stored(alarm_change_row(one, "bed1"), "alarm_changes")
    assert alarm_change_of(row) == one
    assert row["bed"] == "bed1"


def test_the_view_of_alarms_shows_the_last_change() -> None:
    connection = database()
    connection.row_factory = sqlite3.Row
    first = change()
    # The second is earlier by the wall clock, which may step; the order of writing counts.
    second = change(first.alarm, Phase.END, AlarmState.LATCHED, at_ns=START_NS - SECOND)
    for one in (first, change(), second):
        write(connection, alarm_change_row(one, "bed1"))
    rows = connection.execute("SELECT * FROM alarms ORDER BY last_change").fetchall()
    assert len(rows) == 2
    assert alarm_of(rows[1], "id") == second.alarm


@pytest.mark.parametrize("cause", list(GapCause))
@pytest.mark.parametrize("exact", [True, False])
def test_a_gap_keeps_its_cause(cause: GapCause, exact: bool) -> None:
    gap = Gap(2**40, 12_345, cause, 77, exact)
    assert gap_of(stored(gap_row("s", gap, START_NS), "gaps")) == gap


def test_a_stream_keeps_its_leads_and_their_scales() -> None:
    row = stored(stream_row("other", 3, "bed2", CYTON, START_NS, 5), "streams")
    found = stream_of(row)
    assert found.info == CYTON
    assert (found.id, found.run, found.bed) == ("other", 3, "bed2")
    assert (found.start_ns, found.host_ns) == (START_NS, 5)


@pytest.mark.parametrize("states", [(), (LeadState.ON,), (LeadState.OFF, LeadState.UNKNOWN)])
def test_lead_states_are_words(states: tuple[LeadState, ...]) -> None:
    assert lead_states_of(lead_states_text(states)) == states


@pytest.mark.parametrize("kind", list(BeatClass))
def test_a_beat_comes_back(kind: BeatClass) -> None:
    beat = Beat(12.345678901, kind, None, 0.75, "beats 1.0.0", -812.5)
    row = stored(beat_row("s", beat, START_NS), "beats")
    assert beat_of(row) == beat
    assert row["at_ns"] == START_NS


@pytest.mark.parametrize("rhythm", list(Rhythm))
def test_a_rhythm_comes_back(rhythm: Rhythm) -> None:
    one = RhythmChange(7.2, rhythm, 0.6, "rhythm 1.0.0")
    assert rhythm_of(stored(rhythm_row("s", one, START_NS), "rhythm_changes")) == one


def test_a_finding_is_replaced_by_what_became_of_it() -> None:
    begun = Finding(FindingKind.VT, 10.0, 12.5, value=182.0, limit=100.0, beats=(10.0, 10.4))
    ended = replace(begun, ended_s=20.0, value=190.0)
    connection = database()
    connection.row_factory = sqlite3.Row
    for finding, ended_ns in ((begun, None), (ended, START_NS + 10 * SECOND)):
        write(connection, finding_row("s", finding, START_NS, ended_ns))
    (row,) = connection.execute("SELECT * FROM findings").fetchall()
    assert finding_of(row) == ended
    assert row["ended_ns"] == START_NS + 10 * SECOND


def test_unknown_numbers_are_null_never_zero() -> None:
    row = stored(vitals_row(vitals(rate_bpm=None)), "vitals")
    assert row["rate_bpm"] is None
    assert (row["bed"], row["at_ns"], row["rr_ms"], row["rhythm"]) == (
        "bed1",
        START_NS,
        833.0,
        "normal",
    )


def test_a_summary_is_stored_once_by_its_id() -> None:
    summary = Summary(
        id="one", time=START_NS, boot="b", seq=1, unit="u", bed="bed1", start=START_NS,
        duration_s=60.0, rate_mean=71.5, beats=72, pulses=71,
        seconds_by_rhythm={"normal": 58.0, "af": 2.0},
        models=(ModelInfo(name="rhythm", version="1.0.0", sha256="ab"),),
    )  # fmt: skip
    connection = database()
    connection.row_factory = sqlite3.Row
    write(connection, summary_row(summary))
    write(connection, summary_row(summary))
    (row,) = connection.execute("SELECT * FROM summaries").fetchall()
    assert (row["rate_mean"], row["beats"], row["pulses"]) == (71.5, 72, 71)
    assert row["rate_min"] is None
    assert row["seconds_by_rhythm"] == '{"normal": 58.0, "af": 2.0}'
    assert row["models"] == '[{"name":"rhythm","version":"1.0.0","sha256":"ab"}]'
