"""What the experts annotated, as spans: rhythms by their label, patterns by the beats' classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

from agent.evaluate.spans import Span
from agent.rhythm.limits import RhythmLimits
from agent.scoring import aami_class
from drivers.files.annotations import Annotation, read_annotations

VF = ("VF", "VFL", "VFIB")
AF = ("AFIB", "AFL")
LIMITS = RhythmLimits()


@dataclass(frozen=True, slots=True)
class Reference:
    """One record's annotations; times in seconds."""

    beats: tuple[tuple[float, str], ...]
    """Time and AAMI class."""
    rhythms: tuple[tuple[Span, str], ...]
    """Each labelled stretch, without the bracket."""
    fibrillation: tuple[Span, ...]
    """Between ``[`` and ``]``: no beats are annotated there."""

    def labelled(self, *labels: str) -> list[Span]:
        """Stretches of some rhythms, those that touch made one."""
        out: list[Span] = []
        for span, label in self.rhythms:
            if label not in labels:
                continue
            if out and span.start_s <= out[-1].end_s:
                out[-1] = Span(out[-1].start_s, span.end_s)
            else:
                out.append(span)
        return out

    def label_at(self, time_s: float) -> str:
        """The rhythm annotated at a time, empty where there is none."""
        for span, label in self.rhythms:
            if span.start_s <= time_s < span.end_s:
                return label
        return ""


def read_reference(path: Path, rate_hz: float, duration_s: float) -> Reference:
    """The ``.atr`` file of a record."""
    return reference_of(read_annotations(path.with_suffix(".atr")), rate_hz, duration_s)


def reference_of(marks: list[Annotation], rate_hz: float, duration_s: float) -> Reference:
    """An expert's annotations as spans."""
    changes = [(m.sample / rate_hz, m.aux[1:]) for m in marks if m.aux.startswith("(")]
    ends = [time_s for time_s, _ in changes[1:]] + [duration_s]
    return Reference(
        tuple((m.sample / rate_hz, kind) for m in marks if (kind := aami_class(m.symbol))),
        tuple(
            (Span(time_s, end_s), label)
            for (time_s, label), end_s in zip(changes, ends, strict=False)
        ),
        tuple(_brackets(marks, rate_hz, duration_s)),
    )


def _brackets(marks: list[Annotation], rate_hz: float, duration_s: float) -> Iterator[Span]:
    begin: float | None = None
    for mark in marks:
        if mark.symbol == "[" and begin is None:
            begin = mark.sample / rate_hz
        elif mark.symbol == "]" and begin is not None:
            yield Span(begin, mark.sample / rate_hz)
            begin = None
    if begin is not None:
        yield Span(begin, duration_s)


@dataclass(frozen=True, slots=True)
class Run:
    """Ventricular beats in a row."""

    span: Span
    beats: int
    bpm: float


def ventricular_runs(reference: Reference) -> list[Run]:
    """Rows of V, two beats or more; F goes on with a row, flutter breaks it."""
    out: list[Run] = []
    for row in _rows(reference):
        first = next((at for at, (_, kind) in enumerate(row) if kind == "V"), len(row))
        times = [time_s for time_s, _ in row[first:]]
        if len(times) >= 2:
            bpm = 60.0 * (len(times) - 1) / (times[-1] - times[0])
            out.append(Run(Span(times[0], times[-1]), len(times), bpm))
    return out


def _rows(reference: Reference) -> Iterator[list[tuple[float, str]]]:
    for ventricular, beats in groupby(reference.beats, key=lambda beat: beat[1] in "VF"):
        if not ventricular:
            continue
        row: list[tuple[float, str]] = []
        for beat in beats:
            if row and any(row[-1][0] <= f.start_s <= beat[0] for f in reference.fibrillation):
                yield row
                row = []
            row.append(beat)
        yield row


def pauses(reference: Reference, least_s: float) -> list[Span]:
    """RR intervals of so many seconds, none across flutter."""
    return [
        Span(a, b)
        for (a, _), (b, _) in pairwise(reference.beats)
        if b - a >= least_s
        and not any(f.start_s < b and a < f.end_s for f in reference.fibrillation)
    ]


def has_fast_row(reference: Reference, span: Span) -> bool:
    """Whether so many RR intervals in a row are as short as the unit's own SVT has them."""
    times = [time_s for time_s, _ in reference.beats if span.start_s <= time_s <= span.end_s]
    fast = (b - a <= 60.0 / LIMITS.svt_bpm for a, b in pairwise(times))
    return any(short and len(list(row)) >= LIMITS.svt_beats for short, row in groupby(fast))


def frequent_pvcs(reference: Reference) -> list[Span]:
    """While there were so many PVCs in the minute before as the limit says."""
    pvcs = [time_s for time_s, kind in reference.beats if kind == "V"]
    out: list[Span] = []
    for last, time_s in enumerate(pvcs):
        first = last + 1 - LIMITS.pvc_per_min
        if first < 0 or time_s - pvcs[first] >= 60.0:
            continue
        if out and time_s <= out[-1].end_s + 20.0:
            out[-1] = Span(out[-1].start_s, time_s)
        else:
            out.append(Span(time_s, time_s))
    return out


def patterns(reference: Reference, *, labelled: bool = True) -> dict[str, list[Span]]:
    """Every kind of finding that can be told from annotations, by its row in the table.

    Without ``labelled`` only what the beats tell: svdb has no labels of rhythm.
    """
    runs = ventricular_runs(reference)
    fast = [run for run in runs if run.bpm >= LIMITS.vt_bpm]
    slow = [run for run in runs if run.bpm < LIMITS.vt_bpm]
    by_beats = {
        "couplet": [run.span for run in runs if run.beats == 2],
        "PVC run (3 or more)": [run.span for run in runs if run.beats >= 3],
        "VT or non-sustained VT (3 or more, 100/min)": [r.span for r in fast if r.beats >= 3],
        "VT (5 or more, 100/min)": [run.span for run in fast if run.beats >= LIMITS.vt_beats],
        "ventricular rhythm (3 or more, slower)": [r.span for r in slow if r.beats >= 3],
        "PVCs per minute": frequent_pvcs(reference),
        "pause": pauses(reference, LIMITS.pause_s),
    }
    if not labelled:
        return by_beats
    return by_beats | {
        "bigeminy": reference.labelled("B"),
        "trigeminy": reference.labelled("T"),
        "SVT as labelled, of any rate": reference.labelled("SVTA"),
        "SVT (5 or more, 150/min)": [
            span for span in reference.labelled("SVTA") if has_fast_row(reference, span)
        ],
        "AF (30 s or longer)": [
            s for s in reference.labelled(*AF) if s.end_s - s.start_s >= LIMITS.af_s
        ],
        "VF, flutter": reference.labelled(*VF),
    }
