"""Digits as large as there is room for, drawn in half blocks so that their dots are square. Pure.

A number is read from the end of the bed: seven strokes per digit stay legible at every size and
cannot be mistaken for each other, as thin fonts can.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TOP, _UPPER_RIGHT, _LOWER_RIGHT, _BOTTOM, _LOWER_LEFT, _UPPER_LEFT, _MIDDLE = range(7)
_STROKES = {
    "0": (_TOP, _UPPER_RIGHT, _LOWER_RIGHT, _BOTTOM, _LOWER_LEFT, _UPPER_LEFT),
    "1": (_UPPER_RIGHT, _LOWER_RIGHT),
    "2": (_TOP, _UPPER_RIGHT, _MIDDLE, _LOWER_LEFT, _BOTTOM),
    "3": (_TOP, _UPPER_RIGHT, _MIDDLE, _LOWER_RIGHT, _BOTTOM),
    "4": (_UPPER_LEFT, _MIDDLE, _UPPER_RIGHT, _LOWER_RIGHT),
    "5": (_TOP, _UPPER_LEFT, _MIDDLE, _LOWER_RIGHT, _BOTTOM),
    "6": (_TOP, _UPPER_LEFT, _MIDDLE, _LOWER_LEFT, _LOWER_RIGHT, _BOTTOM),
    "7": (_TOP, _UPPER_RIGHT, _LOWER_RIGHT),
    "8": tuple(range(7)),
    "9": (_TOP, _UPPER_LEFT, _UPPER_RIGHT, _MIDDLE, _LOWER_RIGHT, _BOTTOM),
    "-": (_MIDDLE,),
    " ": (),
}
DIGITS = 3
WIDTH_TO_HEIGHT = 0.62
_HALF_BLOCKS = " ▀▄█"


def big_number(text: str, width: int, height: int) -> list[str]:
    """Draw a number of up to three characters, right-aligned, in a box of character cells.

    Args:
        text: of ``0-9``, ``-`` and spaces.
        width: columns of the box.
        height: rows of the box; the digits use less where the width allows no more.

    Returns:
        ``height`` rows of ``width`` characters. Where the box is too small for drawn digits the
        text itself stands in the middle row.
    """
    gap = max(1, width // 20)
    wide = (width - gap * (DIGITS - 1)) // DIGITS
    high = min(2 * height, int(wide / WIDTH_TO_HEIGHT))
    high -= 1 - high % 2
    wide = min(wide, int(high * WIDTH_TO_HEIGHT) + 1)
    if high < 5 or wide < 3:
        plain = text.rjust(width)[:width]
        return [plain if y == height // 2 else " " * width for y in range(height)]
    picture = np.zeros((2 * height, width), bool)
    left = width - (wide + gap) * len(text) + gap
    top = (2 * height - high) // 2
    for character in text:
        picture[top : top + high, left : left + wide] = _digit(character, wide, high)
        left += wide + gap
    index = picture[0::2] + 2 * picture[1::2]
    return ["".join(_HALF_BLOCKS[i] for i in row) for row in index]


def _digit(character: str, wide: int, high: int) -> NDArray[np.bool_]:
    """Draw one character's strokes in a picture of ``high`` (odd) x ``wide`` dots."""
    thick = max(1, round(wide / 4.5))
    middle = high // 2
    upper, lower = slice(0, middle + (thick + 1) // 2), slice(middle - thick // 2, high)
    across, down = slice(0, wide), slice(0, thick)
    areas = {
        _TOP: (down, across),
        _MIDDLE: (slice(middle - thick // 2, middle - thick // 2 + thick), across),
        _BOTTOM: (slice(high - thick, high), across),
        _UPPER_LEFT: (upper, slice(0, thick)),
        _LOWER_LEFT: (lower, slice(0, thick)),
        _UPPER_RIGHT: (upper, slice(wide - thick, wide)),
        _LOWER_RIGHT: (lower, slice(wide - thick, wide)),
    }
    picture = np.zeros((high, wide), bool)
    for stroke in _STROKES[character]:
        picture[areas[stroke]] = True
    if thick > 1:
        picture[[0, 0, -1, -1], [0, -1, 0, -1]] = False
    return picture
