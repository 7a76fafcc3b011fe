"""The file of raw bytes: round trip, torn and damaged ends, what is no recording."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.raw_playback import Playback
from drivers.raw_recording import (
    Entry,
    EntryType,
    RawReader,
    RawRecordingError,
    RawWriter,
)
from drivers.recording import replayed_driver
from drivers.samples import DriverError

KINDS = [kind for kind in EntryType if kind is not EntryType.CHANNEL]
ENTRIES = st.lists(
    st.builds(
        Entry,
        st.sampled_from(KINDS),
        st.integers(0, 2**63),
        st.binary(max_size=300),
        st.sampled_from(["", "2a37", "fb005c82-02e7-f387-1cad-8acd2d8df0c8"]),
    ),
    max_size=30,
)


def write(path: Path, entries: list[Entry]) -> None:
    path.unlink(missing_ok=True)
    with RawWriter(path, {"kind": "cyton", "address": "/dev/ttyUSB0"}) as writer:
        for entry in entries:
            writer.note(entry.type, entry.at_ns, entry.data, entry.channel)
        assert writer.entries == len(entries)


@given(ENTRIES, st.integers(0, 10_000))
def test_what_is_written_is_read_and_a_torn_end_costs_only_the_torn_entry(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry], cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "round.wbraw"
    write(path, entries)
    reader = RawReader(path)
    assert list(reader.entries()) == entries
    assert not reader.torn
    whole = path.read_bytes()
    start = whole.index(b"}") + 1
    keep = max(start, len(whole) - cut)
    path.write_bytes(whole[:keep])
    torn = RawReader(path)
    kept = list(torn.entries())
    assert kept == entries[: len(kept)]
    assert keep < len(whole) or len(kept) == len(entries)


def test_damage_ends_the_reading_without_an_exception(tmp_path: Path) -> None:
    path = tmp_path / "damaged.wbraw"
    entries = [Entry(EntryType.RECEIVED, k, bytes([k]) * 50) for k in range(20)]
    write(path, entries)
    whole = path.read_bytes()
    start = whole.index(b"}") + 1
    draw = random.Random(5)
    for _ in range(500):
        data = bytearray(whole)
        data[draw.randrange(start, len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(data))
        reader = RawReader(path)
        found = list(reader.entries())
        assert reader.torn
        assert found == entries[: len(found)]


@pytest.mark.parametrize(
    "content",
    [b"", b"WBRAW1\n", b"PK\x03\x04 zip", b"WBRAW1\n\x02\0\0\0[]", b"WBRAW1\n\xff\0\0\0{"],
)
def test_what_is_no_recording_is_said_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(RawRecordingError, match="is no recording of raw bytes"):
        RawReader(path)


def test_files_that_cannot_be_made_or_read(tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.write_text("mine")
    with pytest.raises(RawRecordingError, match="exists already; choose another name"):
        RawWriter(path, {})
    assert path.read_text() == "mine"
    with pytest.raises(RawRecordingError, match="can't be created"):
        RawWriter(tmp_path / "no folder" / "x", {})
    with pytest.raises(RawRecordingError, match="can't be read"):
        RawReader(tmp_path / "none")


def test_a_header_without_its_device_or_with_an_unknown_one(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with RawWriter(path, {"kind": "cyton"}):
        pass
    with pytest.raises(RawRecordingError, match="lacks 'address'"):
        replayed_driver(RawReader(path), Playback([]))
    other = tmp_path / "y"
    with RawWriter(other, {"kind": "cytn", "address": "a", "options": {}}):
        pass
    with pytest.raises(DriverError, match="did you mean 'cyton'"):
        replayed_driver(RawReader(other), Playback([]))


async def test_a_driver_that_writes_less_than_that_day_still_gets_what_came() -> None:
    playback = Playback(
        [
            Entry(EntryType.OPENED, 0),
            Entry(EntryType.SENT, 10, b"v"),
            Entry(EntryType.RECEIVED, 20, b"answer"),
        ]
    )
    port = playback.serial_port("/dev/ttyUSB0", 9600)
    reads = [await port.read(1.0) for _ in range(4)]
    assert reads == [b"", b"", b"", b"answer"]
    assert port.bytes_read == 6


def test_a_full_disk_ends_the_recording_not_the_driver(tmp_path: Path) -> None:
    with RawWriter(tmp_path / "x", {}) as writer:
        writer._file.close()
        writer._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
        writer.note(EntryType.RECEIVED, 1, b"data")
        writer.note(EntryType.RECEIVED, 2, b"data")
        assert writer.entries == 0
        assert "can't be written (No space left on device)" in str(writer.fault)
