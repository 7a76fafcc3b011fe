"""What every Bluetooth LE device shares: one session after another, readings on the way."""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

from drivers.ble_link import BleConnection, connected
from drivers.decoders.heart_rate import (
    BATTERY_LEVEL,
    FIRMWARE,
    MAKER,
    MEASUREMENT,
    MODEL,
    SERIAL_NUMBER,
    HeartRateError,
    decode_battery,
    decode_heart_rate,
)
from drivers.reconnect import Backoff, Link, supervise
from drivers.samples import (
    BatteryReading,
    DriverError,
    Emit,
    HeartRateReading,
    LeadState,
    LinkHealth,
)

FIRST_DATA_S = 30.0
"""Straps take up to half a minute from the connection to the first packet."""
SILENCE_S = 5.0
"""Later on, a strap that sends nothing for so long is lost."""
LONGEST_DELAY_S = 2.0
"""An attempt itself listens for 10 s; in the pauses between nobody hears a strap that is back."""
PACKETS_WAITING = 256
"""Over two minutes of ECG; nobody is ever so late, but nothing is without a bound."""


class BleDevice(ABC):
    """A device on Bluetooth LE; a subclass sets it up and takes its packets."""

    device: ClassVar[str]
    """Maker and model."""

    def __init__(self, address: str, *, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.health = LinkHealth()
        self.address = address
        self.now_ns = now_ns
        self.contact = LeadState.UNKNOWN
        self.firmware = ""
        self.serial_number = ""
        self.model = ""
        """Maker and model, as the device's own information says."""
        self.damaged = 0
        self._frames = 0
        self._bytes = 0
        self._packets: deque[tuple[int, Callable[[bytes, int], bool], bytes]] = deque(
            maxlen=PACKETS_WAITING
        )
        self._news = asyncio.Event()

    @abstractmethod
    async def set_up(self, ble: BleConnection, emit: Emit) -> None:
        """Subscribe and start the stream."""

    async def stop(self, ble: BleConnection) -> None:  # noqa: B027 - most need no stop
        """Leave the device stopped."""

    async def run(self, emit: Emit) -> None:
        """Find, connect, stream and reconnect until cancelled; then leave the device stopped."""
        link = Link(emit, where=self.address, now_ns=self.now_ns)
        backoff = Backoff(random=random.random, longest_s=LONGEST_DELAY_S)

        async def session(link: Link) -> None:
            link.connecting()
            self._packets.clear()
            async with connected(self.address) as ble:
                try:
                    await self._know(ble, emit)
                    await self.set_up(ble, emit)
                    link.waiting_for_data()
                    await self._stream(ble, link)
                finally:
                    if not ble.lost.is_set():
                        with suppress(DriverError):
                            await self.stop(ble)

        await supervise(session, link, backoff=backoff)

    async def subscribe(
        self, ble: BleConnection, characteristic: str, take: Callable[[bytes, int], bool]
    ) -> None:
        """Queue a characteristic's packets for ``take``, which says whether one was good."""

        await ble.notify(characteristic, lambda data: self.queue(take, data))

    def queue(self, take: Callable[[bytes, int], bool], data: bytes) -> None:
        """Let ``take`` have a packet that arrived just now when its turn comes."""
        self._packets.append((self.now_ns(), take, data))
        self._news.set()

    async def heart_rate(self, ble: BleConnection, emit: Emit) -> None:
        """Subscribe to the Heart Rate Service: rate, RR intervals and contact."""

        def take(data: bytes, host_ns: int) -> bool:
            try:
                reading = decode_heart_rate(data)
            except HeartRateError:
                self.damaged += 1
                return False
            self.damaged += reading.damaged
            self.contact = reading.contact
            emit(HeartRateReading(host_ns, reading.rate_bpm, reading.rr_ms, reading.contact))
            return self.counts_heart_rate

        await self.subscribe(ble, MEASUREMENT, take)

    counts_heart_rate: ClassVar[bool] = False
    """Whether a heart rate packet is what the device is there for."""

    async def _know(self, ble: BleConnection, emit: Emit) -> None:
        self.firmware = await self._information(ble, FIRMWARE)
        self.serial_number = await self._information(ble, SERIAL_NUMBER)
        self.model = (
            f"{await self._information(ble, MAKER)} {await self._information(ble, MODEL)}".strip()
        )
        if ble.has(BATTERY_LEVEL):

            def battery(data: bytes, host_ns: int) -> bool:
                percent = decode_battery(data)
                if percent is not None:
                    emit(BatteryReading(host_ns, percent))
                return False

            battery(await ble.read(BATTERY_LEVEL), self.now_ns())
            # Some tell it of themselves, some refuse: then what was read must do.
            with suppress(Exception):
                await self.subscribe(ble, BATTERY_LEVEL, battery)

    @staticmethod
    async def _information(ble: BleConnection, characteristic: str) -> str:
        """A text of the Device Information Service, "" where the device has none."""
        if not ble.has(characteristic):
            return ""
        return (await ble.read(characteristic)).decode("utf-8", "replace").strip("\0 ")

    async def _stream(self, ble: BleConnection, link: Link) -> None:
        patience_s = FIRST_DATA_S
        last_ns = self.now_ns()
        while True:
            while self._packets:
                host_ns, take, data = self._packets.popleft()
                self._bytes += len(data)
                if take(data, host_ns):
                    last_ns, patience_s = host_ns, SILENCE_S
                    self._frames += 1
                    link.streaming()
                self._note_health(link)
            if ble.lost.is_set():
                raise DriverError("the link is gone", self.address, "it will be found again")
            left_s = patience_s - (self.now_ns() - last_ns) / 1e9
            if left_s <= 0:
                raise DriverError(
                    f"connected, but no data in {patience_s:.0f} s",
                    self.address,
                    "is the strap worn and its electrodes wet? it is started again",
                )
            await self._wait(ble, left_s)

    async def _wait(self, ble: BleConnection, timeout_s: float) -> None:
        self._news.clear()
        if self._packets:
            return
        waits = [
            asyncio.ensure_future(self._news.wait()),
            asyncio.ensure_future(ble.lost.wait()),
        ]
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _note_health(self, link: Link) -> None:
        self.health = LinkHealth(
            bytes_read=self._bytes,
            frames=self._frames,
            damaged=self.damaged,
            lost_samples=self.lost_samples(),
            reconnects=link.reconnects,
            lag_ms=self.lag_ms(),
        )

    def lost_samples(self) -> int:
        """Samples missing so far."""
        return 0

    def lag_ms(self) -> float:
        """How late the newest packet came."""
        return 0.0
