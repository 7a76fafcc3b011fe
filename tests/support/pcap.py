"""UDP payloads out of a pcapng file: what the IntelliVue capture needs, no more."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

ENHANCED_PACKET = 6
UDP = 17


@dataclass(frozen=True)
class Datagram:
    """One UDP datagram as it was captured."""

    at_ns: int
    source: str
    source_port: int
    payload: bytes


def datagrams(path: Path) -> list[Datagram]:
    """All UDP datagrams over IPv4 and Ethernet, in order; time stamps are nanoseconds."""
    data, at, found = path.read_bytes(), 0, []
    while at + 12 <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind == ENHANCED_PACKET:
            high, low, captured = struct.unpack_from("<III", data, at + 12)
            packet = data[at + 28 : at + 28 + captured]
            if packet[12:14] == b"\x08\x00" and packet[23] == UDP:
                start = 14 + (packet[14] & 15) * 4
                port, size = (int.from_bytes(packet[start + k : start + k + 2]) for k in (0, 4))
                source = ".".join(str(byte) for byte in packet[26:30])
                payload = packet[start + 8 : start + size]
                found.append(Datagram(high << 32 | low, source, port, payload))
        at += length
    return found
