"""A whole unit as processes: device on a pty, agent, Mosquitto, subscriber; and its faults."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.mosquitto import Mosquitto
from support.unit import Device, Process, Subscriber, Unit, wait_for

from agent.store import Reader
from sync.contract import AlarmMessage, BedState, Strip, Summary, Vitals

SCENARIO_FLATLINE = """
[[step]]
rhythm = "sinus"
seconds = 12
[[step]]
rhythm = "asystole"
seconds = 600
"""
SCENARIO_BOUTS = """
[[step]]
rhythm = "sinus"
seconds = 10
[[step]]
rhythm = "asystole"
seconds = 8
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that keeps what it confirmed over a restart."""
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        yield broker


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Whatever a test starts is stopped."""
    started: list[Process] = []
    yield started
    for process in reversed(started):
        process.stop()


def scenario(folder: Path, text: str) -> str:
    """A scenario file."""
    path = folder / "scenario.toml"
    path.write_text(text)
    return str(path)


def heart_rate_shown(station: Subscriber) -> bool:
    """Whether a number arrived at the subscriber."""
    return any(vitals.rate_bpm is not None for vitals in station.heard(Vitals))


def test_every_stored_sample_is_the_emulated_one(tmp_path: Path, processes: list[Process]) -> None:
    stored_is_emulated(tmp_path, processes, "--scenario", "sinus")


def test_every_stored_sample_of_a_recording_is_the_emulated_one(
    tmp_path: Path, processes: list[Process], shared: Path
) -> None:
    stored_is_emulated(tmp_path, processes, "--source", str(shared / "data" / "mitdb" / "208"))


def stored_is_emulated(folder: Path, processes: list[Process], *source: str) -> None:
    """Read back through the store, the wave is what the device sent, sample for sample."""
    counts = folder / "counts.bin"
    unit = Unit(folder)
    device = Device(folder, *source, "--stop-after", "15", "--log-counts", str(counts))
    processes += [device, unit.start()]
    wait_for("the device to end", lambda: not device.running())
    time.sleep(0.5)
    assert unit.process is not None
    assert unit.process.stop() == 0
    sent = np.fromfile(counts, "<i4")
    stored = stored_counts(unit.database)
    assert len(stored) > 500
    assert stored_is_within(stored, sent)


def stored_counts(database: Path) -> np.ndarray:
    """All of bed 1's wave, which must be one stretch without a gap."""
    segments = Reader.open(database).read_wave("1", 0, 2**62)
    assert len(segments) == 1
    assert segments[0].gaps == ()
    return segments[0].counts[:, 0]


def stored_is_within(stored: np.ndarray, sent: np.ndarray) -> bool:
    """Whether the stored samples are a stretch of the sent ones (the agent joins in)."""
    starts = np.flatnonzero(sent[: len(sent) - len(stored) + 1] == stored[0])
    return any(np.array_equal(sent[k : k + len(stored)], stored) for k in starts)


def test_kill_in_mid_alarm_loses_and_doubles_nothing(
    tmp_path: Path, broker: Mosquitto, processes: list[Process]
) -> None:
    unit = Unit(tmp_path, broker.port)
    station = Subscriber(broker.port)
    processes.append(Device(tmp_path, "--scenario", scenario(tmp_path, SCENARIO_FLATLINE)))
    process = unit.start()
    wait_for("asystole at the station", lambda: station.alarms("asystole"))
    process.kill()
    processes.append(unit.start())
    wait_for("asystole taken up", lambda: "asystole" in active(station))
    time.sleep(10)
    starts = unit.rows(
        "SELECT DISTINCT alarm_id FROM alarm_changes WHERE code = 'asystole' AND phase = 'start'"
    )
    assert len(starts) == 1
    heard = station.alarms("asystole")
    assert len({message.id for message in heard}) == 1
    assert {message.alarm.alarm_id for message in heard} == {starts[0][0]}
    station.close()


def active(station: Subscriber) -> set[str]:
    """Codes active in the newest state."""
    states = station.heard(BedState)
    return (
        {alarm.code for alarm in states[-1].alarms if alarm.state == "active"} if states else set()
    )


def test_everything_arrives_after_an_outage_alarms_first(
    tmp_path: Path, broker: Mosquitto, processes: list[Process]
) -> None:
    unit = Unit(tmp_path, broker.port)
    station = Subscriber(broker.port)
    processes.append(Device(tmp_path, "--scenario", scenario(tmp_path, SCENARIO_BOUTS)))
    processes.append(unit.start())
    wait_for("a heart rate", lambda: heart_rate_shown(station))
    broker.kill()
    wait_for("a summary to wait", lambda: queued(unit, "summary"), 100)
    wait_for("alarms to wait", lambda: queued(unit, "alarm"))
    wait_for("the outage as an alarm", lambda: stored_starts(unit, "broker_unreachable"))
    before = len(station.heard(AlarmMessage))
    broker.start()
    wait_for("the outbox to drain", lambda: not queued(unit, ""))
    wait_for("the summary", lambda: station.heard(Summary))
    arrived = station.heard(AlarmMessage)[before:]
    assert len(arrived) > 3
    stored = [row[0] for row in unit.rows("SELECT id FROM alarm_changes ORDER BY number")]
    unique = list(dict.fromkeys(m.id for m in station.heard(AlarmMessage)))
    assert unique == [id_ for id_ in stored if id_ in set(unique)], "in the order they happened"
    assert set(stored) <= set(unique) | set(later_than(unit, unique))
    station.close()


def later_than(unit: Unit, unique: list[str]) -> list[str]:
    """Changes stored after the last one that was heard: they are on their way."""
    ids = [row[0] for row in unit.rows("SELECT id FROM alarm_changes ORDER BY number")]
    return ids[ids.index(unique[-1]) + 1 :]


def queued(unit: Unit, kind: str) -> int:
    """Messages of a kind in the outbox."""
    query = "SELECT count(*) FROM outbox WHERE topic LIKE ?"
    return int(unit.rows(query, f"%{kind}")[0][0])


def stored_starts(unit: Unit, code: str) -> int:
    """How often an alarm started."""
    query = "SELECT count(*) FROM alarm_changes WHERE code = ? AND phase = 'start'"
    return int(unit.rows(query, code)[0][0])


def test_unplugged_and_replugged_device(
    tmp_path: Path, broker: Mosquitto, processes: list[Process]
) -> None:
    unit = Unit(tmp_path, broker.port)
    station = Subscriber(broker.port)
    device = Device(tmp_path, "--scenario", "sinus")
    processes += [device, unit.start()]
    wait_for("a heart rate", lambda: heart_rate_shown(station))
    device.send(signal.SIGUSR1)
    wait_for("the loss as an alarm", lambda: station.alarms("device_lost"))
    wait_for("no number", lambda: station.heard(Vitals)[-1].rate_bpm is None)
    time.sleep(3)
    device.send(signal.SIGUSR2)
    wait_for("the alarm's end", lambda: station.alarms("device_lost", "end"))
    wait_for("a number again", lambda: station.heard(Vitals)[-1].rate_bpm is not None)
    wait_for("the gap in the store", lambda: unit.rows("SELECT * FROM gaps"))
    cause, count = unit.rows("SELECT cause, count FROM gaps ORDER BY count DESC")[0]
    assert cause == "link_lost"
    assert count > 3 * 250
    station.close()


def test_acknowledge_over_mqtt_is_done_answered_and_audited(
    tmp_path: Path, broker: Mosquitto, processes: list[Process]
) -> None:
    unit = Unit(tmp_path, broker.port)
    station = Subscriber(broker.port)
    processes.append(Device(tmp_path, "--scenario", scenario(tmp_path, SCENARIO_FLATLINE)))
    processes.append(unit.start())
    start = wait_for("asystole", lambda: station.alarms("asystole"))[0]
    reply = station.ask("acknowledge", alarm_ids=(start.alarm.alarm_id,))
    assert reply.accepted
    done = wait_for("the change", lambda: station.alarms("asystole", "update"))[-1]
    assert done.alarm.acknowledged
    assert done.by == "station"
    refused = station.ask("admit")
    assert not refused.accepted
    assert "pseudonym" in refused.reason
    audit = unit.rows("SELECT who, what, accepted FROM audit ORDER BY number")
    assert ("station", "acknowledge", 1) in audit
    assert ("station", "admit", 0) in audit
    station.close()


def test_strip_around_an_alarm_reaches_the_station(
    tmp_path: Path, broker: Mosquitto, processes: list[Process]
) -> None:
    unit = Unit(tmp_path, broker.port)
    station = Subscriber(broker.port)
    processes.append(Device(tmp_path, "--scenario", scenario(tmp_path, SCENARIO_FLATLINE)))
    processes.append(unit.start())
    alarm = wait_for("asystole", lambda: station.alarms("asystole"))[0]
    strips = wait_for(
        "its strip",
        lambda: [s for s in station.heard(Strip) if s.alarm_id == alarm.alarm.alarm_id],
    )
    strip = strips[0]
    assert 18 * 250 <= strip.samples <= 21 * 250
    assert strip.start < alarm.alarm.raised < strip.start + 20_000_000_000
    assert len(strip.counts) == 4 * strip.samples
    station.close()


def test_unit_stops_in_order_on_sigterm(tmp_path: Path, processes: list[Process]) -> None:
    unit = Unit(tmp_path)
    processes.append(Device(tmp_path, "--scenario", "sinus"))
    process = unit.start()
    time.sleep(3)
    assert process.stop() == 0
    assert not unit.feed.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('driver = "cyton"', 'driver = "cytron"'), "did you mean 'cyton'"),
        (('name = "pi"', 'nam = "pi"'), "unknown key 'nam'; did you mean 'name'?"),
    ],
)
def test_configuration_fault_is_one_line(
    tmp_path: Path, change: tuple[str, str], says: str
) -> None:
    unit = Unit(tmp_path)
    unit.config.write_text(unit.config.read_text().replace(*change))
    process = Process(tmp_path / "log", "-m", "wardbeat", "run", "--config", str(unit.config))
    wait_for("it to end", lambda: not process.running())
    lines = [line for line in process.said().splitlines() if line]
    assert says in lines[-1]
    assert lines[-1].startswith("wardbeat: ")
    assert "Traceback" not in process.said()


def test_missing_port_and_broker_are_alarms_not_ends(
    tmp_path: Path, processes: list[Process]
) -> None:
    unit = Unit(tmp_path, broker_port=9)
    processes.append(unit.start())
    wait_for("device lost", lambda: stored_starts(unit, "device_lost"))
    wait_for("broker unreachable", lambda: stored_starts(unit, "broker_unreachable"))
    remedies = dict(unit.rows("SELECT code, remedy FROM alarms"))
    assert "ttyUSB0" in remedies["device_lost"]
    assert "127.0.0.1:9" in remedies["broker_unreachable"]


def test_garbage_on_the_port_is_an_alarm_that_says_what_to_do(
    tmp_path: Path, processes: list[Process]
) -> None:
    unit = Unit(tmp_path)
    noise = Process(
        tmp_path / "noise.log",
        "-c",
        "import os, pty, sys, time, tty\n"
        "ours, theirs = pty.openpty(); tty.setraw(theirs)\n"
        f"os.symlink(os.ttyname(theirs), {str(tmp_path / 'ttyUSB0')!r})\n"
        "while True: os.write(ours, os.urandom(200)); time.sleep(0.05)\n",
    )
    processes += [noise, unit.start()]
    wait_for(
        "no data", lambda: stored_starts(unit, "no_data") or stored_starts(unit, "device_lost")
    )
    query = "SELECT 1 FROM alarms WHERE remedy LIKE '%baud%'"
    wait_for("what to do", lambda: unit.rows(query))
