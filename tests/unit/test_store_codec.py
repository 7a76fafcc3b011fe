"""Sample blocks come back exact, and damaged bytes never do harm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agent.store.codec import Codec, CodecError, decode, encode_block, encode_piece
from drivers.samples import Counts

INT24 = st.integers(-(2**23), 2**23 - 1)
INT32 = st.integers(-(2**31), 2**31 - 1)
SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 8))


def walk(samples: int, leads: int, step: float, seed: int = 1) -> Counts:
    noise = np.random.default_rng(seed).normal(0, step, (samples, leads))
    return np.cumsum(noise, axis=0).astype(np.int32)


@settings(max_examples=100, deadline=None)
@given(SHAPES.flatmap(lambda shape: arrays(np.int32, shape, elements=INT24)))
def test_a_block_of_24_bit_counts_comes_back_exact(counts: Counts) -> None:
    codec, packed = encode_block(counts, 250.0)
    assert codec is Codec.FLAC
    assert np.array_equal(decode(codec, packed, *counts.shape), counts)


@settings(max_examples=100, deadline=None)
@given(SHAPES.flatmap(lambda shape: arrays(np.int32, shape, elements=INT32)))
def test_pieces_and_blocks_of_any_int32_come_back_exact(counts: Counts) -> None:
    assert np.array_equal(decode("delta-zlib", encode_piece(counts), *counts.shape), counts)
    codec, packed = encode_block(counts, 130.0)
    assert np.array_equal(decode(codec, packed, *counts.shape), counts)


@pytest.mark.parametrize("edge", [-(2**15), 2**15 - 1, -(2**15) - 1, 2**15, -(2**23), 2**23 - 1])
def test_the_edges_of_both_flac_widths_are_exact(edge: int) -> None:
    counts = np.array([[0], [edge], [edge], [0]], np.int32)
    codec, packed = encode_block(counts, 250.0)
    assert codec is Codec.FLAC
    assert np.array_equal(decode(codec, packed, 4, 1), counts)


def test_a_minute_of_eight_wide_leads_is_exact() -> None:
    counts = walk(15_000, 8, 300.0)
    codec, packed = encode_block(counts, 250.0)
    assert codec is Codec.FLAC
    assert np.array_equal(decode(codec, packed, 15_000, 8), counts)


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param(walk(250, 12, 50.0), id="twelve leads"),
        pytest.param(np.array([[2**23], [5]], np.int32), id="25 bits"),
    ],
)
def test_what_flac_cannot_carry_is_deflated(counts: Counts) -> None:
    codec, packed = encode_block(counts, 500.0)
    assert codec is Codec.DELTA_ZLIB
    assert np.array_equal(decode(codec, packed, *counts.shape), counts)


@pytest.mark.parametrize("rate_hz", [0.4, 1.0, 130.045, 1000.0, 2_000_000.0])
def test_any_rate_can_be_packed(rate_hz: float) -> None:
    counts = walk(100, 2, 20.0)
    codec, packed = encode_block(counts, rate_hz)
    assert np.array_equal(decode(codec, packed, 100, 2), counts)


def test_counts_in_another_memory_order_are_exact() -> None:
    counts = np.asfortranarray(walk(500, 3, 10.0))[::2]
    codec, packed = encode_block(counts, 250.0)
    assert np.array_equal(decode(codec, packed, 250, 3), counts)
    assert np.array_equal(decode("delta-zlib", encode_piece(counts), 250, 3), counts)


def test_a_row_that_promises_other_samples_is_refused() -> None:
    counts = walk(100, 2, 20.0)
    codec, packed = encode_block(counts, 250.0)
    for promised in [(99, 2), (100, 1), (200, 2)]:
        with pytest.raises(CodecError, match="100 samples of 2 leads"):
            decode(codec, packed, *promised)
    with pytest.raises(CodecError):
        decode("delta-zlib", encode_piece(counts), 101, 2)
    with pytest.raises(CodecError, match="'mp3'"):
        decode("mp3", packed, 100, 2)


@pytest.mark.parametrize("codec", ["flac", "delta-zlib"])
def test_damaged_bytes_give_counts_or_a_codec_error(codec: str) -> None:
    counts = walk(2_000, 2, 20.0)
    packed = encode_block(counts, 250.0)[1] if codec == "flac" else encode_piece(counts)
    chance = np.random.default_rng(7)
    for _ in range(300):
        damaged = bytearray(packed)
        for _ in range(int(chance.integers(1, 4))):
            damaged[int(chance.integers(len(damaged)))] = int(chance.integers(256))
        cut = bytes(damaged[: int(chance.integers(len(damaged)))])
        for material in (bytes(damaged), cut, chance.bytes(64)):
            try:
                got = decode(codec, material, 2_000, 2)
            except CodecError:
                continue
            assert got.shape == (2_000, 2)
