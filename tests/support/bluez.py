"""A BlueZ that isn't there: org.bluez on a private dbus-daemon, with one peripheral in reach.

bleak's real BlueZ backend talks to it when ``DBUS_SYSTEM_BUS_ADDRESS`` names its bus. Without
another peripheral it is a Polar H10 that speaks the real PMD protocol; its ECG packets are given
by the test (real ones, or made up).
"""

import asyncio
import contextlib
import struct
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from dbus_fast import DBusError
from dbus_fast.aio import MessageBus
from dbus_fast.constants import PropertyAccess
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

ADAPTER = "/org/bluez/hci0"
ADDRESS = "A0:9E:1A:00:00:01"
NAME = "Polar H10 1234ABCD"
BASE = "0000{}-0000-1000-8000-00805f9b34fb"
PMD = "fb005c8{}-02e7-f387-1cad-8acd2d8df0c8"

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/>
<allow own="*"/><allow eavesdrop="true"/></policy></busconfig>
"""


class PrivateBus:
    """A dbus-daemon of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "bus"
        config = folder / "bus.conf"
        config.write_text(_CONFIG.format(path=self._socket))
        self._daemon = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"]
        )
        self.address = f"unix:path={self._socket}"

    async def up(self) -> None:
        """Wait until it listens, which is a moment after its socket has a name."""
        for _ in range(500):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_unix_connection(self._socket)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the private dbus-daemon did not start")

    def stop(self) -> None:
        """End it."""
        self._daemon.terminate()
        self._daemon.wait(5)


class Adapter(ServiceInterface):
    """org.bluez.Adapter1."""

    def __init__(self, bluez: "Bluez") -> None:
        super().__init__("org.bluez.Adapter1")
        self._bluez = bluez

    @dbus_method()
    def StartDiscovery(self) -> None:
        self._bluez.advertise()

    @dbus_method()
    def StopDiscovery(self) -> None:
        pass

    @dbus_method()
    def SetDiscoveryFilter(self, properties: "a{sv}") -> None:  # noqa: F722
        pass

    @dbus_method()
    def RemoveDevice(self, device: "o") -> None:  # noqa: F821
        pass

    @dbus_property(access=PropertyAccess.READ)
    def Address(self) -> "s":  # noqa: F821
        return "00:00:00:00:00:01"

    @dbus_property(access=PropertyAccess.READ)
    def Powered(self) -> "b":  # noqa: F821
        return True

    @dbus_property(access=PropertyAccess.READ)
    def Discovering(self) -> "b":  # noqa: F821
        return True

    @dbus_property(access=PropertyAccess.READ)
    def Roles(self) -> "as":  # noqa: F722
        return ["central"]


class Device(ServiceInterface):
    """org.bluez.Device1."""

    def __init__(self, bluez: "Bluez") -> None:
        super().__init__("org.bluez.Device1")
        self._bluez = bluez
        self.is_connected = False
        self.is_connecting = False
        """Another program's attempt that never ended blocks every other one."""
        self.disconnects = 0

    @dbus_method()
    def Connect(self) -> None:
        if self.is_connecting:
            raise DBusError("org.bluez.Error.InProgress", "Operation already in progress")
        self._bluez.connects += 1
        if self._bluez.refusals > 0:
            self._bluez.refusals -= 1
            raise DBusError("org.bluez.Error.Failed", "Host is down")
        self.is_connected = True
        self.emit_properties_changed({"Connected": True, "ServicesResolved": True})

    @dbus_method()
    def Disconnect(self) -> None:
        self.disconnects += 1
        self.is_connecting = False
        self.cut()

    def cut(self) -> None:
        """The link is gone."""
        self._bluez.peripheral.unlinked()
        self.is_connected = False
        self.emit_properties_changed({"ServicesResolved": False, "Connected": False})

    @dbus_property(access=PropertyAccess.READ)
    def Address(self) -> "s":  # noqa: F821
        return self._bluez.peripheral.address

    @dbus_property(access=PropertyAccess.READ)
    def AddressType(self) -> "s":  # noqa: F821
        return "random"

    @dbus_property(access=PropertyAccess.READ)
    def Name(self) -> "s":  # noqa: F821
        return self._bluez.peripheral.name

    @dbus_property(access=PropertyAccess.READ)
    def Alias(self) -> "s":  # noqa: F821
        return self._bluez.peripheral.name

    @dbus_property(access=PropertyAccess.READ)
    def Adapter(self) -> "o":  # noqa: F821
        return ADAPTER

    @dbus_property(access=PropertyAccess.READ)
    def Connected(self) -> "b":  # noqa: F821
        return self.is_connected

    @dbus_property(access=PropertyAccess.READ)
    def ServicesResolved(self) -> "b":  # noqa: F821
        return self.is_connected

    @dbus_property(access=PropertyAccess.READ)
    def Paired(self) -> "b":  # noqa: F821
        return False

    @dbus_property(access=PropertyAccess.READ)
    def Trusted(self) -> "b":  # noqa: F821
        return False

    @dbus_property(access=PropertyAccess.READ)
    def Blocked(self) -> "b":  # noqa: F821
        return False

    @dbus_property(access=PropertyAccess.READ)
    def LegacyPairing(self) -> "b":  # noqa: F821
        return False

    @dbus_property(access=PropertyAccess.READ)
    def RSSI(self) -> "n":  # noqa: F821
        return -60

    @dbus_property(access=PropertyAccess.READ)
    def UUIDs(self) -> "as":  # noqa: F722
        return list(self._bluez.peripheral.advertised)


class Service(ServiceInterface):
    """org.bluez.GattService1."""

    def __init__(self, uuid: str, device: str) -> None:
        super().__init__("org.bluez.GattService1")
        self._uuid, self._device = uuid, device

    @dbus_property(access=PropertyAccess.READ)
    def UUID(self) -> "s":  # noqa: F821
        return self._uuid

    @dbus_property(access=PropertyAccess.READ)
    def Device(self) -> "o":  # noqa: F821
        return self._device

    @dbus_property(access=PropertyAccess.READ)
    def Primary(self) -> "b":  # noqa: F821
        return True

    @dbus_property(access=PropertyAccess.READ)
    def Includes(self) -> "ao":  # noqa: F821
        return []


class Characteristic(ServiceInterface):
    """org.bluez.GattCharacteristic1."""

    def __init__(
        self,
        uuid: str,
        flags: list[str],
        value: bytes = b"",
        on_write: Callable[[bytes], None] | None = None,
    ) -> None:
        super().__init__("org.bluez.GattCharacteristic1")
        self._uuid, self._flags = uuid, flags
        self.service = ""
        """Path, known once it is exported."""
        self._value, self._on_write = value, on_write
        self.notifying = False
        self.greets = b""
        """Sent the moment that somebody subscribes."""

    def send(self, data: bytes) -> None:
        """Notify or indicate, if somebody listens."""
        if self.notifying:
            self.emit_properties_changed({"Value": data})

    @dbus_method()
    def ReadValue(self, options: "a{sv}") -> "ay":  # noqa: F722, F821
        return self._value

    @dbus_method()
    def WriteValue(self, value: "ay", options: "a{sv}") -> None:  # noqa: F722, F821
        if self._on_write is not None:
            self._on_write(bytes(value))

    @dbus_method()
    def StartNotify(self) -> None:
        self.notifying = True
        self.emit_properties_changed({"Notifying": True})
        if self.greets:
            self.send(self.greets)

    @dbus_method()
    def StopNotify(self) -> None:
        self.notifying = False

    @dbus_property(access=PropertyAccess.READ)
    def UUID(self) -> "s":  # noqa: F821
        return self._uuid

    @dbus_property(access=PropertyAccess.READ)
    def Service(self) -> "o":  # noqa: F821
        return self.service

    @dbus_property(access=PropertyAccess.READ)
    def Value(self) -> "ay":  # noqa: F821
        return self._value

    @dbus_property(access=PropertyAccess.READ)
    def Notifying(self) -> "b":  # noqa: F821
        return self.notifying

    @dbus_property(access=PropertyAccess.READ)
    def Flags(self) -> "as":  # noqa: F722
        return self._flags

    @dbus_property(access=PropertyAccess.READ)
    def MTU(self) -> "q":  # noqa: F821
        return 232


class Peripheral(Protocol):
    """A sensor in reach."""

    address: str
    name: str
    advertised: tuple[str, ...]
    """UUIDs of its services."""
    services: tuple[tuple[str, tuple[Characteristic, ...]], ...]

    def unlinked(self) -> None:
        """No link: nobody is subscribed any more."""


class Strap:
    """What the H10 does with commands."""

    address, name = ADDRESS, NAME
    advertised = (BASE.format("180d"), BASE.format("180f"), PMD.format(0))

    def __init__(self) -> None:
        self.streaming = False
        self.forgets_stop = False
        """The stream of a lost link goes on: the next start answers "already"."""
        self.refuses = ""
        """The answer to a start, where it is no."""
        self.commands: list[bytes] = []
        self.control = Characteristic(
            PMD.format(1),
            ["read", "write", "indicate"],
            bytes.fromhex("0f05" + "00" * 15),
            self._command,
        )
        self.data = Characteristic(PMD.format(2), ["notify"])
        self.rate = Characteristic(BASE.format("2a37"), ["notify"])
        battery = Characteristic(BASE.format("2a19"), ["read"], bytes([85]))
        self.services = (
            (PMD.format(0), (self.control, self.data)),
            (BASE.format("180d"), (self.rate,)),
            (BASE.format("180f"), (battery,)),
        )

    def unlinked(self) -> None:
        """No link: nobody is subscribed any more."""
        for characteristic in (self.control, self.data, self.rate):
            characteristic.notifying = False
        self.streaming = self.streaming and self.forgets_stop

    def _command(self, data: bytes) -> None:
        self.commands.append(data)
        match data[0]:
            case 1:
                answer = "f0010000000001820001010e00"
            case 2 if self.refuses:
                answer = self.refuses
            case 2 if self.streaming:
                answer = "f0020006"
            case 2 if data == bytes.fromhex("02000001820001010e00"):
                self.streaming, answer = True, "f00200000000"
            case 2:
                answer = "f002000500"
            case 3:
                self.streaming, answer = False, "f003000000"
            case _:
                answer = f"f0{data[0]:02x}0001"
        asyncio.get_running_loop().call_soon(self.control.send, bytes.fromhex(answer))


class Bluez:
    """The whole stand-in; ``await start(address)`` exports everything and takes org.bluez."""

    def __init__(self, peripheral: Peripheral | None = None) -> None:
        self.strap = Strap()
        """The H10 that is in reach where nothing else is."""
        self.peripheral: Peripheral = peripheral or self.strap
        self.device = Device(self)
        self.refusals = 0
        self.connects = 0
        self.in_reach = True
        self._bus: MessageBus | None = None

    async def start(self, address: str) -> None:
        """Appear on the bus."""
        bus = await MessageBus(bus_address=address).connect()
        self._bus = bus
        bus.export(ADAPTER, Adapter(self))
        device = f"{ADAPTER}/dev_{self.peripheral.address.replace(':', '_')}"
        bus.export(device, self.device)
        for number, (uuid, characteristics) in enumerate(self.peripheral.services, 1):
            service = f"{device}/service00{number}0"
            bus.export(service, Service(uuid, device))
            for place, characteristic in enumerate(characteristics, 1):
                characteristic.service = service
                bus.export(f"{service}/char00{number}{place}", characteristic)
        await bus.request_name("org.bluez")

    def advertise(self) -> None:
        """Answer a discovery: the strap is heard again and again while in reach."""
        if self.in_reach:
            loop = asyncio.get_running_loop()
            for delay_s in (0.05, 0.3, 1.0, 2.0, 4.0):
                loop.call_later(delay_s, self._heard)

    def _heard(self) -> None:
        if self.in_reach and not self.device.is_connected:
            self.device.emit_properties_changed({"RSSI": -60})

    def cut(self) -> None:
        """Lose the link."""
        self.device.cut()

    def stop(self) -> None:
        """Leave the bus."""
        if self._bus is not None:
            self._bus.disconnect()


def ecg_packet(last_ns: int, microvolts: Iterable[int]) -> bytes:
    """A PMD ECG notification."""
    body = b"".join(value.to_bytes(3, "little", signed=True) for value in microvolts)
    return b"\0" + struct.pack("<Q", last_ns) + b"\0" + body
