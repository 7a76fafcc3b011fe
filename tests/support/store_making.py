"""Values to store, and a clock that tests move."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np

from agent.alarms.types import Alarm, AlarmChange, AlarmKind, AlarmState, Phase, Priority
from agent.clock import UnitClock
from agent.store.connection import configure, connect
from agent.store.migrations import migrate
from agent.store.queue import Row, WaveRun
from agent.store.rows import stream_row
from drivers.samples import Counts, Lead, LeadState, SampleBlock, StreamInfo
from sync.contract import Rhythm, Vitals
from sync.ids import new_id
from sync.outbox import Lane, OutboxMessage

SECOND = 1_000_000_000
START_NS = 1_800_000_000 * SECOND
"""UTC at which tests begin."""
RATE_HZ = 250.0
CYTON = StreamInfo(
    device="OpenBCI Cyton",
    address="/dev/serial/by-id/usb-FTDI-0",
    rate_hz=RATE_HZ,
    leads=(Lead("II", 0.02235, 0.0, (-(2**23), 2**23 - 1)), Lead("V1", 0.02235)),
    serial_number="DM00Q0QE",
    firmware="v3.1.1",
)


class MovedClock:
    """Stands still until it is moved."""

    def __init__(self, wall_ns: int = START_NS) -> None:
        self.monotonic = 5_000 * SECOND
        self.wall = wall_ns
        self.clock = UnitClock(lambda: self.monotonic, lambda: self.wall)

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.monotonic += round(seconds * SECOND)
        self.wall += round(seconds * SECOND)

    def set_wall(self, by_s: float) -> int:
        """Step the wall clock; returns by how much, ns."""
        self.wall += round(by_s * SECOND)
        step = self.clock.follow()
        assert step is not None
        return step.by_ns


def ecg_counts(samples: int, leads: int = 2, seed: int = 1) -> Counts:
    """Something like a 24-bit ECG with wander."""
    noise = np.random.default_rng(seed).normal(0, 60, (samples, leads))
    return (np.cumsum(noise, axis=0) + 40_000).astype(np.int32)


def block(
    counts: Counts,
    first: int = 0,
    host_ns: int = 5_000 * SECOND,
    leads: tuple[LeadState, ...] = (),
) -> SampleBlock:
    """A block at its place on a stream axis that began at ``host_ns``."""
    at_ns = host_ns + round(first / RATE_HZ * SECOND)
    return SampleBlock(first, counts, at_ns, RATE_HZ, leads)


def run(
    counts: Counts,
    first: int = 0,
    *,
    stream: str = "s",
    states: str = "",
    off_ns: int = 0,
    rate_hz: float = RATE_HZ,
) -> WaveRun:
    """A run at its place; ``off_ns`` moves its times off the straight line."""
    at_ns = round(first / rate_hz * SECOND) + off_ns
    return WaveRun(stream, first, counts, START_NS + at_ns, at_ns, rate_hz, states)


def alarm(code: str = "asystole", state: AlarmState = AlarmState.ACTIVE) -> Alarm:
    """An alarm with every field off its default."""
    return Alarm(
        id=new_id(),
        code=code,
        text=code.capitalize(),
        kind=AlarmKind.PHYSIOLOGICAL,
        priority=Priority.HIGH,
        state=state,
        acknowledged=True,
        onset_ns=START_NS,
        raised_ns=START_NS + SECOND,
        ended_ns=START_NS + 9 * SECOND,
        value=4.2,
        limit=4.0,
        confidence=0.93,
        judged_by="rhythm 1.2.0",
        hidden=True,
        remedy="Look at the patient.",
    )


def change(
    of: Alarm | None = None,
    phase: Phase = Phase.START,
    state: AlarmState = AlarmState.ACTIVE,
    at_ns: int = START_NS,
) -> AlarmChange:
    """A change that leaves the alarm in ``state``."""
    return AlarmChange(new_id(), at_ns, phase, replace(of or alarm(), state=state), by="nurse 7")


def message(lane: Lane = Lane.ALARM, payload: bytes = b'{"tag":"alarm"}') -> OutboxMessage:
    """A message on its way."""
    return OutboxMessage(new_id(), lane, f"wardbeat/v1/site/unit/bed/1/{lane.name}", payload)


def vitals(at_ns: int = START_NS, bed: str = "bed1", rate_bpm: float | None = 72.0) -> Vitals:
    """One second's numbers."""
    return Vitals(
        id=new_id(),
        time=at_ns,
        boot="boot",
        seq=1,
        unit="unit",
        bed=bed,
        rate_bpm=rate_bpm,
        rr_ms=833.0,
        pvc_per_min=2,
        quality="usable",
        p_usable=0.98,
        rhythm=Rhythm.NORMAL,
        rhythm_confidence=0.9,
        rate_age_s=0.4,
        lag_ms=12.5,
    )


def database(path: Path | str = ":memory:") -> sqlite3.Connection:
    """A database of the newest schema with stream ``s`` (two leads) at ``bed1``."""
    connection = connect(Path(path)) if path != ":memory:" else sqlite3.connect(":memory:")
    connection.isolation_level = None
    configure(connection)
    migrate(connection)
    write(connection, stream_row("s", 1, "bed1", CYTON, START_NS, 0))
    return connection


def write(connection: sqlite3.Connection, row: Row) -> None:
    """Run one statement."""
    connection.execute(row.sql, row.values)
