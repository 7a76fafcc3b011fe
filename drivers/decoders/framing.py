"""Fixed-length packets cut out of a byte stream, in step again after whatever comes between."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.uint8]
"""Packets, one per row, shape (packets, packet size)."""

RUBBISH_KEPT = 256
"""Bytes of what was thrown away last: enough to recognise a device's text among packets."""


class FixedFrames:
    """Cuts packets of ``size`` bytes that begin with ``header`` and pass ``valid``.

    While in step a packet is given out as soon as its last byte is there. Out of step one is
    believed only when the next one's header follows it. What it gives depends on the bytes, not
    on how they were cut into reads, and it keeps less than two packets of them.
    """

    def __init__(
        self, size: int, header: bytes, valid: Callable[[Rows], NDArray[np.bool_]]
    ) -> None:
        self._size = size
        self._header = header
        self._valid = valid
        self._pending = b""
        self._in_step = False
        self.discarded = 0
        """Bytes thrown away so far."""
        self.breaks = 0
        """How often it fell out of step."""
        self.rubbish = b""
        """The last bytes thrown away."""
        self.damage: list[tuple[int, int]] = []
        """Of the last feed: packet before which bytes were thrown away, and how many. What comes
        before the first packet after a reset is no damage: the port was opened in its midst."""
        self._told: int | None = None

    @property
    def pending(self) -> int:
        """Bytes kept for the next feed."""
        return len(self._pending)

    def feed(self, data: bytes) -> Rows:
        """All packets that ``data`` completes, in order."""
        buffer = self._pending + data
        runs: list[Rows] = []
        self.damage = []
        given = at = 0
        while True:
            if not self._in_step:
                at = self._search(buffer, at)
                if not self._in_step:
                    break
            whole = (len(buffer) - at) // self._size
            rows = self._rows(buffer, at, whole)
            sound = self._valid(rows)
            good = whole if sound.all() else int(sound.argmin())
            if good:
                runs.append(rows[:good])
                self._tell_damage(given)
                given += good
                at += good * self._size
            if good == whole:
                break
            self._in_step = False
            self.breaks += 1
        self._pending = buffer[at:]
        if len(runs) == 1:
            return runs[0]
        return np.concatenate(runs) if runs else self._rows(b"", 0, 0)

    def reset(self) -> None:
        """Forget what came before: the port was opened anew."""
        self._drop(self._pending)
        self._pending = b""
        self._in_step = False
        self.rubbish = b""
        self._told = None

    def _tell_damage(self, before: int) -> None:
        if self._told is not None and self.discarded > self._told:
            self.damage.append((before, self.discarded - self._told))
        self._told = self.discarded

    def _rows(self, buffer: bytes, at: int, count: int) -> Rows:
        flat = (
            np.frombuffer(buffer, np.uint8, count * self._size, at) if count else np.empty(0, "u1")
        )
        return flat.reshape(count, self._size)

    def _search(self, buffer: bytes, at: int) -> int:
        """Where the next believable packet begins, or might begin once more bytes are there."""
        start, header = at, self._header
        while True:
            at = buffer.find(header, at)
            if at < 0:
                at = self._possible_header(buffer, start)
                break
            following = at + self._size
            if len(buffer) < following + len(header):
                break
            if buffer.startswith(header, following) and self._valid(self._rows(buffer, at, 1))[0]:
                self._in_step = True
                break
            at += 1
        self._drop(buffer[start:at])
        return at

    def _possible_header(self, buffer: bytes, start: int) -> int:
        """Where the buffer's end begins if it is the beginning of a header, else its end."""
        for length in range(min(len(self._header) - 1, len(buffer) - start), 0, -1):
            if buffer.endswith(self._header[:length]):
                return len(buffer) - length
        return len(buffer)

    def _drop(self, rubbish: bytes) -> None:
        self.discarded += len(rubbish)
        self.rubbish = (self.rubbish + rubbish)[-RUBBISH_KEPT:]
