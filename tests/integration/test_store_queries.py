"""What docs/store.md tells people to type works on the database of a running unit."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
import soundfile
from support.store_making import (
    CYTON,
    SECOND,
    block,
    change,
    ecg_counts,
    message,
    vitals,
)

from agent.alarms.types import AlarmState, Phase
from agent.rhythm.types import Beat, BeatClass, Finding, FindingKind, Rhythm, RhythmChange
from agent.store import Reader, Retention, Store
from drivers.samples import Gap, GapCause
from sync.contract import Summary
from sync.ids import new_id
from sync.outbox import Lane

PAGE = (Path(__file__).parents[2] / "docs/store.md").read_text(encoding="utf-8")
EVER = (0, 2**62)


def blocks_of(language: str) -> dict[str, str]:
    """The page's code blocks of a language, by the line of text before each."""
    found = re.findall(rf"([^\n]+)\n\n```{language}\n(.*?)\n```", PAGE, re.DOTALL)
    return {title.strip(" :")[:60]: code for title, code in found}


QUERIES = blocks_of("sql")
COMMANDS = blocks_of("sh")


@dataclass(frozen=True)
class Unit:
    """A unit that has been running for a while."""

    store: Store
    path: Path


@pytest_asyncio.fixture
async def unit(tmp_path: Path) -> AsyncIterator[Unit]:
    path = tmp_path / "wardbeat.db"
    store = Store.open(path, boot_id="boot", version="0.1.0")
    now_ns = store._clock.utc_ns()
    began = store._clock.monotonic_ns()
    stream = store.begin_stream("bed1", CYTON, began)
    store.samples(stream, block(ecg_counts(16_000), host_ns=began))
    store.gap(stream, Gap(16_000, 100, GapCause.LOST_PACKETS, began + 64 * SECOND))
    store.beats(stream, [Beat(1.0, BeatClass.N, None, 0.9, "r"), Beat(2.0, BeatClass.V, 1, 1, "r")])
    store.rhythm(stream, RhythmChange(1.0, Rhythm.NORMAL, 0.9, "rhythm 1.0.0"))
    store.rhythm(stream, RhythmChange(9.0, Rhythm.AF, 0.9, "rhythm 1.0.0"))
    store.finding(stream, Finding(FindingKind.VT, 3.0, 5.0, 9.0, 180.0))
    store.vitals(vitals(now_ns))
    store.vitals(vitals(now_ns + SECOND, rate_bpm=None))
    minute = Summary(
        id=new_id(), time=now_ns, boot="b", seq=1, unit="u", bed="bed1", start=now_ns,
        duration_s=60.0, seconds_by_rhythm={"normal": 60.0},
    )  # fmt: skip
    store.summary(minute)
    store.clock_step(SECOND)
    first = change(at_ns=now_ns)
    await store.alarm_change(first, "bed1", [message()])
    await store.alarm_change(change(first.alarm, Phase.UPDATE, at_ns=now_ns), "bed1", [message()])
    await store.alarm_change(change(state=AlarmState.INACTIVE), "bed2", [message(Lane.STRIP)])
    await store.enqueue([message(Lane.SUMMARY)])
    await store.set_settings("bed1", {"patient": "P-17"}, who="nurse 7")
    await store.flush()
    yield Unit(store, path)
    await store.close()


def cli(unit: Unit, *arguments: str) -> bytes:
    command = [sys.executable, "-m", "sqlite_utils", *arguments]
    return subprocess.run(command, check=True, capture_output=True, cwd=unit.path.parent).stdout


async def test_every_query_of_the_page_finds_something(unit: Unit) -> None:
    assert len(QUERIES) == PAGE.count("```sql") > 12
    connection = sqlite3.connect(f"file:{unit.path}?mode=ro", uri=True)
    for title, query in QUERIES.items():
        rows = connection.execute(query, {"bed": "bed1"} if ":bed" in query else {}).fetchall()
        assert rows, title
        assert any(value is not None for value in rows[0]), title
    connection.close()


async def test_the_figures_in_the_answers_are_right(unit: Unit) -> None:
    connection = sqlite3.connect(f"file:{unit.path}?mode=ro", uri=True)
    ask = {title: connection.execute(query, {"bed": "bed1"}) for title, query in QUERIES.items()}
    by_title = {title: rows.fetchall() for title, rows in ask.items()}
    (start_ns,) = connection.execute("SELECT start_ns FROM waves").fetchone()
    connection.close()
    assert len(by_title["Alarms that stand now, the most urgent first"]) == 1
    assert len(by_title["A bed's alarm log of the last day"]) == 2
    segments = by_title["The rhythms of a bed, one after the other"]
    assert [row[1:3] for row in segments] == [("af", None), ("normal", 8.0)]
    assert by_title["What is missing, by device and cause"] == [
        ("bed1", "OpenBCI Cyton", "lost_packets", 1, 0.4)
    ]
    waves = by_title["Hours and megabytes of wave, and bits per sample"]
    assert waves[0][:3] == ("bed1", "OpenBCI Cyton", 0.02)
    lanes = by_title["What waits for the broker (lane 0 alarms, 1 strips, 2 summar"]
    assert [row[:2] for row in lanes] == [(0, 2), (1, 1), (2, 1)]
    began = by_title["When a bed's waves truly began, on a Pi without a clock chip"]
    truly = datetime.fromtimestamp(start_ns // SECOND + 1, UTC)
    assert began == [(1, 0, 16_000, f"{truly:%Y-%m-%d %H:%M:%S}")], "the step of 1 s is added"
    assert by_title["Beats by class"] == [("bed1", "N", 1), ("bed1", "V", 1)]


async def test_the_command_line_reads_beside_the_running_agent(unit: Unit) -> None:
    tables = {
        row["table"]: row["count"]
        for row in json.loads(cli(unit, "tables", "wardbeat.db", "--counts"))
    }
    assert tables["alarm_changes"] == 3
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) & set(tables)
    assert set(tables) - listed == {"sqlite_sequence"}
    query = QUERIES["Heart rate by the minute"]
    (minute, *_) = json.loads(cli(unit, "query", "wardbeat.db", "-p", "bed", "bed1", query))
    assert minute["mean"] == 72.0
    await unit.store.alarm_change(change(), "bed1", [message()])
    counted = cli(unit, "query", "wardbeat.db", "SELECT COUNT(*) FROM alarm_changes", "--raw")
    assert counted == b"4"


@pytest.mark.parametrize("title", COMMANDS)
async def test_every_command_of_the_page_works(unit: Unit, title: str) -> None:
    program, *arguments = shlex.split(COMMANDS[title])
    assert program == "sqlite-utils"
    said = cli(unit, *arguments)
    assert said


async def test_a_backup_of_the_live_database_is_whole(unit: Unit, tmp_path: Path) -> None:
    (backup,) = (code for code in COMMANDS.values() if "VACUUM INTO" in code)
    cli(unit, *shlex.split(backup)[1:])
    with Reader.open(tmp_path / "backup.db") as reader:
        (segment,) = reader.read_wave("bed1", *EVER)
        assert (segment.counts == ecg_counts(16_000)).all()
    again = Store.open(tmp_path / "backup.db", boot_id="boot")
    assert again.damage is None
    assert again.run_number == 2
    assert len(await again.open_alarms("bed1")) == 1
    await again.close()


async def test_a_block_of_wave_is_a_flac_file(unit: Unit, tmp_path: Path) -> None:
    (export,) = (code for code in COMMANDS.values() if "FROM waves" in code)
    file = tmp_path / "wave.flac"
    file.write_bytes(cli(unit, *shlex.split(export)[1:]))
    counts, rate_hz = soundfile.read(file, dtype="int32")
    assert rate_hz == 250
    assert (counts >> 8 == ecg_counts(16_000)).all()


def test_the_page_names_the_defaults_in_force() -> None:
    defaults = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", PAGE, re.MULTILINE))
    assert defaults == {one.name: f"{one.default:g}" for one in fields(Retention)}
