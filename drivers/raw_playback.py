"""Plays recorded raw bytes to the driver that read them, in the recording's own time.

The driver runs as it did: what it writes must stand in the recording, what it reads comes from
there, and its clock is the recording's. So the decoded samples are those of that day.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from drivers.ble_link import BleConnection, OnNotification
from drivers.raw_recording import Entry, EntryType
from drivers.samples import DriverError
from drivers.serial_link import GATHER_S, SerialPort
from drivers.udp_link import UdpPort

PATIENCE = 3
"""So often a read finds that the driver should have written before it, then the entry is passed."""
PUMP_WAIT_S = 0.01
PUMP_WAITS = 200
TURNS = 10
"""Turns of the event loop in which a driver takes a notification."""


class Playback:
    """One recording, session after session; :attr:`ended` is set when nothing is left."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = list(entries)
        self._done: set[int] = set()
        self._at = 0
        self._waited = 0
        self._clock_ns = entries[0].at_ns if entries else 0
        self.ended = asyncio.Event()

    def now_ns(self) -> int:
        """The recording's monotonic time."""
        return self._clock_ns

    def serial_port(self, address: str, baud: int) -> SerialPort:
        """The next session of a serial port."""
        return PlayedSerialPort(self, address, baud, there=self._open())

    def udp_port(self, where: str) -> UdpPort:
        """The next session of a socket."""
        return PlayedUdpPort(self, where, there=self._open())

    @contextlib.asynccontextmanager
    async def ble_connection(self, address: str) -> AsyncIterator[BleConnection]:
        """The next session with a peripheral."""
        if not self._open():
            await asyncio.Event().wait()
        played = PlayedBle(self, address)
        try:
            yield played
        finally:
            await played.end()
            self.close()

    def sent(self, data: bytes, channel: str = "") -> None:
        """The driver wrote; it may have written something else on that day."""
        self._consume(EntryType.SENT, channel)

    def read(self, channel: str) -> bytes | None:
        """The answer to a read; None where the driver of that day did not ask."""
        found = self._consume(EntryType.READ, channel)
        return found.data if found is not None else None

    def offered(self, channel: str) -> bool:
        """Whether the peripheral had a characteristic."""
        return any(
            entry.type is EntryType.OFFERED and entry.channel == channel and entry.data == b"\1"
            for entry in self._entries
        )

    async def received(self, timeout_s: float) -> Entry | None:
        """What came next; None when nothing came within ``timeout_s`` of that day.

        Raises :class:`DriverError` where the session ended on that day.
        """
        await asyncio.sleep(0)
        deadline_ns = self._clock_ns + round(timeout_s * 1e9)
        while True:
            entry = self._next()
            if entry is None or entry.at_ns > deadline_ns:
                self._clock_ns = deadline_ns
                if entry is None:
                    await self._finished()
                return None
            if entry.type is EntryType.RECEIVED:
                self._pass(entry)
                return entry
            if entry.type is EntryType.SENT and self._waited < PATIENCE:
                self._waited += 1
                self._clock_ns = max(self._clock_ns, entry.at_ns)
                return None
            if entry.type in (EntryType.CLOSED, EntryType.OPENED):
                self._clock_ns = max(self._clock_ns, entry.at_ns)
                raise DriverError("the link ended here", "recording", "as it did on that day")
            self._pass(entry)

    def following(self) -> Entry | None:
        """The next entry of the session that nobody took yet; None at its end."""
        entry = self._next()
        if entry is None or entry.type in (EntryType.CLOSED, EntryType.OPENED):
            return None
        return entry

    def skip(self, entry: Entry) -> None:
        """Take an entry that :meth:`following` gave."""
        self._pass(entry)

    def close(self) -> None:
        """The session ended: go on behind it."""
        while (entry := self._next()) is not None and entry.type is not EntryType.OPENED:
            self._at += 1
            if entry.type is EntryType.CLOSED:
                break

    def _open(self) -> bool:
        """Go to the next session; False and :attr:`ended` where there is none."""
        while (entry := self._next()) is not None:
            self._pass(entry)
            if entry.type is EntryType.OPENED:
                return True
        self.ended.set()
        return False

    def _next(self) -> Entry | None:
        while self._at in self._done:
            self._at += 1
        return self._entries[self._at] if self._at < len(self._entries) else None

    def _pass(self, entry: Entry) -> None:
        self._clock_ns = max(self._clock_ns, entry.at_ns)
        self._waited = 0
        self._at += 1

    def _consume(self, kind: EntryType, channel: str) -> Entry | None:
        """Take the session's next entry of a kind, wherever it stands."""
        for number in range(self._at, len(self._entries)):
            entry = self._entries[number]
            if entry.type in (EntryType.CLOSED, EntryType.OPENED):
                return None
            if number not in self._done and (entry.type, entry.channel) == (kind, channel):
                self._done.add(number)
                self._waited = 0
                self._clock_ns = max(self._clock_ns, min(entry.at_ns, self._before(number)))
                return entry
        return None

    def _before(self, number: int) -> int:
        """The clock may not run past what was received but not taken yet."""
        waiting = (
            e.at_ns for e in self._entries[self._at : number] if e.type is EntryType.RECEIVED
        )
        return next(waiting, self._entries[number].at_ns)

    async def _finished(self) -> None:
        self.ended.set()
        await asyncio.Event().wait()


class PlayedSerialPort(SerialPort):
    """A session of a serial port as it was."""

    def __init__(self, playback: Playback, address: str, baud: int, *, there: bool) -> None:
        self._playback = playback
        self._there = there
        self._now_ns = playback.now_ns
        self.address, self.baud = address, baud
        self.bytes_read = 0
        self.arrived_ns = playback.now_ns()

    async def read(self, timeout_s: float, *, gather_s: float = GATHER_S) -> bytes:
        """The next read of that day."""
        if not self._there:
            await asyncio.Event().wait()
        # A live read waits for bytes, then gathers on both sides of them.
        entry = await self._playback.received(timeout_s + 2 * gather_s)
        if entry is None:
            return b""
        self.arrived_ns = entry.at_ns
        self.bytes_read += len(entry.data)
        return entry.data

    async def write(self, data: bytes) -> None:
        """Written on that day too."""
        self._playback.sent(data)

    async def flush(self, timeout_s: float) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """On to the next session."""
        if self._there:
            self._playback.close()


class PlayedUdpPort(UdpPort):
    """A session of a socket as it was."""

    def __init__(self, playback: Playback, where: str, *, there: bool) -> None:
        super().__init__(where, playback.now_ns)
        self._playback = playback
        self._there = there

    async def receive(self, timeout_s: float) -> bytes:
        """The next datagram of that day."""
        if not self._there:
            await asyncio.Event().wait()
        entry = await self._playback.received(timeout_s)
        if entry is None:
            return b""
        self.arrived_ns = entry.at_ns
        self.bytes_read += len(entry.data)
        return entry.data

    def send(self, data: bytes, host: str, port: int) -> None:
        """Sent on that day too."""
        self._playback.sent(data)


class PlayedBle(BleConnection):
    """A connection to a peripheral as it was."""

    def __init__(self, playback: Playback, address: str) -> None:
        self._playback = playback
        self.address = address
        self.lost = asyncio.Event()
        self._callbacks: dict[str, OnNotification] = {}
        self._pumping = asyncio.create_task(self._pump())

    def has(self, characteristic: str) -> bool:
        """As it was."""
        return self._playback.offered(characteristic)

    async def read(self, characteristic: str) -> bytes:
        """As it was answered."""
        data = self._playback.read(characteristic)
        if data is None:
            raise DriverError("never read on that day", characteristic, "record it anew")
        return data

    async def write(self, characteristic: str, data: bytes) -> None:
        """Written on that day too."""
        self._playback.sent(data, characteristic)

    async def notify(self, characteristic: str, on_data: OnNotification) -> None:
        """What was notified then comes from now on."""
        self._callbacks[characteristic] = on_data

    async def end(self) -> None:
        """Stop playing."""
        self._pumping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._pumping

    async def _pump(self) -> None:
        waits = 0
        while (entry := self._playback.following()) is not None:
            notified = entry.type is EntryType.RECEIVED
            callback = self._callbacks.get(entry.channel) if notified else None
            if callback is not None:
                self._playback.skip(entry)
                callback(entry.data)
                waits = 0
                for _ in range(TURNS):
                    await asyncio.sleep(0)
            elif entry.type is EntryType.OFFERED or waits >= PUMP_WAITS:
                self._playback.skip(entry)
                waits = 0
            else:
                # The driver subscribes, reads or writes before this.
                waits += 1
                await asyncio.sleep(PUMP_WAIT_S)
        self.lost.set()
