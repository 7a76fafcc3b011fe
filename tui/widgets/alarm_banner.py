"""The alarm banner: every alarm of the bed in its colour, the most urgent one first and largest.

Read from 4 m: the colour of the worst alarm and its flashing. Read from 1 m: which alarms.
An audio pause changes nothing here; acknowledging stops the flashing and keeps the row.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from sync.contract import AlarmInfo
from tui.lights import lit
from tui.palette import Palette
from tui.widgets.text_rows import Row, TextRows, fit
from tui.words import alarm_text, clock, urgency

CYCLE_S = 2.0
"""How long each of several alarms stands in the last row when there are more than rows."""


def shown_first(alarms: Sequence[AlarmInfo]) -> list[AlarmInfo]:
    """Return the alarms to show, most urgent first, without those a worse one hides."""
    return sorted(
        (a for a in alarms if not a.hidden and a.state != "inactive"),
        key=urgency,
    )


def banner_rows(
    alarms: Sequence[AlarmInfo], width: int, height: int, now_s: float, palette: Palette
) -> list[Row]:
    """Return the banner's rows.

    Args:
        alarms: as ``shown_first`` gives them.
        width: columns.
        height: rows; the first alarm takes what the others leave.
        now_s: any steady clock, for flashing and for taking turns.
        palette: colours.
    """
    if height < 1:
        return []
    if not alarms:
        empty: Row = fit(((" no alarms", palette.quiet),), width)
        blank: Row = fit(((" ", palette.text),), width)
        return [empty if y == height // 2 else blank for y in range(height)]
    others = list(alarms[1:])
    room = height - 1
    waiting = max(0, len(others) - room)
    if waiting and room:
        turn = int(now_s / CYCLE_S) % (waiting + 1)
        others = [*others[: room - 1], others[room - 1 + turn]]
    elif waiting:
        others = []
    rows = _block(alarms[0], width, height - len(others), now_s, palette)
    for other in others:
        rows += _block(other, width, 1, now_s, palette)
    if waiting:
        rows[-1] = _with_more(rows[-1], waiting, width)
    return rows


def _block(alarm: AlarmInfo, width: int, height: int, now_s: float, palette: Palette) -> list[Row]:
    """Return one alarm's rows; what to do stands below its name where there is a row for it."""
    styles = palette.lit if lit(alarm.priority, alarm.acknowledged, now_s) else palette.unlit
    style = styles[alarm.priority]
    blank: Row = ((" " * width, style),)
    rows = [blank] * height
    place = (height - 1) // 2
    left = f" {alarm_text(alarm)}"
    if alarm.remedy and height > 1:
        rows[place + 1] = fit(((f"     {alarm.remedy}", style),), width)
    elif alarm.remedy:
        left += f": {alarm.remedy}"
    right = _notes(alarm, width - cell_len(alarm_text(alarm)) - 3)
    room = max(0, width - cell_len(right))
    rows[place] = (*fit(((left, style),), room), (right, style))
    return rows


def _notes(alarm: AlarmInfo, room: int) -> str:
    """Return what is to be said besides the name; the name is never cut for it."""
    notes = []
    if alarm.state == "latched":
        notes.append("LATCHED")
    if alarm.acknowledged:
        notes.append("acknowledged")
    if alarm.state == "latched" and alarm.ended is not None:
        notes.append(f"ended {clock(alarm.ended)}")
    if alarm.kind == "physiological":
        notes.append(f"since {clock(alarm.onset)}")
    while notes and cell_len(" · ".join(notes)) > room:
        notes.pop()
    return " · ".join(notes) + " " if notes else ""


def _with_more(row: Row, waiting: int, width: int) -> Row:
    style = row[-1][1]
    more = f" +{waiting} more: l "
    return fit((*fit(row, max(0, width - len(more))), (more, style)), width)


class AlarmBanner(TextRows):
    """Shows ``banner_rows`` in as many rows as the layout gives it."""

    def tell(self, alarms: Sequence[AlarmInfo], now_s: float, palette: Palette) -> None:
        """Show the alarms as they stand at ``now_s``."""
        self.show(banner_rows(alarms, self.size.width, self.size.height, now_s, palette))
