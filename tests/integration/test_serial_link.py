"""The owner of a serial port: what it reads, how it notices a loss, what it says of a fault."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import time
from pathlib import Path

import pytest
import serial
from serial_bench import terminal

from drivers.samples import DriverError
from drivers.serial_link import SerialAddress, SerialPort


def opened(path: str, by_id: Path = Path("/nowhere")) -> SerialPort:
    return SerialPort(SerialAddress(path, by_id=by_id), 115200)


async def test_all_bytes_arrive_in_order_with_their_time() -> None:
    sent = bytes(range(256)) * 12
    with terminal() as device:
        port = opened(device.path)
        device.send(sent)
        received = b""
        while len(received) < len(sent):
            received += await port.read(2.0)
        assert received == sent
        assert port.bytes_read == len(sent)
        assert port.arrived_ns > 0
        assert await port.read(0.05) == b""
        port.close()


async def test_writing_and_reading_until_an_end() -> None:
    with terminal() as device:
        port = opened(device.path)
        await port.write(b"v")
        assert device.received() == b"v"
        device.send(b"OpenBCI V3\n")
        asyncio.get_running_loop().call_later(0.05, device.send, b"$$$")
        assert await port.read_until(b"$$$", 2.0) == b"OpenBCI V3\n$$$"
        assert await port.read_until(b"$$$", 0.1) == b""
        port.close()


async def test_a_device_that_is_pulled_out_is_noticed_at_once() -> None:
    with terminal() as device:
        port = opened(device.path)
        asyncio.get_running_loop().call_later(0.05, device.pull_out)
        with pytest.raises(DriverError, match="the device is gone"):
            await port.read(10.0)
        with pytest.raises(DriverError, match="the device is gone"):
            await port.write(b"b")
        port.close()


async def test_a_host_that_stalls_past_the_time_out_still_gets_what_came() -> None:
    with terminal() as device:
        port = opened(device.path)
        reading = asyncio.create_task(port.read(0.05, gather_s=0.0))
        await asyncio.sleep(0.01)
        device.send(b"late")
        time.sleep(0.2)
        assert await reading == b"late"
        port.close()


async def test_a_port_that_takes_nothing_is_a_fault_not_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("drivers.serial_link.WRITE_TIMEOUT_S", 0.2)
    with terminal() as device:
        port = opened(device.path)
        with pytest.raises(DriverError, match="takes no commands"):
            await port.write(bytes(1_000_000))
        port.close()


def fault(path: str) -> str:
    with pytest.raises(DriverError) as refused:
        opened(path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_missing_port(tmp_path: Path) -> None:
    assert ": no such port; plug the device in" in fault(str(tmp_path / "ttyUSB0"))


def test_a_busy_port() -> None:
    with terminal() as device:
        other = os.open(device.path, os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(other, fcntl.LOCK_EX)
        assert fault(device.path).startswith(f"{device.path}: in use by another program; close")
        os.close(other)
        opened(device.path).close()


def test_what_is_open_here_is_refused_to_others() -> None:
    with terminal() as device:
        port = opened(device.path)
        assert "in use" in fault(device.path)
        port.close()


def test_a_port_without_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: serial.Serial) -> None:
        raise serial.SerialException(errno.EACCES, "could not open port: Permission denied")

    monkeypatch.setattr(serial.Serial, "open", refuse)
    assert "permission denied; add this user to the group dialout" in fault("/dev/ttyUSB0")


def test_a_file_that_is_no_port(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no port")
    assert "cannot be opened as a serial port" in fault(str(tmp_path / "notes.txt"))


def test_a_replugged_device_is_followed_by_its_id(tmp_path: Path) -> None:
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    link = by_id / "usb-FTDI_FT231X_DM00Q0QN-if00-port0"
    with terminal() as first, terminal() as second:
        link.symlink_to(first.path)
        place = SerialAddress(first.path, by_id=by_id)
        assert place.path == first.path
        SerialPort(place, 115200).close()
        assert place.path == str(link)
        link.unlink()
        assert place.path == first.path  # not under its name: perhaps still where it was
        link.symlink_to(second.path)
        first.pull_out()
        assert place.absent() is None
        SerialPort(place, 115200).close()
        assert place.path == str(link)


def test_a_board_named_by_its_socket_is_never_another_one(tmp_path: Path) -> None:
    by_id, by_path = tmp_path / "by-id", tmp_path / "by-path"
    by_id.mkdir()
    by_path.mkdir()
    shared_name, socket = by_id / "usb-1a86_USB_Serial-if00", by_path / "usb-0:1"
    with terminal() as first, terminal() as second:
        shared_name.symlink_to(first.path)
        socket.symlink_to(first.path)
        place = SerialAddress(str(socket), by_id=by_id)
        SerialPort(place, 115200).close()
        shared_name.unlink()
        shared_name.symlink_to(second.path)  # plugged in later, it takes the name
        assert place.path == str(socket)


def test_an_absent_port_is_told_by_its_configured_name(tmp_path: Path) -> None:
    place = SerialAddress(str(tmp_path / "ttyUSB7"))
    assert str(place.absent()).startswith(f"{tmp_path}/ttyUSB7: no such port")
