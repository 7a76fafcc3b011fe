"""Colours of the screens: dark, for a ward at night, and a set without colour for NO_COLOR.

Colours are named by their place in the 256-colour palette: true-colour and 256-colour terminals
show the same, and over a slow line they are shorter than three numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.style import Style

from sync.contract import Priority

BLACK = "color(16)"
_INK, _GREY, _DARK = "color(252)", "color(245)", "color(238)"
_RED, _YELLOW, _CYAN, _GREEN = "color(160)", "color(220)", "color(44)", "color(83)"


@dataclass(frozen=True, slots=True)
class Palette:
    """What each kind of text looks like."""

    text: Style
    strong: Style
    quiet: Style
    wave: Style
    stale: Style
    """A trace that no longer moves."""
    grid: Style
    notice: Style
    """Over the trace: why there is none."""
    lit: dict[Priority, Style]
    """An alarm's row while its light is on."""
    unlit: dict[Priority, Style]
    number: dict[Priority | None, Style]
    """The big digits, by the worst alarm of the patient."""
    warning: Style


def _on_black(color: str, *, bold: bool = False, reverse: bool = False) -> Style:
    return Style(color=color, bgcolor=BLACK, bold=bold, reverse=reverse)


COLOUR = Palette(
    text=_on_black(_INK),
    strong=_on_black("color(231)", bold=True),
    quiet=_on_black(_GREY),
    wave=_on_black(_GREEN),
    stale=_on_black(_DARK),
    grid=_on_black("color(22)"),
    notice=Style(color=BLACK, bgcolor=_YELLOW, bold=True),
    lit={
        Priority.HIGH: Style(color="color(231)", bgcolor=_RED, bold=True),
        Priority.MEDIUM: Style(color=BLACK, bgcolor=_YELLOW, bold=True),
        Priority.LOW: Style(color=BLACK, bgcolor=_CYAN),
    },
    unlit={
        Priority.HIGH: Style(color="color(231)", bgcolor="color(52)", bold=True),
        Priority.MEDIUM: _on_black(_YELLOW, bold=True),
        Priority.LOW: _on_black(_CYAN),
    },
    number={
        None: _on_black(_GREEN),
        Priority.HIGH: _on_black("color(203)"),
        Priority.MEDIUM: _on_black(_YELLOW),
        Priority.LOW: _on_black(_CYAN),
    },
    warning=_on_black(_YELLOW, bold=True),
)

_PLAIN, _BOLD = _on_black("color(231)"), _on_black("color(231)", bold=True)
_REVERSE = _on_black("color(231)", bold=True, reverse=True)

MONOCHROME = Palette(
    text=_PLAIN,
    strong=_BOLD,
    quiet=_on_black("color(248)"),
    wave=_PLAIN,
    stale=_on_black("color(242)"),
    grid=_on_black("color(240)"),
    notice=_REVERSE,
    lit={Priority.HIGH: _REVERSE, Priority.MEDIUM: _REVERSE, Priority.LOW: _BOLD},
    unlit={Priority.HIGH: _BOLD, Priority.MEDIUM: _BOLD, Priority.LOW: _BOLD},
    number=dict.fromkeys((None, *Priority), _BOLD),
    warning=_REVERSE,
)
"""Priority is told by the prefix, by reverse video and by how fast it flashes."""
