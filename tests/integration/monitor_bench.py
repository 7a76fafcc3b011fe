"""An emulated bedside monitor as a process, on a UDP port or a pseudo-terminal."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from serial_bench import PATIENCE_S


class MonitorProcess:
    """The IntelliVue emulator; ``address`` is what a driver is given."""

    def __init__(self, folder: Path, *options: str, serial: bool = False) -> None:
        self._log = folder / "counts.i32"
        where = ("--link", str(folder / "ttyMIB")) if serial else ("--udp", "127.0.0.1:0")
        arguments = ("-m", "drivers.emulator", "intellivue", *where)
        self.process = subprocess.Popen(
            [sys.executable, *arguments, "--log-counts", str(self._log), *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def go_away(self) -> None:
        """The network cable is out, or the plug."""
        self.process.send_signal(signal.SIGUSR1)

    def come_back(self) -> None:
        """It is in again; with ``--restart`` the monitor was switched off and on meanwhile."""
        self.process.send_signal(signal.SIGUSR2)

    def counts(self) -> NDArray[np.int64]:
        """What the monitor sampled, sent or not."""
        return np.fromfile(self._log, "<i4").astype(np.int64)

    def end(self) -> None:
        """Let it end."""
        self.process.terminate()
        assert self.process.wait(timeout=PATIENCE_S) == 0


@contextlib.contextmanager
def monitor(folder: Path, *options: str, serial: bool = False) -> Iterator[MonitorProcess]:
    process = MonitorProcess(folder, *options, serial=serial)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.communicate()
