"""The store as a unit uses it: what is handed over is there, durably, once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.store_making import (
    CYTON,
    SECOND,
    START_NS,
    MovedClock,
    alarm,
    block,
    change,
    ecg_counts,
    message,
    vitals,
)

from agent.alarms.types import AlarmState, Phase
from agent.rhythm.types import Beat, BeatClass, Finding, FindingKind, Rhythm, RhythmChange
from agent.store import Reader, Store, StoreClosedError
from agent.store.connection import connect
from drivers.samples import Gap, GapCause, StreamInfo
from sync.outbox import Lane

EVER = (0, 2**62)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "unit" / "wardbeat.db"


@pytest.fixture
def moved() -> MovedClock:
    return MovedClock()


@pytest_asyncio.fixture
async def store(path: Path, moved: MovedClock) -> AsyncIterator[Store]:
    opened = Store.open(path, boot_id="boot", version="1.2.3", clock=moved.clock)
    yield opened
    await opened.close()


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    """What another program reads at this moment."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


async def test_files_are_closed_to_others(store: Store, path: Path) -> None:
    await store.enqueue([message()])
    assert path.parent.stat().st_mode & 0o777 == 0o750
    for name in ("", "-wal", "-shm", ".lock", ".reserve"):
        assert Path(f"{path}{name}").stat().st_mode & 0o777 == 0o640


async def test_an_alarm_and_its_messages_are_on_disk_when_the_call_returns(
    store: Store, path: Path
) -> None:
    one = change()
    await store.alarm_change(one, "bed1", [message(), message(Lane.STRIP)])
    assert ask(path, "SELECT id, bed, state FROM alarm_changes") == [(one.id, "bed1", "active")]
    assert ask(path, "SELECT lane FROM outbox ORDER BY number") == [(0,), (1,)]
    assert store.health().outbox == 2


async def test_the_same_change_again_is_a_no_op_even_after_it_was_sent(
    store: Store, path: Path
) -> None:
    one, about = change(), message()
    await store.alarm_change(one, "bed1", [about])
    (sent,) = await store.outbox.pending(10, frozenset())
    await store.outbox.confirmed([sent.number])
    await store.alarm_change(one, "bed1", [about])
    assert ask(path, "SELECT COUNT(*) FROM alarm_changes") == [(1,)]
    assert ask(path, "SELECT COUNT(*) FROM outbox") == [(0,)]


async def test_many_alarms_at_once_are_all_stored_in_order(store: Store, path: Path) -> None:
    changes = [change() for _ in range(300)]
    await asyncio.gather(*(store.alarm_change(one, "bed1", [message()]) for one in changes))
    stored = [row[0] for row in ask(path, "SELECT id FROM alarm_changes ORDER BY number")]
    assert stored == [one.id for one in changes]
    assert store.health().outbox == 300


async def test_a_write_that_cannot_be_stored_fails_alone(store: Store, path: Path) -> None:
    bad = change(at_ns=2**70)
    results = await asyncio.gather(
        store.alarm_change(change(), "bed1", []),
        store.alarm_change(bad, "bed1", [message()]),
        store.alarm_change(change(), "bed1", [message()]),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), OverflowError, type(None)]
    assert ask(path, "SELECT COUNT(*) FROM alarm_changes") == [(2,)]
    assert ask(path, "SELECT COUNT(*) FROM outbox") == [(1,)]


async def test_a_cancelled_caller_still_gets_its_alarm_stored(store: Store, path: Path) -> None:
    waiting = asyncio.ensure_future(store.alarm_change(change(), "bed1", [message()]))
    await asyncio.sleep(0)
    waiting.cancel()
    await store.flush()
    assert ask(path, "SELECT COUNT(*) FROM alarm_changes") == [(1,)]
    await store.outbox.wait_for_news(5.0)
    assert len(await store.outbox.pending(10, frozenset())) == 1


async def test_bulk_is_on_disk_within_the_second_without_being_asked(
    store: Store, path: Path
) -> None:
    stream = store.begin_stream("bed1", CYTON, 5_000 * SECOND)
    store.samples(stream, block(ecg_counts(50)))
    store.vitals(vitals())
    async with asyncio.timeout(10):
        while ask(path, "SELECT COUNT(*) FROM waves") == [(0,)]:
            await asyncio.sleep(0.05)
    assert ask(path, "SELECT rate_bpm, quality FROM vitals") == [(72.0, "usable")]


async def test_what_the_chain_found_is_there_with_its_wall_time(store: Store) -> None:
    stream = store.begin_stream("bed1", CYTON, 5_000 * SECOND)
    store.samples(stream, block(ecg_counts(500)))
    beat = Beat(1.5, BeatClass.V, 0.6, 0.9, "beats 1.0.0", 900.0)
    af = RhythmChange(1.0, Rhythm.AF, 0.8, "rhythm 1.0.0")
    vt = Finding(FindingKind.VT, 0.5, 1.5, value=180.0, beats=(0.5, 0.8, 1.1))
    store.beats(stream, [beat])
    store.rhythm(stream, af)
    store.finding(stream, vt)
    store.gap(stream, Gap(500, 250, GapCause.LINK_LOST, 5_002 * SECOND))
    await store.flush()
    (found_beat,) = await store.read(lambda reader: reader.beats("bed1", *EVER))
    (found_rhythm,) = await store.read(lambda reader: reader.rhythms("bed1", *EVER))
    (found_finding,) = await store.read(lambda reader: reader.findings("bed1", *EVER))
    assert (found_beat.value, found_beat.at_ns) == (beat, START_NS + 3 * SECOND // 2)
    assert (found_rhythm.value, found_rhythm.at_ns) == (af, START_NS + SECOND)
    assert (found_finding.value, found_finding.at_ns) == (vt, START_NS + SECOND // 2)
    assert found_beat.stream == stream
    assert await store.read(lambda reader: reader.beats("bed2", *EVER)) == []


async def test_times_follow_the_devices_true_rate(store: Store) -> None:
    stream = store.begin_stream("bed1", CYTON, 5_000 * SECOND)
    slow = block(ecg_counts(250), first=250_000, host_ns=5_000 * SECOND)
    store.samples(stream, slow.__class__(250_000, slow.counts, 6_002 * SECOND, 249.5))
    assert store.utc_ns(stream, 1000.0) == START_NS + 1_002 * SECOND
    late_ns = store.utc_ns(stream, 1001.0) - store.utc_ns(stream, 1000.0)
    assert late_ns == round(250 / 249.5 * SECOND)


async def test_a_device_without_a_wave_can_still_have_beats(store: Store) -> None:
    strap = StreamInfo("Heart rate strap", "AA:BB", 0.0, ())
    stream = store.begin_stream("bed1", strap, 5_000 * SECOND)
    store.beats(stream, [Beat(2.5, BeatClass.Q, 0.8, 1.0, "device")])
    await store.flush()
    (beat,) = await store.read(lambda reader: reader.beats("bed1", *EVER))
    assert beat.at_ns == START_NS + 5 * SECOND // 2


async def test_the_counts_may_be_reused_by_the_driver(store: Store) -> None:
    counts = ecg_counts(250)
    before = counts.copy()
    stream = store.begin_stream("bed1", CYTON, 5_000 * SECOND)
    store.samples(stream, block(counts))
    counts[:] = 0
    found = await store.strip("bed1", *EVER)
    assert found is not None
    assert (found.counts == before).all()


async def test_samples_that_make_no_sense_are_refused(store: Store) -> None:
    stream = store.begin_stream("bed1", CYTON, 5_000 * SECOND)
    store.samples(stream, block(ecg_counts(250)))
    with pytest.raises(ValueError, match="250 are stored already"):
        store.samples(stream, block(ecg_counts(250), first=249))
    with pytest.raises(ValueError, match="a stream of 2 leads"):
        store.samples(stream, block(ecg_counts(250, leads=3), first=250))
    with pytest.raises(ValueError, match="no stream other"):
        store.samples("other", block(ecg_counts(250)))
    store.samples(stream, block(ecg_counts(0), first=250))
    store.samples(stream, block(ecg_counts(1), first=250))


async def test_a_row_the_database_refuses_costs_no_other(store: Store, path: Path) -> None:
    store.vitals(vitals())
    store.vitals(vitals(at_ns=2**70))
    stream = store.begin_stream("bed1", CYTON, 5_000 * SECOND)
    store.samples(stream, block(ecg_counts(250)))
    await store.flush()
    assert ask(path, "SELECT COUNT(*) FROM vitals") == [(1,)]
    assert ask(path, "SELECT SUM(count) FROM waves") == [(250,)]
    assert store.health().rejected_rows == 1


async def test_a_restarted_agent_goes_on_with_the_same_alarms(
    path: Path, moved: MovedClock
) -> None:
    vt, lead_off, gone = alarm("vt"), alarm("lead_off"), alarm("hr_high")
    first = Store.open(path, boot_id="boot", clock=moved.clock)
    await first.alarm_change(change(vt), "bed1", [])
    await first.alarm_change(change(lead_off), "bed2", [])
    await first.alarm_change(change(gone), "bed1", [])
    latched = change(vt, Phase.END, AlarmState.LATCHED)
    await first.alarm_change(latched, "bed1", [])
    await first.alarm_change(change(gone, Phase.END, AlarmState.INACTIVE), "bed1", [])
    await first.close()

    second = Store.open(path, boot_id="boot", clock=moved.clock)
    assert await second.open_alarms("bed1") == [latched.alarm]
    assert [one.id for one in await second.open_alarms("bed2")] == [lead_off.id]
    log = await second.read(lambda reader: reader.alarm_log("bed1"))
    assert [one.alarm.code for one in log] == ["vt", "hr_high", "vt", "hr_high"]
    assert (first.run_number, second.run_number) == (1, 2)
    await second.close()


async def test_settings_are_kept_per_bed_and_audited(store: Store, path: Path) -> None:
    await store.set_settings("bed1", {"limits": {"hr_high": 130}, "patient": "P-17"}, who="nurse 7")
    await store.set_settings("bed1", {"patient": None}, who="nurse 8")
    await store.set_settings("bed2", {"audio_paused_until": START_NS}, who="nurse 7")
    assert await store.settings("bed1") == {"limits": {"hr_high": 130}, "patient": None}
    assert await store.settings("bed2") == {"audio_paused_until": START_NS}
    await store.audit(
        who="centre", what="set_limits", bed="bed1", accepted=False, reason="hr_low above hr_high",
        details={"hr_low": 200},
    )  # fmt: skip
    rows = ask(path, "SELECT who, what, accepted, reason, details FROM audit ORDER BY number")
    assert [row[:3] for row in rows] == [
        ("nurse 7", "set", 1),
        ("nurse 8", "set", 1),
        ("nurse 7", "set", 1),
        ("centre", "set_limits", 0),
    ]
    assert rows[-1][3:] == ("hr_low above hr_high", '{"hr_low":200}')


async def test_a_clock_set_back_neither_loses_nor_reorders(
    store: Store, path: Path, moved: MovedClock
) -> None:
    stream = store.begin_stream("bed1", CYTON, moved.monotonic)
    counts = ecg_counts(1000)
    began = moved.monotonic
    for first in range(0, 1000, 250):
        if first == 500:
            store.clock_step(moved.set_wall(by_s=-3600))
        store.samples(stream, block(counts[first : first + 250], first, began))
        store.vitals(vitals(moved.clock.utc_ns()))
        await store.alarm_change(change(at_ns=moved.clock.utc_ns()), "bed1", [message()])
        moved.pass_s(1.0)
    await store.flush()
    blocks = await store.read(lambda reader: list(reader.events(stream)))
    assert blocks[0].first == 0
    assert sum(one.end - one.first for one in blocks) == 1000
    hour = 3600 * SECOND
    segments = await store.read_wave("bed1", START_NS - 2 * hour, START_NS + hour)
    assert [(one.first, one.end) for one in segments] == [(0, 500), (500, 1000)]
    assert segments[1].start_ns == START_NS - hour + 2 * SECOND
    log = await store.read(lambda reader: reader.alarm_log("bed1"))
    assert [one.at_ns - START_NS for one in log] == [
        0, SECOND, 2 * SECOND - hour, 3 * SECOND - hour,
    ]  # fmt: skip
    numbers = [one.number for one in await store.outbox.pending(10, frozenset())]
    assert numbers == sorted(numbers)
    assert ask(path, "SELECT COUNT(*) FROM vitals") == [(4,)]
    assert ask(path, "SELECT step_ns FROM clock_steps") == [(-hour,)]


async def test_closing_writes_everything_and_leaves_one_tidy_file(
    path: Path, moved: MovedClock
) -> None:
    store = Store.open(path, boot_id="boot", clock=moved.clock)
    stream = store.begin_stream("bed1", CYTON, 5_000 * SECOND)
    counts = ecg_counts(1000)
    for first in range(0, 1000, 50):
        store.samples(stream, block(counts[first : first + 50], first))
    store.vitals(vitals())
    await store.close()
    await store.close()
    assert not Path(f"{path}-wal").exists()
    with Reader.open(path) as reader:
        assert len(reader.vitals("bed1", *EVER)) == 1
        (segment,) = reader.read_wave("bed1", *EVER)
        assert (segment.counts == counts).all()
        assert reader.connection.execute("SELECT codec FROM waves").fetchall()[0][0] == "flac"


async def test_after_closing_nothing_is_taken(path: Path, moved: MovedClock) -> None:
    store = Store.open(path, boot_id="boot", clock=moved.clock)
    await store.close()
    with pytest.raises(StoreClosedError, match="open the store again"):
        await store.alarm_change(change(), "bed1", [])
    with pytest.raises(StoreClosedError):
        await store.flush()
    with pytest.raises(StoreClosedError):
        await store.open_alarms("bed1")
    with pytest.raises(StoreClosedError):
        await store.outbox.pending(1, frozenset())


async def test_health_says_what_is_kept(store: Store) -> None:
    stream = store.begin_stream("bed1", CYTON, 5_000 * SECOND)
    for first in range(0, 45_000, 250):
        store.samples(stream, block(ecg_counts(250), first))
    await store.enqueue([message(), message()])
    await store.flush()
    async with asyncio.timeout(20):
        while store.health().wave_hours == 0.0:
            await asyncio.sleep(0.1)
    health = store.health()
    assert health.wave_hours == pytest.approx(0.05)
    assert health.outbox == 2
    assert health.size_mb > 0.05
    assert health.troubles == ()
    assert (health.dropped_samples, health.dropped_rows, health.rejected_rows) == (0, 0, 0)
    buffer = health.buffer()
    assert (buffer.wave_hours, buffer.outbox) == (0.05, 2)
    assert buffer.disk_free_mb is not None


async def test_another_program_that_writes_only_delays(store: Store, path: Path) -> None:
    other = connect(path)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(store.alarm_change(change(), "bed1", [message()]))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    other.execute("ROLLBACK")
    other.close()
    await waiting
    assert ask(path, "SELECT COUNT(*) FROM alarm_changes") == [(1,)]
