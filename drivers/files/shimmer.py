"""A Shimmer3's SD log as one ``Record``: ExG channels, their gaps by the sensor's time stamps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from drivers.decoders.shimmer import (
    EXG1,
    EXG2,
    FULL_SCALE_16,
    FULL_SCALE_24,
    STAMP_TURN,
    TICKS_HZ,
    Layout,
    ShimmerError,
    gain_of,
    microvolts_per_count,
)
from drivers.files.record import (
    Record,
    RecordError,
    Run,
    Samples,
    Signal,
    axis_pieces,
    choose_leads,
)
from drivers.files.shimmer_header import (
    BLOCK_BYTES,
    EXG1_16,
    EXG2_16,
    HEADER_BYTES,
    SYNC_BYTES,
    ShimmerHeader,
    parse_header,
)
from drivers.samples import Counts, Lead

_BLOCKS_AT_ONCE = 8192
_COPY_AGAIN = "copy the file again from its card"
_LONGEST_STEP = 60 * TICKS_HZ
"""The card holds up a sensor for a second at most: a stamp further on is a damaged one."""
_NO_OFFSET = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class _Channel:
    """An ExG channel of a log."""

    column: int
    """Among the layout's channels."""
    name: str
    gain: int
    bits: int


def is_shimmer(path: Path) -> bool:
    """Whether a Shimmer3's header stands at the file's begin. Its logs have no extension."""
    try:
        with path.open("rb") as file:
            return parse_header(file.read(HEADER_BYTES)) is not None
    except OSError:
        return False


class ShimmerRecord(Record):
    """An SD log; what the card was too slow for keeps its place on the axis."""

    def __init__(self, path: Path, *, leads: Sequence[str] | None = None) -> None:
        self._path = path
        self._file = _open(path)
        try:
            header = parse_header(self._file.read(HEADER_BYTES))
            if header is None:
                raise RecordError("is no log of a Shimmer3", str(path), "choose another file")
            self._layout = Layout(header.channels)
            self._sync = SYNC_BYTES if header.synchronised else 0
            self._size = self._layout.size - 1
            self._per_block = (BLOCK_BYTES - self._sync) // self._size
            chosen, warnings = self._choose(header, leads)
            self._columns = [channel.column for channel in chosen]
            self._records, torn = self._count()
            self._runs, offset, found = self._survey(header.ticks)
        except RecordError:
            self.close()
            raise
        start = header.start()
        if start is not None and offset is not None:
            start -= timedelta(seconds=offset / TICKS_HZ)
        last = self._runs[-1]
        super().__init__(
            name=path.stem,
            address=str(path),
            form="Shimmer3",
            rate_hz=header.rate_hz,
            leads=tuple(_lead(channel) for channel in chosen),
            n_samples=last.first + last.count,
            start=start,
            comments=(header.firmware, *self._told(offset)),
            warnings=warnings + torn + found,
        )

    def _choose(
        self, header: ShimmerHeader, wanted: Sequence[str] | None
    ) -> tuple[list[_Channel], tuple[str, ...]]:
        try:
            channels = list(_channels(header))
        except ShimmerError as fault:
            raise RecordError(str(fault), str(self._path), _COPY_AGAIN) from fault
        signals = [Signal(channel.name, "uV", 1) for channel in channels]
        numbers, warnings = choose_leads(signals, wanted, str(self._path))
        return [channels[number] for number in numbers], warnings

    def _count(self) -> tuple[int, tuple[str, ...]]:
        """Whole records in the file, and a warning where it ends within one."""
        size = self._path.stat().st_size - HEADER_BYTES
        blocks, rest = divmod(size, self._block_bytes)
        more, torn = divmod(max(0, rest - self._sync), self._size)
        records = blocks * self._per_block + more
        if records <= 0:
            raise RecordError("holds no record", str(self._path), _COPY_AGAIN)
        return records, ("ends within a record, which is left out",) if torn else ()

    @property
    def _block_bytes(self) -> int:
        return self._per_block * self._size + self._sync

    def _told(self, offset: int | None) -> tuple[str, ...]:
        if offset is None:
            return ()
        return (f"synchronised: its clock was {offset / TICKS_HZ * 1e3:+.1f} ms off the master's",)

    def _survey(self, ticks: int) -> tuple[list[Run], int | None, tuple[str, ...]]:
        """Runs on the axis by all time stamps, the first offset to the master, and warnings."""
        runs: list[Run] = []
        offset: int | None = None
        begin = place = jumped = 0
        last: int | None = None
        step_records = _BLOCKS_AT_ONCE * self._per_block
        for at in range(0, self._records, step_records):
            count = min(step_records, self._records - at)
            rows, syncs = self._rows(at, count)
            if offset is None:
                offset = _first_offset(syncs)
            stamps = self._layout.decode(rows).stamps.astype(np.int64)
            before = int(stamps[0]) - ticks if last is None else last
            steps = np.diff(np.concatenate([[before], stamps])) % STAMP_TURN
            last = int(stamps[-1])
            wrong = steps > _LONGEST_STEP
            jumped += int(wrong.sum())
            steps[wrong] = ticks
            missing = (steps + ticks // 2) // ticks - 1
            for jump in np.flatnonzero(missing > 0).tolist():
                runs.append(Run(place, begin, at + jump - begin))
                place += at + jump - begin + int(missing[jump])
                begin = at + jump
        runs.append(Run(place, begin, self._records - begin))
        found = (f"{jumped} time stamps are damaged: read on without a gap",) if jumped else ()
        return runs, offset, found

    def _rows(self, record: int, count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Records with a header byte before each, and what precedes their blocks."""
        block, skip = divmod(record, self._per_block)
        blocks = -(-(skip + count) // self._per_block)
        self._file.seek(HEADER_BYTES + block * self._block_bytes)
        data = self._file.read(blocks * self._block_bytes)
        table = np.frombuffer(data.ljust(blocks * self._block_bytes, b"\0"), np.uint8)
        table = table.reshape(blocks, self._block_bytes)
        rows = np.zeros((count, self._size + 1), np.uint8)
        flat = table[:, self._sync :].reshape(-1, self._size)
        rows[:, 1:] = flat[skip : skip + count]
        return rows, table[:, : self._sync]

    def _read(self, first: int, count: int) -> Samples:
        counts = np.zeros((count, len(self.leads)), np.int32)
        valid = np.zeros(counts.shape, np.bool_)
        for into, source, length in axis_pieces(self._runs, first, count):
            counts[into] = self._counts(source, length)
            valid[into] = True
        return Samples(counts, valid)

    def _counts(self, record: int, count: int) -> Counts:
        rows, _ = self._rows(record, count)
        return self._layout.decode(rows).counts[:, self._columns]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _first_offset(syncs: NDArray[np.uint8]) -> int | None:
    """Ticks that this clock was ahead of the master's when first compared; None if never."""
    for row in syncs if syncs.shape[1] else ():
        magnitude = int.from_bytes(row[1:].tobytes(), "little")
        if magnitude != _NO_OFFSET:
            return -magnitude if row[0] else magnitude
    return None


def _channels(header: ShimmerHeader) -> list[_Channel]:
    """The ExG channels; named as leads where the chips were set to measure ECG."""
    found = []
    ecg = not header.registers[0][3] & 0x0F and not header.registers[0][4] & 0x0F
    names = ("II", "I", "respiration", "V")
    for number, (wide, narrow) in enumerate(((EXG1, EXG1_16), (EXG2, EXG2_16))):
        for bits, ids in ((24, wide), (16, narrow)):
            for channel, id_ in enumerate(ids[1:]):
                if id_ not in header.channels:
                    continue
                plain = f"ExG{number + 1} ch{channel + 1}"
                gain = gain_of(header.registers[number][3 + channel])
                found.append(
                    _Channel(
                        header.channels.index(id_),
                        names[2 * number + channel] if ecg else plain,
                        gain,
                        bits,
                    )
                )
    return found


def _lead(channel: _Channel) -> Lead:
    full_scale = FULL_SCALE_24 if channel.bits == 24 else FULL_SCALE_16
    scale = microvolts_per_count(channel.gain, bits=channel.bits)
    return Lead(channel.name, scale, full_scale_counts=full_scale)


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise RecordError(
            error.strerror or "cannot be read", str(path), "check the path and its permissions"
        ) from error
