"""How far the shown heart rate is from the rate of the expert's beats, second by second.

    python -m benchmarks.heart_rate DATA [--databases mitdb svdb] [--scorers 'qrs_{}.npz']

The reference is the expert's beats put through the same averaging rule (``agent/signal/rate.py``),
never cleared by a disturbance. First lead, the whole signal chain, stage 1 as the unit runs it.
``--scorers`` names one scorer for each fold of ``benchmarks.qrs_training --folds``: each record is
then judged by the scorer that never saw it. Without it the shipped scorer runs, which did see
these records. Seconds near annotated flutter or fibrillation are left out. Weak records first.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.evaluate.rates import rate_errors
from agent.networks import load
from agent.scoring import ReferenceBeats
from agent.signal.scorer import Scorer, load_scorer, shipped_scorer
from agent.signal.types import Hop, SignalState
from benchmarks.qrs_accuracy import (
    STRESS_DB,
    STRESS_RECORDS,
    hops_of,
    reference_of,
    stress_input,
)
from benchmarks.qrs_records import records
from benchmarks.qrs_training import FOLDS, fold_of
from drivers.files import open_record
from models.inference import QualityNetwork

MUST = (1.0, 4.0)
"""Median and 95th percentile of the error, beats per minute."""


@dataclass(frozen=True)
class Shown:
    """What one recording's rate was."""

    errors: NDArray[np.float64]
    """Per minute, of each second that has a shown and a reference rate."""
    seconds: int
    withheld: int
    """Seconds of a usable signal without a rate."""
    unusable: int
    shown_unusable: int
    """Seconds whose state was not usable and that showed a rate all the same."""

    @property
    def figures(self) -> tuple[float, float]:
        """Median and 95th percentile; of no errors both 0."""
        if not len(self.errors):
            return 0.0, 0.0
        median, high = np.percentile(self.errors, [50, 95])
        return float(median), float(high)


def shown(hops: list[Hop], reference: ReferenceBeats) -> Shown:
    """The rates of a recording's hops against its expert beats."""
    rated = [hop for hop in hops if hop.rate is not None]
    usable = [hop.state is SignalState.USABLE for hop in rated]
    told = [hop.rate is not None and hop.rate.bpm is not None for hop in rated]
    return Shown(
        rate_errors(hops, reference),
        len(rated),
        sum(good and not tells for good, tells in zip(usable, told, strict=True)),
        len(rated) - sum(usable),
        sum(tells and not good for good, tells in zip(usable, told, strict=True)),
    )


def pooled(runs: Mapping[str, Shown]) -> Shown:
    """All recordings together."""
    return Shown(
        np.concatenate([one.errors for one in runs.values()]),
        sum(one.seconds for one in runs.values()),
        sum(one.withheld for one in runs.values()),
        sum(one.unusable for one in runs.values()),
        sum(one.shown_unusable for one in runs.values()),
    )


def record_shown(
    data: Path, database: str, name: str, quality: QualityNetwork | None, scorer: Scorer
) -> Shown:
    """One record of a database, its first lead."""
    path = data / database / name
    with open_record(path) as record:
        counts = record.read(0, record.n_samples).counts[:, :1]
        reference = reference_of(path, record.rate_hz, record.duration_s)
        hops = hops_of(counts, record.rate_hz, record.leads[:1], quality, scorer)
    return shown(hops, reference)


def line(name: str, one: Shown) -> str:
    """One row of the table."""
    median, high = one.figures
    most = float(one.errors.max()) if len(one.errors) else 0.0
    return (
        f"{name:<12}{median:>8.2f}{high:>8.2f}{most:>8.1f}"
        f"{100 * one.withheld / max(one.seconds, 1):>10.1f}"
        f"{100 * one.unusable / max(one.seconds, 1):>10.1f}{one.shown_unusable:>8}"
    )


def table(runs: Mapping[str, Shown], most: int) -> str:
    """The worst records and all together, per minute and per cent of the seconds."""
    worst = sorted(runs.items(), key=lambda item: (-item[1].figures[1], -item[1].figures[0]))
    head = (
        f"{'record':<12}{'median':>8}{'95th':>8}{'most':>8}"
        f"{'withheld':>10}{'unusable':>10}{'false':>8}"
    )
    rows = [line(name, one) for name, one in worst[:most]]
    return "\n".join([head, *rows, line("all", pooled(runs))])


def main() -> None:
    """Measure; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--databases", nargs="*", default=["mitdb", "svdb"])
    parser.add_argument("--records", nargs="*", help="only these")
    parser.add_argument("--scorers", help="path of the folds' scorers, {} for the fold's number")
    parser.add_argument("--rules-only", action="store_true", help="leave stage 1 out")
    parser.add_argument("--worst", type=int, default=10, help="how many records to list")
    chosen = parser.parse_args()
    quality = None if chosen.rules_only else load().quality
    folds = [
        load_scorer(Path(chosen.scorers.format(k))) if chosen.scorers else shipped_scorer()
        for k in range(FOLDS)
    ]
    for database in chosen.databases:
        runs = {
            name: record_shown(
                chosen.data, database, name, quality, folds[fold_of(database, name, chosen.data)]
            )
            for name in records(chosen.data, database)
            if not chosen.records or name in chosen.records
        }
        if runs:
            print(f"== {database}")
            print(table(runs, chosen.worst), flush=True)
    for snr_db in () if chosen.records else STRESS_DB:
        noisy = {}
        for name in STRESS_RECORDS:
            counts, rate_hz, leads, reference = stress_input(chosen.data, name, snr_db)
            scorer = folds[fold_of("mitdb", name, chosen.data)]
            noisy[name] = shown(hops_of(counts, rate_hz, leads, quality, scorer), reference)
        print(f"== em noise, {snr_db:+.0f} dB")
        print(table(noisy, chosen.worst), flush=True)


if __name__ == "__main__":
    main()
