"""What decoding costs: CPU per bed at each device's usual rate, in per cent of one core.

    python -m benchmarks.decoding [--seconds 60] [--rounds 5] [--limit 0.1] [NAME …]

Each decoder gets a minute of its device's bytes as its emulated side sends them, cut as they
arrive: a serial port every 50 ms, Bluetooth and UDP by the packet. Counted is CPU time from bytes
to samples, best of the rounds; the dearest comes first, and the status is 1 where one costs more
than the limit. Reading the port, and laying the samples on the time axis, are not in it.
"""

from __future__ import annotations

import argparse
import math
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drivers.emulator import make_device
from drivers.samples import SampleBlock
from drivers.scenario import ScenarioSource
from drivers.serial_link import GATHER_S

LIMIT_PERCENT: Final = 0.1


@dataclass(frozen=True)
class Feed:
    """A decoder's bytes, and how it takes them."""

    pieces: list[bytes]
    make: Callable[[], Callable[[bytes], Any]]
    """A fresh decoder: bytes in."""
    samples: Callable[[Any], int]
    """How many samples an answer holds: what was measured must have decoded something."""


@dataclass(frozen=True)
class Cost:
    """What one decoder costs."""

    name: str
    percent: float
    """Of a core."""
    microseconds: float
    """A piece."""
    samples_hz: float


def _microvolts(rate_hz: float, seconds: float) -> NDArray[np.float64]:
    """Sinus rhythm of one lead."""
    source, wanted = ScenarioSource(rate_hz=rate_hz, scenario="sinus", seed=1), rate_hz * seconds
    found = [source.read(round(wanted)).microvolts[:, :1]]
    while sum(map(len, found)) < wanted:
        found.append(source.read(round(wanted) - sum(map(len, found))).microvolts[:, :1])
    return np.concatenate(found)


def _counts_of(packets: Any) -> int:
    return len(packets.counts)


def _serial(
    kind: str, make: Callable[[], Any], started: tuple[bytes, ...] = (), **options: Any
) -> Callable[[float], Feed]:
    """A device on a serial port; ``started`` is what the host tells it first."""

    def feed(seconds: float) -> Feed:
        device = make_device(kind, **options)
        for command in started:
            device.receive(command)
        source, sent = ScenarioSource(rate_hz=device.rate_hz, scenario="sinus", seed=1), 0
        pieces = []
        for number in range(1, round(seconds / GATHER_S) + 1):
            piece = b""
            while sent < round(number * GATHER_S * device.rate_hz):
                chunk = source.read(round(number * GATHER_S * device.rate_hz) - sent)
                piece += device.packets(device.counts(chunk)).tobytes()
                sent += len(chunk.microvolts)
            pieces.append(piece)
        return Feed(pieces, lambda: make().feed, _counts_of)

    return feed


def _cyton() -> Any:
    from drivers.decoders.cyton import CytonDecoder

    return CytonDecoder()


def _olimex() -> Any:
    from drivers.decoders.olimex import OlimexDecoder

    return OlimexDecoder()


def _text_lines() -> Any:
    from drivers.decoders.text_lines import TextLineDecoder

    return TextLineDecoder()


def _bitalino() -> Any:
    from drivers.decoders.bitalino import BitalinoDecoder

    return BitalinoDecoder(1)


def _protocentral(product: str) -> Callable[[], Any]:
    def make() -> Any:
        from drivers.decoders.protocentral import PRODUCTS, ProtocentralDecoder

        return ProtocentralDecoder(PRODUCTS[product])

    return make


def _shimmer() -> Any:
    from drivers.decoders.shimmer import EXG1, Layout, ShimmerDecoder

    decoder = ShimmerDecoder()
    decoder.begin(Layout(EXG1), 64)
    return decoder


def _polar(seconds: float) -> Feed:
    from drivers.decoders.polar_pmd import decode_ecg

    rate_hz, size = 130.0, 73
    values = np.rint(_microvolts(rate_hz, seconds)[:, 0]).astype(int).tolist()
    pieces = []
    for first in range(0, len(values) - size + 1, size):
        body = b"".join(v.to_bytes(3, "little", signed=True) for v in values[first : first + size])
        last_ns = round((first + size - 1) / rate_hz * 1e9)
        pieces.append(b"\0" + struct.pack("<Q", last_ns) + b"\0" + body)
    return Feed(pieces, lambda: decode_ecg, lambda frame: len(frame.microvolts))


def _heart_rate(seconds: float) -> Feed:
    from drivers.decoders.heart_rate import decode_heart_rate

    pieces = [bytes([0x16, 60 + k % 30, 0x11, 0x04]) for k in range(math.ceil(seconds))]
    return Feed(pieces, lambda: decode_heart_rate, lambda reading: len(reading.rr_ms))


def _movesense(seconds: float) -> Feed:
    from drivers.decoders import movesense as gsp
    from drivers.emulated.movesense import EmulatedMovesense

    sensor = EmulatedMovesense()
    sensor.subscriptions = {1: gsp.ecg_path(200)}
    values = np.rint(_microvolts(200.0, seconds)[:, 0]).astype(int).tolist()
    pieces: list[bytes] = []
    for first in range(0, len(values) - 15, 16):
        pieces += sensor.ecg(first * 5, values[first : first + 16])

    def make() -> Callable[[bytes], Any]:
        assembler = gsp.Assembler({1: gsp.ecg_bytes()})

        def take(data: bytes) -> gsp.EcgPacket | None:
            item = assembler.feed(data)
            return gsp.decode_ecg(item.payload) if isinstance(item, gsp.Packet) else None

        return take

    return Feed(pieces, make, lambda ecg: 0 if ecg is None else len(ecg.counts))


def _ganglion(firmware: int) -> Callable[[float], Feed]:
    def feed(seconds: float) -> Feed:
        from drivers.decoders.ganglion import GanglionDecoder
        from drivers.emulated.ganglion import EmulatedGanglion

        board = EmulatedGanglion(firmware)
        board.receive(b"b")
        rows = np.repeat(_microvolts(200.0, seconds), 4, axis=1)
        pieces, at = [], 0
        while at + board.due <= len(rows):
            due = board.due
            pieces.append(board.packet(rows[at : at + due].tolist()))
            at += due
        return Feed(pieces, lambda: GanglionDecoder(firmware).feed, lambda found: (
            0 if found is None else len(found.counts)))  # fmt: skip

    return feed


def _intellivue(seconds: float) -> Feed:
    """Waves, numerics and alarms; decoded as far as the blocks of the ECG."""
    from drivers.decoders import intellivue_session as session
    from drivers.decoders.intellivue_messages import (
        PollAnswer,
        Polled,
        decode,
        extended_poll,
    )
    from drivers.decoders.intellivue_values import Values
    from drivers.emulated.intellivue import EmulatedIntelliVue
    from drivers.intellivue import ALARM_GROUP, ALL_GROUPS, WANTED
    from drivers.intellivue_ecg import EcgBlocks

    monitor = EmulatedIntelliVue()
    monitor.receive(session.association_request(WANTED))
    polls = (
        (Polled.WAVES, ALL_GROUPS),
        (Polled.NUMERICS, ALL_GROUPS),
        (Polled.ALARMS, ALARM_GROUP),
    )
    pieces: list[bytes] = []
    for invoke, (polled, group) in enumerate(polls):
        pieces += monitor.receive(extended_poll(invoke, polled, polled, seconds + 60, group))
    lead = _microvolts(monitor.rate_hz, seconds)
    pieces += monitor.play(monitor.counts(np.repeat(lead, 3, axis=1)))

    def make() -> Callable[[bytes], Any]:
        values, blocks = Values(), EcgBlocks()

        def take(data: bytes) -> Any:
            answer = decode(data)
            if not isinstance(answer, PollAnswer):
                return []
            values.numerics(answer)
            values.alarms(answer)
            return blocks.feed(values.waves(answer))

        return take

    return Feed(pieces, make, lambda blocks: sum(len(block.counts) for block in blocks))


def _file(form: str) -> Callable[[float], Feed]:
    """A record of two leads at 360 Hz, read as it is played: a tenth of a second at a time."""

    def feed(seconds: float) -> Feed:
        from drivers.files import open_record
        from drivers.replay import LIVE_BLOCK_S, blocks

        counts = np.rint(np.repeat(_microvolts(360.0, seconds), 2, axis=1)).astype("<i2")
        folder = tempfile.TemporaryDirectory()
        path = Path(folder.name) / f"r.{form}"
        if form == "csv":
            rows = (f"{k / 360:.4f},{a},{b}" for k, (a, b) in enumerate(counts.tolist()))
            path.write_text("\n".join(["time (s),II (uV),V1 (uV)", *rows]) + "\n")
        else:
            path = path.with_suffix("")
            lines = "".join(f"r.dat 16 1000/mV 16 0 0 0 0 {name}\n" for name in ("II", "V1"))
            path.with_suffix(".hea").write_text(f"r 2 360 {len(counts)}\n{lines}")
            path.with_suffix(".dat").write_bytes(counts.tobytes())

        def make() -> Callable[[bytes], Any]:
            playing = blocks(open_record(path), LIVE_BLOCK_S)
            kept = folder  # the file lives as long as it is read
            return lambda _: next(playing) if kept else None

        count = math.ceil(len(counts) / round(360 * LIVE_BLOCK_S))
        return Feed([b""] * count, make, lambda block: (
            len(block.counts) if isinstance(block, SampleBlock) else 0))  # fmt: skip

    return feed


FEEDS: Final[dict[str, Callable[[float], Feed]]] = {
    "cyton": _serial("cyton", _cyton, (b"b",)),
    "olimex": _serial("olimex", _olimex),
    "bitalino": _serial("bitalino", _bitalino, (b"\xc3", b"\x05")),
    "protocentral": _serial("protocentral", _protocentral("healthypi_v4")),
    "protocentral healthypi_5": _serial(
        "protocentral", _protocentral("healthypi_5"), product="healthypi_5"
    ),
    "shimmer3": _serial("shimmer3", _shimmer, (b"\x08\x10\0\0", b"\x07")),
    "text_lines": _serial("text_lines", _text_lines),
    "polar_h10": _polar,
    "movesense": _movesense,
    "ganglion": _ganglion(3),
    "ganglion firmware 2": _ganglion(2),
    "heart_rate": _heart_rate,
    "intellivue": _intellivue,
    "replay wfdb": _file("wfdb"),
    "replay csv": _file("csv"),
}
"""Driver (and variant) → its bytes. The quality scale asks that a driver is here."""


def cost(name: str, seconds: float = 60.0, rounds: int = 5) -> Cost:
    """Measure one decoder on ``seconds`` of its device's bytes."""
    feed = FEEDS[name](seconds)
    best, samples = math.inf, 0
    for _ in range(rounds):
        take = feed.make()
        begun = time.process_time()
        found = [take(piece) for piece in feed.pieces]
        best = min(best, time.process_time() - begun)
        samples = sum(map(feed.samples, found))
    return Cost(name, best / seconds * 100, best / len(feed.pieces) * 1e6, samples / seconds)


def main(argv: list[str] | None = None) -> int:
    """Print the table; 1 where a decoder costs more than the limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help="decoders; all without one")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each device's bytes")
    parser.add_argument("--rounds", type=int, default=5, help="of which the best counts")
    parser.add_argument("--limit", type=float, default=LIMIT_PERCENT, help="per cent of a core")
    chosen = parser.parse_args(argv)
    unknown = [name for name in chosen.names if name not in FEEDS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: unknown; there are {', '.join(FEEDS)}")
    costs = [cost(name, chosen.seconds, chosen.rounds) for name in chosen.names or FEEDS]
    print("decoder                   % of a core   µs a piece   samples/s")
    for one in sorted(costs, key=lambda one: -one.percent):
        over = "  over the limit" if one.percent > chosen.limit else ""
        figures = f"{one.percent:11.4f} {one.microseconds:12.1f} {one.samples_hz:11.1f}"
        print(f"{one.name:25} {figures}{over}")
    return int(any(one.percent > chosen.limit for one in costs))


if __name__ == "__main__":
    sys.exit(main())
