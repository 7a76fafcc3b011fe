"""The whole unit with a heart rate strap: rate and rhythm without a wave, a cut link between."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from support.ble_bedside import Wearer, alarms, cut_and_return, folder_for, rates, until
from support.ble_bench import in_reach
from support.peripherals import HeartRateStrap
from support.unit import Unit


async def test_a_strap_gives_rate_and_rhythm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strap = HeartRateStrap()
    draw = random.Random(4)
    wearer = Wearer(0.4, lambda number: strap.beat(72, draw.gauss(833, 12)))
    async with in_reach(strap, tmp_path, monkeypatch) as bluez:
        unit = Unit(folder_for(tmp_path), driver="heart_rate", address="0000ABCD")

        async def known() -> None:
            await until(lambda: "normal" in rhythms(unit), "a rhythm")

        await cut_and_return(unit, bluez, wearer, waves=False, known=known)
    assert set(rates(unit)) == {72.0}
    (rr,) = unit.rows(
        "SELECT rr_ms FROM vitals WHERE rr_ms IS NOT NULL ORDER BY number DESC LIMIT 1"
    )
    assert 780 < rr[0] < 890
    assert unit.rows("SELECT count(*) FROM waves") == [(0,)]
    assert unit.rows("SELECT DISTINCT device, serial_number, firmware FROM streams") == [
        ("Polar Electro Oy H9", "0000ABCD", "3.1.1")
    ]
    assert not alarms(unit, "asystole")


def rhythms(unit: Unit) -> set[str]:
    """Rhythms shown so far."""
    return {row[0] for row in unit.rows("SELECT DISTINCT rhythm FROM vitals")}
