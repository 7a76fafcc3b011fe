"""A Philips IntelliVue that is not there: its data export on a UDP port or a pseudo-terminal.

    python -m drivers.emulator intellivue --udp 127.0.0.1:24105
    python -m drivers.emulator intellivue --link /tmp/ttyMIB

prints the address when it can be reached and plays its source in real time to whoever associates.
Signals: USR1 takes it off the network (or pulls the plug), USR2 brings it back: with its
association and clock as they were, or switched on anew with ``--restart``. TERM and INT end it.
``away`` is printed once nothing more is sent.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from drivers.decoders.intellivue_mib import MibFrames, frame
from drivers.emulated.intellivue import EmulatedIntelliVue
from drivers.emulator import Pty
from drivers.samples import DriverError
from drivers.source import EcgSource

TICK_S = 0.032
OTHER_LEAD = 0x0101


class Place(Protocol):
    """Where the monitor's messages come from and go to."""

    def attach(self) -> None:
        """Be there."""

    def detach(self) -> None:
        """Be gone, without a word."""

    def read(self, wait_s: float) -> list[bytes]:
        """Messages that came within ``wait_s``."""
        ...

    def write(self, messages: list[bytes]) -> None:
        """Send to whoever spoke last."""


class UdpPlace:
    """A UDP port; detached it swallows what comes and sends nothing."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self._socket.setblocking(False)
        self._client: tuple[str, int] | None = None
        self._there = True
        self.name = f"{host}:{self._socket.getsockname()[1]}"

    def attach(self) -> None:
        """The cable is in."""
        self._there = True

    def detach(self) -> None:
        """The cable is out."""
        self._there = False

    def read(self, wait_s: float) -> list[bytes]:
        """Datagrams that came within ``wait_s``."""
        ready, _, _ = select.select([self._socket], [], [], wait_s)
        messages: list[bytes] = []
        with contextlib.suppress(OSError):
            while ready:
                data, client = self._socket.recvfrom(65536)
                if self._there:
                    self._client = client
                    messages.append(data)
        return messages

    def write(self, messages: list[bytes]) -> None:
        """One datagram each."""
        for message in messages:
            if self._client is not None and self._there:
                with contextlib.suppress(OSError):
                    self._socket.sendto(message, self._client)


class MibPlace:
    """A pseudo-terminal behind a stable link."""

    def __init__(self, link: Path) -> None:
        self._pty = Pty(link)
        self._frames = MibFrames()
        self.name = str(link)
        self._pty.plug_in()

    def attach(self) -> None:
        """Put the plug back."""
        if not self._pty.plugged_in:
            self._pty.plug_in()

    def detach(self) -> None:
        """Pull the plug."""
        self._pty.unplug()

    def read(self, wait_s: float) -> list[bytes]:
        """Messages whose frames are whole."""
        return self._frames.feed(self._pty.read(wait_s))

    def write(self, messages: list[bytes]) -> None:
        """One frame each."""
        if self._pty.plugged_in:
            self._pty.write([frame(message) for message in messages])


class Monitor:
    """Plays a source through the monitor, paced by the monotonic clock."""

    def __init__(
        self,
        place: Place,
        device: EmulatedIntelliVue,
        source: EcgSource,
        *,
        restart: bool = False,
        switch_after_s: float = math.inf,
        labels: bool = False,
        log: BinaryIO | None = None,
    ) -> None:
        self._place, self._device, self._source = place, device, source
        self._restart, self._labels, self._log = restart, labels, log
        self._switch_after_s = switch_after_s
        self._away = self._ended = False
        self._label = ""

    def run(self, stop_after_s: float) -> None:
        """Play until told to end."""
        signal.signal(signal.SIGUSR1, lambda *_: self._go(away=True))
        signal.signal(signal.SIGUSR2, lambda *_: self._go(away=False))
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        signal.signal(signal.SIGINT, lambda *_: self._end())
        begun, played, there = time.monotonic(), 0, True
        try:
            while not self._ended and time.monotonic() < begun + stop_after_s:
                if there is self._away:
                    there = not self._away
                    self._come_or_go(there)
                for message in self._place.read(TICK_S):
                    self._place.write(self._device.receive(message))
                if time.monotonic() - begun >= self._switch_after_s:
                    self._device.codes = [OTHER_LEAD] * len(self._device.codes)
                due = int((time.monotonic() - begun) * self._device.rate_hz)
                while played < due:
                    played += self._play(due - played, played)
        finally:
            self._place.detach()

    def _go(self, *, away: bool) -> None:
        self._away = away

    def _end(self) -> None:
        self._ended = True

    def _come_or_go(self, there: bool) -> None:
        if not there:
            self._place.detach()
            print("away", flush=True)
            return
        if self._restart:
            self._device.plug_in()
        self._place.attach()

    def _play(self, count: int, played: int) -> int:
        chunk = self._source.read(count)
        if self._labels and chunk.label != self._label:
            print("label", played, time.monotonic_ns(), chunk.label, flush=True)
            self._label = chunk.label
        counts = self._device.counts(chunk.microvolts)
        if self._log:
            self._log.write(np.ascontiguousarray(counts[:, 0], "<i4").tobytes())
            self._log.flush()
        self._place.write(self._device.play(counts, lead_off=chunk.lead_off))
        return len(counts)


def arguments() -> argparse.ArgumentParser:
    """The command line of this emulator."""
    parser = argparse.ArgumentParser(
        prog="python -m drivers.emulator intellivue",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--udp", metavar="HOST:PORT", help="port 0: any; the choice is printed")
    where.add_argument("--link", type=Path, help="the serial port's path")
    parser.add_argument(
        "--source", default="scenario", help="'scenario' (built in) or a record's path"
    )
    parser.add_argument("--scenario", default="default", help="which of the built-in scenarios")
    parser.add_argument("--seed", type=int, default=0, help="of the generator")
    parser.add_argument("--restart", action="store_true", help="USR2 switches it on anew")
    parser.add_argument(
        "--switch-lead-after",
        type=float,
        default=math.inf,
        metavar="SECONDS",
        help="then its user chooses lead I",
    )
    parser.add_argument("--stop-after", type=float, default=math.inf, metavar="SECONDS")
    parser.add_argument("--log-counts", type=Path, metavar="FILE", help="lead 1, int32 LE")
    parser.add_argument("--labels", action="store_true", help="print changes of the source's label")
    return parser


def main(argv: list[str]) -> int:
    """Run it; 2 with one line on stderr where it cannot."""
    from drivers.emulator import open_source

    chosen = arguments().parse_args(argv)
    try:
        source = open_source(chosen.source, EmulatedIntelliVue(), chosen.scenario, chosen.seed)
        place: UdpPlace | MibPlace
        if chosen.udp:
            host, _, port = chosen.udp.rpartition(":")
            place = UdpPlace(host or "127.0.0.1", int(port))
        else:
            place = MibPlace(chosen.link)
        print(place.name, flush=True)
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(chosen.log_counts.open("wb")) if chosen.log_counts else None
            device = EmulatedIntelliVue(source.lead_names)
            monitor = Monitor(
                place,
                device,
                source,
                restart=chosen.restart,
                switch_after_s=chosen.switch_lead_after,
                labels=chosen.labels,
                log=log,
            )
            monitor.run(chosen.stop_after)
    except (DriverError, OSError, ValueError) as fault:
        print(f"emulator: {fault}", file=sys.stderr)
        return 2
    return 0
