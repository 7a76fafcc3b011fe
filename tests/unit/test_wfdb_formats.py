"""Every WFDB storage format decodes to the samples that were stored."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wfdb_writing import packed

from drivers.files.wfdb_formats import PACKINGS, decode

BITS = {16: 16, 24: 24, 32: 32, 61: 16, 80: 8, 160: 16, 212: 12, 310: 10, 311: 10}


@pytest.mark.parametrize("fmt", sorted(BITS))
@given(data=st.data())
def test_any_cut_of_packed_samples_decodes_exactly(fmt: int, data: st.DataObject) -> None:
    half = 1 << (BITS[fmt] - 1)
    samples = data.draw(st.lists(st.integers(-half, half - 1), min_size=1, max_size=40))
    first = data.draw(st.integers(0, len(samples) - 1))
    raw = packed(fmt, samples)
    packing = PACKINGS[fmt]
    # Two samples of a group of three fill its bytes as three do.
    assert packing.samples_in(len(raw)) - len(samples) == (packing.group_samples == 3) * (
        len(samples) % 3 == 2
    )
    group, skip = divmod(first, packing.group_samples)
    got = decode(packing, raw[group * packing.group_bytes :], skip, len(samples) - first)
    assert got.tolist() == samples[first:]


@pytest.mark.parametrize(
    ("fmt", "hexes", "expected"),
    [
        # Real bytes: MIT-BIH record 100, and wfdb-python's binformats (see docs/devices/files.md).
        (212, "e333f3", [995, 1011]),
        (212, "0698223eba5a", [-2042, -1758, -1474, -1190]),
        (16, "02800e82", [-32766, -32242]),
        (61, "8003820f", [-32765, -32241]),
        (80, "0412202e", [-124, -110, -96, -82]),
        (160, "05001102", [-32763, -32239]),
    ],
)
def test_real_bytes(fmt: int, hexes: str, expected: list[int]) -> None:
    assert decode(PACKINGS[fmt], bytes.fromhex(hexes), 0, len(expected)).tolist() == expected


@pytest.mark.parametrize("fmt", sorted(PACKINGS))
def test_every_byte_string_holds_the_samples_it_says(fmt: int) -> None:
    rng = random.Random(fmt)
    packing = PACKINGS[fmt]
    for size in range(60):
        count = packing.samples_in(size)
        samples = decode(packing, rng.randbytes(size), 0, count)
        assert len(samples) == count
        assert packing.samples_in(size + packing.group_bytes) == count + packing.group_samples
