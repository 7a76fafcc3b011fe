"""Any strap or watch with the Bluetooth Heart Rate Service: rate and RR intervals, no wave."""

from __future__ import annotations

from drivers.ble_driver import BleDevice
from drivers.ble_link import BleConnection
from drivers.decoders.heart_rate import MEASUREMENT
from drivers.samples import DriverError, Emit, StreamInfo


class HeartRateStrap(BleDevice):
    """Driver of a heart rate strap, by its Bluetooth address or (the end of) its name."""

    device = "Heart rate strap"
    counts_heart_rate = True
    _told = False

    async def set_up(self, ble: BleConnection, emit: Emit) -> None:
        """Subscribe; the strap then sends once a second."""
        if not ble.has(MEASUREMENT):
            raise DriverError(
                "has no Heart Rate Service",
                self.address,
                "choose the driver of this device",
                transient=False,
            )
        if not self._told:
            self._told = True
            emit(
                StreamInfo(
                    self.model or self.device,
                    self.address,
                    0.0,
                    (),
                    serial_number=self.serial_number,
                    firmware=self.firmware,
                )
            )
        await self.heart_rate(ble, emit)
