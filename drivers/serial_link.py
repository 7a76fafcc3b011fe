"""The owner of one serial port: open it, read all of it, notice at once when it is gone.

pyserial opens and configures; reading waits on the event loop itself, so no thread is needed and
pseudo-terminals work like USB ports.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import serial

from drivers import raw_tap
from drivers.raw_recording import EntryType
from drivers.samples import DriverError

BY_ID: Final = Path("/dev/serial/by-id")
"""udev keeps a link here per USB serial device, named by maker and serial number."""

GATHER_S = 0.05
"""What comes within this time is one read: twenty a second cost little, and 50 ms are a tenth of
what a beat may take to the screen."""

READ_BYTES = 65536
"""More than a kernel buffers for a tty, so one call takes all there is."""

WRITE_TIMEOUT_S = 1.0
"""A command is a few bytes; a port that does not take them in a second takes none."""

FLUSH_POLL_S = 0.01


class SerialAddress:
    """Where a serial device is attached, followed through unplugging by its by-id link.

    A device plugged in again may become ``/dev/ttyUSB1``; its name under ``by-id`` stays.
    """

    def __init__(self, address: str, *, by_id: Path = BY_ID) -> None:
        self.address = address
        self._by_id = by_id
        self._stable: Path | None = None

    @property
    def path(self) -> str:
        """The path to open just now."""
        if self._stable is not None and self._stable.exists():
            return str(self._stable)
        return self.address

    def remember(self) -> None:
        """Note the by-id name of the device that is attached here now.

        Not of one named by its USB socket: boards that share a by-id name would be mixed up.
        """
        if Path(self.address).is_relative_to(self._by_id.parent):
            return
        target = os.path.realpath(self.address)
        links = self._by_id.iterdir() if self._by_id.is_dir() else ()
        for link in links:
            if os.path.realpath(link) == target:
                self._stable = link

    def absent(self) -> DriverError | None:
        """Why there is nothing to open, or None."""
        if raw_tap.PLAYER.get() is not None:
            return None
        if os.path.exists(self.path):  # noqa: PTH110 - Path.exists raises on a forbidden folder
            return None
        return DriverError(
            "no such port",
            self.address,
            f"plug the device in, or choose one of {self._by_id}",
        )


class SerialPort:
    """An open port. One task reads it; :meth:`close` it in a ``finally``.

    Every fault is a :class:`DriverError` in one line.
    """

    def __init__(
        self,
        address: SerialAddress,
        baud: int,
        *,
        dtr: bool = True,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Open exclusively, raw, 8N1. ``dtr=False`` keeps an Arduino from being reset (mostly)."""
        self.address = address.address
        self.baud = baud
        self.bytes_read = 0
        self.arrived_ns = now_ns()
        """Host monotonic time of the last read that brought bytes."""
        self._now_ns = now_ns
        self._serial = _open(address.path, self.address, baud, dtr)
        self._fd = self._serial.fileno()
        address.remember()
        raw_tap.note(EntryType.OPENED, self.arrived_ns)

    async def read(self, timeout_s: float, *, gather_s: float = GATHER_S) -> bytes:
        """All bytes of the next ``gather_s``; ``b""`` when none come within ``timeout_s``.

        While a device streams this is one timer and one call a read, without the selector.
        Raises :class:`DriverError` when the device is gone.
        """
        await asyncio.sleep(gather_s)
        data = self._take()
        if data:
            return data
        if await self._readable(timeout_s):
            await asyncio.sleep(gather_s)
        # Even after a time-out: a host that stalled so long may have bytes waiting.
        return self._take()

    async def write(self, data: bytes) -> None:
        """Send ``data``, waiting for room where there is none."""
        left = data
        raw_tap.note(EntryType.SENT, self._now_ns(), data)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                while left:
                    try:
                        left = left[os.write(self._fd, left) :]
                    except BlockingIOError:
                        await self._writable()
        except TimeoutError:
            raise DriverError(
                f"takes no commands ({len(left)} bytes waiting)", self.address, "unplug it once"
            ) from None
        except OSError as fault:
            raise self._gone(fault) from fault

    async def flush(self, timeout_s: float) -> None:
        """Give what was written time to leave the host, at most ``timeout_s``."""
        with contextlib.suppress(OSError):
            for _ in range(round(timeout_s / FLUSH_POLL_S)):
                if not self._serial.out_waiting:
                    return
                await asyncio.sleep(FLUSH_POLL_S)

    async def drain(self, quiet_s: float, timeout_s: float) -> bytes:
        """Read until nothing has come for ``quiet_s``, at most ``timeout_s``."""
        return await self._read_while(lambda data: True, quiet_s, timeout_s)

    async def read_until(self, end: bytes, timeout_s: float) -> bytes:
        """Read until ``end`` has come, at most ``timeout_s``; gives all that came either way."""
        return await self._read_while(lambda data: end not in data, timeout_s, timeout_s)

    def close(self) -> None:
        """Let the port go; what a stuck device did not take is dropped, so this cannot block."""
        raw_tap.note(EntryType.CLOSED, self._now_ns())
        with contextlib.suppress(OSError, termios.error):
            if self._serial.out_waiting:
                self._serial.reset_output_buffer()
        with contextlib.suppress(OSError):
            self._serial.close()

    async def _read_while(
        self, wanted: Callable[[bytes], bool], quiet_s: float, timeout_s: float
    ) -> bytes:
        deadline_ns = self._now_ns() + round(timeout_s * 1e9)
        data = b""
        while wanted(data):
            left_s = (deadline_ns - self._now_ns()) / 1e9
            more = await self.read(min(quiet_s, left_s), gather_s=0.0) if left_s > 0 else b""
            if not more:
                break
            data += more
        return data

    def _take(self) -> bytes:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as fault:
            raise self._gone(fault) from fault
        if not data:
            # Readable, yet nothing to read: a USB device that was pulled out looks like this.
            raise self._gone(None)
        self.arrived_ns = self._now_ns()
        self.bytes_read += len(data)
        raw_tap.note(EntryType.RECEIVED, self.arrived_ns, data)
        return data

    async def _readable(self, timeout_s: float) -> bool:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._fd, ready.set)
        try:
            async with asyncio.timeout(timeout_s):
                await ready.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._fd)
        return True

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_writer(self._fd, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._fd)

    def _gone(self, fault: OSError | None) -> DriverError:
        detail = f" ({fault.strerror})" if fault is not None and fault.strerror else ""
        return DriverError(
            f"the device is gone{detail}", self.address, "plug it in again; it will be found"
        )


def open_port(
    address: SerialAddress, baud: int, *, dtr: bool, now_ns: Callable[[], int]
) -> SerialPort:
    """The port, or the next session of the recording that is being played."""
    player = raw_tap.PLAYER.get()
    if player is not None:
        return player.serial_port(address.address, baud)
    return SerialPort(address, baud, dtr=dtr, now_ns=now_ns)


def _open(path: str, address: str, baud: int, dtr: bool) -> serial.Serial:
    port = serial.Serial(port=None, baudrate=baud, timeout=0, exclusive=True)
    port.port = path
    port.dtr = dtr
    try:
        port.open()
        _report_no_data_as_such(port.fileno())
    except (OSError, termios.error, ValueError) as fault:
        port.close()
        raise _open_fault(fault, address, baud) from fault
    return port


def _report_no_data_as_such(fd: int) -> None:
    """Make an empty read mean "gone": with pyserial's VMIN = 0 it means "no data" as well."""
    attributes = termios.tcgetattr(fd)
    attributes[6][termios.VMIN] = 1
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def _open_fault(fault: Exception, address: str, baud: int) -> DriverError:
    number = getattr(fault, "errno", None)
    match number:
        case errno.ENOENT | errno.ENXIO | errno.ENODEV:
            return DriverError("no such port", address, f"plug the device in, or see {BY_ID}")
        case errno.EACCES | errno.EPERM:
            return DriverError(
                "permission denied",
                address,
                "add this user to the group dialout (sudo usermod -aG dialout USER), log in anew",
                transient=False,
            )
        case errno.EBUSY | errno.EAGAIN:
            return DriverError(
                "in use by another program",
                address,
                "close that program (fuser -v names it); ModemManager must leave it alone",
            )
    if isinstance(fault, ValueError):
        return DriverError(
            f"cannot be set to {baud} baud", address, "correct the baud rate", transient=False
        )
    return DriverError(
        f"cannot be opened as a serial port ({fault})", address, "is it the right device?"
    )
