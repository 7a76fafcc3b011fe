"""The command line: one thin file that knows every command.

What a command needs is imported when it is called, so ``wardbeat --help`` is instant on a Pi.
"""

from __future__ import annotations

import asyncio
import sys
from importlib.metadata import version
from pathlib import Path

import click

from agent.cli.analyze import analyze
from agent.cli.devices import devices
from agent.cli.faults import stop
from agent.cli.models import models
from agent.evaluate.commands import evaluate

FEED = "/run/wardbeat/feed.sock"


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


for command in (analyze, evaluate, models, devices):
    main.add_command(command)


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
