"""Writes ``docs/performance.md`` out of what the benchmarks print.

    python -m benchmarks.report DATA --kept FOLDER [--run peers beds …] [--out docs/performance.md]

``--kept`` holds each part's last output, one text file a part; ``--run`` makes the named parts anew
(``all``: every one, about an hour on four cores; cost and speed want a quiet machine). The page is
put together of what is kept, so a part can be renewed alone; a part that was never run says so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill


@dataclass(frozen=True)
class Part:
    """One benchmark and what a reader must know of its figures."""

    name: str
    title: str
    arguments: tuple[str, ...]
    """Of ``python -m``; ``DATA``, ``WORK``, ``RHYTHM``: recordings, folds of both trainings."""
    reading: str


PARTS = (
    Part(
        "rhythm",
        "Alarms and rhythms",
        ("benchmarks.rhythm_accuracy", "DATA", "--jobs", "2"),
        "**In sample** for the rules' bounds, which were chosen on these recordings (the local "
        "two thirds of CinC 2015, half of vfdb), and for the lethal trunk, which was trained on "
        "every vfdb patient here. The beat network never saw CinC 2015. Must of CinC 2015: 70, "
        "goal 82; best published 81.4, with pressure and pleth beside the ECG.",
    ),
    Part(
        "lethal",
        "VF and VT, patient-wise",
        ("benchmarks.lethal_folds", "DATA", "RHYTHM", "WORK"),
        "**Cross-validated by patient** for the networks: the whole unit, each patient judged with "
        "the lethal trunk and the beat network of the folds that left that patient out. The rules' "
        "bounds were chosen on these same patients. Must: VF / flutter Se 90, Sp 97; one false VF "
        "or VT in 24 h. Published: 4 s segments, Se 99.7, Sp 98.9 (Picon 2019); AHA's floor "
        "90 / 95.",
    ),
    Part(
        "record",
        "CinC 2017: the record's word",
        ("benchmarks.record_rhythm", "DATA"),
        "Records that stage 1 and stage 2 never saw; `cross-validated` leaves each out of the "
        "word's own fit, too. Must: mean F1 of N, A, O 0.83, of noise 0.65; goals 0.87 and 0.75. "
        "The challenge's four winners on its hidden records: 0.83.",
    ),
    Part(
        "beats",
        "Beat classes, end to end",
        ("benchmarks.beats_accuracy", "DATA", "WORK"),
        "**Cross-validated** for the beat network: each record by a network that has not seen it; "
        "the QRS scorer has. Must: VEB 90 / 90, SVEB F1 0.60. Published on the other half of "
        "mitdb: VEB 96.7 / 99.2 (Krasteva 2015), 77.7 / 81.9 (de Chazal 2004); SVEB F1 0.62-0.77.",
    ),
    Part(
        "rate",
        "Shown heart rate",
        ("benchmarks.heart_rate", "DATA"),
        "**In sample** for the QRS scorer (with `--scorers` the folds' scorers judge the records "
        "they have not seen). Must: median 1, 95th percentile 4 per minute.",
    ),
    Part(
        "qrs",
        "QRS",
        ("benchmarks.qrs_accuracy", "DATA"),
        "**In sample** for the scorer; the cross-validated figures are in docs/signal.md. Open C "
        "code (`gqrs`) on all 48 records: 99.74 / 99.72; its F1 in `em` noise 81.6 / 73.1 / 68.7.",
    ),
    Part(
        "networks",
        "The networks: int8 against fp32, cost",
        ("benchmarks.networks", "DATA"),
        "Held-out records of CinC 2017. Must: 0.5 points lost to int8, 3 MB in all, 2 ms per "
        "second of ECG; goal 0, 1 MB, 0.2 ms. Accuracy by class: docs/models.md.",
    ),
    Part(
        "peers",
        "Beside its peers",
        ("benchmarks.peers", "DATA"),
        "One core, the same ten records, one after another. **Ours was trained on them**; its "
        "peers were not. Must for the whole chain on a file: 500 x real time, goal 5,000 x.",
    ),
    Part(
        "beds",
        "Live beds on one core",
        ("benchmarks.beds", "DATA"),
        "Must: 64 beds with a p99 of a block of 100 ms at most; goal 256. Per bed 1 % of a core.",
    ),
)

HEAD = """# Performance

Written by `python -m benchmarks.report`; each part names the command that prints it. What is cross-
validated, held out or in sample is said beside every figure: a figure of records that something was
tuned on flatters, and a low base rate ruins precision, so look at false alarms per 24 h beside
every sensitivity. Within a table the weakest rows come first. Cross-validated QRS figures are in
[signal.md](signal.md), those of the networks in [models.md](models.md), which bounds were chosen
where in [rhythm.md](rhythm.md). Speed was measured on a shared server core; nothing here was
measured on a Pi.

"""


def kept(folder: Path, part: Part) -> Path:
    """Where a part's output lies."""
    return folder / f"{part.name}.txt"


def renew(part: Part, data: Path, work: Path, folder: Path) -> None:
    """Run a part and keep what it prints."""
    stand_in = {"DATA": str(data), "WORK": str(work / "beats"), "RHYTHM": str(work / "rhythm")}
    command = [sys.executable, "-m", *(stand_in.get(word, word) for word in part.arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word why"])[-1]
        raise SystemExit(f"benchmarks.report: {part.name} failed: {last}")
    kept(folder, part).write_text(done.stdout)


def page(folder: Path) -> str:
    """The whole page."""
    out = HEAD
    for part in PARTS:
        command = "python -m " + " ".join(part.arguments)
        path = kept(folder, part)
        figures = path.read_text().rstrip() if path.is_file() else "not measured yet"
        out += f"## {part.title}\n\n`{command}`\n\n{fill(part.reading, 100)}\n\n"
        out += f"```text\n{figures}\n```\n\n"
    profile = folder / "profile.md"
    if profile.is_file():
        out += profile.read_text()
    return out.rstrip() + "\n"


def main() -> None:
    """Renew what is asked for and write the page."""
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the databases")
    parser.add_argument("--kept", type=Path, required=True, help="folder of the parts' output")
    parser.add_argument("--run", nargs="*", default=[], choices=[*names, "all"])
    parser.add_argument("--work", type=Path, default=Path("scratch/networks"))
    parser.add_argument("--out", type=Path, default=Path("docs/performance.md"))
    chosen = parser.parse_args()
    chosen.kept.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if part.name in chosen.run or "all" in chosen.run:
            print(f"{part.name} …", flush=True)
            renew(part, chosen.data, chosen.work, chosen.kept)
    chosen.out.write_text(page(chosen.kept))


if __name__ == "__main__":
    main()
