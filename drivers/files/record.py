"""What a recorded ECG file is to the rest: leads, a rate, and blocks of the file's own integers.

Reading is lazy: a 24 h record costs the memory of the block that is asked for.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from drivers.samples import Counts, DriverError, Lead

MICROVOLTS_PER_UNIT = {
    "nv": 1e-3,
    "uv": 1.0,
    "µv": 1.0,
    "μv": 1.0,
    "mv": 1e3,
    "v": 1e6,
}
"""µV in one unit of a voltage, keyed by the unit in small letters (both Unicode micro signs)."""

_ECG_NAME = re.compile(
    r"^((ecg|ekg|lead|ch)[ _-]*)?"
    r"(i{1,3}|av[rlf]|v[1-9]r?|v|ml?[ivx]+|mcl?[1-6]?|mv[1-6]|cm[1-6v]|cc5|a-?[is]|e-?s|[xyz])"
    r"([+-].*)?$"
    r"|\b(ecg|ekg|exg)\d*",
    re.IGNORECASE,
)
_OTHER_NAME = re.compile(
    r"resp|impedance|pleth|ppg|ppleth|spo2|so2|abp|\bart|\bbp\b|\b(n|i)?bp\d|cvp|\bpap|icp|co2|temp|"
    r"eeg|eog|emg|gsr|eda\b|acc|gyr|mag[_ ]|snor|flow|thor|abdo|marker|trigger|"
    r"event|status|annotation|battery|light|sound|pacer|^[fcpo][z1-8]-[amf]",
    re.IGNORECASE,
)


class RecordError(DriverError):
    """A file that cannot be read as it stands; ``str()`` is the one line a person needs."""

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(what, where, remedy, transient=False)


@dataclass(frozen=True, slots=True)
class Samples:
    """Consecutive samples of a record."""

    counts: Counts
    """Shape (n, leads): the file's own integers."""
    valid: NDArray[np.bool_]
    """Shape (n, leads): False where the file says "no sample here", whatever ``counts`` holds."""


class Record(ABC):
    """One recording, opened for reading; sample ``k`` stands at ``k / rate_hz`` seconds."""

    def __init__(
        self,
        *,
        name: str,
        address: str,
        form: str,
        rate_hz: float,
        leads: tuple[Lead, ...],
        n_samples: int,
        start: datetime | None = None,
        comments: tuple[str, ...] = (),
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        """The record's name, as the output files of an analysis carry it."""
        self.address = address
        """The file it was opened from."""
        self.form = form
        """``WFDB``, ``EDF``, ``EDF+C``, ``EDF+D`` or ``CSV``."""
        self.rate_hz = rate_hz
        self.leads = leads
        self.n_samples = n_samples
        """Length of the stream axis, gaps counted in."""
        self.start = start
        """Wall time of sample 0 as the file tells it (no time zone), or None."""
        self.comments = comments
        self.warnings = warnings
        """One line each: what a person should know of how this file was read."""

    @property
    def duration_s(self) -> float:
        """Length in seconds, gaps counted in."""
        return self.n_samples / self.rate_hz

    def read(self, first: int, count: int) -> Samples:
        """Samples ``first`` to ``first + count - 1``, fewer at the record's end.

        Raises RecordError where the file breaks off or cannot be decoded.
        """
        if first < 0:
            raise ValueError(f"first must not be negative, is {first}")
        return self._read(first, max(0, min(count, self.n_samples - first)))

    @abstractmethod
    def _read(self, first: int, count: int) -> Samples:
        """``read`` within the record's bounds."""

    def close(self) -> None:  # noqa: B027 - a record that holds no open file has nothing to do
        """Let go of the files; no read may follow."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def microvolts(samples: Samples, leads: Sequence[Lead]) -> NDArray[np.float64]:
    """µV, shape (n, leads); NaN where there was no sample."""
    offset = np.array([lead.offset_counts for lead in leads])
    scale = np.array([lead.microvolts_per_count for lead in leads])
    values: NDArray[np.float64] = (samples.counts - offset) * scale
    values[~samples.valid] = np.nan
    return values


@dataclass(frozen=True, slots=True)
class Signal:
    """What the choice of leads looks at in a file's signal."""

    name: str
    unit: str
    samples_per_frame: int


def choose_leads(
    signals: Sequence[Signal], wanted: Sequence[str] | None, where: str
) -> tuple[list[int], tuple[str, ...]]:
    """Indices of the signals to read as ECG, in the file's order, and warnings about the choice.

    ``wanted`` names signals, or gives their numbers from 0, and keeps its own order. Without it,
    signals that are called ECG are taken; where none is, every voltage that isn't called
    something else. All leads of a record share one rate: others are left out with a warning.
    """
    if not signals:
        raise RecordError("holds no signals", where, "choose a record with an ECG signal")
    if wanted:
        chosen = [_by_name(signals, name, where) for name in wanted]
    else:
        voltages = [i for i, s in enumerate(signals) if s.unit.lower() in MICROVOLTS_PER_UNIT]
        others = {i for i in voltages if _OTHER_NAME.search(signals[i].name)}
        chosen = [i for i in voltages if _ECG_NAME.search(signals[i].name) and i not in others]
        chosen = chosen or [i for i in voltages if i not in others]
    if not chosen:
        names = ", ".join(s.name or "?" for s in signals)
        raise RecordError(
            f"none of its signals ({names}) looks like an ECG", where, "name the lead to read"
        )
    return _of_one_rate(signals, chosen)


def _by_name(signals: Sequence[Signal], name: str, where: str) -> int:
    exact = [i for i, s in enumerate(signals) if s.name == name]
    alike = [i for i, s in enumerate(signals) if s.name.lower() == name.lower()]
    if exact or alike:
        return (exact or alike)[0]
    if name.isdecimal() and int(name) < len(signals):
        return int(name)
    names = ", ".join(s.name or "?" for s in signals)
    raise RecordError(f"has no signal {name!r}", where, f"choose one of: {names}")


def _of_one_rate(signals: Sequence[Signal], chosen: list[int]) -> tuple[list[int], tuple[str, ...]]:
    counts = Counter(signals[i].samples_per_frame for i in chosen)
    most = max(counts, key=lambda per_frame: (counts[per_frame], per_frame))
    left_out = [signals[i].name for i in chosen if signals[i].samples_per_frame != most]
    kept = [i for i in chosen if signals[i].samples_per_frame == most]
    if not left_out:
        return kept, ()
    return kept, (f"left out, sampled at another rate than the rest: {', '.join(left_out)}",)


@dataclass(frozen=True, slots=True)
class Run:
    """Samples without a gap between them, and where they lie in the file."""

    first: int
    """Place of the first one on the stream axis."""
    source: int
    """Its number in the file."""
    count: int


def axis_pieces(runs: Sequence[Run], first: int, count: int) -> Iterator[tuple[slice, int, int]]:
    """What of ``[first, first + count)`` lies in runs: (place in the block, source, count)."""
    index = max(0, bisect_right(runs, first, key=lambda run: run.first) - 1)
    for run in runs[index:]:
        start, stop = max(first, run.first), min(first + count, run.first + run.count)
        if run.first >= first + count:
            break
        if stop > start:
            yield slice(start - first, stop - first), run.source + start - run.first, stop - start


def scale_of(unit: str) -> float | None:
    """µV in one ``unit``, None where it is no voltage."""
    return MICROVOLTS_PER_UNIT.get(unit.strip().lower())
