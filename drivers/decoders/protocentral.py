"""ProtoCentral boards: frames of one length in, ECG counts, lead state and the other fields out.

``0A FA``, a 16-bit payload length, a type, the payload, ``00`` or ``02``, ``0B``. There is no
checksum and no counter; that length, type and end are those of one product is what a frame is
believed by. Layouts: the firmware of each product (HealthyPi v3, v4 and 5, the OpenView and plot
sketches of the ADS1292R breakout, the sketch of the MAX30003 breakout).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drivers.decoders.framing import FixedFrames, Rows
from drivers.samples import Counts

START: Final = b"\x0a\xfa"
DATA_TYPE, BLOCK_TYPE, PULSE_TYPE = 2, 3, 4
HEAD_BYTES = 5
TAIL: Final = b"\x00\x0b"
"""Most firmware ends so, the older ADS1292R sketch with ``02 0B``."""
TAIL_IGNORED = 0x02
"""The bit in which the two differ."""

PULSE_BYTES = 19
"""Payload of a HealthyPi 5's frames of pulse oximetry, which come between its blocks of ECG."""

LEAD_STATUS_BITS = 0x1F
"""ADS1292R: four electrode inputs and the right-leg drive; 0 when all are on."""
ZERO_S = 1.0
"""So long exactly 0 is no wave of an amplifier that is connected."""


def _ads1292r(gain: int, bits: int) -> float:
    """µV per count: 2.42 V reference."""
    return float(2.42e6 / gain / (2 ** (bits - 1) - 1))


def _max3000x(gain: int) -> float:
    """µV per 18-bit code: 1 V reference."""
    return float(1e6 / 131072 / gain)


def _header(payload_bytes: int, kind: int) -> bytes:
    return START + payload_bytes.to_bytes(2, "little") + bytes([kind])


@dataclass(frozen=True, slots=True)
class Product:
    """One firmware's frame and what its ECG is."""

    title: str
    baud: int
    rate_hz: float
    fields: np.dtype[np.void]
    """The payload."""
    microvolts_per_count: float
    """From the converter's reference and the gain that its firmware sets; never measured."""
    full_scale: tuple[int, int]
    shift: int = 0
    """Bits below the ECG's last one, not part of its count."""
    lead_status: bool = False
    """The frame has the ADS1292R's lead-off bits."""
    zero_when_off: bool = False
    """The ECG is 0 while a lead is off, and nothing else tells it."""
    type: int = DATA_TYPE
    samples: int = 1
    """ECG samples in a frame."""
    between: bytes = b""
    """How frames without ECG begin that lie between these."""

    @property
    def payload_bytes(self) -> int:
        """What stands as length in its frames."""
        return self.fields.itemsize

    @property
    def frame_bytes(self) -> int:
        """A whole frame."""
        return HEAD_BYTES + self.payload_bytes + len(TAIL)

    @property
    def frame(self) -> np.dtype[np.void]:
        """A whole frame: what every frame has, and the payload's fields."""
        payload: list[tuple[str, Any]] = [
            (name, self.fields[name]) for name in self.fields.names or ()
        ]
        return np.dtype([("start", "<u4"), ("type", "u1"), *payload, ("tail", "<u2")])

    @property
    def header(self) -> bytes:
        """How each of its frames begins."""
        return _header(self.payload_bytes, self.type)


_TAIL: Final = np.uint16(int.from_bytes(TAIL, "little"))
_TAIL_MASK: Final = np.uint16(0xFFFF ^ TAIL_IGNORED)

_18_BITS: Final = (-0x20000, 0x1FFFF)
_24_BITS: Final = (-0x800000, 0x7FFFFF)

PRODUCTS: Final[Mapping[str, Product]] = {
    "healthypi_v4": Product(
        "ProtoCentral HealthyPi v3/v4",
        115200,
        125.0,
        np.dtype([
            ("ecg", "<i2"), ("respiration", "<i2"), ("infrared", "<i4"), ("red", "<i4"),
            ("temperature", "<i2"), ("respiration_rate", "u1"), ("spo2", "u1"),
            ("heart_rate", "u1"), ("systolic", "u1"), ("diastolic", "u1"), ("lead_status", "u1"),
        ]),
        microvolts_per_count=_ads1292r(12, 24) * 256,
        full_scale=(-0x8000, 0x7FFF),
        lead_status=True,
    ),
    "healthypi_5": Product(
        "ProtoCentral HealthyPi 5",
        115200,
        128.0,
        np.dtype([
            ("ecg", "<i4"), ("bioimpedance", "<i4"), ("flag", "u1"), ("red", "<i4"),
            ("infrared", "<i4"), ("temperature", "<i2"), ("spo2", "u1"), ("heart_rate", "u1"),
            ("respiration_rate", "u1"),
        ]),
        microvolts_per_count=_max3000x(80) / 256,
        full_scale=(_18_BITS[0] * 256, _18_BITS[1] * 256),
    ),
    "healthypi_5_blocks": Product(
        "ProtoCentral HealthyPi 5, in blocks",
        115200,
        128.0,
        np.dtype([
            ("ecg", "<i4", (8,)), ("bioimpedance", "<i4", (4,)), ("heart_rate", "u1"),
            ("respiration_rate", "u1"),
        ]),
        microvolts_per_count=_max3000x(80) / 256,
        full_scale=(_18_BITS[0] * 256, _18_BITS[1] * 256),
        type=BLOCK_TYPE,
        samples=8,
        between=_header(PULSE_BYTES, PULSE_TYPE),
    ),
    "ads1292r": Product(
        "ProtoCentral ADS1292R breakout",
        57600,
        125.0,
        np.dtype([
            ("ecg", "<i2"), ("respiration", "<i2"), ("respiration_rate", "<i2"),
            ("heart_rate", "<i2"), ("unused", "u1"),
        ]),
        microvolts_per_count=_ads1292r(12, 24) * 256,
        full_scale=(-0x8000, 0x7FFF),
        zero_when_off=True,
    ),
    "ads1292r_plot": Product(
        "ProtoCentral ADS1292R breakout, plot sketch",
        115200,
        125.0,
        np.dtype([("ecg", "<i4"), ("respiration", "<i4")]),
        microvolts_per_count=_ads1292r(12, 24),
        full_scale=_24_BITS,
    ),
    "max30003": Product(
        "ProtoCentral MAX30003 breakout",
        57600,
        125.0,
        np.dtype([("ecg", "<i4"), ("rr_ms", "<u4"), ("heart_rate", "<u4")]),
        microvolts_per_count=_max3000x(20),
        full_scale=_18_BITS,
        shift=14,
    ),
}  # fmt: skip
"""By the name a configuration calls them."""


@dataclass(frozen=True, slots=True)
class ProtocentralPackets:
    """Frames in the order they came; n may be 0."""

    counts: Counts
    """The ECG, shape (n * samples of a frame, 1)."""
    fields: NDArray[Any]
    """All that the frames hold, by the names of the product's ``fields``, shape (n,)."""
    leads_off: NDArray[np.bool_] | None
    """Whether the device says that a lead is off, by sample; None where it never tells."""
    damage: list[tuple[int, int]]
    """Before which sample bytes were thrown away, and about how many samples they were."""


class FramesBetween(FixedFrames):
    """Frames of one length, with whole ones of another kind between them, which are left out."""

    def __init__(self, product: Product, valid: Callable[[Rows], NDArray[np.bool_]]) -> None:
        super().__init__(product.frame_bytes, product.header, valid)
        self._other = product.between
        self._other_bytes = HEAD_BYTES + self._other[2] + len(TAIL)
        self._held = b""

    @property
    def pending(self) -> int:
        """Bytes kept for the next feed."""
        return super().pending + len(self._held)

    def feed(self, data: bytes) -> Rows:
        """All frames that ``data`` completes, in order."""
        data = self._held + data
        kept, start = b"", 0
        while (at := data.find(self._other, start)) >= 0:
            end = at + self._other_bytes
            if end > len(data):
                break
            whole = data.startswith(TAIL, end - len(TAIL))
            kept += data[start:at] if whole else data[start : at + 1]
            start = end if whole else at + 1
        if at < 0:
            at = len(data) - next(
                (n for n in range(len(self._other) - 1, 0, -1) if data.endswith(self._other[:n])),
                0,
            )
        at = max(at, start)
        self._held = data[at:]
        return super().feed(kept + data[start:at])

    def reset(self) -> None:
        """Forget what came before: the port was opened anew."""
        self.discarded += len(self._held)
        self._held = b""
        super().reset()


class ProtocentralDecoder:
    """Bytes of the serial port to frames of one product. Never raises; keeps less than two."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._frame = product.frame
        self._start = np.uint32(int.from_bytes(product.header[:4], "little"))
        self._zeros = 0
        self._longest_zero = round(ZERO_S * product.rate_hz)
        self.frames = (
            FramesBetween(product, self._valid)
            if product.between
            else FixedFrames(product.frame_bytes, product.header, self._valid)
        )

    def feed(self, data: bytes) -> ProtocentralPackets:
        """Frames that ``data`` completes."""
        fields = self.frames.feed(data).view(self._frame)[:, 0]
        ecg = fields["ecg"].astype(np.int32).reshape(-1)
        if self._product.shift:
            ecg >>= self._product.shift
        samples, size = self._product.samples, self._product.frame_bytes
        damage = [
            (at * samples, round(thrown / size) * samples) for at, thrown in self.frames.damage
        ]
        return ProtocentralPackets(ecg[:, None], fields, self._leads_off(fields, ecg), damage)

    def _leads_off(self, fields: NDArray[Any], ecg: Counts) -> NDArray[np.bool_] | None:
        if self._product.lead_status:
            off: NDArray[np.bool_] = fields["lead_status"] & LEAD_STATUS_BITS != 0
            return off
        return self._silent(ecg) if self._product.zero_when_off else None

    def _silent(self, ecg: Counts) -> NDArray[np.bool_]:
        """Where the ECG has been exactly 0 for ``ZERO_S``."""
        if not len(ecg):
            return np.empty(0, np.bool_)
        place = np.arange(len(ecg))
        before = np.maximum.accumulate(np.where(ecg != 0, place, -1 - self._zeros))
        zeros = place - before
        self._zeros = min(int(zeros[-1]), self._longest_zero)
        return zeros >= self._longest_zero

    def _valid(self, rows: Rows) -> NDArray[np.bool_]:
        frames = rows.view(self._frame)[:, 0]
        sound: NDArray[np.bool_] = (
            (frames["start"] == self._start)
            & (frames["type"] == self._product.type)
            & (frames["tail"] & _TAIL_MASK == _TAIL)
        )
        return sound


@dataclass(frozen=True, slots=True)
class Recognised:
    """Which product's frames some bytes are."""

    product: str
    frames: int
    explained: int
    """Bytes that they are, those between them included."""


def recognise(data: bytes) -> Recognised | None:
    """The product whose frames fill most of ``data``; None where there are none of any."""
    best: Recognised | None = None
    for name, product in PRODUCTS.items():
        decoder = ProtocentralDecoder(product)
        frames = len(decoder.feed(data).fields)
        explained = len(data) - decoder.frames.discarded - decoder.frames.pending
        if frames and (best is None or explained > best.explained):
            best = Recognised(name, frames, explained)
    return best
