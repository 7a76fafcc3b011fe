"""The whole unit on a sketch that says "lead off" and nothing else, first and in between."""

from __future__ import annotations

from pathlib import Path

from support.unit import Device, Unit, wait_for

SCENARIO = """
[[step]]
rhythm = "sinus"
lead_off = true
seconds = 14
[[step]]
rhythm = "sinus"
seconds = 25
[[step]]
rhythm = "sinus"
lead_off = true
seconds = 12
[[step]]
rhythm = "sinus"
seconds = 600
"""


def test_lead_off_without_samples_is_lead_off(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(SCENARIO)
    unit = Unit(tmp_path, driver="text_lines")
    device = Device(tmp_path, "--scenario", str(scenario), kind="text_lines")
    process = unit.start()
    try:
        wait_for("lead off", lambda: changes(unit, "lead_off", "start"))
        assert not changes(unit, "device_lost", "start"), "the device is there"
        wait_for("a stream without leads", lambda: unit.rows("SELECT leads FROM streams"))
        assert unit.rows("SELECT leads FROM streams") == [("[]",)]
        assert unit.rows("SELECT count(*) FROM waves") == [(0,)]
        wait_for("its end", lambda: changes(unit, "lead_off", "end"))
        wait_for("a heart rate", lambda: unit.rows(
            "SELECT 1 FROM vitals WHERE rate_bpm IS NOT NULL"))  # fmt: skip
        wait_for("lead off again", lambda: changes(unit, "lead_off", "start") == 2)
        wait_for("its end", lambda: changes(unit, "lead_off", "end") == 2)
        ((known_ns,), (off_ns,)) = unit.rows(
            "SELECT at_ns FROM alarm_changes WHERE code = 'lead_off' AND phase != 'update'"
            " ORDER BY number LIMIT 2 OFFSET 2"
        )
        assert off_ns - known_ns > 8_000_000_000, "for as long as it was off"
        assert changes(unit, "no_data", "start") <= 1, "while the rate was measured"
    finally:
        process.stop()
        device.stop()


def changes(unit: Unit, code: str, phase: str) -> int:
    """How often an alarm came to a phase."""
    query = "SELECT count(*) FROM alarm_changes WHERE code = ? AND phase = ?"
    return int(unit.rows(query, code, phase)[0][0])
