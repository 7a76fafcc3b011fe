"""Where each part of the bedside screen stands, by the size of the terminal. Pure.

Two arrangements: numbers below the trace (80 x 24, a small display), numbers beside it (wide).
The banner and the heart rate keep their room at every size; the trace takes what is left.
"""

from __future__ import annotations

from typing import NamedTuple

WIDE = 120
VERY_WIDE = 180
TALL = 36
SHORT = 22
NOWHERE = (0, 0, 0, 0)

Box = tuple[int, int, int, int]
"""Column, row, width and height in character cells."""


class Places(NamedTuple):
    """The box of every part; NOWHERE hides it."""

    header: Box
    banner: Box
    caption: Box
    wave: Box
    rate: Box
    details: Box
    log: Box
    footer: Box


def arrange(width: int, height: int) -> Places:
    """Return the places for a terminal of ``width`` x ``height`` cells."""
    if width >= WIDE and height >= SHORT:
        return _beside(width, height)
    return _below(width, height)


def _below(width: int, height: int) -> Places:
    banner = 5 if height >= TALL else 3 if height >= SHORT else 1
    numbers = 11 if height >= TALL else 7 if height >= SHORT else 3
    top, bottom = 1 + banner, max(1 + banner, height - 1 - numbers)
    rate = min(width, 58 if height >= TALL else 42 if width >= 78 else 30)
    return Places(
        header=(0, 0, width, 1),
        banner=(0, 1, width, banner),
        caption=(0, top, width, 1),
        wave=(0, top + 1, width, max(0, bottom - top - 1)),
        rate=(0, bottom, rate, numbers),
        details=(rate, bottom, width - rate, numbers),
        log=NOWHERE,
        footer=(0, height - 1, width, 1),
    )


def _beside(width: int, height: int) -> Places:
    banner = 5 if height >= TALL else 3
    side = 62 if width >= VERY_WIDE else 46
    rate = min(13 if width >= VERY_WIDE else 10, (height - banner) // 3)
    top, left = 1 + banner, width - side
    details = top + rate + 2
    log = details + 8
    return Places(
        header=(0, 0, width, 1),
        banner=(0, 1, width, banner),
        caption=(0, top, left, 1),
        wave=(0, top + 1, left, height - top - 2),
        rate=(left, top + 1, side, rate),
        details=(left, details, side, max(0, min(7, height - 1 - details))),
        log=(left, log, side, max(0, height - 1 - log)),
        footer=(0, height - 1, width, 1),
    )
