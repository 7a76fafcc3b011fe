"""Text files of samples: what their head tells, exact values, gaps out of the time column."""

from __future__ import annotations

import contextlib
import gzip
import random
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.files import RecordError, microvolts, open_record
from drivers.files.csv import CHUNK_LINES
from drivers.files.csv_layout import clock_seconds, find_layout

N = 900
TIMES = np.arange(N) / 360
MILLIVOLTS = np.round(np.sin(np.arange(N) / 20) * 1.2 + 0.05, 3)


def write(path: Path, text: str, bom: bool = False) -> Path:
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + text.encode())
    return path


def rows(pattern: str) -> str:
    return "".join(
        pattern.format(i=i, t=t, ms=t * 1000, v=v, uv=round(v * 1000), m=int(t // 60), s=t % 60)
        for i, (t, v) in enumerate(zip(TIMES, MILLIVOLTS, strict=True))
    )


def german(pattern: str) -> str:
    return rows(pattern).replace(".", ",")


FORMS = {
    "header with units": "time (s),MLII (mV)\n" + rows("{t:.5f},{v:.3f}\n"),
    "two header lines": "'Elapsed time','MLII'\n'hh:mm:ss.mmm','mV'\n"
    + rows("'{m}:{s:06.3f}','{v:.3f}'\n"),
    "German": "Zeit;EKG [mV]\r\n" + german("{t:.5f};{v:.3f}\r\n"),
    "tab and decimal comma": "t\tECG_mV\n" + german("{t:.5f}\t{v:.3f}\n"),
    "blanks": rows("{t:.5f}   {v:.3f}\n"),
    "milliseconds": "ms,ecg\n" + rows("{ms:.3f},{v:.3f}\n"),
    "ISO times": "datetime,ecg_mV\n" + rows("2024-05-01T10:00:{s:09.6f},{v:.3f}\n"),
    "counter and rate in a comment": "# Sampling rate: 360 Hz\nindex,ecg/mV\n"
    + rows("{i},{v:.3f}\n"),
    "one column, rate in a comment": "% fs=360\n" + rows("{v:.3f}\n"),
    "no header at all": rows("{t:.5f},{v:.3f}\n"),
    "quoted": '"time","ECG (mV)"\n' + rows('"{t:.5f}","{v:.3f}"\n'),
    "a separator at the line's end": "time;ecg (mV);\n" + rows("{t:.5f};{v:.3f};\n"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bom", [False, True])
def test_forms(tmp_path: Path, form: str, bom: bool) -> None:
    with open_record(write(tmp_path / "x.csv", FORMS[form], bom)) as record:
        assert record.rate_hz == 360
        assert len(record.leads) == 1
        got = record.read(0, N + 10)
        assert got.valid.all()
        np.testing.assert_array_equal(got.counts[:, 0], np.round(MILLIVOLTS * 1000))
        np.testing.assert_allclose(
            microvolts(got, record.leads)[:, 0], MILLIVOLTS * 1000, rtol=1e-12
        )


def test_integers_stay_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "sample,ecg_uV\n" + rows("{i},{uv}\n"))
    with open_record(path, rate_hz=360) as record:
        assert record.leads[0].microvolts_per_count == 1
        assert record.leads[0].calibrated
        np.testing.assert_array_equal(
            record.read(0, N).counts[:, 0], np.round(MILLIVOLTS * 1000).astype(int)
        )


def test_a_scale_that_nobody_tells_is_called_a_guess(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "ecg\n" + rows("{v:.3f}\n"))
    with open_record(path, rate_hz=360) as record:
        assert not record.leads[0].calibrated
        assert record.warnings == ("no unit is told for ecg: its scale is a guess",)
    with open_record(path, rate_hz=360, unit="uV") as record:
        assert record.leads[0].calibrated
        assert record.leads[0].microvolts_per_count == pytest.approx(0.001)


def test_exponents_keep_a_nanovolt(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "ecg (V)\n1.234567891e-3\n-2.5E-4\n")
    with open_record(path, rate_hz=250) as record:
        values = microvolts(record.read(0, 2), record.leads)[:, 0]
        np.testing.assert_allclose(values, [1234.567891, -250], atol=0.0006)


def test_leads_are_chosen_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "time,II,Pleth,V\n" + rows("{t:.5f},{v:.3f},1,{i}\n"))
    with open_record(path) as record:
        assert [lead.name for lead in record.leads] == ["II", "V"]
    with open_record(path, leads=["V"]) as record:
        assert record.read(5, 2).counts.tolist() == [[5], [6]]


def test_empty_and_damaged_cells_are_not_sampled(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "ecg_mV,x_mV\n1.5,1\n,2\nnan,3\n!,4\n2.5,5\n\n7\n8.5,8")
    with open_record(path, rate_hz=250, leads=["ecg"]) as record:
        got = record.read(0, 99)
        assert got.valid[:, 0].tolist() == [True, False, False, False, True, False, True, True]
        assert got.counts[got.valid].tolist() == [15, 25, 70, 85]


def test_gaps_in_the_time_column_keep_their_place(tmp_path: Path) -> None:
    count = 3 * CHUNK_LINES
    times = np.arange(count) / 250
    times[CHUNK_LINES - 3 :] += 2.0
    times[2 * CHUNK_LINES :] += 0.02
    times[-10:] += 1.0
    text = "time,ecg_uV\n" + "".join(f"{t:.3f},{i}\n" for i, t in enumerate(times))
    with open_record(write(tmp_path / "x.csv", text)) as record:
        assert record.rate_hz == 250
        got = record.read(0, record.n_samples)
    places = np.flatnonzero(got.valid[:, 0])
    np.testing.assert_array_equal(places, np.round(times * 250))
    np.testing.assert_array_equal(got.counts[places, 0], np.arange(count))


def test_a_rate_whose_times_are_rounded(tmp_path: Path) -> None:
    text = "time,ecg_uV\n" + "".join(f"{i / 360:.3f},{i}\n" for i in range(20_000))
    with open_record(write(tmp_path / "x.csv", text)) as record:
        assert (record.rate_hz, record.n_samples) == (360, 20_000)


def test_times_of_arrival_give_a_mean_rate(tmp_path: Path) -> None:
    text = "time,ecg_uV\n" + "".join(f"{i // 10 * 0.04:.3f},{i}\n" for i in range(2501))
    with open_record(write(tmp_path / "x.csv", text)) as record:
        assert record.rate_hz == pytest.approx(250)
        assert record.n_samples == 2501
        assert "uneven" in record.warnings[0]


def test_a_start_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", FORMS["ISO times"])
    with open_record(path) as record:
        assert record.start == datetime(2024, 5, 1, 10, 0)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_cut_gives_the_same(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    skip = data.draw(st.integers(0, 3))
    count = data.draw(st.sampled_from([1, 7, CHUNK_LINES - 1, CHUNK_LINES, CHUNK_LINES + 1, 9000]))
    text = "# comment\n" * skip + "ecg_uV\n" + "".join(f"{i}\n" for i in range(count))
    text += data.draw(st.sampled_from(["", "\n", "  \n\n", "7"]))
    path = write(tmp_path_factory.mktemp("csv") / "x.csv", text)
    expected = [int(line) for line in text.split("\n")[skip + 1 :] if line.strip()]
    with open_record(path, rate_hz=250) as record:
        assert record.n_samples == len(expected)
        first = data.draw(st.integers(0, len(expected)))
        length = data.draw(st.integers(0, len(expected)))
        got = record.read(first, length)
        assert got.counts[:, 0].tolist() == expected[first : first + length]


def test_open_bci_export(shared: Path) -> None:
    path = next((shared / "captures" / "openbci").glob("*.txt"))
    with open_record(path) as record:
        assert record.rate_hz == 250
        assert [lead.name for lead in record.leads] == [f"EXG Channel {i}" for i in range(8)]
        got = microvolts(record.read(0, 1), record.leads)[0]
        np.testing.assert_allclose(got[:2], [61379.36, 49492.89])
        assert all(lead.calibrated for lead in record.leads)


def test_open_signals_export(shared: Path) -> None:
    with open_record(shared / "captures" / "bitalino" / "SampleECG.txt") as record:
        assert record.rate_hz == 1000
        (lead,) = record.leads
        assert (lead.name, lead.offset_counts) == ("A2", 512)
        assert lead.microvolts_per_count == pytest.approx(2.93, abs=0.001)
        assert record.read(0, 4).counts[:, 0].tolist() == [496, 496, 497, 498]


def test_shimmer_export(shared: Path, tmp_path: Path) -> None:
    packed = shared / "captures" / "shimmer3" / "ecg_calibrated.csv.gz"
    path = tmp_path / "s.csv"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    with pytest.raises(RecordError, match="looks like an ECG; name the lead to read"):
        open_record(path)
    with open_record(path, leads=["TEST_EMG_CH1_24BIT_CAL"]) as record:
        assert record.rate_hz == pytest.approx(512, abs=0.01)
        assert record.leads[0].calibrated
        # The device lost two samples behind its first one.
        got = microvolts(record.read(0, 4), record.leads)[:, 0]
        np.testing.assert_allclose(got, [5270.432266, np.nan, np.nan, 3655.268390], atol=0.0006)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("1\n2\n3\n", {}, "tells no sampling rate; give it with --rate, in Hz"),
        ("", {"rate_hz": 250}, "holds no line of samples"),
        ("hello\nworld\n", {"rate_hz": 250}, "holds no line of samples"),
        ("1\n2\n", {"rate_hz": -3}, "cannot have a rate of -3 Hz"),
        ("1\n2\n", {"rate_hz": 250, "unit": "mmHg"}, "unit 'mmHg'; choose V, mV, uV or nV"),
        ("ecg\n1\n2\n", {"rate_hz": 250, "leads": ["II"]}, "no signal 'II'; choose one of: ecg"),
    ],
)
def test_one_line_that_says_what_to_do(
    tmp_path: Path, text: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(RecordError) as caught:
        open_record(write(tmp_path / "x.csv", text), **options)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_utf_16_and_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with pytest.raises(RecordError, match="No such file"):
        open_record(path)
    path.write_text("1\n2\n", encoding="utf-16")
    with pytest.raises(RecordError, match="is written in UTF-16; save it as UTF-8"):
        open_record(path)


def test_clock_times() -> None:
    assert clock_seconds("[10:20:30.5]") == 37_230.5
    assert clock_seconds("'1:02,25'") == 62.25
    assert np.isnan(clock_seconds("12"))


def test_files_of_noise_never_crash(tmp_path: Path) -> None:
    rng = random.Random(4)
    path = tmp_path / "x.csv"
    good = FORMS["two header lines"][:1200].encode()
    for _ in range(400):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 40)):
            data[rng.randrange(len(data))] = rng.choice(b"\n\r\t ,;.'\"#-+e:0123456789\xff\x00")
        path.write_bytes(data)
        with contextlib.suppress(RecordError), open_record(path) as record:
            assert len(record.read(0, 500).counts) <= 500
    assert find_layout([]) is None
