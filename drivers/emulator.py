"""A device that is not there: it speaks its real protocol on a pseudo-terminal.

    python -m drivers.emulator cyton --source scenario --link /tmp/ttyCyton

prints the path of the port when it can be opened, then plays its source in real time from the
first command to stream (Olimex: at once). What the host does not read is dropped when the port's
buffer is full, as a radio would. Signals: USR1 pulls the plug, USR2 puts it back; TERM and INT
end it and remove the link. ``intellivue`` has a command line of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import select
import signal
import sys
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.commands import options_of
from drivers.emulated.bitalino import EmulatedBitalino
from drivers.emulated.cyton import EmulatedCyton
from drivers.emulated.device import EmulatedDevice
from drivers.emulated.olimex import EmulatedOlimex
from drivers.emulated.protocentral import EmulatedProtocentral
from drivers.emulated.shimmer import EmulatedShimmer3
from drivers.emulated.text_lines import EmulatedTextLines
from drivers.samples import DriverError
from drivers.source import EcgSource, SourceChunk

TICK_S = 0.016
"""An FTDI dongle hands over what it has every 16 ms."""

STALL_S = 1.0
"""Packets older than this were lost in the air: a process stopped so long does not catch up."""

DEVICES: Final[dict[str, Callable[..., EmulatedDevice]]] = {
    "cyton": EmulatedCyton,
    "olimex": EmulatedOlimex,
    "protocentral": EmulatedProtocentral,
    "bitalino": EmulatedBitalino,
    "shimmer3": EmulatedShimmer3,
    "text_lines": EmulatedTextLines,
}
MONITOR: Final = "intellivue"
"""It has a module of its own: it converses, and over UDP too (``intellivue --help``)."""
RATED: Final = ("olimex", "shimmer3", "text_lines")
"""Those whose rate is the user's to choose."""


@dataclass(frozen=True)
class Options:
    """What the command line chose."""

    link: Path
    speed: float = 1.0
    drop_packets: float = 0.0
    seed: int = 0
    stop_after_s: float = math.inf
    log_counts: Path | None = None
    tell_labels: bool = False


class Pty:
    """A pseudo-terminal behind a stable link, to be pulled out and put back."""

    def __init__(self, link: Path) -> None:
        if link.exists() and not link.is_symlink():
            raise FileExistsError(f"{link}: exists and is no link; choose another path for --link")
        self.link = link
        self.dropped_bytes = 0
        self._master = -1
        self._torn = b""

    @property
    def plugged_in(self) -> bool:
        """True while the port exists."""
        return self._master >= 0

    def plug_in(self) -> None:
        """Create the terminal and let the link point to it."""
        self._master, host_side = os.openpty()
        tty.setraw(host_side)
        os.set_blocking(self._master, False)
        beside = self.link.with_name(f".{self.link.name}.{os.getpid()}")
        beside.symlink_to(os.ttyname(host_side))
        beside.replace(self.link)
        os.close(host_side)
        self._torn = b""

    def unplug(self) -> None:
        """Remove the link and hang up on whoever has the port open."""
        if self.plugged_in:
            self.link.unlink(missing_ok=True)
            os.close(self._master)
            self._master = -1

    def opened(self) -> bool:
        """True while the host has the port open; what is sent else goes nowhere."""
        return self.plugged_in and not self._poll(0.0) & select.POLLHUP

    def read(self, wait_s: float) -> bytes:
        """What the host writes within ``wait_s``; ``b""`` when nothing."""
        if not self.plugged_in:
            time.sleep(wait_s)
            return b""
        ready = self._poll(wait_s)
        if not ready & select.POLLIN:
            if ready & select.POLLHUP:
                time.sleep(wait_s)
            return b""
        with contextlib.suppress(OSError):
            return os.read(self._master, 4096)
        return b""

    def _poll(self, wait_s: float) -> int:
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        return sum(event for _, event in poll.poll(wait_s * 1000))

    def write(self, packets: list[bytes]) -> int:
        """Send whole packets; gives how many fell away because nobody reads.

        A packet that was begun is finished first, so that a drop never tears one.
        """
        data = self._torn + b"".join(packets)
        try:
            sent = os.write(self._master, data) if data else 0
        except OSError:
            sent = 0
        if sent < len(self._torn):
            self._torn = self._torn[sent:]
            return len(packets)
        sent -= len(self._torn)
        self._torn = b""
        for number, packet in enumerate(packets):
            if sent < len(packet):
                self._torn = packet[sent:] if sent else b""
                return len(packets) - number - (1 if sent else 0)
            sent -= len(packet)
        return 0


class Emulator:
    """Plays a source through a device on a pseudo-terminal, paced by the monotonic clock."""

    def __init__(self, device: EmulatedDevice, source: EcgSource, options: Options) -> None:
        self._device = device
        self._source = source
        self._options = options
        self._pty = Pty(options.link)
        self._chance = np.random.default_rng(options.seed)
        self._log: BinaryIO | None = None
        self._pulled_by_hand = False
        self._pulled_by_source = False
        self._ended = False
        self._begun_at = math.inf
        self._played = 0
        self._label = ""
        self.sent = 0
        self.dropped = 0

    def run(self) -> None:
        """Play until told to end; leaves no link behind."""
        with contextlib.ExitStack() as stack:
            if self._options.log_counts:
                self._log = stack.enter_context(self._options.log_counts.open("wb"))
            stack.callback(self._pty.unplug)
            self._watch_signals()
            self._plug_in()
            print(self._options.link, flush=True)
            self._loop(time.monotonic() + self._options.stop_after_s)

    def _watch_signals(self) -> None:
        signal.signal(signal.SIGUSR1, lambda *_: self._pull(by_hand=True))
        signal.signal(signal.SIGUSR2, lambda *_: self._pull(by_hand=False))
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        signal.signal(signal.SIGINT, lambda *_: self._end())

    def _pull(self, *, by_hand: bool) -> None:
        self._pulled_by_hand = by_hand

    def _end(self) -> None:
        self._ended = True

    def _loop(self, end_at: float) -> None:
        next_tick = time.monotonic()
        while not self._ended and time.monotonic() < end_at:
            self._attend_plug()
            self._answer(max(0.0, next_tick - time.monotonic()))
            now = time.monotonic()
            if now >= next_tick:
                self._play(now)
                next_tick = max(next_tick + TICK_S, now)

    def _attend_plug(self) -> None:
        pulled = self._pulled_by_hand or self._pulled_by_source
        if pulled and self._pty.plugged_in:
            self._pty.unplug()
        elif not pulled and not self._pty.plugged_in:
            self._plug_in()

    def _plug_in(self) -> None:
        self._pty.plug_in()
        self._device.plug_in()

    def _answer(self, wait_s: float) -> None:
        """Wait for the next tick, answering commands meanwhile."""
        answer = self._device.receive(self._pty.read(wait_s))
        if answer:
            self._pty.write([answer])

    def _play(self, now: float) -> None:
        """Take from the source what is due and send it, if the device streams."""
        if not math.isfinite(self._begun_at):
            if not self._device.streaming:
                return
            self._begun_at = now
        rate = self._device.rate_hz * self._options.speed
        due = int((now - self._begun_at) * rate)
        stale = due - int(STALL_S * rate)
        while self._played < due:
            lost = self._played < stale or not self._pty.opened()
            chunk = self._source.read((stale if self._played < stale else due) - self._played)
            self._tell(chunk)
            counts = self._device.counts(chunk)
            self._note(counts)
            self._played += len(counts)
            self._pulled_by_source = chunk.unplugged
            if self._device.streaming and self._pty.plugged_in and not chunk.unplugged:
                self._send(self._device.packets(counts), lost=lost)

    def _send(self, packets: NDArray[np.uint8], *, lost: bool) -> None:
        kept = self._chance.random(len(packets)) >= self._options.drop_packets
        kept &= not lost
        whole = [row.tobytes() for row in packets[kept]]
        overflow = self._pty.write(whole)
        self.sent += len(whole) - overflow
        self.dropped += len(packets) - len(whole) + overflow

    def _note(self, counts: NDArray[np.int32]) -> None:
        """Log channel 1 of every sample, sent or not: its place in the log is its time."""
        if self._log:
            self._log.write(np.ascontiguousarray(counts[:, 0], "<i4").tobytes())
            self._log.flush()

    def _tell(self, chunk: SourceChunk) -> None:
        if self._options.tell_labels and chunk.label != self._label:
            print("label", self._played, time.monotonic_ns(), chunk.label, flush=True)
        self._label = chunk.label


class Rated(Protocol):
    """What a source must fit: an emulated device's rate."""

    rate_hz: float


def open_source(name: str, device: Rated, scenario: str, seed: int) -> EcgSource:
    """The built-in generator for ``scenario``, else the record at that path."""
    if name == "scenario":
        from drivers.scenario import ScenarioSource

        return ScenarioSource(rate_hz=device.rate_hz, scenario=scenario, seed=seed)
    from drivers.replay import RecordSource

    return RecordSource(name, rate_hz=device.rate_hz)


def make_device(kind: str, **options: Any) -> EmulatedDevice:
    """The device side of ``kind``; raises DriverError for an option that it doesn't have."""
    try:
        return DEVICES[kind](**options)
    except (TypeError, ValueError) as fault:
        raise DriverError(f"options {options} do not fit ({fault})", kind, "correct them") from None


def arguments() -> argparse.ArgumentParser:
    """The command line of the emulator."""
    parser = argparse.ArgumentParser(prog="python -m drivers.emulator", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("device", choices=DEVICES)
    parser.add_argument(
        "--source", default="scenario", help="'scenario' (built in) or a record's path"
    )
    parser.add_argument("--scenario", default="default", help="which of the built-in scenarios")
    parser.add_argument("--seed", type=int, default=0, help="of generator and of dropped packets")
    parser.add_argument("--link", type=Path, required=True, help="the port's path, as /dev/ttyUSB0")
    parser.add_argument("--rate", type=float, help=f"samples per second ({', '.join(RATED)})")
    parser.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of the emulated device, such as product=max30003",
    )
    parser.add_argument("--speed", type=float, default=1.0, help="times real time")
    parser.add_argument(
        "--drop-packets", type=float, default=0.0, metavar="P", help="share lost in the air, 0 to 1"
    )
    parser.add_argument(
        "--stop-after", type=float, default=math.inf, metavar="SECONDS", help="then end"
    )
    parser.add_argument(
        "--log-counts",
        type=Path,
        metavar="FILE",
        help="channel 1 of each sample, sent or not, as int32 LE",
    )
    parser.add_argument(
        "--labels",
        action="store_true",
        help="print 'label SAMPLE MONOTONIC_NS TEXT' at each change",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the emulator; 2 with one line on stderr where it cannot."""
    given = sys.argv[1:] if argv is None else argv
    if given[:1] == [MONITOR]:
        from drivers import emulator_intellivue

        return emulator_intellivue.main(given[1:])
    parser = arguments()
    chosen = parser.parse_args(given)
    if chosen.rate is not None and chosen.device not in RATED:
        parser.error(f"--rate: only {' and '.join(RATED)} have a choice")
    options = Options(
        link=chosen.link,
        speed=chosen.speed,
        drop_packets=chosen.drop_packets,
        seed=chosen.seed,
        stop_after_s=chosen.stop_after,
        log_counts=chosen.log_counts,
        tell_labels=chosen.labels,
    )
    try:
        rated = {} if chosen.rate is None else {"rate_hz": chosen.rate}
        made = make_device(chosen.device, **rated | options_of(chosen.option, chosen.device))
        source = open_source(chosen.source, made, chosen.scenario, chosen.seed)
        emulator = Emulator(made, source, options)
        emulator.run()
    except (DriverError, OSError, ValueError) as fault:
        print(f"emulator: {fault}", file=sys.stderr)
        return 2
    print(f"emulator: {emulator.sent} packets sent, {emulator.dropped} dropped", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
