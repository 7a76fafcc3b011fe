"""A unit's configuration: every key known, every fault one line with file, key and remedy."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from agent.config import _SECTIONS, Config, ConfigError, load

EXAMPLE = Path(__file__).parents[2] / "docs" / "unit.example.toml"
SMALL = """
[unit]
site = "demo"
name = "pi"
[[bed]]
name = "1"
[bed.device]
driver = "cyton"
address = "/dev/ttyUSB0"
"""


def write(tmp_path: Path, text: str) -> Path:
    """The text as a file."""
    path = tmp_path / "unit.toml"
    path.write_text(text)
    return path


def test_smallest_configuration_has_the_documented_defaults(tmp_path: Path) -> None:
    config = load(write(tmp_path, SMALL))
    assert config.sync is None, "no broker: the unit works alone"
    assert config.bed[0].limits.hr_high == 120
    assert config.unit.trust_clock is False


def test_example_loads_and_explains_every_key() -> None:
    load(EXAMPLE)
    text = EXAMPLE.read_text()
    for name, section in {**_SECTIONS, "": Config}.items():
        for key in section.__struct_fields__:
            if key == "password_env":
                continue  # for containers; docs/security.md tells of it
            assert re.search(rf"^(# )?(\[+(\w+\.)*)?{key}\b", text, re.M), f"{name}.{key}"


def test_example_shows_the_defaults() -> None:
    shown = load(EXAMPLE)
    assert shown.store == msgspec.convert({}, type(shown.store))
    assert shown.alarms == msgspec.convert({}, type(shown.alarms))
    assert shown.bed[0].limits == msgspec.convert({}, type(shown.bed[0].limits))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('name = "pi"', 'nam = "pi"'), r"\[unit\] unknown key 'nam'; did you mean 'name'\?"),
        (('driver = "cyton"', 'drivr = "cyton"'), r"unknown key 'drivr'; did you mean 'driver'"),
        (("[unit]", "[units]"), r"unknown key 'units'; did you mean 'unit'\?"),
        (('site = "demo"', 'site = "de/mo"'), r"unit\.site"),
        (
            ("[[bed]]", "[[bed]]\nlimits = {hr_low = 130}"),
            r"hr_low = 130 is not below hr_high = 120",
        ),
        (("[unit]", "alarms = {off = ['vf']}\n[unit]"), r"'vf' cannot be switched off"),
        (("[unit]", "alarms = {off = ['afib']}\n[unit]"), r"no alarm is called 'afib'"),
        (("[unit]", "sync = {host = 'far.example'}\n[unit]"), r"\[sync\] tls is off"),
        (("[unit]", "[unit"), r"not valid TOML"),
    ],
)
def test_fault_is_one_line_that_names_the_key(
    tmp_path: Path, change: tuple[str, str], says: str
) -> None:
    path = write(tmp_path, SMALL.replace(*change))
    with pytest.raises(ConfigError, match=says) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_two_beds_of_one_name_are_refused(tmp_path: Path) -> None:
    bed = SMALL[SMALL.index("[[bed]]") :]
    with pytest.raises(ConfigError, match="two beds are called '1'"):
        load(write(tmp_path, SMALL + bed))


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file.*--config"):
        load(tmp_path / "none.toml")
