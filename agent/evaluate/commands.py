"""The command line of ``wardbeat evaluate``; what a command needs is imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.evaluate.judging import Judge


@click.group()
def evaluate() -> None:
    """Measure beats, rhythm and alarms on annotated recordings.

    Everything runs through the very chain of `wardbeat analyze`. See docs/evaluate.md.
    """


def _common(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every evaluation."""
    options = (
        click.argument("folder", metavar="DIR", type=click.Path(path_type=Path)),
        click.option("--records", multiple=True, metavar="NAMES", help="Only these: 100,103."),
        click.option("--lead", "leads", multiple=True, help="Name or number (from 0); else all."),
        click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write it here."),
        click.option(
            "--jobs", type=click.IntRange(1, 256), default=1, help="So many processes at once."
        ),
        click.option("--models", type=click.Path(path_type=Path), help="A unit's models folder."),
        click.option("--rules-only", is_flag=True, help="Leave the networks out."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@evaluate.command("beats")
@_common
@click.option("--whole", is_flag=True, help="Count the first five minutes, too.")
def evaluate_beats(folder: Path, whole: bool, **chosen: Any) -> None:
    """QRS, VEB, SVEB, heart rate by ANSI/AAMI EC57.

    DIR holds WFDB records with annotated beats (RECORD.atr).
    """
    from agent.evaluate import beats
    from agent.evaluate.folder import annotated, entries

    with _faults(chosen["json_file"]):
        judge, only = _judge(**chosen), _names(chosen["records"])
        todo, without = annotated(entries(folder, only), folder, named=bool(only))
        _warn(without)
        with _progress(len(todo)) as progress:
            report = beats.evaluate(
                todo, folder, judge, whole=whole, processes=chosen["jobs"], progress=progress
            )
        _tell(report, beats.text, chosen["json_file"])


@evaluate.command("rhythm")
@_common
def evaluate_rhythm(folder: Path, **chosen: Any) -> None:
    """Record classes (CinC 2017); AF, VT and VF episodes.

    DIR holds WFDB records and REFERENCE.csv, or annotated rhythms (RECORD.atr).
    """
    from agent.evaluate import rhythm
    from agent.evaluate.folder import entries

    with _faults(chosen["json_file"]):
        judge = _judge(**chosen)
        todo, without = rhythm.tasks(entries(folder, _names(chosen["records"])), folder)
        _warn(without)
        with _progress(len(todo)) as progress:
            report = rhythm.evaluate(
                todo, folder, judge, processes=chosen["jobs"], progress=progress
            )
        _tell(report, rhythm.text, chosen["json_file"])


@evaluate.command("alarms")
@_common
def evaluate_alarms(folder: Path, **chosen: Any) -> None:
    """CinC 2015's score; false lethal alarms per 24 h.

    DIR holds WFDB records with an alarm at their end (ALARMS.csv, or the headers' comments), or
    with annotated beats (RECORD.atr).
    """
    from agent.evaluate import alarms
    from agent.evaluate.folder import entries

    with _faults(chosen["json_file"]):
        judge = _judge(**chosen)
        todo, without = alarms.tasks(entries(folder, _names(chosen["records"])), folder)
        _warn(without)
        with _progress(len(todo)) as progress:
            report = alarms.evaluate(
                todo, folder, judge, processes=chosen["jobs"], progress=progress
            )
        _tell(report, alarms.text, chosen["json_file"])


@evaluate.command("noise")
@_common
@click.option("--noise", "asked", type=click.Path(path_type=Path), help="Folder of noise records.")
@click.option(
    "--kind", default="em", show_default=True, help="Noise record: em, bw, ma, or your own."
)
@click.option("--snr", type=float, multiple=True, help="dB; without it 24 18 12 6 0 -6.")
def evaluate_noise(
    folder: Path, asked: Path | None, kind: str, snr: tuple[float, ...], **chosen: Any
) -> None:
    """Beats with noise added (MIT-BIH noise stress test).

    DIR holds clean WFDB records with annotated beats (RECORD.atr).
    """
    from agent.evaluate import noise
    from agent.evaluate.folder import annotated, entries

    with _faults(chosen["json_file"]):
        judge, only = _judge(**chosen), _names(chosen["records"])
        found, without = annotated(entries(folder, only), folder, named=bool(only))
        place = noise.noise_folder(folder, asked, kind)
        todo = noise.tasks(found, snr or noise.SNR_DB, place)
        _warn(without)
        with _progress(len(todo)) as progress:
            report = noise.evaluate(
                todo, folder, judge, place / kind, processes=chosen["jobs"], progress=progress
            )
        _tell(report, noise.text, chosen["json_file"])


def _names(given: Sequence[str]) -> list[str]:
    return [name for text in given for name in text.replace(",", " ").split()]


def _judge(leads: tuple[str, ...], rules_only: bool, models: Path | None, **_: Any) -> Judge:
    from agent.evaluate.folder import EvaluateError
    from agent.evaluate.judging import Judge
    from models.registry import Registry

    if models is not None and not models.is_dir():
        raise EvaluateError(f"{models}: no such models folder; leave --models out")
    judge = Judge(Registry(models) if models is not None else None, rules_only, leads)
    _warn([f"{line}; rules judge in its place" for line in judge.networks().refused])
    return judge


@contextmanager
def _faults(json_file: Path | None) -> Iterator[None]:
    """What stops an evaluation, as one line; first of all a JSON file that can't be written."""
    from agent.evaluate.figures import check_place
    from agent.evaluate.folder import EvaluateError
    from drivers.files import RecordError

    try:
        check_place(json_file)
        yield
    except (EvaluateError, RecordError) as error:
        _stop(str(error))


@contextmanager
def _progress(count: int) -> Iterator[Callable[[int], None]]:
    """A bar where somebody looks."""
    shown = count > 1 and sys.stderr.isatty()
    with click.progressbar(length=count, file=sys.stderr, hidden=not shown) as bar:
        yield lambda done: bar.update(done - bar.pos)


def _tell(
    report: Mapping[str, Any],
    text: Callable[[Mapping[str, Any]], Sequence[str]],
    json_file: Path | None,
) -> None:
    """Text out, JSON where it is wanted; exit status 1 where a record failed, 2 where all did."""
    from agent.evaluate.figures import write_json

    failed = report["failed"]
    _warn([failure["error"] for failure in failed])
    if failed and not report["records"]:
        _stop("no record could be evaluated")
    click.echo("\n".join(text(report)))
    if json_file is not None:
        write_json(report, json_file)
    if failed:
        names = ", ".join(failure["record"] for failure in failed)
        _warn([f"{len(failed)} of {len(failed) + len(report['records'])} records failed: {names}"])
        sys.exit(1)


def _warn(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(f"wardbeat: {line}", err=True)


def _stop(message: str) -> NoReturn:
    click.echo(f"wardbeat: {message}", err=True)
    sys.exit(2)
