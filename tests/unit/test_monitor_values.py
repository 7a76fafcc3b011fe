"""What a bedside monitor measures and alarms itself: told on, never merged with ours."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from support.bedside import Unit

from agent.bed_status import BedStatus
from agent.presence import Presence
from agent.rhythm.limits import RhythmLimits
from agent.stamps import Stamp
from drivers.samples import DeviceAlarm, DeviceAlarms, NumericReading
from sync.contract import DeviceAlarmInfo, Numeric, Priority
from tui.bedside.panels import Now, detail_rows
from tui.bedside.view import BedView
from tui.palette import COLOUR

STAMP = Stamp(id="1", time=0, boot="b", seq=1, clock="synced")
SPO2_LOW = DeviceAlarm(2, 3, False, "high", "SpO2 NIEDR")


def bed() -> BedStatus:
    return BedStatus("icu-3", "1", "udp", Presence(0), RhythmLimits())


def test_newest_value_of_each_name_is_sent_until_the_device_falls_silent() -> None:
    status = bed()
    for reading in (
        NumericReading(0, "SpO2", 97.0, "%"),
        NumericReading(1, "NBP mean", None, "mmHg"),
        NumericReading(2, "SpO2", 88.0, "%", usable=False),
    ):
        status.numeric(reading)
    assert status.vitals(STAMP).numerics == (
        Numeric(name="SpO2", value=88.0, unit="%", usable=False),
        Numeric(name="NBP mean", unit="mmHg"),
    )
    status.silent()
    assert status.vitals(STAMP).numerics == ()


def test_monitors_alarms_stand_beside_ours() -> None:
    status = bed()
    status.device_alarms = DeviceAlarms(0, (SPO2_LOW, replace(SPO2_LOW, suspended=True)))
    state = status.message(STAMP, (), None)
    assert state.alarms == ()
    assert [(one.text, one.priority) for one in state.device_alarms] == [
        ("SpO2 NIEDR", Priority.HIGH)
    ]
    status.silent()
    assert status.message(STAMP, (), None).device_alarms == ()


def screen(unit: Unit, alarms: tuple[DeviceAlarmInfo, ...], numerics: tuple[Numeric, ...]) -> str:
    view = BedView("1", 100.0)
    view.apply(msgspec.structs.replace(unit.state(), device_alarms=alarms), 100.0)
    view.apply(msgspec.structs.replace(unit.vitals(), numerics=numerics), 100.0)
    rows = detail_rows(view, Now(100.0, 0), True, 46, COLOUR)
    return "\n".join("".join(text for text, _ in row) for row in rows)


def test_screen_shows_values_and_the_worst_alarm_of_the_monitor() -> None:
    alarms = tuple(
        DeviceAlarmInfo(code=1, source=1, technical=False, priority=priority, text=text)
        for priority, text in ((Priority.LOW, "PLS LOW"), (Priority.HIGH, "SpO2 LOW"))
    )
    numerics = (
        Numeric(name="SpO2", value=88.0, unit="%", usable=False),
        Numeric(name="NBP mean", unit="mmHg"),
    )
    shown = screen(Unit(), alarms, numerics)
    assert "Monitor SpO2 88?  NBP mean --" in shown
    assert "*** SpO2 LOW +1" in shown
    assert "Battery" not in shown
    assert "Battery 84 %" in screen(Unit(), (), ())
