"""Plug-ins by entry point: found, refused by name, broken in every way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

import pytest

from drivers import catalogue, overview
from drivers.plugins import BrokenDriver, plugins
from drivers.samples import DriverError, DriverEvent, LinkChange, LinkState

GOOD = '''"""A box."""


class Box:
    """Driver of the box."""

    def __init__(self, address: str, *, gain: int = 1) -> None:
        if gain < 0:
            raise RuntimeError("negative\\ngain")
        self.address = address

    async def run(self, emit: object) -> None:
        """Nothing."""
'''


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, package: str, source: str, *entries: str) -> None:
    (site / f"{package}.py").write_text(source)
    info = site / f"{package}-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.1\n")
    (info / "entry_points.txt").write_text("[wardbeat.drivers]\n" + "\n".join(entries) + "\n")


def test_a_plug_in_is_a_kind_like_any_other(site: Path) -> None:
    install(site, "box_one", GOOD, "box = box_one:Box")
    assert catalogue.names()[-1] == "box"
    assert type(catalogue.create("box", "here", {"gain": 2})).__name__ == "Box"
    with pytest.raises(DriverError, match="did you mean 'gain'"):
        catalogue.create("box", "here", {"gian": 2})
    with pytest.raises(DriverError, match="did you mean 'box'"):
        catalogue.create("bax", "here", {})
    (told,) = [kind for kind in overview.kinds() if kind.kind == "box"]
    assert (told.package, told.note, told.broken) == ("box_one 2.1", "A box", "")


def test_a_name_that_is_taken_or_none_is_refused(
    site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(site, "box_two", GOOD, "cyton = box_two:Box", "Box-2 = box_two:Box")
    install(site, "box_three", GOOD, "case = box_three:Box")
    install(site, "box_four", GOOD, "case = box_four:Box")
    with caplog.at_level(logging.WARNING):
        faults = {(p.kind, p.package): p.fault for p in plugins(catalogue.KINDS) if p.fault}
    assert "built-in" in faults["cyton", "box_two 2.1"]
    assert "small letters" in faults["Box-2", "box_two 2.1"]
    assert "taken by box_four 2.1" in faults["case", "box_three 2.1"]
    assert "case" in catalogue.names()
    assert type(catalogue.create("cyton", "/dev/ttyUSB0", {})).__module__ == "drivers.cyton"
    assert any("box_two 2.1" in line for line in caplog.messages)


@pytest.mark.parametrize(
    ("package", "source", "said"),
    [
        ("torn_a", "import no_such_module\n", "can't be loaded (ModuleNotFoundError"),
        ("torn_b", "class Torn:\n    pass\n", "is no driver class"),
        ("torn_c", "Torn = 3\n", "is no driver class"),
        ("torn_d", "raise SystemError('a\\nb')\n", "can't be loaded (SystemError: a b)"),
        ("torn_e", "", "can't be loaded (AttributeError"),
    ],
)
async def test_a_broken_one_says_so_and_waits(
    site: Path, package: str, source: str, said: str
) -> None:
    install(site, package, source, f"{package} = {package}:Torn")
    driver = catalogue.create(package, "bed 1", {})
    assert isinstance(driver, BrokenDriver)
    events: list[DriverEvent] = []
    task = asyncio.create_task(driver.run(events.append))
    await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    last = events[-1]
    assert isinstance(last, LinkChange)
    assert last.state is LinkState.LOST
    assert said in last.reason
    assert "\n" not in last.reason
    (told,) = [kind for kind in overview.kinds() if kind.kind == package]
    assert said in told.broken


def test_one_that_falls_when_it_is_made_is_broken_too(site: Path) -> None:
    install(site, "box_five", GOOD, "box_five = box_five:Box")
    driver = catalogue.create("box_five", "bed 1", {"gain": -1})
    assert isinstance(driver, BrokenDriver)
    assert "failed (RuntimeError: negative gain)" in driver.reason
