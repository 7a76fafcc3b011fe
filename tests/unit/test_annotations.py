"""WFDB annotation files, read as wfdb reads them and written so that wfdb reads them back."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.files import RecordError
from drivers.files.annotations import (
    Annotation,
    decode_annotations,
    encode_annotations,
    read_annotations,
    write_annotations,
)

SYMBOLS = 'NLRaVFJASEj/Q~|sT*D"=pB^t+u?![]en@xf()r'

annotations = st.lists(
    st.builds(
        Annotation,
        sample=st.one_of(st.integers(0, 5000), st.integers(0, 2**31 - 1)),
        symbol=st.sampled_from(SYMBOLS),
        subtype=st.integers(-128, 127),
        chan=st.integers(0, 255),
        num=st.integers(-128, 127),
        aux=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
    ).filter(lambda a: not a.aux.startswith("##")),
    max_size=30,
).map(lambda marks: sorted(marks, key=lambda a: a.sample))


def as_wfdb(path: Path) -> list[Annotation]:
    read = wfdb.rdann(str(path.with_suffix("")), path.suffix[1:])
    return [
        Annotation(int(sample), symbol, int(subtype), int(chan), int(num), aux.rstrip("\0"))
        for sample, symbol, subtype, chan, num, aux in zip(
            read.sample, read.symbol, read.subtype, read.chan, read.num, read.aux_note, strict=True
        )
    ]


def test_all_shared_annotations_read_as_wfdb_reads_them(shared: Path) -> None:
    files = sorted((shared / "data").glob("*/*.atr"))
    assert len(files) > 90
    for path in files:
        assert read_annotations(path) == as_wfdb(path), path.name


@given(annotations)
def test_what_is_encoded_decodes_to_the_same(marks: list[Annotation]) -> None:
    assert decode_annotations(encode_annotations(marks, 250)) == marks


@settings(max_examples=50, deadline=None)
@given(annotations)
def test_wfdb_reads_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, marks: list[Annotation]
) -> None:
    # wfdb takes an annotation without any field at sample 0 of the record for empty.
    marks = [mark for mark in marks if mark.sample > 0]
    if not marks:
        return
    path = tmp_path_factory.mktemp("ann") / "rec.wb"
    write_annotations(path, marks, 360)
    assert as_wfdb(path) == marks
    assert wfdb.rdann(str(path.with_suffix("")), "wb").fs == 360


def test_rhythms_qualities_and_long_pauses(tmp_path: Path) -> None:
    marks = [
        Annotation(10, "+", aux="(AFIB"),
        Annotation(11, "~", subtype=1),
        Annotation(1034, "N"),
        Annotation(2058, "V", chan=1),
        Annotation(90_000_000, "~", subtype=0, chan=1),
        Annotation(90_000_000, "+", aux="(N", chan=1),
    ]
    path = tmp_path / "rec.wb"
    write_annotations(path, marks, 360)
    assert as_wfdb(path) == marks
    assert path.stat().st_mode & 0o777 == 0o640


def test_written_in_the_order_of_time_and_replacing_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "rec.wb"
    path.write_bytes(b"old")
    write_annotations(path, [Annotation(7, "V"), Annotation(3, "N")], 250)
    assert [mark.sample for mark in read_annotations(path)] == [3, 7]
    assert [file.name for file in tmp_path.iterdir()] == ["rec.wb"]


@pytest.mark.parametrize(
    "mark",
    [
        Annotation(5, "Ω"),
        Annotation(-1, "N"),
        Annotation(5, "N", subtype=200),
        Annotation(5, "N", chan=-1),
        Annotation(5, "N", aux="x" * 256),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, mark: Annotation) -> None:
    with pytest.raises(ValueError, match="annotation"):
        write_annotations(tmp_path / "rec.wb", [mark], 250)
    assert not list(tmp_path.iterdir())


def test_missing_and_cut_files_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"r\.atr: No such file .*; check the path"):
        read_annotations(tmp_path / "r.atr")
    marks = [Annotation(5, "N"), Annotation(500_000, "+", aux="(VFL")]
    data = encode_annotations(marks, 250)
    for length in range(len(data)):
        (tmp_path / "r.atr").write_bytes(data[:length])
        with pytest.raises(RecordError, match=r"cut short; copy it again from its source"):
            read_annotations(tmp_path / "r.atr")


def test_bytes_of_noise_never_crash() -> None:
    rng = random.Random(5)
    good = encode_annotations([Annotation(s, "N", aux="(N") for s in range(0, 9000, 700)], 250)
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            decoded = decode_annotations(bytes(data))
        except ValueError:
            continue
        assert all(isinstance(mark, Annotation) for mark in decoded)


def test_user_defined_codes_come_as_their_number() -> None:
    data = np.array([42 << 10 | 9, 0], "<u2").tobytes()
    assert decode_annotations(data) == [Annotation(9, "[42]")]
