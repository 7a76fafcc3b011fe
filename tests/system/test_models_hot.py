"""A running unit takes up a promote, refuses an unfit bundle, and loses no sample meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.bundles import damage, make_version, own_rhythm
from support.mosquitto import Mosquitto
from support.unit import Device, Process, Subscriber, Unit, wait_for

from agent.store import Reader
from models.changes import Changes
from models.registry import Registry
from sync.contract import UnitState, Vitals
from wardbeat import main


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        yield broker


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for process in reversed(started):
        process.stop()


def versions(station: Subscriber) -> dict[str, str]:
    """The networks of the newest unit message."""
    states = station.heard(UnitState)
    return {model.name: model.version for model in states[-1].models} if states else {}


def judged(unit: Unit, judge: str) -> int:
    return int(unit.rows("SELECT COUNT(*) FROM beats WHERE judged_by = ?", judge)[0][0])


def test_hot_change_and_refusal(
    tmp_path: Path, broker: Mosquitto, processes: list[Process]
) -> None:
    unit, counts = Unit(tmp_path, broker.port), tmp_path / "counts.bin"
    station = Subscriber(broker.port)
    device = Device(tmp_path, "--scenario", "sinus", "--log-counts", str(counts))
    processes += [device, unit.start()]
    wait_for("a rate", lambda: any(v.rate_bpm is not None for v in station.heard(Vitals)))

    registry = Registry(unit.database.parent / "models")
    changes = Changes(registry, "ward engineer")
    for name in ("beats", "rhythm"):
        changes.install(make_version(tmp_path / "from", name, "9.0.0"))
        changes.promote(name, "9.0.0")
    wait_for("beats by the new network", lambda: judged(unit, "beats 9.0.0") >= 5)
    wait_for("the unit's message", lambda: versions(station).get("rhythm") == "9.0.0")

    changes.install(make_version(tmp_path / "from", "rhythm", "9.1.0"))
    changes.promote("rhythm", "9.1.0")
    wait_for("it to run", lambda: versions(station).get("rhythm") == "9.1.0")
    damage(registry.find("rhythm", "9.1.0"))
    assert unit.process is not None
    unit.process.kill()
    processes.append(unit.start())  # the damaged one is refused, the last good one runs
    wait_for("the refusal", lambda: station.alarms("model_refused"))
    wait_for("the last good one", lambda: versions(station).get("rhythm") == "9.0.0")
    changes.rollback("rhythm")
    wait_for("the refusal to end", lambda: station.alarms("model_refused", "end"))
    unit.process.stop()
    device.stop()

    whole = Reader.open(unit.database).read_wave("1", 0, 2**62)
    sent = np.fromfile(counts, "<i4")
    for segment in whole:
        stored = segment.counts[:, 0]
        assert segment.gaps == ()
        starts = np.flatnonzero(sent[: len(sent) - len(stored) + 1] == stored[0])
        assert any(np.array_equal(sent[k : k + len(stored)], stored) for k in starts)
    rows = unit.rows("SELECT who, accepted, details FROM audit WHERE what = 'models' ORDER BY 1")
    assert any(who == "ward engineer" and ok for who, ok, _ in rows)
    assert any("rhythm 9.0.0" in json.loads(details)["after"] for _, _, details in rows)
    stream = unit.rows("SELECT MIN(stream) FROM beats")[0][0]
    times = [
        t for (t,) in unit.rows("SELECT time_s FROM beats WHERE stream = ? ORDER BY 1", stream)
    ]
    assert np.diff(times).max() < 1.5 * np.median(np.diff(times))
    station.close()


def test_shadow_runs_beside_and_raises_nothing(
    tmp_path: Path, broker: Mosquitto, processes: list[Process]
) -> None:
    unit = Unit(tmp_path, broker.port)
    station = Subscriber(broker.port)
    processes += [Device(tmp_path, "--scenario", "sinus"), unit.start()]
    wait_for("a rate", lambda: any(v.rate_bpm is not None for v in station.heard(Vitals)))

    changes = Changes(Registry(unit.database.parent / "models"), "ward engineer")
    changes.install(always_vf(tmp_path / "from"))
    changes.shadow("rhythm", "9.9.0")
    wait_for(
        "a disagreement",
        lambda: unit.rows("SELECT 1 FROM disagreements WHERE candidate_said = 'vf'"),
        patience_s=60,
    )
    assert not station.alarms("vf")
    shown = CliRunner().invoke(main, ["models", "trials", "--data", str(unit.database.parent)])
    assert "rhythm 9.9.0: vf" in shown.output
    changes.shadow("rhythm", "")
    wait_for("the trial's end", lambda: "shadow_runs" not in station.heard(UnitState)[-1].health)
    station.close()


def always_vf(folder: Path) -> Path:
    """A rhythm network that is sure of VF whatever it sees."""
    return own_rhythm(folder, "9.9.0", (-9.0, -9.0, -9.0, -9.0, 9.0))
