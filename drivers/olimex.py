"""Olimex SHIELD-EKG-EMG on an Arduino: one ECG channel of 10 bits, packets of 17 bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from drivers.axis import CountedStream, StreamAxis
from drivers.decoders.framing import FixedFrames
from drivers.decoders.olimex import (
    CHANNELS,
    FULL_SCALE,
    MICROVOLTS_PER_COUNT,
    MIDDLE,
    RATE_HZ,
    OlimexDecoder,
)
from drivers.samples import DriverError, GapCause, Lead
from drivers.serial_driver import SerialDriver, Taken, chosen_leads, columns
from drivers.serial_link import SerialPort

BAUD = 57600
"""Of the shield's stock sketch at 256 Hz; the olimex-ekg-emg sketch has 115200 and 125 Hz."""
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 100.0, 676.0
"""Below nothing can be analysed; above, 115200 baud cannot carry 17 bytes a sample."""

RATE_CHECK_S = 5.0
RATE_TOLERANCE = 0.1
"""An Arduino's resonator is right to 0.5 %; a tenth off is another sketch than configured."""


class Olimex(SerialDriver):
    """Driver of one or more stacked Olimex shields.

    ``rate_hz`` and ``baud`` must be those of the Arduino's sketch. ``leads`` names the leads, by
    default one, II, on channel 1; ``channels`` their channels (1 to 6). ``microvolts_per_count``
    is the scale where it was calibrated; without it the leads are marked uncalibrated.
    """

    device = "Olimex SHIELD-EKG-EMG"
    packet = "Olimex packet"
    silence_remedy = "is the Arduino powered, and the sketch's baud rate the same?"
    dtr = False

    def __init__(
        self,
        address: str,
        *,
        rate_hz: float = RATE_HZ,
        baud: int = BAUD,
        leads: Sequence[str] = ("II",),
        channels: Sequence[int] | None = None,
        microvolts_per_count: float | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
            raise DriverError(
                f"{rate_hz} is no rate of this shield",
                address,
                f"set rate_hz between {LOWEST_RATE_HZ:.0f} and {HIGHEST_RATE_HZ:.0f}",
                transient=False,
            )
        names = tuple(leads)
        numbers = tuple(channels) if channels else None
        chosen = chosen_leads(address, names, numbers, available=CHANNELS)
        self._columns = columns(chosen)
        self._decoder = OlimexDecoder()
        self._mark: tuple[int, int] | None = None
        scale = MICROVOLTS_PER_COUNT if microvolts_per_count is None else microvolts_per_count
        super().__init__(
            address,
            baud=baud,
            rate_hz=rate_hz,
            leads=tuple(
                Lead(name, scale, float(MIDDLE), FULL_SCALE, microvolts_per_count is not None)
                for name in names
            ),
            now_ns=now_ns,
        )

    async def set_up(self, port: SerialPort) -> str:
        """Nothing to say to it: the shield streams from power-up and has no commands."""
        self._mark = None
        return ""

    def take(self, data: bytes, host_ns: int, stream: CountedStream) -> Taken:
        """Packets to samples; those of a reset are none, and what follows them starts anew."""
        packets = self._decoder.feed(data)
        counts = packets.counts[:, self._columns]
        start, idle = 0, ""
        if packets.reset.any():
            at = np.flatnonzero(packets.reset)
            stream.arrive(packets.counters[: at[0]], counts[: at[0]], host_ns)
            stream.restart(GapCause.DEVICE_RESTART)
            self._mark = None
            start = int(at[-1]) + 1
            idle = "the Arduino was reset and is starting" if start == len(counts) else ""
        stream.arrive(packets.counters[start:], counts[start:], host_ns)
        return Taken(len(counts), idle)

    def frames(self) -> FixedFrames:
        """The packets' framing."""
        return self._decoder.frames

    def streamed(self, axis: StreamAxis) -> None:
        """Refuse a stream whose rate is another sketch's: every time in it would be wrong."""
        now_ns = self.now_ns()
        if self._mark is None:
            self._mark = (axis.next, now_ns)
        passed_s = (now_ns - self._mark[1]) / 1e9
        if passed_s < RATE_CHECK_S:
            return
        rate_hz = (axis.next - self._mark[0]) / passed_s
        self._mark = (axis.next, now_ns)
        if abs(rate_hz / self.rate_hz - 1) > RATE_TOLERANCE:
            raise DriverError(
                f"sends {rate_hz:.0f} packets a second, not {self.rate_hz:.0f}",
                self.address,
                f"set rate_hz to the sketch's rate, perhaps {rate_hz:.0f}",
                transient=False,
            )
