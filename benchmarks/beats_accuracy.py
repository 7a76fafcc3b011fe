"""Beat classes end to end, on records that the beat network was not trained on.

    python -m benchmarks.beats_accuracy DATA WORK [--databases mitdb svdb] [--records 208 …]

``WORK`` is where ``models.training.beats`` keeps its folds: each record is analysed by the whole
chain (first lead; own detector, gate and classes) with the bundle of the fold that left it out,
and scored after EC57. The QRS scorer was trained on these records, see docs/signal.md.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from agent.chain import Chain
from agent.networks import Networks
from agent.networks import load as load_networks
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Beat
from agent.scoring import LEARNING_S, Confusion, compare_beats, summarise, table
from benchmarks.qrs_accuracy import BLOCK_S, reference_of
from benchmarks.qrs_records import records
from drivers.files import open_record
from drivers.samples import SampleBlock, StreamInfo
from models.runtime import OnnxBeats
from models.training.datasets import PACED, fold

CLASSES = ("N", "S", "V", "F", "Q", "O")


def bundle_of(work: Path, record: str) -> Path:
    """The newest bundle that was not trained on the record."""
    found = [
        path
        for path in (work / f"fold_{fold(record)}" / "beats").glob("*")
        if re.fullmatch(r"\d+\.\d+\.\d+", path.name)
    ]
    return max(found, key=lambda path: [int(part) for part in path.name.split(".")])


def beats_of(path: Path, networks: Networks) -> list[Beat]:
    """The beats that the chain finds in the first lead."""
    with open_record(path) as record:
        counts = record.read(0, record.n_samples).counts[:, :1]
        rate_hz, leads = record.rate_hz, record.leads[:1]
    chain = Chain(StreamInfo("file", "benchmark", rate_hz, leads), RhythmLimits(), networks)
    block = int(rate_hz * BLOCK_S)
    events: list[object] = []
    for first in range(0, len(counts), block):
        for step in chain.push(SampleBlock(first, counts[first : first + block], 0, rate_hz)):
            events += step.events
    steps, last = chain.flush()
    for step in steps:
        events += step.events
    return [event for event in [*events, *last] if isinstance(event, Beat)]


def score(job: tuple[Path, str, str, Path]) -> tuple[str, str, Confusion, Confusion]:
    """One record: its confusion over all beats, and after the learning period."""
    data, database, name, work = job
    networks = replace(load_networks(), beats=OnnxBeats(bundle_of(work, name)))
    path = data / database / name
    beats = beats_of(path, networks)
    with open_record(path) as record:
        reference = reference_of(path, record.rate_hz, record.duration_s)
    times, kinds = [beat.time_s for beat in beats], [beat.kind.value for beat in beats]
    all_of, _ = compare_beats(reference, times, kinds)
    learned, _ = compare_beats(reference, times, kinds, learning_s=LEARNING_S)
    return database, name, all_of, learned


def print_database(title: str, found: Mapping[str, Confusion]) -> None:
    """Per record the worst first, then gross, and the confusion of all beats."""
    for kind, name in (("V", "VEB"), ("S", "SVEB")):
        counts = {record: confusion.of_class(kind) for record, confusion in found.items()}
        gross = summarise(counts).gross
        print(f"\n{title}, {name}: F1 {100 * gross.f1:.2f} %\n{table(counts)}")
    pooled = sum(found.values(), Confusion({}))
    print(f"\n{title}, rows the expert's class, columns ours")
    print(" " * 4 + "".join(f"{kind:>9}" for kind in CLASSES))
    for row in CLASSES:
        print(f"{row:<4}" + "".join(f"{pooled.counts.get((row, c), 0):>9}" for c in CLASSES))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the databases")
    parser.add_argument("work", type=Path, help="working folder of models.training.beats")
    parser.add_argument("--databases", nargs="+", default=["mitdb", "svdb"])
    parser.add_argument("--records", nargs="+")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    jobs = [
        (asked.data, database, name, asked.work)
        for database in asked.databases
        for name in records(asked.data, database)
        if name not in PACED and (not asked.records or name in asked.records)
    ]
    with ProcessPoolExecutor(asked.processes) as pool:
        found = list(pool.map(score, jobs))
    for database in asked.databases:
        mine = [row for row in found if row[0] == database]
        print_database(f"{database}, all beats", {name: c for _, name, c, _ in mine})
        print_database(f"{database}, after five minutes", {name: c for _, name, _, c in mine})


if __name__ == "__main__":
    main()
