"""What every serial ECG device shares: one session from open port to silence, and health."""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

from drivers.axis import CountedStream, StreamAxis
from drivers.clock import StreamClock
from drivers.reconnect import Backoff, Link, supervise
from drivers.samples import (
    DriverError,
    Emit,
    GapCause,
    Lead,
    LinkHealth,
    StreamInfo,
)
from drivers.serial_link import SerialAddress, SerialPort, open_port

SILENCE_S = 2.0
"""A device at 125 Hz or more that sends no packet for so long is lost: the alarm must not wait."""

LONGEST_DELAY_S = 2.5
"""Trying a local port costs next to nothing, and a board that is back must be seen in 5 s."""

GARBAGE_BYTES = 100
"""Fewer bytes without a packet are the rest of the last one, more are another language."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one read held."""

    packets: int
    idle: str = ""
    """Why the device, alive as its packets show, gives no samples just now."""


class Framing(Protocol):
    """What the session asks of a decoder's framing."""

    discarded: int
    """Bytes thrown away so far."""

    def reset(self) -> None:
        """Forget what came before: the port was opened anew."""


class Stream(Protocol):
    """What lays a decoder's samples on the axis."""

    def restart(self, cause: GapCause) -> None:
        """What comes next follows a loss of unknown length."""


StreamT = TypeVar("StreamT", bound=Stream)


class SerialDevice(ABC, Generic[StreamT]):
    """A device on a serial port, whatever tells its losses.

    A subclass brings the set-up dialogue and the decoder; this class owns port, link and stream.
    """

    device: str
    """Maker and model."""
    packet: ClassVar[str]
    """What one packet is called in a message: ``Cyton packet``."""
    silence_remedy: ClassVar[str]
    """What to look at when nothing comes at all."""
    dtr: ClassVar[bool] = True
    device_clock: ClassVar[bool] = False
    """Packets carry the device's own time, and its stream tells the axis of it."""

    def __init__(
        self,
        address: str,
        *,
        baud: int,
        rate_hz: float,
        leads: tuple[Lead, ...],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.health = LinkHealth()
        self.address = address
        self.baud = baud
        self.rate_hz = rate_hz
        self.leads = leads
        self.now_ns = now_ns
        self.restarted = False
        """The device said that it began anew: the gap that follows is of its making."""
        self.tell: Emit = lambda event: None
        """Takes what the device says besides its samples, such as its battery."""
        self._frames = 0
        self._bytes_before = 0

    @abstractmethod
    async def set_up(self, port: SerialPort) -> str:
        """Bring the device to stream and give its firmware's name, ``""`` where it tells none."""

    @abstractmethod
    def take(self, data: bytes, host_ns: int, stream: StreamT) -> Taken:
        """Decode a read and lay its samples on ``stream``.

        Raises :class:`DriverError` when the bytes say that the session is over.
        """

    @abstractmethod
    def frames(self) -> Framing:
        """The decoder's framing, for its counts of damage."""

    @abstractmethod
    def stream_on(self, axis: StreamAxis) -> StreamT:
        """What tells the device's losses and lays its samples on ``axis``."""

    async def stop(self, port: SerialPort) -> None:
        """Leave the device stopped, where it can be told to."""

    def streamed(self, axis: StreamAxis) -> None:
        """Called after each read that brought packets; raise :class:`DriverError` on a fault."""

    async def run(self, emit: Emit) -> None:
        """Connect, stream and reconnect until cancelled; then leave the device stopped."""
        place = SerialAddress(self.address)
        axis: StreamAxis | None = None
        stream: StreamT | None = None
        axis_rate_hz = 0.0
        self.tell = emit

        async def session(link: Link) -> None:
            nonlocal axis, stream, axis_rate_hz
            link.connecting()
            port = open_port(place, self.baud, dtr=self.dtr, now_ns=self.now_ns)
            try:
                self.frames().reset()
                self.restarted = False
                firmware = await self.set_up(port)
                if axis is None or stream is None or axis_rate_hz != self.rate_hz:
                    # Only now, since the set-up may have measured the rate, or measured another:
                    # then a new stream begins, for one axis has one rate.
                    axis_rate_hz = self.rate_hz
                    clock = StreamClock(self.rate_hz, device_clock=self.device_clock)
                    axis = StreamAxis(emit, clock)
                    stream = self.stream_on(axis)
                    emit(self._info(firmware))
                link.waiting_for_data()
                await self._stream(port, link, stream, axis)
            finally:
                cause = GapCause.DEVICE_RESTART if self.restarted else GapCause.LINK_LOST
                if stream is not None:
                    stream.restart(cause)
                self._bytes_before += port.bytes_read
                await self._leave(port)

        link = self.link = Link(emit, where=self.address, now_ns=self.now_ns)
        backoff = Backoff(random=random.random, longest_s=LONGEST_DELAY_S)
        await supervise(session, link, backoff=backoff, absent=place.absent)

    async def _leave(self, port: SerialPort) -> None:
        try:
            with suppress(DriverError):
                await self.stop(port)
        finally:
            port.close()

    async def _stream(
        self, port: SerialPort, link: Link, stream: StreamT, axis: StreamAxis
    ) -> None:
        last_packet_ns, bytes_then = self.now_ns(), port.bytes_read
        while True:
            left_s = SILENCE_S - (self.now_ns() - last_packet_ns) / 1e9
            if left_s <= 0:
                raise self._silent(port.bytes_read - bytes_then)
            data = await port.read(left_s)
            if not data:
                continue
            taken = self.take(data, port.arrived_ns, stream)
            if taken.packets:
                last_packet_ns, bytes_then = port.arrived_ns, port.bytes_read
                self._frames += taken.packets
                if taken.idle:
                    link.waiting_for_data(f"{self.address}: {taken.idle}")
                else:
                    link.streaming()
                    self.streamed(axis)
            self._note_health(port, link, axis)

    def _silent(self, bytes_got: int) -> DriverError:
        if bytes_got >= GARBAGE_BYTES:
            what = f"bytes but no {self.packet} in {SILENCE_S:.0f} s at {self.baud} baud"
            return DriverError(what, self.address, "correct the baud rate or the kind of device")
        what = f"no {self.packet} in {SILENCE_S:.0f} s at {self.baud} baud"
        return DriverError(what, self.address, self.silence_remedy)

    def _note_health(self, port: SerialPort, link: Link, axis: StreamAxis) -> None:
        self.health = LinkHealth(
            bytes_read=self._bytes_before + port.bytes_read,
            frames=self._frames,
            damaged=self.frames().discarded,
            lost_samples=axis.lost_samples,
            reconnects=link.reconnects,
            lag_ms=axis.clock.lag_ms,
        )

    def _info(self, firmware: str) -> StreamInfo:
        return StreamInfo(
            device=self.device,
            address=self.address,
            rate_hz=self.rate_hz,
            leads=self.leads,
            firmware=firmware,
        )


class SerialDriver(SerialDevice[CountedStream]):
    """A device on a serial port that sends packets of one sample, counted modulo 256."""

    def stream_on(self, axis: StreamAxis) -> CountedStream:
        """Losses by the packets' counter."""
        return CountedStream(axis, self.rate_hz)


def columns(channels: list[int]) -> slice | list[int]:
    """Index of channels, numbered from 1, in an array's columns; a slice, cheaper, where it can."""
    first, last = channels[0], channels[-1]
    if channels == list(range(first, last + 1)):
        return slice(first - 1, last)
    return [channel - 1 for channel in channels]


def chosen_leads(
    address: str,
    names: tuple[str, ...],
    channels: tuple[int, ...] | None,
    *,
    available: int,
) -> list[int]:
    """Channel number, from 1, of each lead; refuses what the device cannot have.

    Without ``channels`` the leads are channels 1, 2, 3 …
    """
    numbers = list(channels) if channels else list(range(1, len(names) + 1))
    if not names or len(set(names)) != len(names) or not all(names):
        fault = f"leads {list(names)} are not distinct names"
    elif len(numbers) != len(names) or len(set(numbers)) != len(numbers):
        fault = f"{len(names)} leads but channels {numbers}"
    elif not all(1 <= number <= available for number in numbers):
        fault = f"channels {numbers} are not all between 1 and {available}"
    else:
        return numbers
    raise DriverError(fault, address, "correct leads and channels", transient=False)
