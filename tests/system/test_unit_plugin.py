"""A driver of another package: the one of the docs, installed, from its box to the store."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.ble_bedside import Ecg, alarms, folder_for, gap, rates, stored, until
from support.unit import Unit

PAGE = Path(__file__).resolve().parents[2] / "docs" / "devices" / "own_driver.md"
BATCH = 10


def install(folder: Path, name: str, source: str, entry: str) -> None:
    """A package as pip would leave it: a module and what its entry points are."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[wardbeat.drivers]\n{entry}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where packages are installed for processes started later: the docs' one, and broken ones."""
    folder = tmp_path / "site"
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    install(folder, "acme_ecg", found[1], "acme_ecg = acme_ecg:AcmeEcg")
    install(folder, "torn_ecg", "import nothing_like_this\n", "torn_ecg = torn_ecg:Torn")
    install(folder, "cuckoo_ecg", "class Cyton:\n    pass\n", "cyton = cuckoo_ecg:Cyton")
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{before}" if before else str(folder))
    return folder


class Box:
    """The box: sends to whoever is connected; samples pass unheard too."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.port = 0
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def hang_up(self) -> None:
        assert self._server is not None
        self._server.close()
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    async def play(self) -> None:
        ecg, start, number = Ecg(250.0), time.monotonic(), 0
        while True:
            values = ecg.take(BATCH)
            if self._writer is not None:
                lines = (f"{(number + k) % 256},{value}\n" for k, value in enumerate(values))
                self._writer.write("".join(lines).encode())
                self.heard.append(number)
            number += BATCH
            await asyncio.sleep(max(0.0, start + number / 250.0 - time.monotonic()))

    async def _connected(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer


async def test_the_docs_driver_runs_a_unit(tmp_path: Path, site: Path) -> None:
    box = Box()
    await box.listen()
    torn = '[[bed]]\nname = "2"\n[bed.device]\ndriver = "torn_ecg"\naddress = "nowhere"\n'
    unit = Unit(folder_for(tmp_path), driver="acme_ecg", address=f"127.0.0.1:{box.port}", more=torn)
    process = await asyncio.to_thread(unit.start)
    playing = asyncio.create_task(box.play())
    try:
        await until(lambda: rates(unit), "a heart rate")
        await asyncio.sleep(2.0)
        cut_ns = time.time_ns()
        await box.hang_up()
        await until(lambda: lost(unit, "1"), "the loss as an alarm")
        assert lost(unit, "1")[0] - cut_ns < 2_000_000_000
        await asyncio.sleep(1.5)
        await box.listen()
        await until(lambda: alarms(unit, "device_lost", "end"), "the return")
        await until(lambda: unit.rows("SELECT * FROM gaps"), "the gap in the store")
        assert lost(unit, "2"), "the broken one says so on its own bed"
    finally:
        playing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await playing
        await asyncio.to_thread(process.stop)
        await box.hang_up()
    cause, count, exact = gap(unit)
    jumps = [b - a - BATCH for a, b in zip(box.heard, box.heard[1:], strict=False)]
    assert (cause, exact) == ("link_lost", 0)
    assert abs(count - sum(jumps)) < 125, "half a second, on a loaded machine"
    assert stored(unit) > 1000
    assert "torn_ecg 1.0: can't be loaded (ModuleNotFoundError" in process.said()


async def test_a_driver_too_slow_to_analyse_is_an_alarm_with_its_reason(
    tmp_path: Path, site: Path
) -> None:
    source = (site / "acme_ecg.py").read_text().replace("250.0", "50.0").replace("Acme", "Slow")
    install(site, "slow_ecg", source, "slow_ecg = slow_ecg:SlowEcg")
    box = Box()
    await box.listen()
    unit = Unit(folder_for(tmp_path), driver="slow_ecg", address=f"127.0.0.1:{box.port}")
    process = await asyncio.to_thread(unit.start)
    playing = asyncio.create_task(box.play())
    try:
        await until(lambda: alarms(unit, "not_analysed"), "the alarm")
        await until(lambda: stored(unit) > 100, "samples in the store all the same")
    finally:
        playing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await playing
        await asyncio.to_thread(process.stop)
        await box.hang_up()
    ((remedy,),) = unit.rows(
        "SELECT remedy FROM alarm_changes WHERE code = 'not_analysed' AND phase = 'start'"
    )
    assert "50 Hz" in remedy
    assert "100 to 2000 Hz" in remedy
    assert "Traceback" not in process.said()


def lost(unit: Unit, bed: str) -> list[int]:
    """When a bed's device was lost: UTC ns."""
    query = "SELECT at_ns FROM alarm_changes WHERE code = 'device_lost' AND bed = ? AND phase = ?"
    return [row[0] for row in unit.rows(query, bed, "start")]


def test_devices_list_shows_plug_ins_and_what_is_wrong_with_them(site: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wardbeat", "devices", "list"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "TCP" in lines["acme_ecg"]
    assert "250 Hz" in lines["acme_ecg"]
    assert "ACME ECG box over TCP (acme_ecg 1.0)" in lines["acme_ecg"]
    assert "BROKEN: torn_ecg 1.0: can't be loaded (ModuleNotFoundError" in lines["torn_ecg"]
    assert "BROKEN: cuckoo_ecg 1.0: its name is that of a built-in" in done.stdout
    assert any(line.startswith("cyton ") and "serial" in line for line in done.stdout.splitlines())
