"""The command line: one thin file that knows every command.

What a command needs is imported when it is called, so ``wardbeat --help`` is instant on a Pi.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from agent.evaluate.commands import evaluate

if TYPE_CHECKING:
    from drivers.commands import Device
    from drivers.files import Record
    from models.registry import Registry

T = TypeVar("T")

FEED = "/run/wardbeat/feed.sock"
CONFIG = "/etc/wardbeat/unit.toml"
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
        _stop(str(error))


@main.command()
@click.option("--config", type=click.Path(path_type=Path), required=True, help="unit.toml")
def run(config: Path) -> None:
    """Run the unit: all beds of a configuration, until told to stop."""
    from agent.config import ConfigError
    from agent.unit import UnitError, run_unit

    try:
        run_unit(config)
    except (ConfigError, UnitError) as error:
        _stop(str(error))


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

    networks = Networks() if rules_only else load(_registry(None, folder) if folder else None)
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


main.add_command(evaluate)


@main.group()
def models() -> None:
    """The networks: which there are, which are in use; install, promote, take back, try out."""


def _registry_options(command: Callable[..., None]) -> Callable[..., None]:
    """Which unit's networks: its configuration, or the folder alone."""
    for option in (
        click.option("--config", type=click.Path(path_type=Path), help=f"unit.toml; else {CONFIG}"),
        click.option("--folder", type=click.Path(path_type=Path), help="The models folder itself."),
    ):
        command = option(command)
    return command


def _registry(config: Path | None, folder: Path | None) -> Registry:
    """The registry the options name; without any, the shipped networks."""
    from agent.config import ConfigError, load
    from models.registry import Registry

    if config is None and folder is None and Path(CONFIG).is_file():
        config = Path(CONFIG)
    if config is None:
        return Registry(folder)
    try:
        known = load(config).registry()
    except ConfigError as error:
        _stop(str(error))
    return known if folder is None else Registry(folder, known.trust)


def _models_work(work: Callable[..., None], *arguments: Any) -> None:
    """Do it; its faults as one line."""
    from models.commands import Fault

    try:
        work(*arguments, click.echo)
    except Fault as error:
        _stop(str(error))


@models.command("list")
@_registry_options
def models_list(config: Path | None, folder: Path | None) -> None:
    """List the bundles; * marks the one in use, ~ the one tried in its shadow."""
    from models import commands

    _models_work(commands.list_bundles, _registry(config, folder))


@models.command("show")
@click.argument("name")
@click.argument("version", required=False)
@_registry_options
def models_show(name: str, version: str | None, config: Path | None, folder: Path | None) -> None:
    """Show the card of a bundle (without VERSION: the one in use) and who changed what."""
    from models import commands

    _models_work(commands.show, _registry(config, folder), name, version)


@models.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@_registry_options
def models_verify(bundle: Path, config: Path | None, folder: Path | None) -> None:
    """Check a bundle folder: hash, input contract, signature, and that the graph runs."""
    from models import commands

    _models_work(commands.verify, _registry(config, folder), bundle)


@models.command("install")
@click.argument("bundle", type=click.Path(path_type=Path))
@_registry_options
def models_install(bundle: Path, config: Path | None, folder: Path | None) -> None:
    """Add a bundle (folder, .zip or .tar.gz) to the unit; `promote` then uses it."""
    from models import commands

    _models_work(commands.install, _registry(config, folder), bundle)


@models.command("promote")
@click.argument("name")
@click.argument("version")
@_registry_options
def models_promote(name: str, version: str, config: Path | None, folder: Path | None) -> None:
    """Use this version; a running unit takes it up within seconds, without losing a sample."""
    from models import commands

    _models_work(commands.promote, _registry(config, folder), name, version)


@models.command("rollback")
@click.argument("name")
@_registry_options
def models_rollback(name: str, config: Path | None, folder: Path | None) -> None:
    """Go back to what ran before the last promote."""
    from models import commands

    _models_work(commands.rollback, _registry(config, folder), name)


@models.command("shadow")
@click.argument("name")
@click.argument("version", required=False)
@click.option("--off", is_flag=True, help="End the trial.")
@_registry_options
def models_shadow(
    name: str, version: str | None, off: bool, config: Path | None, folder: Path | None
) -> None:
    """Run VERSION beside the one in use: it raises no alarm, its disagreements are stored."""
    from models import commands

    if off == (version is not None):
        _stop("give a VERSION to try, or --off to end the trial")
    _models_work(commands.shadow, _registry(config, folder), name, version or "")


@models.command("trials")
@click.option(
    "--data",
    "store",
    type=click.Path(path_type=Path),
    required=True,
    help="The unit's data folder, or its database; a running unit is not disturbed.",
)
@click.option("--newest", default=20, show_default=True, help="Show so many single cases.")
def models_trials(store: Path, newest: int) -> None:
    """Show how candidates in shadow did: hours run, what they said otherwise, newest cases."""
    from agent.shadow_report import shadow_report
    from agent.store import StoreError

    try:
        lines = shadow_report(store, newest=newest)
    except StoreError as error:
        _stop(str(error))
    click.echo("\n".join(lines))


@models.command("keygen")
@click.argument("key", type=click.Path(path_type=Path))
def models_keygen(key: Path) -> None:
    """Make a private key to sign bundles with, and print its public half."""
    from models import commands

    _models_work(commands.keygen, key)


@models.command("sign")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), required=True, help="Of `keygen`.")
def models_sign(bundle: Path, key: Path) -> None:
    """Sign a bundle folder: writes card.sig beside its card."""
    from models import commands

    _models_work(commands.sign_bundle, bundle, key)


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
        _stop(str(error))
    click.echo(f"{out}: {count} judged alarm{'s' * (count != 1)}")


@main.group()
def devices() -> None:
    """The devices wardbeat can read."""


@devices.command("list")
def devices_list() -> None:
    """List what a configuration can name: driver, transport, rate, what it is."""
    from drivers.commands import list_kinds

    list_kinds(click.echo)


@devices.command("scan")
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 200),
    default=8.0,
    show_default=True,
    help="How long to listen; a monitor announces itself once a minute.",
)
@click.option("--all", "unknown", is_flag=True, help="Bluetooth devices no driver fits, too.")
def devices_scan(seconds: float, unknown: bool) -> None:
    """List what is plugged in, advertising or announcing itself, and which driver fits."""
    from drivers.commands import scan_all

    _device_work(scan_all(seconds, click.echo, _warn, unknown=unknown))


@devices.command("probe")
@click.argument("port")
@click.option("--listen-only", is_flag=True, help="Never send a byte.")
def devices_probe(port: str, listen_only: bool) -> None:
    """Tell which device is on a serial PORT, by its bytes.

    Listens at the usual baud rates; a port that stays silent is asked what its driver would ask.
    """
    from drivers.commands import probe_port

    if not _device_work(probe_port(port, click.echo, _warn, ask=not listen_only)):
        sys.exit(1)


def _device_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--driver`` and ``--port``, or a bed of a configuration."""
    for option in (
        click.option("--driver", help="A name of `devices list`."),
        click.option("--port", help="Its address, as in the configuration."),
        click.option("-o", "--option", "pairs", multiple=True, metavar="KEY=VALUE"),
        click.option("--config", type=click.Path(path_type=Path), help="Take it from a unit.toml"),
        click.option("--bed", help="and this bed; without it the first one."),
        click.option("--seconds", type=click.FloatRange(min=0.1), help="Then stop."),
    ):
        command = option(command)
    return command


@devices.command("watch")
@_device_options
def devices_watch(seconds: float | None, **chosen: Any) -> None:
    """Show a device's frame rate, loss, lag, lead states and amplitude, a line a second."""
    from drivers.commands import watch_device

    _device_work(watch_device(_device(**chosen), click.echo, seconds))


@devices.command("record")
@_device_options
@click.argument("file", type=click.Path(path_type=Path))
def devices_record(file: Path, seconds: float | None, **chosen: Any) -> None:
    """Write a device's raw bytes with their times to FILE until Ctrl-C; `replay` plays them."""
    from drivers.commands import record_device

    _device_work(record_device(_device(**chosen), file, _warn, seconds))
    click.echo(f"{file}: recorded")


@devices.command("replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--csv", type=click.Path(path_type=Path), help="Write the samples here, as counts.")
def devices_replay(file: Path, csv: Path | None) -> None:
    """Decode a recording of `record` by the driver it was made with, and say what is in it."""
    from drivers.commands import replay_file

    _device_work(replay_file(file, click.echo, csv))


def _device(
    driver: str | None,
    port: str | None,
    pairs: tuple[str, ...],
    config: Path | None,
    bed: str | None,
) -> Device:
    """The device that the options name."""
    from drivers.commands import Device, options_of
    from drivers.samples import DriverError

    if config is not None:
        from agent.config import ConfigError, load

        try:
            beds = {section.name: section.device for section in load(config).bed}
        except ConfigError as error:
            _stop(str(error))
        name = bed if bed is not None else next(iter(beds))
        if name not in beds:
            _stop(f"{config}: no bed {name!r}; there are {', '.join(beds)}")
        chosen = beds[name]
        return Device(chosen.driver, chosen.address, chosen.options)
    if driver is None or port is None:
        _stop("--driver and --port, or --config, must be given")
    try:
        return Device(driver, port, options_of(pairs, port))
    except DriverError as error:
        _stop(str(error))


def _device_work(work: Coroutine[Any, Any, T]) -> T | None:
    """Run it to its end or Ctrl-C; its faults as one line."""
    from drivers.raw_recording import RawRecordingError
    from drivers.samples import DriverError

    logging.getLogger("drivers").setLevel(logging.ERROR)
    try:
        return asyncio.run(work)
    except (DriverError, RawRecordingError) as error:
        _stop(str(error))
    except (KeyboardInterrupt, BrokenPipeError):
        return None


def _warn(message: str) -> None:
    click.echo(f"wardbeat: {message}", err=True)


def _stop(message: str) -> NoReturn:
    click.echo(f"wardbeat: {message}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
