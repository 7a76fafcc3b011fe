"""How messages reach a Philips IntelliVue: as datagrams, or in frames on the MIB's serial port."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from drivers import raw_tap, udp_link
from drivers.decoders.intellivue_mib import MibFrames, frame
from drivers.decoders.intellivue_session import (
    BROADCAST_PORT,
    PORT,
    Announcement,
    decode_announcement,
)
from drivers.decoders.intellivue_wire import IntelliVueError
from drivers.samples import DriverError
from drivers.serial_link import SerialAddress, SerialPort, open_port
from drivers.udp_link import UdpPort

ANY: Final = "any"
"""Address of a monitor that is found by its broadcast."""
ANNOUNCED_S: Final = 130.0
"""A monitor announces itself about every minute."""
FLUSH_S = 0.2


class MonitorLink(Protocol):
    """Messages to and from one monitor."""

    arrived_ns: int
    """Host monotonic time of the newest message."""
    bytes_read: int
    damaged: int
    """Bytes or datagrams thrown away."""

    async def send(self, message: bytes) -> None:
        """Send a message."""
        ...

    async def receive(self, timeout_s: float) -> bytes:
        """The next message; ``b""`` when none comes in time."""
        ...


class UdpMonitor:
    """A monitor on the network."""

    def __init__(self, port: UdpPort, host: str, data_port: int) -> None:
        self._port, self._host, self._data_port = port, host, data_port
        self.arrived_ns = port.arrived_ns
        self.bytes_read = 0
        self.damaged = 0

    async def send(self, message: bytes) -> None:
        """One datagram."""
        self._port.send(message, self._host, self._data_port)

    async def receive(self, timeout_s: float) -> bytes:
        """One datagram."""
        data = await self._port.receive(timeout_s)
        self.arrived_ns, self.bytes_read = self._port.arrived_ns, self._port.bytes_read
        self.damaged = self._port.dropped
        return data


class MibMonitor:
    """A monitor on a serial port."""

    def __init__(self, port: SerialPort, now_ns: Callable[[], int]) -> None:
        self._port = port
        self._now_ns = now_ns
        self._frames = MibFrames()
        self._waiting: deque[bytes] = deque()
        self.arrived_ns = port.arrived_ns
        self.bytes_read = 0
        self.damaged = 0

    async def send(self, message: bytes) -> None:
        """One frame."""
        await self._port.write(frame(message))

    async def receive(self, timeout_s: float) -> bytes:
        """The message of one frame; whole frames wait while others are read."""
        give_up_ns = self._now_ns() + round(timeout_s * 1e9)
        while not self._waiting:
            left_s = (give_up_ns - self._now_ns()) / 1e9
            if left_s <= 0:
                return b""
            self._waiting.extend(self._frames.feed(await self._port.read(left_s)))
            self.arrived_ns, self.bytes_read = self._port.arrived_ns, self._port.bytes_read
            self.damaged = self._frames.discarded
        return self._waiting.popleft()


async def where_is(address: str, bind: str, now_ns: Callable[[], int]) -> tuple[str, int]:
    """Host and data port of the monitor at ``address`` (``HOST``, ``HOST:PORT`` or ``any``).

    For ``any`` that is the first one to announce itself, which may take two minutes.
    """
    if address == ANY:
        host, announced = await announced_monitor(address, bind, ANNOUNCED_S, now_ns)
        return host, announced.port
    name, data_port = host_and_port(address)
    return await udp_link.resolved(name, address), data_port


@contextlib.asynccontextmanager
async def on_network(
    address: str, place: tuple[str, int], bind: str, now_ns: Callable[[], int]
) -> AsyncIterator[MonitorLink]:
    """A socket for the monitor whose host and data port ``place`` is."""
    host, data_port = place
    player = raw_tap.PLAYER.get()
    if player is not None:
        yield UdpMonitor(player.udp_port(address), host, data_port)
        return
    async with udp_link.opened(address, bind=bind, now_ns=now_ns) as port:
        port.peer = host
        yield UdpMonitor(port, host, data_port)


@contextlib.asynccontextmanager
async def on_serial_port(
    place: SerialAddress, baud: int, now_ns: Callable[[], int]
) -> AsyncIterator[MonitorLink]:
    """The MIB port of a monitor."""
    port = open_port(place, baud, dtr=True, now_ns=now_ns)
    try:
        yield MibMonitor(port, now_ns)
    finally:
        try:
            await port.flush(FLUSH_S)
        finally:
            port.close()


def host_and_port(address: str) -> tuple[str, int]:
    """``HOST`` or ``HOST:PORT``; raises :class:`DriverError` where the port is no number."""
    host, colon, port = address.partition(":")
    if not colon:
        return host, PORT
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise DriverError(
            "is no HOST or HOST:PORT", address, "correct the address", transient=False
        )
    return host, int(port)


async def announced_monitor(
    where: str, bind: str, timeout_s: float, now_ns: Callable[[], int] = time.monotonic_ns
) -> tuple[str, Announcement]:
    """Address of the first monitor that announces itself, and what it says.

    Raises :class:`DriverError` when none does in time.
    """
    async with udp_link.opened(
        where, bind=bind, port=BROADCAST_PORT, broadcast=True, now_ns=now_ns
    ) as port:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    data = await port.receive(timeout_s)
                    with contextlib.suppress(IntelliVueError):
                        return port.sender, decode_announcement(data)
    raise DriverError(
        f"no monitor announced itself on UDP port {BROADCAST_PORT} in {timeout_s:.0f} s",
        where,
        "is it on this network, its broadcast enabled? else set its address",
    )
