"""The sweep: calibrated, erased ahead of its head, and repainted only where it changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ecg

from tui.widgets.history import WaveHistory
from tui.widgets.raster import BLOCKS, BRAILLE, GAINS_MM_MV, SPACE, Scale, strokes
from tui.widgets.sweep import ERASE_MM, Dirty, Sweep

RATE = 250


def history_of(signal: np.ndarray) -> WaveHistory:
    history = WaveHistory(keep_s=60)
    history.add(0.0, RATE, ecg.int16(signal))
    return history


@pytest.mark.parametrize("bit", range(8))
def test_braille_dots_are_where_unicode_puts_them(bit: int) -> None:
    row, column = ((0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (3, 0), (3, 1))[bit]
    dots = np.zeros((4, 2), bool)
    dots[row, column] = True
    assert BRAILLE.cells(dots)[0, 0] == 0x2800 + (1 << bit)


def test_empty_cells_are_spaces() -> None:
    assert (BRAILLE.cells(np.zeros((8, 6), bool)) == SPACE).all()
    assert (BLOCKS.cells(np.zeros((8, 6), bool)) == SPACE).all()


def test_block_characters() -> None:
    dots = np.array([[1, 0, 1, 0], [0, 1, 1, 0]], bool)
    assert "".join(map(chr, BLOCKS.cells(dots)[0])) == "▀▄█ "


def test_strokes_fill_from_top_to_bottom() -> None:
    drawn = strokes(np.array([1, 1]), np.array([2, 0]), 4)
    assert drawn[:, 0].tolist() == [False, True, True, False]
    assert not drawn[:, 1].any()


def dots_of(sweep: Sweep) -> np.ndarray:
    """The picture in dots, read back from the braille characters."""
    bits = np.where(sweep.cells == SPACE, 0, sweep.cells - 0x2800)
    places = np.array([[1, 8], [2, 16], [4, 32], [64, 128]])
    picture = (bits[:, None, :, None] & places[None, :, None, :]) > 0
    return picture.reshape(sweep.rows * 4, sweep.columns * 2)


@pytest.mark.parametrize("gain", GAINS_MM_MV)
def test_a_millivolt_is_as_high_as_the_gain_says(gain: float) -> None:
    """Within 5 % or a dot (IEC 60601-2-27's tolerance, as far as dots allow)."""
    scale = Scale(gain_mm_mv=gain)
    sweep = Sweep(60, 21, scale, BRAILLE)
    signal = np.zeros(1000)
    signal[500:] = 1000.0
    sweep.draw_all(history_of(signal), 3.0)
    dot_mm = scale.cell_height_mm / 4
    stroke = dots_of(sweep).sum(axis=0).max() - 1
    assert stroke * dot_mm == pytest.approx(gain, abs=max(0.05 * gain, dot_mm))


@pytest.mark.parametrize("speed", [6.25, 12.5, 25.0, 50.0])
def test_a_second_is_as_long_as_the_speed_says(speed: float) -> None:
    scale = Scale(speed_mm_s=speed, cell_width_mm=1.5)
    sweep = Sweep(400, 10, scale, BRAILLE)
    sweep.draw_all(history_of(ecg.sinus(0, 10)), 9.0)
    one, two = sweep.column_at(8.0), sweep.column_at(8.9)
    assert one is not None
    assert two is not None
    assert (two - one) * 1.5 == pytest.approx(0.9 * speed, abs=1.5)


def test_nothing_is_drawn_in_the_erase_bar() -> None:
    sweep = Sweep(80, 11, Scale(), BRAILLE)
    history = history_of(ecg.sinus(0, 30))
    sweep.draw_all(history, 12.0)
    for head in np.arange(12.0, 25.0, 0.08):
        sweep.advance(history, float(head))
        bar = round(ERASE_MM / 1.5)
        ahead = [sweep.place(sweep.newest + k)[2] for k in range(1, bar + 1)]
        assert (sweep.cells[:, ahead] == SPACE).all()
        behind = sweep.place(sweep.newest + bar + 2)[2]
        assert (sweep.cells[:, behind] != SPACE).any()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.0, 0.7), min_size=1, max_size=40), st.sampled_from([(40, 8), (30, 25)]))
def test_step_by_step_is_the_same_as_all_at_once(steps: list[float], size: tuple[int, int]) -> None:
    history = history_of(ecg.sinus(0, 40))
    stepwise = Sweep(*size, Scale(), BRAILLE)
    head = 10.0
    stepwise.draw_all(history, head)
    shown = stepwise.cells.copy()
    for step in steps:
        head += step
        for part in stepwise.advance(history, head):
            _paint(shown, stepwise, part)
    np.testing.assert_array_equal(shown, stepwise.cells)
    at_once = Sweep(*size, Scale(), BRAILLE)
    at_once.draw_all(history, head)
    for column in range(stepwise.newest - 10, stepwise.newest + 1):
        top, bottom, x = stepwise.place(column)
        np.testing.assert_array_equal(
            stepwise.cells[top : bottom + 1, x], at_once.cells[top : bottom + 1, x]
        )


def _paint(shown: np.ndarray, sweep: Sweep, part: Dirty) -> None:
    area = (slice(part.top, part.bottom + 1), slice(part.column, part.end))
    shown[area] = sweep.cells[area]


def test_a_frame_changes_few_characters() -> None:
    sweep = Sweep(150, 11, Scale(), BRAILLE)
    history = history_of(ecg.sinus(0, 30))
    sweep.draw_all(history, 12.0)
    changed = [
        sum((d.end - d.column) * (d.bottom - d.top + 1) for d in sweep.advance(history, float(t)))
        for t in np.arange(12.0, 20.0, 0.08)
    ]
    assert np.mean(changed) < 10
    assert max(changed) < 40


def test_a_gap_is_left_blank() -> None:
    history = history_of(ecg.sinus(0, 2))
    history.add(3.0, RATE, ecg.int16(ecg.sinus(3, 2)))
    sweep = Sweep(120, 11, Scale(), BRAILLE)
    sweep.draw_all(history, 5.0)
    first, last = sweep.column_at(2.1), sweep.column_at(2.9)
    assert first is not None
    assert last is not None
    columns = [sweep.place(c)[2] for c in range(first, last)]
    assert (sweep.cells[:, columns] == SPACE).all()


def test_a_large_pane_is_a_cascade_that_runs_on_below() -> None:
    sweep = Sweep(100, 44, Scale(), BRAILLE)
    assert sweep.traces == 4
    assert sweep.sweep_s == pytest.approx(4 * 100 * 1.5 / 25)
    sweep.draw_all(history_of(ecg.sinus(0, 40)), 30.0)
    for trace in range(4):
        rows = sweep.cells[trace * 11 : trace * 11 + 11]
        assert (rows != SPACE).sum() > 80


def test_a_beats_letter_stands_above_it_and_survives_a_redraw() -> None:
    sweep = Sweep(80, 11, Scale(), BRAILLE)
    history = history_of(ecg.sinus(0, 10))
    sweep.draw_all(history, 6.0)
    history.marks.append((5.0, "V"))
    (part,) = sweep.label(5.0, "V")
    assert (part.top, part.bottom) == (0, 0)
    assert sweep.row(0)[part.column] == "V"
    sweep.draw_all(history, 6.1)
    assert "V" in sweep.row(0)
    assert sweep.label(0.5, "V") == []


def test_a_pane_too_small_for_a_trace_still_draws() -> None:
    history = history_of(ecg.sinus(0, 10))
    for columns, rows in ((0, 0), (1, 1), (3, 2)):
        sweep = Sweep(columns, rows, Scale(), BRAILLE)
        sweep.draw_all(history, 5.0)
        for head in (5.1, 5.3, 9.0):
            sweep.advance(history, head)
        assert sweep.cells.shape == (max(2, rows), max(1, columns))
