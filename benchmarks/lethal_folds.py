"""VF and VT as the whole unit tells them, on patients that its networks were not trained on.

    python -m benchmarks.lethal_folds DATA RHYTHM_WORK BEATS_WORK [--databases vfdb mitdb svdb]
        [--records 418 …] [--hops FOLDER]

The chain is that of ``wardbeat analyze``: rules and networks together, all leads. Each record is
judged with the lethal trunk and the beat network of the folds that left it out; ``RHYTHM_WORK`` and
``BEATS_WORK`` are where ``models.training.rhythm`` and ``.beats`` keep them. Seconds of the rhythm
in force are counted on vfdb and mitdb 207, alarms that nothing bears out on mitdb and svdb. The
rules' bounds and the QRS scorer were chosen on these records, see docs/rhythm.md.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.evaluate.lethal import false_lethal
from agent.evaluate.reference import VF, read_reference
from agent.networks import load as load_networks
from agent.rhythm.analyser import RhythmAnalyser
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import FindingKind, RhythmEvent
from benchmarks.beats_accuracy import bundle_of
from benchmarks.hop_cache import hops_of
from benchmarks.lethal_seconds import KINDS, Seconds, lethal_seconds
from benchmarks.qrs_records import records
from drivers.files import open_record
from models.runtime import OnnxBeats, OnnxRhythm
from models.training.lethal import fold_of

IN_SECONDS = ("vfdb/", "mitdb/207")


@dataclass(frozen=True, slots=True)
class Told:
    """One record."""

    name: str
    hours: float
    has_lethal: bool
    """VF, flutter or VT is annotated in it, as a rhythm or as beats."""
    seconds: Seconds
    false: list[tuple[FindingKind, float]]


def newest(folder: Path) -> Path:
    """The bundle of the highest version."""
    found = [path for path in folder.glob("*") if re.fullmatch(r"\d+\.\d+\.\d+", path.name)]
    return max(found, key=lambda path: [int(part) for part in path.name.split(".")])


def events_of(path: Path, rhythm: Path, beats: Path, cache: Path | None) -> list[RhythmEvent]:
    """What the unit says of a record."""
    stage2 = OnnxRhythm(newest(rhythm / f"fold_{fold_of(path.name)}" / "rhythm"))
    analyser = RhythmAnalyser(RhythmLimits(), stage2, OnnxBeats(bundle_of(beats, path.name)))
    events: list[RhythmEvent] = []
    for hop in hops_of(path, load_networks().quality, cache):
        events += analyser.push(hop)
    return events + analyser.flush()


def told(data: Path, name: str, rhythm: Path, beats: Path, cache: Path | None) -> Told:
    """Analyse and compare one record."""
    path = data / name
    with open_record(path) as record:
        duration_s, rate_hz = record.duration_s, record.rate_hz
    events = events_of(path, rhythm, beats, cache)
    reference = read_reference(path, rate_hz, duration_s)
    counted = name.startswith(IN_SECONDS)
    return Told(
        name,
        duration_s / 3600.0,
        bool(reference.labelled(*VF, "VT") or reference.fibrillation),
        lethal_seconds(reference, events, duration_s) if counted else Counter(),
        [] if name.startswith("vfdb") else false_lethal(reference, events),
    )


def share(part: int, whole: int) -> str:
    """Per cent, of nothing a dash."""
    return f"{100.0 * part / whole:8.1f}" if whole else f"{'-':>8}"


def row(name: str, count: Seconds) -> str:
    """One line of the table, see ``HEAD``."""

    def said(true: Iterable[str], kinds: Iterable[str] = KINDS) -> int:
        return sum(count[t, s] for t in true for s in kinds)

    lethal, calm = ("vf", "vt"), ("vt", "other")
    figures = (
        share(said(["vf"], ["vf"]), said(["vf"])),
        share(said(calm, calm), said(calm)),
        share(said(["other"], calm), said(["other"])),
        share(said(["vt"], ["vt"]), said(["vt"])),
        share(said(["vt"], ["vf"]), said(["vt"])),
        share(said(lethal, lethal), said(lethal)),
        share(said(["other"], ["other"]), said(["other"])),
    )
    return f"{name:<11}" + "".join(f"{said([k]):>7}" for k in KINDS) + "".join(figures)


HEAD = (
    f"{'record':<11}{'VF s':>7}{'VT s':>7}{'else s':>7}{'VF Se':>8}{'Sp':>8}{'Sp-VT':>8}"
    f"{'VT Se':>8}{'as VF':>8}{'both Se':>8}{'Sp':>8}"
)


def print_alarms(found: Sequence[Told]) -> None:
    """False VF and VT by the hour, without and with the records that have some."""
    for title, mine in (
        ("records without VF and VT", [one for one in found if not one.has_lethal]),
        ("all records", list(found)),
    ):
        hours = sum(one.hours for one in mine)
        false = [(one.name, kind.value, at_s) for one in mine for kind, at_s in one.false]
        lethal = [alarm for alarm in false if alarm[1] != FindingKind.ASYSTOLE.value]
        if hours:
            print(f"{title}: {len(lethal)} false VF or VT in {hours:.1f} h,", end=" ")
            print(f"{24.0 * len(lethal) / hours:.1f} per 24 h")
    for name, kind, at_s in false:
        print(f"    {name} {kind} at {at_s:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the databases")
    parser.add_argument("rhythm", type=Path, help="working folder of models.training.rhythm")
    parser.add_argument("beats", type=Path, help="working folder of models.training.beats")
    parser.add_argument("--databases", nargs="+", default=["vfdb", "mitdb", "svdb"])
    parser.add_argument("--records", nargs="+", help="only these")
    parser.add_argument("--hops", type=Path, help="folder to keep the signal chain's hops in")
    asked = parser.parse_args()
    found = []
    print(HEAD)
    for database in asked.databases:
        for name in records(asked.data, database):
            if asked.records and name not in asked.records:
                continue
            one = told(asked.data, f"{database}/{name}", asked.rhythm, asked.beats, asked.hops)
            found.append(one)
            if one.seconds:
                print(row(one.name, one.seconds), flush=True)
    print(row("gross", sum((one.seconds for one in found), Counter())))
    print_alarms([one for one in found if not one.name.startswith("vfdb")])


if __name__ == "__main__":
    main()
