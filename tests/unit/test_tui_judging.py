"""The sheet on which a nurse judges an alarm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bedside import alarm

from sync.contract import AlarmInfo, Rhythm
from tui.bedside.judging import JUDGEMENTS, RHYTHMS, Judged, Judging
from tui.palette import COLOUR


def three() -> list[AlarmInfo]:
    return [
        alarm("vf", "VENTRICULAR FIBRILLATION", "high"),
        alarm("vt", "VENTRICULAR TACHYCARDIA", "high"),
        alarm("hr_high", "HR HIGH", "medium"),
    ]


def text(judging: Judging, alarms: list[AlarmInfo], width: int = 80, height: int = 11) -> str:
    rows = judging.rows(alarms, {}, (width, height), COLOUR)
    assert len(rows) <= height
    lines = ["".join(part for part, _ in row) for row in rows]
    assert {len(line) for line in lines} == {width}
    return "\n".join(lines)


def test_two_answers_make_a_judgement_of_the_newest_alarm() -> None:
    alarms, judging = three(), Judging()
    judging.begin(alarms)
    assert "1 true" in text(judging, alarms)
    assert judging.press(2) is None
    assert "FALSE. Which rhythm is it?" in text(judging, alarms)
    assert judging.press(1) == Judged(alarms[0].alarm_id, "false", Rhythm.NORMAL)


def test_rhythm_may_be_left_out() -> None:
    alarms, judging = three(), Judging()
    judging.begin(alarms)
    judging.press(1)
    assert judging.press(0) == Judged(alarms[0].alarm_id, "true", None)


def test_a_newer_alarm_does_not_slip_under_the_finger() -> None:
    alarms, judging = three(), Judging()
    judging.begin(alarms[1:])
    judging.press(1)
    said = judging.press(0)
    assert said is not None
    assert said.alarm_id == alarms[1].alarm_id
    assert text(judging, alarms).count("▶") == 1


def test_moving_takes_the_word_back() -> None:
    alarms, judging = three(), Judging()
    judging.begin(alarms)
    judging.press(1)
    judging.move(alarms, 1)
    assert judging.judgement is None
    assert judging.alarm_id == alarms[1].alarm_id


@pytest.mark.parametrize("height", [3, 4, 5, 11])
def test_many_alarms_never_push_the_question_off(height: int) -> None:
    alarms, judging = three() * 10, Judging()
    judging.begin(alarms)
    assert "3 unsure" in text(judging, alarms, height=height)


def test_without_alarms_no_digit_does_anything() -> None:
    judging = Judging()
    judging.begin([])
    judging.move([], 1)
    assert [judging.press(digit) for digit in (1, 1, 0)] == [None] * 3
    assert "no alarm" in text(judging, [])
    judging.follow(three())
    judging.follow(three()[1:])
    assert judging.alarm_id == three()[0].alarm_id


@given(st.lists(st.integers(0, 9), max_size=6))
def test_any_digits_give_only_what_is_offered(digits: list[int]) -> None:
    alarms, judging = three(), Judging()
    judging.begin(alarms)
    for digit in digits:
        said = judging.press(digit)
        if said is not None:
            assert said.judgement in {word for word, _ in JUDGEMENTS}
            assert said.rhythm is None or said.rhythm in RHYTHMS
