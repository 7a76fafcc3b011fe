"""Where raw bytes can be listened to, or come from a recording instead of a port.

Ports, peripherals and sockets ask here, so every driver can be recorded and replayed without
knowing of it. Set for one task and what it starts (context variables), never for a whole unit.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol

from drivers.raw_recording import EntryType

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from drivers.ble_link import BleConnection
    from drivers.serial_link import SerialPort
    from drivers.udp_link import UdpPort


class Tap(Protocol):
    """Takes what passes."""

    def note(self, kind: EntryType, at_ns: int, data: bytes = b"", channel: str = "") -> None:
        """One entry of a recording."""


class Player(Protocol):
    """Gives links that play a recording."""

    def serial_port(self, address: str, baud: int) -> SerialPort:
        """The next session of a serial port."""
        ...

    def ble_connection(self, address: str) -> AbstractAsyncContextManager[BleConnection]:
        """The next session with a peripheral."""
        ...

    def udp_port(self, where: str) -> UdpPort:
        """The next session of a socket."""
        ...


TAP: Final[ContextVar[Tap | None]] = ContextVar("TAP", default=None)
PLAYER: Final[ContextVar[Player | None]] = ContextVar("PLAYER", default=None)


def note(kind: EntryType, at_ns: int, data: bytes = b"", channel: str = "") -> None:
    """Tell the tap, where there is one."""
    tap = TAP.get()
    if tap is not None:
        tap.note(kind, at_ns, data, channel)
