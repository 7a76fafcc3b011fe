"""OpenBCI Ganglion: four channels at 200 Hz over Bluetooth LE, firmware 2 and 3.

Packets are numbered, so a loss on a standing link is exact; connecting resets the board, so a
lost link's gap is bounded by the host's time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from drivers.axis import CountedStream, StreamAxis
from drivers.ble_driver import BleDevice
from drivers.ble_link import BleConnection
from drivers.clock import StreamClock
from drivers.decoders import ganglion
from drivers.samples import DriverError, Emit, GapCause, Lead, StreamInfo
from drivers.serial_driver import chosen_leads, columns

START: Final = b"b"
STOP: Final = b"s"
ACCELEROMETER_OFF: Final = b"N"
"""Leaves 19 bits a sample instead of 18."""
FIRMWARES: Final = (2, 3)


class Ganglion(BleDevice):
    """Driver of the Ganglion, by its name or address.

    ``leads`` names the ECG leads, by default one, II, on channel 1; ``channels`` their channels
    (1 to 4) where these are not 1, 2, 3 …; ``firmware`` 2 or 3 where the board doesn't tell.
    """

    device = "OpenBCI Ganglion"

    def __init__(
        self,
        address: str,
        *,
        leads: Sequence[str] = ("II",),
        channels: Sequence[int] | None = None,
        firmware: int | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if firmware is not None and firmware not in FIRMWARES:
            raise DriverError(
                f"firmware {firmware} is unknown", address, "choose 2 or 3", transient=False
            )
        super().__init__(address, now_ns=now_ns)
        names = tuple(leads)
        self._columns = columns(
            chosen_leads(
                address,
                names,
                tuple(channels) if channels else None,
                available=ganglion.CHANNELS,
            )
        )
        self._leads = tuple(
            Lead(name, ganglion.MICROVOLTS_PER_COUNT, full_scale_counts=ganglion.FULL_SCALE)
            for name in names
        )
        self._chosen_firmware = firmware
        self._decoder = ganglion.GanglionDecoder(firmware or FIRMWARES[-1])
        self._axis: StreamAxis | None = None
        self._counted: CountedStream | None = None

    async def set_up(self, ble: BleConnection, emit: Emit) -> None:
        """Notifications first, then quiet, then the start; the board was reset by connecting."""
        if not ble.has(ganglion.COMMAND):
            raise DriverError(
                "has no Ganglion service",
                self.address,
                "choose the driver of this device",
                transient=False,
            )
        generation = self._chosen_firmware or await self._generation(ble)
        self._decoder = ganglion.GanglionDecoder(generation)
        if self._axis is None:
            self._axis = StreamAxis(emit, StreamClock(ganglion.RATE_HZ))
            emit(
                StreamInfo(
                    self.device,
                    self.address,
                    ganglion.RATE_HZ,
                    self._leads,
                    firmware=self.firmware or str(generation),
                )
            )
            turn = self._decoder.turn
            self._counted = CountedStream(self._axis, ganglion.RATE_HZ, modulus=turn)
        elif self._counted is not None:
            self._counted.restart(GapCause.LINK_LOST)
        await self.subscribe(ble, ganglion.DATA, self._take)
        await ble.write(ganglion.COMMAND, ACCELEROMETER_OFF)
        await ble.write(ganglion.COMMAND, START)

    async def stop(self, ble: BleConnection) -> None:
        """Stop streaming, which empties the battery."""
        await ble.write(ganglion.COMMAND, STOP)

    def lost_samples(self) -> int:
        """Samples missing so far."""
        return self._axis.lost_samples if self._axis is not None else 0

    def lag_ms(self) -> float:
        """How late the newest packet came."""
        started = self._axis is not None and self._axis.clock.started
        return self._axis.clock.lag_ms if self._axis is not None and started else 0.0

    async def _generation(self, ble: BleConnection) -> int:
        """2 or 3, by the software revision; boards of before firmware 3 may tell none."""
        if not ble.has(ganglion.SOFTWARE):
            return FIRMWARES[0]
        self.firmware = (await ble.read(ganglion.SOFTWARE)).decode("ascii", "replace").strip("\0 ")
        digits = self.firmware.lstrip("vV")[:1]
        return FIRMWARES[-1] if digits.isdigit() and int(digits) >= FIRMWARES[-1] else FIRMWARES[0]

    def _take(self, data: bytes, host_ns: int) -> bool:
        """One notification; whether samples came."""
        before = self._decoder.damaged
        item = self._decoder.feed(data)
        self.damaged += self._decoder.damaged - before
        if not isinstance(item, ganglion.GanglionSamples) or self._counted is None:
            return False
        self._counted.arrive(item.numbers, item.counts[:, self._columns], host_ns)
        return True
