"""The lines of the monitor without a terminal."""

from __future__ import annotations

import subprocess
import sys

import msgspec
from support.bedside import Unit, alarm

from sync.contract import Rhythm
from tui.lines import Lines
from tui.words import clock, countdown, number, span


def line(message: object) -> str | None:
    return Lines().of(message)  # type: ignore[arg-type]


def test_vitals() -> None:
    message = Unit().vitals(72.4, pvc_per_min=0)
    assert line(message) == f"{clock(message.time)} bed 1  HR 72  sinus rhythm  quality usable"


def test_no_number_is_two_dashes() -> None:
    message = Unit().vitals(None, quality="lead_off", rhythm=Rhythm.NOT_ANALYSED, pvc_per_min=None)
    assert line(message) == f"{clock(message.time)} bed 1  HR --  not analysed  quality lead off"


def test_alarm_changes() -> None:
    unit, lines = Unit(), Lines()
    asystole = alarm("asystole", "ASYSTOLE", "high")
    start = unit.change("start", asystole)
    assert lines.of(start) == f"{clock(start.time)} bed 1  *** ASYSTOLE start"
    assert lines.of(unit.change("continue", asystole)) is None
    latched = msgspec.structs.replace(asystole, state="latched")
    assert lines.of(unit.change("update", latched)).endswith("*** ASYSTOLE over, latched")
    seen = msgspec.structs.replace(latched, acknowledged=True)
    assert lines.of(unit.change("update", seen, by="nurse")).endswith("acknowledged by nurse")
    assert lines.of(unit.change("end", seen, by="nurse")).endswith("end, acknowledged by nurse")


def test_the_link_is_told_when_it_changes_only() -> None:
    unit, lines = Unit(), Lines()
    assert lines.of(unit.state()).endswith("device OpenBCI Cyton: connected")
    assert lines.of(unit.state()) is None
    unit.device = msgspec.structs.replace(unit.device, link="lost", reason="unplugged")
    assert lines.of(unit.state()).endswith("device OpenBCI Cyton: link lost (unplugged)")


def test_words_for_figures() -> None:
    assert [countdown(s) for s in (120, 119.2, 60, 0.4, 0, -3)] == [
        "2:00", "2:00", "1:00", "0:01", "0:00", "0:00",
    ]  # fmt: skip
    assert [number(v) for v in (132.4, 4.0, 5.25, 9.96)] == ["132", "4", "5.2", "10"]
    assert [span(s) for s in (12.9, 99.0, 240.0, 7300.0)] == ["12 s", "99 s", "4 min", "2 h"]


def test_lines_need_neither_textual_nor_numpy() -> None:
    code = (
        "import sys, tui.lines; print([m for m in ('textual','rich','numpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
