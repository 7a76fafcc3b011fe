"""Philips IntelliVue over RS-232 (the MIB port): a message in each frame, stuffed and checked.

``C0``, then escaped {``11`` protocol, ``01`` message type, length u16, message, FCS low, FCS high},
``C1``. Escape: ``7D`` and the byte XOR 20. FCS: CRC-16/X-25. The messages are those of the LAN.
Source: IntelliVue Data Export Interface Programming Guide, "MIB/RS232".
"""

from __future__ import annotations

import binascii
from typing import Final

BEGIN: Final = 0xC0
END: Final = 0xC1
ESCAPE: Final = 0x7D
FLIP: Final = 0x20
HEADER: Final = b"\x11\x01"
OVERHEAD: Final = 6
"""Header, length and FCS."""
LONGEST_FRAME: Final = 4096
"""Escaped; the monitor's longest message is 1456 bytes, and twice that if all were escaped."""

_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def fcs(data: bytes) -> int:
    """CRC-16/X-25: polynomial 8408 reflected, start FFFF, inverted."""
    # The reflected CRC is the plain one (CCITT) of the mirrored bytes, mirrored back; that one
    # the standard library computes in C.
    plain = binascii.crc_hqx(data.translate(_REVERSED), 0xFFFF)
    return int(f"{plain:016b}"[::-1], 2) ^ 0xFFFF


def frame(message: bytes) -> bytes:
    """The bytes that carry ``message`` over the serial line."""
    body = HEADER + len(message).to_bytes(2, "big") + message
    body += fcs(body).to_bytes(2, "little")
    stuffed = bytearray([BEGIN])
    for byte in body:
        if byte in (BEGIN, END, ESCAPE):
            stuffed += bytes([ESCAPE, byte ^ FLIP])
        else:
            stuffed.append(byte)
    stuffed.append(END)
    return bytes(stuffed)


def unstuffed(stuffed: bytes) -> bytes | None:
    """The bytes between ``C0`` and ``C1`` without their escapes; None when one is broken off."""
    first, *escaped = stuffed.split(bytes([ESCAPE]))
    if not all(escaped):
        return None
    return first + b"".join(bytes([part[0] ^ FLIP]) + part[1:] for part in escaped)


class MibFrames:
    """Bytes of the serial port to messages. Never raises; keeps at most one frame."""

    def __init__(self) -> None:
        self._pending = b""
        self.discarded = 0
        """Bytes thrown away so far: noise, torn frames, frames whose FCS is wrong."""

    @property
    def pending(self) -> int:
        """Bytes kept for the next feed."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[bytes]:
        """All messages that ``data`` completes, in order."""
        *ended, rest = (self._pending + data).split(bytes([END]))
        messages = []
        for piece in ended:
            message = self._message(piece)
            if message is not None:
                messages.append(message)
        begin = rest.rfind(BEGIN)
        kept = rest[begin:] if begin >= 0 else b""
        if len(kept) > LONGEST_FRAME:
            kept = b""
        self.discarded += len(rest) - len(kept)
        self._pending = kept
        return messages

    def reset(self) -> None:
        """Forget what came before: the port was opened anew."""
        self.discarded += len(self._pending)
        self._pending = b""

    def _message(self, piece: bytes) -> bytes | None:
        """The message of what stands before a ``C1``."""
        begin = piece.rfind(BEGIN)
        body = unstuffed(piece[begin + 1 :]) if begin >= 0 else None
        sound = (
            body is not None
            and len(body) >= OVERHEAD
            and body.startswith(HEADER)
            and int.from_bytes(body[2:4], "big") == len(body) - OVERHEAD
            and int.from_bytes(body[-2:], "little") == fcs(body[:-2])
        )
        if body is None or not sound:
            self.discarded += len(piece) + 1
            return None
        self.discarded += begin
        return body[4:-2]
