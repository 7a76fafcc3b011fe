"""``wardbeat models``; what a command needs is imported when it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli.faults import CONFIG, stop

if TYPE_CHECKING:
    from models.registry import Registry


@click.group()
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


def registry(config: Path | None, folder: Path | None) -> Registry:
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
        stop(str(error))
    return known if folder is None else Registry(folder, known.trust)


def _models_work(work: Callable[..., None], *arguments: Any) -> None:
    """Do it; its faults as one line."""
    from models.commands import Fault

    try:
        work(*arguments, click.echo)
    except Fault as error:
        stop(str(error))


@models.command("list")
@_registry_options
def models_list(config: Path | None, folder: Path | None) -> None:
    """List the bundles; * marks the one in use, ~ the one tried in its shadow."""
    from models import commands

    _models_work(commands.list_bundles, registry(config, folder))


@models.command("show")
@click.argument("name")
@click.argument("version", required=False)
@_registry_options
def models_show(name: str, version: str | None, config: Path | None, folder: Path | None) -> None:
    """Show the card of a bundle (without VERSION: the one in use) and who changed what."""
    from models import commands

    _models_work(commands.show, registry(config, folder), name, version)


@models.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@_registry_options
def models_verify(bundle: Path, config: Path | None, folder: Path | None) -> None:
    """Check a bundle folder: hash, input contract, signature, and that the graph runs."""
    from models import commands

    _models_work(commands.verify, registry(config, folder), bundle)


@models.command("install")
@click.argument("bundle", type=click.Path(path_type=Path))
@_registry_options
def models_install(bundle: Path, config: Path | None, folder: Path | None) -> None:
    """Add a bundle (folder, .zip or .tar.gz) to the unit; `promote` then uses it."""
    from models import commands

    _models_work(commands.install, registry(config, folder), bundle)


@models.command("promote")
@click.argument("name")
@click.argument("version")
@_registry_options
def models_promote(name: str, version: str, config: Path | None, folder: Path | None) -> None:
    """Use this version; a running unit takes it up within seconds, without losing a sample."""
    from models import commands

    _models_work(commands.promote, registry(config, folder), name, version)


@models.command("rollback")
@click.argument("name")
@_registry_options
def models_rollback(name: str, config: Path | None, folder: Path | None) -> None:
    """Go back to what ran before the last promote."""
    from models import commands

    _models_work(commands.rollback, registry(config, folder), name)


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
        stop("give a VERSION to try, or --off to end the trial")
    _models_work(commands.shadow, registry(config, folder), name, version or "")


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
        stop(str(error))
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
