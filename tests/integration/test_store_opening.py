"""Opening: what is refused with one clear line, what is put aside, what is brought up to date."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.store_making import (
    CYTON,
    SECOND,
    START_NS,
    MovedClock,
    block,
    change,
    ecg_counts,
    message,
    vitals,
)

from agent.store import (
    Reader,
    Store,
    StoreError,
    StoreForeignError,
    StoreInUseError,
    StoreTooNewError,
    StoreUnwritableError,
)
from agent.store import migrations as migrations_module
from agent.store.connection import connect
from agent.store.migrations import Migration, migrate, migrations, newest, version_of

OLD = Path(__file__).parents[1] / "unit" / "old_databases"
EVER = (0, 2**62)
NONE: frozenset[int] = frozenset()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wardbeat.db"


async def filled(path: Path, alarms: int = 40) -> list[str]:
    """A database with some minutes of wave; returns the ids of its alarm changes."""
    store = Store.open(path, boot_id="boot", clock=MovedClock().clock)
    stream = store.begin_stream("bed1", CYTON, 5_000 * SECOND)
    for first in range(0, 60_000, 500):
        store.samples(stream, block(ecg_counts(500, seed=first), first))
    ids = []
    for _ in range(alarms):
        one = change()
        ids.append(one.id)
        await store.alarm_change(one, "bed1", [message()])
    store.vitals(vitals())
    await store.set_settings("bed1", {"patient": "P-17"}, who="nurse")
    await store.close()
    return ids


def one_line(error: pytest.ExceptionInfo[StoreError], path: Path) -> None:
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert "; " in text


async def test_two_agents_on_one_database(path: Path) -> None:
    store = Store.open(path, boot_id="boot")
    with pytest.raises(
        StoreInUseError, match=rf"another agent has it \(process {os.getpid()}\)"
    ) as error:
        Store.open(path, boot_id="boot")
    one_line(error, path)
    await store.alarm_change(change(), "bed1", [message()])
    await store.close()
    await Store.open(path, boot_id="boot").close()


async def test_the_lock_of_a_killed_agent_is_no_lock(path: Path) -> None:
    code = (
        "import os, sys\n"
        "from agent.store import Store\n"
        "Store.open(sys.argv[1], boot_id='boot')\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    agent = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert agent.stdout is not None
    assert agent.stdout.readline() == b"open\n"
    with pytest.raises(StoreInUseError, match=rf"process {agent.pid}"):
        Store.open(path, boot_id="boot")
    agent.kill()
    agent.communicate()
    await Store.open(path, boot_id="boot").close()


async def test_a_database_of_a_later_wardbeat_is_left_alone(path: Path) -> None:
    await filled(path, alarms=1)
    connection = connect(path)
    connection.execute(f"PRAGMA user_version = {newest() + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreTooNewError, match="update wardbeat") as error:
        Store.open(path, boot_id="boot")
    one_line(error, path)
    with pytest.raises(StoreTooNewError):
        Reader.open(path)
    assert path.read_bytes() == before


async def test_another_programs_database_is_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE letters (text)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreForeignError, match="another program's") as error:
        Store.open(path, boot_id="boot")
    one_line(error, path)
    assert path.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_folder_without_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreUnwritableError, match="Permission denied"):
            Store.open(tmp_path / "wardbeat.db", boot_id="boot")
    finally:
        tmp_path.chmod(0o700)


async def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    path = tmp_path / "data" / "wardbeat.db"
    with pytest.raises(StoreUnwritableError, match="check the mount") as error:
        Store.open(path, boot_id="boot")
    one_line(error, path)


@pytest.mark.parametrize("has_database", [False, True])
async def test_a_read_only_file_system(tmp_path: Path, has_database: bool) -> None:
    path = tmp_path / "wardbeat.db"
    if has_database:
        await filled(path, alarms=1)
    mounted = subprocess.run(["mount", "--bind", tmp_path, tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting needs root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", tmp_path], check=True)
        with pytest.raises(StoreUnwritableError, match="Read-only file system") as error:
            Store.open(path, boot_id="boot")
        one_line(error, path)
        if has_database:
            with Reader.open(path) as reader:
                assert len(reader.alarm_log("bed1")) == 1
    finally:
        subprocess.run(["umount", tmp_path], check=True)


DAMAGES = {
    "header overwritten": lambda raw: b"\0" * 100 + raw[100:],
    "not a database": lambda raw: b"a letter to the ward\n" * 1000,
    "cut short": lambda raw: raw[: len(raw) * 2 // 3],
    "a hole in the middle": lambda raw: raw[:40_960] + b"\xff" * 65_536 + raw[106_496:],
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_database_is_kept_aside_and_a_new_one_begun(
    path: Path, damage: str
) -> None:
    await filled(path)
    damaged = DAMAGES[damage](path.read_bytes())
    path.write_bytes(damaged)
    store = Store.open(path, boot_id="boot", clock=MovedClock().clock)
    assert store.damage is not None
    aside = store.damage.moved_to
    assert aside.name.startswith("wardbeat.db.damaged-20270115T080000")
    assert aside.stat().st_size == len(damaged)
    (trouble,) = store.health().troubles
    assert str(aside) in trouble
    assert "check the storage card" in trouble
    await store.alarm_change(change(), "bed1", [message()])
    await store.close()
    again = Store.open(path, boot_id="boot")
    assert again.damage is None
    assert again.health().troubles == ()
    await again.close()
    assert aside.stat().st_size == len(damaged)


async def test_damage_in_the_waves_costs_no_alarm(path: Path) -> None:
    ids = await filled(path, alarms=200)
    connection = sqlite3.connect(path)
    (root,) = connection.execute(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'waves'"
    ).fetchone()
    connection.close()
    raw = bytearray(path.read_bytes())
    raw[(root - 1) * 4096 : root * 4096] = b"\xa5" * 4096
    path.write_bytes(raw)

    store = Store.open(path, boot_id="boot")
    assert store.damage is not None
    assert store.damage.saved["alarm_changes"] == len(ids)
    log = await store.read(lambda reader: reader.alarm_log("bed1"))
    assert [one.id for one in log] == ids
    assert len(await store.outbox.pending(1000, NONE)) == len(ids)
    assert len(await store.open_alarms("bed1")) == len(ids)
    assert await store.settings("bed1") == {"patient": "P-17"}
    assert store.run_number == 2
    assert store.health().outbox == len(ids)
    await store.close()


async def test_a_bad_page_among_the_alarms_costs_only_its_own(path: Path) -> None:
    ids = await filled(path, alarms=300)
    raw = bytearray(path.read_bytes())
    middle = ids[150].encode()
    page = raw.find(middle) // 4096
    raw[page * 4096 : (page + 1) * 4096] = b"\x5a" * 4096
    path.write_bytes(raw)
    store = Store.open(path, boot_id="boot")
    assert store.damage is not None
    log = await store.read(lambda reader: reader.alarm_log("bed1"))
    assert 250 < len(log) <= 300
    assert [one.id for one in log] == [one for one in ids if one in {kept.id for kept in log}]
    await store.close()


async def test_a_damaged_wal_costs_only_its_own_tail(path: Path) -> None:
    """SQLite's checksums end the WAL at the first torn frame: what came before stands."""
    store = Store.open(path, boot_id="boot")
    wal = Path(f"{path}-wal")
    acknowledged: list[tuple[str, int]] = []
    for _ in range(30):
        one = change()
        await store.alarm_change(one, "bed1", [message()])
        acknowledged.append((one.id, wal.stat().st_size))
    copies = path.parent / "copies"
    copies.mkdir()
    chance = np.random.default_rng(5)
    size = wal.stat().st_size
    for number in range(12):
        copy = copies / f"{number}.db"
        cut = int(chance.integers(acknowledged[0][1], size + 1))
        shutil.copy(path, copy)
        torn = bytearray(wal.read_bytes()[:cut])
        torn[-1] ^= 0xFF
        Path(f"{copy}-wal").write_bytes(torn)
        survivor = Store.open(copy, boot_id="boot")
        log = await survivor.read(lambda reader: reader.alarm_log("bed1"))
        stored = [one.id for one in log]
        durable = [one for one, length in acknowledged if length < cut]
        assert stored[: len(durable)] == durable
        assert stored == [one for one, _ in acknowledged][: len(stored)]
        assert survivor.damage is None
        assert len(await survivor.outbox.pending(1000, NONE)) == len(stored)
        await survivor.close()
    await store.close()


def dump_of(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    return {(name, " ".join(sql.split())) for name, sql in rows if name != "sqlite_sequence"}


@pytest.mark.parametrize("version", sorted(file.name for file in OLD.glob("*.sql")))
async def test_an_old_database_is_brought_up_to_date_with_its_data(
    path: Path, version: str
) -> None:
    old = connect(path)
    old.executescript((OLD / version).read_text())
    old.close()
    store = Store.open(path, boot_id="boot")
    assert store.damage is None
    alarms = await store.open_alarms("bed1")
    assert [(one.code, one.value) for one in alarms] == [("asystole", 4.2)]
    assert len(await store.outbox.pending(10, NONE)) == 3
    assert await store.settings("bed1") == {"limits": {"hr_high": 130}, "patient": "P-17"}
    (segment,) = await store.read_wave("bed1", *EVER)
    assert np.array_equal(segment.counts, ecg_counts(400, seed=3))
    assert [one.rate_bpm for one in await store.read(lambda r: r.vitals("bed1", *EVER))] == [72.0]
    await store.close()
    with Reader.open(path) as reader:
        migrated = dump_of(reader.connection)
        assert version_of(reader.connection) == newest()
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    migrate(fresh)
    assert migrated == dump_of(fresh)


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = newest() + 1
    steps = (
        Migration(first, "good", "CREATE TABLE good (a);"),
        Migration(first + 1, "bad", "CREATE TABLE half (a); INSERT INTO nowhere VALUES (1);"),
    )
    known = migrations()
    monkeypatch.setattr(migrations_module, "migrations", lambda: known + steps)
    with pytest.raises(StoreUnwritableError, match="nowhere"):
        Store.open(path, boot_id="boot")
    connection = sqlite3.connect(path)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert "good" in tables
    assert "half" not in tables
    assert version_of(connection) == first
    connection.close()


async def test_times_and_boot_of_each_start_are_noted(path: Path) -> None:
    for boot in ("a", "b"):
        clock = MovedClock(START_NS)
        await Store.open(path, boot_id=boot, version="0.1.0", clock=clock.clock).close()
    with Reader.open(path) as reader:
        runs = reader.connection.execute("SELECT * FROM runs").fetchall()
    assert [tuple(row) for row in runs] == [
        (1, "a", "0.1.0", START_NS, 5_000 * SECOND),
        (2, "b", "0.1.0", START_NS, 5_000 * SECOND),
    ]
