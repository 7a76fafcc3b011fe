"""A driver under test on one side of a pseudo-terminal, a device on the other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivers.samples import (
    Driver,
    DriverEvent,
    Gap,
    LinkChange,
    LinkState,
    SampleBlock,
    StreamInfo,
)

PATIENCE_S = 20.0
"""Far more than anything here takes, for a machine that has other work too."""


class Recorder:
    """What a driver emitted, with the axis checked as it comes."""

    def __init__(self) -> None:
        self.events: list[DriverEvent] = []
        self._end = 0

    def emit(self, event: DriverEvent) -> None:
        if isinstance(event, SampleBlock | Gap):
            assert any(isinstance(e, StreamInfo) for e in self.events)
            assert event.first == self._end
            self._end = event.end
        self.events.append(event)

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not reached():
                await asyncio.sleep(0.01)

    async def state(self, state: LinkState, reason: str = "") -> LinkChange:
        """Wait for a link change not seen before with that state and reason."""
        begin = len(self.events)
        found: list[LinkChange] = []

        def reached() -> bool:
            found.extend(
                event
                for event in self.events[begin:]
                if isinstance(event, LinkChange) and event.state is state and reason in event.reason
            )
            return bool(found)

        await self.until(reached)
        return found[0]

    async def samples(self, more: int) -> None:
        """Wait for so many further samples (a gap counts as it lies on the axis)."""
        target = self._end + more
        await self.until(lambda: self._end >= target)

    @property
    def blocks(self) -> list[SampleBlock]:
        return [event for event in self.events if isinstance(event, SampleBlock)]

    @property
    def gaps(self) -> list[Gap]:
        return [event for event in self.events if isinstance(event, Gap)]

    @property
    def links(self) -> list[LinkChange]:
        return [event for event in self.events if isinstance(event, LinkChange)]

    def channel(self) -> NDArray[np.int64]:
        """First lead over the whole axis; the lowest integer stands where a gap is."""
        parts = [
            event.counts[:, 0].astype(np.int64)
            if isinstance(event, SampleBlock)
            else np.full(event.count, MISSING)
            for event in self.events
            if isinstance(event, SampleBlock | Gap)
        ]
        return np.concatenate(parts)


MISSING = np.iinfo(np.int64).min


@contextlib.asynccontextmanager
async def running(driver: Driver) -> AsyncIterator[Recorder]:
    """Run a driver for the length of a block, then cancel it and wait for its end."""
    recorder = Recorder()
    task = asyncio.create_task(driver.run(recorder.emit))
    try:
        yield recorder
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class EmulatorProcess:
    """The emulator with the scripted ramp, as a process."""

    def __init__(self, kind: str, folder: Path, **options: object) -> None:
        self.port = folder / "ttyUSB0"
        self.log = folder / "counts.i32"
        script = Path(__file__).with_name("scripted_device.py")
        chosen = {"link": str(self.port), "log_counts": str(self.log), **options}
        self.process = subprocess.Popen(
            [sys.executable, str(script), kind, json.dumps(chosen)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == str(self.port)

    def unplug(self) -> None:
        self.process.send_signal(signal.SIGUSR1)

    def replug(self) -> None:
        self.process.send_signal(signal.SIGUSR2)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def counts(self) -> NDArray[np.int64]:
        """What the device sampled, sent or not."""
        return np.fromfile(self.log, "<i4").astype(np.int64)

    def end(self) -> str:
        """Let it end; gives what it says at the end."""
        self.thaw()
        self.process.terminate()
        _, told = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, told
        assert not self.port.is_symlink()
        return told


@contextlib.contextmanager
def emulator(kind: str, folder: Path, **options: object) -> Iterator[EmulatorProcess]:
    process = EmulatorProcess(kind, folder, **options)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.process.kill()
            process.process.communicate()


class Terminal:
    """A pseudo-terminal whose device side the test itself plays."""

    def __init__(self) -> None:
        self._device, self._host = os.openpty()
        tty.setraw(self._host)
        os.set_blocking(self._device, False)
        self.path = os.ttyname(self._host)

    def send(self, data: bytes) -> None:
        os.write(self._device, data)

    def received(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(self._device, 4096)
        return b""

    def pull_out(self) -> None:
        os.close(self._host)
        os.close(self._device)
        self._device = self._host = -1

    def close(self) -> None:
        if self._device >= 0:
            self.pull_out()


@contextlib.contextmanager
def terminal() -> Iterator[Terminal]:
    port = Terminal()
    try:
        yield port
    finally:
        port.close()


@contextlib.asynccontextmanager
async def repeating(action: Callable[[], None], every_s: float) -> AsyncIterator[None]:
    """Do something again and again beside the test."""

    async def repeat() -> None:
        while True:
            action()
            await asyncio.sleep(every_s)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
