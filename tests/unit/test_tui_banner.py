"""The banner: all alarms, the most urgent first, told by colour, by prefix and by flashing."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from support.bedside import alarm

from sync.contract import AlarmInfo, Priority
from tui.palette import COLOUR, MONOCHROME, Palette
from tui.widgets.alarm_banner import banner_rows, shown_first
from tui.widgets.text_rows import Row

HIGH = alarm("asystole", "ASYSTOLE", "high", raised=1)
MEDIUM = alarm("hr_high", "HR HIGH", "medium", value=132.4, unit="/min", raised=5)
LOW = alarm("pvc_run", "PVC RUN", "low", raised=9)


def text_of(rows: list[Row]) -> list[str]:
    return ["".join(text for text, _ in row) for row in rows]


def rows(alarms: list[AlarmInfo], height: int = 3, now: float = 0.0) -> list[str]:
    return text_of(banner_rows(alarms, 80, height, now, COLOUR))


def test_most_urgent_first_and_hidden_ones_not_at_all() -> None:
    hidden = alarm("bradycardia", "EXTREME BRADY", "high", hidden=True)
    over = alarm("pause", "PAUSE", "medium", state="inactive")
    newer = alarm("nsvt", "NON-SUSTAINED VT", "medium", raised=7)
    seen = alarm("af", "ATRIAL FIB", "medium", raised=8, acknowledged=True)
    first = shown_first([LOW, seen, MEDIUM, hidden, over, newer, HIGH])
    assert [a.code for a in first] == ["asystole", "nsvt", "hr_high", "af", "pvc_run"]


def test_prefixes_values_and_units() -> None:
    high, medium, low = rows([HIGH, MEDIUM, LOW])
    assert high.startswith(" *** ASYSTOLE")
    assert medium.startswith(" ** HR HIGH 132 /min")
    assert low.startswith(" * PVC RUN")


def test_one_alarm_fills_the_banner_with_its_colour() -> None:
    drawn = banner_rows([HIGH], 80, 3, 0.0, COLOUR)
    assert all(style == COLOUR.lit[Priority.HIGH] for row in drawn for _, style in row)
    assert "ASYSTOLE" in text_of(drawn)[1]


def test_a_high_alarm_flashes_but_its_text_stays() -> None:
    dark = banner_rows([HIGH], 80, 3, 0.4, COLOUR)
    assert all(style == COLOUR.unlit[Priority.HIGH] for row in dark for _, style in row)
    assert "*** ASYSTOLE" in text_of(dark)[1]


def test_latched_and_acknowledged_are_marked() -> None:
    ended = 1_700_000_000_000_000_000
    latched = alarm("vt", "VENT TACHY", "high", state="latched", ended=ended, acknowledged=True)
    (line,) = rows([latched], height=1)
    clock = datetime.fromtimestamp(ended / 1e9).strftime("%H:%M:%S")
    assert f"LATCHED · acknowledged · ended {clock}" in line


def test_a_technical_alarm_says_what_to_do() -> None:
    lost = alarm("device_lost", "DEVICE LOST", "medium", kind="technical", remedy="check the plug")
    assert "check the plug" in rows([lost])[2]
    assert "DEVICE LOST: check the plug" in rows([HIGH, lost, LOW])[1]


def test_more_alarms_than_rows_take_turns() -> None:
    many = [HIGH, MEDIUM, LOW, *(alarm(f"x{k}", f"LOW {k}", "low") for k in range(3))]
    seen = {re.sub(r" *since.*", "", rows(many, now=t)[2]).strip() for t in range(0, 20)}
    assert {"* PVC RUN", "* LOW 0", "* LOW 1", "* LOW 2"} == {s.split("  ")[0] for s in seen}
    assert all("+3 more" in rows(many, now=t)[2] for t in range(5))
    assert "ASYSTOLE" in rows(many)[0]


@given(
    st.lists(st.sampled_from([HIGH, MEDIUM, LOW]), max_size=7),
    st.integers(0, 130),
    st.integers(0, 6),
    st.floats(0, 100),
    st.sampled_from([COLOUR, MONOCHROME]),
)
def test_rows_always_fit(
    alarms: list[AlarmInfo], width: int, height: int, now: float, palette: Palette
) -> None:
    drawn = banner_rows(alarms, width, height, now, palette)
    assert len(drawn) == height
    assert all(sum(cell_len(text) for text, _ in row) == width for row in drawn)


@pytest.mark.parametrize("width", [24, 40, 60])
def test_the_name_is_never_cut_for_the_notes(width: int) -> None:
    latched = alarm("asystole", "ASYSTOLE", "high", state="latched", ended=1, acknowledged=True)
    (line,) = text_of(banner_rows([latched], width, 1, 0.0, COLOUR))
    assert "*** ASYSTOLE" in line


def test_priorities_differ_without_colour() -> None:
    """The prefix always; reverse video tells lit HIGH and MEDIUM from LOW."""
    lights = [MONOCHROME.lit[p] for p in (Priority.HIGH, Priority.MEDIUM, Priority.LOW)]
    assert [bool(style.reverse) for style in lights] == [True, True, False]
    assert MONOCHROME.unlit[Priority.HIGH] != MONOCHROME.lit[Priority.HIGH]
