"""The sweep: a trace that is overwritten from left to right behind an erase bar. Pure.

Columns never move: what has been drawn stays where it is until the sweep comes round again, so
the eye can rest on it and only the few characters at the head change. With room for it the sweep
runs over several traces, one below the other (a cascade).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tui.widgets.history import WaveHistory
from tui.widgets.raster import SPACE, Cells, Dots, Glyphs, Scale, strokes, text_of

ROWS_PER_TRACE = 11
"""At 10 mm/mV and 3 mm per row some 3 mV: a high R wave over a deep S."""
MOST_TRACES = 4
ZERO_LINE = 0.62
"""Height of 0 mV from the top of a trace: most R waves point upwards."""
ERASE_MM = 7.5


class Dirty(NamedTuple):
    """Characters that changed: columns ``column`` to ``end`` - 1 of rows ``top`` to ``bottom``."""

    column: int
    end: int
    top: int
    bottom: int


class Sweep:
    """The characters of a trace of ``columns`` x ``rows``; the head is told by stream time."""

    def __init__(self, columns: int, rows: int, scale: Scale, glyphs: Glyphs) -> None:
        self.columns, self.rows = max(1, columns), max(2, rows)
        self.scale, self.glyphs = scale, glyphs
        self.traces = max(1, min(MOST_TRACES, self.rows // ROWS_PER_TRACE))
        self.trace_rows = self.rows // self.traces
        self.cells: Cells = np.full((self.rows, self.columns), SPACE, np.uint32)
        self._dots_per_s = scale.columns_per_s(glyphs)
        self._height = (self.trace_rows - 1) * glyphs.down
        erase = max(1, round(ERASE_MM / scale.cell_width_mm))
        self._erase = min(erase, self.columns * self.traces // 4)
        self._total = self.columns * self.traces
        """Character columns of one whole sweep."""
        self._head = 0
        """Dot column after the last one drawn, counted from stream time 0."""
        self._blank = True

    @property
    def sweep_s(self) -> float:
        """Seconds of ECG in one whole sweep."""
        return self._total * self.glyphs.across / self._dots_per_s

    @property
    def zero_dot(self) -> int:
        """Dot row of 0 mV, counted from the top of a trace without its row for beat labels."""
        return round(ZERO_LINE * (self._height - 1))

    def clear(self) -> list[Dirty]:
        """Blank the whole trace."""
        self.cells[:] = SPACE
        self._blank = True
        return [Dirty(0, self.columns, 0, self.rows - 1)]

    def draw_all(self, history: WaveHistory, head_s: float) -> list[Dirty]:
        """Draw one whole sweep that ends at ``head_s``."""
        self.cells[:] = SPACE
        self._head = int(head_s * self._dots_per_s)
        self._blank = False
        last = self.newest
        self._draw(history, last - self._total + self._erase + 2, last)
        for time_s, letter in history.marks:
            self.label(time_s, letter)
        return [Dirty(0, self.columns, 0, self.rows - 1)]

    def advance(self, history: WaveHistory, head_s: float) -> list[Dirty]:
        """Draw what came since the last call, up to ``head_s``, and move the erase bar on."""
        head = int(head_s * self._dots_per_s)
        across = self.glyphs.across
        if self._blank or head < self._head or head - self._head > self._total * across // 2:
            return self.draw_all(history, head_s)
        if head == self._head:
            return []
        first, newest_before = self._head // across, self.newest
        self._head = head
        dirty = self._draw(history, first, self.newest)
        for column in range(
            max(newest_before + self._erase, self.newest) + 1, self.newest + self._erase + 1
        ):
            dirty += self._erase_column(column)
        return dirty

    def label(self, time_s: float, letter: str) -> list[Dirty]:
        """Write a beat's letter above its R peak, if that is still on the trace."""
        column = self.column_at(time_s)
        if column is None:
            return []
        row, place = self._place(column)
        self.cells[row, place] = ord(letter)
        return [Dirty(place, place + 1, row, row)]

    def column_at(self, time_s: float) -> int | None:
        """Return the character column, counted from stream time 0, if it is on the trace."""
        column = int(time_s * self._dots_per_s) // self.glyphs.across
        return column if self.holds(column) else None

    @property
    def newest(self) -> int:
        """The column at the head, counted from stream time 0."""
        return (self._head - 1) // self.glyphs.across

    def holds(self, column: int) -> bool:
        """Return whether a column, counted from stream time 0, is on the trace."""
        return self.newest - self._total + self._erase < column <= self.newest

    def time_at(self, column: int) -> float:
        """Return the stream time in the middle of a character column."""
        return (column + 0.5) * self.glyphs.across / self._dots_per_s

    def row(self, y: int) -> str:
        """Return one row of characters."""
        return text_of(self.cells[y])

    def place(self, column: int) -> tuple[int, int, int]:
        """Return (first row, last row, column on the screen) of a column of the sweep."""
        row, x = self._place(column)
        return row, row + self.trace_rows - 1, x

    def _place(self, column: int) -> tuple[int, int]:
        trace, x = divmod(column % self._total, self.columns)
        return trace * self.trace_rows, x

    def _draw(self, history: WaveHistory, first: int, last: int) -> list[Dirty]:
        """Draw the character columns ``first`` to ``last`` (counted from stream time 0)."""
        across = self.glyphs.across
        edges = np.arange(first * across, (last + 1) * across + 1) / self._dots_per_s
        top, bottom = self._dot_rows(history, edges)
        top[self._head - first * across :] = 1
        bottom[self._head - first * across :] = 0
        cells = self.glyphs.cells(strokes(top, bottom, self._height))
        dirty: list[Dirty] = []
        column = first
        while column <= last:
            row, x = self._place(column)
            run = min(last + 1 - column, self.columns - x)
            dirty += self._put(row + 1, x, cells[:, column - first : column - first + run])
            column += run
        return dirty

    def _dot_rows(self, history: WaveHistory, edges: np.ndarray) -> tuple[Dots, Dots]:
        """Return the top and bottom dot of each dot column; top below bottom where empty."""
        low, high = history.envelope(edges)
        dots_per_uv = self.scale.dots_per_mv(self.glyphs) / 1000
        empty = np.isnan(low)
        most = self._height - 1
        top = np.clip(self.zero_dot - np.nan_to_num(high) * dots_per_uv, 0, most)
        bottom = np.clip(self.zero_dot - np.nan_to_num(low) * dots_per_uv, 0, most)
        top_dots, bottom_dots = np.rint(top).astype(np.intp), np.rint(bottom).astype(np.intp)
        top_dots[empty], bottom_dots[empty] = 1, 0
        return top_dots, bottom_dots

    def _put(self, row: int, x: int, cells: Cells) -> list[Dirty]:
        """Write characters below the label row and return the rows that changed."""
        place = self.cells[row : row + cells.shape[0], x : x + cells.shape[1]]
        changed = np.flatnonzero((place != cells).any(axis=1))
        place[:] = cells
        if not len(changed):
            return []
        return [Dirty(x, x + cells.shape[1], row + int(changed[0]), row + int(changed[-1]))]

    def _erase_column(self, column: int) -> list[Dirty]:
        row, x = self._place(column)
        place = self.cells[row : row + self.trace_rows, x]
        inked = np.flatnonzero(place != SPACE)
        if not len(inked):
            return []
        place[:] = SPACE
        return [Dirty(x, x + 1, row + int(inked[0]), row + int(inked[-1]))]
