"""Help and the alarm log: sheets laid over the trace, never over the banner or the numbers."""

from __future__ import annotations

from sync.contract import AlarmInfo
from tui.bedside.panels import log_rows
from tui.bedside.view import BedView
from tui.palette import Palette
from tui.widgets.raster import Scale
from tui.widgets.text_rows import Row, fit
from tui.words import alarm_text, clock

_HELP = (
    ("a", "acknowledge the alarms shown", "+ -", "gain 2.5 5 10 20 mm/mV"),
    ("p", "pause audio 2 min, p again ends it", "< >", "speed 6.25 12.5 25 50 mm/s"),
    ("f", "freeze; arrows move the caliper,", "g", "grid of 5 mm"),
    ("", "tab takes its other line", "b", "next bed of this unit"),
    ("l", "alarms now and since this screen began", "j", "judge an alarm: true, false"),
    ("", "", "q", "quit; monitoring goes on"),
)


def help_rows(scale: Scale, palette: Palette, width: int) -> list[Row]:
    """The keys, and a ruler to check the size of the characters against."""
    ruler = round(50 / scale.cell_width_mm)
    rows: list[Row] = [((" HELP", palette.strong), ("   ? closes", palette.quiet))]
    for left, left_words, right, right_words in _HELP:
        rows.append(
            (
                (f" {left:>2} ", palette.strong),
                (f"{left_words:<40}", palette.text),
                (f"{right:>4} ", palette.strong),
                (right_words, palette.text),
            )
        )
    rows.append((("", palette.text),))
    rows.append(((" " + "├" + "─" * max(0, ruler - 2) + "┤", palette.strong),))
    rows.append(
        (
            (
                " 50 mm, if a character is "
                f"{scale.cell_width_mm:g} mm wide; if not: --cell-mm WIDTH",
                palette.quiet,
            ),
        )
    )
    return [fit(row, width) for row in rows]


def alarm_rows(
    view: BedView, alarms: list[AlarmInfo], height: int, width: int, palette: Palette
) -> list[Row]:
    """All alarms as they stand, then the log of what changed since this screen began."""
    rows: list[Row] = [((" ALARMS NOW", palette.strong), ("   l closes", palette.quiet))]
    for alarm in alarms[: max(1, height - 4)]:
        state = "latched" if alarm.state == "latched" else "active"
        if alarm.acknowledged:
            state += ", acknowledged"
        rows.append(
            (
                (f" {alarm_text(alarm)}", palette.number[alarm.priority]),
                (f"  {state}", palette.text),
                (f"  since {clock(alarm.onset)}" if alarm.onset else "", palette.quiet),
                (f"  {alarm.remedy}", palette.quiet),
            )
        )
    if not alarms:
        rows.append(((" none", palette.text),))
    rows.append(((" LOG since this screen began, newest first", palette.strong),))
    rows += log_rows(view.log, max(0, height - len(rows)), width, palette) or [
        ((" nothing yet", palette.text),)
    ]
    return [fit(row, width) for row in rows[:height]]


def ruled_off(rows: list[Row], height: int, width: int, palette: Palette) -> list[Row]:
    """Return ``height`` rows that end in a line: below it the trace goes on."""
    blank: Row = fit((("", palette.text),), width)
    filled = (rows + [blank] * height)[: height - 1]
    return [*filled, (("─" * width, palette.quiet),)]
