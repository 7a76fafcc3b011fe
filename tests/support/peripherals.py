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
