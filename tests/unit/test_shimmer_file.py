"""SD logs of a Shimmer3: the real one against its vendor's export, and logs made here."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from drivers.files import Record, RecordError, microvolts, open_record
from drivers.replay import ReplayDriver
from drivers.samples import DriverEvent, Gap, SampleBlock

ECG = bytes.fromhex("02a01040402d00000203")


def exported(shared: Path, name: str) -> np.ndarray:
    """Time in ms, channel 1, channel 2, as the vendor's program wrote them."""
    path = shared / "captures" / "shimmer3" / f"ecg_{name}.csv.gz"
    with gzip.open(path, "rt") as file:
        return np.array([[float(v) for v in line.split()] for line in file.readlines()[3:]])


def whole(record: Record) -> tuple[np.ndarray, np.ndarray]:
    samples = record.read(0, record.n_samples)
    return samples.counts[samples.valid[:, 0]], np.flatnonzero(samples.valid[:, 0])


def test_the_real_log_is_the_vendors_export(shared: Path) -> None:
    expected, calibrated = exported(shared, "uncalibrated"), exported(shared, "calibrated")
    with open_record(shared / "captures" / "shimmer3" / "ecg.bin") as record:
        counts, places = whole(record)
        values = microvolts(record.read(0, record.n_samples), record.leads)[places]
    assert (record.form, record.rate_hz) == ("Shimmer3", 512.0)
    assert record.comments == ("LogAndStream 0.11.3",)
    assert [lead.name for lead in record.leads] == ["ExG1 ch1", "ExG1 ch2"]
    assert record.warnings == ()
    assert np.array_equal(counts, expected[:, 1:])
    assert values / 1000 == pytest.approx(calibrated[:, 1:], rel=1e-9)
    # Three periods lie between its first two records: a gap of two samples.
    assert record.n_samples == len(expected) + 2 == 4690
    assert places[:3].tolist() == [0, 3, 4]
    assert record.start is not None
    begun_ms = record.start.replace(tzinfo=UTC).timestamp() * 1e3
    assert begun_ms + places / 512 * 1e3 == pytest.approx(calibrated[:, 0], abs=0.01)


def test_the_real_log_plays_as_a_device(shared: Path) -> None:
    events: list[DriverEvent] = []

    async def play() -> None:
        task = asyncio.create_task(
            ReplayDriver(shared / "captures" / "shimmer3" / "ecg.bin", speed=0).run(events.append)
        )
        async with asyncio.timeout(20):
            while sum(isinstance(e, SampleBlock) and e.end == 4690 for e in events) == 0:
                await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(play())
    assert sum(len(e.counts) for e in events if isinstance(e, SampleBlock)) == 4688
    assert [(e.first, e.count) for e in events if isinstance(e, Gap)] == [(1, 2)]


def header(
    *, sensors: int = 0x10, ticks: int = 64, sync: bool = False, chip_1: bytes = ECG
) -> bytearray:
    data = bytearray(256)
    data[:2] = ticks.to_bytes(2, "little")
    data[3:6] = sensors.to_bytes(3, "little")
    data[0x10] = 0x04 if sync else 0
    data[0x1F] = 3
    data[0x22:0x28] = bytes([0, 3, 0, 0, 16, 9])
    data[0x38:0x42] = chip_1
    data[0x42:0x4C] = bytes.fromhex("02a01060670000000201")
    return data


def records(stamps: list[int], width: int = 2, lead: bytes = b"") -> list[bytes]:
    """``lead``, then status and channels that count up, 24 bits each."""
    made = []
    for number, stamp in enumerate(stamps):
        channels = b"".join((number + k).to_bytes(3, "big") for k in range(width))
        made.append((stamp % (1 << 24)).to_bytes(3, "little") + lead + b"\x80" + channels)
    return made


def write(path: Path, head: bytes, body: bytes) -> Path:
    path.write_bytes(bytes(head) + body)
    return path


def test_a_log_set_to_ecg_names_its_leads(tmp_path: Path) -> None:
    both = [
        record + b"\x80" + record[4:] for record in records([64 * k for k in range(100)], lead=b"")
    ]
    path = write(tmp_path / "000", header(sensors=0x18), b"".join(both))
    with open_record(path) as record:
        assert [lead.name for lead in record.leads] == ["II", "I", "V"]
        assert record.leads[0].microvolts_per_count == pytest.approx(2.42e6 / 0x7FFFFF / 4)
        assert record.leads[2].microvolts_per_count == pytest.approx(2.42e6 / 0x7FFFFF / 12)
        assert record.leads[0].full_scale_counts == (-0x800000, 0x7FFFFF)
        assert record.start is None
        assert record.read(7, 2).counts.tolist() == [[7, 8, 8], [8, 9, 9]]
    with open_record(path, leads=["respiration"]) as record:
        assert record.read(0, 1).counts.tolist() == [[0]]


def test_other_sensors_stand_before_the_ecg_and_16_bits_have_their_scale(tmp_path: Path) -> None:
    # Accelerometer, battery and gyroscope, then 16-bit channels of chip 1.
    sensors = 0x80 | 0x40 | 1 << 13 | 1 << 20
    body = b"".join(
        (64 * k).to_bytes(3, "little") + bytes(14) + b"\x80\xff\xfe\x00" + bytes([k])
        for k in range(50)
    )
    with open_record(write(tmp_path / "001", header(sensors=sensors), body)) as record:
        assert record.n_samples == 50
        assert record.leads[0].microvolts_per_count == pytest.approx(2.42e6 / 0x7FFF / 4)
        assert record.read(48, 2).counts.tolist() == [[-2, 48], [-2, 49]]


def test_gaps_and_roll_over_of_the_stamps(tmp_path: Path) -> None:
    begin = (1 << 24) - 64 * 10
    stamps = [begin + 64 * k for k in (0, 1, 2, *range(40, 90))]
    with open_record(write(tmp_path / "000", header(), b"".join(records(stamps)))) as record:
        counts, places = whole(record)
    assert places.tolist() == [0, 1, 2, *range(40, 90)]
    assert counts[:, 0].tolist() == list(range(53))


@pytest.mark.parametrize(("sign", "shift_s"), [(0, -0.25), (1, 0.25)])
def test_sync_stamps_between_the_blocks(tmp_path: Path, sign: int, shift_s: float) -> None:
    head = header(sync=True)
    clock = 1_700_000_000 * 32768
    head[0x2C:0x34] = clock.to_bytes(8, "big")
    rows = records([64 * k for k in range(170)])
    # (512 - 9) / 10: fifty records a block, the first of them before any comparison.
    syncs = [b"\0" + b"\xff" * 8, *[bytes([sign]) + (8192).to_bytes(8, "little")] * 3]
    blocks = [sync + b"".join(rows[50 * k : 50 * k + 50]) for k, sync in enumerate(syncs)]
    with open_record(write(tmp_path / "000", head, b"".join(blocks))) as record:
        counts, _ = whole(record)
        assert counts[:, 0].tolist() == list(range(170))
        assert record.read(49, 2).counts[:, 0].tolist() == [49, 50]
        assert "off the master's" in record.comments[1]
        assert record.start is not None
        told = record.start.replace(tzinfo=UTC) - datetime.fromtimestamp(1_700_000_000, UTC)
        assert told.total_seconds() == pytest.approx(shift_s)


def test_a_log_longer_than_one_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.files.shimmer._BLOCKS_AT_ONCE", 1)
    stamps = [64 * k for k in range(300) if k != 102]
    with open_record(write(tmp_path / "000", header(), b"".join(records(stamps)))) as record:
        counts, places = whole(record)
    assert counts[:, 0].tolist() == list(range(299))
    assert places.tolist() == [k for k in range(300) if k != 102]


def test_damage_is_told(tmp_path: Path) -> None:
    body = b"".join(records([0, 64, 128, 9_000_000, 256, 320]))
    with open_record(write(tmp_path / "000", header(), body + b"\x80\x01")) as record:
        assert record.n_samples == 6
        assert record.warnings == (
            "ends within a record, which is left out",
            "2 time stamps are damaged: read on without a gap",
        )


@pytest.mark.parametrize(
    ("head", "body", "says"),
    [
        (bytes(256), b"", "is no log of a Shimmer3"),
        (b"\x40", b"", "is no log of a Shimmer3"),
        (header(), b"\0" * 9, "holds no record"),
        (header(sensors=0x80), bytes(90), "holds no signals"),
        (header(chip_1=bytes([2, 0, 0, 0x70, 0x70, 0, 0, 0, 0, 0])), bytes(100), "gain code 7"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(
    tmp_path: Path, head: bytes, body: bytes, says: str
) -> None:
    path = write(tmp_path / "log.bin", head, body)
    with pytest.raises(RecordError, match=says) as refused:
        open_record(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_a_wfdb_record_beside_a_file_of_its_name_is_still_wfdb(tmp_path: Path) -> None:
    (tmp_path / "100").write_bytes(b"not a log")
    with pytest.raises(RecordError, match=r"100\.hea"):
        open_record(tmp_path / "100")
