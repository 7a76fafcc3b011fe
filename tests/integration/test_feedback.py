"""A nurse's judgement: stored with its ECG, queued for the centre, exported as WFDB records."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import wfdb

from agent.alarms.types import Alarm, AlarmChange, AlarmKind, AlarmState, Phase, Priority
from agent.bed_commands import CommandDesk
from agent.clock import UnitClock
from agent.feed import FeedServer
from agent.feedback_export import export_feedback, signal_files
from agent.networks import load
from agent.outlets import Outlets
from agent.stamps import Stamper
from agent.store import Reader, Store
from agent.store.judgements import feedback
from drivers.files import open_record
from drivers.samples import Lead, SampleBlock, StreamInfo
from models.training.datasets import read
from sync.codec import decode
from sync.contract import Command, Feedback, Reply, Rhythm, Strip
from sync.ids import new_id

RATE = 250
LEADS = (Lead("II", 0.5, 100.0), Lead("V1", 0.5, 100.0))
NETWORKS = load()


class Bench:
    """A store with a bed's ECG and one VT alarm, and the desk that takes commands."""

    def __init__(self, folder: Path, *, height: int = 1000) -> None:
        self.clock = UnitClock()
        self.path = folder / "data" / "wardbeat.db"
        self.store = Store.open(self.path, boot_id="b", clock=self.clock)
        stamper = Stamper("boot", self.clock, new_id, trust_clock=True)
        outlets = Outlets("site", "pi", stamper, FeedServer(folder / "feed", self.refuse))
        bed: Any = SimpleNamespace(name="1", status=SimpleNamespace(unit="pi"), networks=NETWORKS)
        self.desk = CommandDesk({"1": bed}, self.store, outlets, self.clock)
        self.counts = self._record(height)
        self.alarm = Alarm(
            id=new_id(), code="vt", text="VENTRICULAR TACHYCARDIA",
            kind=AlarmKind.PHYSIOLOGICAL, priority=Priority.HIGH, state=AlarmState.ACTIVE,
            acknowledged=False, onset_ns=self.began_ns + 10 * 10**9,
            raised_ns=self.began_ns + 12 * 10**9, judged_by="rhythm 1.1.0",
        )  # fmt: skip

    def _record(self, height: int) -> np.ndarray:
        began = self.clock.monotonic_ns()
        self.began_ns = self.clock.utc_ns(began)
        stream = self.store.begin_stream("1", StreamInfo("Cyton", "x", RATE, LEADS), began)
        at = np.arange(30 * RATE)
        counts = (100 + height * np.sin(at[:, None] / 20 + [0.0, 1.0])).astype(np.int32)
        self.store.samples(stream, SampleBlock(0, counts, began, float(RATE)))
        return counts

    @staticmethod
    async def refuse(_: Command) -> Reply:
        raise AssertionError("nobody is connected")

    async def raised(self) -> Bench:
        change = AlarmChange(new_id(), self.alarm.raised_ns, Phase.START, self.alarm)
        await self.store.alarm_change(change, "1", [])
        return self

    async def judge(self, alarm_id: str | None = None, **said: Any) -> Reply:
        command = Command(
            id=new_id(), time=0, boot="s", seq=1, name="judge", bed="1", by="nurse 12",
            alarm_ids=(alarm_id or self.alarm.id,), **said,
        )  # fmt: skip
        return await self.desk.handle(command)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = await Bench(tmp_path).raised()
    yield bench
    await bench.store.close()


async def test_judgement_is_stored_with_strip_and_models_and_queued(bench: Bench) -> None:
    reply = await bench.judge(judgement="false", rhythm=Rhythm.NORMAL, note="brushing teeth")
    assert reply.accepted, reply.reason
    (kept,) = await bench.store.read(feedback)
    assert (kept.alarm.id, kept.judgement, kept.rhythm) == (bench.alarm.id, "false", "normal")
    assert kept.judged_by == "rhythm 1.1.0"
    assert {model.name for model in kept.models} == {m.name for m in NETWORKS.in_use}
    assert kept.strip is not None
    assert kept.strip.samples == pytest.approx(20 * RATE, abs=2)
    (message,) = await bench.store.outbox.pending(10, frozenset())
    assert message.topic == "wardbeat/v1/site/pi/bed/1/feedback"
    sent = decode(message.topic, message.payload)
    assert isinstance(sent, Feedback)
    assert (sent.code, sent.note, sent.by) == ("vt", "brushing teeth", "nurse 12")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"alarm_id": "nonsense", "judgement": "true"}, "never had an alarm 'nonsense'"),
        ({}, "needs one alarm id and a judgement"),
        ({"judgement": "true", "note": "x" * 501}, "longer than 500"),
    ],
)
async def test_what_cannot_be_judged_is_refused_and_audited(
    bench: Bench, said: dict[str, Any], why: str
) -> None:
    reply = await bench.judge(**said)
    assert not reply.accepted
    assert why in reply.reason
    rows = await bench.store.read(
        lambda r: r.connection.execute("SELECT who, what, accepted, reason FROM audit").fetchall()
    )
    assert [(*row,)[:3] for row in rows] == [("nurse 12", "judge", 0)]
    assert why in rows[0]["reason"]
    assert await bench.store.read(feedback) == []


async def test_newest_word_counts(bench: Bench) -> None:
    await bench.judge(judgement="unsure")
    await bench.judge(judgement="true")
    (kept,) = await bench.store.read(feedback)
    assert kept.judgement == "true"
    assert len(await bench.store.outbox.pending(10, frozenset())) == 2


async def test_export_reads_back_sample_for_sample(bench: Bench, tmp_path: Path) -> None:
    await bench.judge(judgement="true", note='said "VT", surely')
    out = tmp_path / "out"
    assert export_feedback(bench.path.parent, out) == 1
    (name,) = (out / "RECORDS").read_text().split()
    record = wfdb.rdrecord(str(out / name), physical=False)
    first = 2 * RATE
    sent = bench.counts[first : first + len(record.d_signal)]
    near = [bench.counts[first + k : first + k + len(sent)] for k in (-1, 0, 1)]
    assert any(np.array_equal(record.d_signal, one) for one in near)
    assert record.sig_name == ["II", "V1"]
    physical = wfdb.rdrecord(str(out / name))
    np.testing.assert_allclose(physical.p_signal[0], (record.d_signal[0] - 100) * 0.0005, atol=1e-9)
    marks = wfdb.rdann(str(out / name), "atr")
    assert marks.symbol == ['"', "+"]
    assert marks.aux_note[0].rstrip("\0") == "alarm=vt judgement=true"
    assert marks.aux_note[1].rstrip("\0") == "(VT"
    assert marks.sample[1] == pytest.approx(8 * RATE, abs=2)
    (row,) = csv.DictReader((out / "feedback.csv").open())
    assert (row["record"], row["note"]) == (name, 'said "VT", surely')
    assert "nurse" not in "".join(path.read_text("latin-1") for path in out.iterdir())
    assert all(path.stat().st_mode & 0o007 == 0 for path in out.iterdir())


async def test_our_own_readers_take_the_export(bench: Bench, tmp_path: Path) -> None:
    await bench.judge(judgement="false", rhythm=Rhythm.NORMAL)
    out = tmp_path / "out"
    export_feedback(bench.path, out)
    (name,) = (out / "RECORDS").read_text().split()
    trained_on = read(out, name)
    assert trained_on.signals.shape == (2, pytest.approx(20 * 250, abs=2))
    assert trained_on.rhythms == ("N",)
    with open_record(str(out / name)) as record:
        assert [lead.name for lead in record.leads] == ["II", "V1"]


async def test_export_without_feedback_is_empty(bench: Bench, tmp_path: Path) -> None:
    assert export_feedback(bench.path, tmp_path / "out") == 0
    assert (tmp_path / "out" / "RECORDS").read_text() == ""


@pytest.mark.parametrize("height", [100, 2_000_000])
def test_gaps_and_large_counts_are_written_as_they_are(tmp_path: Path, height: int) -> None:
    counts = np.array([[height], [0], [-height], [5]], "<i4")
    strip = Strip(
        id="", time=0, boot="", seq=0, unit="", bed="1", alarm_id="a", start=0, rate_hz=250.0,
        leads=("II",), microvolts_per_count=(0.02235,), offset_counts=(0.0,), samples=4,
        counts=counts.tobytes(), gaps=((1, 1),),
    )  # fmt: skip
    header, data = signal_files("r", strip)
    (tmp_path / "r.hea").write_text(header)
    (tmp_path / "r.dat").write_bytes(data)
    physical = wfdb.rdrecord(str(tmp_path / "r")).p_signal[:, 0] * 1000
    np.testing.assert_allclose(
        physical, [height * 0.02235, np.nan, -height * 0.02235, 5 * 0.02235], rtol=1e-6
    )


async def test_feedback_survives_a_restart(bench: Bench) -> None:
    await bench.judge(judgement="true")
    await bench.store.close()
    with Reader.open(bench.path) as reader:
        assert [one.judgement for one in feedback(reader)] == ["true"]
