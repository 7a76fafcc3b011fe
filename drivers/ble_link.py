"""One Bluetooth LE peripheral for asyncio: found, connected, and let go again in any case.

It never retries by itself (``drivers.reconnect`` does) and keeps what others learnt: one
connection attempt at a time on an adapter, the disconnect callback only sets a flag,
``disconnect`` is called even when the link seems gone, and what an earlier program or a failed
attempt left in BlueZ is ended first, or it answers "InProgress" for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from drivers import ble_stale, raw_tap
from drivers.raw_recording import EntryType
from drivers.samples import DriverError

if TYPE_CHECKING:
    from bleak import BleakClient
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

log = logging.getLogger(__name__)

FIND_S: Final = 10.0
CONNECT_S: Final = 20.0
REQUEST_S: Final = 5.0
"""Reads and writes; a strap that takes longer has gone."""
HANG_UP_S: Final = 5.0

_ADDRESS = re.compile(r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}", re.IGNORECASE)


class _Adapters:
    """What one event loop knows of its Bluetooth adapters."""

    def __init__(self) -> None:
        self.connecting: dict[str, asyncio.Lock] = {}
        """One for each adapter: two attempts at once end in "InProgress"."""
        self.clean: set[str] = set()
        """Addresses of which nothing is left in BlueZ but what we hold ourselves."""


_adapters: WeakKeyDictionary[asyncio.AbstractEventLoop, _Adapters] = WeakKeyDictionary()

OnNotification = Callable[[bytes], None]


class BleConnection:
    """A connected peripheral; every wait has a timeout and ends when the link does."""

    def __init__(self, client: BleakClient, address: str, lost: asyncio.Event) -> None:
        self._client = client
        self.address = address
        self.lost = lost
        """Set when the link is gone."""

    def has(self, characteristic: str) -> bool:
        """Whether the peripheral offers a characteristic."""
        offered = self._client.services.get_characteristic(characteristic) is not None
        raw_tap.note(EntryType.OFFERED, time.monotonic_ns(), bytes([offered]), characteristic)
        return offered

    async def read(self, characteristic: str) -> bytes:
        """Read a characteristic."""
        async with self._request("read"):
            data = bytes(await self._client.read_gatt_char(characteristic))
        raw_tap.note(EntryType.READ, time.monotonic_ns(), data, characteristic)
        return data

    async def write(self, characteristic: str, data: bytes) -> None:
        """Write with response."""
        raw_tap.note(EntryType.SENT, time.monotonic_ns(), data, characteristic)
        async with self._request("write"):
            await self._client.write_gatt_char(characteristic, data, response=True)

    async def notify(self, characteristic: str, on_data: OnNotification) -> None:
        """Subscribe; ``on_data`` runs on the event loop."""
        tap = raw_tap.TAP.get()

        def arrived(data: bytes) -> None:
            if tap is not None:
                tap.note(EntryType.RECEIVED, time.monotonic_ns(), data, characteristic)
            on_data(data)

        async with self._request("subscribe"):
            # BlueZ loses first notifications when it acquires the characteristic (bleak notes).
            await self._client.start_notify(
                characteristic,
                lambda _, data: arrived(bytes(data)),
                bluez={"use_start_notify": True},
            )

    @contextlib.asynccontextmanager
    async def _request(self, what: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(REQUEST_S):
                yield
        except TimeoutError:
            raise DriverError(
                f"no answer to a {what} in {REQUEST_S:.0f} s",
                self.address,
                "is the sensor near and charged?",
            ) from None


@contextlib.asynccontextmanager
async def connected(address: str) -> AsyncIterator[BleConnection]:
    """Find and connect the peripheral with this address or name (or end of name).

    Raises:
        DriverError: not found, not connected, no Bluetooth here; each says what to do.
    """
    player = raw_tap.PLAYER.get()
    if player is not None:
        async with player.ble_connection(address) as played:
            yield played
        return
    from bleak import BleakClient

    lost = asyncio.Event()
    async with _errors(address):
        adapters = _adapters.setdefault(asyncio.get_running_loop(), _Adapters())
        if address not in adapters.clean:
            await ble_stale.clean(lambda found, name: _named(address, found, name))
            adapters.clean.add(address)
        # Outside the lock: a strap that is away must not keep another bed's from connecting.
        device = await _find(address)
        client = BleakClient(device, disconnected_callback=lambda _: lost.set(), timeout=CONNECT_S)
        async with adapters.connecting.setdefault(_adapter(device), asyncio.Lock()):
            try:
                await client.connect()
            except BaseException:
                adapters.clean.discard(address)
                await _hang_up(client)
                raise
        raw_tap.note(EntryType.OPENED, time.monotonic_ns())
        try:
            yield BleConnection(client, address, lost)
        finally:
            raw_tap.note(EntryType.CLOSED, time.monotonic_ns())
            await _hang_up(client)


async def _find(address: str) -> BLEDevice:
    from bleak import BleakScanner

    def fits(device: BLEDevice, advertised: AdvertisementData) -> bool:
        return _named(address, device.address, advertised.local_name or device.name or "")

    if _ADDRESS.fullmatch(address):
        device = await BleakScanner.find_device_by_address(address, timeout=FIND_S)
    else:
        device = await BleakScanner.find_device_by_filter(fits, timeout=FIND_S)
    if device is None:
        raise DriverError(
            f"not found by Bluetooth in {FIND_S:.0f} s",
            address,
            "is it worn with wet electrodes, and connected to no phone?",
        )
    return device


def _named(wanted: str, address: str, name: str) -> bool:
    """Whether a device is the one that is wanted by address, name, or end of name."""
    return wanted.upper() == address.upper() or name == wanted or name.endswith(f" {wanted}")


def _adapter(device: BLEDevice) -> str:
    """The adapter that heard the device; on systems other than Linux there is but one."""
    path = device.details.get("path", "") if isinstance(device.details, dict) else ""
    return str(path).rpartition("/")[0]


async def _hang_up(client: BleakClient) -> None:
    """Also where the link seems gone: what BlueZ still holds would block the next attempt."""
    try:
        async with asyncio.timeout(HANG_UP_S):
            await client.disconnect()
    except Exception as error:
        log.debug("disconnect: %s", error)


@contextlib.asynccontextmanager
async def _errors(address: str) -> AsyncIterator[None]:
    """Bluetooth's many errors as one kind, each with something to do."""
    from bleak.exc import BleakBluetoothNotAvailableError, BleakError

    try:
        yield
    except DriverError:
        raise
    except BleakBluetoothNotAvailableError as error:
        raise DriverError(
            f"Bluetooth is not available ({error})",
            address,
            "is an adapter plugged in, switched on, and bluetooth.service running?",
        ) from error
    except TimeoutError:
        raise DriverError(
            f"no connection in {CONNECT_S:.0f} s", address, "bring the sensor nearer"
        ) from None
    except (BleakError, OSError, EOFError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise DriverError(
            f"Bluetooth said {said[:120]!r}",
            address,
            "is bluetooth.service running and the sensor near? it is tried again",
        ) from error
