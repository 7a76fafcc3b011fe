"""The emulator's command line: a recording through the port, its signals, its one-line faults."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from serial_bench import PATIENCE_S, running

from drivers.cyton import Cyton
from drivers.decoders.cyton import microvolts_per_count


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "drivers.emulator", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def write_record(folder: Path) -> tuple[str, np.ndarray]:
    """A WFDB record of 4 s at 250 Hz, format 16, 200 counts per mV."""
    values = (np.sin(np.arange(1000) / 9) * 300).astype("<i2")
    (folder / "ramp.dat").write_bytes(values.tobytes())
    (folder / "ramp.hea").write_text("ramp 1 250 1000\nramp.dat 16 200 16 0 0 0 0 II\n")
    return str(folder / "ramp"), values.astype(float) * 5.0


async def test_a_recording_is_played_sample_for_sample(tmp_path: Path) -> None:
    record, microvolts = write_record(tmp_path)
    port, log = tmp_path / "ttyCyton", tmp_path / "log"
    process = start(
        "cyton", "--source", record, "--link", str(port), "--log-counts", str(log), "--labels"
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == str(port)
        async with running(Cyton(str(port))) as recorder:
            await recorder.samples(400)
    finally:
        process.terminate()
        _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "packets sent" in told
    channel = recorder.channel()
    logged = np.fromfile(log, "<i4")
    assert np.array_equal(channel, logged[: len(channel)])
    read_back = channel[:1000] * microvolts_per_count(24)
    assert np.abs(read_back - microvolts[: len(read_back)]).max() < 0.02
    assert not port.is_symlink()


def test_it_ends_by_itself_and_on_interrupt(tmp_path: Path) -> None:
    record, _ = write_record(tmp_path)
    port = tmp_path / "ttyA"
    timed = start("olimex", "--source", record, "--link", str(port), "--stop-after", "0.3")
    assert timed.wait(timeout=PATIENCE_S) == 0
    timed.communicate()
    assert not port.is_symlink()
    told = start("olimex", "--source", record, "--link", str(port))
    assert told.stdout is not None
    told.stdout.readline()
    told.send_signal(signal.SIGINT)
    told.communicate(timeout=PATIENCE_S)
    assert told.returncode == 0
    assert not port.is_symlink()


def test_what_cannot_be_played_is_said_in_one_line(tmp_path: Path) -> None:
    missing = start("cyton", "--source", str(tmp_path / "none"), "--link", str(tmp_path / "t"))
    _, told = missing.communicate(timeout=PATIENCE_S)
    assert missing.returncode == 2
    assert len(told.splitlines()) == 1
    assert str(tmp_path / "none") in told
