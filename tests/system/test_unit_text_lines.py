"""The whole unit on a sketch that only says "lead off" at first, then sends an ECG."""

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
seconds = 600
"""


def test_lead_off_before_the_first_sample_is_lead_off(tmp_path: Path) -> None:
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
    finally:
        process.stop()
        device.stop()


def changes(unit: Unit, code: str, phase: str) -> int:
    """How often an alarm came to a phase."""
    query = "SELECT count(*) FROM alarm_changes WHERE code = ? AND phase = ?"
    return int(unit.rows(query, code, phase)[0][0])
