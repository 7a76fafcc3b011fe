"""Thousands of losses of each kind of link: no stuck state, no task and no file left behind.

The drivers are the real ones, on real pseudo-terminals and sockets; time is the test's own. The
shared state machine alone is lost 10,000 times in tests/unit/test_reconnect.py; so are these with
``WARDBEAT_DISCONNECTS=10000`` (a minute).
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import tty
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bleak
import numpy as np
import pytest
from bleak.exc import BleakError
from support.virtual_time import now_ns, run

from drivers import ble_link, udp_link
from drivers.decoders.heart_rate import MEASUREMENT
from drivers.decoders.intellivue_session import ABORT
from drivers.emulated.intellivue import EmulatedIntelliVue
from drivers.emulated.olimex import EmulatedOlimex
from drivers.heart_rate import HeartRateStrap
from drivers.intellivue import IntelliVue
from drivers.olimex import Olimex
from drivers.samples import Driver, DriverEvent, LinkChange, LinkState

LOSSES = int(os.environ.get("WARDBEAT_DISCONNECTS", "2000"))
CHECK_EVERY = 100
BACK_WITHIN_S = 5.0
STAYS_S = (0.3, 1.5, 1.5, 8.0)
AWAY_S = (0.0, 0.05, 0.7, 4.0)
RESTART_S = 3.0
"""No monitor starts sooner; after a shorter absence it still holds the old association."""


class Peer(ABC):
    """A device that a script takes away and brings back."""

    @abstractmethod
    async def there(self) -> None:
        """Let it be found."""

    @abstractmethod
    async def away(self, how: int) -> None:
        """Take it away; ``how`` is any number, for ways that differ."""

    @abstractmethod
    async def send(self) -> None:
        """Send what makes a stream, if anybody listens."""

    @abstractmethod
    def end(self) -> None:
        """Let go of everything."""


async def lose(peer: Peer, make: Callable[[], Driver], period_s: float) -> list[LinkState]:
    """Run a driver through all losses; gives the link's states."""
    draw, events = random.Random(11), list[LinkState]()
    tasks, files = asyncio.all_tasks(), open_files()

    def emit(event: DriverEvent) -> None:
        if isinstance(event, LinkChange):
            events.append(event.state)

    await peer.there()
    driving = asyncio.create_task(make().run(emit))
    for loss in range(LOSSES):
        if loss % CHECK_EVERY == 0:
            await streams_again(peer, events, period_s)
        else:
            await asyncio.sleep(draw.choice(STAYS_S) * draw.random())
            for _ in range(draw.randrange(3)):
                await peer.send()
                await asyncio.sleep(draw.random() * 2 * period_s)
        await peer.away(draw.randrange(1000))
        await asyncio.sleep(draw.choice(AWAY_S) * draw.random())
        await peer.there()
    await streams_again(peer, events, period_s)
    driving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await driving
    peer.end()
    await asyncio.sleep(1.0)
    assert asyncio.all_tasks() == tasks
    assert open_files() <= files
    return events


async def streams_again(peer: Peer, events: list[LinkState], period_s: float) -> None:
    """A device that stays is streamed from within 5 s."""
    until_s = asyncio.get_running_loop().time() + BACK_WITHIN_S
    while asyncio.get_running_loop().time() < until_s:
        await peer.send()
        await asyncio.sleep(period_s)
        if events and events[-1] is LinkState.STREAMING:
            return
    raise AssertionError(f"not streaming {BACK_WITHIN_S:.0f} s after its return: {events[-6:]}")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def check_walk(states: list[LinkState]) -> None:
    """Nothing follows the end, and the link was lost and streaming often."""
    assert states[-1] is LinkState.STOPPED
    assert states.count(LinkState.STOPPED) == 1
    assert states.count(LinkState.LOST) > LOSSES / 4
    assert states.count(LinkState.STREAMING) > LOSSES / 10


class Plug(Peer):
    """An Arduino on a pseudo-terminal."""

    def __init__(self, port: Path) -> None:
        self.port = port
        self._device = EmulatedOlimex()
        self._counts = np.full((13, 6), 500, np.int32)
        self._ours = self._theirs = -1

    async def there(self) -> None:
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.port.symlink_to(os.ttyname(self._theirs))

    async def away(self, how: int) -> None:
        self.port.unlink()
        self.end()

    async def send(self) -> None:
        try:
            os.write(self._ours, self._device.packets(self._counts).tobytes())
        except BlockingIOError:
            return  # nobody reads
        # The kernel hands it over in a moment of real time.
        select.select([self._theirs], [], [], 0.05)

    def end(self) -> None:
        for file in (self._ours, self._theirs):
            if file >= 0:
                os.close(file)
        self._ours = self._theirs = -1


class Air(Peer):
    """A heart rate strap behind a Bluetooth library that fails in every way seen."""

    address = "C8:00:00:00:00:09"

    def __init__(self) -> None:
        self.near = asyncio.Event()
        self.clients: set[Client] = set()
        self.fault = 0

    async def there(self) -> None:
        self.near.set()

    async def away(self, how: int) -> None:
        self.near.clear()
        self.fault = how % 8
        for client in list(self.clients):
            client.lost()

    async def send(self) -> None:
        for client in self.clients:
            client.hear(bytes.fromhex("163c1104"))

    def end(self) -> None:
        assert not self.clients, "hung up"

    async def fail(self, moment: int) -> None:
        """End an attempt at this moment, if it is to end there."""
        if self.fault != moment:
            return
        self.fault = 0
        match moment % 3:
            case 0:
                raise BleakError("InProgress")
            case 1:
                raise asyncio.CancelledError
            case _:
                raise EOFError


class Client:
    """What ble_link uses of bleak's client."""

    def __init__(
        self, air: Air, device: Any, disconnected_callback: Callable[[Any], None], timeout: float
    ) -> None:
        self._air, self._gone = air, disconnected_callback
        self._heard: Callable[[Any, bytes], None] | None = None
        self.services = SimpleNamespace(get_characteristic=lambda uuid: uuid == MEASUREMENT or None)

    async def connect(self) -> None:
        await asyncio.sleep(0.1)
        await self._air.fail(1)
        if not self._air.near.is_set():
            raise BleakError("failed to discover services, device disconnected")
        self._air.clients.add(self)

    async def start_notify(self, uuid: str, heard: Callable[[Any, bytes], None], **_: Any) -> None:
        await self._air.fail(2)
        self._heard = heard

    async def disconnect(self) -> None:
        self._air.clients.discard(self)
        await self._air.fail(3)

    def lost(self) -> None:
        self._air.clients.discard(self)
        self._gone(self)

    def hear(self, data: bytes) -> None:
        if self._heard is not None:
            self._heard(None, data)


async def over_the_air(monkeypatch: pytest.MonkeyPatch) -> list[LinkState]:
    air = Air()

    async def find(address: str, timeout: float) -> Any:
        try:
            async with asyncio.timeout(timeout):
                await air.near.wait()
                await asyncio.sleep(0.1)
        except TimeoutError:
            return None
        return SimpleNamespace(address=address, name="strap", details={"path": "/hci0/dev"})

    async def nothing_is_left(fits: Callable[[str, str], bool]) -> int:
        return 0

    scanner = SimpleNamespace(find_device_by_address=find)
    monkeypatch.setattr(bleak, "BleakScanner", scanner)
    monkeypatch.setattr(bleak, "BleakClient", lambda device, **told: Client(air, device, **told))
    monkeypatch.setattr(ble_link.ble_stale, "clean", nothing_is_left)
    return await lose(air, lambda: HeartRateStrap(air.address, now_ns=now_ns), 0.5)


class Network(Peer, asyncio.DatagramProtocol):
    """A monitor on a UDP socket."""

    def __init__(self) -> None:
        self._monitor = EmulatedIntelliVue(("II",))
        self._counts = np.full((250, 1), 8192, np.int32)
        self._is_there = False
        self._since_s = 0.0
        self._client: Any = None
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._is_there:
            self._client = addr
            self._tell(self._monitor.receive(data))

    def _tell(self, messages: list[bytes]) -> None:
        for message in messages:
            self.transport.sendto(message, self._client)

    async def there(self) -> None:
        if asyncio.get_running_loop().time() - self._since_s > RESTART_S:
            self._monitor.plug_in()
        self._is_there = True

    async def away(self, how: int) -> None:
        self._since_s = asyncio.get_running_loop().time()
        if how % 5 == 0 and self._client is not None:
            self._tell([ABORT])
        self._is_there = False

    async def send(self) -> None:
        told = self._monitor.play(self._counts) if self._monitor.associated else []
        if self._is_there:
            self._tell(told)

    def end(self) -> None:
        self.transport.close()


async def over_the_network() -> list[LinkState]:
    network = Network()
    files = open_files()
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: network, local_addr=("127.0.0.1", 0))
    host, port = network.transport.get_extra_info("sockname")

    async def here(name: str, where: str) -> str:
        return host

    with pytest.MonkeyPatch.context() as patch:
        # Resolving asks another thread.
        patch.setattr(udp_link, "resolved", here)
        states = await lose(network, lambda: IntelliVue(f"{host}:{port}", now_ns=now_ns), 1.0)
    assert open_files() == files
    return states


def test_a_serial_port(tmp_path: Path) -> None:
    plug = Plug(tmp_path / "ttyACM0")
    check_walk(run(lose(plug, lambda: Olimex(str(plug.port), now_ns=now_ns), 0.05)))


def test_bluetooth(monkeypatch: pytest.MonkeyPatch) -> None:
    check_walk(run(over_the_air(monkeypatch)))


def test_udp() -> None:
    check_walk(run(over_the_network()))
