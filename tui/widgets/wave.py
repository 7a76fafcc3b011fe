"""The sweeping ECG: repaints only the rows that the sweep's head changes, up to its column."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.palette import Palette
from tui.widgets.caliper import Caliper
from tui.widgets.history import WaveHistory
from tui.widgets.raster import SPACE, Cells, Glyphs, Scale, text_of
from tui.widgets.sweep import Dirty, Sweep

MARGIN = 2
"""Columns left of the trace: the bar of 1 mV."""
GRID_MM = 5.0

LINE = ord("│")

_WAVE, _GRID, _CALIPER, _NOTICE = range(4)


class WaveView(Widget):
    """Draws a ``WaveHistory`` as a sweep; the screen tells it where the head stands."""

    def __init__(
        self, history: WaveHistory, scale: Scale, glyphs: Glyphs, palette: Palette
    ) -> None:
        super().__init__(id="wave")
        self.history, self.palette = history, palette
        self._scale, self._glyphs = scale, glyphs
        self.sweep = Sweep(1, 2, scale, glyphs)
        self.caliper: Caliper | None = None
        self._head_s: float | None = None
        self._frozen = False
        self._live = True
        self._notice = ""
        self._grid = False
        self._grid_cells, self._bar = _grid_of(self.sweep), _bar_of(self.sweep)

    @property
    def scale(self) -> Scale:
        """Paper speed and gain in use."""
        return self._scale

    @property
    def frozen(self) -> bool:
        """Whether the trace stands still at the user's wish."""
        return self._frozen

    def set_scale(self, scale: Scale) -> None:
        """Draw everything anew at another speed or gain."""
        self._scale = scale
        self._lay_out()

    def toggle_grid(self) -> None:
        """Show or hide the grid of 5 mm."""
        self._grid = not self._grid
        self.refresh()

    def play(self, head_s: float | None, *, live: bool, blank: bool) -> None:
        """Move the head of the sweep.

        Args:
            head_s: stream time to draw up to; None before the first sample.
            live: False greys the trace: no samples are coming.
            blank: take the trace away: it is too old to be taken for the patient's.
        """
        if self._frozen:
            return
        if live != self._live:
            self._live = live
            self.refresh()
        if blank or head_s is None:
            if self._head_s is not None:
                self._head_s = None
                self._repaint(self.sweep.clear())
            return
        self._head_s = head_s
        self._repaint(self.sweep.advance(self.history, head_s))

    def mark(self, time_s: float, letter: str) -> None:
        """Write a beat's letter above it, now and whenever the trace is drawn anew."""
        self.history.marks.append((time_s, letter))
        if not self._frozen:
            self._repaint(self.sweep.label(time_s, letter))

    def freeze(self) -> None:
        """Hold the trace and lay the caliper on its newest half second."""
        if self._head_s is None:
            return
        self._frozen = True
        newest = self.sweep.newest
        back = round(0.5 / (self.sweep.time_at(1) - self.sweep.time_at(0)))
        self.caliper = Caliper(newest - back, newest)
        self.refresh()

    def release(self) -> None:
        """Let the sweep run on."""
        self._frozen, self.caliper = False, None
        self.refresh()

    def move_caliper(self, columns: int) -> None:
        """Move the caliper's line, when frozen."""
        if self.caliper is not None:
            self.caliper.move(columns, self.sweep)
            self.refresh()

    def swap_caliper(self) -> None:
        """Move the caliper's other line from now on."""
        if self.caliper is not None:
            self.caliper.swap()

    def tell(self, notice: str) -> None:
        """Show a line of text over the trace; an empty one takes it away."""
        if notice != self._notice:
            self._notice = notice
            y = self._notice_row
            self._repaint([Dirty(0, self.sweep.columns, y, y)])

    def on_resize(self, event: Resize) -> None:
        """Draw for the new size."""
        self._lay_out()

    @property
    def _notice_row(self) -> int:
        return self.sweep.trace_rows // 2

    def _lay_out(self) -> None:
        width, height = self.size
        self.sweep = Sweep(width - MARGIN, height, self._scale, self._glyphs)
        self._grid_cells, self._bar = _grid_of(self.sweep), _bar_of(self.sweep)
        if self._head_s is not None:
            self.sweep.draw_all(self.history, self._head_s)
        if self._frozen:
            self.freeze()
        self.refresh()

    def _repaint(self, dirty: Sequence[Dirty]) -> None:
        """Ask for the changed rows, each once: a row is sent again from its left edge."""
        ends: dict[int, int] = {}
        for part in dirty:
            for y in range(part.top, part.bottom + 1):
                ends[y] = max(part.end, ends.get(y, 0))
        if ends:
            self.refresh(*(Region(0, y, MARGIN + end, 1) for y, end in ends.items()))

    def render_line(self, y: int) -> Strip:
        """Render one row of characters."""
        if y >= self.sweep.rows:
            return Strip.blank(self.size.width, self.palette.wave)
        cells = self.sweep.cells[y].copy()
        kinds = np.full(len(cells), _WAVE, np.intp)
        if self._grid:
            free = cells == SPACE
            cells[free] = self._grid_cells[y][free]
            kinds[free] = _GRID
        for x in self._caliper_columns(y):
            kinds[x] = _CALIPER
            if self.sweep.cells[y, x] == SPACE:
                cells[x] = LINE
        if self._notice and y == self._notice_row:
            notice = _centred(self._notice, len(cells))
            cells[notice > 0] = notice[notice > 0]
            kinds[notice > 0] = _NOTICE
        return Strip(self._segments(self._bar[y], cells, kinds)).adjust_cell_length(
            self.size.width, self.palette.wave
        )

    def _caliper_columns(self, y: int) -> list[int]:
        """Return the columns of row ``y`` that the caliper's lines cross."""
        if self.caliper is None:
            return []
        places = (self.sweep.place(c) for c in (self.caliper.fixed, self.caliper.moving))
        return [x for top, bottom, x in places if top <= y <= bottom]

    def _segments(self, bar: str, cells: Cells, kinds: NDArray[np.intp]) -> list[Segment]:
        """Cut a row where its style changes; the bar has the trace's style, to save a cut."""
        styles = self._styles()
        cuts = [0, *(np.flatnonzero(np.diff(kinds)) + 1).tolist(), len(cells)]
        segments = [Segment(text_of(cells[a:b]), styles[int(kinds[a])]) for a, b in pairwise(cuts)]
        if kinds[0] != _WAVE:
            return [Segment(bar, styles[_WAVE]), *segments]
        return [Segment(bar + segments[0].text, styles[_WAVE]), *segments[1:]]

    def _styles(self) -> tuple[Style, ...]:
        palette = self.palette
        wave = palette.wave if self._live or self._frozen else palette.stale
        return wave, palette.grid, palette.strong, palette.notice


def _centred(text: str, columns: int) -> Cells:
    """Return a row of characters with a notice in its middle, 0 beside it."""
    text = f" {text} "[:columns]
    row = np.zeros(columns, np.uint32)
    left = (columns - len(text)) // 2
    row[left : left + len(text)] = [ord(character) for character in text]
    return row


def _grid_of(sweep: Sweep) -> Cells:
    """Return the characters of the 5 mm grid: a dot row or column every 5 mm, from 0 mV."""
    glyphs, scale = sweep.glyphs, sweep.scale
    height = (sweep.trace_rows - 1) * glyphs.down
    down = GRID_MM * glyphs.down / scale.cell_height_mm
    across = GRID_MM * glyphs.across / scale.cell_width_mm
    dots = np.zeros((height, sweep.columns * glyphs.across), bool)
    first = sweep.zero_dot % down
    lines = np.rint(np.arange(first, height - 0.5, down)).astype(np.intp)
    columns = np.rint(np.arange(0, dots.shape[1] - 0.5, across)).astype(np.intp)
    dots[np.ix_(lines, range(0, dots.shape[1], 2))] = True
    dots[:: glyphs.down // 2 or 1, columns] = True
    trace = np.full((sweep.trace_rows, sweep.columns), SPACE, np.uint32)
    trace[1:] = glyphs.cells(dots)
    return _stacked(trace, sweep)


def _bar_of(sweep: Sweep) -> list[str]:
    """Return the margin of each row: a bar from 0 mV up to 1 mV."""
    glyphs = sweep.glyphs
    height = (sweep.trace_rows - 1) * glyphs.down
    dots = np.zeros((height, glyphs.across), bool)
    top = max(0, sweep.zero_dot - round(sweep.scale.dots_per_mv(glyphs)))
    dots[top : sweep.zero_dot + 1, 0] = True
    dots[[top, sweep.zero_dot], :] = True
    trace = np.full((sweep.trace_rows, 1), SPACE, np.uint32)
    trace[1:] = glyphs.cells(dots)
    return [text_of(row) + " " * (MARGIN - 1) for row in _stacked(trace, sweep)]


def _stacked(trace: Cells, sweep: Sweep) -> Cells:
    """Repeat one trace's characters for all traces, blank below them."""
    cells = np.full((sweep.rows, trace.shape[1]), SPACE, np.uint32)
    for number in range(sweep.traces):
        cells[number * sweep.trace_rows : (number + 1) * sweep.trace_rows] = trace
    return cells
