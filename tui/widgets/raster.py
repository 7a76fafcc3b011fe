"""A trace in characters: calibrated scale, and dots to braille or block characters. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPEEDS_MM_S = (6.25, 12.5, 25.0, 50.0)
GAINS_MM_MV = (2.5, 5.0, 10.0, 20.0)
CELL_WIDTH_MM = 1.5
"""A character cell, where the user does not measure it; twice as high as wide.

A laptop or a Raspberry Pi touch display with about 100 characters to 15 cm has such cells.
"""

Dots = NDArray[np.intp]
Cells = NDArray[np.uint32]
"""Code points, one per character cell."""
SPACE = np.uint32(ord(" "))


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Characters that hold ``across`` x ``down`` dots each."""

    across: int
    down: int
    weights: NDArray[np.uint32]
    """Shape (down, across): what each dot adds to the index into ``table``."""
    table: Cells

    def cells(self, dots: NDArray[np.bool_]) -> Cells:
        """Return the characters of a picture of dots.

        Args:
            dots: shape (rows * down, columns * across).

        Returns:
            Code points, shape (rows, columns).
        """
        rows, columns = dots.shape[0] // self.down, dots.shape[1] // self.across
        blocks = dots.reshape(rows, self.down, columns, self.across)
        index = np.einsum("rdca,da->rc", blocks, self.weights, dtype=np.uint32)
        cells: Cells = self.table[index]
        return cells


def _braille() -> Glyphs:
    """Unicode's braille patterns: dots 1-3 and 7 are the left column, 4-6 and 8 the right."""
    weights = np.array([[1, 8], [2, 16], [4, 32], [64, 128]], np.uint32)
    table = np.arange(0x2800, 0x2900, dtype=np.uint32)
    table[0] = SPACE
    return Glyphs(2, 4, weights, table)


BRAILLE = _braille()
BLOCKS = Glyphs(
    1,
    2,
    np.array([[1], [2]], np.uint32),
    np.array([ord(c) for c in " ▀▄█"], np.uint32),
)
"""For terminals without braille, such as the Linux console."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Paper speed and gain as on every ECG, and the size of a character cell."""

    speed_mm_s: float = 25.0
    gain_mm_mv: float = 10.0
    cell_width_mm: float = CELL_WIDTH_MM

    @property
    def cell_height_mm(self) -> float:
        """Terminal cells are twice as high as wide."""
        return 2 * self.cell_width_mm

    def columns_per_s(self, glyphs: Glyphs) -> float:
        """Dot columns per second of ECG."""
        return self.speed_mm_s * glyphs.across / self.cell_width_mm

    def dots_per_mv(self, glyphs: Glyphs) -> float:
        """Dot rows per millivolt."""
        return self.gain_mm_mv * glyphs.down / self.cell_height_mm


def strokes(top: Dots, bottom: Dots, height: int) -> NDArray[np.bool_]:
    """Return a picture with, in dot column i, the dots ``top[i]`` to ``bottom[i]`` set.

    A column whose top lies below its bottom stays empty. Rows count downwards from 0.
    """
    rows = np.arange(height)[:, None]
    drawn: NDArray[np.bool_] = (top <= rows) & (rows <= bottom)
    return drawn


def text_of(cells: Cells) -> str:
    """Return one row of code points as text."""
    return cells.astype("<u4").tobytes().decode("utf-32-le")
