"""``wardbeat devices``; what a command needs is imported when it is called."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agent.cli.faults import stop, warn

if TYPE_CHECKING:
    from drivers.commands import Device

T = TypeVar("T")


@click.group()
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

    _device_work(scan_all(seconds, click.echo, warn, unknown=unknown))


@devices.command("probe")
@click.argument("port")
@click.option("--listen-only", is_flag=True, help="Never send a byte.")
def devices_probe(port: str, listen_only: bool) -> None:
    """Tell which device is on a serial PORT, by its bytes.

    Listens at the usual baud rates; a port that stays silent is asked what its driver would ask.
    """
    from drivers.commands import probe_port

    if not _device_work(probe_port(port, click.echo, warn, ask=not listen_only)):
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

    _device_work(record_device(_device(**chosen), file, warn, seconds))
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
            stop(str(error))
        name = bed if bed is not None else next(iter(beds))
        if name not in beds:
            stop(f"{config}: no bed {name!r}; there are {', '.join(beds)}")
        chosen = beds[name]
        return Device(chosen.driver, chosen.address, chosen.options)
    if driver is None or port is None:
        stop("--driver and --port, or --config, must be given")
    try:
        return Device(driver, port, options_of(pairs, port))
    except DriverError as error:
        stop(str(error))


def _device_work(work: Coroutine[Any, Any, T]) -> T | None:
    """Run it to its end or Ctrl-C; its faults as one line."""
    from drivers.raw_recording import RawRecordingError
    from drivers.samples import DriverError

    logging.getLogger("drivers").setLevel(logging.ERROR)
    try:
        return asyncio.run(work)
    except (DriverError, RawRecordingError) as error:
        stop(str(error))
    except (KeyboardInterrupt, BrokenPipeError):
        return None
