"""The command line: one thin file that knows every command.

What a command needs is imported when it is called, so ``wardbeat --help`` is instant on a Pi.
"""

from __future__ import annotations

import asyncio
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.devices import devices
from agent.cli.faults import stop
from agent.cli.models import models, registry
from agent.evaluate.commands import evaluate

if TYPE_CHECKING:
    from drivers.files import Record

FEED = "/run/wardbeat/feed.sock"
LONG_RECORD_S = 120.0
"""Below this an analysis is over before a progress bar could be read."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("wardbeat"), prog_name="wardbeat")
def main() -> None:
    """A Raspberry Pi and an ECG device as a bedside monitor. Not a certified medical device."""


@main.command()
@click.option(
    "--scenario", default="default", show_default=True, help="A name of --list, or a TOML file."
)
@click.option("--record", help="Play this recording (WFDB, EDF+ or CSV) instead of a scenario.")
@click.option("--port", type=click.IntRange(1, 65535), help="TCP port of the demo's MQTT broker.")
@click.option("--data", type=click.Path(path_type=Path), help="Keep everything in this folder.")
@click.option("--seconds", type=click.FloatRange(min=1), help="Stop by itself after this time.")
@click.option("--list", "list_scenarios", is_flag=True, help="List the scenarios and stop.")
def demo(
    scenario: str,
    record: str | None,
    port: int | None,
    data: Path | None,
    seconds: float | None,
    list_scenarios: bool,
) -> None:
    """Show a bed with a simulated device, on a broker of its own.

    Without a terminal (output piped) vitals and alarms are printed as lines.
    """
    from drivers.samples import DriverError
    from drivers.scenario import load_scenario, scenario_names

    if list_scenarios:
        for name, text in scenario_names().items():
            click.echo(f"{name:28} {text}")
        return
    from agent.demo import DemoError, running

    try:
        load_scenario(scenario)
        with running(scenario, record, port, data) as started:
            subscribe = f"mosquitto_sub -p {started.port} -t 'wardbeat/v1/#' -v"
            click.echo(f"Any MQTT client can listen in: {subscribe}", err=True)
            _watch(started.feed, None, seconds, sound=True)
    except (DemoError, DriverError) as error:
        stop(str(error))


@main.command()
@click.option("--config", type=click.Path(path_type=Path), required=True, help="unit.toml")
def run(config: Path) -> None:
    """Run the unit: all beds of a configuration, until told to stop."""
    from agent.config import ConfigError
    from agent.unit import UnitError, run_unit

    try:
        run_unit(config)
    except (ConfigError, UnitError) as error:
        stop(str(error))


@main.command()
@click.option("--feed", default=FEED, show_default=True, help="The unit's feed socket.")
@click.option("--bed", help="Which bed; without it the first one.")
@click.option("--no-sound", is_flag=True, help="Never ring the terminal's bell.")
@click.option("--cell-mm", type=click.FloatRange(0.5, 6), help="Width of a character, mm.")
@click.option("--seconds", type=click.FloatRange(min=1), help="Stop by itself after this time.")
def monitor(
    feed: str, bed: str | None, no_sound: bool, cell_mm: float | None, seconds: float | None
) -> None:
    """Show a bed of the unit on this machine. Closing it never stops the unit."""
    _watch(Path(feed), bed, seconds, sound=not no_sound, cell_mm=cell_mm)


def _watch(
    feed: Path,
    bed: str | None,
    seconds: float | None,
    *,
    sound: bool,
    cell_mm: float | None = None,
) -> None:
    """The screen on a terminal, lines elsewhere."""
    if sys.stdout.isatty():
        from tui.bedside.app import Options, run_monitor
        from tui.widgets.raster import CELL_WIDTH_MM

        width_mm = cell_mm or CELL_WIDTH_MM
        run_monitor(str(feed), Options(bed, sound, width_mm, seconds=seconds))
    else:
        from sync.feed import FeedClient
        from tui.lines import print_lines

        async def lines() -> None:
            try:
                async with asyncio.timeout(seconds):
                    await print_lines(FeedClient(feed), sys.stdout, bed)
            except TimeoutError:
                return

        try:
            asyncio.run(lines())
        except (KeyboardInterrupt, BrokenPipeError):
            return


@main.command()
@click.argument("records", nargs=-1, required=True, metavar="RECORD...")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option("--lead", "leads", multiple=True, help="Name or number (from 0) of a lead to use.")
@click.option("--rate", type=click.FloatRange(50, 5000), help="Hz, for a CSV that doesn't tell.")
@click.option("--unit", type=click.Choice(["mV", "uV", "V"]), help="Of a CSV that doesn't tell.")
@click.option("--partial", is_flag=True, help="Read what is there of a truncated record.")
@click.option("--rules-only", is_flag=True, help="Leave the networks out.")
@click.option("--models", "folder", type=click.Path(path_type=Path), help="A unit's models folder.")
def analyze(
    records: tuple[str, ...],
    out: Path,
    leads: tuple[str, ...],
    rate: float | None,
    unit: str | None,
    partial: bool,
    rules_only: bool,
    folder: Path | None,
) -> None:
    """Analyse recordings through the very chain that runs at the bed.

    RECORD is a WFDB record (path without extension), an EDF+ or CSV file, or the log of a
    Shimmer3. Writes DIR/NAME.wb (WFDB annotations) and DIR/NAME.json for each.
    """
    from agent.networks import Networks, load
    from drivers.files import RecordError, open_record

    networks = Networks() if rules_only else load(registry(None, folder) if folder else None)
    for line in networks.refused:
        click.echo(f"wardbeat: {line}; rules judge in its place", err=True)
    failed = 0
    for path in records:
        try:
            with open_record(
                path, leads=leads or None, rate_hz=rate, unit=unit, partial=partial
            ) as record:
                _analyse_one(record, networks, out)
        except RecordError as error:
            failed += 1
            click.echo(f"wardbeat: {error}", err=True)
    if failed:
        sys.exit(1)


def _analyse_one(record: Record, networks: object, out: Path) -> None:
    from agent.analyze import analyse, write
    from agent.networks import Networks

    assert isinstance(networks, Networks)  # noqa: S101 - narrows for the type checker
    for warning in record.warnings:
        click.echo(f"wardbeat: {record.address}: {warning}", err=True)
    show = record.duration_s >= LONG_RECORD_S and sys.stderr.isatty()
    with click.progressbar(
        length=round(record.duration_s), label=record.name, file=sys.stderr, hidden=not show
    ) as bar:
        done = analyse(record, networks, progress=lambda at_s: bar.update(round(at_s) - bar.pos))
    result = write(done, networks, out)
    alarms = len(result["alarms"])
    click.echo(
        f"{record.name}: rhythm {result['rhythm']}, {result['counts']['beats']} beats, "
        f"{alarms} alarm{'s' * (alarms != 1)} → {out / record.name}.json, .wb"
    )


for group in (evaluate, models, devices):
    main.add_command(group)


@main.group()
def export() -> None:
    """Take out what a unit has stored, for other programs."""


@export.command("feedback")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--data",
    "store",
    type=click.Path(path_type=Path),
    required=True,
    help="The unit's data folder, or its database; a running unit is not disturbed.",
)
def export_feedback(out: Path, store: Path) -> None:
    """Write every judged alarm to the folder OUT as a WFDB record with annotations."""
    from agent.feedback_export import ExportError
    from agent.feedback_export import export_feedback as write
    from agent.store import StoreError

    try:
        count = write(store, out)
    except (ExportError, StoreError) as error:
        stop(str(error))
    click.echo(f"{out}: {count} judged alarm{'s' * (count != 1)}")


if __name__ == "__main__":
    main()
