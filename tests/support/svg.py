"""A screen as SVG that looks the same everywhere: braille and blocks are drawn, not set as type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from html import escape

from rich.cells import cell_len
from rich.color import Color
from rich.style import Style
from rich.terminal_theme import DIMMED_MONOKAI
from textual.app import App
from textual.strip import Strip

WIDE, HIGH = 8, 16
"""A character cell; DejaVu Sans Mono and its like advance 0.602 em."""
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
_BLOCKS = {"█": (0, HIGH), "▀": (0, HIGH // 2), "▄": (HIGH // 2, HIGH // 2)}


def screen_strips(app: App[object]) -> list[Strip]:
    """Return the rows of the screen as the terminal would show them now."""
    return app.screen._compositor.render_strips()


def screen_text(app: App[object]) -> str:
    """Return the screen as text."""
    return "\n".join(strip.text.rstrip() for strip in screen_strips(app))


def screen_svg(app: App[object]) -> str:
    """Return the screen as one SVG picture."""
    width, height = app.size
    shapes: dict[str, list[str]] = defaultdict(list)
    words: list[str] = []
    for y, strip in enumerate(screen_strips(app)):
        x = 0
        for segment in strip:
            style = segment.style or Style()
            ink, ground = _colours(style)
            if ground != "#000000":
                run = cell_len(segment.text) * WIDE
                shapes[ground].append(f"M{x * WIDE} {y * HIGH}h{run}v{HIGH}h-{run}z")
            for left, text in _words(segment.text):
                if drawn := "".join(_shapes(text, x + left, y)):
                    shapes[ink].append(drawn)
                else:
                    words.append(_word(text, x + left, y, ink, bool(style.bold)))
            x += cell_len(segment.text)
    paths = "".join(f'<path fill="{colour}" d="{"".join(d)}"/>' for colour, d in shapes.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width * WIDE} {height * HIGH}" '
        f'width="{width * WIDE}" height="{height * HIGH}">'
        f'<rect width="100%" height="100%"/>{paths}<g font-size="13.3" xml:space="preserve" '
        f'font-family="DejaVu Sans Mono,Menlo,Consolas,monospace">{"".join(words)}</g></svg>\n'
    )


def _colours(style: Style) -> tuple[str, str]:
    ink, ground = _hex(style.color, "#d0d0d0"), _hex(style.bgcolor, "#000000")
    return (ground, ink) if style.reverse else (ink, ground)


def _hex(colour: Color | None, default: str) -> str:
    if colour is None or colour.is_default:
        return default
    return str(colour.get_truecolor(DIMMED_MONOKAI).hex)


def _drawn(character: str) -> bool:
    return character in _BLOCKS or 0x2800 < ord(character) <= 0x28FF


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Split at spaces and between drawn and set characters; yields (column, characters)."""
    start = column = 0
    word = ""
    for character in text:
        if word and (character == " " or _drawn(character) != _drawn(word[-1])):
            yield start, word
            word = ""
        if character != " ":
            start = start if word else column
            word += character
        column += cell_len(character)
    if word:
        yield start, word


def _shapes(text: str, column: int, row: int) -> Iterator[str]:
    for offset, character in enumerate(text):
        x, y = (column + offset) * WIDE, row * HIGH
        if character in _BLOCKS:
            top, height = _BLOCKS[character]
            yield f"M{x} {y + top}h{WIDE}v{height}h-{WIDE}z"
        elif _drawn(character):
            bits = ord(character) - 0x2800
            for bit, (across, down) in enumerate(_DOTS):
                if bits >> bit & 1:
                    yield f"M{x + 1 + across * 4} {y + 1 + down * 4}h3v3h-3z"


def _word(text: str, column: int, row: int, ink: str, bold: bool) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{column * WIDE}" y="{row * HIGH + 12}" fill="{ink}"{weight} '
        f'textLength="{cell_len(text) * WIDE}">{escape(text)}</text>'
    )
