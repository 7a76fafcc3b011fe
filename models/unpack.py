"""A bundle out of a folder, a .zip or a .tar(.gz), whoever made it: bounded, and only its files.

Nothing is extracted by the archive's own paths. Wanted are the few files of a bundle by their
names, at the top of the archive or within one folder of it (``rhythm/1.2.0/card.toml``).
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

from models.card import CARD_FILE, MODEL_FILE, ModelRefused
from models.signing import SIGNATURE_FILE

LIMITS = {CARD_FILE: 256 * 1024, MODEL_FILE: 64 * 2**20, SIGNATURE_FILE: 1024}
"""The files of a bundle and the most bytes each may have."""
NEEDED = (CARD_FILE, MODEL_FILE)
MOST_MEMBERS = 256

T = TypeVar("T")
Opener = Callable[[], IO[bytes] | None]


def bundle_files(source: Path) -> dict[str, bytes]:
    """The files of the bundle in ``source``, by name.

    Raises:
        ModelRefused: not a bundle, or one with files that are missing, twice or too large.
    """
    try:
        if source.is_dir():
            return _folder(source)
        if zipfile.is_zipfile(source):
            return _zip(source)
        if tarfile.is_tarfile(source):
            return _tar(source)
    except OSError as error:
        raise ModelRefused(f"{source}: cannot be read ({error.strerror or error})") from error
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError,
            NotImplementedError, ValueError) as error:  # fmt: skip
        raise ModelRefused(f"{source}: a damaged archive ({error})") from error
    raise ModelRefused(f"{source}: no bundle; give a folder, a .zip or a .tar.gz")


def _folder(source: Path) -> dict[str, bytes]:
    openers: dict[str, Opener] = {
        name: partial(FileIO, source / name) for name in LIMITS if (source / name).is_file()
    }
    return _read(source, openers)


def _zip(source: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(source) as archive:
        members = [(info.filename, info) for info in archive.infolist() if not info.is_dir()]
        chosen = _chosen(source, members)
        return _read(
            source,
            {name: partial(archive.open, info) for name, info in chosen.items()},
        )


def _tar(source: Path) -> dict[str, bytes]:
    with tarfile.open(source) as archive:
        members: list[tuple[str, tarfile.TarInfo]] = []
        for count, info in enumerate(archive, 1):
            if count > MOST_MEMBERS:
                raise ModelRefused(f"{source}: more than {MOST_MEMBERS} files; that is no bundle")
            if info.isfile():  # a link could point anywhere
                members.append((info.name, info))
        chosen = _chosen(source, members)
        return _read(
            source,
            {name: partial(archive.extractfile, info) for name, info in chosen.items()},
        )


def _chosen(source: Path, members: Iterable[tuple[str, T]]) -> dict[str, T]:
    """The bundle's files among the members, all of one folder."""
    by_folder: dict[PurePosixPath, dict[str, T]] = {}
    for count, (name, member) in enumerate(members, 1):
        if count > MOST_MEMBERS:
            raise ModelRefused(f"{source}: more than {MOST_MEMBERS} files; that is no bundle")
        path = PurePosixPath(name)
        if path.name not in LIMITS:
            continue
        files = by_folder.setdefault(path.parent, {})
        if path.name in files:
            raise ModelRefused(f"{source}: holds {name!r} twice")
        files[path.name] = member
    if len(by_folder) > 1:
        raise ModelRefused(f"{source}: holds several bundles; install them one by one")
    return next(iter(by_folder.values()), {})


def _read(source: Path, openers: Mapping[str, Opener]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in NEEDED:
        if name not in openers:
            raise ModelRefused(f"{source}: no {name} in it; a bundle has {' and '.join(NEEDED)}")
    for name, opener in openers.items():
        file = opener()
        if file is None:
            raise ModelRefused(f"{source}: {name} is no plain file")
        with file:
            data = file.read(LIMITS[name] + 1)
        if len(data) > LIMITS[name]:
            raise ModelRefused(f"{source}: {name} is larger than {LIMITS[name]} bytes")
        found[name] = data
    return found
