"""The whole unit with an OpenBCI Ganglion: from its electrodes to the store, a cut link between."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.ble_bedside import Ecg, Wearer, cut_and_return, folder_for, gap, rates
from support.ble_bench import in_reach
from support.peripherals import Ganglion
from support.unit import Unit

BATCH = 4
"""Packets that a connection interval holds."""


@pytest.mark.parametrize("firmware", [3, 2])
async def test_ganglion_from_board_to_store(
    firmware: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board, ecg = Ganglion(firmware), Ecg(200.0)

    def send(number: int) -> bool:
        heard = board.board.streaming and board.data.notifying
        for _ in range(BATCH):
            due = board.board.due if heard else 2
            rows = [[value, 0.0, 0.0, 0.0] for value in ecg.take(due)]
            if heard:
                board.data.send(board.board.packet(rows))
        return heard

    async with in_reach(board, tmp_path, monkeypatch) as bluez:
        unit = Unit(folder_for(tmp_path), driver="ganglion", address="Ganglion-0a0b")
        wearer = Wearer(2 * BATCH / 200.0, send)
        await cut_and_return(unit, bluez, wearer)
    cause, count, exact = gap(unit)
    assert (cause, exact) == ("link_lost", 0), "connecting resets the board: bounded by time"
    assert abs(count - wearer.unheard() * 2 * BATCH) < 100, "half a second, on a loaded machine"
    assert 50 < rates(unit)[-1] < 100
