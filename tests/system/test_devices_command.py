"""``wardbeat devices`` as a user calls it, against emulated devices."""

from __future__ import annotations

import asyncio
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from support.ble_bench import in_reach
from support.bluez import ADDRESS, Bluez, PrivateBus
from support.peripherals import Ganglion, HeartRateStrap, Movesense
from support.unit import Device, Process, wait_for


def wardbeat(*arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wardbeat", "devices", *arguments],
        capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip


def test_what_is_recorded_replays_to_the_samples_of_the_device(tmp_path: Path) -> None:
    device = Device(tmp_path, "--log-counts", str(tmp_path / "counts"))
    file, csv = tmp_path / "bed1.wbraw", tmp_path / "bed1.csv"
    recorder = Process(
        tmp_path / "record.log", "-m", "wardbeat", "devices", "record",
        "--driver", "cyton", "--port", str(device.port), str(file),
    )  # fmt: skip
    try:
        wait_for("samples", lambda: file.exists() and file.stat().st_size > 40_000)
        device.send(signal.SIGUSR1)
        time.sleep(1.0)
        device.send(signal.SIGUSR2)
        size = file.stat().st_size
        wait_for("samples again", lambda: file.stat().st_size > size + 40_000)
        recorder.send(signal.SIGINT)
        wait_for("its end", lambda: not recorder.running())
        assert recorder.stop() == 0
    finally:
        recorder.stop()
        device.stop()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert f"{file}: recorded" in recorder.said()
    done = wardbeat("replay", str(file), "--csv", str(csv))
    assert done.returncode == 0, done.stderr
    assert f"OpenBCI Cyton at {device.port}, 250 Hz, leads II" in done.stdout
    assert "link_lost, bounded" in done.stdout
    rows = np.loadtxt(csv, delimiter=",", skiprows=1, dtype=np.int64)
    log = np.fromfile(tmp_path / "counts", "<i4").astype(np.int64)
    jumps = np.flatnonzero(np.diff(rows[:, 0]) > 1)
    assert len(jumps) == 1
    before = rows[: jumps[0] + 1]
    assert np.array_equal(before[:, 1], log[before[:, 0]])
    assert len(rows) > 2000
    torn = tmp_path / "torn.wbraw"
    torn.write_bytes(file.read_bytes()[:-7])
    again = wardbeat("replay", str(torn))
    assert again.returncode == 0
    assert "its end is torn; what is whole was read" in again.stdout


@pytest.mark.parametrize("kind", ["olimex", "text_lines"])
def test_probe_knows_a_device_by_its_bytes(tmp_path: Path, kind: str) -> None:
    device = Device(tmp_path, kind=kind)
    try:
        done = wardbeat("probe", str(device.port))
    finally:
        device.stop()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{kind}: sure (")


def test_probe_asks_a_silent_port_unless_told_not_to(tmp_path: Path) -> None:
    device = Device(tmp_path)
    try:
        listened = wardbeat("probe", str(device.port), "--listen-only")
        asked = wardbeat("probe", str(device.port))
    finally:
        device.stop()
    assert listened.returncode == 1
    assert "nothing known; is the device on, and does it stream?" in listened.stderr
    assert asked.stdout.startswith("cyton: sure (it answered")


def test_watch_says_a_line_a_second_of_a_bed_of_a_configuration(tmp_path: Path) -> None:
    device = Device(tmp_path)
    config = tmp_path / "unit.toml"
    config.write_text(
        f'[unit]\nsite = "test"\nname = "pi"\ndata_dir = "{tmp_path}"\n[[bed]]\nname = "7"\n'
        f'[bed.device]\ndriver = "cyton"\naddress = "{device.port}"\n'
    )
    try:
        done = wardbeat("watch", "--config", str(config), "--bed", "7", "--seconds", "6")
        other = wardbeat("watch", "--config", str(config), "--bed", "8")
    finally:
        device.stop()
    lines = done.stdout.splitlines()
    assert len(lines) >= 4
    assert all("samples/s" in line and "lost 0 in 0 gaps" in line for line in lines[3:])
    assert " mV" in lines[-1]
    assert other.returncode == 2
    assert "no bed '8'; there are 7" in other.stderr


def test_faults_are_one_line(tmp_path: Path) -> None:
    for arguments, said in (
        (("watch",), "--driver and --port, or --config, must be given"),
        (("watch", "--driver", "cytn", "--port", "x"), "did you mean 'cyton'?"),
        (("watch", "--driver", "cyton", "--port", "x", "-o", "gain"), "is no KEY=VALUE"),
        (("probe", str(tmp_path / "none")), "no such port"),
        (("replay", str(tmp_path / "none")), "can't be read"),
        (("record", "--driver", "cyton", "--port", "x", str(tmp_path)), "exists already"),
    ):
        done = wardbeat(*arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_list_tells_every_driver() -> None:
    done = wardbeat("list")
    kinds = [line.split()[0] for line in done.stdout.splitlines()]
    assert {"cyton", "polar_h10", "intellivue", "text_lines", "replay"} <= set(kinds)


@pytest.fixture
async def bluez(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bluez]:
    """A BlueZ with a strap in reach; processes started later find it."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("needs dbus-daemon (Debian package dbus-daemon)")
    bus = PrivateBus(tmp_path)
    await bus.up()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    stand_in = Bluez()
    await stand_in.start(bus.address)
    yield stand_in
    stand_in.stop()
    bus.stop()


async def test_scan_finds_a_strap_and_says_which_drivers_fit(bluez: Bluez) -> None:
    done = await asyncio.to_thread(wardbeat, "scan", "--seconds", "1.5")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if ADDRESS in line]
    assert "Polar H10 1234ABCD (-60 dBm)" in line
    assert line.endswith("driver polar_h10 or heart_rate") or line.endswith("driver polar_h10")


@pytest.mark.parametrize(
    ("peripheral", "driver"),
    [
        (Movesense, "movesense or heart_rate"),
        (Ganglion, "ganglion"),
        (HeartRateStrap, "heart_rate"),
    ],
)
async def test_scan_names_the_driver_of_each_sensor(
    peripheral: type[Movesense | Ganglion | HeartRateStrap], driver: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    async with in_reach(peripheral(), tmp_path, monkeypatch):
        done = await asyncio.to_thread(wardbeat, "scan", "--seconds", "1.5")
    (line,) = [line for line in done.stdout.splitlines() if peripheral.address in line]
    assert line.startswith("Bluetooth LE ")
    assert f"  {peripheral.name} (" in line
    assert line.endswith(f"driver {driver}")


def test_scan_without_bluetooth_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    done = wardbeat("scan", "--seconds", "0.2")
    assert done.returncode == 0
    assert "Bluetooth: not available" in done.stderr
    assert "is an adapter plugged in, switched on, and bluetooth.service running?" in done.stderr
