"""Rows of styled text that repaint only what changed: cheap to set many times a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

Span: TypeAlias = tuple[str, Style]
Row: TypeAlias = tuple[Span, ...]


class TextRows(Widget):
    """Shows the rows it is given from the top; the rest is ``ground``."""

    ground = Style(bgcolor="color(16)")

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows: tuple[Row, ...] = ()

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows; costs nothing where a row is as before."""
        old, self.rows = self.rows, tuple(rows)
        for y in range(max(len(old), len(self.rows))):
            if old[y : y + 1] != self.rows[y : y + 1]:
                self.refresh(Region(0, y, self.size.width, 1))

    @property
    def text(self) -> str:
        """The rows without their styles."""
        return "\n".join("".join(text for text, _ in row) for row in self.rows)

    def render_line(self, y: int) -> Strip:
        """Render one row, cut or filled to the widget's width."""
        spans = self.rows[y] if y < len(self.rows) else ()
        segments = [Segment(text, style) for text, style in spans]
        return Strip(segments).adjust_cell_length(self.size.width, self.ground)


def fit(row: Row, width: int) -> Row:
    """Cut a row to ``width`` cells or fill it with its last style."""
    fitted: list[Span] = []
    left = width
    for text, style in row:
        size = cell_len(text)
        if size >= left:
            fitted.append((set_cell_size(text, left), style))
            return tuple(fitted)
        fitted.append((text, style))
        left -= size
    fill = fitted[-1][1] if fitted else TextRows.ground
    return (*fitted, (" " * left, fill))


def spread(left: Row, right: Row, width: int, fill: Style) -> Row:
    """Set ``left`` and ``right`` at the two ends of a row; what does not fit is cut on the left."""
    room = width - sum(cell_len(text) for text, _ in right)
    if room <= 0:
        return fit(right, width)
    return (*fit((*left, ("", fill)), room), *right)
