"""What the screen holds for true, and for how long."""

from __future__ import annotations

import time

import msgspec
import pytest
from support.bedside import Unit, alarm

from sync.contract import Priority
from tui.bedside.view import NO_AGENT, SILENT_S, BedView

NS = 1_000_000_000


def told(unit: Unit, now_s: float = 100.0, **vitals: object) -> BedView:
    view = BedView(None, now_s)
    for message in (unit.unit(), unit.state(), unit.vitals(**vitals)):
        view.apply(message, now_s)
    return view


def test_the_first_bed_of_the_unit_is_shown_where_none_is_named() -> None:
    assert told(Unit("7")).bed == "7"


def test_a_bed_that_is_not_there_is_told_with_those_that_are() -> None:
    view = BedView("7", 100.0)
    view.apply(Unit("1").unit(), 100.0)
    view.apply(Unit("1").state(), 100.0)
    found = view.notice(100.0, 0)
    assert found is not None
    assert found.text == "this unit has no bed 7; it has 1"


def test_other_beds_do_not_disturb() -> None:
    view = told(Unit("1"))
    other = Unit("2")
    other.alarms = (alarm("asystole", "ASYSTOLE", "high"),)
    view.apply(other.state(), 100.5)
    view.apply(other.vitals(33.0), 100.5)
    view.apply(other.change("start", other.alarms[0]), 100.5)
    assert view.rate(100.5) == 72.0
    assert view.alarms(100.5, "") == []
    assert not view.log


def test_turning_to_another_bed_leaves_nothing_of_the_one_before() -> None:
    view = told(Unit("1"))
    other = Unit("2")
    other.patient = "W-2"
    view.apply(other.state(), 100.0)
    view.turn_to("2")
    assert view.rate(100.0) is None
    assert view.state is not None
    assert view.state.patient == "W-2"


def test_old_numbers_are_no_numbers() -> None:
    view = told(Unit())
    assert view.rate(100.0 + SILENT_S) == 72.0
    assert view.rate(100.0 + SILENT_S + 0.01) is None
    assert view.vitals(100.0 + SILENT_S + 0.01) is None


def test_a_rate_of_old_beats_is_no_rate() -> None:
    assert told(Unit(), rate_age_s=9.0).rate(100.5) == 72.0
    assert told(Unit(), rate_age_s=9.0).rate(101.5) is None


def test_no_rate_while_the_link_is_down_whatever_the_numbers_say() -> None:
    unit = Unit()
    unit.device = msgspec.structs.replace(unit.device, link="lost")
    assert told(unit).rate(100.0) is None


def test_a_silent_agent_is_an_alarm_of_the_screen_itself() -> None:
    unit = Unit()
    unit.alarms = (alarm("asystole", "ASYSTOLE", "high"),)
    view = told(unit)
    first, second = view.alarms(104.0, "feed.sock: no agent there")
    assert (first.code, first.priority, first.kind) == (NO_AGENT, Priority.MEDIUM, "technical")
    assert first.remedy == "feed.sock: no agent there"
    assert second.code == "asystole"
    view.see_no_agent()
    assert view.alarms(105.0, "")[0].acknowledged
    view.apply(unit.vitals(), 106.0)
    assert [a.code for a in view.alarms(106.0, "")] == ["asystole"]
    assert not view.alarms(120.0, "")[0].acknowledged


def test_alarm_changes_keep_the_alarms_between_two_states() -> None:
    unit, view = Unit(), told(Unit())
    started = alarm("vf", "VENT FIB/FLUTTER", "high")
    view.apply(unit.change("start", started), 100.1)
    assert view.unseen() == ("id-vf",)
    assert view.worst_of_patient() is Priority.HIGH
    view.apply(unit.change("update", msgspec.structs.replace(started, acknowledged=True)), 100.2)
    assert view.unseen() == ()
    view.apply(unit.change("end", msgspec.structs.replace(started, state="inactive")), 100.3)
    assert view.alarms(100.3, "") == []
    assert [change.phase for change in view.log] == ["start", "update", "end"]


def test_hidden_alarms_are_not_acknowledged_unseen() -> None:
    unit = Unit()
    unit.alarms = (alarm("asystole", "ASYSTOLE", "high"), alarm("x", "X", "high", hidden=True))
    assert told(unit).unseen() == ("id-asystole",)


def test_audio_pause_counts_down_and_ends() -> None:
    unit = Unit()
    unit.audio_paused_until = 500 * NS
    view = told(unit)
    assert view.audio_paused_s(380 * NS) == 120.0
    assert view.audio_paused_s(501 * NS) == 0.0
    assert told(Unit()).audio_paused_s(380 * NS) == 0.0


def notice(unit: Unit, **vitals: object) -> str:
    view = told(unit, **vitals)
    found = view.notice(100.1, time.time_ns())
    return found.text if found else ""


@pytest.mark.parametrize(
    ("quality", "words"),
    [
        ("usable", ""),
        ("lead_off", "LEAD OFF RA — check the electrodes"),
        ("noisy", "NOISY SIGNAL — rhythm not analysed"),
        ("flat", "FLAT SIGNAL — check the electrodes and their cable"),
        ("saturated", "SIGNAL OVERLOADED — check the electrodes"),
        ("no_data", "NO DATA — the device is connected but sends nothing"),
    ],
)
def test_the_trace_says_why_it_is_not_to_be_trusted(quality: str, words: str) -> None:
    unit = Unit()
    unit.device = msgspec.structs.replace(unit.device, leads_off=("RA",))
    assert notice(unit, rate=None, quality=quality) == words


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("lost", "NO DATA — link lost, reconnecting 12 s"),
        ("searching", "NO DATA — searching 12 s"),
        ("waiting_for_data", "NO DATA — waiting for data 12 s"),
    ],
)
def test_a_lost_link_is_told_with_its_age(link: str, words: str) -> None:
    unit = Unit()
    unit.device = msgspec.structs.replace(unit.device, link=link)
    view = BedView("1", 100.0)
    state = unit.state()
    view.apply(state, 100.0)
    view.apply(msgspec.structs.replace(state, time=state.time + 5 * NS), 105.0)
    found = view.notice(105.0, state.time + 12 * NS)
    assert found is not None
    assert found.text == words
    assert found.blank


def test_a_device_without_ecg_says_so() -> None:
    unit = Unit()
    unit.device = msgspec.structs.replace(unit.device, leads=())
    assert notice(unit).startswith("HEART RATE ONLY")


def test_lag_is_told_from_one_second_on() -> None:
    assert told(Unit(), lag_ms=900.0).lag_s(100.0) == 0.0
    assert told(Unit(), lag_ms=1400.0).lag_s(100.0) == 1.4


def test_an_unset_clock_is_known() -> None:
    view = told(Unit())
    assert view.clock_set
    view.apply(msgspec.structs.replace(Unit().vitals(), clock="unsynced"), 100.0)
    assert not view.clock_set
