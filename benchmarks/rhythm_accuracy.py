"""Alarms, lethal rhythms and patterns, on recordings with expert annotations, weakest first.

    python -m benchmarks.rhythm_accuracy DATA [--databases cinc2015 vfdb mitdb svdb] [--jobs 4]
        [--records v188s 418 …] [--rules-only] [--hops FOLDER] [--json FILE]

The chain is that of ``wardbeat analyze``: all leads, networks on (``--rules-only``: none). An
alarm is a finding whose row in the alarm catalogue raises it. ``--hops`` keeps what the signal
chain gave, so that a second run needs the rhythm analysis only; another signal chain makes it anew.

Which of these records something was tuned or trained on: docs/rhythm.md.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from agent.evaluate.lethal import CHALLENGE, false_lethal
from agent.evaluate.reference import (
    VF,
    patterns,
    read_reference,
)
from agent.evaluate.spans import (
    Episodes,
    Outcome,
    Span,
    episodes,
    outcome,
    raised_at_end,
    spans,
)
from agent.networks import Networks
from agent.networks import load as load_networks
from agent.rhythm.analyser import RhythmAnalyser
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import FindingKind, RhythmEvent
from benchmarks.hop_cache import hops_of
from benchmarks.lethal_seconds import KINDS, Seconds, lethal_seconds
from drivers.files import open_record

DATABASES = ("cinc2015", "vfdb", "mitdb", "svdb")
FINDINGS = {
    "couplet": (FindingKind.COUPLET,),
    "PVC run (3 or more)": (FindingKind.PVC_RUN, FindingKind.VT),
    "VT or non-sustained VT (3 or more, 100/min)": (FindingKind.NSVT, FindingKind.VT),
    "VT (5 or more, 100/min)": (FindingKind.VT,),
    "ventricular rhythm (3 or more, slower)": (FindingKind.VENTRICULAR_RHYTHM,),
    "PVCs per minute": (FindingKind.PVC_RATE_HIGH,),
    "bigeminy": (FindingKind.BIGEMINY,),
    "trigeminy": (FindingKind.TRIGEMINY,),
    "SVT as labelled, of any rate": (FindingKind.SVT,),
    "SVT (5 or more, 150/min)": (FindingKind.SVT,),
    "AF (30 s or longer)": (FindingKind.AF,),
    "VF, flutter": (FindingKind.VF,),
    "pause": (FindingKind.PAUSE, FindingKind.ASYSTOLE),
}
PACED = ("102", "104", "107", "217")
"""EC57 leaves them out where ventricular beats are counted; their lethal alarms are counted."""


@dataclass(frozen=True, slots=True)
class Job:
    """One record to analyse."""

    data: Path
    database: str
    record: str
    rules_only: bool
    hops: Path | None
    alarm: str = ""
    true: bool = False


@dataclass(slots=True)
class Scored:
    """One record's figures; which are filled depends on the database."""

    database: str
    record: str
    duration_s: float
    alarm: str = ""
    outcome: Outcome = field(default_factory=Outcome)
    seconds: Seconds = field(default_factory=Counter)
    delays_s: dict[str, list[float]] = field(default_factory=dict)
    """Onset to alarm of the lethal episodes found."""
    findings: dict[str, Episodes] = field(default_factory=dict)
    false_lethal: list[tuple[str, float]] = field(default_factory=list)
    """Kind and onset of lethal alarms that no annotation bears out."""


@cache
def _networks(rules_only: bool) -> Networks:
    return Networks() if rules_only else load_networks()


def events_of(job: Job) -> tuple[list[RhythmEvent], float, float]:
    """What the chain says of a record, its length and its rate."""
    networks = _networks(job.rules_only)
    path = job.data / job.database / job.record
    with open_record(path) as record:
        duration_s, rate_hz = record.duration_s, record.rate_hz
    analyser = RhythmAnalyser(RhythmLimits(), networks.rhythm, networks.beats)
    events: list[RhythmEvent] = []
    for hop in hops_of(path, networks.quality, job.hops):
        events += analyser.push(hop)
    return events + analyser.flush(), duration_s, rate_hz


def score(job: Job) -> Scored:
    """Analyse and score one record."""
    events, duration_s, rate_hz = events_of(job)
    scored = Scored(job.database, job.record, duration_s)
    if job.alarm:
        raised = raised_at_end(spans(events, CHALLENGE[job.alarm]), duration_s)
        scored.alarm, scored.outcome = job.alarm, outcome(job.true, raised)
        return scored
    path = job.data / job.database / job.record
    reference = read_reference(path, rate_hz, duration_s)
    if job.database == "vfdb":
        scored.seconds = lethal_seconds(reference, events, duration_s)
        scored.delays_s = {
            "vf": delays(reference.labelled(*VF), events, FindingKind.VF),
            "vt": delays(reference.labelled("VT"), events, FindingKind.VT, FindingKind.VF),
        }
        return scored
    for row, true in patterns(reference, labelled=job.database == "mitdb").items():
        if job.record in PACED and not row.startswith(("pause", "AF", "SVT")):
            continue
        scored.findings[row] = episodes(true, spans(events, *FINDINGS[row]))
    scored.false_lethal = [
        (kind.value, round(at_s, 1)) for kind, at_s in false_lethal(reference, events)
    ]
    scored.delays_s = {
        "vf": delays(reference.labelled(*VF), events, FindingKind.VF),
        "vt": delays(
            patterns(reference)["VT (5 or more, 100/min)"], events, FindingKind.VT, FindingKind.VF
        ),
    }
    return scored


def delays(
    reference: Sequence[Span], events: Sequence[RhythmEvent], *kinds: FindingKind
) -> list[float]:
    """Onset to alarm for each episode; infinite where none stood until its end."""
    found = spans(events, *kinds)
    out = []
    for true in reference:
        # The alarm of a run may come with its last beat's name, after the run.
        told = [s.found_s for s in found if s.meets(true) and s.gone_s > true.start_s]
        out.append(max(0.0, min(told) - true.start_s) if told else float("inf"))
    return out


def jobs(
    data: Path,
    databases: Sequence[str],
    only: Sequence[str] | None,
    rules_only: bool,
    hops: Path | None,
) -> list[Job]:
    """What to analyse."""
    out: list[Job] = []
    for database in databases:
        folder = data / database
        if database == "cinc2015":
            with (folder / "ALARMS.csv").open(newline="") as rows:
                alarms = {row["record"]: row for row in csv.DictReader(rows)}
        else:
            alarms = {name: {} for name in (folder / "RECORDS").read_text().split()}
        out += [
            Job(
                data,
                database,
                name,
                rules_only,
                hops,
                row.get("alarm", ""),
                row.get("true") == "1",
            )
            for name, row in alarms.items()
            if only is None or name in only
        ]
    return out


def share(part: int, whole: int) -> float:
    """Per cent, NaN of nothing."""
    return 100.0 * part / whole if whole else float("nan")


def alarm_table(found: Sequence[Scored]) -> dict[str, Any]:
    """CinC 2015: per kind of alarm and in all."""
    rows: dict[str, Outcome] = {}
    for one in found:
        rows[one.alarm] = rows.get(one.alarm, Outcome()) + one.outcome
    table = {
        kind: {**asdict(row), "score": row.score, "found": share(row.tp, row.tp + row.fn)}
        for kind, row in sorted(rows.items(), key=lambda item: item[1].score)
    }
    whole = sum(rows.values(), Outcome())
    return {
        "kinds": table,
        "all": {**asdict(whole), "score": whole.score},
        "missed": [one.record for one in found if one.outcome.fn],
        "false": [one.record for one in found if one.outcome.fp],
    }


def lethal_table(found: Sequence[Scored]) -> dict[str, Any]:
    """vfdb: VF and flutter, then VF, flutter and VT together, second by second."""
    rows = {one.record: _lethal(one.seconds) for one in found}
    weak_first = sorted(
        rows.items(),
        key=lambda item: float(np.nanmin([item[1]["vf_sensitivity"], item[1]["vf_specificity"]])),
    )
    means = {
        key: float(np.nanmean([row[key] for row in rows.values()]))
        for key in ("vf_sensitivity", "vf_specificity", "vf_specificity_without_vt")
    }
    return {
        "records": dict(weak_first),
        "gross": _lethal(sum((one.seconds for one in found), Counter())),
        "patient_means": means,
        "delays": delay_table(found),
    }


def _lethal(count: Seconds) -> dict[str, Any]:
    vf, vt, other = (sum(count[true, said] for said in KINDS) for true in KINDS)
    lethal = sum(count[true, said] for true in ("vf", "vt") for said in ("vf", "vt"))
    return {
        "vf_s": vf,
        "vt_s": vt,
        "other_s": other,
        "vf_sensitivity": share(count["vf", "vf"], vf),
        "vf_specificity": share(vt + other - count["vt", "vf"] - count["other", "vf"], vt + other),
        "vf_specificity_without_vt": share(other - count["other", "vf"], other),
        "lethal_sensitivity": share(lethal, vf + vt),
        "lethal_specificity": share(count["other", "other"], other),
    }


def delay_table(found: Sequence[Scored]) -> dict[str, Any]:
    """Onset to alarm: how many within 7 s, how many at all, and how long."""
    out: dict[str, Any] = {}
    for kind in ("vf", "vt"):
        each = [delay for one in found for delay in one.delays_s.get(kind, [])]
        told = [delay for delay in each if np.isfinite(delay)]
        out[kind] = {
            "episodes": len(each),
            "found": len(told),
            "within_7_s": sum(delay <= 7.0 for delay in told),
            "median_s": float(np.median(told)) if told else None,
            "p95_s": float(np.percentile(told, 95)) if told else None,
        }
    return out


def pattern_table(found: Sequence[Scored]) -> dict[str, Any]:
    """mitdb, svdb: findings against annotations, the weakest first; false lethal alarms."""
    rows: dict[str, Episodes] = {}
    for one in found:
        for row, count in one.findings.items():
            rows[row] = rows.get(row, Episodes()) + count
    hours = sum(one.duration_s for one in found) / 3600.0
    false = [(one.record, kind, at_s) for one in found for kind, at_s in one.false_lethal]
    return {
        "findings": {
            row: {**asdict(e), "sensitivity": e.sensitivity, "predictivity": e.predictivity}
            for row, e in sorted(
                rows.items(), key=lambda item: np.nan_to_num(item[1].f1, nan=101.0)
            )
        },
        "hours": hours,
        "false_lethal": false,
        "false_lethal_per_24_h": 24.0 * len(false) / hours,
        "delays": delay_table(found),
    }


def measure(todo: Sequence[Job], processes: int = 1) -> dict[str, Any]:
    """Everything, by database."""
    if processes > 1:
        with ProcessPoolExecutor(processes) as pool:
            found = list(pool.map(score, todo, chunksize=4))
    else:
        found = [score(job) for job in todo]
    out: dict[str, Any] = {}
    for database in dict.fromkeys(job.database for job in todo):
        mine = [one for one in found if one.database == database]
        table = {"cinc2015": alarm_table, "vfdb": lethal_table}.get(database, pattern_table)
        out[database] = table(mine)
    return out


def print_alarms(table: Mapping[str, Any]) -> None:
    print(f"{'alarm':<26}{'TP':>5}{'FN':>5}{'FP':>5}{'TN':>5}{'found %':>9}{'score':>8}")
    for kind, row in table["kinds"].items():
        print(
            f"{kind:<26}{row['tp']:>5}{row['fn']:>5}{row['fp']:>5}{row['tn']:>5}"
            f"{row['found']:>9.1f}{row['score']:>8.1f}"
        )
    whole = table["all"]
    print(
        f"{'all':<26}{whole['tp']:>5}{whole['fn']:>5}{whole['fp']:>5}{whole['tn']:>5}"
        f"{'':>9}{whole['score']:>8.1f}"
    )
    print("missed:", *table["missed"])
    print("false:", *table["false"])


def print_lethal(table: Mapping[str, Any]) -> None:
    print(
        f"{'record':<10}{'VF s':>7}{'VT s':>7}{'other s':>9}"
        f"{'VF Se':>8}{'Sp':>7}{'Sp-VT':>7}{'lethal Se':>11}{'Sp':>7}"
    )
    for record, row in [*table["records"].items(), ("gross", table["gross"])]:
        print(
            f"{record:<10}{row['vf_s']:>7}{row['vt_s']:>7}{row['other_s']:>9}"
            f"{row['vf_sensitivity']:>8.1f}{row['vf_specificity']:>7.1f}"
            f"{row['vf_specificity_without_vt']:>7.1f}{row['lethal_sensitivity']:>11.1f}"
            f"{row['lethal_specificity']:>7.1f}"
        )
    means = ", ".join(f"{key} {value:.1f}" for key, value in table["patient_means"].items())
    print("means over patients:", means)
    print_delays(table["delays"])


def print_patterns(table: Mapping[str, Any]) -> None:
    print(f"{'finding':<46}{'annotated':>10}{'Se':>7}{'found':>8}{'+P':>7}")
    for name, row in table["findings"].items():
        print(
            f"{name:<46}{row['reference']:>10}{row['sensitivity']:>7.1f}"
            f"{row['found']:>8}{row['predictivity']:>7.1f}"
        )
    print(
        f"false lethal alarms: {len(table['false_lethal'])} in {table['hours']:.1f} h, "
        f"{table['false_lethal_per_24_h']:.1f} per 24 h"
    )
    for record, kind, at_s in table["false_lethal"]:
        print(f"    {record} {kind} at {at_s} s")
    print_delays(table["delays"])


def print_delays(table: Mapping[str, Any]) -> None:
    for kind, row in table.items():
        if row["found"]:
            print(
                f"{kind}: {row['found']} of {row['episodes']} episodes found, "
                f"{row['within_7_s']} within 7 s of their onset; "
                f"median {row['median_s']:.1f} s, 95th percentile {row['p95_s']:.1f} s"
            )


def main() -> None:
    """Measure; see the module's docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the databases")
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=DATABASES)
    parser.add_argument("--records", nargs="+", help="only these")
    parser.add_argument("--rules-only", action="store_true", help="without any network")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--hops", type=Path, help="folder to keep the signal chain's hops in")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    asked = parser.parse_args()
    todo = jobs(asked.data, asked.databases, asked.records, asked.rules_only, asked.hops)
    if not todo:
        parser.error("no such record: see --databases and --records")
    figures = measure(todo, asked.jobs)
    printers = {"cinc2015": print_alarms, "vfdb": print_lethal}
    for database, table in figures.items():
        print(f"\n== {database}")
        printers.get(database, print_patterns)(table)
    if asked.json is not None:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
