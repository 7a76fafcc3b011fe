"""The whole unit with a ProtoCentral board whose chip says that an electrode is off."""

from __future__ import annotations

from pathlib import Path

from support.unit import Device, Unit, wait_for

SCENARIO = """
[[step]]
rhythm = "sinus"
seconds = 12
[[step]]
lead_off = true
seconds = 8
"""


def starts(unit: Unit, phase: str) -> list[str]:
    """Codes of alarms in the order they came to a phase."""
    query = "SELECT code FROM alarm_changes WHERE phase = ? ORDER BY number"
    return [code for (code,) in unit.rows(query, phase)]


def test_an_electrode_that_falls_off_is_a_technical_alarm_and_no_asystole(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(SCENARIO)
    device = Device(tmp_path, "--scenario", str(scenario), kind="protocentral")
    unit = Unit(tmp_path, driver="protocentral")
    try:
        process = unit.start()
        wait_for("the alarm", lambda: "lead_off" in starts(unit, "start"))
        wait_for("its end", lambda: "lead_off" in starts(unit, "end"))
        assert process.stop() == 0, process.said()
    finally:
        if unit.process is not None:
            unit.process.stop()
        device.stop()
    assert "asystole" not in starts(unit, "start")
    states = {leads for (leads,) in unit.rows("SELECT DISTINCT lead_states FROM waves")}
    assert states == {"on", "off"}
