"""A Ganglion's side of its protocol, firmware 2 or 3; no clock and no radio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivers.decoders import ganglion

REVISION = {2: "2.0.1", 3: "3.0.2"}


class EmulatedGanglion:
    """One board: it waits for ``b`` and numbers its packets from there."""

    def __init__(self, firmware: int = 3) -> None:
        self.firmware = firmware
        self.revision = REVISION[firmware]
        self.streaming = False
        self.commands: list[bytes] = []
        self._accelerometer = True
        self._place = 0
        self._level = np.zeros(ganglion.CHANNELS, np.int64)

    def reset(self) -> None:
        """What connecting does."""
        self.streaming, self._place, self._accelerometer = False, 0, True

    def receive(self, data: bytes) -> list[bytes]:
        """Take a command; its notifications."""
        self.commands.append(data)
        match data:
            case b"b":
                self.streaming, self._place = True, 0
            case b"s":
                self.streaming = False
            case b"N" | b"n":
                self._accelerometer = data == b"n"
                return _said("Accelerometer " + ("on" if self._accelerometer else "off") + "\n")
        return []

    @property
    def due(self) -> int:
        """How many samples the next packet takes: firmware 2 sends one whole sample a turn."""
        return 1 if self.firmware == 2 and self._place == 0 else 2

    def packet(self, microvolts: Sequence[Sequence[float]]) -> bytes:
        """The next packet of ``due`` samples of four channels."""
        counts = np.rint(np.array(microvolts) / ganglion.MICROVOLTS_PER_COUNT).astype(np.int64)
        counts = np.clip(counts, *ganglion.FULL_SCALE)
        bits = 18 if self._accelerometer else 19
        place, self._place = self._place, self._place + 1
        base = 0 if self._accelerometer else ganglion.STEPS
        if self.firmware == 3:
            self._place %= ganglion.STEPS
            values = counts >> (24 - bits)
            return bytes([base + place]) + ganglion.packed_fields(values, bits)
        self._place %= ganglion.STEPS + 1
        if place == 0:
            self._level = counts[0]
            whole = b"".join(int(v).to_bytes(3, "big", signed=True) for v in counts[0])
            return b"\0" + whole + bytes(7)
        rows = []
        for row in counts:
            # The lowest bit bears the sign: what it can't say is carried to the next difference.
            rows.append((self._level - row) // 2 * 2)
            self._level = self._level - rows[-1]
        return bytes([base + place]) + ganglion.packed_fields(np.array(rows), bits)


def _said(text: str) -> list[bytes]:
    data = text.encode("ascii")
    cuts = range(0, len(data), ganglion.PACKET_BYTES - 1)
    parts = [data[cut : cut + ganglion.PACKET_BYTES - 1] for cut in cuts]
    ids = [ganglion.TEXT_PART] * (len(parts) - 1) + [ganglion.TEXT_END]
    return [bytes([number]) + part for number, part in zip(ids, parts, strict=True)]
