"""The whole unit with a Movesense sensor: from its studs to the store, a cut link between."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.ble_bedside import Ecg, Wearer, cut_and_return, folder_for, gap, rates, stored
from support.ble_bench import in_reach
from support.peripherals import Movesense
from support.unit import Unit

SAMPLES = 16


async def test_movesense_from_sensor_to_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor, ecg = Movesense(), Ecg(200.0)

    def send(number: int) -> bool:
        microvolts = ecg.take(SAMPLES)
        notifications = sensor.sensor.ecg(60_000 + 80 * number, microvolts)
        sensor.send(notifications)
        return bool(notifications) and sensor.data.notifying

    async with in_reach(sensor, tmp_path, monkeypatch) as bluez:
        unit = Unit(folder_for(tmp_path), driver="movesense", address="250230002214")
        wearer = Wearer(SAMPLES / 200.0, send)
        await cut_and_return(unit, bluez, wearer)
    assert gap(unit) == ("link_lost", wearer.unheard() * SAMPLES, 1), "to the sample"
    assert stored(unit) == len(wearer.sent) * SAMPLES
    assert 50 < rates(unit)[-1] < 100
    assert unit.rows("SELECT count(*) FROM beats")[0][0] > 3
