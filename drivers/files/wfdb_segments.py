"""WFDB records made of segments, of fixed or variable layout, with gaps between them.

Source: WFDB Applications Guide, header(5), "Multi-segment records".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from drivers.files.record import Record, RecordError, Samples, choose_leads
from drivers.files.wfdb import WfdbRecord, lead_of, signal_of
from drivers.files.wfdb_header import Header, SignalLine, read_header
from drivers.samples import Counts, Lead

_GAP = "~"


class SegmentedRecord(Record):
    """Segments one after the other on one axis; one segment is open at a time.

    In a variable layout the first segment (of no length) names every signal and its scale, and
    each segment holds some of them; where a signal is absent its samples are "not sampled".
    Integers of a segment whose scale differs from the layout's are brought to that scale.
    """

    def __init__(
        self, header: Header, *, leads: Sequence[str] | None = None, partial: bool = False
    ) -> None:
        self._path = header.path
        self._partial = partial
        self._names = [name for name, _ in header.segments]
        lengths = [frames for _, frames in header.segments]
        self._starts = [0, *np.cumsum(lengths).tolist()]
        first = next((name for name in self._names if name != _GAP), None)
        if first is None:
            raise self._broken("has no segment but gaps")
        self._variable = lengths[0] == 0
        model = self._segment_header(first)
        chosen, warnings = choose_leads(
            [signal_of(s) for s in model.signals], leads, str(self._path)
        )
        self._wanted = [(index, model.signals[index]) for index in chosen]
        self._per_frame = self._wanted[0][1].samples_per_frame
        self._open: tuple[int, WfdbRecord | None, list[int]] | None = None
        super().__init__(
            name=header.name,
            address=str(header.path),
            form="WFDB",
            rate_hz=header.frame_rate_hz * self._per_frame,
            leads=tuple(lead_of(line, index) for index, line in self._wanted),
            n_samples=self._starts[-1] * self._per_frame,
            start=header.start or model.start,
            comments=header.comments,
            warnings=warnings,
        )

    def _broken(self, what: str) -> RecordError:
        return RecordError(what, str(self._path), "copy the record again from its source")

    def _segment_header(self, name: str) -> Header:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise self._broken(f"keeps its segment in {name!r}, not beside the header")
        header = read_header(self._path.parent / f"{name}.hea")
        if header.segments:
            raise self._broken(f"has a segment, {name}, that is itself made of segments")
        return header

    def _read(self, first: int, count: int) -> Samples:
        counts = np.zeros((count, len(self.leads)), np.int32)
        valid = np.zeros(counts.shape, np.bool_)
        done = 0
        while done < count:
            position = first + done
            index = bisect_right(self._starts, position // self._per_frame) - 1
            begin = self._starts[index] * self._per_frame
            end = self._starts[index + 1] * self._per_frame
            part = slice(done, done + min(count - done, end - position))
            self._fill(index, position - begin, counts[part], valid[part])
            done = part.stop
        return Samples(counts, valid)

    def _fill(self, index: int, first: int, counts: Counts, valid: np.ndarray) -> None:
        """Put the samples of segment ``index`` from its ``first`` on into the given arrays."""
        segment, targets = self._segment(index)
        if segment is None:
            return
        there = segment.read(first, len(counts))
        n = len(there.counts)
        for column, target in enumerate(targets):
            source, lead = segment.leads[column], self.leads[target]
            counts[:n, target] = _rescaled(there.counts[:, column], source, lead)
            valid[:n, target] = there.valid[:, column]

    def _segment(self, index: int) -> tuple[WfdbRecord | None, list[int]]:
        """The segment's record, None for a gap, and which lead each of its columns is."""
        if self._open is None or self._open[0] != index:
            self.close()
            record, targets = self._open_segment(self._names[index])
            self._open = (index, record, targets)
        return self._open[1], self._open[2]

    def _open_segment(self, name: str) -> tuple[WfdbRecord | None, list[int]]:
        if name == _GAP:
            return None, []
        header = self._segment_header(name)
        sources: list[int] = []
        targets: list[int] = []
        for target, (place, line) in enumerate(self._wanted):
            source = self._find(header.signals, place, line)
            if source is not None:
                sources.append(source)
                targets.append(target)
        if not sources:
            return None, []
        return WfdbRecord(header, sources, partial=self._partial), targets

    def _find(self, signals: Sequence[SignalLine], place: int, line: SignalLine) -> int | None:
        """Where a segment holds the wanted signal: by name, or by place in a fixed layout."""
        if self._variable:
            matches = [i for i, s in enumerate(signals) if s.name == line.name]
        else:
            matches = [place] if place < len(signals) else []
        for index in matches:
            if signals[index].samples_per_frame != self._per_frame:
                raise self._broken(f"changes the rate of {line.name} between segments")
            if signals[index].format != 0:
                return index
        return None

    def close(self) -> None:
        """Let go of the open segment."""
        if self._open is not None and self._open[1] is not None:
            self._open[1].close()
        self._open = None


def _rescaled(counts: Counts, source: Lead, lead: Lead) -> Counts:
    same = (
        source.microvolts_per_count == lead.microvolts_per_count
        and source.offset_counts == lead.offset_counts
    )
    if same:
        return counts
    scaled = (counts - source.offset_counts) * (
        source.microvolts_per_count / lead.microvolts_per_count
    )
    rescaled: Counts = np.rint(scaled + lead.offset_counts).astype(np.int32)
    return rescaled
