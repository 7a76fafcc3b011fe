"""The Ganglion through bleak's real BlueZ backend, against a stand-in on a private D-Bus."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.ble_bench import gaps, in_reach, running, samples, states, until, values
from support.peripherals import Ganglion as Board

from drivers.decoders.ganglion import MICROVOLTS_PER_COUNT
from drivers.ganglion import Ganglion
from drivers.samples import GapCause, LinkState, StreamInfo

NAME = "Ganglion-0a0b"
PACKET_S = 0.01


async def play(board: Board, count: int, *, lost: frozenset[int] = frozenset()) -> None:
    """Packets in real time, of which those ``lost`` are never heard."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number in range(count):
        packet = board.board.packet([[100.0, 200.0, -300.0, 0.0]] * board.board.due)
        if number not in lost:
            board.data.send(packet)
        await asyncio.sleep(max(0.0, begun + (number + 1) * PACKET_S - loop.time()))


@pytest.mark.parametrize(("firmware", "missing"), [(3, 4), (2, 201 - 39)])
async def test_losses_are_exact_and_a_lost_link_is_bounded(
    firmware: int, missing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Board(firmware)
    driver = Ganglion(NAME, leads=["II", "V1"], channels=[1, 3])
    async with in_reach(board, tmp_path, monkeypatch) as bluez, running(driver) as events:
        await until(lambda: board.board.streaming, "the stream")
        await play(board, 150, lost=frozenset({20, 21}))
        await until(lambda: samples(events) > 100, "samples")
        first = samples(events)
        bluez.cut()
        await until(lambda: states(events)[-1:] != [LinkState.STREAMING], "the loss")
        await until(lambda: board.board.streaming, "the stream again")
        await play(board, 60)
        await until(lambda: samples(events) > first, "samples after the loss")
    found = gaps(events)
    assert (found[0].first, found[0].count, found[0].exact) == (
        39 if firmware == 2 else 40, missing, True,
    )  # fmt: skip
    assert found[0].cause is GapCause.LOST_PACKETS
    assert (found[1].cause, found[1].exact) == (GapCause.LINK_LOST, False)
    assert abs(values(events)[0] * MICROVOLTS_PER_COUNT - 100.0) < 0.1
    info = next(e for e in events if isinstance(e, StreamInfo))
    assert [lead.name for lead in info.leads] == ["II", "V1"]
    assert info.firmware == board.board.revision
    assert board.board.commands[-1] == b"s", "left stopped"
