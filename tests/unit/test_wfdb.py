"""WFDB records read sample-exact, against wfdb and against records written here."""

from __future__ import annotations

import contextlib
import random
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from wfdb_writing import packed, write_record

from drivers.files import RecordError, microvolts, open_record
from drivers.files.wfdb import WfdbRecord, open_wfdb
from drivers.files.wfdb_header import parse_header


def assert_as_wfdb(path: Path) -> None:
    reference = wfdb.rdrecord(str(path), physical=False)
    with open_record(path) as record:
        assert isinstance(record, WfdbRecord)
        assert record.rate_hz == reference.fs
        assert [lead.name for lead in record.leads] == reference.sig_name
        got = record.read(0, record.n_samples)
        np.testing.assert_array_equal(got.counts, reference.d_signal)
        assert record.wrong_checksums() == []
        physical = wfdb.rdrecord(str(path)).p_signal * 1000
        np.testing.assert_allclose(microvolts(got, record.leads), physical, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("name", ["binformats", "100_3chan"])
def test_every_packed_format_as_wfdb_reads_it(shared: Path, name: str) -> None:
    assert_as_wfdb(shared / "captures" / "wfdb_edf" / name)


@pytest.mark.parametrize(
    "name",
    ["mitdb/101", "mitdb/208", "svdb/800", "vfdb/418", "cinc2015/a103l", "cinc2017/A00001"],
)
def test_flac_as_wfdb_reads_it(shared: Path, name: str) -> None:
    assert_as_wfdb(shared / "data" / name)


def test_blocks_of_any_size_give_the_same_samples(shared: Path) -> None:
    rng = random.Random(3)
    for name in ("captures/wfdb_edf/binformats", "captures/wfdb_edf/100_3chan", "data/mitdb/101"):
        with open_record(shared / name) as record:
            whole = record.read(0, 5000)
            for _ in range(30):
                first, count = rng.randrange(5000), rng.randrange(600)
                part = record.read(first, count)
                end = min(first + count, 5000)
                np.testing.assert_array_equal(
                    part.counts[: max(0, end - first)], whole.counts[first:end]
                )


@pytest.mark.parametrize(("fmt", "subtype"), [(508, "PCM_S8"), (516, "PCM_16"), (524, "PCM_24")])
def test_flac_of_each_width_with_frames_of_two_samples(
    tmp_path: Path, fmt: int, subtype: str
) -> None:
    bits = fmt - 500
    rng = np.random.default_rng(fmt)
    half = 1 << (bits - 1)
    samples = rng.integers(-half + 1, half, (6000, 2))
    samples[17, 0] = -half
    with soundfile.SoundFile(
        tmp_path / "f.dat", "w", 250, 2, subtype=subtype, format="FLAC"
    ) as file:
        file.write((samples.astype(np.int64) << (32 - bits)).astype(np.int32))
    write_record(
        tmp_path,
        "f",
        f"f 2 125 3000\nf.dat {fmt}x2 200 16 0 0 0 0 I\nf.dat {fmt}x2 200 16 0 0 0 0 II\n",
    )
    with open_record(tmp_path / "f") as record:
        assert (record.rate_hz, record.n_samples) == (250, 6000)
        got = record.read(0, 6000)
    np.testing.assert_array_equal(got.counts, samples)
    assert np.argwhere(~got.valid).tolist() == [[17, 0]]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_arrangement_of_signals_reads_back(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Formats, frames of several samples, skew, offsets, signals shared among files."""
    folder = tmp_path_factory.mktemp("any")
    frames = data.draw(st.integers(3, 40))
    per_frame = data.draw(st.integers(1, 3))
    lines, files, expected, invalid = [], {}, [], []
    for number in range(data.draw(st.integers(1, 3))):
        fmt = data.draw(st.sampled_from([8, 16, 24, 61, 80, 160, 212, 310, 311]))
        count = data.draw(st.integers(1, 3))
        junk = data.draw(st.binary(max_size=30))
        skews = [data.draw(st.integers(0, 2)) for _ in range(count)]
        signals = [
            data.draw(
                st.lists(
                    st.integers(-60, 60), min_size=frames * per_frame, max_size=frames * per_frame
                )
            )
            for _ in range(count)
        ]
        rows = [
            value
            for f in range(frames)
            for s in signals
            for value in s[f * per_frame : (f + 1) * per_frame]
        ]
        if fmt == 8:
            stored = [bytearray(packed(8, s)) for s in signals]
            body = b"".join(
                bytes(s[f * per_frame : (f + 1) * per_frame]) for f in range(frames) for s in stored
            )
        else:
            body = packed(fmt, rows)
        files[f"{number}.dat"] = junk + body
        for s, (signal, skew) in enumerate(zip(signals, skews, strict=True)):
            storage = f"{number}.dat {fmt}x{per_frame}:{skew}+{len(junk)}"
            lines.append(f"{storage} 100(3)/mV 12 0 0 0 0 ECG{number}{s}")
            expected.append(signal[skew * per_frame :])
            invalid.append(skew * per_frame)
    header = f"r {len(lines)} 100 {frames}\n" + "\n".join(lines)
    with open_record(write_record(folder, "r", header, files)) as record:
        assert record.rate_hz == 100 * per_frame
        first = data.draw(st.integers(0, record.n_samples - 1))
        got = record.read(first, record.n_samples)
    for lead, (signal, missing) in enumerate(zip(expected, invalid, strict=True)):
        there = got.valid[:, lead]
        assert there.sum() == max(0, len(signal) - first)
        assert not there[len(there) - missing :].any() or not missing
        assert got.counts[there, lead].tolist() == signal[first:]


def test_the_format_s_invalid_value_is_not_sampled(tmp_path: Path) -> None:
    samples = [5, -2048, 7, 9]
    path = write_record(
        tmp_path, "r", "r 1 250 4\nr.dat 212 200 12 0 5 0 0 ECG\n", {"r.dat": packed(212, samples)}
    )
    with open_record(path) as record:
        got = record.read(0, 4)
        assert got.valid[:, 0].tolist() == [True, False, True, True]
        assert np.isnan(microvolts(got, record.leads)[1, 0])


def test_defaults_of_missing_fields(tmp_path: Path) -> None:
    path = write_record(tmp_path, "r", "# note\nr 1\nr.dat 16\n", {"r.dat": bytes(20)})
    with open_record(path) as record:
        (lead,) = record.leads
        assert (record.rate_hz, record.n_samples, record.start) == (250, 10, None)
        assert (lead.microvolts_per_count, lead.offset_counts, lead.calibrated) == (5, 0, False)
        assert record.comments == ("note",)


def test_header_fields() -> None:
    header = parse_header(
        "rec/x 1\n".replace("/x", "")
        + "a.dat 16x2:3+24 1.5e2(-7)/uV 12 5 -1 99 0 lead II, filtered\n",
        Path("rec.hea"),
    )
    (signal,) = header.signals
    assert (signal.samples_per_frame, signal.skew, signal.byte_offset) == (2, 3, 24)
    assert (signal.gain, signal.baseline, signal.unit) == (150.0, -7, "uV")
    assert (signal.initial, signal.checksum, signal.name) == (-1, 99, "lead II, filtered")
    timed = parse_header("r 0 360/720 10 23:59:07.5 1/2/1990\n", Path("r.hea"))
    assert timed.frame_rate_hz == 360
    assert timed.start == datetime(1990, 2, 1, 23, 59, 7, 500_000)


def test_leads_by_name_number_and_by_what_looks_like_an_ecg(tmp_path: Path) -> None:
    names = ["RESP", "II", "ABP/mmHg", "V", "PLETH"]
    lines = [
        f"r.dat 16 200{'/mmHg' if 'mmHg' in n else ''} 16 0 0 0 0 {n.split('/')[0]}" for n in names
    ]
    path = write_record(
        tmp_path, "r", "r 5 125 2\n" + "\n".join(lines), {"r.dat": packed(16, range(10))}
    )
    with open_record(path) as record:
        assert [lead.name for lead in record.leads] == ["II", "V"]
        assert record.read(0, 2).counts.tolist() == [[1, 3], [6, 8]]
    with open_record(path, leads=["v", "0"]) as record:
        assert record.read(0, 1).counts.tolist() == [[3, 0]]
    with pytest.raises(RecordError, match=r"no signal 'aVR'; choose one of: RESP, II"):
        open_record(path, leads=["aVR"])


def test_signals_at_another_rate_are_left_out_aloud(tmp_path: Path) -> None:
    header = "r 3 100 2\nr.dat 16x2 200 16 0 0 0 0 I\nr.dat 16 200 16 0 0 0 0 V\n" + (
        "r.dat 16x2 200 16 0 0 0 0 II\n"
    )
    path = write_record(tmp_path, "r", header, {"r.dat": packed(16, range(10))})
    with open_record(path) as record:
        assert record.read(0, 9).counts.tolist() == [[0, 3], [1, 4], [5, 8], [6, 9]]
        assert record.warnings == ("left out, sampled at another rate than the rest: V",)


def test_damaged_samples_fail_the_checksum(tmp_path: Path) -> None:
    body = packed(16, [10, 20, 30])
    header = "r 2 250 3\na.dat 16 200 16 0 10 60 0 I\nb.dat 16 200 16 0 10 60 0 II\n"
    path = write_record(tmp_path, "r", header, {"a.dat": body, "b.dat": packed(16, [10, 20, 31])})
    record = open_wfdb(path)
    assert isinstance(record, WfdbRecord)
    assert record.wrong_checksums() == ["II"]


@pytest.mark.parametrize(
    ("header", "files", "message"),
    [
        (None, {}, "r.hea: no such header file; give a WFDB record's path without extension"),
        ("", {}, "r.hea: is empty; copy the record again from its source"),
        ("r\n", {}, "r.hea: line 1 is no record line: 'r'"),
        ("r 2 250 4\nr.dat 16\n", {}, "r.hea: tells of 2 signals, lists 1"),
        ("r 1 250 4\nr.dat x16\n", {}, "r.hea: line 2 is no signal line"),
        ("r 1 250 4\nr.dat 16 abc\n", {}, "line 2 has 'abc' where the gain belongs"),
        ("r 1 0 4\nr.dat 16\n", {}, "line 1 tells an impossible rate"),
        ("r 1 250 4\nr.dat 17\n", {"r.dat": b""}, "format 17, which is none of WFDB's"),
        ("r 1 250 4\nr.dat 16\n", {}, "r.dat: signal file is missing; copy it beside its header"),
        ("r 1 250 4\n../r.dat 16\n", {}, "'../r.dat', not beside the header"),
        ("r 1 250 4\nr.dat 516\n", {"r.dat": b"RIFF"}, "r.dat: is no FLAC file"),
        (
            "r 1 250 4\nr.dat 16\n",
            {"r.dat": bytes(6)},
            "r.dat: holds 3 of 4 samples (it was cut short); copy the record again from its "
            "source, or read what is there with --partial",
        ),
    ],
)
def test_one_line_that_says_what_to_do(
    tmp_path: Path, header: str | None, files: dict[str, bytes], message: str
) -> None:
    if header is not None:
        write_record(tmp_path, "r", header, files)
    with pytest.raises(RecordError) as caught:
        open_record(tmp_path / "r")
    line = str(caught.value)
    assert message in line
    assert "\n" not in line


def test_a_truncated_record_gives_what_is_there_when_asked(tmp_path: Path) -> None:
    header = "r 2 250 4\na.dat 16 200 16 0 0 0 0 I\nb.dat 16 200 16 0 0 0 0 II\n"
    files = {"a.dat": packed(16, [1, 2, 3]), "b.dat": packed(16, [4])}
    path = write_record(tmp_path, "r", header, files)
    with open_record(path, partial=True) as record:
        got = record.read(0, 10)
        assert got.counts.tolist() == [[1, 4], [2, 0], [3, 0]]
        assert got.valid.tolist() == [[True, True], [True, False], [True, False]]
        assert record.warnings == (
            "a.dat holds 3 of 4 samples (it was cut short)",
            "b.dat holds 1 of 4 samples (it was cut short)",
        )


def test_a_truncated_flac_file(shared: Path, tmp_path: Path) -> None:
    whole = shared / "data" / "mitdb" / "101"
    data = whole.with_suffix(".dat").read_bytes()
    path = write_record(
        tmp_path, "101", whole.with_suffix(".hea").read_text(), {"101.dat": data[: len(data) // 3]}
    )
    with pytest.raises(RecordError, match=r"101\.dat: holds .* of 650,000 samples \(it was cut"):
        open_record(path)
    with open_record(path, partial=True) as record, open_record(whole) as reference:
        assert 150_000 < record.n_samples < 300_000
        got = record.read(0, record.n_samples)
        expected = reference.read(0, record.n_samples)
        np.testing.assert_array_equal(got.counts, expected.counts)


@pytest.mark.parametrize("date", ["02/03/99999999999999999999", "2/3/2031", "02/03"])
def test_a_start_that_is_no_moment_is_none(date: str) -> None:
    header = parse_header(f"r 0 250 10 inf:20:30 {date}", Path("r.hea"))
    assert header.start is None


def test_a_number_of_thousands_of_digits_is_refused_in_one_line() -> None:
    with pytest.raises(RecordError, match="line 1 is longer than any header's"):
        parse_header("r 1" + "0" * 5000, Path("r.hea"))


def test_headers_of_noise_never_crash() -> None:
    rng = random.Random(1)
    good = "r/2 2 360/720(5) 100 10:00:00 1/2/2000\nr.dat 212x2:1+3 200(1024)/mV 12 0 5 9 0 II\n"
    for _ in range(3000):
        text = list(good)
        for _ in range(rng.randrange(1, 6)):
            text[rng.randrange(len(text))] = chr(rng.choice([10, 32, 35, 45, 47, 48, 57, 126, 955]))
        with contextlib.suppress(RecordError):
            assert parse_header("".join(text), Path("r.hea")).frame_rate_hz > 0
