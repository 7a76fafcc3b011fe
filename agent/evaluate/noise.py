"""``wardbeat evaluate noise``: beats in noise of known strength (MIT-BIH noise stress test)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agent.evaluate.beats import CLASSES, BeatsOf, compared
from agent.evaluate.figures import cell, counts_json, head, head_text, percent, summary_json
from agent.evaluate.folder import Entry, EvaluateError
from agent.evaluate.judging import Failure, Judge, each
from agent.evaluate.stress import CLEAN_MIN, NOISY_MIN, NoisyRecord, noise_at
from agent.scoring import MATCH_WINDOW_S, Confusion

SNR_DB = (24.0, 18.0, 12.0, 6.0, 0.0, -6.0)
NORMAL = "NLR"
"""Annotations of the beats that the signal's strength is measured by."""


@dataclass(frozen=True, slots=True)
class Task:
    """One record at one strength of noise."""

    entry: Entry
    snr_db: float | None
    """None: without noise."""

    @property
    def name(self) -> str:
        """The record's, and the strength."""
        return f"{self.entry.name} {level(self.snr_db)}"


def level(snr_db: float | None) -> str:
    """How a strength is told."""
    if snr_db is None:
        return "clean"
    return f"{snr_db:+g} dB" if snr_db else "0 dB"


def noise_folder(folder: Path, asked: Path | None, kind: str) -> Path:
    """Where the noise is: as asked for, else ``DIR/nstdb`` or ``DIR/../nstdb``.

    Raises EvaluateError where the noise record is in none of them.
    """
    places = [asked] if asked is not None else [folder / "nstdb", folder.resolve().parent / "nstdb"]
    for place in places:
        if (place / f"{kind}.hea").is_file():
            return place
    looked = " and ".join(map(str, places))
    raise EvaluateError(f"{looked}: no noise record {kind}; name its folder by --noise")


def tasks(found: Sequence[Entry], snr_db: Sequence[float], noise: Path) -> list[Task]:
    """Every clean record at every strength, and without noise; noise records are left out."""
    clean = [entry for entry in found if entry.path.parent.resolve() != noise.resolve()]
    return [Task(entry, snr) for entry in clean for snr in (None, *snr_db)]


def noisy(judge: Judge, noise: Path, task: Task) -> BeatsOf:
    """Judge and compare one record with noise; RecordError where it can't be."""
    with judge.open(task.entry) as record:
        if task.snr_db is None:
            return compared(judge, record, task.entry, 0.0)
        normal = [m.sample for m in task.entry.annotations() if m.symbol in NORMAL]
        added = noise_at(noise, record.rate_hz)
        made = NoisyRecord(record, np.array(normal, np.int64), added, task.snr_db)
        return compared(judge, made, task.entry, 0.0)


def evaluate(
    todo: Sequence[Task],
    folder: Path,
    judge: Judge,
    noise: Path,
    *,
    processes: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """The report, ready for JSON; ``noise`` is the noise record's path without suffix."""
    outcomes, failed = each(partial(_kept, judge, noise), todo, processes, progress)
    return report(outcomes, failed, folder, judge, noise)


def _kept(judge: Judge, noise: Path, task: Task) -> tuple[Task, BeatsOf]:
    return task, noisy(judge, noise, task)


def report(
    outcomes: Sequence[tuple[Task, BeatsOf]],
    failed: Sequence[Failure],
    folder: Path,
    judge: Judge,
    noise: Path,
) -> dict[str, Any]:
    """The figures of all records at all strengths."""
    levels: dict[float | None, list[BeatsOf]] = {}
    records: dict[str, dict[str, Any]] = {}
    for task, one in outcomes:
        levels.setdefault(task.snr_db, []).append(one)
        records.setdefault(one.record, {})[level(task.snr_db)] = _one(one)
    thresholds = {
        "match_window_s": MATCH_WINDOW_S,
        "learning_s": 0.0,
        "clean_min": CLEAN_MIN,
        "noisy_min": NOISY_MIN,
    }
    return {
        **head("noise", folder, judge, thresholds, failed),
        "noise": noise.name,
        "noise_folder": str(noise.parent),
        "paced": sorted({one.record for _, one in outcomes if one.paced}),
        "levels": [{"snr_db": snr_db, **_level(found)} for snr_db, found in levels.items()],
        "records": records,
    }


def _one(one: BeatsOf) -> dict[str, Any]:
    return {
        "qrs": counts_json(one.confusion.beats()),
        **{name: counts_json(one.confusion.of_class(kind)) for name, kind in CLASSES.items()},
        "seconds_unusable": one.unusable_s,
    }


def _level(found: Sequence[BeatsOf]) -> dict[str, Any]:
    unpaced = [one for one in found if not one.paced]
    pooled = sum((one.confusion for one in unpaced), Confusion({}))
    return {
        "qrs": summary_json({one.record: one.confusion.beats() for one in found}),
        **{
            name: {
                **summary_json({one.record: one.confusion.of_class(kind) for one in unpaced}),
                "fpr": percent(pooled.false_positive_rate(kind)),
            }
            for name, kind in CLASSES.items()
        },
        "unusable": percent(
            sum(one.unusable_s for one in found) / sum(one.duration_s for one in found)
        ),
    }


def text(report: Mapping[str, Any]) -> list[str]:
    """The report for a reader: 80 columns, the strongest noise first."""
    lines = head_text(
        report,
        f"{len(report['records'])} records, noise '{report['noise']}' after "
        f"{report['thresholds']['clean_min']} min, {report['thresholds']['noisy_min']} min on and "
        "off; every beat counted",
    )
    strongest_first = sorted(
        report["levels"], key=lambda row: np.inf if row["snr_db"] is None else row["snr_db"]
    )
    lines += ["", f"{'':<8}{'QRS':>24}{'VEB':>16}{'SVEB':>16}{'unusable':>16}"]
    lines.append(
        f"{'noise':<8}{'Se %':>8}{'+P %':>8}{'F1 %':>8}{'Se %':>8}{'+P %':>8}{'Se %':>8}{'+P %':>8}"
        f"{'% of time':>16}"
    )
    for row in strongest_first:
        qrs = row["qrs"]["gross"]
        cells = [qrs["sensitivity"], qrs["predictivity"], qrs["f1"]]
        for name in CLASSES:
            cells += [row[name]["gross"][key] for key in ("sensitivity", "predictivity")]
        lines.append(
            f"{level(row['snr_db']):<8}"
            + "".join(cell(value, 8) for value in cells)
            + cell(row["unusable"], 16, 1)
        )
    if report["paced"]:
        lines.append(f"paced records are left out of VEB and SVEB: {', '.join(report['paced'])}")
    levels = [level(row["snr_db"]) for row in strongest_first]
    return [*lines, "", *_records_text(report, levels)]


def _records_text(report: Mapping[str, Any], levels: Sequence[str]) -> list[str]:
    def worst(item: tuple[str, Mapping[str, Any]]) -> float:
        known = [one["qrs"]["f1"] for one in item[1].values() if one["qrs"]["f1"] is not None]
        return min(known, default=101.0)

    width = min(9, 64 // max(len(levels), 1))
    lines = [
        "QRS F1 % of each record",
        f"{'record':<16}" + "".join(f"{n:>{width}}" for n in levels),
    ]
    for name, row in sorted(report["records"].items(), key=worst):
        values = [row[n]["qrs"]["f1"] if n in row else None for n in levels]
        lines.append(f"{name:<16}" + "".join(cell(value, width) for value in values))
    return lines
