"""The whole unit with each serial device: alarm, return and gap when its plug is pulled.

A new driver is one row of ``DEVICES``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from support.serial_bedside import unplug_and_replug


@dataclass(frozen=True)
class Serial:
    """How one driver is tried."""

    kind: str
    exact: bool = False
    """Its counter tells the gap; else the host's clock bounds it."""
    options: str = ""
    """Lines of ``[bed.device]``."""
    emulator: tuple[str, ...] = ()


DEVICES = (
    Serial("cyton"),
    Serial("olimex"),
    Serial("protocentral"),
    Serial("bitalino"),
    Serial("shimmer3", exact=True),
    Serial("text_lines"),
)

BOUND_S = 0.1
"""How well a host's clock bounds a gap, on a loaded machine."""


@pytest.mark.parametrize("device", DEVICES, ids=[device.kind for device in DEVICES])
def test_a_pulled_plug(tmp_path: Path, device: Serial) -> None:
    seen = unplug_and_replug(
        tmp_path, device.kind, options=device.options, emulator=device.emulator
    )
    seen.check_times()
    seen.check_samples()
    assert seen.gap.cause == "link_lost"
    assert seen.gap.exact is device.exact
    bound = 0 if device.exact else BOUND_S * seen.segment.stream.info.rate_hz
    assert abs(seen.gap.count - seen.missing()) <= bound
