"""The whole unit on an IntelliVue monitor: its silence, its restart, samples again, the gap."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.unit import Process, Unit, wait_for

ALARM_WITHIN_NS = 2_000_000_000


class EmulatedMonitor(Process):
    """The emulator on a UDP port."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(
            folder / "monitor.log", "-m", "drivers.emulator", "intellivue",
            "--udp", "127.0.0.1:0", *options,
        )  # fmt: skip
        self.address = wait_for("the monitor's port", self.said).splitlines()[0]


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[EmulatedMonitor]:
    process = EmulatedMonitor(tmp_path, "--restart")
    yield process
    process.stop()


def test_silence_is_an_alarm_and_a_monitor_that_restarts_is_read_again(
    tmp_path: Path, monitor: EmulatedMonitor
) -> None:
    unit = Unit(tmp_path, driver="intellivue", address=monitor.address)
    process = unit.start()
    try:
        wait_for("a heart rate", lambda: rates(unit))
        asked_ns = time.time_ns()
        monitor.send(signal.SIGUSR1)
        wait_for("the last burst to be out", lambda: "away" in monitor.said())
        gone_ns = time.time_ns()
        ((raised_ns, onset_ns),) = wait_for("the alarm", lambda: started(unit))
        assert onset_ns < gone_ns, "the last burst"
        assert raised_ns - asked_ns < ALARM_WITHIN_NS
        monitor.send(signal.SIGUSR2)
        back_ns = time.time_ns()
        wait_for("the gap in the store", lambda: unit.rows("SELECT * FROM gaps"))
        ((again_ns,),) = unit.rows("SELECT max(start_ns) FROM waves")
        assert again_ns - back_ns < 5_000_000_000, "association within 3 s, and a burst"
        (gap,) = unit.rows("SELECT cause, exact, count FROM gaps")
        assert gap[:2] == ("device_restart", 0)
        before = len(rates(unit))
        wait_for("the heart rate again", lambda: len(rates(unit)) > before + 3)
    finally:
        process.stop()
    (device,) = {row[0] for row in unit.rows("SELECT device FROM streams")}
    assert device == "Philips M8000 (demo)"


def test_another_lead_chosen_at_the_monitor_is_another_stream(tmp_path: Path) -> None:
    monitor = EmulatedMonitor(tmp_path, "--switch-lead-after", "15")
    unit = Unit(tmp_path, driver="intellivue", address=monitor.address)
    process = unit.start()
    try:
        wait_for("a heart rate", lambda: rates(unit))
        wait_for("the other stream", lambda: len(leads(unit)) > 1)
        before = len(rates(unit))
        wait_for("the heart rate on the other lead", lambda: len(rates(unit)) > before + 4)
        assert process.running()
        told = process.said()
    finally:
        process.stop()
        monitor.stop()
    assert leads(unit) == ["II", "I"]
    assert "Traceback" not in told
    counts = unit.rows(
        "SELECT count(*) FROM beats JOIN streams ON streams.number = beats.stream"
        " GROUP BY streams.number ORDER BY streams.number"
    )
    assert len(counts) == 2
    assert all(count > 2 for (count,) in counts)


def leads(unit: Unit) -> list[str]:
    """First lead of each stream."""
    rows = unit.rows("SELECT leads FROM streams ORDER BY number")
    return [json.loads(row[0])[0]["name"] for row in rows]


def rates(unit: Unit) -> list[float]:
    """Heart rates stored so far."""
    return [row[0] for row in unit.rows("SELECT rate_bpm FROM vitals WHERE rate_bpm IS NOT NULL")]


def started(unit: Unit) -> list[tuple[int, ...]]:
    """The first technical alarm of the loss."""
    return unit.rows(
        "SELECT at_ns, onset_ns FROM alarm_changes WHERE phase = 'start'"
        " AND code IN ('device_lost', 'no_data') LIMIT 1"
    )
