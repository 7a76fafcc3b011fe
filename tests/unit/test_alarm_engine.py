"""The alarm engine: starts, latches, hides, is acknowledged, ends, survives restarts and steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.alarms.catalogue import CATALOGUE, UnknownAlarmError, configured
from agent.alarms.engine import AUDIO_PAUSE_MAX_S, RESUME_WITHIN_NS, AlarmEngine, Condition
from agent.alarms.types import AlarmChange, AlarmState, Phase, Priority

S = 1_000_000_000
T0 = 1_700_000_000 * S


def ids() -> Callable[[], str]:
    """Ids that count up."""
    counter = itertools.count(1)
    return lambda: f"id{next(counter)}"


def engine() -> AlarmEngine:
    """One bed's alarms with the shipped catalogue."""
    return AlarmEngine(CATALOGUE, ids())


def report(
    alarms: AlarmEngine, code: str, present: bool, at_s: float, **more: float
) -> list[AlarmChange]:
    """The condition's finder reports at ``at_s`` after T0."""
    now = T0 + round(at_s * S)
    return alarms.condition(Condition(code, present, now, **more), now)


def phases(changes: list[AlarmChange]) -> list[tuple[str, Phase]]:
    """(code, phase) of each change."""
    return [(change.alarm.code, change.phase) for change in changes]


def test_asystole_latches_until_acknowledged() -> None:
    alarms = engine()
    assert phases(report(alarms, "asystole", True, 0)) == [("asystole", Phase.START)]
    ended = report(alarms, "asystole", False, 12)
    assert phases(ended) == [("asystole", Phase.UPDATE)]
    assert ended[0].alarm.state is AlarmState.LATCHED
    assert ended[0].alarm.ended_ns == T0 + 12 * S
    assert alarms.tick(T0 + 3600 * S) == []
    changes, refusal = alarms.acknowledge((), "nurse", T0 + 3601 * S)
    assert refusal == ""
    assert phases(changes) == [("asystole", Phase.END)]
    assert changes[0].by == "nurse"
    assert changes[0].alarm.ended_ns == T0 + 12 * S, "the condition's end, not the nurse's"
    assert alarms.alarms == ()


def test_acknowledged_while_active_does_not_latch() -> None:
    alarms = engine()
    report(alarms, "vf", True, 0)
    alarms.acknowledge((), "nurse", T0 + 6 * S)
    assert phases(report(alarms, "vf", False, 20)) == [("vf", Phase.END)]


def test_acknowledging_touches_no_later_alarm() -> None:
    alarms = engine()
    report(alarms, "af", True, 0)
    alarms.acknowledge((), "nurse", T0 + 1 * S)
    report(alarms, "lead_off", True, 2)
    states = {alarm.code: alarm.acknowledged for alarm in alarms.alarms}
    assert states == {"af": True, "lead_off": False}


def test_acknowledging_by_id_touches_no_other() -> None:
    alarms = engine()
    first = report(alarms, "af", True, 0)[0].alarm.id
    report(alarms, "lead_off", True, 1)
    alarms.acknowledge((first,), "nurse", T0 + 2 * S)
    assert {a.code for a in alarms.alarms if a.acknowledged} == {"af"}
    _, refusal = alarms.acknowledge(("unknown",), "nurse", T0 + 3 * S)
    assert refusal == "no such alarm is active or latched now"


def test_latched_alarm_comes_back_under_its_id() -> None:
    alarms = engine()
    first = report(alarms, "vt", True, 0)[0].alarm.id
    report(alarms, "vt", False, 10)
    again = report(alarms, "vt", True, 15)
    assert phases(again) == [("vt", Phase.UPDATE)]
    assert again[0].alarm.id == first
    assert again[0].alarm.state is AlarmState.ACTIVE
    assert again[0].alarm.ended_ns is None


def test_worse_alarm_hides_its_family_and_gives_it_back() -> None:
    alarms = engine()
    report(alarms, "hr_low", True, 0)
    changes = report(alarms, "asystole", True, 4)
    assert phases(changes) == [("asystole", Phase.START), ("hr_low", Phase.UPDATE)]
    assert [alarm.code for alarm in alarms.alarms if not alarm.hidden] == ["asystole"]
    changes = report(alarms, "asystole", False, 10)
    assert ("hr_low", Phase.UPDATE) in phases(changes)
    assert not any(alarm.hidden for alarm in alarms.alarms), "latched asystole hides nothing"


def test_hidden_at_its_start() -> None:
    alarms = engine()
    report(alarms, "asystole", True, 0)
    assert report(alarms, "pause", True, 1)[0].alarm.hidden


def test_short_event_is_shown_five_seconds() -> None:
    alarms = engine()
    report(alarms, "nsvt", True, 0)
    assert report(alarms, "nsvt", False, 0.5) == []
    assert alarms.tick(T0 + 4 * S) == []
    changes = alarms.tick(T0 + 5 * S)
    assert phases(changes) == [("nsvt", Phase.END)]
    assert changes[0].alarm.ended_ns == T0 + S // 2


def test_delay_must_hold() -> None:
    alarms = engine()
    assert report(alarms, "noisy_signal", True, 0) == []
    assert report(alarms, "noisy_signal", False, 4) == []
    assert report(alarms, "noisy_signal", True, 5) == []
    assert alarms.tick(T0 + 9 * S) == []
    assert phases(alarms.tick(T0 + 10 * S)) == [("noisy_signal", Phase.START)]


def test_long_noise_escalates_and_sounds_again() -> None:
    alarms = engine()
    report(alarms, "noisy_signal", True, 0)
    alarms.tick(T0 + 5 * S)
    alarms.acknowledge((), "nurse", T0 + 6 * S)
    changes = alarms.tick(T0 + 35 * S)
    assert phases(changes) == [("noisy_signal", Phase.ESCALATE)]
    assert changes[0].alarm.priority is Priority.MEDIUM
    assert not changes[0].alarm.acknowledged


def test_restored_alarm_goes_on_under_its_id() -> None:
    before = engine()
    stored = report(before, "asystole", True, 0)[0].alarm
    after = engine()
    after.restore([stored], T0 + 60 * S)
    assert report(after, "asystole", True, 66) == []
    assert [alarm.id for alarm in after.alarms] == [stored.id]


def test_restored_alarm_whose_condition_is_gone_latches() -> None:
    before = engine()
    stored = report(before, "asystole", True, 0)[0].alarm
    after = engine()
    after.restore([stored], T0 + 60 * S)
    changes = after.tick(T0 + 60 * S + RESUME_WITHIN_NS)
    assert phases(changes) == [("asystole", Phase.UPDATE)]
    assert changes[0].alarm.state is AlarmState.LATCHED


def test_clock_step_back_delays_no_alarm() -> None:
    alarms = engine()
    report(alarms, "noisy_signal", True, 0)
    alarms.tick(T0 + 4 * S)
    alarms.tick(T0 - 3600 * S)
    assert phases(alarms.tick(T0 - 3599 * S)) == [("noisy_signal", Phase.START)]


def test_audio_pause_is_limited_and_ends_by_itself() -> None:
    alarms = engine()
    alarms.tick(T0)
    assert alarms.pause_audio(3600, T0) == T0 + round(AUDIO_PAUSE_MAX_S * S)
    alarms.tick(T0 + 119 * S)
    assert alarms.audio_paused_until_ns is not None
    alarms.tick(T0 + 120 * S)
    assert alarms.audio_paused_until_ns is None


def test_lethal_alarms_cannot_be_switched_off() -> None:
    for code in ("asystole", "vf"):
        with pytest.raises(UnknownAlarmError, match="cannot be switched off"):
            configured((code,), ())
    assert not configured(("af",), ())["af"].enabled
    assert configured((), ("couplet",))["couplet"].enabled
    with pytest.raises(UnknownAlarmError, match="no alarm is called 'afib'"):
        configured(("afib",), ())


def test_cause_that_becomes_known_later_is_told_once() -> None:
    alarms = engine()
    report(alarms, "device_lost", True, 0)
    for at_s, why in ((1, "port is missing"), (2, "port is busy")):
        now = T0 + at_s * S
        changes = alarms.condition(Condition("device_lost", True, now, detail=why), now)
        assert phases(changes) == ([("device_lost", Phase.UPDATE)] if at_s == 1 else [])
    assert alarms.alarms[0].remedy == "port is missing"


def test_disabled_alarm_never_starts() -> None:
    alarms = AlarmEngine(configured(("af",), ()), ids())
    assert report(alarms, "af", True, 0) == []
    assert alarms.alarms == ()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(CATALOGUE)),
            st.booleans(),
            st.floats(0.05, 40),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_changes_tell_the_whole_story(steps: list[tuple[str, bool, float, bool]]) -> None:
    """Whatever happens, a reader of the changes alone knows exactly the engine's alarms.

    And every alarm starts once, changes only between start and end, and has one id at a time.
    """
    alarms = engine()
    told: dict[str, object] = {}
    started: set[str] = set()
    clock = 0.0
    for code, present, wait_s, acknowledge in steps:
        clock += wait_s
        changes = alarms.tick(T0 + round(clock * S))
        changes += report(alarms, code, present, clock)
        if acknowledge:
            changes += alarms.acknowledge((), "nurse", T0 + round(clock * S))[0]
        for change in changes:
            if change.phase is Phase.START:
                assert change.alarm.id not in started
                started.add(change.alarm.id)
            else:
                assert change.alarm.id in told
            if change.phase is Phase.END:
                assert change.alarm.state is AlarmState.INACTIVE
                del told[change.alarm.id]
            else:
                told[change.alarm.id] = change.alarm
        assert told == {alarm.id: alarm for alarm in alarms.alarms}
        assert len({alarm.code for alarm in alarms.alarms}) == len(alarms.alarms)
        worst = [alarm for alarm in alarms.alarms if alarm.state is AlarmState.ACTIVE]
        assert not worst or not all(alarm.hidden for alarm in worst)
