"""Every decoder with its good frames, for the fuzzer; a new decoder is added here."""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable
from typing import Any, Final

import numpy as np
from support import fuzz_files, fuzz_intellivue
from support.fuzzing import Subject, Target

from drivers.decoders import ganglion, heart_rate, movesense, polar_pmd, sbem
from drivers.decoders.bitalino import FRAME_BYTES, BitalinoDecoder
from drivers.decoders.cyton import CytonDecoder
from drivers.decoders.olimex import OlimexDecoder
from drivers.decoders.protocentral import PRODUCTS, PULSE_BYTES, ProtocentralDecoder
from drivers.decoders.shimmer import EXG1, Layout, ShimmerDecoder
from drivers.decoders.text_lines import LONGEST_LINE, TextLineDecoder
from drivers.emulated.bitalino import LINES, encode
from drivers.emulated.movesense import EmulatedMovesense
from drivers.emulated.protocentral import EmulatedProtocentral


def _packets(make: Callable[[], Any], field: str) -> Callable[[], Subject]:
    """A stream decoder on ``FixedFrames`` that gives arrays: number and channels of each."""

    def subject() -> Subject:
        decoder = make()

        def feed(data: bytes) -> list[Hashable]:
            found = decoder.feed(data)
            numbers = getattr(found, field).tolist()
            return list(zip(numbers, map(tuple, found.counts.tolist()), strict=True))

        return Subject(feed, lambda: decoder.frames.pending)

    return subject


def _reads(read: Callable[[bytes], Hashable]) -> Callable[[], Subject]:
    """A decoder that is one function of one packet."""
    return lambda: Subject(lambda data: [read(data)])


def _cyton(number: int) -> bytes:
    channels = b"".join((number * 7 + k).to_bytes(3, "big") for k in range(8))
    return bytes([0xA0, number % 256]) + channels + bytes(6) + b"\xc0"


def _olimex(number: int) -> bytes:
    values = b"".join(((number + k) % 1024).to_bytes(2, "big") for k in range(6))
    return b"\xa5\x5a\x02" + bytes([number % 256]) + values + b"\x01"


def _protocentral(name: str) -> Target:
    device, product = EmulatedProtocentral(name), PRODUCTS[name]

    def subject() -> Subject:
        decoder = ProtocentralDecoder(product)

        def feed(data: bytes) -> list[Hashable]:
            ecg = decoder.feed(data).counts.reshape(-1, product.samples)
            return [tuple(frame) for frame in ecg.tolist()]

        return Subject(feed, lambda: decoder.frames.pending)

    def good(number: int) -> bytes:
        counts = [[number * 7 + sample, 0] for sample in range(product.samples)]
        return device.packets(np.array(counts, np.int32)).tobytes()

    most_kept = 2 * product.frame_bytes + (PULSE_BYTES + 7 if product.between else 0)
    return Target(subject, good, most_kept=most_kept)


def _shimmer_subject() -> Subject:
    decoder = ShimmerDecoder()
    decoder.begin(Layout(EXG1), 64)

    def feed(data: bytes) -> list[Hashable]:
        packets = decoder.feed(data)
        counts = map(tuple, packets.counts.tolist())
        return list(zip(packets.stamps.tolist(), counts, strict=True))

    return Subject(feed, lambda: decoder.pending)


def _shimmer(number: int) -> bytes:
    stamp = (number * 64 % (1 << 24)).to_bytes(3, "little")
    return (
        b"\0" + stamp + b"\x80" + (number * 7).to_bytes(3, "big") + (number * 9).to_bytes(3, "big")
    )


def _bitalino(channels: int) -> Target:
    def subject() -> Subject:
        decoder = BitalinoDecoder(channels)

        def feed(data: bytes) -> list[Hashable]:
            found = decoder.feed(data)
            counts = map(tuple, found.counts.tolist())
            return list(zip(found.numbers.tolist(), counts, strict=True))

        return Subject(feed, lambda: decoder.pending)

    def good(number: int) -> bytes:
        values = (np.arange(channels) * 11 + number) % 64
        return encode(np.array([number % 16]), np.array([LINES]), values[None, :]).tobytes()

    return Target(subject, good, most_kept=2 * FRAME_BYTES[channels] - 1)


def _text_subject() -> Subject:
    decoder = TextLineDecoder()

    def feed(data: bytes) -> list[Hashable]:
        return [int(count) for count in decoder.feed(data).counts[:, 0]]

    return Subject(feed, lambda: decoder.pending)


def _polar(number: int) -> bytes:
    body = b"".join((k * number % 4000).to_bytes(3, "little") for k in range(73))
    return b"\0" + struct.pack("<Q", number * 561_000_000) + b"\0" + body


def _polar_ecg(data: bytes) -> Hashable:
    frame = polar_pmd.decode_ecg(data)
    return frame.last_ns, frame.microvolts.tobytes()


def _polar_answer(data: bytes) -> Hashable:
    answer = polar_pmd.decode_response(data)
    return None if answer is None else str(polar_pmd.settings(answer.parameters))


def _gsp_subject() -> Subject:
    assembler = movesense.Assembler({1: movesense.ecg_bytes(), 2: movesense.ecg_bytes(raw=True)})

    def feed(data: bytes) -> list[Hashable]:
        item = assembler.feed(data)
        match item:
            case movesense.Packet(reference=1 | 2):
                raw = item.reference == 2
                ecg = movesense.decode_ecg(item.payload, raw=raw)
                return [(ecg.first_ms, ecg.counts.tobytes())]
            case movesense.Packet():
                return [movesense.decode_heart_rate(item.payload)]
            case movesense.Answer():
                movesense.decode_hello(item.body)
                return [(item.said, movesense.decode_ecg_info(item.value))]
        return []

    return Subject(feed, lambda: assembler.pending)


_SENSOR = EmulatedMovesense()
_SENSOR.subscriptions = {1: movesense.ecg_path(200)}


def _gsp(number: int) -> bytes:
    return _SENSOR.ecg(number * 80, [number + k for k in range(16)])[0]


_GSP_CUT = EmulatedMovesense()
_GSP_CUT.subscriptions = {2: movesense.ecg_path(200, raw=True)}
_GSP_CUT.payload_limit = 40


def _sbem_subject() -> Subject:
    """A log is read once from its beginning: each piece is a log of its own."""

    def feed(data: bytes) -> list[Hashable]:
        decoder = sbem.SbemDecoder()
        return [str(record) for record in decoder.feed(data)]

    return Subject(feed)


_SBEM_HEAD = sbem.MAGIC + b"".join(
    bytes([0, len(text) + 2]) + number.to_bytes(2, "little") + text
    for number, text in (
        (9, b"<PTH>Samples+Array.MeasECGmV.Timestamp\n<FRM>uint32\0"),
        (58, b"<PTH>[\0"),
        (26, b"<PTH>Samples.MeasECGmV.Samples\n<FRM>int16\n<MOD>x*0.001\0"),
        (59, b"<PTH>]\0"),
        (68, b"<GRP>9,58,26,26,26,26,59\0"),
    )
)


def _sbem(number: int) -> bytes:
    return _SBEM_HEAD + b"\x44\x0c" + struct.pack("<I4h", number, *range(4))


def _ganglion_subject(firmware: int) -> Callable[[], Subject]:
    def subject() -> Subject:
        decoder = ganglion.GanglionDecoder(firmware)

        def feed(data: bytes) -> list[Hashable]:
            item = decoder.feed(data)
            match item:
                case ganglion.GanglionSamples():
                    return [(item.numbers.tobytes(), item.counts.tobytes())]
                case None:
                    return []
            return [item]

        return Subject(feed, lambda: decoder.pending)

    return subject


def _ganglion_3(number: int) -> bytes:
    values = np.arange(8).reshape(2, 4) * number * 2
    return bytes([100 + number % 100]) + ganglion.packed_fields(values, 19)


def _ganglion_2(number: int) -> bytes:
    """A whole sample each second packet: what a lost one leaves open is known again."""
    if number % 2 == 0:
        return b"\0" + b"".join((number * k).to_bytes(3, "big") for k in range(4)) + bytes(7)
    return b"\1" + ganglion.packed_fields(np.arange(8).reshape(2, 4) * 2, 18)


TARGETS: Final[dict[str, Target]] = {
    "cyton": Target(_packets(CytonDecoder, "numbers"), _cyton, most_kept=66),
    "olimex": Target(_packets(OlimexDecoder, "counters"), _olimex, most_kept=35),
    "protocentral": _protocentral("healthypi_v4"),
    **{f"protocentral_{name}": _protocentral(name) for name in PRODUCTS if name != "healthypi_v4"},
    "shimmer": Target(_shimmer_subject, _shimmer, most_kept=18),
    "bitalino": _bitalino(1),
    **{f"bitalino_{channels}": _bitalino(channels) for channels in (2, 4, 6)},
    "text_lines": Target(
        _text_subject, lambda number: f"{number}\r\n".encode(), most_kept=LONGEST_LINE
    ),
    "polar_pmd": Target(_reads(_polar_ecg), _polar, errors=(polar_pmd.PmdError,), datagrams=True),
    "polar_answers": Target(
        _reads(_polar_answer),
        lambda number: bytes.fromhex("f0010000000001820001010e00"),
        errors=(polar_pmd.PmdError,),
        datagrams=True,
    ),
    "heart_rate": Target(
        _reads(heart_rate.decode_heart_rate),
        lambda number: b"\x16" + bytes([number % 200]) + b"\x11\x04",
        errors=(heart_rate.HeartRateError,),
        datagrams=True,
    ),
    "movesense": Target(
        _gsp_subject,
        _gsp,
        most_kept=2 * movesense.LONGEST_NOTIFICATION,
        errors=(movesense.GspError,),
        datagrams=True,
    ),
    "ganglion": Target(
        _ganglion_subject(3), _ganglion_3, most_kept=ganglion.LONGEST_TEXT, datagrams=True
    ),
    "ganglion_2": Target(
        _ganglion_subject(2), _ganglion_2, most_kept=ganglion.LONGEST_TEXT, datagrams=True
    ),
    "sbem": Target(_sbem_subject, _sbem, errors=(sbem.SbemError,), datagrams=True),
    **fuzz_intellivue.TARGETS,
    **fuzz_files.TARGETS,
}
"""Name of a decoder → how it is fuzzed. The quality scale asks that a driver's are here."""
