"""Movesense packets and logs: every worked example, real payloads, the real logs, continuations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivers.decoders import movesense as gsp
from drivers.decoders.sbem import Record, SbemDecoder, SbemError
from drivers.emulated.movesense import EmulatedMovesense
from drivers.movesense import Movesense
from drivers.samples import DriverError


def decoded(resource: str, data: bytes) -> dict[str, Any] | None:
    """A real payload as the worked examples write it; None for what the driver doesn't read."""
    match resource.lower().split(" ")[0]:
        case "/meas/ecg/info":
            info = gsp.decode_ecg_info(data)
            return {
                "sample_rates": list(info.rates_hz),
                "array_size": info.array_size,
                "low_pass_hz": list(info.low_pass_hz),
                "high_pass_hz": list(info.high_pass_hz),
            }
        case "/meas/ecg/200/mv":
            ecg = gsp.decode_ecg(data)
            return {"timestamp_ms": ecg.first_ms, "samples_uV": ecg.counts[:, 0].tolist()}
        case "/meas/temp":
            at_ms, kelvin = gsp.decode_temperature(data)
            return {"timestamp_ms": at_ms, "kelvin": kelvin}
        case "/meas/hr":
            found = gsp.decode_heart_rate(data)
            return {"average_bpm": found.rate_bpm, "rr_ms": list(found.rr_ms)}
        case "/time/detailed":
            time = gsp.decode_time(data)
            return {"utc_us": time.utc_us, "relative_ms": time.relative_ms}
    return None


def test_every_worked_vector(shared: Path) -> None:
    vectors = json.loads((shared / "captures" / "worked_vectors.json").read_text())
    mine = [vector for vector in vectors if vector["device"] == "movesense"]
    tried = 0
    for vector in mine:
        data = bytes.fromhex(vector["hex"])
        if vector["name"].startswith("SUBSCRIBE"):
            wanted = gsp.command(gsp.Code.SUBSCRIBE, 7, gsp.path(gsp.ecg_path(200)))
            assert data == wanted
        elif vector["name"].startswith("answer"):
            answer = gsp.Assembler().feed(data)
            assert isinstance(answer, gsp.Answer)
            assert (answer.reference, answer.status, answer.ok) == (7, 200, True)
        else:
            found = decoded(vector["name"], data)
            assert found is not None
            assert found.items() <= vector["decoded"].items()
        tried += 1
    assert tried == 8


def test_real_flash_payloads(shared: Path) -> None:
    items = json.loads((shared / "captures" / "movesense" / "flash_payloads.json").read_text())
    tried = 0
    for item in items["items"]:
        found = decoded(item["resource"], bytes.fromhex(item["payload_hex"]))
        if found is not None:
            assert found.items() <= item["decoded"].items()
            tried += 1
    assert tried == 5


def test_raw_counts_and_microvolts_of_one_instant() -> None:
    sensor = EmulatedMovesense()
    sensor.subscriptions = {4: gsp.ecg_path(250, raw=True)}
    shown = [7948, 7816, 7685, 7566] * 4
    packet = gsp.decode_ecg(sensor.ecg(80, shown)[0][2:], raw=True)
    assert packet.counts[:4, 0].tolist() == pytest.approx([20835, 20488, 20147, 19833], abs=1)


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (gsp.decode_ecg, b"\0" * 35),
        (gsp.decode_heart_rate, b"\0" * 5),
        (gsp.decode_heart_rate, b""),
        (gsp.decode_temperature, b"\0" * 7),
        (gsp.decode_time, b"\0" * 11),
        (gsp.decode_ecg_info, b"\x07\x7d"),
        (gsp.decode_hello, b"\1abc\0"),
    ],
)
def test_torn_payloads_are_refused(read: Any, data: bytes) -> None:
    with pytest.raises(gsp.GspError):
        read(data)


def test_a_rate_that_is_none() -> None:
    assert gsp.decode_heart_rate(bytes.fromhex("00000000")).rate_bpm is None
    assert gsp.decode_heart_rate(bytes.fromhex("0000c07f")).rate_bpm is None


def test_kind_3_goes_on_where_kind_2_ended() -> None:
    sensor = EmulatedMovesense()
    sensor.subscriptions, sensor.payload_limit = {9: gsp.ecg_path(200)}, 18
    assembler = gsp.Assembler({9: gsp.ecg_bytes()})
    first = sensor.ecg(800, range(16))
    assert [part[0] for part in first] == [2, 3]
    assert assembler.feed(first[0]) is None
    assert assembler.pending == 18
    whole = assembler.feed(first[1])
    assert isinstance(whole, gsp.Packet)
    assert gsp.decode_ecg(whole.payload).counts[:, 0].tolist() == list(range(16))
    assert (assembler.pending, assembler.damaged) == (0, 0)


def test_a_lost_half_costs_its_packet_only() -> None:
    sensor = EmulatedMovesense()
    sensor.subscriptions, sensor.payload_limit = {9: gsp.ecg_path(200)}, 18
    assembler = gsp.Assembler({9: gsp.ecg_bytes()})
    packets = [sensor.ecg(80 * number, [number] * 16) for number in range(4)]
    heard = [packets[0][0], packets[1][0], packets[1][1], packets[2][1], *packets[3]]
    whole = [item for item in map(assembler.feed, heard) if item is not None]
    stamps = [gsp.decode_ecg(item.payload).first_ms for item in whole]  # type: ignore[union-attr]
    assert stamps == [80, 240]
    assert assembler.damaged == 2


def as_records(expected: dict[str, Any]) -> Record:
    """The expected JSON of one record in our form."""
    outer = dict(expected)
    utc_us = outer.pop("utcTime", None)
    (name,) = [key for key in outer if isinstance(outer[key], dict)]
    values: dict[str, Any] = outer.pop(name)
    for key, value in outer.items():
        if isinstance(value, list) and isinstance(value[0], dict):
            values |= {f"{key}.{axis}": found for axis, found in value[0].items()}
        else:
            # The expected file writes an array of one as a bare number.
            values[key] = value if isinstance(value, list) else [value]
    return Record(name, values, utc_us)


@pytest.mark.parametrize(("log", "count"), [("ecg-flash-log", 128), ("imu9-prefix", 40)])
def test_real_logs_equal_the_expected_json(shared: Path, log: str, count: int) -> None:
    folder = shared / "captures" / "movesense"
    data = (folder / f"{log}.sbem").read_bytes()
    expected = json.loads((folder / f"{log}.expected.json").read_text())["Samples"]
    decoder = SbemDecoder()
    records = [one for at in range(0, len(data), 61) for one in decoder.feed(data[at : at + 61])]
    assert decoder.pending == 0
    assert len(records) == count
    assert records == [as_records(next(iter(one.values()))) for one in expected]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"SBEM0113" + b"\0", "no SBEM log"),
        (b"SBEM0112\x44\x01\0", "id 68 is not described"),
        (b"SBEM0112\x44\xff\xff\xff\xff\xff", "a chunk of 4294967295 bytes"),
        (b"SBEM0112\0\x08\x09\0<GRP>x", "is no list of ids"),
        (b"SBEM0112\0\x08\x09\0<GRP>9\x09\x01\0", "not described"),
    ],
)
def test_broken_logs_are_refused_in_one_line(data: bytes, said: str) -> None:
    with pytest.raises(SbemError, match=said):
        SbemDecoder().feed(data)


def test_a_rate_the_sensor_has_not_is_refused() -> None:
    with pytest.raises(DriverError, match=r"no ECG of 130 Hz; choose rate_hz out of 125, 128"):
        Movesense("250230002214", rate_hz=130)
