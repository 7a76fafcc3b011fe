"""A recorded file as a device: its blocks, a driver that plays it, a source for the emulator."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, upfirdn

from drivers.files import Record, microvolts, open_record
from drivers.reconnect import Backoff, Link, supervise
from drivers.samples import (
    DriverError,
    Emit,
    Gap,
    GapCause,
    LeadState,
    LinkHealth,
    SampleBlock,
    StreamInfo,
)
from drivers.source import SourceChunk
from drivers.uncounted import HIGHEST_RATE_HZ, LOWEST_RATE_HZ

BLOCK_S = 30.0
READ_S = 2.0
"""So much is read at once where the blocks are shorter: reading costs by the call."""
LIVE_BLOCK_S = 0.1
"""As often as a serial device brings samples."""

LONGEST_DELAY_S = 2.5
"""Looking for a file costs next to nothing, and one that is there again must play within 5 s."""


def stream_info(record: Record) -> StreamInfo:
    """The stream that a record's blocks make up."""
    return StreamInfo(
        device=f"{record.form} record",
        address=record.address,
        rate_hz=record.rate_hz,
        leads=record.leads,
    )


def blocks(
    record: Record, block_s: float = BLOCK_S, *, host_ns: int = 0
) -> Iterator[SampleBlock | Gap]:
    """A record from begin to end, in blocks of the file's own integers without a hole between.

    Where no lead was sampled there is a Gap (a long one comes in pieces of ``block_s``). Where
    only some leads were, the block says of the others that they are off, and their counts mean
    nothing. ``host_ns`` is the host time given to sample 0. Raises RecordError where the file
    breaks off or is damaged.
    """
    step = max(1, round(block_s * record.rate_hz))
    ahead = step * max(1, round(READ_S / block_s))
    for first in range(0, record.n_samples, ahead):
        yield from _cut(record, first, ahead, step, host_ns)


def _cut(
    record: Record, first: int, count: int, step: int, host_ns: int
) -> Iterator[SampleBlock | Gap]:
    """A stretch of a record in pieces of ``step``, split where what is sampled changes, too."""
    samples = record.read(first, count)
    valid = samples.valid
    changes = np.flatnonzero(np.any(valid[1:] != valid[:-1], axis=1)) + 1
    edges = sorted({*range(0, len(valid), step), *changes.tolist(), len(valid)})
    for start, stop in pairwise(edges):
        there = valid[start]
        at_ns = host_ns + round((first + start) / record.rate_hz * 1e9)
        if not there.any():
            yield Gap(first + start, stop - start, GapCause.NOT_SAMPLED, at_ns)
            continue
        states: tuple[LeadState, ...] = ()
        if not there.all():
            states = tuple(LeadState.UNKNOWN if on else LeadState.OFF for on in there)
        yield SampleBlock(
            first=first + start,
            counts=samples.counts[start:stop],
            host_ns=at_ns,
            true_rate_hz=record.rate_hz,
            leads=states,
        )


class ReplayDriver:
    """Plays a record as if a device sent it: in real time, faster, or as fast as it is taken.

    ``speed`` 1 is real time, 0 without waiting. With ``loop`` the record begins anew after a gap of
    one second; without, the link waits for data once it has ended. ``leads`` chooses signals.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        speed: float = 1.0,
        loop: bool = False,
        leads: Sequence[str] | None = None,
        rate_hz: float | None = None,
        unit: str | None = None,
    ) -> None:
        if speed < 0:
            raise ValueError(f"speed must not be negative, is {speed}")
        self.health = LinkHealth()
        self._path = Path(path)
        self._speed = speed
        self._loop = loop
        self._leads = leads
        self._rate_hz = rate_hz
        self._unit = unit

    async def run(self, emit: Emit) -> None:
        """Play until cancelled; a file that cannot be read is tried again, as a lost device is."""
        link = Link(emit, where=str(self._path), now_ns=time.monotonic_ns)
        backoff = Backoff(random=random.random, longest_s=LONGEST_DELAY_S)
        await supervise(lambda link: self._play(link, emit), link, backoff=backoff)

    async def _play(self, link: Link, emit: Emit) -> None:
        link.connecting()
        record = await asyncio.to_thread(
            open_record,
            self._path,
            leads=self._leads,
            rate_hz=self._rate_hz,
            unit=self._unit,
        )
        with record:
            self._check_rate(record.rate_hz)
            emit(stream_info(record))
            link.streaming()
            start_ns = time.monotonic_ns()
            offset = 0
            while True:
                await self._pass(record, offset, start_ns, emit)
                if not self._loop:
                    break
                pause = round(record.rate_hz)
                at_ns = self._due_ns(start_ns, (offset + record.n_samples) / record.rate_hz)
                emit(Gap(offset + record.n_samples, pause, GapCause.NOT_SAMPLED, at_ns))
                offset += record.n_samples + pause
        link.waiting_for_data(f"{self._path}: the recording has ended; choose another or loop it")
        await asyncio.Event().wait()

    def _check_rate(self, rate_hz: float) -> None:
        if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
            raise DriverError(
                f"has {rate_hz:g} samples a second, which can't be analysed",
                str(self._path),
                f"choose a record of {LOWEST_RATE_HZ:.0f} to {HIGHEST_RATE_HZ:.0f} Hz",
                transient=False,
            )

    async def _pass(self, record: Record, offset: int, start_ns: int, emit: Emit) -> None:
        """The record once, its first sample at ``offset`` of the stream axis."""
        rate_hz = record.rate_hz
        for piece in blocks(record, LIVE_BLOCK_S):
            first = piece.first + offset
            # A block is there when its last sample has been taken.
            due_ns = self._due_ns(start_ns, (first + piece.end - piece.first) / rate_hz)
            await asyncio.sleep(max(0.0, (due_ns - time.monotonic_ns()) * 1e-9))
            at_ns = self._due_ns(start_ns, first / rate_hz)
            if isinstance(piece, Gap):
                emit(Gap(first, piece.count, piece.cause, at_ns))
                continue
            true_rate_hz = rate_hz * (self._speed or 1.0)
            emit(SampleBlock(first, piece.counts, at_ns, true_rate_hz, piece.leads))
            self.health = LinkHealth(frames=self.health.frames + 1)

    def _due_ns(self, start_ns: int, stream_s: float) -> int:
        """Host time of a moment of the stream."""
        if not self._speed:
            return time.monotonic_ns()
        return start_ns + round(stream_s / self._speed * 1e9)


class RecordSource:
    """A record as the emulator's ECG, resampled to the emulated device's rate, in µV.

    Equal rates pass the values through. Otherwise a polyphase filter (Kaiser, β = 5, ten zero
    crossings to each side) runs over fixed blocks, so the samples don't depend on how they are
    read. What the file says was not sampled comes as leads that are off. After the end it begins
    anew; without ``loop`` the device is then unplugged for good.
    """

    _BLOCK = 4096
    """Output samples per block, about."""

    def __init__(
        self,
        path: str | Path,
        rate_hz: float,
        *,
        loop: bool = True,
        leads: Sequence[str] | None = None,
    ) -> None:
        self._record = open_record(path, leads=leads)
        self.rate_hz = rate_hz
        self.lead_names = tuple(lead.name for lead in self._record.leads)
        self._loop = loop
        ratio = Fraction(rate_hz / self._record.rate_hz).limit_denominator(10_000)
        self._up, self._down = ratio.numerator, ratio.denominator
        self._n_out = max(1, self._record.n_samples * self._up // self._down)
        widest = max(self._up, self._down)
        # A multiple of ``down``, so that the delay is a whole number of output samples.
        self._half = -(-10 * widest // self._down) * self._down if widest > 1 else 0
        self._taps = (
            firwin(2 * self._half + 1, 1 / widest, window=("kaiser", 5.0)) * self._up
            if self._half
            else np.ones(1)
        )
        self._periods = max(1, self._BLOCK // self._up)
        self._block: tuple[int, NDArray[np.float64], NDArray[np.bool_]] | None = None
        self._at = 0

    def read(self, count: int) -> SourceChunk:
        """At least 1 and at most ``count`` further samples."""
        if self._at >= self._n_out:
            if not self._loop:
                nothing = np.zeros((count, len(self.lead_names)))
                return SourceChunk(nothing, unplugged=True, label=f"{self._record.name} has ended")
            self._at = 0
        length = self._periods * self._up
        index, skip = divmod(self._at, length)
        if self._block is None or self._block[0] != index:
            self._block = (index, *self._make(index))
        _, values, off = self._block
        stop = min(skip + count, length, skip + self._n_out - self._at)
        changes = np.flatnonzero(off[skip:stop] != off[skip])
        if len(changes):
            stop = skip + int(changes[0])
        self._at += stop - skip
        return SourceChunk(values[skip:stop], lead_off=bool(off[skip]), label=self._record.name)

    def _make(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Block ``index`` of the output, and where the leads were off."""
        begin = index * self._periods * self._down
        wanted = self._periods * self._down
        # Whole periods of input before and after, as many as the filter reaches.
        margin = -(-self._half // self._up) + 1
        margin += -margin % self._down
        low, high = max(0, begin - margin), min(self._record.n_samples, begin + wanted + margin)
        samples = self._record.read(low, high - low)
        values = _filled(microvolts(samples, self._record.leads))
        before, after = low - (begin - margin), begin + wanted + margin - high
        values = np.pad(values, ((before, after), (0, 0)), mode="edge")
        resampled = upfirdn(self._taps, values, self._up, self._down, axis=0)
        # ``down`` samples of input make ``up`` of output, half a filter later.
        start = margin // self._down * self._up + self._half // self._down
        made = self._periods * self._up
        off = ~samples.valid.any(axis=1)
        off = np.pad(off, (before, after), mode="edge")
        places = margin + (np.arange(made) * self._down) // self._up
        return resampled[start : start + made], off[places]


def _filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Missing samples drawn straight between their neighbours: the filter must not ring on them."""
    for column in values.T:
        missing = np.isnan(column)
        if missing.any():
            there = np.flatnonzero(~missing)
            column[missing] = (
                np.interp(np.flatnonzero(missing), there, column[there]) if len(there) else 0.0
            )
    return values
