"""Beat classes end to end, on records that the beat network was not trained on.

    python -m benchmarks.beats_accuracy DATA WORK [--databases mitdb svdb] [--records 208 …]
        [--hops FOLDER]

``WORK`` is where ``models.training.beats`` keeps its folds: each record is analysed by the whole
chain (first lead; own detector, gate and classes) with the bundle of the fold that left it out,
and scored after EC57. The QRS scorer was trained on these records, see docs/signal.md. ``--hops``
keeps what the signal chain gave of the first lead: a second run needs the rhythm analysis only.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from agent.networks import Networks
from agent.networks import load as load_networks
from agent.rhythm.analyser import RhythmAnalyser
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Beat, RhythmEvent
from agent.scoring import LEARNING_S, Confusion, compare_beats, summarise, table
from agent.signal.chain import SignalChain
from agent.signal.types import Hop
from benchmarks.hop_cache import digest, load, save
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


def first_lead_hops(path: Path, networks: Networks, cache: Path | None) -> list[Hop]:
    """What the signal chain makes of the first lead, out of the cache where it is there."""
    kept = None
    if cache is not None:
        kept = cache / f"lead1_{digest(networks.quality)}" / f"{path.parent.name}_{path.name}.npz"
        if kept.exists():
            return load(kept)
    with open_record(path) as record:
        counts = record.read(0, record.n_samples).counts[:, :1]
        rate_hz, leads = record.rate_hz, record.leads[:1]
    chain = SignalChain(StreamInfo("file", "benchmark", rate_hz, leads), networks.quality)
    block = int(rate_hz * BLOCK_S)
    hops: list[Hop] = []
    for first in range(0, len(counts), block):
        hops += chain.push(SampleBlock(first, counts[first : first + block], 0, rate_hz))
    hops += chain.flush()
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        save(kept, hops)
    return hops


def beats_of(path: Path, networks: Networks, cache: Path | None = None) -> list[Beat]:
    """The beats that the chain finds in the first lead."""
    analyser = RhythmAnalyser(RhythmLimits(), networks.rhythm, networks.beats)
    events: list[RhythmEvent] = []
    for hop in first_lead_hops(path, networks, cache):
        events += analyser.push(hop)
    return [event for event in [*events, *analyser.flush()] if isinstance(event, Beat)]


def score(job: tuple[Path, str, str, Path, Path | None]) -> tuple[str, str, Confusion, Confusion]:
    """One record: its confusion over all beats, and after the learning period."""
    data, database, name, work, cache = job
    networks = replace(load_networks(), beats=OnnxBeats(bundle_of(work, name)))
    path = data / database / name
    beats = beats_of(path, networks, cache)
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
    parser.add_argument("--hops", type=Path, help="folder to keep the signal chain's hops in")
    asked = parser.parse_args()
    jobs = [
        (asked.data, database, name, asked.work, asked.hops)
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
