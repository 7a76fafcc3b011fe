"""The Ganglion's packets: worked examples, both firmwares, signs, losses, options."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drivers.decoders.ganglion import (
    MICROVOLTS_PER_COUNT,
    GanglionDecoder,
    GanglionSamples,
    Impedance,
    Text,
    fields,
    packed_fields,
)
from drivers.emulated.ganglion import EmulatedGanglion
from drivers.ganglion import Ganglion
from drivers.samples import DriverError


def test_every_worked_vector(shared: Path) -> None:
    vectors = json.loads((shared / "captures" / "worked_vectors.json").read_text())
    mine = {v["name"]: v for v in vectors if v["device"] == "openbci_ganglion"}
    assert len(mine) == 3
    frame = mine["id 106, 19-bit"]
    data, wanted = bytes.fromhex(frame["hex"]), frame["decoded"]
    assert fields(data, 19).ravel().tolist() == wanted["fields"]
    item = GanglionDecoder(3).feed(data)
    assert isinstance(item, GanglionSamples)
    assert item.numbers.tolist() == [12, 13]
    microvolts = (item.counts * MICROVOLTS_PER_COUNT).ravel().tolist()
    assert microvolts == pytest.approx(wanted["fw3_uV"], abs=1e-3)
    old = GanglionDecoder(2)
    assert old.feed(b"\0" + bytes(19)) is not None
    for step in range(101, 106):
        old.feed(bytes([step]) + bytes(19))
    item = old.feed(data)
    assert isinstance(item, GanglionSamples)
    assert (-np.array(wanted["fields"][:4])).tolist() == item.counts[0].tolist()
    impedance = GanglionDecoder(3).feed(bytes.fromhex(mine["impedance channel 2"]["hex"]))
    assert impedance == Impedance(2, 603.5)
    text = GanglionDecoder(3).feed(bytes.fromhex(mine["ASCII message part"]["hex"]))
    assert text == Text("l 2\n")


def test_the_captured_text_is_put_together(shared: Path) -> None:
    lines = (shared / "captures" / "openbci" / "ganglion_frames.hex").read_text().splitlines()
    frames = [bytes.fromhex(line) for line in lines if not line.startswith("#")]
    decoder = GanglionDecoder(3)
    items = [decoder.feed(frame) for frame in frames]
    assert isinstance(items[0], GanglionSamples)
    assert items[1:] == [Impedance(2, 603.5), None, Text("Deactivating channel 2\n")]
    assert (decoder.damaged, decoder.pending) == (0, 0)


@pytest.mark.parametrize("bits", [18, 19])
def test_the_lowest_bit_is_the_sign(bits: int) -> None:
    most = (1 << bits) - 2
    values = np.array([[0, 2, -2, most], [-most, 1000, -1000, -(1 << bits)]])
    data = bytes([1]) + packed_fields(values, bits)
    assert fields(data + bytes(20 - len(data)), bits).tolist() == values.tolist()


@pytest.mark.parametrize("firmware", [2, 3])
@pytest.mark.parametrize("accelerometer", [b"n", b"N"])
def test_what_the_board_sends_is_read_back(firmware: int, accelerometer: bytes) -> None:
    board, decoder = EmulatedGanglion(firmware), GanglionDecoder(firmware)
    board.receive(accelerometer)
    board.receive(b"b")
    sent, numbers, found = 0, [], []
    while sent < 900:
        rows = [[np.sin((sent + k) / 9) * 900 * c for c in range(1, 5)] for k in range(board.due)]
        sent += len(rows)
        item = decoder.feed(board.packet(rows))
        assert isinstance(item, GanglionSamples)
        numbers += item.numbers.tolist()
        found += (item.counts * MICROVOLTS_PER_COUNT).tolist()
    assert numbers == [k % decoder.turn for k in range(sent)]
    wanted = [[np.sin(k / 9) * 900 * c for c in range(1, 5)] for k in range(sent)]
    assert np.abs(np.array(found) - np.array(wanted)).max() < 0.25
    assert (decoder.damaged, decoder.unlevelled) == (0, 0)


def test_after_a_loss_firmware_2_gives_nothing_until_a_whole_sample() -> None:
    board, decoder = EmulatedGanglion(2), GanglionDecoder(2)
    board.receive(b"b")
    packets = [board.packet([[k, 0, 0, 0]] * board.due) for k in range(150)]
    items = [decoder.feed(p) for number, p in enumerate(packets) if number != 7]
    numbers = [n for item in items if isinstance(item, GanglionSamples) for n in item.numbers]
    assert numbers == [*range(13), *range(97)]
    assert decoder.unlevelled == 93


def test_a_damaged_difference_is_not_followed() -> None:
    decoder = GanglionDecoder(2)
    decoder.feed(b"\0\x7f\xff\xff" + bytes(16))
    huge = packed_fields(np.full((2, 4), -100_000), 18)
    assert decoder.feed(b"\1" + huge) is None
    assert decoder.damaged == 1
    assert decoder.feed(b"\2" + bytes(19)) is None


@pytest.mark.parametrize("data", [b"", b"\x05", bytes([150]) * 19, bytes([210]) * 20, b"\xc9x"])
def test_what_is_no_packet_is_counted(data: bytes) -> None:
    decoder = GanglionDecoder(3)
    assert decoder.feed(data) is None
    assert decoder.damaged == 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"firmware": 4}, "firmware 4"),
        ({"channels": [5]}, "between 1 and 4"),
        ({"leads": ["I", "I"]}, "not distinct"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(options: dict[str, object], named: str) -> None:
    with pytest.raises(DriverError, match=named):
        Ganglion("Ganglion-0a0b", **options)  # type: ignore[arg-type]
