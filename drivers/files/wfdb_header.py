"""WFDB header files: text to typed values, with the format's defaults filled in.

Source: WFDB Applications Guide, header(5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path

from drivers.files.record import RecordError

LONGEST_LINE = 4000
"""The format allows 255; Python reads no number of more than 4,300 digits."""

DEFAULT_RATE_HZ = 250.0
DEFAULT_GAIN = 200.0

_RECORD = re.compile(r"(?P<name>[^\s/]+)(?:/(?P<segments>\d+))?\s+(?P<signals>\d+)(?P<rest>.*)")
_FORMAT = re.compile(
    r"(?P<format>\d+)(?:x(?P<per_frame>\d+))?(?::(?P<skew>\d+))?(?:\+(?P<offset>\d+))?"
)
_GAIN = re.compile(
    r"(?P<gain>[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)(?:\((?P<baseline>-?\d+)\))?(?:/(?P<unit>\S+))?"
)


@dataclass(frozen=True, slots=True)
class SignalLine:
    """One signal of a header."""

    file: str
    format: int
    samples_per_frame: int
    skew: int
    """Frames by which this signal lags in the file: its frame k is stored at k + skew."""
    byte_offset: int
    """Bytes before the first sample; samples per channel in a FLAC file."""
    gain: float
    """Counts per unit."""
    calibrated: bool
    """False where the header tells no gain and the format's default is taken."""
    baseline: float
    unit: str
    resolution_bits: int | None
    adc_zero: int
    initial: int
    checksum: int | None
    name: str


@dataclass(frozen=True, slots=True)
class Header:
    """A header: of signals, or of segments."""

    path: Path
    name: str
    frame_rate_hz: float
    n_frames: int | None
    """None where the header leaves it out: the signal file's size tells it."""
    start: datetime | None
    signals: tuple[SignalLine, ...]
    segments: tuple[tuple[str, int], ...]
    """(name, frames) of a multi-segment record, ``~`` for a gap; empty for a plain one."""
    comments: tuple[str, ...]


def read_header(path: Path) -> Header:
    """Read ``<record>.hea``. Raises RecordError naming the line that is broken."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise RecordError(
            "no such header file", str(path), "give a WFDB record's path without extension"
        ) from None
    except OSError as error:
        raise RecordError(
            error.strerror or "cannot be read", str(path), "check the path and its permissions"
        ) from error
    return parse_header(text, path)


def parse_header(text: str, path: Path) -> Header:
    """Parse a header's text; ``path`` serves the messages and finds the signal files."""
    lines = [(n, line.strip()) for n, line in enumerate(text.splitlines(), start=1)]
    comments = tuple(line[1:].strip() for _, line in lines if line.startswith("#"))
    lines = [(n, line) for n, line in lines if line and not line.startswith("#")]
    if not lines:
        raise _broken(path, "is empty")
    for number, line in lines:
        if len(line) > LONGEST_LINE:
            raise _broken(path, f"line {number} is longer than any header's")
    number, line = lines[0]
    match = _RECORD.fullmatch(line)
    if match is None:
        raise _broken(path, f"line {number} is no record line: {line[:60]!r}")
    rate, n_frames, start = _record_rest(match["rest"].split(), path, number)
    count = int(match["signals"])
    of_segments = match["segments"] is not None
    wanted = int(match["segments"]) if of_segments else count
    body = lines[1 : wanted + 1]
    if len(body) < wanted:
        what = "segments" if of_segments else "signals"
        raise _broken(path, f"tells of {wanted} {what}, lists {len(body)}")
    return Header(
        path=path,
        name=match["name"],
        frame_rate_hz=rate,
        n_frames=n_frames,
        start=start,
        signals=() if of_segments else tuple(_signal(line, n, path) for n, line in body),
        segments=tuple(_segment(line, n, path) for n, line in body) if of_segments else (),
        comments=comments,
    )


def _broken(path: Path, what: str) -> RecordError:
    return RecordError(what, str(path), "copy the record again from its source")


def _record_rest(
    fields: list[str], path: Path, number: int
) -> tuple[float, int | None, datetime | None]:
    """Frame rate, number of frames and start out of what follows the number of signals."""
    try:
        rate = float(fields[0].split("/")[0]) if fields else DEFAULT_RATE_HZ
        n_frames = int(fields[1]) if len(fields) > 1 else 0
    except ValueError:
        raise _broken(path, f"line {number} has no readable rate or length") from None
    if not 0 < rate < 1e7 or n_frames < 0:
        raise _broken(path, f"line {number} tells an impossible rate or length")
    start = _start(fields[2:4])
    return rate, n_frames or None, start


def _start(fields: list[str]) -> datetime | None:
    """Start of the recording from ``hh:mm:ss[.frac] dd/mm/yyyy``; None unless both are told."""
    if len(fields) < 2:
        return None
    try:
        parts = [float(part) for part in fields[0].split(":")]
        hours, minutes, seconds = [0.0] * (3 - len(parts)) + parts
        day, month, year = (int(part) for part in fields[1].split("/"))
        micros = round((seconds % 1) * 1e6) % 1_000_000
        clock = time(int(hours), int(minutes), int(seconds), micros)
        return datetime.combine(date(year, month, day), clock)
    except (ValueError, OverflowError):
        return None


def _segment(line: str, number: int, path: Path) -> tuple[str, int]:
    fields = line.split()
    if len(fields) < 2 or not fields[1].isdecimal():
        raise _broken(path, f"line {number} is no segment line: {line[:60]!r}")
    return fields[0], int(fields[1])


def _signal(line: str, number: int, path: Path) -> SignalLine:
    fields = line.split(maxsplit=2)
    match = _FORMAT.fullmatch(fields[1]) if len(fields) > 1 else None
    if match is None:
        raise _broken(path, f"line {number} is no signal line: {line[:60]!r}")
    # Every field after the format is optional, and the description may hold blanks.
    rest = fields[2].split() if len(fields) > 2 else []
    gain, calibrated, baseline, unit = _gain(rest[0] if rest else "", path, number)
    numbers: list[int] = []
    for text in rest[1:6]:
        if re.fullmatch(r"-?\d+", text) is None:
            raise _broken(path, f"line {number} has {text!r} where a number belongs")
        numbers.append(int(text))
    adc_zero = numbers[1] if len(numbers) > 1 else 0
    return SignalLine(
        file=fields[0],
        format=int(match["format"]),
        samples_per_frame=max(1, int(match["per_frame"] or 1)),
        skew=int(match["skew"] or 0),
        byte_offset=int(match["offset"] or 0),
        gain=gain,
        calibrated=calibrated,
        baseline=adc_zero if baseline is None else baseline,
        unit=unit,
        resolution_bits=(numbers[0] or None) if numbers else None,
        adc_zero=adc_zero,
        initial=numbers[2] if len(numbers) > 2 else adc_zero,
        checksum=numbers[3] if len(numbers) > 3 else None,
        name=fields[2].split(maxsplit=6)[6] if len(rest) > 6 else "",
    )


def _gain(text: str, path: Path, number: int) -> tuple[float, bool, int | None, str]:
    """(counts per unit, told by the header, baseline, unit); the default is 200 per mV."""
    if not text:
        return DEFAULT_GAIN, False, None, "mV"
    match = _GAIN.fullmatch(text)
    if match is None:
        raise _broken(path, f"line {number} has {text!r} where the gain belongs")
    gain = float(match["gain"])
    baseline = None if match["baseline"] is None else int(match["baseline"])
    return gain or DEFAULT_GAIN, gain != 0, baseline, match["unit"] or "mV"
