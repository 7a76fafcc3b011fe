"""Which device is on a serial port? Listen first; ask only what does no harm; say how sure."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers import catalogue
from drivers.decoders import intellivue_session
from drivers.decoders.bitalino import FRAME_BYTES, BitalinoDecoder
from drivers.decoders.cyton import PACKET_BYTES as CYTON_BYTES
from drivers.decoders.cyton import CytonDecoder
from drivers.decoders.intellivue_mib import MibFrames, frame
from drivers.decoders.olimex import PACKET_BYTES as OLIMEX_BYTES
from drivers.decoders.olimex import OlimexDecoder
from drivers.decoders.protocentral import START, recognise
from drivers.decoders.shimmer import EXG1, EXG2, Layout, ShimmerDecoder
from drivers.decoders.text_lines import TextLineDecoder
from drivers.samples import DriverError
from drivers.serial_link import SerialAddress, SerialPort

LISTEN_S: Final = 1.5
ANSWER_S: Final = 3.0
SURE: Final = 0.9
LIKELY: Final = 0.5
FEWEST: Final = 20
"""Packets below which nothing is sure."""
CAPTURE_LIMIT: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Match:
    """How well bytes fit a kind of device."""

    share: float
    """Of the bytes, how many its packets explain, 0 to 1."""
    packets: int
    regular: float = 1.0
    """Share of packets whose counter follows the one before."""
    options: str = ""
    """Which of the driver's options these bytes tell, as a configuration writes them."""

    @property
    def score(self) -> float:
        """0 to 1; few packets are no proof."""
        return self.share * self.regular * min(1.0, self.packets / FEWEST)


Judge = Callable[[bytes], Match]


@dataclass(frozen=True, slots=True)
class Query:
    """Bytes that its driver would send anyway, and what the answer must hold."""

    send: bytes
    answer: bytes
    after: bytes = b""
    """Sent afterwards, to leave the device as it was."""


@dataclass(frozen=True, slots=True)
class Signature:
    """How one kind is known on a serial port; a driver's module may have one as ``SIGNATURE``."""

    kind: str
    bauds: tuple[int, ...]
    judge: Judge
    query: Query | None = None
    """Only for a device that is silent until it is asked."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One kind that fits."""

    kind: str
    baud: int
    score: float
    why: str

    @property
    def how_sure(self) -> str:
        """``sure``, ``likely`` or ``possible``."""
        return "sure" if self.score >= SURE else "likely" if self.score >= LIKELY else "possible"


def _in_turn(counters: NDArray[np.uint8]) -> float:
    if len(counters) < 2:
        return 0.0
    return float((np.diff(counters) == 1).mean())


def _cyton(data: bytes) -> Match:
    packets = CytonDecoder().feed(data)
    count = len(packets.numbers)
    return Match(_share(count * CYTON_BYTES, data), count, _in_turn(packets.numbers))


def _olimex(data: bytes) -> Match:
    packets = OlimexDecoder().feed(data)
    count = len(packets.counters)
    counters = packets.counters.astype(np.uint8)
    return Match(_share(count * OLIMEX_BYTES, data), count, _in_turn(counters))


def _protocentral(data: bytes) -> Match:
    found = recognise(data)
    if found is None:
        return Match(0.0, 0)
    share = _share(found.explained, data)
    return Match(share, found.frames, options=f'product = "{found.product}"')


def _shimmer(data: bytes) -> Match:
    """What it streams, and how fast, cannot be heard: one chip or both, at each usual rate."""
    found = []
    for channels, ticks in product((EXG1, (*EXG1, *EXG2)), (32, 64, 128, 256)):
        decoder = ShimmerDecoder()
        decoder.begin(Layout(channels), ticks)
        stamps = decoder.feed(data).stamps
        share = _share(len(stamps) * decoder.layout.size, data)
        regular = float((np.diff(stamps) == ticks).mean()) if len(stamps) > 1 else 0.0
        found.append(Match(share, len(stamps), regular))
    return max(found, key=lambda match: match.score)


def _bitalino(data: bytes) -> Match:
    """Only one that streams already; which of its connectors it sends cannot be heard."""
    found = []
    for channels in range(1, len(FRAME_BYTES)):
        count = len(BitalinoDecoder(channels).feed(data).numbers)
        found.append(Match(_share(count * FRAME_BYTES[channels], data), count))
    return max(found, key=lambda match: match.share)


def _lines(data: bytes) -> Match:
    decoder = TextLineDecoder()
    lines = decoder.feed(data)
    return Match(_share(int(lines.lengths.sum()), data), len(lines.counts))


def _intellivue(data: bytes) -> Match:
    frames = MibFrames()
    messages = frames.feed(data)
    return Match(_share(len(data) - frames.discarded, data), len(messages) * FEWEST)


def _share(explained: int, data: bytes) -> float:
    return min(1.0, explained / len(data)) if data else 0.0


# Asked in this order: a question must do no harm to those that come after it.
SIGNATURES: Final = (
    Signature("protocentral", (115200, 57600), _protocentral, Query(b"", START)),
    # 07 starts a Shimmer3, 20 stops it; on a BITalino 20 and 00 move its lamp's threshold and back.
    Signature("bitalino", (115200,), _bitalino, Query(b"\x07", b"BITalino", b"\x20\x00")),
    Signature("cyton", (115200,), _cyton, Query(b"v", b"OpenBCI V")),
    Signature("olimex", (57600, 115200), _olimex),
    Signature("shimmer3", (115200,), _shimmer, Query(b"\x2e", b"\xff\x2f\x03\x00")),
    Signature("text_lines", (9600, 115200, 57600, 230400, 19200, 38400), _lines),
    Signature(
        "intellivue",
        (115200,),
        _intellivue,
        Query(
            frame(intellivue_session.association_request(intellivue_session.NUMERICS_1S)),
            b"\xc0\x11\x01",
            frame(intellivue_session.RELEASE_REQUEST),
        ),
    ),
)


def judge(data: bytes, baud: int) -> list[Verdict]:
    """Kinds that explain ``data`` heard at ``baud``, the best first."""
    verdicts = []
    for signature in _signatures():
        if baud not in signature.bauds:
            continue
        match = signature.judge(data)
        if match.score > 0.1:
            why = f"{match.share:.0%} of {len(data)} bytes are its packets at {baud} baud"
            why += f"; {match.options}" if match.options else ""
            verdicts.append(Verdict(signature.kind, baud, match.score, why))
    return sorted(verdicts, key=lambda verdict: -verdict.score)


def _signatures() -> tuple[Signature, ...]:
    """Those here, and ``SIGNATURE`` of each other driver's module that has one."""
    known = catalogue.names()
    here = [signature for signature in SIGNATURES if signature.kind in known]
    kinds = {signature.kind for signature in here}
    modules = [module for kind, (module, _) in catalogue.KINDS.items() if kind not in kinds]
    others = (getattr(importlib.import_module(module), "SIGNATURE", None) for module in modules)
    return (*here, *(other for other in others if isinstance(other, Signature)))


def bauds() -> tuple[int, ...]:
    """The baud rates to listen at, each once, those of most kinds first."""
    every = [baud for signature in _signatures() for baud in signature.bauds]
    return tuple(sorted(set(every), key=lambda baud: (-every.count(baud), every.index(baud))))


async def probe(
    address: str, *, ask: bool = True, listen_s: float = LISTEN_S, say: Callable[[str], None]
) -> list[Verdict]:
    """The kinds that fit what is on the port, the best first; empty when nothing does.

    ``ask=False`` never sends a byte. Raises :class:`DriverError` where the port can't be opened.
    """
    place = SerialAddress(address)
    absent = place.absent()
    if absent is not None:
        raise absent
    best: list[Verdict] = []
    heard = 0
    for baud in bauds():
        data = await _listen(place, baud, listen_s)
        heard += len(data)
        verdicts = judge(data, baud)
        say(f"{baud} baud: {len(data)} bytes" + (f", {verdicts[0].kind}?" if verdicts else ""))
        best = sorted([*best, *verdicts], key=lambda verdict: -verdict.score)
        if best and best[0].score >= SURE:
            return best
    if ask and not heard:
        best += await _ask(place, say)
    return best


async def _listen(place: SerialAddress, baud: int, listen_s: float) -> bytes:
    try:
        port = SerialPort(place, baud, dtr=False)
    except DriverError as fault:
        if not fault.transient and "baud" in fault.what:
            return b""
        raise
    data = b""
    try:
        async with asyncio.timeout(listen_s):
            while len(data) < CAPTURE_LIMIT:
                data += await port.read(listen_s)
    except TimeoutError:
        pass
    finally:
        port.close()
    return data


async def _ask(place: SerialAddress, say: Callable[[str], None]) -> list[Verdict]:
    found = []
    for signature in _signatures():
        query = signature.query
        if query is None:
            continue
        baud = signature.bauds[0]
        port = SerialPort(place, baud)
        try:
            await port.write(query.send)
            answer = await port.read_until(query.answer, ANSWER_S)
            if query.after:
                await port.write(query.after)
                await port.flush(0.2)
        finally:
            port.close()
        say(f"{baud} baud: asked as {signature.kind}, {len(answer)} bytes came")
        if query.answer in answer:
            why = f"it answered as a {signature.kind} does, at {baud} baud"
            found.append(Verdict(signature.kind, baud, 1.0, why))
            break
    return found
