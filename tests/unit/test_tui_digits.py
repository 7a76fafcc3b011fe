"""The big digits: every size, no two alike, always in their box."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.widgets.digits import big_number


@given(
    st.sampled_from(["--", "0", "7", "72", "138", "300"]), st.integers(1, 90), st.integers(1, 25)
)
def test_always_as_large_as_its_box(text: str, width: int, height: int) -> None:
    rows = big_number(text, width, height)
    assert len(rows) == height
    assert all(len(row) == width for row in rows)


@pytest.mark.parametrize("size", [(20, 4), (33, 7), (53, 13)])
def test_no_two_characters_look_alike(size: tuple[int, int]) -> None:
    pictures = {"\n".join(big_number(c, *size)) for c in "0123456789- "}
    assert len(pictures) == 12


def test_a_box_too_small_shows_the_plain_number() -> None:
    assert big_number("72", 6, 1) == ["    72"]


def test_a_seven_segment_four() -> None:
    assert [row[-5:] for row in big_number("4", 19, 4)] == ["█   █", "█▄▄▄█", "    █", "    ▀"]
