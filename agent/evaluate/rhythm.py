"""``wardbeat evaluate rhythm``: the record's class (CinC 2017), and AF, VT, VF second by second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agent.analyze import Analysis
from agent.analyze import report as analysis_report
from agent.evaluate.durations import Agreement, agreement, merged, without
from agent.evaluate.figures import (
    cell,
    confusion_lines,
    head,
    head_text,
    percent,
    wrapped,
)
from agent.evaluate.folder import Entry, EvaluateError, rhythm_classes
from agent.evaluate.judging import Judge, each
from agent.evaluate.reference import AF, VF, Reference, reference_of
from agent.evaluate.spans import Span
from agent.rhythm.types import Rhythm
from drivers.files import RecordError

CLASSES = ("N", "A", "O", "~")
SCORED = ("N", "A", "O")
"""The challenge's score is the mean F1 of these."""
NOT_COUNTED = ("NOISE",)
"""Annotated stretches that count for nobody."""
VT = ("VT",)
KINDS: Mapping[str, tuple[tuple[str, ...], tuple[Rhythm, ...]]] = {
    "VF": (VF, (Rhythm.VF,)),
    "VT": (VT, (Rhythm.VT,)),
    "VF or VT": ((*VF, *VT), (Rhythm.VF, Rhythm.VT)),
    "AF": (AF, (Rhythm.AF,)),
}
"""What is compared: the experts' labels and the rhythms in force."""
MOST_NAMES = 40
"""So many misjudged records are named in the text; the JSON names all."""


@dataclass(frozen=True, slots=True)
class Task:
    """One record, and its class where the folder tells one."""

    entry: Entry
    expert: str = ""

    @property
    def name(self) -> str:
        """The record's."""
        return self.entry.name


@dataclass(frozen=True, slots=True)
class RhythmOf:
    """What was said of one record."""

    record: str
    duration_s: float
    leads: tuple[str, ...]
    expert: str
    """N, A, O, ~, or empty where the record has no class."""
    found: str
    agreements: Mapping[str, Agreement]
    """By kind; empty where the record has no rhythm annotations."""


def tasks(found: Sequence[Entry], folder: Path) -> tuple[list[Task], list[str]]:
    """The records with a class or annotations, and a line on those with neither."""
    classes = {name: word for name, word in rhythm_classes(folder).items() if word in CLASSES}
    kept = [
        Task(entry, classes.get(entry.path.name, ""))
        for entry in found
        if entry.path.name in classes or entry.annotated
    ]
    if not kept:
        raise EvaluateError(
            f"{folder}: neither classes (REFERENCE.csv) nor annotations (RECORD.atr)"
        )
    left = len(found) - len(kept)
    return kept, [f"{left} records have neither class nor annotations, left out"] if left else []


def rhythm_of(judge: Judge, task: Task) -> RhythmOf:
    """Judge and compare one record; RecordError where it can't be."""
    reference: Reference | None = None
    with judge.open(task.entry) as record:
        if task.entry.annotated or not task.expert:
            marks = task.entry.annotations()
            reference = reference_of(marks, record.rate_hz, record.duration_s)
            if not reference.rhythms and not reference.fibrillation:
                reference = None
        if reference is None and not task.expert:
            raise RecordError(
                "no rhythm is annotated", str(task.entry.path), "leave it out (--records)"
            )
        analysis = judge.analyse(record)
        duration_s, leads = record.duration_s, tuple(lead.name for lead in record.leads)
    return RhythmOf(
        task.name,
        duration_s,
        leads,
        task.expert,
        str(analysis_report(analysis, judge.networks())["rhythm"]),
        {} if reference is None else agreements(reference, analysis),
    )


def agreements(reference: Reference, analysis: Analysis) -> dict[str, Agreement]:
    """Each kind of rhythm: the experts' stretches against those in force."""
    duration_s = analysis.record.duration_s
    counted = counted_spans(reference, duration_s)
    out = {}
    for kind, (labels, rhythms) in KINDS.items():
        true = reference.labelled(*labels)
        if "VF" in labels:
            true = merged([*true, *reference.fibrillation])
        out[kind] = agreement(true, in_force(analysis, rhythms), counted)
    return out


def counted_spans(reference: Reference, duration_s: float) -> list[Span]:
    """From the first label on, without annotated noise; all of it where there are no labels."""
    if not reference.rhythms:
        return [Span(0.0, duration_s)]
    first_s = reference.rhythms[0][0].start_s
    return without([Span(first_s, duration_s)], reference.labelled(*NOT_COUNTED))


def in_force(analysis: Analysis, rhythms: Sequence[Rhythm]) -> list[Span]:
    """The stretches in which one of the rhythms was in force."""
    starts = [change.start_s for change in analysis.rhythms]
    ends = [*starts[1:], analysis.record.duration_s]
    return merged(
        Span(change.start_s, end_s)
        for change, end_s in zip(analysis.rhythms, ends, strict=False)
        if change.rhythm in rhythms
    )


def evaluate(
    todo: Sequence[Task],
    folder: Path,
    judge: Judge,
    *,
    processes: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """The report on a folder's records, ready for JSON."""
    found, failed = each(partial(rhythm_of, judge), todo, processes, progress)
    classed = [one for one in found if one.expert]
    labelled = [one for one in found if one.agreements]
    thresholds = {"episode_tolerance_s": 0.15, "not_counted": list(NOT_COUNTED)}
    return {
        **head("rhythm", folder, judge, thresholds, failed),
        "hours": round(sum(one.duration_s for one in found) / 3600.0, 3),
        "records": {one.record: _record(one) for one in found},
        "classes": _classes(classed) if classed else None,
        "rhythms": ({kind: _kind(kind, labelled) for kind in KINDS} if labelled else None),
    }


def class_scores(pairs: Counter[tuple[str, str]]) -> dict[str, float]:
    """F1 of each class (0 to 1, NaN of a class that nobody names) out of (expert, found)."""
    out = {}
    for name in CLASSES:
        reference = sum(n for (expert, _), n in pairs.items() if expert == name)
        found = sum(n for (_, told), n in pairs.items() if told == name)
        whole = reference + found
        out[name] = 2 * pairs[name, name] / whole if whole else float("nan")
    return out


def _classes(found: Sequence[RhythmOf]) -> dict[str, Any]:
    pairs = Counter((one.expert, one.found) for one in found)
    f1 = class_scores(pairs)
    return {
        "records": len(found),
        "f1": {name: percent(f1[name]) for name in CLASSES},
        "score": percent(sum(f1[name] for name in SCORED) / len(SCORED)),
        "confusion": {row: {column: pairs[row, column] for column in CLASSES} for row in CLASSES},
        "misjudged": [one.record for one in found if one.found != one.expert],
    }


def _kind(kind: str, found: Sequence[RhythmOf]) -> dict[str, Any]:
    each_one = [one.agreements[kind] for one in found]
    return {
        "gross": _agreement(sum(each_one, Agreement())),
        "average": {
            name: percent(_mean([getattr(one, name) for one in each_one]))
            for name in ("sensitivity", "predictivity", "specificity")
        },
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")


def _agreement(one: Agreement) -> dict[str, Any]:
    return {
        "reference_s": round(one.reference_s, 1),
        "found_s": round(one.found_s, 1),
        "both_s": round(one.both_s, 1),
        "counted_s": round(one.counted_s, 1),
        "episodes": one.episodes.reference,
        "episodes_hit": one.episodes.hit,
        "episodes_found": one.episodes.found,
        "episodes_right": one.episodes.right,
        "episode_sensitivity": percent(one.episodes.sensitivity / 100.0),
        "episode_predictivity": percent(one.episodes.predictivity / 100.0),
        "sensitivity": percent(one.sensitivity),
        "predictivity": percent(one.predictivity),
        "specificity": percent(one.specificity),
    }


def _record(one: RhythmOf) -> dict[str, Any]:
    return {
        "duration_s": one.duration_s,
        "leads": list(one.leads),
        "class": {"expert": one.expert or None, "found": one.found},
        "rhythms": {kind: _agreement(found) for kind, found in one.agreements.items()} or None,
    }


def text(report: Mapping[str, Any]) -> list[str]:
    """The report for a reader: 80 columns, weakest first."""
    lines = head_text(report, f"{len(report['records'])} records, {report['hours']:.1f} h")
    if report["classes"]:
        lines += ["", *_classes_text(report)]
    if report["rhythms"]:
        gross = {kind: found["gross"] for kind, found in report["rhythms"].items()}
        for kind in sorted(gross, key=lambda k: _weakness(gross[k])):
            lines += ["", *_kind_text(kind, report)]
    return lines


def _classes_text(report: Mapping[str, Any]) -> list[str]:
    classes = report["classes"]
    f1 = sorted(classes["f1"].items(), key=lambda item: item[1] if item[1] is not None else 101.0)
    names = [
        f"{name} {row['class']['expert']}>{row['class']['found']}"
        for name, row in report["records"].items()
        if name in set(classes["misjudged"])
    ]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return [
        f"Classes of CinC 2017, {classes['records']} records: F1 %",
        *(f"  {name}{cell(value)}" for name, value in f1),
        f"  mean of N, A and O{cell(classes['score'])}",
        "",
        "rows the expert's class, columns ours",
        *confusion_lines(classes["confusion"], CLASSES),
        *wrapped(f"misjudged: {', '.join(names[:MOST_NAMES]) or 'none'}{more}"),
    ]


def _weakness(row: Mapping[str, Any]) -> float:
    """Sorts weak figures first: the lowest of a row's shares."""
    known = [row[key] for key in ("sensitivity", "predictivity") if row[key] is not None]
    return min(known, default=101.0)


def _kind_text(kind: str, report: Mapping[str, Any]) -> list[str]:
    rows = {
        name: row["rhythms"][kind]
        for name, row in report["records"].items()
        if row["rhythms"] is not None
    }
    shown = {name: row for name, row in rows.items() if row["reference_s"] or row["found_s"]}
    weak_first = sorted(shown.items(), key=lambda item: (_weakness(item[1]), -item[1]["found_s"]))
    found = report["rhythms"][kind]
    lines = [
        f"{kind}: {len(rows) - len(shown)} of {len(rows)} records have none, and none was found",
        f"{'':<14}{'annotated':>16}{'found':>14}{'episodes %':>14}{'duration %':>21}",
        f"{'record':<14}{'s':>9}{'eps.':>7}{'s':>8}{'eps.':>6}"
        f"{'Se':>7}{'+P':>7}{'Se':>7}{'+P':>7}{'Sp':>8}",
    ]
    for name, row in [*weak_first, ("gross", found["gross"])]:
        lines.append(
            f"{name:<14}{row['reference_s']:>9.0f}{row['episodes']:>7}"
            f"{row['found_s']:>8.0f}{row['episodes_found']:>6}"
            f"{cell(row['episode_sensitivity'], 7, 1)}{cell(row['episode_predictivity'], 7, 1)}"
            f"{cell(row['sensitivity'], 7, 1)}{cell(row['predictivity'], 7, 1)}"
            f"{cell(row['specificity'], 8)}"
        )
    average = found["average"]
    lines.append(
        f"{'average':<58}{cell(average['sensitivity'], 7, 1)}"
        f"{cell(average['predictivity'], 7, 1)}{cell(average['specificity'], 8)}"
    )
    return lines
