"""Shimmer3: worked examples, damage, statuses between packets, and losses by its own clock."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.axis import StreamAxis
from drivers.clock import StreamClock
from drivers.decoders.shimmer import (
    EXG1,
    EXG2,
    STAMP_TURN,
    TICKS_HZ,
    Layout,
    ShimmerDecoder,
    ShimmerError,
    answer,
    ecg_registers,
    gain_of,
    inquiry,
    microvolts_per_count,
)
from drivers.emulated.shimmer import EmulatedShimmer3
from drivers.probe import SIGNATURES, judge
from drivers.samples import DriverError, DriverEvent, Gap, GapCause, SampleBlock
from drivers.shimmer import Shimmer3
from drivers.shimmer_time import StampedStream
from drivers.source import SourceChunk

TICKS = 64
SIZE = 11


def packet(number: int, value: int = 0) -> bytes:
    """Chip 1 alone at 512 Hz; channel 1 holds ``value``, channel 2 one more."""
    stamp = (number * TICKS % STAMP_TURN).to_bytes(3, "little")
    channels = b"".join((value + k).to_bytes(3, "big", signed=True) for k in range(2))
    return b"\0" + stamp + b"\x80" + channels


def decoder(channels: tuple[int, ...] = EXG1) -> ShimmerDecoder:
    made = ShimmerDecoder()
    made.begin(Layout(channels), TICKS)
    return made


def numbers(made: ShimmerDecoder, data: bytes) -> list[int]:
    return (made.feed(data).stamps // TICKS).tolist()


def test_worked_vectors(shared: Path) -> None:
    vectors = json.loads((shared / "captures" / "worked_vectors.json").read_text())
    asked, streamed, recorded = (v for v in vectors if v["device"] == "shimmer3")
    told = inquiry(bytes.fromhex(asked["hex"])[1:])
    assert told is not None
    assert told.ticks == TICKS_HZ / asked["decoded"]["rate_hz"]
    assert list(told.channels) == asked["decoded"]["channels"]
    assert told.buffer == asked["decoded"]["buffer"]

    packets = decoder(told.channels).feed(bytes.fromhex(streamed["hex"]))
    assert packets.stamps.tolist() == [streamed["decoded"]["timestamp"]]
    assert packets.counts.tolist() == [[streamed["decoded"]["int_adc_a1"]]]

    expected = recorded["decoded"]
    packets = decoder().feed(b"\0" + bytes.fromhex(recorded["hex"]))
    assert packets.stamps.tolist() == [expected["timestamp"]]
    assert packets.counts.tolist() == [[expected["status"], expected["ch1"], expected["ch2"]]]
    microvolts = packets.counts[0, 1:] * microvolts_per_count(4)
    assert microvolts == pytest.approx([expected["ch1_uV"], expected["ch2_uV"]], abs=1e-4)


def test_signed_and_unsigned_of_either_order() -> None:
    packets = decoder((0x1E, 0x23, 0x00, 0x0A, 0x03, 0x1B)).feed(
        bytes.fromhex("00 010000 ffffff fffe feff fffe feff fffffe")
    )
    assert packets.counts.tolist() == [[-1, -2, -2, -2, 0xFFFE, 0xFFFFFE]]


def test_an_unknown_channel_is_refused() -> None:
    with pytest.raises(ShimmerError, match="channel 77 is unknown"):
        Layout([0x1D, 0x77])


def test_the_ack_of_the_start_is_no_damage() -> None:
    made = decoder()
    assert numbers(made, b"\xff" + packet(1) + packet(2)[:-1]) == [1]
    assert numbers(made, packet(2)[-1:]) == [2]
    assert (made.discarded, made.breaks) == (0, 0)


@pytest.mark.parametrize("notice", ["8a7110", "ff8a7110"])
def test_a_status_between_packets_is_no_damage(notice: str) -> None:
    made = decoder()
    stream = packet(1) + bytes.fromhex(notice) + packet(2) + bytes.fromhex(notice) + packet(3)
    assert [n for byte in stream for n in numbers(made, bytes([byte]))] == [1, 2, 3]
    assert (made.discarded, made.breaks) == (0, 0)


def test_a_lost_byte_costs_one_packet_more_at_most() -> None:
    for place in range(4 * SIZE, 5 * SIZE):
        stream = bytearray(b"".join(packet(n, 70_000 + n) for n in range(10, 20)))
        del stream[place]
        made = decoder()
        found = numbers(made, bytes(stream))
        assert found[:4] == [10, 11, 12, 13]
        assert found[-4:] == [16, 17, 18, 19]
        assert made.breaks == 1


@given(
    cuts=st.lists(st.integers(0, SIZE * 60), max_size=40),
    seed=st.integers(0, 2**16),
    damage=st.integers(0, 12),
)
@settings(max_examples=60, deadline=None)
def test_what_comes_out_does_not_depend_on_the_cuts(
    cuts: list[int], seed: int, damage: int
) -> None:
    draw = random.Random(seed)
    pieces = [packet(n, draw.randrange(-(2**22), 2**22)) for n in range(60)]
    pieces.insert(draw.randrange(60), b"\x8a\x71\x10")
    stream = bytearray(b"".join(pieces))
    for _ in range(damage):
        at = draw.randrange(len(stream))
        match draw.randrange(3):
            case 0:
                del stream[at]
            case 1:
                stream.insert(at, draw.randrange(256))
            case _:
                stream[at] ^= 1 << draw.randrange(8)
    whole, cut = decoder(), decoder()
    expected = whole.feed(bytes(stream))
    edges = [0, *sorted(min(at, len(stream)) for at in cuts), len(stream)]
    parts = [cut.feed(bytes(stream[a:b])) for a, b in itertools.pairwise(edges)]
    assert np.concatenate([p.stamps for p in parts]).tolist() == expected.stamps.tolist()
    assert np.array_equal(np.concatenate([p.counts for p in parts]), expected.counts)
    assert (cut.discarded, cut.pending) == (whole.discarded, whole.pending)


def test_one_jump_of_the_stamps_is_a_loss_and_two_in_a_row_are_damage() -> None:
    made = decoder()
    sent = [1, 2, 40, 41, 43, 44]
    assert numbers(made, b"".join(packet(n) for n in sent)) == sent
    assert (made.discarded, made.breaks) == (0, 0)
    # The packet between two losses is believed when the next one follows it, else not.
    sent = [46, 48, 49, 51, 53, 55, 56]
    assert numbers(made, b"".join(packet(n) for n in sent)) == [46, 48, 49, 51, 55, 56]
    assert (made.discarded, made.breaks) == (SIZE, 2)


def test_answers_are_found_among_statuses() -> None:
    assert answer(b"\xff\x2f\x03\x00", 0x2F) == b"\x03\x00"
    assert answer(b"\x8a\x71\x02\xff\x2f\x03", 0x2F) == b"\x03"
    assert answer(b"\xff\x8a\x71\x2f\x2f", 0x2F) is None
    assert inquiry(bytes.fromhex("4000 01ff0109 02 01 1d")) is None


def test_registers_for_ecg() -> None:
    present = bytes.fromhex("03a81049402300000203")
    assert ecg_registers(present, 0, 4, 512).hex() == "03a81040402d00000203"
    assert ecg_registers(present, 1, 12, 128).hex() == "01a81060670000000201"
    assert ecg_registers(present, 0, 6, 1024)[0] == 4
    assert [gain_of(code << 4) for code in range(7)] == [6, 1, 2, 3, 4, 8, 12]
    with pytest.raises(ShimmerError):
        gain_of(0x70)


class Laid:
    """A stream on its axis, and what came out."""

    def __init__(self) -> None:
        self.events: list[DriverEvent] = []
        self.axis = StreamAxis(self.events.append, StreamClock(512.0, device_clock=True))
        self.stream = StampedStream(self.axis, TICKS)

    def arrive(self, stamps: list[int], at_s: float) -> None:
        counts = np.arange(len(stamps), dtype=np.int32)[:, None]
        told = np.array(stamps, np.int32) % STAMP_TURN
        self.stream.arrive(told, counts, round(at_s * 1e9))

    @property
    def gaps(self) -> list[tuple[int, int, str, bool]]:
        found = [event for event in self.events if isinstance(event, Gap)]
        return [(gap.first, gap.count, gap.cause.value, gap.exact) for gap in found]

    @property
    def samples(self) -> int:
        return sum(len(e.counts) for e in self.events if isinstance(e, SampleBlock))


def run_of(first: int, count: int, step: int = TICKS) -> list[int]:
    return [first + k * step for k in range(count)]


def test_losses_within_and_between_reads_are_exact() -> None:
    laid = Laid()
    laid.arrive([0, 192, 256], 1.0)
    laid.arrive([256 + 64 * 6], 1.1)
    assert laid.gaps == [(1, 2, "lost_packets", True), (5, 5, "lost_packets", True)]
    assert laid.samples == 4


def test_stamps_that_are_read_a_little_late_lose_nothing() -> None:
    laid = Laid()
    laid.arrive(run_of(0, 500, TICKS + 1), 1.0)
    laid.arrive([65 * 500 + 20, 65 * 500 + 64], 1.01)
    assert laid.gaps == []


def test_the_stamps_roll_over() -> None:
    laid = Laid()
    laid.arrive(run_of(STAMP_TURN - 5 * TICKS, 10), 1.0)
    laid.arrive(run_of(STAMP_TURN + 7 * TICKS, 3), 1.02)
    assert laid.gaps == [(10, 2, "lost_packets", True)]


@pytest.mark.parametrize("away_s", [3, 511, 512, 1300])
def test_a_lost_links_gap_is_exact_however_often_the_clock_rolled_over(away_s: int) -> None:
    laid = Laid()
    laid.arrive(run_of(0, 512), 10.0)
    laid.stream.restart(GapCause.LINK_LOST)
    laid.arrive(run_of((512 + away_s * 512) * TICKS + 30, 26), 10.0 + away_s + 0.35)
    assert laid.gaps == [(512, away_s * 512, "link_lost", True)]


def test_a_clock_that_began_anew_is_bounded_by_the_hosts() -> None:
    laid = Laid()
    laid.arrive(run_of(9_000_000, 512), 10.0)
    laid.stream.restart(GapCause.LINK_LOST)
    laid.arrive(run_of(100, 26), 20.05)
    ((first, count, cause, exact),) = laid.gaps
    assert (first, cause, exact) == (512, "device_restart", False)
    assert count == pytest.approx(512 * 10, abs=3)
    laid.arrive(run_of(100 + 26 * TICKS, 10), 20.07)
    assert len(laid.gaps) == 1


def test_a_clock_set_back_on_a_standing_link_begins_a_new_line() -> None:
    laid = Laid()
    laid.arrive([*run_of(9_000_000, 100), *run_of(50, 100)], 10.0)
    laid.arrive(run_of(50 + 100 * TICKS, 5), 10.01)
    assert [gap[2:] for gap in laid.gaps] == [("device_restart", False)]
    assert laid.samples == 205


def test_emulated_packets_read_back() -> None:
    device = EmulatedShimmer3()
    assert device.receive(b"\x08\x18\x00") == b""
    assert device.receive(b"\x00\x07") == b"\xff\xff"
    chunk = SourceChunk(np.array([[0.0, 5.0], [1000.0, -1000.0], [1e9, -1e9]]))
    counts = device.counts(chunk)
    packets = decoder((*EXG1, *EXG2)).feed(device.packets(counts).tobytes())
    assert np.array_equal(packets.counts[:, [1, 2, 4, 5]], counts)
    assert np.diff(packets.stamps).tolist() == [TICKS, TICKS]
    assert counts[1, 0] * microvolts_per_count(4) == pytest.approx(1000, abs=0.1)
    assert counts[2, :2].tolist() == [0x7FFFFF, -0x800000]


def test_scale_and_rails_are_told_with_the_leads() -> None:
    driver = Shimmer3("/dev/rfcomm0", leads=["II", "V5"], channels=[1, 4], gain=6, rate_hz=256)
    assert [lead.name for lead in driver.leads] == ["II", "V5"]
    assert driver.leads[0].microvolts_per_count == pytest.approx(0.0480811, abs=1e-6)
    assert driver.leads[0].full_scale_counts == (-0x800000, 0x7FFFFF)
    assert driver.rate_hz == 256


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"gain": 5}, "gain 5"),
        ({"rate_hz": 250.0}, "250.0 is no rate"),
        ({"leads": []}, "leads []"),
        ({"leads": ["II", "II"]}, "not distinct"),
        ({"leads": ["V"], "channels": [5]}, "between 1 and 4"),
        ({"leads": ["I", "II"], "channels": [1]}, "2 leads but channels"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(options: dict[str, object], named: str) -> None:
    with pytest.raises(DriverError) as refused:
        Shimmer3("/dev/rfcomm0", **options)  # type: ignore[arg-type]
    assert str(refused.value).startswith("/dev/rfcomm0: ")
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not refused.value.transient


@pytest.mark.parametrize("sensors", [0x10, 0x18])
def test_its_bytes_are_known_again(sensors: int) -> None:
    device = EmulatedShimmer3(256.0)
    device.receive(bytes([0x08, sensors, 0, 0, 0x07]))
    noise = np.random.default_rng(1).normal(0, 200, (300, 2))
    data = device.packets(device.counts(SourceChunk(noise))).tobytes()
    best = judge(data[5:], 115200)[0]
    assert (best.kind, best.how_sure) == ("shimmer3", "sure")


def test_a_silent_one_answers_the_question() -> None:
    (asked,) = [s.query for s in SIGNATURES if s.kind == "shimmer3"]
    assert asked is not None
    assert asked.answer in EmulatedShimmer3().receive(asked.send)
