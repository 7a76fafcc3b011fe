"""BITalino's frames: worked examples, a real recording, damage and sequence, what is configured."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.axis import StreamAxis
from drivers.bitalino import Bitalino
from drivers.clock import StreamClock
from drivers.decoders.bitalino import BitalinoDecoder, Break, crc4, decode_state
from drivers.emulated.bitalino import LINES, EmulatedBitalino, encode
from drivers.probe import judge
from drivers.samples import DriverError, DriverEvent, Gap, SampleBlock
from drivers.source import SourceChunk
from drivers.uncounted import UncountedStream

SIZES = {1: 3, 2: 4, 3: 6, 4: 7, 5: 8, 6: 8}


def stream(count: int, first: int = 0, channels: int = 1) -> bytes:
    """Frames whose channels count up."""
    numbers = np.arange(first, first + count)
    values = (numbers[:, None] * 3 + np.arange(channels)) % 64
    return encode(numbers % 16, np.full(count, LINES), values).tobytes()


def test_worked_vectors(shared: Path) -> None:
    vectors = json.loads((shared / "captures" / "worked_vectors.json").read_text())
    bitalino = [vector for vector in vectors if vector["device"] == "bitalino"]
    assert len(bitalino) == 4
    for vector in bitalino:
        frame, expected = bytes.fromhex(vector["hex"]), vector["decoded"]
        channels = len(expected["A"])
        assert len(frame) == SIZES[channels]
        row = np.frombuffer(frame, np.uint8)[None, :]
        assert crc4(row)[0] == 0
        assert crc4(row & [*[255] * (len(frame) - 1), 0xF0])[0] == frame[-1] & 0x0F
        lines = expected["I1"] << 3 | expected["I2"] << 2 | expected["O1"] << 1 | expected["O2"]
        numbers = np.array([expected["seq"], (expected["seq"] + 1) % 16])
        both = encode(numbers, np.array([lines] * 2), np.array([expected["A"]] * 2)).tobytes()
        assert both[: len(frame)] == frame
        frames = BitalinoDecoder(channels).feed(both)
        assert frames.numbers.tolist() == numbers.tolist()
        assert frames.counts.tolist() == [expected["A"]] * 2
        assert frames.lines.tolist() == [lines] * 2


def test_a_real_recording_comes_back_whole(shared: Path) -> None:
    """Its rows as the frames the board sent them in: each one decoded, and as many microvolts."""
    path = shared / "captures" / "bitalino" / "SampleECG.txt"
    rows = np.loadtxt(path, comments="#", dtype=np.int64)
    assert len(rows) == 22_350
    lines = rows[:, 1] << 3 | rows[:, 2] << 2 | rows[:, 3] << 1 | rows[:, 4]
    data = encode(rows[:, 0], lines, rows[:, 5:6]).tobytes()
    driver, decoder = Bitalino("/dev/rfcomm0"), BitalinoDecoder(1)
    events: list[DriverEvent] = []
    axis = StreamAxis(events.append, StreamClock(1000.0))
    laid = UncountedStream(axis, 1000.0, modulus=16)
    for number, start in enumerate(range(0, len(data), 150)):
        found = decoder.feed(data[start : start + 150])
        assert len(found.numbers) == len(data[start : start + 150]) // 3 or number == 0
        driver.take(data[start : start + 150], (number + 1) * 50_000_000, laid)
    assert decoder.discarded == 0
    counts = np.concatenate([e.counts for e in events if isinstance(e, SampleBlock)])
    assert np.array_equal(counts, rows[:, 5:6])
    assert not [event for event in events if isinstance(event, Gap)]
    (lead,) = driver.leads
    millivolts = (counts[:, 0] - lead.offset_counts) * lead.microvolts_per_count / 1000
    assert millivolts == pytest.approx((rows[:, 5] / 1024 - 0.5) * 3.3 / 1100 * 1000)


@pytest.mark.parametrize("channels", SIZES)
def test_a_frame_is_given_with_its_last_byte(channels: int) -> None:
    data, size = stream(20, channels=channels), SIZES[channels]
    decoder = BitalinoDecoder(channels)
    assert len(decoder.feed(data[:size]).numbers) == 0
    assert len(decoder.feed(data[size : 2 * size]).numbers) == 2
    assert len(decoder.feed(data[2 * size : 3 * size - 1]).numbers) == 0
    assert len(decoder.feed(data[3 * size - 1 : 3 * size]).numbers) == 1
    counts = decoder.feed(data[3 * size :]).counts
    assert counts.shape == (17, channels)
    assert counts[-1].tolist() == [(57 + channel) % 64 for channel in range(channels)]
    assert decoder.discarded == 0


@pytest.mark.parametrize("channels", SIZES)
def test_the_wide_and_the_narrow_channels_hold_their_bits(channels: int) -> None:
    values = np.array([[1023, 0, 682, 341, 63, 42], [0, 1023, 341, 682, 0, 21]])[:, :channels]
    data = encode(np.array([15, 0]), np.array([5, 5]), values).tobytes()
    assert BitalinoDecoder(channels).feed(data).counts.tolist() == values.tolist()


def test_frames_that_the_board_dropped_leave_the_sequence_short() -> None:
    decoder = BitalinoDecoder(1)
    frames = decoder.feed(stream(5) + stream(5, first=9))
    assert frames.numbers.tolist() == [0, 1, 2, 3, 4, 9, 10, 11, 12, 13]
    assert decoder.discarded == 0
    assert frames.breaks == [Break(5, 4, 0)]


def test_a_frame_after_a_jump_is_believed_when_the_next_follows() -> None:
    decoder = BitalinoDecoder(1)
    assert len(decoder.feed(stream(5) + stream(1, first=9)).numbers) == 5
    assert decoder.feed(stream(1, first=10)).numbers.tolist() == [9, 10]


def test_a_line_that_changes_costs_nothing() -> None:
    numbers, lines = np.arange(12) % 16, np.array([12] * 6 + [4] * 6)
    data = encode(numbers, lines, np.full((12, 1), 500)).tobytes()
    frames = BitalinoDecoder(1).feed(data)
    assert frames.numbers.tolist() == numbers.tolist()
    assert frames.lines.tolist() == lines.tolist()
    assert frames.breaks == []


@pytest.mark.parametrize("channels", SIZES)
def test_damage_is_told_with_its_place_and_size(channels: int) -> None:
    size = SIZES[channels]
    data = bytearray(stream(12, channels=channels))
    data[3 * size] ^= 0x10
    del data[6 * size + 1]
    decoder = BitalinoDecoder(channels)
    frames = decoder.feed(bytes(data))
    assert frames.numbers.tolist() == [0, 1, 2, 4, 5, 7, 8, 9, 10, 11]
    assert frames.breaks == [Break(3, 1, size), Break(5, 1, size - 1)]
    assert decoder.discarded == 2 * size - 1


@given(
    cuts=st.lists(st.integers(0, 240), max_size=30),
    seed=st.integers(0, 2**16),
    damage=st.integers(0, 12),
    channels=st.integers(1, 6),
)
@settings(max_examples=80, deadline=None)
def test_what_comes_out_does_not_depend_on_the_cuts(
    cuts: list[int], seed: int, damage: int, channels: int
) -> None:
    draw = random.Random(seed)
    data = bytearray(stream(60, channels=channels))
    for _ in range(damage):
        at = draw.randrange(len(data))
        match draw.randrange(3):
            case 0:
                del data[at]
            case 1:
                data.insert(at, draw.randrange(256))
            case _:
                data[at] ^= 1 << draw.randrange(8)
    whole, pieces = BitalinoDecoder(channels), BitalinoDecoder(channels)
    expected = whole.feed(bytes(data))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    numbers, lost, before = [], [], 0
    for start, end in itertools.pairwise(edges):
        part = pieces.feed(bytes(data[start:end]))
        numbers += part.numbers.tolist()
        lost += [replace(one, before=one.before + before) for one in part.breaks]
        before += len(part.numbers)
    assert numbers == expected.numbers.tolist()
    assert lost == expected.breaks
    assert pieces.discarded == whole.discarded
    assert pieces.pending == whole.pending < 2 * SIZES[channels]


def test_random_bytes_hardly_ever_pass_for_frames() -> None:
    data = random.Random(3).randbytes(300_000)
    for channels in SIZES:
        decoder = BitalinoDecoder(channels)
        assert len(decoder.feed(data).numbers) < 100
        decoder.reset()
        assert decoder.discarded > 299_000
        assert len(decoder.feed(stream(6, channels=channels)).numbers) == 6


def laid(driver: Bitalino, *reads: bytes) -> list[DriverEvent]:
    """What a driver makes of reads 50 ms apart."""
    events: list[DriverEvent] = []
    axis = StreamAxis(events.append, StreamClock(driver.rate_hz))
    stream_of = driver.stream_on(axis)
    for number, data in enumerate(reads):
        driver.take(data, (number + 1) * 50_000_000, stream_of)
    return events


def gaps(events: list[DriverEvent]) -> list[tuple[int, int, bool]]:
    return [(e.first, e.count, e.exact) for e in events if isinstance(e, Gap)]


def test_gaps_are_counted_by_the_sequence_number() -> None:
    first = stream(30) + stream(10, first=44)
    events = laid(Bitalino("/dev/rfcomm0"), first, stream(40, first=57))
    assert gaps(events) == [(30, 14, True), (54, 3, True)]
    for block in (event for event in events if isinstance(event, SampleBlock)):
        expected = np.arange(block.first, block.end) * 3 % 64
        assert block.counts[:, 0].tolist() == expected.tolist()


def test_damaged_bytes_tell_the_turns_of_the_sequence_number() -> None:
    data = bytearray(stream(100))
    data[3 * 30 : 3 * 70] = bytes(3 * 40)
    assert gaps(laid(Bitalino("/dev/rfcomm0"), bytes(data))) == [(30, 40, True)]


def test_leads_take_their_channel_whatever_their_order() -> None:
    driver = Bitalino("/dev/rfcomm0", leads=["I", "II"], channels=[5, 2])
    values = np.array([[100, 900], [101, 901], [102, 902]])  # A2, A5
    data = encode(np.arange(3), np.full(3, LINES), values).tobytes()
    (block,) = [event for event in laid(driver, data) if isinstance(event, SampleBlock)]
    assert block.counts.tolist() == [[900, 100], [901, 101], [902, 102]]


def test_scale_offset_and_rails_follow_the_place_in_the_frame() -> None:
    (lead,) = Bitalino("/dev/rfcomm0").leads
    assert lead.microvolts_per_count == pytest.approx(2.9297, abs=1e-4)
    assert (lead.offset_counts, lead.full_scale_counts, lead.calibrated) == (512, (0, 1023), True)
    leads = Bitalino(
        "/dev/rfcomm0", leads=list("abcdef"), channels=[6, 1, 2, 3, 4, 5], gain=1000
    ).leads
    assert leads[0].microvolts_per_count == pytest.approx(3.3e6 / 1000 / 64)
    assert (leads[0].offset_counts, leads[0].full_scale_counts) == (32, (0, 63))
    assert leads[1].full_scale_counts == (0, 1023)
    assert leads[5].full_scale_counts == (0, 63)


def test_the_board_answers_as_its_firmware_does() -> None:
    board = EmulatedBitalino()
    assert board.receive(b"\x07") == b"BITalino_v5.1\n"
    state = decode_state(board.receive(b"\x0b"))
    assert state is not None
    assert state.battery_v == pytest.approx(3.867, abs=0.001)
    assert state.battery_percent == 58
    assert board.receive(b"\xc3\x09") == b""
    assert board.streaming
    assert board.receive(b"\x07") == b""  # nothing but stop while it streams
    assert board.receive(b"\xff\x07") == b"BITalino_v5.1\n"
    later = EmulatedBitalino(firmware=5.2).receive(b"\x0b")
    assert len(later) == 17
    assert decode_state(later) is not None
    assert decode_state(later[:-1]) is None
    assert decode_state(bytes([later[0] ^ 1]) + later[1:]) is None


def test_the_board_sends_each_tenth_sample_at_100_hz() -> None:
    board = EmulatedBitalino()
    board.receive(b"\x83\x09")
    counts = np.arange(95)[:, None].astype(np.int32)
    sent = np.concatenate([board.packets(counts[:33]), board.packets(counts[33:])])
    frames = BitalinoDecoder(1).feed(sent.tobytes())
    assert frames.counts[:, 0].tolist() == list(range(0, 95, 10))
    assert frames.numbers.tolist() == list(range(10))


def test_open_inputs_rail() -> None:
    board = EmulatedBitalino()
    board.receive(b"\xfd")
    counts = board.counts(SourceChunk(np.zeros((2, 1)), lead_off=True))
    assert counts.tolist() == [[1023] * 4 + [63] * 2] * 2
    assert board.counts(SourceChunk(np.zeros((1, 1)))).tolist() == [[512] * 4 + [32] * 2]


@pytest.mark.parametrize("channels", SIZES)
def test_a_board_that_streams_is_known_by_its_bytes(channels: int) -> None:
    best = judge(stream(400, channels=channels)[5:], 115200)[0]
    assert (best.kind, best.how_sure) == ("bitalino", "sure")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"rate_hz": 10}, "rate_hz 10 is none of 1000, 100"),
        ({"gain": 0}, "gain 0 is none of an amplifier"),
        ({"channels": [7]}, "between 1 and 6"),
        ({"leads": ["I", "II"]}, "2 leads but channels [2]"),
        ({"leads": ["I", "II"], "channels": [3, 3]}, "2 leads but channels"),
        ({"leads": [], "channels": []}, "leads []"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(options: dict[str, object], named: str) -> None:
    with pytest.raises(DriverError) as refused:
        Bitalino("/dev/rfcomm0", **options)  # type: ignore[arg-type]
    assert str(refused.value).startswith("/dev/rfcomm0: ")
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not refused.value.transient
