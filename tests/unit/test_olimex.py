"""The Olimex packets: worked examples, every capture to its last byte, damage and random bytes."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.decoders.olimex import OlimexDecoder
from drivers.olimex import Olimex
from drivers.samples import DriverError

CAPTURES = {
    # name: packets, of them from the reset, bytes thrown away, times out of step, bytes pending
    "2nd-Type1": (7653, 375, 33, 2, 0),
    "afib": (7795, 375, 34, 2, 0),
    "asys": (6868, 375, 40, 2, 0),
    "nsr": (6703, 375, 80, 3, 0),
    "s-brady": (7785, 375, 24, 1, 0),
    "sinus-pvc": (8293, 375, 33, 2, 7),
    "vf": (7054, 375, 53, 1, 0),
    "vt-slow": (7791, 375, 34, 2, 0),
}
"""Each begins amid a packet and with what an operating system still held of an earlier run; the
reset's text ``Reset signal logged.`` (22 bytes with its line end) stands among the reset packets;
``nsr`` has a packet that breaks off after 13 bytes."""


def packet(counter: int, value: int = 500, switches: int = 1) -> bytes:
    values = b"".join(value.to_bytes(2, "big") for _ in range(6))
    return b"\xa5\x5a\x02" + bytes([counter % 256]) + values + bytes([switches])


def counters(decoder: OlimexDecoder, data: bytes) -> list[int]:
    return [int(counter) for counter in decoder.feed(data).counters]


def test_worked_vectors(shared: Path) -> None:
    vectors = json.loads((shared / "captures" / "worked_vectors.json").read_text())
    olimex = [vector for vector in vectors if vector["device"] == "olimex"]
    assert len(olimex) == 4
    for vector in olimex:
        expected = vector["decoded"]
        packets = OlimexDecoder().feed(bytes.fromhex(vector["hex"]) + b"\xa5\x5a")
        assert packets.counters.tolist() == [expected["count"]]
        assert packets.counts.tolist() == [expected["adc"]]
        assert packets.switches.tolist() == [expected["switches"]]


@pytest.mark.parametrize("name", CAPTURES)
def test_every_byte_of_a_capture_is_accounted_for(shared: Path, name: str) -> None:
    data = (shared / "captures" / "olimex_ekg_emg" / f"{name}.bin").read_bytes()
    decoder = OlimexDecoder()
    packets = decoder.feed(data)
    frames = decoder.frames
    found = (
        len(packets.counters),
        int(packets.reset.sum()),
        frames.discarded,
        frames.breaks,
        frames.pending,
    )
    assert found == CAPTURES[name]
    assert 17 * found[0] + frames.discarded + frames.pending == len(data)
    assert int(packets.counts.max()) <= 1023


@pytest.mark.parametrize("name", CAPTURES)
def test_after_the_reset_no_packet_of_a_capture_is_missing(shared: Path, name: str) -> None:
    data = (shared / "captures" / "olimex_ekg_emg" / f"{name}.bin").read_bytes()
    packets = OlimexDecoder().feed(data)
    after = packets.counters[np.flatnonzero(packets.reset)[-1] + 1 :].astype(int)
    assert after[0] == 0
    assert set(np.diff(after) % 256) == {1}
    assert len(after) > 6000


def test_the_text_among_reset_packets_costs_none_of_them() -> None:
    reset = packet(0, 512, switches=2)
    decoder = OlimexDecoder()
    packets = decoder.feed(reset * 5 + b"Reset signal logged.\r\n" + reset * 5 + packet(0) * 2)
    assert packets.reset.tolist() == [True] * 10 + [False] * 2
    assert decoder.frames.discarded == 22


def test_a_flat_packet_with_the_usual_switches_is_a_sample() -> None:
    assert OlimexDecoder().feed(packet(0, 512) * 2).reset.tolist() == [False, False]


@pytest.mark.parametrize("at", [0, 1, 2, 4, 16])
def test_a_packet_with_impossible_bits_is_damage(at: int) -> None:
    broken = bytearray(packet(3))
    broken[at] = 0xF0
    decoder = OlimexDecoder()
    stream = packet(1) + packet(2) + bytes(broken) + packet(4) + packet(5)
    assert counters(decoder, stream) == [1, 2, 4, 5]
    assert decoder.frames.discarded == 17


@given(
    cuts=st.lists(st.integers(0, 17 * 60), max_size=40),
    seed=st.integers(0, 2**16),
    damage=st.integers(0, 12),
)
@settings(max_examples=60, deadline=None)
def test_what_comes_out_does_not_depend_on_the_cuts(
    cuts: list[int], seed: int, damage: int
) -> None:
    draw = random.Random(seed)
    stream = bytearray(b"".join(packet(n, draw.randrange(1024)) for n in range(60)))
    for _ in range(damage):
        stream[draw.randrange(len(stream))] = draw.choice([0xA5, 0x5A, draw.randrange(256)])
    whole, pieces = OlimexDecoder(), OlimexDecoder()
    expected = whole.feed(bytes(stream))
    edges = [0, *sorted(cuts), len(stream)]
    parts = [pieces.feed(bytes(stream[a:b])) for a, b in itertools.pairwise(edges)]
    assert np.concatenate([p.counters for p in parts]).tolist() == expected.counters.tolist()
    assert pieces.frames.discarded == whole.frames.discarded


def test_random_and_mutated_bytes_never_raise_and_two_packets_bring_it_in_step() -> None:
    draw = random.Random(17)
    decoder = OlimexDecoder()
    for _ in range(600):
        garbage = bytearray(draw.randbytes(draw.randrange(1, 1500)))
        for _ in range(draw.randrange(20)):
            at = draw.randrange(len(garbage))
            garbage[at : at + 3] = b"\xa5\x5a\x02"
        decoder.feed(bytes(garbage))
        assert decoder.frames.pending < 36
        after = counters(decoder, b"".join(packet(n) for n in range(100, 106)))
        assert after[-4:] == [102, 103, 104, 105]


def test_the_scale_is_marked_as_a_guess_until_calibrated() -> None:
    (guessed,) = Olimex("/dev/ttyACM0").leads
    assert guessed.microvolts_per_count == pytest.approx(1.7145, abs=1e-3)
    assert not guessed.calibrated
    assert guessed.offset_counts == 512
    assert guessed.full_scale_counts == (0, 1023)
    (known,) = Olimex("/dev/ttyACM0", microvolts_per_count=2.5).leads
    assert known.calibrated
    assert known.microvolts_per_count == 2.5


def test_an_impossible_rate_is_refused() -> None:
    with pytest.raises(DriverError, match="set rate_hz between 100 and 676"):
        Olimex("/dev/ttyACM0", rate_hz=0)
