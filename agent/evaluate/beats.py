"""``wardbeat evaluate beats``: QRS, ventricular and supraventricular beats, heart rate (EC57)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agent.evaluate.figures import (
    cell,
    confusion_lines,
    counts_json,
    head,
    head_text,
    percent,
    rounded,
    summary_json,
    wrapped,
)
from agent.evaluate.folder import Entry
from agent.evaluate.judging import Failure, Judge, each
from agent.evaluate.rates import RateComparison, root_mean_square
from agent.scoring import (
    AAMI_CLASSES,
    LEARNING_S,
    MATCH_WINDOW_S,
    MISSED,
    Confusion,
    compare_beats,
    reference_beats,
)
from agent.signal.types import SignalState
from drivers.files import Record, RecordError

PACED = frozenset("/f")
"""Annotations of paced beats; EC57 leaves records with such out of the VEB and SVEB figures."""
CLASSES = {"VEB": "V", "SVEB": "S"}


@dataclass(frozen=True, slots=True)
class BeatsOf:
    """One record, compared."""

    record: str
    duration_s: float
    leads: tuple[str, ...]
    confusion: Confusion
    paced: bool
    fibrillation: tuple[tuple[float, float], ...]
    """Annotated flutter and fibrillation, seconds; no beat counts there."""
    rate_seconds: int
    rate_square_sum: float
    rate_withheld: int
    unusable_s: int
    """Seconds that the chain did not call usable."""

    @property
    def rate_rms(self) -> float:
        """RMS error of the shown heart rate, beats per minute."""
        return root_mean_square(self.rate_square_sum, self.rate_seconds)


def beats_of(judge: Judge, learning_s: float, entry: Entry) -> BeatsOf:
    """Judge and compare one record; RecordError where it can't be."""
    with judge.open(entry) as record:
        return compared(judge, record, entry, learning_s)


def compared(judge: Judge, record: Record, entry: Entry, learning_s: float) -> BeatsOf:
    """An open record (as it is, or with noise added) against its expert's beats."""
    marks = entry.annotations()
    reference = reference_beats(
        [mark.sample for mark in marks],
        [mark.symbol for mark in marks],
        record.rate_hz,
        record.duration_s,
    )
    if not len(reference.time_s):
        raise RecordError("no beats are annotated", str(entry.path), "leave it out (--records)")
    if record.duration_s <= learning_s:
        raise RecordError(
            f"is not longer than the {learning_s:g} s that are not counted",
            str(entry.path),
            "count the whole record (--whole)",
        )
    rates = RateComparison(reference, learning_s)
    analysis = judge.analyse(record, lambda step: rates.hop(step.hop))
    confusion, _ = compare_beats(
        reference,
        [beat.time_s for beat in analysis.beats],
        [beat.kind.value for beat in analysis.beats],
        learning_s=learning_s,
    )
    return BeatsOf(
        entry.name,
        record.duration_s,
        tuple(lead.name for lead in record.leads),
        confusion,
        not PACED.isdisjoint(reference.symbols),
        reference.fibrillation,
        len(rates.errors),
        sum(error**2 for error in rates.errors),
        rates.withheld,
        sum(verdict.state is not SignalState.USABLE for verdict in analysis.verdicts),
    )


def evaluate(
    todo: Sequence[Entry],
    folder: Path,
    judge: Judge,
    *,
    whole: bool = False,
    processes: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """The report on a folder's records, ready for JSON."""
    learning_s = 0.0 if whole else LEARNING_S
    found, failed = each(partial(beats_of, judge, learning_s), todo, processes, progress)
    return report(found, failed, folder, judge, learning_s)


def report(
    found: Sequence[BeatsOf],
    failed: Sequence[Failure],
    folder: Path,
    judge: Judge,
    learning_s: float,
) -> dict[str, Any]:
    """The figures of all records together."""
    unpaced = [one for one in found if not one.paced]
    return {
        **head(
            "beats",
            folder,
            judge,
            {"match_window_s": MATCH_WINDOW_S, "learning_s": learning_s},
            failed,
        ),
        "hours": round(sum(one.duration_s for one in found) / 3600.0, 3),
        "paced": [one.record for one in found if one.paced],
        "fibrillation_s": {
            one.record: round(sum(b - a for a, b in one.fibrillation), 1)
            for one in found
            if one.fibrillation
        },
        "records": {one.record: _record(one) for one in found},
        "qrs": {
            **summary_json({one.record: one.confusion.beats() for one in found}),
            "gross_unpaced": counts_json(_pooled(unpaced).beats()),
        },
        **{
            name: {
                **summary_json({one.record: one.confusion.of_class(kind) for one in unpaced}),
                "fpr": percent(_pooled(unpaced).false_positive_rate(kind)),
            }
            for name, kind in CLASSES.items()
        },
        "confusion": _matrix(_pooled(unpaced)),
        "heart_rate": {
            "rms_error": rounded(
                root_mean_square(
                    sum(one.rate_square_sum for one in found),
                    sum(one.rate_seconds for one in found),
                )
            ),
            "seconds": sum(one.rate_seconds for one in found),
            "withheld": sum(one.rate_withheld for one in found),
        },
    }


def _pooled(found: Sequence[BeatsOf]) -> Confusion:
    return sum((one.confusion for one in found), Confusion({}))


def _matrix(confusion: Confusion) -> dict[str, dict[str, int]]:
    names = (*AAMI_CLASSES, MISSED)
    return {
        row: {column: confusion.counts.get((row, column), 0) for column in names} for row in names
    }


def _record(one: BeatsOf) -> dict[str, Any]:
    classes = {
        name: {
            **counts_json(one.confusion.of_class(kind)),
            "fpr": percent(one.confusion.false_positive_rate(kind)),
        }
        for name, kind in CLASSES.items()
    }
    return {
        "duration_s": one.duration_s,
        "leads": list(one.leads),
        "seconds_unusable": one.unusable_s,
        "paced": one.paced,
        "qrs": counts_json(one.confusion.beats()),
        **classes,
        "confusion": _matrix(one.confusion),
        "heart_rate": {
            "rms_error": rounded(one.rate_rms),
            "seconds": one.rate_seconds,
            "withheld": one.rate_withheld,
        },
    }


def text(report: Mapping[str, Any]) -> list[str]:
    """The report for a reader: 80 columns, the records with most errors first."""
    learning_s = report["thresholds"]["learning_s"]
    counted = f"the first {learning_s:g} s not counted" if learning_s else "whole records counted"
    lines = head_text(
        report,
        f"{len(report['records'])} records, {report['hours']:.1f} h, window "
        f"{1000 * report['thresholds']['match_window_s']:.0f} ms, {counted}",
    )
    lines += ["", "QRS", *_table(report, "qrs", "beats")]
    for name in CLASSES:
        lines += ["", f"{name}{_left_out(report)}", *_table(report, name, name)]
    lines += ["", "Beat classes: rows the expert's, columns ours; O is no beat there"]
    lines += confusion_lines(report["confusion"], (*AAMI_CLASSES, MISSED))
    lines += ["", "Heart rate: RMS error, beats per minute", *_rates(report)]
    if report["fibrillation_s"]:
        spans = ", ".join(f"{name} {s:.0f} s" for name, s in report["fibrillation_s"].items())
        lines += ["", *wrapped(f"flutter and fibrillation, where no beat counts: {spans}")]
    return lines


def _left_out(report: Mapping[str, Any]) -> str:
    paced = [name for name in report["paced"] if name in report["records"]]
    return f" (paced records are left out: {', '.join(paced)})" if paced else ""


def _table(report: Mapping[str, Any], figure: str, what: str) -> list[str]:
    """One figure, a row for each record."""
    classed = figure != "qrs"
    rows = {
        name: row[figure]
        for name, row in report["records"].items()
        if not (classed and row["paced"])
    }
    lines = [
        f"{'record':<16}{what:>8}{'missed':>8}{'false':>8}{'Se %':>9}{'+P %':>9}"
        + (f"{'FPR %':>9}" if classed else "")
    ]
    worst_first = sorted(rows.items(), key=lambda item: (-item[1]["fn"] - item[1]["fp"], item[0]))
    gross = {**report[figure]["gross"], "fpr": report[figure].get("fpr")}
    last = [("gross", gross)]
    if not classed and report["paced"]:
        last.append(("gross, no paced", report[figure]["gross_unpaced"]))
    for name, row in [*worst_first, *last]:
        lines.append(
            f"{name:<16}{row['tp'] + row['fn']:>8}{row['fn']:>8}{row['fp']:>8}"
            f"{cell(row['sensitivity'])}{cell(row['predictivity'])}"
            + (cell(row["fpr"], digits=3) if classed else "")
        )
    average = report[figure]["average"]
    lines.append(f"{'average':<40}{cell(average['sensitivity'])}{cell(average['predictivity'])}")
    return lines


def _rates(report: Mapping[str, Any]) -> list[str]:
    rows = {name: row["heart_rate"] for name, row in report["records"].items()}
    worst_first = sorted(rows.items(), key=lambda item: -(item[1]["rms_error"] or 0.0))
    lines = [f"{'record':<16}{'RMS':>8}{'seconds':>10}{'not shown':>11}"]
    lines += [
        f"{name:<16}{cell(row['rms_error'], 8)}{row['seconds']:>10}{row['withheld']:>11}"
        for name, row in [*worst_first, ("gross", report["heart_rate"])]
    ]
    return lines
