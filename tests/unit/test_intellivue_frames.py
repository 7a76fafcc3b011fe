"""IntelliVue's frames on a serial line (MIB RS-232): worked vectors, cuts, noise, damage."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from drivers.decoders.intellivue_mib import END, LONGEST_FRAME, MibFrames, fcs, frame


def test_worked_vectors_of_the_serial_frames(shared: Path) -> None:
    vectors = json.loads((shared / "captures" / "worked_vectors.json").read_text())
    mine = [vector for vector in vectors if vector["device"] == "intellivue_rs232"]
    assert len(mine) == 2
    for vector in mine:
        payload, framed = bytes.fromhex(vector["decoded"]["payload"]), bytes.fromhex(vector["hex"])
        assert frame(payload) == framed
        assert MibFrames().feed(framed) == [payload]
    assert fcs(bytes.fromhex("3A71")) == 0x269B
    assert fcs(bytes.fromhex("3A91")) == 0xC195
    assert fcs(b"123456789") == 0x906E, "the check value of CRC-16/X-25"


@given(st.lists(st.binary(max_size=200), max_size=8), st.lists(st.integers(0, 2000), max_size=20))
def test_frames_survive_any_cut_and_noise_between_them(
    messages: list[bytes], cuts: list[int]
) -> None:
    stream = b"\x11\x01noise" + b"".join(frame(message) + b"\x00\x7d" for message in messages)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    frames, found = MibFrames(), []
    for a, b in itertools.pairwise(edges):
        found += frames.feed(stream[a:b])
    assert found == messages


def test_a_damaged_frame_is_dropped_and_the_next_one_read() -> None:
    good = frame(b"hello")
    for at in range(1, len(good) - 1):
        for bit in range(8):
            damaged = bytearray(good)
            damaged[at] ^= 1 << bit
            frames = MibFrames()
            assert frames.feed(bytes(damaged)) != [b"hello"]
            frames.feed(b"")
            assert (frames.feed(good) + frames.feed(good))[-1] == b"hello"
    aborted = MibFrames()
    assert aborted.feed(good[:-3] + bytes([0x7D, END]) + good) == [b"hello"]
    assert aborted.discarded == len(good) - 1
    endless = MibFrames()
    endless.feed(b"\xc0" + b"\x00" * (LONGEST_FRAME + 10))
    assert endless.pending == 0
