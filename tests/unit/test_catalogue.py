"""The catalogue names every kind, and answers a wrong name with the nearest right one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from drivers import catalogue
from drivers.cyton import Cyton
from drivers.olimex import Olimex
from drivers.samples import DriverError, LinkHealth


def test_known_kinds() -> None:
    serial = {"cyton", "olimex", "text_lines"}
    others = {"polar_h10", "movesense", "ganglion", "heart_rate", "replay", "intellivue"}
    assert set(catalogue.names()) >= serial | others


def test_a_driver_is_made_with_its_options() -> None:
    driver = catalogue.create("cyton", "/dev/ttyUSB0", {"leads": ["V1", "II"], "gain": 12})
    assert isinstance(driver, Cyton)
    assert [lead.name for lead in driver.leads] == ["V1", "II"]
    assert driver.health == LinkHealth()
    slow = catalogue.create("olimex", "/dev/ttyACM0", {"rate_hz": 125.0, "baud": 115200})
    assert isinstance(slow, Olimex)
    assert (slow.rate_hz, slow.baud) == (125.0, 115200)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("cytn", {}, "did you mean 'cyton'?"),
        ("polar-h10", {}, "did you mean 'polar_h10'?"),
        ("?", {}, "there are cyton, olimex"),
        ("cyton", {"gian": 12}, "did you mean 'gain'?"),
        ("cyton", {"now_ns": 1}, "has no option 'now_ns'"),
        ("olimex", {"rate_hz": "fast"}, "do not fit olimex"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(
    kind: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DriverError) as refused:
        catalogue.create(kind, "/dev/ttyUSB0", options)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not refused.value.transient


def test_a_driver_is_imported_only_when_it_is_asked_for() -> None:
    code = (
        "import sys; from drivers import catalogue; "
        "catalogue.create('cyton', '/dev/ttyUSB0', {}); "
        "heavy = {'bleak', 'drivers.replay', 'drivers.olimex', 'scipy'} & set(sys.modules); "
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
