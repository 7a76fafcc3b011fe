"""The command line: one thin file that knows every command.

What a command needs is imported when it is called, so ``wardbeat --help`` is instant on a Pi.
"""

from __future__ import annotations

from importlib.metadata import version

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("wardbeat"), prog_name="wardbeat")
def main() -> None:
    """A Raspberry Pi and an ECG device as a bedside monitor. Not a certified medical device."""


if __name__ == "__main__":
    main()
