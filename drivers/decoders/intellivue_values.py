"""Philips IntelliVue: polled attributes to waves, numerics and the monitor's own alarms.

A monitor tells scale and label of an object now and then, its values always; :class:`Values` keeps
the former. Sans-I/O, checked on a real capture. Attribute ids: programming guide, "Attributes".
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from drivers.decoders.intellivue_messages import PollAnswer, Polled, PolledObject
from drivers.decoders.intellivue_names import physio_name, unit_name
from drivers.decoders.intellivue_wire import TICK_NS, IntelliVueError, Reader
from drivers.samples import Counts

_LABEL_ID, _LABEL, _UNIT = 0x0924, 0x0927, 0x0996
_NUMERIC, _NUMERICS = 0x0950, 0x094B
_WAVE, _WAVES, _SHAPE, _PERIOD = 0x096E, 0x0967, 0x096D, 0x098D
_SCALE, _FIXED = 0x096F, 0x0A16
_PATIENT_ALARMS, _TECHNICAL_ALARMS = 0x0904, 0x0902

_INVALID_MARK, _SATURATION_MARK = 1, 4
_UNUSABLE: Final = 0xF000
"""Invalid, questionable, unavailable, calibrating."""
_ABSENT: Final = 0xA000
"""Invalid or unavailable: no electrode gives this."""
_DEMO: Final = 0x0400

SPECS_KEPT = 256
"""A monitor has some fifty objects; one that names ever new ones fills no memory."""
LONGEST_ARRAY = 4096

_Thing = TypeVar("_Thing")


@dataclass(frozen=True, slots=True)
class WaveSpec:
    """How a wave's samples are to be read; known from the monitor's own attributes."""

    samples: int
    significant: int
    """Bits of a sample that are its value; what lies above marks it."""
    period_ticks: int
    low: float
    high: float
    raw_low: int
    raw_high: int
    """``raw_low`` stands for ``low`` and ``raw_high`` for ``high``; both NaN without a scale."""
    unit: int
    marks: tuple[tuple[int, int], ...]
    """(kind, value of a sample so marked): 1 invalid, 2 pacer, 3 defibrillation, 4 saturation."""

    @property
    def rate_hz(self) -> float:
        """Samples a second."""
        return 1e9 / (self.period_ticks * TICK_NS)

    @property
    def per_count(self) -> float:
        """Units per count; NaN where the monitor tells no scale."""
        span = self.raw_high - self.raw_low
        return (self.high - self.low) / span if span else math.nan

    @property
    def zero_count(self) -> float:
        """The count that stands for 0."""
        return self.raw_low - self.low / self.per_count if self.per_count else math.nan


@dataclass(frozen=True, slots=True)
class Wave:
    """One array of consecutive samples."""

    physio: int
    ticks: int
    """The monitor's relative time of the first sample, 125 µs."""
    counts: Counts
    """Shape (n,)."""
    sampled: NDArray[np.bool_]
    """False where a mark stands in the sample's place, shape (n,)."""
    absent: bool
    """The monitor says that nothing is measured: no electrode, no transducer."""
    demo: bool
    spec: WaveSpec


@dataclass(frozen=True, slots=True)
class Numeric:
    """One value as the monitor shows it."""

    physio: int
    name: str
    value: float | None
    """None where the monitor has none to show."""
    unit: str
    usable: bool
    """False for a value that the monitor itself calls questionable, or is calibrating."""
    demo: bool
    label: str
    """As on the monitor's screen, in its language; of a compound value that of the whole."""


@dataclass(frozen=True, slots=True)
class MonitorAlarm:
    """One entry of the monitor's alarm lists."""

    source: int
    code: int
    technical: bool
    priority: str
    """``low``, ``medium`` or ``high``."""
    text: str
    """In the monitor's language, ``""`` where it sends none: only for reading."""
    text_id: int
    silenced: bool
    latched: bool
    suspended: bool
    """Inhibited or suspended by the monitor's user."""


class Values:
    """Reads poll answers of one association; :meth:`reset` it for the next."""

    def __init__(self) -> None:
        self._specs: OrderedDict[tuple[int, int, int], WaveSpec] = OrderedDict()
        self._labels: OrderedDict[tuple[int, int], str] = OrderedDict()
        self.damaged = 0
        """Attributes that could not be read."""

    def reset(self) -> None:
        """Handles are those of one association only."""
        self._specs.clear()
        self._labels.clear()

    def waves(self, answer: PollAnswer) -> list[Wave]:
        """All arrays whose scale is known by now; empty for an answer of another class."""
        if answer.polled != Polled.WAVES:
            return []
        found = []
        for thing in answer.objects:
            spec = self._learn(thing)
            for name, value in thing.attributes:
                if name in (_WAVE, _WAVES):
                    found += self._kept(self._arrays(answer, thing, name, value, spec))
        return found

    def numerics(self, answer: PollAnswer) -> list[Numeric]:
        """All values; empty for an answer of another class."""
        if answer.polled != Polled.NUMERICS:
            return []
        found = []
        for thing in answer.objects:
            self._learn_label(thing)
            for name, value in thing.attributes:
                if name in (_NUMERIC, _NUMERICS):
                    label = self._labels.get((thing.context, thing.handle), "")
                    found += self._kept(_numerics(name, value, label))
        return found

    def alarms(self, answer: PollAnswer) -> list[MonitorAlarm] | None:
        """The monitor's active alarms; None for an answer that tells of none of its lists."""
        if answer.polled != Polled.ALARMS:
            return None
        lists = [
            (name == _TECHNICAL_ALARMS, value)
            for thing in answer.objects
            for name, value in thing.attributes
            if name in (_PATIENT_ALARMS, _TECHNICAL_ALARMS)
        ]
        if not lists:
            return None
        return [
            alarm for technical, value in lists for alarm in self._kept(_alarms(value, technical))
        ]

    def _kept(self, things: Iterator[_Thing]) -> list[_Thing]:
        """What could be read before the bytes ended, or all."""
        found = []
        try:
            for thing in things:
                found.append(thing)
        except IntelliVueError:
            self.damaged += 1
        return found

    def _learn(self, thing: PolledObject) -> WaveSpec | None:
        found = dict(thing.attributes)
        if not {_SHAPE, _PERIOD, _SCALE} <= found.keys():
            return None
        try:
            spec = _spec(found)
        except IntelliVueError:
            self.damaged += 1
            return None
        # One handle has both a compound wave and single ones: their length tells them apart.
        self._specs[thing.context, thing.handle, spec.samples] = spec
        if len(self._specs) > SPECS_KEPT:
            self._specs.popitem(last=False)
        return spec

    def _learn_label(self, thing: PolledObject) -> None:
        for name, value in thing.attributes:
            if name == _LABEL:
                for label in self._kept(_label(value)):
                    self._labels[thing.context, thing.handle] = label
        if len(self._labels) > SPECS_KEPT:
            self._labels.popitem(last=False)

    def _arrays(
        self, answer: PollAnswer, thing: PolledObject, name: int, value: bytes, own: WaveSpec | None
    ) -> Iterator[Wave]:
        for physio, state, raw in _raw_arrays(name, value):
            spec = self._specs.get((thing.context, thing.handle, len(raw)))
            if own is not None and own.samples == len(raw):
                spec = own
            if spec is not None and len(raw):
                yield _wave(physio, answer.relative_ticks, state, raw, spec)


def _label(value: bytes) -> Iterator[str]:
    yield Reader(value).text()


def _spec(found: dict[int, bytes]) -> WaveSpec:
    shape, scale = Reader(found[_SHAPE]), Reader(found[_SCALE])
    samples, bits, significant = shape.u16(), shape.u8(), shape.u8()
    period = Reader(found[_PERIOD]).u32()
    low, high, raw_low, raw_high = scale.real(), scale.real(), scale.u16(), scale.u16()
    if bits != 16 or not 0 < significant <= 16 or not 0 < samples <= LONGEST_ARRAY or not period:
        raise IntelliVueError(f"a wave of {samples} samples of {bits} bits each {period} ticks")
    marks = []
    if _FIXED in found:
        count, entries = Reader(found[_FIXED]).listed()
        marks = [(entries.u16(), entries.u16()) for _ in range(count)]
    unit = Reader(found[_UNIT]).u16() if _UNIT in found else 0
    return WaveSpec(samples, significant, period, low, high, raw_low, raw_high, unit, tuple(marks))


def _raw_arrays(name: int, value: bytes) -> Iterator[tuple[int, int, NDArray[np.uint16]]]:
    reader = Reader(value)
    count = 1
    if name == _WAVES:
        count, reader = reader.listed()
    for _ in range(count):
        physio, state, size = reader.u16(), reader.u16(), reader.u16()
        yield physio, state, np.frombuffer(reader.take(size)[: size // 2 * 2], ">u2").astype("u2")


def _wave(physio: int, ticks: int, state: int, raw: NDArray[np.uint16], spec: WaveSpec) -> Wave:
    value_bits = (1 << spec.significant) - 1
    counts: Counts = (raw & value_bits).astype(np.int32)
    sampled = np.ones(len(raw), np.bool_)
    for kind, mark in spec.marks:
        # Equal to the mark: it stands in the sample's place. Only its upper bits: beside a value.
        replaced = raw == mark
        if mark & ~value_bits and kind == _SATURATION_MARK and replaced.any():
            counts[replaced] = _nearest_rail(counts, replaced, spec)
        else:
            sampled &= ~replaced
        if kind == _INVALID_MARK and mark & ~value_bits:
            sampled &= (raw & mark) != mark
    return Wave(physio, ticks, counts, sampled, bool(state & _ABSENT), bool(state & _DEMO), spec)


def _nearest_rail(counts: Counts, replaced: NDArray[np.bool_], spec: WaveSpec) -> int:
    rest = counts[~replaced]
    middle = (spec.raw_low + spec.raw_high) / 2
    return spec.raw_low if len(rest) and float(rest.mean()) < middle else spec.raw_high


def _numerics(name: int, value: bytes, label: str) -> Iterator[Numeric]:
    reader = Reader(value)
    count = 1
    if name == _NUMERICS:
        count, reader = reader.listed()
    for _ in range(count):
        physio, state, unit, number = reader.u16(), reader.u16(), reader.u16(), reader.real()
        known = math.isfinite(number) and not state & _ABSENT
        yield Numeric(
            physio,
            physio_name(physio),
            number if known else None,
            unit_name(unit),
            known and not state & _UNUSABLE,
            bool(state & _DEMO),
            label,
        )


_PRIORITIES: Final = ("low", "medium", "high")
_WITH_TEXT: Final = 0x0204
_WITHOUT_TEXT: Final = 0x0201


def _alarms(value: bytes, technical: bool) -> Iterator[MonitorAlarm]:
    count, entries = Reader(value).listed()
    for _ in range(count):
        source, code, kind, state = (entries.u16() for _ in range(4))
        entries.take(6)
        info_id, info = entries.u16(), Reader(entries.take(entries.u16()))
        text, text_id = "", 0
        if info_id in (_WITH_TEXT, _WITHOUT_TEXT):
            info.u16()
            text_id = info.u32()
            info.take(4)
            if info_id == _WITH_TEXT:
                text = info.text()
        grade = kind & 0xFF if technical else kind >> 8
        yield MonitorAlarm(
            source,
            code,
            technical,
            _PRIORITIES[min(max(grade.bit_length() - 1, 0), 2)],
            text,
            text_id,
            silenced=bool(state & 0x1000),
            latched=bool(state & 0x2000),
            suspended=bool(state & 0xC000),
        )
