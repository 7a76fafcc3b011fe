"""``wardbeat analyze``: recordings in, beats, rhythms and alarms out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli.faults import stop, warn
from agent.cli.models import registry

if TYPE_CHECKING:
    from agent.evaluate.judging import Judge
    from drivers.files import Record

LONG_RECORD_S = 120.0
"""Below this an analysis is over before a progress bar could be read."""


@dataclass(frozen=True, slots=True)
class _Recording:
    """What was given on the command line; picklable, for a process of its own."""

    path: str

    @property
    def name(self) -> str:
        """What its files will be called."""
        return Path(self.path).stem


@dataclass(frozen=True, slots=True)
class _Done:
    """What a person is told of a record: lines for the error stream, and its result."""

    warnings: tuple[str, ...]
    line: str


@dataclass(frozen=True, slots=True)
class _Analysis:
    """Analyses a recording and writes its files."""

    judge: Judge
    out: Path
    reading: dict[str, Any]
    """How to read it: the options of ``open_record``."""
    alone: bool
    """Whether the terminal is this process's own, for a progress bar."""

    def __call__(self, recording: _Recording) -> _Done:
        from agent.analyze import analyse, write
        from drivers.files import RecordError, open_record

        networks = self.judge.networks()
        with open_record(recording.path, **self.reading) as record:
            with self._progress(record) as progress:
                done = analyse(record, networks, progress=progress)
            try:
                result = write(done, networks, self.out)
            except OSError as error:
                raise RecordError(
                    f"its result cannot be written ({error.strerror})",
                    str(self.out),
                    "choose another --out, or make room",
                ) from error
        alarms = len(result["alarms"])
        return _Done(
            tuple(f"{record.address}: {warning}" for warning in record.warnings),
            f"{record.name}: rhythm {result['rhythm']}, {result['counts']['beats']} beats, "
            f"{alarms} alarm{'s' * (alarms != 1)} → {self.out / record.name}.json, .wb",
        )

    @contextmanager
    def _progress(self, record: Record) -> Iterator[Callable[[float], None]]:
        show = self.alone and record.duration_s >= LONG_RECORD_S and sys.stderr.isatty()
        with click.progressbar(
            length=round(record.duration_s), label=record.name, file=sys.stderr, hidden=not show
        ) as bar:
            yield lambda at_s: bar.update(round(at_s) - bar.pos)


@click.command()
@click.argument("records", nargs=-1, required=True, metavar="RECORD...")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option("--lead", "leads", multiple=True, help="Name or number (from 0) of a lead to use.")
@click.option("--rate", type=click.FloatRange(50, 5000), help="Hz, for a CSV that doesn't tell.")
@click.option("--unit", type=click.Choice(["mV", "uV", "V"]), help="Of a CSV that doesn't tell.")
@click.option("--partial", is_flag=True, help="Read what is there of a truncated record.")
@click.option("--rules-only", is_flag=True, help="Leave the networks out.")
@click.option("--models", "folder", type=click.Path(path_type=Path), help="A unit's models folder.")
@click.option("--jobs", type=click.IntRange(1, 256), default=1, help="So many processes at once.")
def analyze(
    records: tuple[str, ...],
    out: Path,
    leads: tuple[str, ...],
    rate: float | None,
    unit: str | None,
    partial: bool,
    rules_only: bool,
    folder: Path | None,
    jobs: int,
) -> None:
    """Analyse recordings through the very chain that runs at the bed.

    RECORD is a WFDB record (path without extension), an EDF+ or CSV file, or the log of a
    Shimmer3. Writes DIR/NAME.wb (WFDB annotations) and DIR/NAME.json for each.
    """
    from agent.evaluate.folder import EvaluateError
    from agent.evaluate.judging import Failure, Judge, outcomes

    judge = Judge(registry(None, folder) if folder else None, rules_only)
    for line in judge.networks().refused:
        warn(f"{line}; rules judge in its place")
    todo, failed = _by_name(records)
    reading = {"leads": leads or None, "rate_hz": rate, "unit": unit, "partial": partial}
    work = _Analysis(judge, out, reading, alone=jobs == 1)
    try:
        for told in outcomes(work, todo, jobs):
            if isinstance(told, Failure):
                failed += 1
                warn(told.error)
                continue
            for warning in told.warnings:
                warn(warning)
            click.echo(told.line)
    except EvaluateError as error:
        stop(str(error))
    if failed:
        sys.exit(1)


def _by_name(records: tuple[str, ...]) -> tuple[list[_Recording], int]:
    """Those to analyse, and how many can't be: files of one name would replace each other."""
    first: dict[str, _Recording] = {}
    for path in records:
        recording = _Recording(path)
        if first.setdefault(recording.name, recording) is not recording:
            warn(
                f"{path}: {first[recording.name].path} has the same name, so their files would "
                "replace each other; analyse one of them with another --out"
            )
    return list(first.values()), len(records) - len(first)
