"""BITalino (r)evolution over Bluetooth (RFCOMM) or a serial cable: ECG of 10 bits at 1000 Hz"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from drivers.axis import Missing, Part, StreamAxis
from drivers.decoders.bitalino import (
    CHANNELS,
    ECG_GAIN,
    FRAME_BYTES,
    MODULUS,
    BitalinoDecoder,
    BitalinoFrames,
    bits_of,
    decode_state,
    microvolts_per_count,
)
from drivers.samples import BatteryReading, DriverError, Lead
from drivers.serial_driver import SerialDevice, Taken, chosen_leads, columns
from drivers.serial_link import SerialPort
from drivers.uncounted import UncountedStream

BAUD = 115200
RATES: Final = {1000: b"\xc3", 100: b"\x83"}
"""The board has 10 and 1 Hz as well, at which there is no ECG."""
ECG_CONNECTOR = 2
"""Where the ECG sensor of an assembled board is."""

NAME: Final = b"BITalino"
STOPS: Final = (b"\xff", b"\x00")
"""Before firmware 4.2 only the second; on an idle board it sets the battery lamp's threshold."""
VERSION, STATE = b"\x07", b"\x0b"
START = 0x01

PAUSE_S = 0.15
"""Commands must be 0.1 s apart."""
QUIET_S = 0.3
"""Bluetooth comes in bursts; so long after the last one it has stopped."""
ANSWER_S = 1.0
LINK_S = 8.0
"""Opening an RFCOMM port only begins to make the link: what is written waits until it stands."""


class Bitalino(SerialDevice[UncountedStream]):
    """Driver of a BITalino (r)evolution.

    ``leads`` names the ECG leads, by default one, II, and ``channels`` their connectors (A1 to A6
    as 1 to 6), by default A2, where an assembled board has its ECG sensor. ``rate_hz`` is 1000 or
    100; ``gain`` that of the ECG sensor. Raises :class:`DriverError` on what the board can't do.
    """

    device = "BITalino (r)evolution"
    packet = "BITalino frame"
    silence_remedy = "is it switched on, charged and near?"

    def __init__(
        self,
        address: str,
        *,
        leads: Sequence[str] = ("II",),
        channels: Sequence[int] = (ECG_CONNECTOR,),
        rate_hz: int = 1000,
        gain: float = ECG_GAIN,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        fault = ""
        if rate_hz not in RATES:
            fault = f"rate_hz {rate_hz} is none of {', '.join(map(str, RATES))}"
        elif not 0 < gain < 1e6:
            fault = f"gain {gain} is none of an amplifier"
        if fault:
            raise DriverError(fault, address, "correct the options", transient=False)
        names = tuple(leads)
        chosen = chosen_leads(address, names, tuple(channels), available=CHANNELS)
        sent = sorted(chosen)
        places = [sent.index(channel) for channel in chosen]
        self._columns = columns([place + 1 for place in places])
        self._mask = sum(1 << channel - 1 for channel in chosen)
        self._rate_command = RATES[int(rate_hz)]
        self._decoder = BitalinoDecoder(len(chosen))
        self._frame_bytes = FRAME_BYTES[len(chosen)]
        super().__init__(
            address,
            baud=BAUD,
            rate_hz=float(rate_hz),
            leads=tuple(
                _lead(name, bits_of(place), gain) for name, place in zip(names, places, strict=True)
            ),
            now_ns=now_ns,
        )

    async def set_up(self, port: SerialPort) -> str:
        """Stop, version, battery, rate, start; while it streams it takes no command but stop."""
        firmware = await self._stopped(port)
        await port.drain(PAUSE_S, PAUSE_S)
        await port.write(STATE)
        state = decode_state(await port.drain(QUIET_S, ANSWER_S))
        if state is not None:
            self.tell(BatteryReading(self.now_ns(), state.battery_percent))
        for command in (self._rate_command, bytes([START | self._mask << 2])):
            await port.drain(PAUSE_S, PAUSE_S)
            await port.write(command)
        return firmware

    async def stop(self, port: SerialPort) -> None:
        """Stop streaming: its cell lasts longer, and the next program finds it quiet."""
        await port.write(STOPS[0])
        await port.flush(0.2)

    def take(self, data: bytes, host_ns: int, stream: UncountedStream) -> Taken:
        """Frames to samples, with what is missing between them."""
        frames = self._decoder.feed(data)
        stream.arrive(self._parts(frames), host_ns)
        return Taken(len(frames.words))

    def frames(self) -> BitalinoDecoder:
        """The decoder, which counts what it threw away."""
        return self._decoder

    def stream_on(self, axis: StreamAxis) -> UncountedStream:
        """Losses by the sequence number, its turns by the host's clock."""
        return UncountedStream(axis, self.rate_hz, modulus=MODULUS)

    async def _stopped(self, port: SerialPort) -> str:
        """Its firmware, which it tells only when it doesn't stream."""
        answer = b""
        for stop in STOPS:
            await port.write(stop)
            linked = await port.drain(QUIET_S, ANSWER_S) or answer
            await port.write(VERSION)
            answer = await port.read_until(NAME, ANSWER_S if linked else LINK_S)
            if NAME in answer:
                told = answer.partition(NAME)[2]
                if b"\n" not in told:
                    told += await port.read_until(b"\n", ANSWER_S)
                return told.partition(b"\n")[0].strip(b"_").decode("ascii", "replace")
            if not answer:
                break
        if answer:
            what = f"bytes but no BITalino's answer at {self.baud} baud"
            raise DriverError(what, self.address, "correct the port or the kind of device")
        raise DriverError("no answer", self.address, self.silence_remedy)

    def _parts(self, frames: BitalinoFrames) -> list[Part]:
        """Runs of samples, and what is missing between them by number and by damaged bytes."""
        counts = frames.counts[:, self._columns]
        parts: list[Part] = []
        start = 0
        for found in frames.breaks:
            turns = round((found.thrown / self._frame_bytes - found.missing) / MODULUS)
            missing = found.missing + max(0, turns) * MODULUS
            parts += [counts[start : found.before], Missing(missing)]
            start = found.before
        return [*parts, counts[start:]]


def _lead(name: str, bits: int, gain: float) -> Lead:
    return Lead(name, microvolts_per_count(gain, bits), 2.0 ** (bits - 1), (0, 2**bits - 1))
