"""EDF and EDF+ files, sample-exact against edfio and against files written here."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.files import RecordError, microvolts, open_record
from drivers.files.edf_header import EdfFormatError, parse_header, signal_count


@dataclass
class Channel:
    """A signal to be written; ``data`` is int16, samples per record times records."""

    label: str
    data: np.ndarray
    per_record: int
    unit: str = "uV"
    physical: tuple[str, str] = ("-1000", "1000")
    digital: tuple[int, int] = (-32768, 32767)


def write_edf(
    path: Path,
    channels: Sequence[Channel],
    *,
    kind: str = "",
    record_s: str = "1",
    onsets: Sequence[str] | None = None,
    told_records: int | None = None,
) -> Path:
    """An EDF file; with ``onsets`` it keeps the time of its records as EDF+ does."""
    n_records = len(channels[0].data) // channels[0].per_record
    if onsets is not None:
        tals = [f"+{onset}\x14\x14\x00+{onset}\x14beat\x14\x00".encode() for onset in onsets]
        joined = b"".join(tal.ljust(40, b"\x00") for tal in tals)
        notes = Channel("EDF Annotations", np.frombuffer(joined, "<i2"), 20, "", ("-1", "1"))
        channels = [*channels, notes]
    head = "0".ljust(8) + "X".ljust(80) + "Startdate 02-MAR-2031 X X X".ljust(80)
    head += "02.03.31" + "10.20.30" + str(256 * (len(channels) + 1)).ljust(8) + kind.ljust(44)
    told = n_records if told_records is None else told_records
    head += str(told).ljust(8) + record_s.ljust(8) + str(len(channels)).ljust(4)
    rows = [
        (
            c.label,
            "",
            c.unit,
            *c.physical,
            str(c.digital[0]),
            str(c.digital[1]),
            "",
            c.per_record,
            "",
        )
        for c in channels
    ]
    for i, width in enumerate((16, 80, 8, 8, 8, 8, 8, 80, 8, 32)):
        head += "".join(str(row[i]).ljust(width) for row in rows)
    body = b""
    for record in range(n_records):
        for c in channels:
            body += (
                c.data[record * c.per_record : (record + 1) * c.per_record].astype("<i2").tobytes()
            )
    path.write_bytes(head.encode("latin-1") + body)
    return path


def ramp(n: int, start: int = 0) -> np.ndarray:
    return np.arange(start, start + n)


def test_the_sheet_s_values(shared: Path) -> None:
    with open_record(shared / "captures" / "wfdb_edf" / "test_generator_2.edf") as record:
        assert (record.form, record.rate_hz, record.n_samples) == ("EDF+C", 200, 120_000)
        assert [lead.name for lead in record.leads] == ["ECG"]
        assert record.start == datetime(2009, 12, 10, 12, 44, 2)
        first = record.read(0, 8)
        assert first.counts[:, 0].tolist() == [0, 0, 0, 0, 0, 1029, 1613, 1907]
        values = microvolts(first, record.leads)[[0, 5, 6, 7], 0]
        np.testing.assert_allclose(values, [0.02, 31.42, 49.24, 58.21], atol=0.005)


def test_all_signals_as_edfio_reads_them(shared: Path) -> None:
    path = shared / "captures" / "wfdb_edf" / "test_generator_2.edf"
    reference = edfio.read_edf(path)
    wanted = [s.label for s in reference.signals if s.physical_dimension == "uV"]
    with open_record(path, leads=wanted) as record:
        got = record.read(0, record.n_samples)
        values = microvolts(got, record.leads)
    for lead, label in enumerate(wanted):
        signal = next(s for s in reference.signals if s.label == label)
        np.testing.assert_array_equal(got.counts[:, lead], signal.digital)
        np.testing.assert_allclose(values[:, lead], signal.data, rtol=1e-12, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_cut_of_a_file_that_edfio_wrote(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    counts = rng.integers(-2000, 2000, (2, 40)).astype(np.int16)
    signals = [
        edfio.EdfSignal.from_digital(
            c, 8, label=label, physical_dimension="mV", physical_range=(-5, 5),
            digital_range=(-2048, 2047),
        )
        for c, label in zip(counts, ("ECG I", "ECG II"), strict=True)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("edf") / "x.edf"
    edfio.Edf(signals, annotations=[edfio.EdfAnnotation(1, None, "beat")]).write(path)
    first = data.draw(st.integers(0, 40))
    count = data.draw(st.integers(0, 50))
    with open_record(path) as record:
        got = record.read(first, count)
        np.testing.assert_array_equal(got.counts, counts[:, first : first + count].T)
        expected = signals[0].data[first : first + count] * 1000
        np.testing.assert_allclose(microvolts(got, record.leads)[:, 0], expected, atol=1e-9)


def test_a_discontinuous_file_keeps_its_gaps(tmp_path: Path) -> None:
    path = write_edf(
        tmp_path / "d.edf",
        [Channel("ECG", ramp(16), 4)],
        kind="EDF+D",
        onsets=["0.5", "1.5", "5.75", "6.75"],
    )
    with open_record(path) as record:
        assert record.form == "EDF+D"
        assert record.start == datetime(2031, 3, 2, 10, 20, 30, 500_000)
        got = record.read(0, 1000)
        assert got.valid[:, 0].tolist() == [True] * 8 + [False] * 13 + [True] * 8
        assert got.counts[got.valid].tolist() == list(range(16))
        for first in range(29):
            part = record.read(first, 6)
            np.testing.assert_array_equal(part.valid, got.valid[first : first + 6])
            np.testing.assert_array_equal(part.counts, got.counts[first : first + 6])


def test_overlapping_records_are_told(tmp_path: Path) -> None:
    channel = Channel("ECG", ramp(12), 4)
    path = write_edf(tmp_path / "d.edf", [channel], kind="EDF+D", onsets=["0", "0.5", "2"])
    with open_record(path) as record:
        assert record.read(0, 99).counts[:, 0].tolist() == list(range(12))
        assert "overlap" in record.warnings[0]


def test_large_data_records_are_not_read_whole(tmp_path: Path) -> None:
    channels = [Channel("EEG", ramp(60_000), 30_000), Channel("ECG", ramp(60_000), 30_000)]
    path = write_edf(tmp_path / "l.edf", channels, record_s="60")
    with open_record(path) as record:
        assert record.rate_hz == 500
        expected = ramp(60_000).astype(np.int16)[29_990:30_010]
        assert record.read(29_990, 20).counts[:, 0].tolist() == expected.tolist()


def test_units_inversion_and_fractions_of_a_second(tmp_path: Path) -> None:
    channels = [
        Channel("ECG V1", ramp(8), 4, "mV", ("5", "-5"), (-2048, 2047)),
        Channel("ECG V2", ramp(8), 4, "µV", ("0", "4095"), (0, 4095)),
        Channel("ECG V3", ramp(8), 4, "", ("0", "0")),
    ]
    path = write_edf(tmp_path / "u.edf", channels, record_s="0.032")
    with open_record(path) as record:
        inverted, micro, unknown = record.leads
        assert record.rate_hz == 125
        assert inverted.microvolts_per_count == pytest.approx(-10_000 / 4095)
        assert (0 - inverted.offset_counts) * inverted.microvolts_per_count == pytest.approx(
            5000 - 10_000 * 2048 / 4095
        )
        assert (micro.microvolts_per_count, micro.offset_counts) == (1, 0)
        assert micro.full_scale_counts == (0, 4095)
        assert not unknown.calibrated


def test_a_file_that_was_never_closed(tmp_path: Path) -> None:
    channel = Channel("ECG", ramp(12), 4)
    with open_record(write_edf(tmp_path / "o.edf", [channel], told_records=-1)) as record:
        assert record.n_samples == 12
        assert "never closed" in record.warnings[0]


def test_a_truncated_file(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "t.edf", [Channel("ECG", ramp(12), 4)])
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(RecordError) as caught:
        open_record(path)
    assert str(caught.value) == (
        f"{path}: holds 2 of 3 data records (it was cut short); copy the file again from its "
        "source, or read what is there with --partial"
    )
    with open_record(path, partial=True) as record:
        assert record.read(0, 99).counts[:, 0].tolist() == list(range(8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:100], "is no EDF file; copy the file again"),
        (lambda b: b"1" + b[1:], "is no EDF file"),
        (lambda b: b[:300], "ends inside its header"),
        (lambda b: b[:252] + b"ab  " + b[256:], "unreadable number of signals: 'ab'"),
        (lambda b: b[:244] + b"0       " + b[252:], "tells no sampling rate"),
        (lambda b: b[:236] + b"0       " + b[244:], "holds no data record"),
        (lambda b: b[:184] + b"256     " + b[192:], "tells a wrong header size"),
        (lambda b: b.replace(b"ECG ", b"Resp"), "none of its signals (Resp) looks like an ECG"),
    ],
)
def test_one_line_that_says_what_to_do(tmp_path: Path, change: object, message: str) -> None:
    path = write_edf(tmp_path / "b.edf", [Channel("ECG", ramp(12), 4)])
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(RecordError) as caught:
        open_record(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_annotations_only(shared: Path) -> None:
    with pytest.raises(RecordError, match="holds no signals"):
        open_record(shared / "captures" / "wfdb_edf" / "test_edfann.edf")


def test_a_negative_number_of_signals_is_refused_before_more_is_read() -> None:
    with pytest.raises(EdfFormatError, match="impossible number of signals: -1"):
        signal_count(b"0".ljust(252) + b"-1  ")


def test_headers_of_noise_never_crash(tmp_path: Path) -> None:
    rng = random.Random(2)
    path = write_edf(
        tmp_path / "n.edf", [Channel("ECG", ramp(8), 4)], kind="EDF+D", onsets=["0", "1"]
    )
    good = path.read_bytes()
    for _ in range(600):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 10)):
            data[rng.randrange(len(data))] = rng.choice([0, 20, 32, 43, 45, 46, 48, 57, 255])
        with contextlib.suppress(EdfFormatError):
            assert len(parse_header(bytes(data)).signals) >= 0
        path.write_bytes(data)
        with contextlib.suppress(RecordError), open_record(path) as record:
            assert len(record.read(0, 100).counts) <= 100
