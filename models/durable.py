"""Writing that survives a power cut: a file is the old one or the new one, never half of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class LockedError(RuntimeError):
    """Another process is changing the same folder."""


def write_whole(path: Path, data: bytes, *, mode: int = 0o640) -> None:
    """Replace ``path`` by ``data`` as a whole; on the disk when this returns. OSError if not."""
    unfinished = path.with_name(f"{path.name}.part")
    write_synced(unfinished, data, mode=mode)
    os.replace(unfinished, path)  # noqa: PTH105 - the call itself, as the tests interrupt it
    sync_folder(path.parent)


def write_synced(path: Path, data: bytes, *, mode: int = 0o640) -> None:
    """Write a new file (or over one) and wait for the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the folder's entries (a rename, a new file) are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``; the kernel lets it go however the process ends.

    Raises:
        LockedError: another process holds it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(
                f"{path.parent}: another process is changing the models; try again in a moment"
            ) from None
        yield
    finally:
        os.close(handle)
