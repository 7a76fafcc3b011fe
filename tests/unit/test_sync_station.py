"""The centre's view: repeats, holes, silence, and alarms that came late."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sync_bench import SITE, UNIT, alarm, command, state, strip, summary, unit_state, vitals

from sync.codec import ContractError, encode
from sync.contract import AlarmMessage, AnyMessage, BedState
from sync.station import (
    IDS_KEPT,
    MISSING_KEPT,
    BedView,
    Presence,
    SequenceTrack,
    Station,
    Taken,
    UnitView,
)
from sync.topics import topic_of

S = 1_000_000_000


def take(station: Station, message: AnyMessage, at_s: float, *, retained: bool = False) -> Taken:
    topic = topic_of(SITE, UNIT, message)
    return station.take(topic, encode(message), int(at_s * S), retained=retained)


def view(station: Station) -> UnitView:
    return station.units[SITE, UNIT]


def bed(station: Station) -> BedView:
    return view(station).beds["1"]


def changed(message: AlarmMessage, **fields: Any) -> AlarmMessage:
    return msgspec.structs.replace(message, alarm=msgspec.structs.replace(message.alarm, **fields))


# --- presence ------------------------------------------------------------------------------------


def test_a_unit_that_falls_silent_is_out_after_15_s_though_it_said_online() -> None:
    station = Station()
    take(station, unit_state(), 0)
    take(station, vitals(), 3)
    assert view(station).presence(17 * S) is Presence.ONLINE
    assert view(station).presence(18 * S) is Presence.SILENT
    take(station, vitals(), 20)
    assert view(station).presence(20 * S) is Presence.ONLINE


def test_a_stale_retained_online_is_no_sign_of_life() -> None:
    station = Station()
    take(station, unit_state(), 100, retained=True)
    take(station, state(), 100, retained=True)
    assert view(station).presence(101 * S) is Presence.UNKNOWN
    assert view(station).presence(115 * S) is Presence.SILENT


def test_a_will_says_offline_at_once_and_a_birth_online() -> None:
    station = Station()
    birth = unit_state()
    take(station, birth, 0)
    take(station, msgspec.structs.replace(birth, online=False), 1)
    assert view(station).presence(1 * S) is Presence.OFFLINE
    take(station, unit_state(), 2)
    assert view(station).presence(2 * S) is Presence.ONLINE


def test_the_will_of_an_earlier_connection_is_overtaken_by_a_newer_birth() -> None:
    station = Station()
    first = msgspec.structs.replace(unit_state(), since=10)
    take(station, first, 0)
    take(station, msgspec.structs.replace(first, since=20), 1)
    take(station, msgspec.structs.replace(first, online=False), 2)
    assert view(station).presence(2 * S) is Presence.ONLINE


# --- repeats and holes ---------------------------------------------------------------------------


def test_a_repeat_changes_nothing() -> None:
    station = Station()
    message = alarm(1)
    assert not take(station, message, 0).repeat
    assert take(station, message, 1).repeat
    assert list(bed(station).history) == [message]


def test_ids_remembered_are_bounded() -> None:
    station = Station()
    for seq in range(IDS_KEPT + 50):
        take(station, summary(seq), 0)
    assert len(view(station)._ids) == IDS_KEPT


def test_a_hole_in_the_alarms_is_told_and_closed_when_they_come() -> None:
    station = Station()
    messages = [alarm(seq) for seq in range(6)]
    for seq in (0, 1, 4, 5):
        take(station, messages[seq], 0)
    assert view(station).missing == 2
    take(station, messages[3], 1)
    take(station, messages[2], 1)
    assert view(station).missing == 0


def test_each_topic_and_boot_is_counted_by_itself() -> None:
    station = Station()
    take(station, alarm(7), 0)
    take(station, summary(3), 0)
    take(station, msgspec.structs.replace(alarm(0), boot="boot-2"), 0)
    take(station, alarm(8), 0)
    take(station, summary(4), 0)
    assert view(station).missing == 0


def test_only_the_last_two_boots_are_followed() -> None:
    station = Station()
    for number in range(10):
        for seq in (0, 5):
            take(station, msgspec.structs.replace(alarm(seq), boot=f"boot-{number}"), 0)
    assert {boot for _, boot in view(station).tracks} == {"boot-8", "boot-9"}


def test_live_messages_may_be_missing() -> None:
    station = Station()
    for seq in (0, 5, 9):
        take(station, vitals(seq), 0)
        take(station, state(seq), 0)
    assert view(station).missing == 0


@given(st.permutations(range(30)), st.sets(st.integers(1, 28)))
def test_holes_are_exactly_what_never_came(order: list[int], lost: set[int]) -> None:
    track = SequenceTrack(expected=0)
    for seq in order:
        if seq not in lost:
            track.take(seq)
    assert track.missing == {seq for seq in lost if seq < track.expected}


def test_a_jump_of_the_counter_costs_no_memory() -> None:
    track = SequenceTrack(expected=0)
    track.take(10**12)
    assert len(track.missing) <= MISSING_KEPT
    assert len(track.missing) + track.lost == 10**12


# --- beds ----------------------------------------------------------------------------------------


def test_a_late_subscriber_knows_all_alarms_from_the_state() -> None:
    station = Station()
    active = alarm().alarm
    take(station, msgspec.structs.replace(state(), alarms=(active,)), 0, retained=True)
    assert bed(station).alarms == {active.alarm_id: active}


def test_an_alarm_is_present_until_its_end() -> None:
    station = Station()
    start = alarm()
    take(station, start, 0)
    latched = changed(start, state="latched")
    take(station, msgspec.structs.replace(latched, id="2", phase="update", seq=1), 1)
    assert [a.state for a in bed(station).alarms.values()] == ["latched"]
    ended = changed(start, state="inactive")
    take(station, msgspec.structs.replace(ended, id="3", phase="end", seq=2), 2)
    assert bed(station).alarms == {}
    assert [change.phase for change in bed(station).history] == ["start", "update", "end"]


def test_an_alarm_that_waited_in_the_outbox_is_history_not_present() -> None:
    station = Station()
    old = alarm()
    take(station, msgspec.structs.replace(state(), time=old.time + 1), 0)
    take(station, old, 1)
    assert bed(station).alarms == {}
    assert list(bed(station).history) == [old]


def test_an_alarm_of_an_earlier_boot_is_history() -> None:
    station = Station()
    take(station, msgspec.structs.replace(unit_state(), boot="boot-2"), 0)
    take(station, alarm(), 1)
    assert bed(station).alarms == {}
    assert len(bed(station).history) == 1


def test_an_alarm_of_the_present_boot_counts_before_its_state_came() -> None:
    station = Station()
    earlier: BedState = state()
    take(station, earlier, 0, retained=True)
    take(station, msgspec.structs.replace(unit_state(), boot="boot-2"), 1)
    new = msgspec.structs.replace(alarm(), boot="boot-2", time=earlier.time - 100)
    take(station, new, 1)
    assert list(bed(station).alarms) == [new.alarm.alarm_id]


def test_vitals_are_present_for_ten_seconds() -> None:
    station = Station()
    take(station, vitals(), 0)
    assert bed(station).current_vitals(10 * S) is not None
    assert bed(station).current_vitals(11 * S) is None


def test_strips_are_kept_by_alarm_and_bounded() -> None:
    station = Station()
    messages = [strip(seq, samples=4) for seq in range(30)]
    for message in messages:
        take(station, message, 0)
    kept = bed(station).strips
    assert len(kept) == 20
    assert kept[messages[-1].alarm_id] == messages[-1]


def test_a_bed_the_unit_no_longer_lists_is_left_out() -> None:
    station = Station()
    take(station, state(), 0, retained=True)
    take(station, unit_state(), 0)
    assert [b.bed for _, b in station.beds()] == ["1"]
    take(station, msgspec.structs.replace(unit_state(), beds=("2",)), 0)
    assert station.beds() == []


def test_a_command_makes_no_unit() -> None:
    station = Station()
    assert take(station, command(), 0).message.id
    assert station.units == {}


def test_a_damaged_message_changes_nothing() -> None:
    station = Station()
    with pytest.raises(ContractError):
        station.take(f"wardbeat/v1/{SITE}/{UNIT}/unit", b"{}", 0)
    assert station.units == {}
