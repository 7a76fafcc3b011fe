"""How well and how fast the signal chain finds QRS complexes, on recordings with expert beats.

    python -m benchmarks.qrs_accuracy DATA [--databases mitdb svdb] [--leads 1] [--records 101 …]

Runs the whole signal chain as ``wardbeat analyze`` does (device counts in, hops out; no network),
and scores it after EC57: every beat, and without the first five minutes. The noise stress test
adds ``em`` to 118 and 119 by the book of ``nst``. Scorer and thresholds were trained on records
of these same databases: what they do on records never seen is what
``benchmarks.qrs_training --folds`` prints.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.evaluate.rates import rate_errors
from agent.evaluate.stress import noise_gain, noisy_spans
from agent.scoring import (
    LEARNING_S,
    BeatCounts,
    ReferenceBeats,
    compare_beats,
    reference_beats,
    summarise,
    table,
)
from agent.signal.chain import SignalChain
from agent.signal.scorer import Scorer
from agent.signal.types import Hop
from benchmarks.qrs_records import records
from drivers.files import microvolts, open_record
from drivers.files.annotations import read_annotations
from drivers.samples import Lead, SampleBlock, StreamInfo
from models.inference import QualityNetwork

BLOCK_S = 10
STRESS_DB = (6.0, 0.0, -6.0)
STRESS_RECORDS = ("118", "119")


@dataclass(frozen=True)
class Run:
    """What the chain made of one record."""

    counts: BeatCounts
    counts_learned: BeatCounts
    errors_s: NDArray[np.float64]
    lags_s: NDArray[np.float64]
    """Chain time from each R peak to the end of the hop that brought it, the start left out."""
    rate_errors: NDArray[np.float64]
    duration_s: float
    cpu_s: float


def reference_of(path: Path, rate_hz: float, duration_s: float) -> ReferenceBeats:
    """A record's expert beats."""
    marks = read_annotations(path.with_suffix(".atr"))
    return reference_beats(
        [m.sample for m in marks], [m.symbol for m in marks], rate_hz, duration_s
    )


def hops_of(
    counts: NDArray[np.int32],
    rate_hz: float,
    leads: tuple[Lead, ...],
    quality: QualityNetwork | None = None,
    scorer: Scorer | None = None,
) -> list[Hop]:
    """All hops of a recording, in blocks as a file is analysed."""
    chain = SignalChain(StreamInfo("file", "benchmark", rate_hz, leads), quality, scorer)
    block = int(rate_hz * BLOCK_S)
    hops: list[Hop] = []
    for first in range(0, len(counts), block):
        hops += chain.push(SampleBlock(first, counts[first : first + block], 0, rate_hz))
    return hops + chain.flush()


def run(
    counts: NDArray[np.int32], rate_hz: float, leads: tuple[Lead, ...], reference: ReferenceBeats
) -> Run:
    """Analyse and score one recording."""
    began = time.process_time()
    hops = hops_of(counts, rate_hz, leads)
    cpu_s = time.process_time() - began
    beats = [(qrs.time_s, hop.end_s - qrs.time_s) for hop in hops for qrs in hop.qrs]
    times = np.array([time_s for time_s, _ in beats])
    all_of, errors = compare_beats(reference, times)
    learned, _ = compare_beats(reference, times, learning_s=LEARNING_S)
    return Run(
        all_of.beats(),
        learned.beats(),
        errors,
        np.array([lag for time_s, lag in beats if time_s > 2.0]),
        rate_errors(hops, reference),
        len(counts) / rate_hz,
        cpu_s,
    )


def record_run(data: Path, database: str, name: str, leads: int) -> Run:
    """One record of a database."""
    path = data / database / name
    with open_record(path) as record:
        counts = record.read(0, record.n_samples).counts[:, :leads]
        reference = reference_of(path, record.rate_hz, record.duration_s)
        return run(counts, record.rate_hz, record.leads[:leads], reference)


def stress_run(data: Path, name: str, snr_db: float, kind: str = "em") -> Run:
    """One record of the noise stress test."""
    return run(*stress_input(data, name, snr_db, kind))


def stress_input(
    data: Path, name: str, snr_db: float, kind: str = "em"
) -> tuple[NDArray[np.int32], float, tuple[Lead, ...], ReferenceBeats]:
    """One record with noise in every other two minutes after the first five, at its own rate."""
    path = data / "mitdb" / name
    with open_record(path) as record:
        counts = record.read(0, record.n_samples).counts[:, :1]
        rate_hz, lead = record.rate_hz, record.leads[0]
        signal = microvolts(record.read(0, record.n_samples), record.leads)[:, 0]
        reference = reference_of(path, rate_hz, record.duration_s)
    with open_record(data / "nstdb" / kind) as record:
        noise = microvolts(record.read(0, record.n_samples), record.leads)[:, 0]
    normal = [
        round(t * rate_hz)
        for t, symbol in zip(reference.time_s.tolist(), reference.symbols, strict=True)
        if symbol in "NLR"
    ]
    gain = noise_gain(signal, np.array(normal), noise, snr_db, rate_hz)
    made = counts.astype(np.float64)
    for start, stop in noisy_spans(len(signal), rate_hz):
        made[start:stop, 0] += gain * noise[start:stop] / lead.microvolts_per_count
    return np.rint(made).astype(np.int32), rate_hz, (lead,), reference


def print_database(database: str, runs: dict[str, Run]) -> None:
    """Tables and figures of one database, worst records first."""
    print(f"== {database}: every beat counted")
    print(table({name: one.counts for name, one in runs.items()}))
    learned = summarise({name: one.counts_learned for name, one in runs.items()}).gross
    print(
        f"without the first five minutes: Se {100 * learned.sensitivity:.3f} "
        f"+P {100 * learned.predictivity:.3f}"
    )
    errors = np.concatenate([one.errors_s for one in runs.values()]) * 1000
    lags = np.concatenate([one.lags_s for one in runs.values()]) * 1000
    rates = np.concatenate([one.rate_errors for one in runs.values()])
    print(
        f"R peak: mean |error| {np.abs(errors).mean():.1f} ms, median {np.median(errors):+.1f} ms; "
        f"hop's end after R: mean {lags.mean():.0f} ms, longest {lags.max():.0f} ms"
    )
    print(
        f"heart rate against the expert's beats: median {np.median(rates):.1f}, "
        f"95th percentile {np.percentile(rates, 95):.1f} per min"
    )
    length = sum(one.duration_s for one in runs.values())
    cpu = sum(one.cpu_s for one in runs.values())
    print(f"{length / cpu:.0f} x real time on one core")


def main() -> None:
    """Measure; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--databases", nargs="*", default=["mitdb", "svdb"])
    parser.add_argument("--records", nargs="*", help="only these")
    parser.add_argument("--leads", type=int, default=1)
    parser.add_argument("--no-stress", action="store_true")
    chosen = parser.parse_args()
    for database in chosen.databases:
        names = [
            name
            for name in records(chosen.data, database)
            if not chosen.records or name in chosen.records
        ]
        runs = {n: record_run(chosen.data, database, n, chosen.leads) for n in names}
        if runs:
            print_database(database, runs)
    for snr_db in () if chosen.no_stress else STRESS_DB:
        runs = {n: stress_run(chosen.data, n, snr_db) for n in STRESS_RECORDS}
        gross = summarise({n: one.counts for n, one in runs.items()}).gross
        each = ", ".join(f"{n} {100 * one.counts.f1:.2f}" for n, one in runs.items())
        print(
            f"em {snr_db:+.0f} dB: F1 {100 * gross.f1:.2f} ({each}), "
            f"Se {100 * gross.sensitivity:.2f} +P {100 * gross.predictivity:.2f}"
        )


if __name__ == "__main__":
    main()
