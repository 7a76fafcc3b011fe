"""Room on the disk: what is free, and a reserve that keeps alarms writable when it is full."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from agent.store.database import FILE_MODE

RESERVE_BYTES = 16 * 2**20
"""On a full disk the whole WAL (6 MB and a transaction) must find room in the database file:
only then can it be written from its begin again, and anything be deleted."""
CRAMPED_BYTES = 2 * 2**20


def free_bytes(folder: Path) -> int:
    """What this process may still write into the folder's file system."""
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


class Reserve:
    """A file that only takes up room; deleting it gives the room to the alarms."""

    def __init__(self, database: Path, size: int = RESERVE_BYTES) -> None:
        """Do nothing yet; ``hold`` does."""
        self.path = Path(f"{database}.reserve")
        self.size = size

    @property
    def held(self) -> bool:
        """Whether the room is kept now."""
        return self.path.exists()

    @property
    def missing(self) -> bool:
        """Whether the room should be kept but is not: what is free is the alarms' alone."""
        return self.size > 0 and not self.held

    def release_if_cramped(self) -> None:
        """Give the room back where even opening the database may need it."""
        with contextlib.suppress(OSError):
            if free_bytes(self.path.parent) < CRAMPED_BYTES:
                self.release()

    def hold(self) -> bool:
        """Take the room, if that leaves at least as much again; tells whether it is held."""
        if self.held or not self.size:
            return True
        try:
            if free_bytes(self.path.parent) < 2 * self.size:
                return False
            descriptor = os.open(
                self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE
            )
            try:
                os.posix_fallocate(descriptor, 0, self.size)
            finally:
                os.close(descriptor)
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> bool:
        """Give the room back; tells whether there was any."""
        with contextlib.suppress(OSError):
            self.path.unlink()
            return True
        return False
