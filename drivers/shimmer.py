"""Shimmer3 ECG unit over Bluetooth's serial port: four ExG channels of 24 bits, 128 to 1024 Hz."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from drivers.axis import StreamAxis
from drivers.decoders.shimmer import (
    ACK,
    EXG1,
    EXG2,
    FULL_SCALE_24,
    GAINS,
    REGISTERS,
    TICKS_HZ,
    Inquiry,
    Layout,
    ShimmerDecoder,
    ShimmerError,
    answer,
    ecg_registers,
    gain_of,
    inquiry,
    microvolts_per_count,
    without_notices,
)
from drivers.samples import DriverError, Lead
from drivers.serial_driver import SerialDevice, Taken, chosen_leads
from drivers.serial_link import SerialPort
from drivers.shimmer_time import StampedStream

BAUD = 115200
"""Of the dock's serial port; Bluetooth has none and takes any."""

RATES_HZ: Final = (128.0, 256.0, 512.0, 1024.0)
"""Whole numbers of ticks; 250 Hz would be 250.14."""

CHANNELS: Final = (EXG1[1], EXG1[2], EXG2[1], EXG2[2])
"""Channel 1 to 4 as ``channels`` counts them: chip 1, then chip 2."""

STOP, START = b"\x20", b"\x07"
QUIET_S = 0.3
"""After a stop Bluetooth still delivers what was under way."""
ANSWER_S = 2.0
"""Bluetooth answers within 0.1 s; a link that is just being made takes longer."""

LOG_AND_STREAM: Final = 3
FIRMWARES: Final = {1: "BtStream", 2: "SDLog", LOG_AND_STREAM: "LogAndStream"}
QUIET_FIRMWARE: Final = (0, 15, 4)
"""From here on the ACK before an unasked status can be switched off."""
SHIMMER3: Final = 3

T = TypeVar("T")


class Shimmer3(SerialDevice[StampedStream]):
    """Driver of a Shimmer3 with its ECG expansion.

    ``rate_hz`` is one of 128, 256, 512, 1024; ``gain`` one of 1, 2, 3, 4, 6, 8, 12 (at 4 the input
    rails at ±605 mV). ``leads`` names the leads, by default II and I, on channels 1 and 2 (chip 1:
    LL-RA, LA-RA); ``channels`` their channels where these are others (4 is chip 2's Vx).
    Raises :class:`DriverError` on a choice the device does not have.
    """

    device = "Shimmer3"
    packet = "Shimmer3 packet"
    silence_remedy = "is the sensor on, charged and near?"
    device_clock = True

    def __init__(
        self,
        address: str,
        *,
        leads: Sequence[str] = ("II", "I"),
        channels: Sequence[int] | None = None,
        gain: int = 4,
        rate_hz: float = 512.0,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if gain not in GAINS:
            raise DriverError(
                f"gain {gain} does not exist",
                address,
                f"choose one of {tuple(sorted(GAINS))}",
                transient=False,
            )
        if rate_hz not in RATES_HZ:
            raise DriverError(
                f"{rate_hz} is no rate that is offered",
                address,
                f"set rate_hz to one of {', '.join(f'{rate:.0f}' for rate in RATES_HZ)}",
                transient=False,
            )
        names = tuple(leads)
        numbers = tuple(channels) if channels else None
        chosen = chosen_leads(address, names, numbers, available=len(CHANNELS))
        self._channels = [CHANNELS[number - 1] for number in chosen]
        self._columns: list[int] = []
        self._gain = gain
        self._heard = 0
        self._decoder = ShimmerDecoder()
        scale = microvolts_per_count(gain)
        super().__init__(
            address,
            baud=BAUD,
            rate_hz=rate_hz,
            leads=tuple(Lead(name, scale, full_scale_counts=FULL_SCALE_24) for name in names),
            now_ns=now_ns,
        )

    @property
    def _ticks(self) -> int:
        return round(TICKS_HZ / self.rate_hz)

    async def set_up(self, port: SerialPort) -> str:
        """Stop, who are you, sensors, rate, both chips, what will you stream, start."""
        await port.write(STOP)
        await port.drain(QUIET_S, timeout_s=1.5)
        firmware = await self._identify(port)
        used = sum(bit for bit, chip in ((0x10, EXG1), (0x08, EXG2)) if self._uses(chip))
        await self._set(port, bytes([0x08, used, 0, 0]), "the sensors")
        await self._set(port, b"\x05" + self._ticks.to_bytes(2, "little"), "the rate")
        for number, chip in enumerate((EXG1, EXG2)):
            if self._uses(chip):
                await self._set_chip(port, number)
        self._agree(await self._inquire(port))
        await port.write(START)
        return firmware

    async def stop(self, port: SerialPort) -> None:
        """Stop streaming, which empties the battery."""
        await port.write(STOP)
        await port.flush(0.2)

    def take(self, data: bytes, host_ns: int, stream: StampedStream) -> Taken:
        """Packets to samples."""
        packets = self._decoder.feed(data)
        stream.arrive(packets.stamps, packets.counts[:, self._columns], host_ns)
        return Taken(len(packets.stamps))

    def frames(self) -> ShimmerDecoder:
        """The packets' framing."""
        return self._decoder

    def stream_on(self, axis: StreamAxis) -> StampedStream:
        """Losses by the packets' time stamps."""
        return StampedStream(axis, self._ticks)

    def _uses(self, chip: tuple[int, ...]) -> bool:
        return any(channel in chip for channel in self._channels)

    async def _identify(self, port: SerialPort) -> str:
        """The firmware's name and version; refuses what is no Shimmer3 that streams."""
        body = await self._ask(port, b"\x2e", 0x2F, 6)
        kind = int.from_bytes(body[:2], "little")
        version = (int.from_bytes(body[2:4], "little"), body[4], body[5])
        name = f"{FIRMWARES.get(kind, f'firmware {kind}')} {'.'.join(map(str, version))}"
        hardware = (await self._ask(port, b"\x3f", 0x25, 1))[0]
        if hardware != SHIMMER3 or kind != LOG_AND_STREAM:
            raise DriverError(
                f"it is hardware {hardware} with {name}, not a Shimmer3 with LogAndStream",
                self.address,
                "write LogAndStream firmware to it in its dock",
                transient=False,
            )
        if version >= QUIET_FIRMWARE:
            await self._set(port, b"\xa3\x00", "the ACK of a status off")
        return name

    async def _set_chip(self, port: SerialPort, chip: int) -> None:
        """Settings of a chip, read back: a gain that is not ours would be a wrong amplitude."""
        place = bytes([chip, 0, REGISTERS])
        present = (await self._ask(port, b"\x63" + place, 0x62, 1 + REGISTERS))[1:]
        wanted = ecg_registers(present, chip, self._gain, self.rate_hz)
        await self._set(port, b"\x61" + place + wanted, f"ExG chip {chip + 1}")
        kept = (await self._ask(port, b"\x63" + place, 0x62, 1 + REGISTERS))[1:]
        try:
            gains = {gain_of(kept[3]), gain_of(kept[4])}
        except ShimmerError:
            gains = set()
        if gains != {self._gain}:
            raise DriverError(
                f"ExG chip {chip + 1} did not take gain {self._gain} (it has {kept.hex(' ')})",
                self.address,
                "is this a Shimmer3 ECG unit? take the sensor out of its dock",
            )

    async def _inquire(self, port: SerialPort) -> Inquiry:
        found = await self._answered(port, b"\x01", 0x02, inquiry)
        if found is None:
            raise self._no_answer("the inquiry")
        return found

    def _agree(self, told: Inquiry) -> None:
        """Take the layout it told; refuse a stream that is not the one we asked for."""
        if told.ticks != self._ticks:
            raise DriverError(
                f"it keeps {TICKS_HZ / max(1, told.ticks):g} Hz, not {self.rate_hz:g}",
                self.address,
                "is another program connected, or is it logging? stop that",
            )
        try:
            layout = Layout(told.channels)
            self._columns = [layout.channels.index(channel) for channel in self._channels]
        except (ShimmerError, ValueError):
            raise DriverError(
                f"streams channels {bytes(told.channels).hex(' ')}, not the ECG's",
                self.address,
                "is this a Shimmer3 ECG unit? take the sensor out of its dock",
            ) from None
        self._decoder.begin(layout, told.ticks)

    async def _set(self, port: SerialPort, command: bytes, what: str) -> None:
        def acknowledged(data: bytes) -> bool | None:
            return True if ACK in without_notices(data) else None

        if await self._until(port, command, acknowledged) is None:
            raise self._no_answer(what)

    async def _ask(self, port: SerialPort, command: bytes, code: int, size: int) -> bytes:
        body = await self._answered(
            port, command, code, lambda body: body[:size] if len(body) >= size else None
        )
        if body is None:
            raise self._no_answer(f"command {command[0]:02X}")
        return body

    async def _answered(
        self, port: SerialPort, command: bytes, code: int, read: Callable[[bytes], T | None]
    ) -> T | None:
        def found(data: bytes) -> T | None:
            body = answer(data, code)
            return None if body is None else read(body)

        return await self._until(port, command, found)

    async def _until(
        self, port: SerialPort, command: bytes, read: Callable[[bytes], T | None]
    ) -> T | None:
        """Send a command and read on until ``read`` finds its answer; None when it never does."""
        await port.write(command)
        deadline_ns = self.now_ns() + round(ANSWER_S * 1e9)
        data, self._heard = b"", 0
        while (left_s := (deadline_ns - self.now_ns()) / 1e9) > 0:
            data += await port.read(left_s, gather_s=0.0)
            self._heard = len(data)
            found = read(data)
            if found is not None:
                return found
        return None

    def _no_answer(self, what: str) -> DriverError:
        if self._heard:
            said = f"bytes but no Shimmer3's answer to {what}"
            return DriverError(said, self.address, "correct the port or the kind of device")
        return DriverError(
            f"no answer to {what} in {ANSWER_S:.0f} s",
            self.address,
            "is the sensor on, charged, near, and paired with this host?",
        )
