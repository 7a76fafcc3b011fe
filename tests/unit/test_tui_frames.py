"""The feed's framing: any cut of the bytes gives the same frames, garbage gives one error."""

from __future__ import annotations

import random
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bedside import Unit

from sync.codec import ContractError
from sync.feed import MAX_FRAME, FrameError, FrameReader, frame, message_frame, read_message

Frames = st.lists(st.tuples(st.text(max_size=30), st.binary(max_size=200)), max_size=8)


@given(Frames, st.lists(st.integers(1, 50), min_size=1))
def test_cuts_do_not_matter(frames: list[tuple[str, bytes]], cuts: list[int]) -> None:
    data = b"".join(frame(topic, payload) for topic, payload in frames)
    reader, got, place, turn = FrameReader(), [], 0, 0
    while place < len(data):
        size = cuts[turn % len(cuts)]
        got += reader.feed(data[place : place + size])
        place, turn = place + size, turn + 1
    assert got == frames


def test_a_frame_is_a_length_and_a_messagepack_pair() -> None:
    assert frame("unit", b"\x01") == bytes.fromhex("00000009 92 a4756e6974 c40101")


def test_a_frame_over_the_limit_is_refused_on_both_sides() -> None:
    with pytest.raises(FrameError, match="1048576 is the most"):
        frame("bed/1/strip", bytes(MAX_FRAME))
    reader = FrameReader()
    with pytest.raises(FrameError, match="1048576 is the most"):
        reader.feed(struct.pack(">I", MAX_FRAME + 1))
    with pytest.raises(FrameError):
        reader.feed(b"")


def test_the_longest_frame_passes() -> None:
    payload = bytes(MAX_FRAME - 20)
    assert FrameReader().feed(frame("bed/1/strip", payload)) == [("bed/1/strip", payload)]


def test_garbage_raises_frame_error_only() -> None:
    generator = random.Random(7)
    for _ in range(3000):
        reader = FrameReader()
        data = generator.randbytes(generator.randrange(1, 60))
        if generator.random() < 0.7:
            data = struct.pack(">I", len(data)) + data
        with suppress(FrameError):
            for topic, payload in reader.feed(data):
                assert isinstance(topic, str)
                assert isinstance(payload, bytes)


def test_mutated_messages_raise_contract_error_only() -> None:
    unit, generator = Unit(), random.Random(11)
    good = [message_frame(m) for m in (unit.unit(), unit.state(), unit.vitals(), unit.wave())]
    read = 0
    for _ in range(2000):
        data = bytearray(generator.choice(good))
        for _ in range(generator.randrange(4)):
            data[generator.randrange(4, len(data))] = generator.randrange(256)
        try:
            for topic, payload in FrameReader().feed(bytes(data)):
                read_message(topic, payload)
                read += 1
        except (FrameError, ContractError):
            continue
    assert read > 100


def test_a_message_comes_back_as_it_was() -> None:
    unit = Unit()
    for message in (unit.unit(), unit.state(), unit.vitals(), unit.wave()):
        ((topic, payload),) = FrameReader().feed(message_frame(message))
        assert read_message(topic, payload) == message
