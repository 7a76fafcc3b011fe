"""The Cyton's packets: worked examples, damage, random bytes, and what may be configured."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.cyton import Cyton
from drivers.decoders.cyton import CytonDecoder, DaisyPairs, microvolts_per_count
from drivers.emulated.cyton import EmulatedCyton
from drivers.samples import DriverError
from drivers.source import SourceChunk

RAILED = bytes.fromhex("A0458FF2408FDFF4902BB68FBFBF7FFFFF7FFFFF94253420B67D00E000E00F70C0")


def packet(number: int, first: int = 0, end: int = 0xC0) -> bytes:
    """Channel k holds ``first + k``; nothing in it looks like a header."""
    channels = b"".join((first + k).to_bytes(3, "big", signed=True) for k in range(8))
    return bytes([0xA0, number % 256]) + channels + bytes(6) + bytes([end])


def numbers(decoder: CytonDecoder, data: bytes) -> list[int]:
    return [int(number) for number in decoder.feed(data).numbers]


def test_worked_vectors(shared: Path) -> None:
    vectors = json.loads((shared / "captures" / "worked_vectors.json").read_text())
    cyton = [vector for vector in vectors if vector["device"] == "openbci_cyton"]
    assert len(cyton) == 2
    for vector in cyton:
        decoder, expected = CytonDecoder(), vector["decoded"]
        packets = decoder.feed(bytes.fromhex(vector["hex"]) + b"\xa0")
        assert packets.numbers.tolist() == [expected["sample"]]
        assert packets.counts.tolist() == [expected["counts"]]
        assert packets.aux.copy().view(">i2").tolist() == [expected["aux"]]
        assert packets.ends.tolist() == [int(expected["end"], 16)]
        microvolts = packets.counts[0] * microvolts_per_count(24)
        assert microvolts == pytest.approx(expected["uV"], abs=1e-4)


@pytest.mark.parametrize(
    ("hexadecimal", "value"),
    [("000690", 1680), ("02C001", 180_225), ("FFFFFF", -1), ("81A101", -8_281_855)],
)
def test_signed_24_bits(hexadecimal: str, value: int) -> None:
    data = bytes.fromhex("A000" + hexadecimal * 8 + "00" * 6 + "C0")
    assert CytonDecoder().feed(data + b"\xa0").counts.tolist() == [[value] * 8]


def test_railed_counts_pass_through() -> None:
    counts = CytonDecoder().feed(RAILED + b"\xa0").counts
    assert counts[0, 4] == counts[0, 5] == 0x7FFFFF


def test_in_step_a_packet_needs_no_byte_of_the_next() -> None:
    decoder = CytonDecoder()
    assert numbers(decoder, packet(1)) == []
    assert numbers(decoder, packet(2)) == [1, 2]
    assert numbers(decoder, packet(3)[:-1]) == []
    assert numbers(decoder, packet(3)[-1:]) == [3]


@pytest.mark.parametrize("end", range(0xC0, 0xC7))
def test_every_end_byte_is_taken(end: int) -> None:
    assert numbers(CytonDecoder(), packet(1, end=end) + packet(2, end=end)) == [1, 2]


def test_a_lost_byte_costs_one_packet() -> None:
    stream = bytearray(b"".join(packet(n) for n in range(10)))
    del stream[4 * 33 + 9]
    decoder = CytonDecoder()
    assert numbers(decoder, bytes(stream)) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert (decoder.frames.breaks, decoder.frames.discarded) == (1, 32)


def test_text_between_packets_is_thrown_away_and_kept_for_reading() -> None:
    text = b"Failure: Communications timeout - Device failed to poll Host$$$"
    decoder = CytonDecoder()
    stream = packet(0) + packet(1) + text + packet(2) + packet(3)
    assert numbers(decoder, stream) == [0, 1, 2, 3]
    assert decoder.frames.rubbish == text


@given(
    cuts=st.lists(st.integers(0, 33 * 60), max_size=40),
    seed=st.integers(0, 2**16),
    damage=st.integers(0, 12),
)
@settings(max_examples=60, deadline=None)
def test_what_comes_out_does_not_depend_on_the_cuts(
    cuts: list[int], seed: int, damage: int
) -> None:
    draw = random.Random(seed)
    stream = bytearray(b"".join(packet(n, draw.randrange(-(2**22), 2**22)) for n in range(60)))
    for _ in range(damage):
        at = draw.randrange(len(stream))
        match draw.randrange(3):
            case 0:
                del stream[at]
            case 1:
                stream.insert(at, draw.randrange(256))
            case _:
                stream[at] ^= 1 << draw.randrange(8)
    whole, pieces = CytonDecoder(), CytonDecoder()
    expected = whole.feed(bytes(stream))
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    parts = [pieces.feed(bytes(stream[a:b])) for a, b in itertools.pairwise(edges)]
    assert np.concatenate([p.numbers for p in parts]).tolist() == expected.numbers.tolist()
    assert np.array_equal(np.concatenate([p.counts for p in parts]), expected.counts)
    assert pieces.frames.discarded == whole.frames.discarded
    assert pieces.frames.pending == whole.frames.pending


def test_random_and_mutated_bytes_never_raise_and_two_packets_bring_it_in_step() -> None:
    draw = random.Random(33)
    decoder = CytonDecoder()
    fed = 0
    for _ in range(600):
        if draw.random() < 0.5:
            garbage = draw.randbytes(draw.randrange(1, 2000))
        else:
            good = bytearray(b"".join(packet(n) for n in range(draw.randrange(1, 40))))
            for _ in range(draw.randrange(1, 30)):
                good[draw.randrange(len(good))] = draw.choice([0xA0, 0xC0, draw.randrange(256)])
            garbage = bytes(good)
        decoder.feed(garbage)
        assert decoder.frames.pending < 67
        after = numbers(decoder, b"".join(packet(n) for n in range(100, 106)))
        assert after[-4:] == [102, 103, 104, 105]
        fed += len(garbage) + 6 * 33
    assert fed > 500_000


def joined(stream: bytes, cuts: int = 0) -> tuple[list[int], np.ndarray]:
    """Samples of 16 channels; fed whole, or in pieces of ``cuts`` bytes."""
    decoder, pairs = CytonDecoder(), DaisyPairs()
    step = cuts or len(stream)
    found = [pairs.join(decoder.feed(stream[at : at + step])) for at in range(0, len(stream), step)]
    return (
        np.concatenate([p.numbers for p in found if len(p.numbers)]).tolist(),
        np.concatenate([p.counts for p in found if len(p.numbers)]),
    )


@pytest.mark.parametrize("cuts", [0, 1, 33, 50])
def test_with_a_daisy_an_odd_packet_and_the_next_are_one_sample(cuts: int) -> None:
    stream = b"".join(packet(n, 1000 * (n % 256)) for n in range(600))
    numbers, counts = joined(stream, cuts)
    assert numbers == [k % 128 for k in range(299)]
    assert counts[:2, [0, 7, 8, 15]].tolist() == [
        [1000, 1007, 2000, 2007],
        [3000, 3007, 4000, 4007],
    ]
    # 255 is the board's, and the 0 after it the Daisy's.
    assert counts[127, [0, 8]].tolist() == [255_000, 0]


def test_a_lost_half_costs_its_sample_only() -> None:
    stream = b"".join(packet(n, n) for n in range(1, 41) if n not in (5, 12, 21, 22))
    numbers, _ = joined(stream)
    assert numbers == [k for k in range(20) if k not in (2, 5, 10)]


def test_a_new_stream_is_not_joined_to_the_last() -> None:
    decoder, pairs = CytonDecoder(), DaisyPairs()
    assert not len(pairs.join(decoder.feed(packet(8) + packet(9))).numbers)
    pairs.forget()
    assert not len(pairs.join(decoder.feed(packet(10))).numbers)


def test_the_daisys_means_are_those_of_the_firmware() -> None:
    board = EmulatedCyton(daisy=True)
    assert b"On Daisy ADS1299" in board.receive(b"v")
    assert board.receive(b"C") == b"16$$$"
    assert board.receive(b"xQ040110X") == b"Success: Channel set for 9$$$"
    assert board.receive(b"b") == b""
    uv = np.zeros((7, 9))
    uv[:, 0] = [0, 30, -31, -30, 100, 200, 300]
    uv[:, 8] = [0, 60, -61, -60, 10, 20, 30]
    counts = board.counts(SourceChunk(uv))
    numbers, samples = joined(board.packets(counts).tobytes())
    assert numbers == [0, 1, 2]
    for k in range(3):
        own = int((counts[2 * k, 0] + counts[2 * k + 1, 0]) / 2)
        daisys = int((counts[2 * k + 1, 8] + counts[2 * k + 2, 8]) / 2)
        assert samples[k, [0, 8]].tolist() == [own, daisys]


def test_a_daisy_is_switched_on_and_off() -> None:
    board = EmulatedCyton(daisy=True)
    assert board.receive(b"c") == b"daisy removed$$$"
    assert board.receive(b"c") == b""
    assert board.receive(b"C") == b"daisy attached16$$$"
    assert EmulatedCyton().receive(b"C") == b"no daisy to attach!8$$$"
    driver = Cyton("/dev/ttyUSB0", leads=["I", "V5"], channels=[2, 16], daisy=True)
    assert driver.rate_hz == 125


def test_scale_and_rails_are_told_with_the_leads() -> None:
    driver = Cyton("/dev/ttyUSB0", leads=["I", "V5"], channels=[2, 8], gain=12)
    assert [lead.name for lead in driver.leads] == ["I", "V5"]
    assert driver.leads[0].microvolts_per_count == pytest.approx(0.0447034, abs=1e-6)
    assert driver.leads[0].full_scale_counts == (-8388608, 8388607)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"gain": 5}, "gain 5"),
        ({"reference": "srb3"}, "srb3"),
        ({"leads": []}, "leads []"),
        ({"leads": ["II", "II"]}, "not distinct"),
        ({"channels": [9]}, "between 1 and 8"),
        ({"leads": ["I", "II"], "channels": [1]}, "2 leads but channels"),
        ({"leads": ["I", "II"], "channels": [1, 1]}, "2 leads but channels"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(options: dict[str, object], named: str) -> None:
    with pytest.raises(DriverError) as refused:
        Cyton("/dev/ttyUSB0", **options)  # type: ignore[arg-type]
    assert str(refused.value).startswith("/dev/ttyUSB0: ")
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not refused.value.transient
