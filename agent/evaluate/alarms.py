"""``wardbeat evaluate alarms``: CinC 2015's score, and false lethal alarms on long records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agent.evaluate.figures import cell, head, head_text, percent, rounded, wrapped
from agent.evaluate.folder import (
    BedsideAlarm,
    Entry,
    EvaluateError,
    alarm_in_header,
    bedside_alarms,
)
from agent.evaluate.judging import Judge, each
from agent.evaluate.lethal import CHALLENGE, LETHAL, SHORT_RUN, STANDSTILL_S, false_lethal
from agent.evaluate.reference import reference_of
from agent.evaluate.spans import (
    LOOK_BACK_S,
    MISS_COST,
    Outcome,
    outcome,
    raised_at_end,
    spans,
)
from drivers.files import RecordError


@dataclass(frozen=True, slots=True)
class Task:
    """One record; with the alarm at its end, or an annotated one that shall bring none."""

    entry: Entry
    alarm: BedsideAlarm | None = None

    @property
    def name(self) -> str:
        """The record's."""
        return self.entry.name


@dataclass(frozen=True, slots=True)
class AlarmsOf:
    """What the unit would have raised in one record."""

    record: str
    duration_s: float
    leads: tuple[str, ...]
    alarm: BedsideAlarm | None = None
    raised: bool = False
    """The alarm of a record that has one."""
    false: tuple[tuple[str, float], ...] = ()
    """Kind and onset of each false lethal alarm of an annotated record."""


def tasks(found: Sequence[Entry], folder: Path) -> tuple[list[Task], list[str]]:
    """The records to judge, and a line on those that tell neither alarm nor beats.

    Raises EvaluateError where no record does.
    """
    listed = bedside_alarms(folder)
    kept = []
    for entry in found:
        alarm = listed.get(entry.path.name) or alarm_in_header(entry)
        known = alarm is not None and alarm.kind in CHALLENGE
        if known or entry.annotated:
            kept.append(Task(entry, alarm if known else None))
    if not kept:
        raise EvaluateError(
            f"{folder}: neither alarms (ALARMS.csv, or in the headers' comments) nor annotations"
        )
    left = len(found) - len(kept)
    return kept, [f"{left} records tell neither alarm nor beats, left out"] if left else []


def alarms_of(judge: Judge, task: Task) -> AlarmsOf:
    """Judge and compare one record; RecordError where it can't be."""
    with judge.open(task.entry) as record:
        duration_s, leads = record.duration_s, tuple(lead.name for lead in record.leads)
        if task.alarm is not None:
            events = judge.analyse(record).findings
            raised = raised_at_end(spans(events, CHALLENGE[task.alarm.kind]), duration_s)
            return AlarmsOf(task.name, duration_s, leads, task.alarm, raised)
        reference = reference_of(task.entry.annotations(), record.rate_hz, duration_s)
        if not reference.beats or not duration_s:
            raise RecordError(
                "no beats are annotated, so a false alarm can't be told from a true one",
                str(task.entry.path),
                "leave it out (--records); 'evaluate rhythm' judges its rhythms",
            )
        false = false_lethal(reference, judge.analyse(record).findings)
    return AlarmsOf(
        task.name, duration_s, leads, false=tuple((kind.value, at_s) for kind, at_s in false)
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
    found, failed = each(partial(alarms_of, judge), todo, processes, progress)
    ended = [one for one in found if one.alarm is not None]
    long = [one for one in found if one.alarm is None]
    thresholds = {
        "look_back_s": LOOK_BACK_S,
        "miss_cost": MISS_COST,
        "standstill_s": STANDSTILL_S,
        "short_run_beats": SHORT_RUN,
    }
    return {
        **head("alarms", folder, judge, thresholds, failed),
        "hours": round(sum(one.duration_s for one in found) / 3600.0, 3),
        "records": {one.record: _record(one) for one in found},
        "challenge": _challenge(ended) if ended else None,
        "false_lethal": _false(long) if long else None,
    }


def _outcome(one: AlarmsOf) -> Outcome:
    return outcome(one.alarm is not None and one.alarm.true, one.raised)


def _challenge(found: Sequence[AlarmsOf]) -> dict[str, Any]:
    kinds: dict[str, Outcome] = {}
    for one in found:
        kind = one.alarm.kind if one.alarm is not None else ""
        kinds[kind] = kinds.get(kind, Outcome()) + _outcome(one)
    return {
        "records": len(found),
        "kinds": {kind: _scored(row) for kind, row in kinds.items()},
        "all": _scored(sum(kinds.values(), Outcome())),
        "missed": [one.record for one in found if _outcome(one).fn],
        "false": [one.record for one in found if _outcome(one).fp],
    }


def _scored(row: Outcome) -> dict[str, Any]:
    true, false = row.tp + row.fn, row.tn + row.fp
    return {
        **asdict(row),
        "found": percent(row.tp / true) if true else None,
        "quiet": percent(row.tn / false) if false else None,
        "score": rounded(row.score),
    }


def _false(found: Sequence[AlarmsOf]) -> dict[str, Any]:
    hours = sum(one.duration_s for one in found) / 3600.0
    kinds = [kind for one in found for kind, _ in one.false]
    return {
        "records": len(found),
        "hours": round(hours, 3),
        "count": len(kinds),
        "kinds": {kind.value: kinds.count(kind.value) for kind in LETHAL},
        "per_24_h": rounded(24.0 * len(kinds) / hours),
        "kinds_per_24_h": {k.value: rounded(24.0 * kinds.count(k.value) / hours) for k in LETHAL},
    }


def _record(one: AlarmsOf) -> dict[str, Any]:
    told: dict[str, Any] = {"duration_s": one.duration_s, "leads": list(one.leads)}
    if one.alarm is not None:
        return {**told, "alarm": one.alarm.kind, "true": one.alarm.true, "raised": one.raised}
    return {
        **told,
        "false_lethal": [{"code": kind, "onset_s": round(at_s, 1)} for kind, at_s in one.false],
    }


def text(report: Mapping[str, Any]) -> list[str]:
    """The report for a reader: 80 columns, weakest first."""
    lines = head_text(report, f"{len(report['records'])} records, {report['hours']:.1f} h")
    if report["challenge"]:
        lines += ["", *_challenge_text(report)]
    if report["false_lethal"]:
        lines += ["", *_false_text(report)]
    return lines


def _challenge_text(report: Mapping[str, Any]) -> list[str]:
    challenge = report["challenge"]
    lines = [
        "Alarms of CinC 2015: raised at any time in the record's last "
        f"{report['thresholds']['look_back_s']:g} s",
        f"{'alarm':<26}{'TP':>5}{'FN':>5}{'FP':>5}{'TN':>5}"
        f"{'found %':>10}{'quiet %':>10}{'score':>8}",
    ]
    weak_first = sorted(challenge["kinds"].items(), key=lambda item: item[1]["score"])
    for kind, row in [*weak_first, ("all", challenge["all"])]:
        lines.append(
            f"{kind:<26}{row['tp']:>5}{row['fn']:>5}{row['fp']:>5}{row['tn']:>5}"
            f"{cell(row['found'], 10, 1)}{cell(row['quiet'], 10, 1)}{cell(row['score'], 8, 1)}"
        )
    for what in ("missed", "false"):
        lines += wrapped(f"{what}: {_by_kind(report['records'], challenge[what]) or 'none'}")
    return lines


def _by_kind(records: Mapping[str, Any], names: Sequence[str]) -> str:
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(records[name]["alarm"], []).append(name)
    return "; ".join(f"{kind} {' '.join(each_one)}" for kind, each_one in sorted(kinds.items()))


def _false_text(report: Mapping[str, Any]) -> list[str]:
    whole = report["false_lethal"]
    rows = {n: row for n, row in report["records"].items() if row.get("false_lethal")}
    lines = [
        f"False lethal alarms in {whole['records']} annotated records, {whole['hours']:.1f} h",
        f"{'record':<16}{'hours':>8}" + "".join(f"{k.value:>10}" for k in LETHAL) + f"{'all':>10}",
    ]
    for name, row in sorted(rows.items(), key=lambda item: -len(item[1]["false_lethal"])):
        codes = [one["code"] for one in row["false_lethal"]]
        lines.append(
            f"{name:<16}{row['duration_s'] / 3600:>8.2f}"
            + "".join(f"{codes.count(kind.value):>10}" for kind in LETHAL)
            + f"{len(codes):>10}"
        )
    lines.append(
        f"{'all':<16}{whole['hours']:>8.2f}"
        + "".join(f"{whole['kinds'][kind.value]:>10}" for kind in LETHAL)
        + f"{whole['count']:>10}"
    )
    lines.append(
        f"{'per 24 h':<24}"
        + "".join(cell(whole["kinds_per_24_h"][kind.value], 10, 1) for kind in LETHAL)
        + cell(whole["per_24_h"], 10, 1)
    )
    for name, row in rows.items():
        said = ", ".join(f"{one['code']} {one['onset_s']:g} s" for one in row["false_lethal"])
        lines += wrapped(f"  {name}: {said}")
    return lines
