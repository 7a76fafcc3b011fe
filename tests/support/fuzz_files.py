"""What the file readers know of a file by its beginning, and annotation files, for the fuzzer."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Final

from support.fuzzing import Subject, Target

from drivers.files.annotations import (
    Annotation,
    decode_annotations,
    encode_annotations,
)
from drivers.files.csv_layout import find_layout
from drivers.files.edf_header import EdfFormatError, parse_header, signal_count
from drivers.files.record import RecordError
from drivers.files.shimmer_header import parse_header as parse_shimmer
from drivers.files.wfdb_header import parse_header as parse_wfdb


def _whole(read: Callable[[bytes], object]) -> Callable[[], Subject]:
    """A reader that is one function of a file's bytes."""
    return lambda: Subject(lambda data: [repr(read(data))])


def _wfdb(number: int) -> bytes:
    lines = [f"r{number} 2 {100 + number}/1000(3) {number * 1000} 10:20:30 02/03/2031"]
    lines += [f"r.dat 212 {number}.5(12)/mV 12 0 {k} 7 0 {name}" for k, name in enumerate("XY")]
    return "\n".join([*lines, "# a comment"]).encode()


def _edf(number: int) -> bytes:
    head = "0".ljust(8) + "X".ljust(80) + "Startdate 02-MAR-2031 X X X".ljust(80)
    head += "02.03.31" + "10.20.30" + "512".ljust(8) + "EDF+C".ljust(44)
    head += str(number).ljust(8) + "1".ljust(8) + "1".ljust(4)
    widths = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
    row = ("ECG II", "", "uV", "-1000", "1000", "-32768", "32767", "", str(100 + number), "")
    head += "".join(field.ljust(width) for field, width in zip(row, widths, strict=True))
    return head.encode("ascii")


def _read_edf(data: bytes) -> Hashable:
    header = parse_header(data)
    return signal_count(data), repr(header)


def _csv(number: int) -> bytes:
    rows = "".join(f"{k / 250:.3f};{(k * number) % 900 / 1000:.3f}\n" for k in range(12))
    return f"# Sampling rate: {100 + number} Hz\ntime (s);ECG (mV)\n{rows}".encode()


def _read_csv(data: bytes) -> Hashable:
    return repr(find_layout(data.decode("latin-1").splitlines()))


def _annotations(number: int) -> bytes:
    marks = [Annotation(k * number, "N") for k in range(1, 9)]
    marks.append(Annotation(9 * number + 3000, "+", aux="(AFIB"))
    return encode_annotations(marks, 360.0)


def _shimmer(number: int) -> bytes:
    head = bytearray(256)
    head[:6] = b"\x40\0\0\x18\0\0"
    head[0x1F], head[0x23], head[0x26] = 3, 3, number % 256
    head[0x2C:0x34] = (number << 30).to_bytes(8, "big")
    return bytes(head)


def _read_shimmer(data: bytes) -> Hashable:
    header = parse_shimmer(data)
    return repr(header), None if header is None else (header.start(), header.rate_hz)


TARGETS: Final[dict[str, Target]] = {
    "wfdb_header": Target(
        _whole(lambda data: parse_wfdb(data.decode("latin-1"), Path("r.hea"))),
        _wfdb,
        errors=(RecordError,),
        datagrams=True,
    ),
    "edf_header": Target(_whole(_read_edf), _edf, errors=(EdfFormatError,), datagrams=True),
    "shimmer_header": Target(_whole(_read_shimmer), _shimmer, datagrams=True),
    "csv_layout": Target(_whole(_read_csv), _csv, datagrams=True),
    "annotations": Target(
        _whole(decode_annotations), _annotations, errors=(ValueError,), datagrams=True
    ),
}
