"""The whole unit on a recorded file: in real time, faster, looped; a file that comes later."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import edfio
import numpy as np
import pytest
from support.serial_bedside import SAMPLES_WITHIN_NS, alarm_ns
from support.unit import Unit, wait_for

from agent.store import Reader
from drivers.samples import Gap, GapCause, SampleBlock
from drivers.scenario import ScenarioSource

RATE_HZ = 250


def ecg(seconds: int) -> np.ndarray:
    """Sinus rhythm in whole microvolts."""
    source, wanted, found = ScenarioSource(rate_hz=RATE_HZ, scenario="sinus", seed=5), [], 0
    while found < seconds * RATE_HZ:
        wanted.append(source.read(seconds * RATE_HZ - found).microvolts[:, 0])
        found += len(wanted[-1])
    return np.rint(np.concatenate(wanted)).astype(np.int64)


def wfdb(folder: Path, microvolts: np.ndarray) -> Path:
    (folder / "r.dat").write_bytes(microvolts.astype("<i2").tobytes())
    header = f"r 1 {RATE_HZ} {len(microvolts)}\nr.dat 16 1000/mV 16 0 0 0 0 II\n"
    (folder / "r.hea").write_text(header)
    return folder / "r"


def edf(folder: Path, microvolts: np.ndarray) -> Path:
    signal = edfio.EdfSignal(
        microvolts.astype(float), RATE_HZ, label="ECG II", physical_dimension="uV",
        physical_range=(-32768, 32767), digital_range=(-32768, 32767),
    )  # fmt: skip
    note = edfio.EdfAnnotation(1.0, None, "begin")
    recording = edfio.Recording(startdate=date(2031, 3, 2))
    edfio.Edf([signal], recording=recording, annotations=[note]).write(folder / "r.edf")
    return folder / "r.edf"


def csv(folder: Path, microvolts: np.ndarray) -> Path:
    lines = [f"{k / RATE_HZ:.3f},{value}" for k, value in enumerate(microvolts.tolist())]
    (folder / "r.csv").write_text("\n".join(["time (s),II (uV)", *lines]) + "\n")
    return folder / "r.csv"


FORMS = [pytest.param(wfdb, id="wfdb"), pytest.param(edf, id="edf"), pytest.param(csv, id="csv")]


def unit_on(folder: Path, path: Path, **options: object) -> Unit:
    """A unit whose bed has the file as its device."""
    told = ", ".join(f"{key} = {str(value).lower()}" for key, value in options.items())
    return Unit(folder, driver="replay", address=str(path), more=f"options = {{ {told} }}\n")


def stored(unit: Unit) -> list[SampleBlock | Gap]:
    """Blocks and gaps of the one stream."""
    reader = Reader.open(unit.database)
    (stream,) = reader.streams("1")
    return list(reader.events(stream.id))


def counts(events: list[SampleBlock | Gap]) -> np.ndarray:
    """The samples, gaps left out."""
    found = [event.counts[:, 0] for event in events if isinstance(event, SampleBlock)]
    return np.concatenate(found)


def rates(unit: Unit) -> list[float]:
    rows = unit.rows("SELECT rate_bpm FROM vitals WHERE rate_bpm IS NOT NULL")
    return [row[0] for row in rows]


def test_real_time_and_a_file_that_comes_later(tmp_path: Path) -> None:
    microvolts = ecg(60)
    unit = unit_on(tmp_path, tmp_path / "r")
    process = unit.start()
    try:
        wait_for("the alarm that there is none", lambda: alarm_ns(unit, "start", 0))
        wfdb(tmp_path, microvolts)
        there_ns = time.time_ns()
        wait_for("a heart rate", lambda: rates(unit))
    finally:
        process.stop()
    events = stored(unit)
    ((start_ns, rate_hz),) = unit.rows("SELECT min(start_ns), max(true_rate_hz) FROM waves")
    assert start_ns - there_ns < SAMPLES_WITHIN_NS
    assert rate_hz == RATE_HZ
    assert all(isinstance(event, SampleBlock) for event in events)
    assert np.array_equal(counts(events), microvolts[: len(counts(events))])
    assert 60 < rates(unit)[-1] < 90


@pytest.mark.parametrize("make", FORMS)
def test_faster_and_looped(tmp_path: Path, make: Callable[[Path, np.ndarray], Path]) -> None:
    microvolts = ecg(20)
    unit = unit_on(tmp_path, make(tmp_path, microvolts), speed=8.0, loop=True)
    process = unit.start()
    try:
        wait_for("its second time", lambda: unit.rows(
            "SELECT 1 FROM waves WHERE first + count > ?", 30 * RATE_HZ))  # fmt: skip
        wait_for("a heart rate", lambda: rates(unit))
    finally:
        process.stop()
    events = stored(unit)
    gap = next(event for event in events if isinstance(event, Gap))
    assert (gap.first, gap.count, gap.cause) == (len(microvolts), RATE_HZ, GapCause.NOT_SAMPLED)
    assert {block.true_rate_hz for block in events if isinstance(block, SampleBlock)} == {2000.0}
    assert np.array_equal(counts(events), np.tile(microvolts, 9)[: len(counts(events))])
    assert len(counts(events)) > 28 * RATE_HZ
    assert 60 < rates(unit)[-1] < 90
