"""The emulated devices, sans I/O: their answers, and packets that the decoders read back."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import numpy as np
import pytest

from drivers.decoders.cyton import CytonDecoder, microvolts_per_count
from drivers.decoders.olimex import OlimexDecoder
from drivers.emulated.cyton import EmulatedCyton
from drivers.emulated.olimex import EmulatedOlimex
from drivers.emulator import Pty, main
from drivers.source import SourceChunk


def chunk(values: list[float], *, lead_off: bool = False) -> SourceChunk:
    return SourceChunk(np.array(values, dtype=np.float64)[:, None], lead_off=lead_off)


def test_text_commands_are_answered_as_the_board_does() -> None:
    board = EmulatedCyton()
    banner = board.receive(b"v")
    assert b"Firmware: v3" in banner
    assert banner.endswith(b"$$$")
    assert board.receive(b"d") == b"updating channel settings to default$$$"
    assert board.receive(b"x10") == b""
    assert board.receive(b"60110X") == b"Success: Channel set for 1$$$"
    assert board.receive(b"x9060110X").startswith(b"Failure")
    assert board.receive(b"?").endswith(b"$$$")
    assert board.receive(b"b") == b""
    assert board.streaming
    assert board.receive(b"?") == b""  # no text while streaming
    assert board.receive(b"s") == b""
    assert not board.streaming


def test_cyton_packets_read_back_with_scale_gain_and_number() -> None:
    board = EmulatedCyton()
    board.receive(b"x1040110Xb")
    counts = board.counts(chunk([0.0, 1000.0, -1000.0, 1e9, -1e9]))
    packets = CytonDecoder().feed(board.packets(counts).tobytes() + b"\xa0")
    assert packets.numbers.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(packets.counts, counts)
    expected = 1000 / microvolts_per_count(8)
    assert packets.counts[1, 0] == pytest.approx(expected, abs=0.5)
    assert packets.counts[3:, 0].tolist() == [0x7FFFFF, -0x800000]


def test_cyton_numbers_wrap_and_begin_anew_with_b() -> None:
    board = EmulatedCyton()
    board.receive(b"b")
    rows = board.packets(np.zeros((300, 8), np.int32))
    assert rows[255:258, 1].tolist() == [255, 0, 1]
    board.receive(b"sb")
    assert board.packets(np.zeros((1, 8), np.int32))[0, 1] == 0


def test_leads_off_rail() -> None:
    assert set(EmulatedCyton().counts(chunk([1.0, 2.0], lead_off=True))[:, 0]) == {0x7FFFFF}
    assert set(EmulatedOlimex().counts(chunk([1.0, 2.0], lead_off=True))[:, 0]) == {1023}


def test_a_channel_switched_off_reads_zero() -> None:
    board = EmulatedCyton()
    board.receive(b"1")
    assert board.counts(chunk([500.0]))[0, 0] == 0
    board.receive(b"!")
    assert board.counts(chunk([500.0]))[0, 0] != 0


def test_olimex_packets_read_back() -> None:
    shield = EmulatedOlimex()
    counts = shield.counts(chunk([0.0, 100.0, -100.0, 5000.0]))
    packets = OlimexDecoder().feed(shield.packets(counts).tobytes())
    assert packets.counters.tolist() == [0, 1, 2, 3]
    assert np.array_equal(packets.counts, counts)
    assert counts[:, 0].tolist() == [512, 570, 454, 1023]


@pytest.fixture
def terminal(tmp_path: Path) -> Pty:
    return Pty(tmp_path / "ttyUSB0")


def test_what_nobody_reads_is_dropped_in_whole_packets(terminal: Pty) -> None:
    terminal.plug_in()
    host = os.open(terminal.link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    packets = [bytes([0xA0, n % 256]) + bytes(30) + b"\xc0" for n in range(10_000)]
    dropped = sum(terminal.write(packets[i : i + 50]) for i in range(0, 10_000, 50))
    assert 0 < dropped < 10_000
    received = b""
    for _ in range(1000):
        with contextlib.suppress(BlockingIOError):
            received += os.read(host, 65536)
        if len(received) >= 33 * (10_000 - dropped):
            break
        terminal.write([])  # the packet that was begun is finished as room appears
        time.sleep(0.001)
    os.close(host)
    terminal.unplug()
    whole = np.frombuffer(received[: len(received) // 33 * 33], np.uint8).reshape(-1, 33)
    assert len(whole) == 10_000 - dropped
    assert set(whole[:, 0]) == {0xA0}
    assert set(whole[:, 32]) == {0xC0}


def test_unplugging_removes_the_link_and_hangs_up(terminal: Pty) -> None:
    terminal.plug_in()
    host = os.open(terminal.link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    assert terminal.opened()
    terminal.unplug()
    assert not terminal.link.is_symlink()
    assert not terminal.plugged_in
    with pytest.raises(OSError, match="Input/output error"):
        os.write(host, b"v")
    os.close(host)
    terminal.plug_in()
    assert terminal.link.exists()
    assert not terminal.opened()
    terminal.unplug()


def test_a_file_in_the_way_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x").write_text("a file")
    record = tmp_path / "none"
    assert main(["cyton", "--source", str(record), "--link", str(tmp_path / "y")]) == 2
    with pytest.raises(FileExistsError, match="choose another path"):
        Pty(tmp_path / "x")
    assert len(capsys.readouterr().err.splitlines()) == 1
