"""WFDB records made of segments: fixed and variable layout, gaps, changes of scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb
from wfdb_writing import packed, write_record

from drivers.files import RecordError, microvolts, open_record


def line(file: str, gain: str, name: str) -> str:
    return f"{file} 16 {gain} 16 0 0 0 0 {name}\n"


@pytest.fixture
def fixed(tmp_path: Path) -> Path:
    """Two segments of II and V with a gap of three frames between."""
    two = line("{0}.dat", "200(10)/mV", "II") + line("{0}.dat", "100(0)/mV", "V")
    write_record(
        tmp_path, "s1", "s1 2 100 2\n" + two.format("s1"), {"s1.dat": packed(16, range(4))}
    )
    write_record(
        tmp_path, "s2", "s2 2 100 4\n" + two.format("s2"), {"s2.dat": packed(16, range(10, 18))}
    )
    return write_record(tmp_path, "m", "m/3 2 100 9\ns1 2\n~ 3\ns2 4\n")


@pytest.fixture
def variable(tmp_path: Path) -> Path:
    """A layout of II, RESP and V; the second segment lacks II, the third has another scale."""
    layout = line("~", "200(0)/mV", "II") + line("~", "10/pm", "RESP") + line("~", "100/mV", "V")
    write_record(tmp_path, "lay", "lay 3 100 0\n" + layout.replace(" 16 ", " 0 ", 3))
    write_record(
        tmp_path,
        "s1",
        "s1 2 100 3\n" + line("s1.dat", "200(0)/mV", "II") + line("s1.dat", "100/mV", "V"),
        {"s1.dat": packed(16, [1, 2, 3, 4, 5, 6])},
    )
    write_record(
        tmp_path,
        "s2",
        "s2 2 100 2\n" + line("s2.dat", "100/mV", "V") + line("s2.dat", "10/pm", "RESP"),
        {"s2.dat": packed(16, [7, 0, 8, 0])},
    )
    write_record(
        tmp_path,
        "s3",
        "s3 1 100 2\n" + line("s3.dat", "400(100)/mV", "II"),
        {"s3.dat": packed(16, [104, -32768])},
    )
    return write_record(tmp_path, "v", "v/5 3 100 9\nlay 0\ns1 3\ns2 2\n~ 2\ns3 2\n")


def test_fixed_layout_with_a_gap(fixed: Path) -> None:
    with open_record(fixed) as record:
        got = record.read(0, 9)
        assert record.n_samples == 9
    assert got.valid[:, 0].tolist() == [True] * 2 + [False] * 3 + [True] * 4
    assert got.counts[got.valid[:, 0]].tolist() == [
        [0, 1], [2, 3], [10, 11], [12, 13], [14, 15], [16, 17],
    ]  # fmt: skip


def test_variable_layout_finds_signals_by_name(variable: Path) -> None:
    with open_record(variable) as record:
        assert [lead.name for lead in record.leads] == ["II", "V"]
        got = record.read(0, 9)
    assert got.valid.tolist() == (
        [[True, True]] * 3 + [[False, True]] * 2 + [[False, False]] * 2
        + [[True, False], [False, False]]
    )  # fmt: skip
    assert got.counts[:3].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert got.counts[3:5, 1].tolist() == [7, 8]
    assert got.counts[7, 0] == 2, "104 at 400(100)/mV is 2 at 200(0)/mV"


def test_fixed_layout_as_wfdb_reads_it(fixed: Path) -> None:
    path = write_record(fixed.parent, "n", "n/2 2 100 6\ns2 4\ns1 2\n")
    assert_as_wfdb(path)


def test_variable_layout_as_wfdb_reads_it(variable: Path) -> None:
    assert_as_wfdb(variable)


def assert_as_wfdb(path: Path) -> None:
    reference = wfdb.rdrecord(str(path), m2s=True, return_res=64)
    with open_record(path) as record:
        got = microvolts(record.read(0, record.n_samples), record.leads)
        columns = [reference.sig_name.index(lead.name) for lead in record.leads]
    np.testing.assert_allclose(got, reference.p_signal[:, columns] * 1000, equal_nan=True)


def test_any_cut_gives_the_same(variable: Path) -> None:
    with open_record(variable) as record:
        whole = record.read(0, 9)
        for first in range(9):
            for count in range(9 - first + 1):
                part = record.read(first, count)
                np.testing.assert_array_equal(part.counts, whole.counts[first : first + count])
                np.testing.assert_array_equal(part.valid, whole.valid[first : first + count])


def test_a_missing_segment_is_named(fixed: Path) -> None:
    fixed.with_name("s2.hea").unlink()
    with (
        open_record(fixed) as record,
        pytest.raises(RecordError, match=r"s2\.hea: no such header file"),
    ):
        record.read(0, 9)


def test_nothing_but_gaps(tmp_path: Path) -> None:
    path = write_record(tmp_path, "g", "g/2 2 100 9\n~ 3\n~ 6\n")
    with pytest.raises(RecordError, match="no segment but gaps"):
        open_record(path)
