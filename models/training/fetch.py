"""Gets the recordings from PhysioNet: ``python -m models.training.fetch --data DIR [DATABASE …]``.

Only the records that the networks are trained on (``records.toml``); what is there already and
whole is not fetched again, so a broken run is just started anew. Needs a network, some 0.7 GB for
all six.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import wfdb

from models.training.layout import trained_on


@dataclass(frozen=True, slots=True)
class Published:
    """A database as PhysioNet publishes it."""

    directory: str
    """Its name there."""
    record: str
    """A record's path in it, without suffix."""
    suffixes: tuple[str, ...]
    """Of a record's files."""
    extra: tuple[str, ...] = ()
    """Further files."""

    def files(self, names: tuple[str, ...]) -> list[str]:
        """All files of these records, relative to the database."""
        paths = [self.record.format(name=name, group=name[:3]) for name in names]
        return [*self.extra, *(path + suffix for path in paths for suffix in self.suffixes)]


PUBLISHED = {
    "mitdb": Published("mitdb", "{name}", (".hea", ".dat", ".atr")),
    "svdb": Published("svdb", "{name}", (".hea", ".dat", ".atr")),
    "vfdb": Published("vfdb", "{name}", (".hea", ".dat", ".atr")),
    "nstdb": Published("nstdb", "{name}", (".hea", ".dat")),
    "cinc2015": Published("challenge-2015", "training/{name}", (".hea", ".mat")),
    "cinc2017": Published(
        "challenge-2017", "training/{group}/{name}", (".hea", ".mat"), ("REFERENCE-v3.csv",)
    ),
}


def fetch(data: Path, database: str) -> None:
    """Fetch one database's records into ``data/<database>``; OSError where there is no net."""
    published = PUBLISHED[database]
    folder = data / database
    folder.mkdir(parents=True, exist_ok=True)
    wfdb.dl_files(published.directory, str(folder), published.files(trained_on(database)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the databases")
    parser.add_argument("databases", nargs="*", metavar="DATABASE", help=", ".join(PUBLISHED))
    asked = parser.parse_args()
    if unknown := sorted(set(asked.databases) - set(PUBLISHED)):
        parser.error(f"no database {unknown[0]!r}; there are {', '.join(PUBLISHED)}")
    for database in asked.databases or PUBLISHED:
        try:
            fetch(asked.data, database)
        except OSError as error:
            parser.exit(1, f"{database}: not fetched ({error}); is there a way to physionet.org?\n")


if __name__ == "__main__":
    main()
