"""Sensors for the BlueZ stand-in, each with the protocol of its emulated side."""

import asyncio

from support.bluez import BASE, Characteristic

from drivers.decoders import ganglion
from drivers.decoders import movesense as gsp
from drivers.emulated.ganglion import EmulatedGanglion
from drivers.emulated.movesense import SERIAL_NUMBER, EmulatedMovesense


class Movesense:
    """A Movesense sensor."""

    address = "0C:8C:DC:00:00:01"
    name = f"Movesense {SERIAL_NUMBER}"
    advertised = (BASE.format("180d"), BASE.format("fdf3"))

    def __init__(self) -> None:
        self.sensor = EmulatedMovesense()
        self.data = Characteristic(gsp.DATA, ["notify"])
        self.command = Characteristic(gsp.COMMAND, ["write"], on_write=self._written)
        self.services = ((gsp.SERVICE, (self.command, self.data)),)
        self.answers = True
        self.on_reboot = lambda: None

    def unlinked(self) -> None:
        """No link: no subscription is left."""
        self.data.notifying = False
        self.sensor.unlinked()

    def send(self, notifications: list[bytes]) -> None:
        """Notify, each in its turn."""
        for notification in notifications:
            self.data.send(notification)

    def _written(self, data: bytes) -> None:
        reboots = self.sensor.reboots
        answers = self.sensor.receive(data)
        loop = asyncio.get_running_loop()
        if self.answers:
            loop.call_soon(self.send, answers)
        if self.sensor.reboots > reboots:
            loop.call_soon(self.on_reboot)


class Ganglion:
    """An OpenBCI Ganglion."""

    address = "E2:00:00:00:0A:0B"
    name = "Ganglion-0a0b"
    advertised = (BASE.format("fe84"),)

    def __init__(self, firmware: int = 3) -> None:
        self.board = EmulatedGanglion(firmware)
        self.data = Characteristic(ganglion.DATA, ["notify"])
        self.command = Characteristic(ganglion.COMMAND, ["write"], on_write=self._written)
        revision = self.board.revision.encode()
        self.services = (
            (BASE.format("fe84"), (self.data, self.command)),
            (BASE.format("180a"), (Characteristic(ganglion.SOFTWARE, ["read"], revision),)),
        )

    def unlinked(self) -> None:
        """No link: the next connection resets the board."""
        self.data.notifying = False
        self.board.reset()

    def _written(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        for answer in self.board.receive(data):
            loop.call_soon(self.data.send, answer)


class HeartRateStrap:
    """A strap with rate and RR, battery and device information, and nothing else."""

    address = "C8:00:00:00:00:09"
    name = "Polar H9 0000ABCD"
    advertised = (BASE.format("180d"),)

    def __init__(self) -> None:
        self.rate = Characteristic(BASE.format("2a37"), ["notify"])
        self.battery = Characteristic(BASE.format("2a19"), ["read", "notify"], bytes([64]))
        told = {"2a29": b"Polar Electro Oy", "2a24": b"H9", "2a25": b"0000ABCD", "2a26": b"3.1.1"}
        information = (Characteristic(BASE.format(k), ["read"], v) for k, v in told.items())
        self.services = (
            (BASE.format("180d"), (self.rate,)),
            (BASE.format("180f"), (self.battery,)),
            (BASE.format("180a"), tuple(information)),
        )

    def unlinked(self) -> None:
        """No link: nobody is subscribed any more."""
        self.rate.notifying = self.battery.notifying = False

    def beat(self, rate_bpm: int, rr_ms: float) -> bool:
        """A notification; whether anybody was subscribed."""
        self.rate.send(bytes((0x16, rate_bpm)) + round(rr_ms * 1.024).to_bytes(2, "little"))
        return self.rate.notifying
