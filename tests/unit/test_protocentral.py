"""ProtoCentral frames: worked examples, damage and its gaps, lead state, and what is configured."""

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
from drivers.decoders.protocentral import PRODUCTS, ProtocentralDecoder, recognise
from drivers.emulated.protocentral import EmulatedProtocentral
from drivers.probe import judge
from drivers.protocentral import Protocentral
from drivers.samples import DriverError, DriverEvent, Gap, GapCause, LeadState, SampleBlock
from drivers.source import SourceChunk
from drivers.uncounted import UncountedStream

SINGLE = [name for name, product in PRODUCTS.items() if product.samples == 1]
"""Those that send a frame per sample."""
VECTORS = {
    "type 2, 20 bytes": "healthypi_v4",
    "type 2, 22 bytes": "healthypi_5",
    "type 2, 9 bytes (OpenView sketch)": "ads1292r",
    "type 2, 8 bytes (older plot sketch, tail 02 0B)": "ads1292r_plot",
    "type 2, 12 bytes": "max30003",
}
FIELDS = {
    "resp": "respiration", "ir": "infrared", "red": "red", "rr": "respiration_rate",
    "spo2": "spo2", "hr": "heart_rate", "lead_status": "lead_status", "bioz": "bioimpedance",
    "resp_rate": "respiration_rate", "rr_ms": "rr_ms",
}  # fmt: skip


def stream(name: str, count: int, first: int = 1) -> bytes:
    """Frames whose ECG counts up."""
    counts = np.stack([np.arange(first, first + count), np.zeros(count)], axis=1)
    return EmulatedProtocentral(name).packets(counts.astype(np.int32)).tobytes()


def ecg(decoder: ProtocentralDecoder, data: bytes) -> list[int]:
    return [int(count) for count in decoder.feed(data).counts[:, 0]]


@pytest.mark.parametrize(("name", "product"), VECTORS.items())
def test_worked_vectors(shared: Path, name: str, product: str) -> None:
    vectors = json.loads((shared / "captures" / "worked_vectors.json").read_text())
    (vector,) = [
        vector
        for vector in vectors
        if vector["name"] == name and vector["device"] in product + "_plot"
    ]
    frame, expected = bytes.fromhex(vector["hex"]), vector["decoded"]
    packets = ProtocentralDecoder(PRODUCTS[product]).feed(frame * 2)
    assert len(packets.counts) == 2
    count = packets.counts[0, 0]
    assert count == expected.get("ecg", expected.get("ecg_code18"))
    if "ecg_uV" in expected:
        microvolts = count * PRODUCTS[product].microvolts_per_count
        assert microvolts == pytest.approx(expected["ecg_uV"], rel=1e-5)
    for theirs, ours in FIELDS.items():
        if theirs in expected:
            assert packets.fields[ours][0] == expected[theirs], ours
    if "temp_C" in expected:
        assert packets.fields["temperature"][0] / 100 == expected["temp_C"]


@pytest.mark.parametrize("name", SINGLE)
def test_a_frame_is_given_with_its_last_byte(name: str) -> None:
    data, size = stream(name, 4), PRODUCTS[name].frame_bytes
    decoder = ProtocentralDecoder(PRODUCTS[name])
    assert ecg(decoder, data[: 2 * size]) == [1, 2]
    assert ecg(decoder, data[2 * size : 3 * size - 1]) == []
    assert ecg(decoder, data[3 * size - 1 :]) == [3, 4]
    assert decoder.frames.discarded == 0


def test_a_header_inside_the_payload_misleads_nobody() -> None:
    counts = np.array([[0xFA0A - 0x10000, 0], [0x000B, 0], [0x0B00, 0]] * 20, np.int32)
    data = EmulatedProtocentral("ads1292r").packets(counts).tobytes()
    decoder = ProtocentralDecoder(PRODUCTS["ads1292r"])
    assert ecg(decoder, data[5:]) == counts[1:, 0].tolist()


def test_boot_text_and_a_frame_torn_by_opening_are_no_damage() -> None:
    decoder = ProtocentralDecoder(PRODUCTS["healthypi_v4"])
    packets = decoder.feed(b"Initialization is complete\r\n" + stream("healthypi_v4", 9)[11:])
    assert packets.counts[:, 0].tolist() == list(range(2, 10))
    assert packets.damage == []


@pytest.mark.parametrize("name", SINGLE)
def test_damage_is_told_with_its_place_and_size(name: str) -> None:
    size = PRODUCTS[name].frame_bytes
    data = bytearray(stream(name, 10))
    data[3 * size + size - 1] = 0x77  # the end of frame 3
    del data[6 * size + 4]
    decoder = ProtocentralDecoder(PRODUCTS[name])
    packets = decoder.feed(bytes(data))
    assert packets.counts[:, 0].tolist() == [1, 2, 3, 5, 6, 8, 9, 10]
    assert packets.damage == [(3, 1), (5, 1)]
    assert decoder.frames.discarded == 2 * size - 1


BLOCK, PULSE = 57, 26


def test_a_block_is_eight_samples_and_the_pulse_between_is_left_out() -> None:
    data = stream("healthypi_5_blocks", 84)
    assert len(data) == 10 * (BLOCK + PULSE)
    decoder = ProtocentralDecoder(PRODUCTS["healthypi_5_blocks"])
    packets = decoder.feed(stream("healthypi_5_blocks", 7) + data[:-PULSE])
    assert packets.counts[:, 0].tolist() == list(range(1, 81))
    assert packets.fields["ecg"][2].tolist() == list(range(17, 25))
    assert packets.fields["heart_rate"].tolist() == [72] * 10
    assert decoder.frames.discarded == 0
    assert decoder.frames.pending == 0


@pytest.mark.parametrize("at", [0, 30, BLOCK - 1])
def test_a_damaged_block_is_eight_samples_missing(at: int) -> None:
    data = bytearray(stream("healthypi_5_blocks", 80))
    data[3 * (BLOCK + PULSE) + BLOCK + 3] = 0xEE  # a pulse frame costs nothing
    del data[6 * (BLOCK + PULSE) + at]
    decoder = ProtocentralDecoder(PRODUCTS["healthypi_5_blocks"])
    packets = decoder.feed(bytes(data))
    assert packets.counts[:, 0].tolist() == [*range(1, 49), *range(57, 81)]
    assert (48, 8) in packets.damage
    assert sum(lost for _, lost in packets.damage) == 8
    assert decoder.frames.discarded == BLOCK - 1 + PULSE


def test_a_driver_lays_the_samples_of_blocks() -> None:
    driver = Protocentral("/dev/ttyACM0", product="healthypi_5_blocks")
    data = bytearray(stream("healthypi_5_blocks", 160))
    data[BLOCK + PULSE + 8] ^= 1  # a value
    data[9 * (BLOCK + PULSE) + 2] ^= 1  # a length
    events = laid(driver, bytes(data))
    (gap,) = [event for event in events if isinstance(event, Gap)]
    assert (gap.first, gap.count, gap.exact) == (72, 8, False)
    assert sum(len(event.counts) for event in events if isinstance(event, SampleBlock)) == 152
    assert driver.rate_hz == 128.0


@given(
    cuts=st.lists(st.integers(0, 83 * 20), max_size=30),
    seed=st.integers(0, 2**16),
    damage=st.integers(0, 12),
    name=st.sampled_from(["healthypi_v4", "healthypi_5_blocks"]),
)
@settings(max_examples=60, deadline=None)
def test_what_comes_out_does_not_depend_on_the_cuts(
    cuts: list[int], seed: int, damage: int, name: str
) -> None:
    draw = random.Random(seed)
    data = bytearray(stream(name, 160))
    for _ in range(damage):
        at = draw.randrange(len(data))
        match draw.randrange(3):
            case 0:
                del data[at]
            case 1:
                data.insert(at, draw.choice([0x0A, 0xFA, 0x0B, draw.randrange(256)]))
            case _:
                data[at] ^= 1 << draw.randrange(8)
    whole, pieces = (ProtocentralDecoder(PRODUCTS[name]) for _ in range(2))
    expected = whole.feed(bytes(data))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    counts, lost, given_before = [], [], 0
    for start, end in itertools.pairwise(edges):
        part = pieces.feed(bytes(data[start:end]))
        counts += part.counts[:, 0].tolist()
        lost += [(before + given_before, size) for before, size in part.damage]
        given_before += len(part.counts)
    assert counts == expected.counts[:, 0].tolist()
    assert lost == expected.damage
    assert pieces.frames.discarded == whole.frames.discarded


def test_the_ads1292r_bits_tell_of_a_lead_that_is_off() -> None:
    device = EmulatedProtocentral("healthypi_v4")
    wave = SourceChunk(np.full((3, 1), 500.0))
    off = SourceChunk(np.full((2, 1), 500.0), lead_off=True)
    data = b"".join(device.packets(device.counts(part)).tobytes() for part in (wave, off, wave))
    packets = ProtocentralDecoder(PRODUCTS["healthypi_v4"]).feed(data)
    assert packets.leads_off is not None
    assert packets.leads_off.tolist() == [False] * 3 + [True] * 2 + [False] * 3
    assert packets.counts[:, 0].tolist() == [81, 81, 81, 0, 0, 81, 81, 81]


@given(cuts=st.lists(st.integers(0, 600), max_size=8))
@settings(max_examples=30, deadline=None)
def test_a_second_of_exact_zeros_is_a_lead_off_for_a_sketch_without_bits(cuts: list[int]) -> None:
    wave = [5] * 100 + [0] * 124 + [-3] + [0] * 200 + [7] * 50
    counts = np.array([[count, 0] for count in wave], np.int32)
    data = EmulatedProtocentral("ads1292r").packets(counts).tobytes()
    decoder = ProtocentralDecoder(PRODUCTS["ads1292r"])
    off: list[bool] = []
    edges = [0, *sorted(16 * min(cut, len(wave)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        found = decoder.feed(data[start:end]).leads_off
        assert found is not None
        off += found.tolist()
    assert [place for place, one in enumerate(off) if one] == list(range(349, 425))


def laid(driver: Protocentral, data: bytes) -> list[DriverEvent]:
    """What a driver makes of one read."""
    events: list[DriverEvent] = []
    stream_of = driver.stream_on(StreamAxis(events.append, StreamClock(driver.rate_hz)))
    assert isinstance(stream_of, UncountedStream)
    driver.take(data, 1_000_000_000, stream_of)
    return events


def test_damaged_bytes_become_a_gap_in_their_place() -> None:
    data = bytearray(stream("healthypi_v4", 20))
    data[5 * 27 + 26] = data[6 * 27 + 26] = 0
    del data[12 * 27 + 9]
    events = laid(Protocentral("/dev/ttyUSB0"), bytes(data))
    gaps = [event for event in events if isinstance(event, Gap)]
    assert [(gap.first, gap.count, gap.exact) for gap in gaps] == [(5, 2, False), (12, 1, False)]
    assert {gap.cause for gap in gaps} == {GapCause.LOST_PACKETS}
    blocks = [event for event in events if isinstance(event, SampleBlock)]
    for block in blocks:
        assert block.counts[:, 0].tolist() == list(range(block.first + 1, block.end + 1))
        assert block.leads == (LeadState.ON,)


def test_a_block_has_one_lead_state() -> None:
    device = EmulatedProtocentral("healthypi_v4")
    counts = np.array([[9, 0]] * 5 + [[0, 1]] * 4 + [[9, 0]] * 3, np.int32)
    events = laid(Protocentral("/dev/ttyUSB0"), device.packets(counts).tobytes())
    blocks = [event for event in events if isinstance(event, SampleBlock)]
    assert [(block.first, block.end, block.leads) for block in blocks] == [
        (0, 5, (LeadState.ON,)),
        (5, 9, (LeadState.OFF,)),
        (9, 12, (LeadState.ON,)),
    ]


def test_frames_of_another_product_are_named() -> None:
    driver = Protocentral("/dev/ttyUSB0")
    with pytest.raises(DriverError) as refused:
        laid(driver, stream("max30003", 30))
    assert str(refused.value) == (
        '/dev/ttyUSB0: sends frames of a ProtoCentral MAX30003 breakout; set product = "max30003"'
    )


@pytest.mark.parametrize("name", PRODUCTS)
def test_bytes_are_known_again_with_their_product(name: str) -> None:
    data = stream(name, 200)[7:]
    found = recognise(data)
    assert found is not None
    assert found.product == name
    best = judge(data, PRODUCTS[name].baud)[0]
    assert (best.kind, best.how_sure) == ("protocentral", "sure")
    assert best.why.endswith(f'product = "{name}"')
    assert recognise(random.Random(1).randbytes(5000)) is None


def test_scale_and_rails_are_told_with_the_lead() -> None:
    (lead,) = Protocentral("/dev/ttyUSB0").leads
    assert lead.microvolts_per_count == pytest.approx(6.154, abs=0.001)
    assert (lead.name, lead.full_scale_counts, lead.calibrated) == ("II", (-32768, 32767), False)
    measured = Protocentral("/dev/ttyUSB0", leads=["V1"], microvolts_per_count=12.3)
    assert measured.leads[0].microvolts_per_count == 12.3
    assert measured.leads[0].calibrated
    chest = Protocentral("/dev/ttyACM0", product="max30003", rate_hz=128.0)
    assert chest.leads[0].microvolts_per_count == pytest.approx(0.38147, abs=1e-5)
    assert (chest.baud, chest.rate_hz) == (57600, 128.0)
    five = Protocentral("/dev/ttyACM0", product="healthypi_5")
    assert five.leads[0].microvolts_per_count == pytest.approx(3.725e-4, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"product": "healthypi_4"}, "product 'healthypi_4' does not exist; choose one of"),
        ({"leads": ["I", "II"]}, "not all between 1 and 1"),
        ({"leads": []}, "leads []"),
        ({"rate_hz": 20.0}, "rate_hz 20.0 is not 100 to 2000"),
        ({"microvolts_per_count": 0.0}, "microvolts_per_count 0.0 is no scale"),
        ({"microvolts_per_count": float("nan")}, "is no scale"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(options: dict[str, object], named: str) -> None:
    with pytest.raises(DriverError) as refused:
        Protocentral("/dev/ttyUSB0", **options)  # type: ignore[arg-type]
    assert str(refused.value).startswith("/dev/ttyUSB0: ")
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not refused.value.transient


def test_an_emulated_product_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="is none of healthypi_v4"):
        EmulatedProtocentral("healthypi_9")
