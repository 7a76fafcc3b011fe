"""``wardbeat demo``: a patient who isn't there, a device that isn't there, everything else real.

Starts as processes of their own what in a hospital stands apart: a broker, the device on a
serial port, the unit. The screen then connects as on any other day.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sync.embedded import EmbeddedBrokerError, embedded_broker

USUAL_PORT = 18830
"""The demo's broker listens here if nobody else does, so that it can be written in a README."""
STARTS_WITHIN_S = 30.0
ENDS_WITHIN_S = 5.0

BED = "1"
SITE, UNIT = "demo", "pi"

_CONFIG = """\
# Written by wardbeat demo; docs/unit.example.toml explains every key.
[unit]
site = "{site}"
name = "{unit}"
data_dir = "{folder}/data"
feed = "{folder}/feed.sock"
trust_clock = true

[[bed]]
name = "{bed}"
patient = "demo"

[bed.device]
driver = "cyton"
address = "{folder}/ttyUSB0"

[sync]
host = "127.0.0.1"
port = {port}
protocol = "3.1.1"  # all that the demo's broker speaks
"""


class DemoError(RuntimeError):
    """A part of the demo did not start: says which, and what its own log says."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo."""

    folder: Path
    feed: Path
    port: int


@contextmanager
def running(
    scenario: str, record: str | None, port: int | None, keep: Path | None
) -> Iterator[Demo]:
    """Start broker, device and unit; stop all on leaving, and delete the data unless kept."""
    folder = keep or Path(tempfile.mkdtemp(prefix="wardbeat-demo-"))
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    with ExitStack() as stack:
        if keep is None:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        port = port or free_port()
        config = folder / "unit.toml"
        config.write_text(_CONFIG.format(site=SITE, unit=UNIT, bed=BED, folder=folder, port=port))
        feed = folder / "feed.sock"
        tty = folder / "ttyUSB0"
        stack.enter_context(_broker(port))
        source = ["--source", record] if record else ["--scenario", scenario]
        device = ("-m", "drivers.emulator", "cyton", "--link", str(tty), *source)
        unit = ("-m", "wardbeat", "run", "--config", str(config))
        for name, arguments, appears in (("device", device, tty), ("unit", unit, feed)):
            process = stack.enter_context(_process(name, arguments, folder))
            _wait_until_up(name, process, appears, folder)
        yield Demo(folder, feed, port)


@contextmanager
def _broker(port: int) -> Iterator[None]:
    """A broker in a thread of its own: the screen's loop has better things to do."""
    ready: Future[asyncio.AbstractEventLoop] = Future()
    stop = asyncio.Event()

    async def serve() -> None:
        try:
            async with embedded_broker(port):
                ready.set_result(asyncio.get_running_loop())
                await stop.wait()
        except EmbeddedBrokerError as error:
            ready.set_exception(DemoError(str(error)))

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="broker", daemon=True)
    thread.start()
    loop = ready.result(STARTS_WITHIN_S)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(ENDS_WITHIN_S)


def free_port() -> int:
    """The usual port, or any other that is free."""
    for wanted in (USUAL_PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port
    raise DemoError("no TCP port is free on 127.0.0.1; close some programs")


@contextmanager
def _process(name: str, arguments: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - our own modules, no shell
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(name: str, process: subprocess.Popen[str], appears: Path, folder: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while not appears.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            said = (folder / f"{name}.log").read_text().strip().splitlines()[-8:]
            raise DemoError(f"the demo's {name} did not start; it said:\n  " + "\n  ".join(said))
        time.sleep(0.05)
