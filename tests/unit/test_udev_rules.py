"""The udev rules: each line is one udev reads, and every serial board that is known is in them."""

from __future__ import annotations

import re
import shutil
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from drivers import scan

SYSTEMD = Path(__file__).resolve().parents[2] / "systemd"
RULES = SYSTEMD / "60-wardbeat.rules"

TOKEN = re.compile(r'([A-Z_]+)(?:\{([^}"]+)\})?(==|!=|=|\+=|-=|:=)"([^"]*)"')
"""Key, attribute, operator, value (udev(7))."""
MATCHED = {"ACTION", "SUBSYSTEM", "KERNEL", "DRIVER", "ATTR", "ATTRS", "ENV"}
ASSIGNED = {"ENV", "GROUP", "MODE", "ATTR", "GOTO", "LABEL"}

Token = tuple[str, str, str, str]


def rules() -> list[list[Token]]:
    """Each rule as its tokens; a line that is no rule fails."""
    found = []
    for line in RULES.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        parts = [TOKEN.fullmatch(part.strip()) for part in line.split(",")]
        assert all(parts), f"no udev rule: {line}"
        found.append([part.groups("") for part in parts if part is not None])
    return [[(a, b, c, d) for a, b, c, d in rule] for rule in found]


def applied(event: dict[str, str]) -> dict[str, str]:
    """What the rules assign for a device's event."""
    given: dict[str, str] = {}
    label = ""
    for rule in rules():
        if label:
            label = "" if ("LABEL", "", "=", label) in rule else label
            continue
        matches = [token for token in rule if token[2] in ("==", "!=")]
        if not all(fits(token, event) for token in matches):
            continue
        for key, attribute, operator, value in rule:
            if key == "GOTO":
                label = value
            elif operator == "=" and key != "LABEL":
                given[f"{key}{{{attribute}}}" if attribute else key] = value
    return given


def fits(token: Token, event: dict[str, str]) -> bool:
    key, attribute, operator, value = token
    seen = event.get(f"{key}{{{attribute}}}" if attribute else key, "")
    return any(fnmatchcase(seen, one) for one in value.split("|")) is (operator == "==")


def board(vendor: int, product: int | None) -> dict[str, str]:
    return {
        "ACTION": "add", "SUBSYSTEM": "tty", "KERNEL": "ttyUSB0",
        "ATTRS{idVendor}": f"{vendor:04x}", "ATTRS{idProduct}": f"{product or 1:04x}",
    }  # fmt: skip


def test_every_line_is_a_rule_of_known_keys() -> None:
    assert len(rules()) >= 7
    for rule in rules():
        for key, _, operator, _ in rule:
            assert key in (MATCHED if operator in ("==", "!=") else ASSIGNED)


@pytest.mark.parametrize(("vendor", "product"), [known[:2] for known in scan.USB])
def test_every_known_board_is_readable_and_left_alone(vendor: int, product: int | None) -> None:
    port = applied(board(vendor, product))
    assert (port["GROUP"], port["MODE"]) == ("dialout", "0660")
    assert port["ENV{ID_MM_DEVICE_IGNORE}"] == port["ENV{ID_MM_PORT_IGNORE}"] == "1"
    device = {key.replace("ATTRS", "ATTR"): value for key, value in board(vendor, product).items()}
    device |= {"SUBSYSTEM": "usb", "ENV{DEVTYPE}": "usb_device"}
    assert applied(device) == {"ENV{ID_MM_DEVICE_IGNORE}": "1"}


def test_others_are_not_touched() -> None:
    assert applied(board(0x1209, 0x0001)) == {}
    assert applied(board(0x046D, 0xC077)) == {}
    gone = board(0x0403, 0x6015) | {"ACTION": "remove"}
    assert applied(gone) == {}


def test_bluetooth_ports_and_the_latency_of_ftdi() -> None:
    port = applied({"ACTION": "add", "SUBSYSTEM": "tty", "KERNEL": "rfcomm0"})
    assert (port["GROUP"], port["ENV{ID_MM_PORT_IGNORE}"]) == ("dialout", "1")
    chip = {"ACTION": "add", "SUBSYSTEM": "usb-serial", "DRIVER": "ftdi_sio"}
    assert applied(chip) == {"ATTR{latency_timer}": "1"}


def test_they_come_after_the_stable_names_and_before_modem_manager_and_are_installed() -> None:
    assert "60-serial.rules" < RULES.name < "77-mm-usb-device-blacklist.rules"
    installed = (SYSTEMD / "install.sh").read_text()
    assert f"systemd/{RULES.name}" in installed
    assert "udevadm control --reload" in installed
    assert "SupplementaryGroups=dialout" in (SYSTEMD / "wardbeat.service").read_text()


def test_udev_itself_takes_them() -> None:
    if shutil.which("udevadm") is None:
        pytest.skip("needs udevadm")
    done = subprocess.run(
        ["udevadm", "verify", str(RULES)], capture_output=True, text=True, check=False
    )
    if "Unknown command" in done.stderr:
        pytest.skip("this udevadm can't verify rules (before systemd 254)")
    assert done.returncode == 0, done.stdout + done.stderr
