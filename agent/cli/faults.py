"""How a command ends badly: one line on the error stream, exit status 2."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

CONFIG = "/etc/wardbeat/unit.toml"
"""Where a unit's configuration is looked for."""


def warn(message: str) -> None:
    """Say it and go on."""
    click.echo(f"wardbeat: {message}", err=True)


def stop(message: str) -> NoReturn:
    """Say it and end."""
    warn(message)
    sys.exit(2)
