"""A ProtoCentral board: it only ever sends, one frame per sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.decoders.protocentral import HEAD_BYTES, PRODUCTS, TAIL
from drivers.source import SourceChunk

LEADS_OFF = 0x1F
"""All five bits: the patient is not connected."""
STEADY = {"spo2": 97, "heart_rate": 72, "respiration_rate": 15, "temperature": 3672}
STEADY |= {"systolic": 80, "diastolic": 120}
"""What its own numbers are here; they mean nothing."""


class EmulatedProtocentral:
    """One product of ``PRODUCTS``."""

    def __init__(self, product: str = "healthypi_v4") -> None:
        if product not in PRODUCTS:
            raise ValueError(f"product {product!r} is none of {', '.join(PRODUCTS)}")
        self._product = PRODUCTS[product]
        self.title = self._product.title
        self.rate_hz = self._product.rate_hz
        self._pulse = np.frombuffer(_pulse(self._product.between), np.uint8)
        self.packet_bytes = self._product.frame_bytes + len(self._pulse)
        self._steady = np.zeros(1, self._product.fields)
        for name in self._product.fields.names or ():
            self._steady[name] = STEADY.get(name, 0)
        self.plug_in()

    def plug_in(self) -> None:
        """It streams from power-up."""
        self.streaming = True
        self._unsent = np.empty((0, 2), np.int32)

    def receive(self, data: bytes) -> bytes:
        """It has no commands."""
        return b""

    def counts(self, chunk: SourceChunk) -> NDArray[np.int32]:
        """The ECG, and in a second column whether a lead is off, when the ECG is 0 or rails."""
        counts = np.zeros((len(chunk.microvolts), 2), np.int32)
        if chunk.lead_off:
            silent = self._product.lead_status or self._product.zero_when_off
            counts[:, 0] = 0 if silent else self._product.full_scale[1]
            counts[:, 1] = 1
        else:
            scaled = np.rint(chunk.microvolts[:, 0] / self._product.microvolts_per_count)
            counts[:, 0] = np.clip(scaled, *self._product.full_scale)
        return counts

    def packets(self, counts: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Header, payload, end, of each sample or block; after a block a frame of the pulse."""
        size = self._product.samples
        waiting = np.concatenate([self._unsent, counts])
        whole = len(waiting) // size
        sent, self._unsent = waiting[: whole * size], waiting[whole * size :]
        fields = np.repeat(self._steady, whole)
        fields["ecg"] = (sent[:, 0] << self._product.shift).reshape(fields["ecg"].shape)
        if self._product.lead_status:
            fields["lead_status"] = sent[:, 1] * LEADS_OFF
        rows = np.zeros((whole, self.packet_bytes), np.uint8)
        end = self._product.frame_bytes
        rows[:, :HEAD_BYTES] = np.frombuffer(self._product.header, np.uint8)
        payload = fields.view(np.uint8).reshape(whole, self._product.payload_bytes)
        rows[:, HEAD_BYTES : end - len(TAIL)] = payload
        rows[:, end - len(TAIL) : end] = np.frombuffer(TAIL, np.uint8)
        rows[:, end:] = self._pulse
        return rows


def _pulse(header: bytes) -> bytes:
    """The frame that comes after each block, nothing where none does."""
    return header + bytes(header[2]) + TAIL if header else b""
