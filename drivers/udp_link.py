"""The owner of one UDP socket: datagrams of one peer in order of arrival, and its silence noticed.

UDP has no link that could break. A peer is there while it sends; who waits for it names how long
it may be silent. Datagrams of anybody else are counted and dropped, and what nobody takes is
bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, cast

from drivers import raw_tap
from drivers.raw_recording import EntryType
from drivers.samples import DriverError

WAITING: Final = 1024
"""Datagrams kept for the reader: minutes of a monitor's."""


class UdpPort(asyncio.DatagramProtocol):
    """An open socket. One task receives; :func:`opened` closes it in any case."""

    def __init__(self, where: str, now_ns: Callable[[], int]) -> None:
        self.where = where
        self.peer: str | None = None
        """The only host whose datagrams are taken; None takes everybody's."""
        self.sender = ""
        """Host that sent the datagram received last."""
        self.bytes_read = 0
        self.arrived_ns = now_ns()
        """Host monotonic time of the datagram received last."""
        self.foreign = 0
        """Datagrams dropped because another host sent them."""
        self.dropped = 0
        """Datagrams dropped because nobody took them in time."""
        self._now_ns = now_ns
        self._waiting: deque[tuple[int, str, bytes]] = deque()
        self._news = asyncio.Event()
        self._fault: OSError | None = None
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def local_port(self) -> int:
        """The port it is bound to."""
        assert self._transport is not None  # noqa: S101 - set before anybody has the object
        return int(self._transport.get_extra_info("sockname")[1])

    async def receive(self, timeout_s: float) -> bytes:
        """The next datagram; ``b""`` when none comes within ``timeout_s``.

        Raises :class:`DriverError` when the system says that the peer is not there.
        """
        if not self._waiting:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
        if self._waiting:
            self.arrived_ns, self.sender, data = self._waiting.popleft()
            self.bytes_read += len(data)
            raw_tap.note(EntryType.RECEIVED, self.arrived_ns, data)
            return data
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise unreachable(fault, self.where)
        return b""

    def send(self, data: bytes, host: str, port: int) -> None:
        """Send a datagram; a network that is gone is told by the next :meth:`receive`."""
        if self._transport is not None:
            raw_tap.note(EntryType.SENT, self._now_ns(), data)
            self._transport.sendto(data, (host, port))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        # asyncio's own datagram transport is no subclass of the class it documents.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Called by asyncio for each datagram."""
        if self.peer is not None and addr[0] != self.peer:
            self.foreign += 1
            return
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append((self._now_ns(), str(addr[0]), data))
        self._news.set()

    def error_received(self, exc: OSError) -> None:  # type: ignore[override]
        """Called by asyncio: the peer refused, or there is no way to it."""
        self._fault = exc
        self._news.set()


@contextlib.asynccontextmanager
async def opened(
    where: str,
    *,
    bind: str = "0.0.0.0",  # noqa: S104 - which interface is configured; all by default
    port: int = 0,
    broadcast: bool = False,
    now_ns: Callable[[], int] = time.monotonic_ns,
) -> AsyncIterator[UdpPort]:
    """Open a socket on ``bind``:``port`` (0: any); ``where`` names the device in messages.

    Raises :class:`DriverError` when the port is taken or the address is none of this machine.
    """
    loop = asyncio.get_running_loop()
    try:
        _, owner = await loop.create_datagram_endpoint(
            lambda: UdpPort(where, now_ns),
            local_addr=(bind, port),
            family=socket.AF_INET,
            allow_broadcast=broadcast,
            reuse_port=broadcast or None,
        )
    except OSError as fault:
        raise _bind_fault(fault, where, bind, port) from fault
    raw_tap.note(EntryType.OPENED, owner.arrived_ns)
    try:
        yield owner
    finally:
        raw_tap.note(EntryType.CLOSED, now_ns())
        if owner._transport is not None:
            owner._transport.close()


async def resolved(host: str, where: str) -> str:
    """The IPv4 address of ``host``; raises :class:`DriverError` where it has none."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    except OSError as fault:
        raise DriverError(
            f"{host!r} is no host's name or address ({fault.strerror or fault})",
            where,
            "correct the address, or is the network down?",
        ) from fault
    return str(found[0][4][0])


def unreachable(fault: OSError, where: str) -> DriverError:
    """What the network says, as one line."""
    if fault.errno == errno.ECONNREFUSED:
        what = "nobody listens at this address"
    else:
        what = f"can't be reached ({fault.strerror or fault})"
    return DriverError(what, where, "is the monitor on, the cable in, its data export enabled?")


def _bind_fault(fault: OSError, where: str, bind: str, port: int) -> DriverError:
    if fault.errno == errno.EADDRINUSE:
        return DriverError(
            f"UDP port {port} is in use by another program", where, "close it, or choose another"
        )
    if fault.errno == errno.EADDRNOTAVAIL:
        return DriverError(
            f"{bind} is no address of this machine", where, "correct bind", transient=False
        )
    return DriverError(
        f"UDP {bind}:{port} can't be opened ({fault.strerror or fault})", where, "correct bind"
    )
