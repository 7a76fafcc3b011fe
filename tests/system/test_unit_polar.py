"""The whole unit with a Polar H10 played by the BlueZ stand-in: real ECG, a cut link, the gap."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.ble_bedside import Wearer, cut_and_return, folder_for, gap, rates, stored
from support.ble_bench import in_reach
from support.bluez import Strap
from support.unit import Unit

PACKET = 73
PACKET_S = 0.5613
HEAD_BYTES, ROW_BYTES = 24, 233
"""Of the recording: each packet follows four bytes of the recorder's own."""
FROM, COUNT = 200, 1000
CONTACT = bytes.fromhex("163c1104")


def packets_of(recording: Path) -> list[bytes]:
    """Ten minutes of what a real strap sent."""
    first = HEAD_BYTES + FROM * ROW_BYTES
    data = recording.read_bytes()[first : first + COUNT * ROW_BYTES]
    return [data[k + 4 : k + ROW_BYTES] for k in range(0, len(data), ROW_BYTES)]


async def test_polar_from_strap_to_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Path
) -> None:
    packets = packets_of(shared / "captures" / "polar_h10" / "hr_data_2023-01-13_11-40-07.bin")
    strap = Strap()

    def send(number: int) -> bool:
        if not (strap.streaming and strap.data.notifying):
            return False
        strap.rate.send(CONTACT)
        strap.data.send(packets[number])
        return True

    async with in_reach(strap, tmp_path, monkeypatch) as bluez:
        unit = Unit(folder_for(tmp_path), driver="polar_h10", address="1234ABCD")
        wearer = Wearer(PACKET_S, send)
        await cut_and_return(unit, bluez, wearer)
    assert gap(unit) == ("link_lost", wearer.unheard() * PACKET, 1), "what was sent unheard"
    assert stored(unit) == len(wearer.sent) * PACKET
    assert 40 < rates(unit)[-1] < 130
    assert {row[0] for row in unit.rows("SELECT DISTINCT lead_states FROM waves")} >= {"on"}
    assert unit.rows("SELECT count(*) FROM beats")[0][0] > 3
