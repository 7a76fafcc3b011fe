"""What is plugged in, advertising, or announcing itself, and which driver fits."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drivers import catalogue
from drivers.samples import DriverError
from drivers.serial_link import BY_ID

if TYPE_CHECKING:
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

BY_PATH: Final = Path("/dev/serial/by-path")
"""Named after the socket a device is plugged into."""
RFCOMM: Final = "/dev/rfcomm"
RFCOMM_KINDS: Final = ("bitalino", "shimmer3")

HEART_RATE_SERVICE: Final = "0000180d-0000-1000-8000-00805f9b34fb"

USB: Final = (
    (0x0403, 0x6015, "FTDI FT231X", ("cyton",)),
    (0x0403, None, "FTDI", ("bitalino", "protocentral", "intellivue")),
    (0x2341, None, "Arduino", ("olimex", "protocentral", "text_lines")),
    (0x2A03, None, "Arduino", ("olimex", "protocentral", "text_lines")),
    (0x1A86, None, "CH340, on Arduino clones", ("olimex", "protocentral", "text_lines")),
    (0x10C4, None, "CP210x, on ESP32 boards", ("protocentral", "text_lines")),
    (0x1209, 0xFF90, "HealthyPi 5", ("protocentral",)),
    (0x2E8A, None, "Raspberry Pi RP2040", ("protocentral", "text_lines")),
)
"""(vendor, product or any, what it is, kinds it may be), the most certain first."""

BLE_NAMES: Final = (
    ("Polar H10", "polar_h10"),
    ("Movesense", "movesense"),
    ("Ganglion", "ganglion"),
    ("Shimmer3", "shimmer3"),
)
"""How a name begins and which kind that is."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing in reach."""

    transport: str
    address: str
    """For ``address =`` in the configuration."""
    what: str
    """What it says of itself."""
    kinds: tuple[str, ...]
    """Drivers that may fit, the likeliest first; empty where nothing hints at one."""


def serial_ports(by_id: Path = BY_ID, by_path: Path = BY_PATH) -> list[Found]:
    """Serial ports by their stable names; those without one by their device path.

    Two boards of a kind without serial numbers have one name: the socket then tells them apart.
    """
    from serial.tools import list_ports

    links = {os.path.realpath(link): str(link) for link in (*_links(by_path), *_links(by_id))}
    found = []
    for port in sorted(list_ports.comports(), key=lambda port: port.device):
        address = links.get(os.path.realpath(port.device), port.device)
        if port.device.startswith(RFCOMM):
            kinds = _known(RFCOMM_KINDS)
            found.append(Found("serial", port.device, "Bluetooth serial port (RFCOMM)", kinds))
            continue
        if port.vid is None:
            if address != port.device:
                found.append(Found("serial", address, "serial port", ()))
            continue
        what, kinds = usb_hint(port.vid, port.pid)
        told = " ".join(filter(None, (port.manufacturer, port.product))) or what
        ids = f"{port.vid:04x}:{port.pid or 0:04x}"
        serial = f", serial number {port.serial_number}" if port.serial_number else ""
        found.append(Found("serial", address, f"{told} (USB {ids}{serial})", kinds))
    return found


def _links(by_id: Path) -> list[Path]:
    return sorted(by_id.iterdir()) if by_id.is_dir() else []


def usb_hint(vendor: int, product: int | None) -> tuple[str, tuple[str, ...]]:
    """What a USB id is, and the known kinds it may be."""
    for known_vendor, known_product, what, kinds in USB:
        if vendor == known_vendor and known_product in (None, product):
            return what, _known(kinds)
    return "USB serial", ()


def ble_hint(name: str, services: list[str]) -> tuple[str, ...]:
    """Kinds that an advertisement hints at."""
    kinds = [kind for prefix, kind in BLE_NAMES if name.startswith(prefix)]
    if HEART_RATE_SERVICE in (service.lower() for service in services):
        kinds.append("heart_rate")
    return _known(tuple(kinds))


def _known(kinds: tuple[str, ...]) -> tuple[str, ...]:
    names = catalogue.names()
    return tuple(kind for kind in kinds if kind in names)


async def bluetooth(seconds: float, *, everything: bool = False) -> list[Found]:
    """Peripherals that advertise within ``seconds`` and that a driver may fit, nearest first.

    ``everything`` gives those with a name that no driver fits, too. Raises :class:`DriverError`
    where there is no Bluetooth.
    """
    from bleak import BleakScanner
    from bleak.exc import BleakError

    try:
        heard = await BleakScanner.discover(timeout=seconds, return_adv=True)
    except (BleakError, OSError, EOFError) as fault:
        said = " ".join(str(fault).split())[:120] or type(fault).__name__
        raise DriverError(
            f"not available ({said})",
            "Bluetooth",
            "is an adapter plugged in, switched on, and bluetooth.service running?",
        ) from fault
    near = sorted(heard.values(), key=lambda pair: -pair[1].rssi)
    found = [_peripheral(device, advertised) for device, advertised in near]
    return [one for one in found if one.kinds or (everything and one.what[0] != "(")]


def _peripheral(device: BLEDevice, advertised: AdvertisementData) -> Found:
    name = advertised.local_name or device.name or ""
    kinds = ble_hint(name, advertised.service_uuids)
    what = f"{name} ({advertised.rssi} dBm)" if name else f"({advertised.rssi} dBm)"
    return Found("Bluetooth LE", device.address, what, kinds)


async def monitors(seconds: float, bind: str = "0.0.0.0") -> list[Found]:  # noqa: S104
    """The first IntelliVue that announces itself within ``seconds`` (each does once a minute)."""
    from drivers.intellivue_link import announced_monitor

    try:
        host, told = await announced_monitor("network", bind, seconds)
    except DriverError:
        return []
    label = f", bed label {told.bed}" if told.bed else ""
    return [Found("UDP", f"{host}:{told.port}", f"Philips IntelliVue{label}", ("intellivue",))]


@dataclass(frozen=True, slots=True)
class Scan:
    """All that was found, and what could not be searched."""

    found: tuple[Found, ...]
    faults: tuple[str, ...]


async def everything(seconds: float, *, unknown: bool = False) -> Scan:
    """Serial ports, Bluetooth and the network, at once."""
    around = asyncio.create_task(bluetooth(seconds, everything=unknown))
    network = asyncio.create_task(monitors(seconds))
    found, faults = serial_ports(), []
    try:
        found += await around
    except DriverError as fault:
        faults.append(str(fault))
    return Scan((*found, *await network), tuple(faults))
