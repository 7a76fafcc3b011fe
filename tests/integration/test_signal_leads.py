"""Two leads of a recording: when the one in use fails, the beats go on and none comes twice."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.scoring import match_beats, reference_beats
from agent.signal.chain import SignalChain
from agent.signal.types import Hop, SignalState
from drivers.files import microvolts, open_record
from drivers.files.annotations import read_annotations
from drivers.samples import Lead, SampleBlock, StreamInfo

FAILS_S, HEALS_S, LENGTH_S = 60, 100, 130
Counts = NDArray[np.int32]


@cache
def recording(path: Path) -> tuple[Counts, float, tuple[Lead, ...], NDArray[np.float64]]:
    """Both leads of the first minutes, and the expert's beats."""
    with open_record(path) as record:
        rate_hz, leads = record.rate_hz, record.leads
        counts = record.read(0, round(LENGTH_S * rate_hz)).counts[:, :2].copy()
    marks = read_annotations(path.with_suffix(".atr"))
    reference = reference_beats([m.sample for m in marks], [m.symbol for m in marks], rate_hz)
    return counts, rate_hz, leads, reference.time_s


def failing(
    how: str, counts: Counts, rate_hz: float, leads: tuple[Lead, ...], data: Path
) -> Counts:
    """The first lead gone between FAILS_S and HEALS_S."""
    made = counts.copy()
    start, stop = round(FAILS_S * rate_hz), round(HEALS_S * rate_hz)
    span = made[start:stop, 0]
    if how == "flat":
        span[:] = span[0]
    elif how == "creeping":  # an electrode came off: the amplifier goes back to its line
        t = np.arange(len(span)) / rate_hz
        span[:] = span[0] + np.rint(2000 / leads[0].microvolts_per_count * np.exp(-t / 2))
    elif how == "railed":
        ends = leads[0].full_scale_counts
        assert ends is not None
        span[:] = ends[1]
    else:
        with open_record(data / "nstdb" / how) as record:
            noise = microvolts(record.read(1000, len(span)), record.leads)[:, 0]
        height = np.ptp(np.percentile(counts[:, 0], [1, 99]))
        span += np.rint(noise / noise.std() * height / 2).astype(np.int32)
    return made


def analysed(counts: Counts, rate_hz: float, leads: tuple[Lead, ...]) -> list[Hop]:
    """The chain's hops."""
    chain = SignalChain(StreamInfo("file", "test", rate_hz, leads[:2]))
    return chain.push(SampleBlock(0, counts, 0, rate_hz)) + chain.flush()


@pytest.mark.parametrize("name", ["106", "118", "119"])
@pytest.mark.parametrize(
    ("how", "most"), [("flat", 1), ("railed", 1), ("creeping", 3), ("em", 9), ("ma", 9)]
)
def test_the_beats_go_on(name: str, how: str, most: int, shared: Path) -> None:
    counts, rate_hz, leads, true_s = recording(shared / "data" / "mitdb" / name)
    hops = analysed(failing(how, counts, rate_hz, leads, shared / "data"), rate_hz, leads)
    found = np.array([q.time_s for h in hops for q in h.qrs])
    true, told = (one[(one > 5) & (one < LENGTH_S - 1)] for one in (true_s, found))
    matching = match_beats(true, told)
    missed, extra = true[matching.missed], told[matching.extra]
    assert len(missed) + len(extra) <= most, (missed, extra)
    assert np.diff(found).min() >= 0.18, "no beat twice"
    if how in ("em", "ma"):
        return
    used = {q.lead for h in hops for q in h.qrs if FAILS_S + 10 < q.time_s < HEALS_S - 1}
    assert used == {1}
    states = {h.state for h in hops if FAILS_S + 5 < h.end_s < HEALS_S}
    assert states == {SignalState.USABLE}


def test_a_lead_that_fails_in_turn_is_left_again(shared: Path) -> None:
    counts, rate_hz, leads, true_s = recording(shared / "data" / "mitdb" / "119")
    made = failing("flat", counts, rate_hz, leads, shared / "data")
    made[round((HEALS_S + 10) * rate_hz) :, 1] = 0
    hops = analysed(made, rate_hz, leads)
    found = np.array([q.time_s for h in hops for q in h.qrs if q.time_s < LENGTH_S - 1])
    matching = match_beats(true_s[true_s < LENGTH_S - 1], found)
    # Where the lead fails, its step to the constant may stand for the beat beside it.
    assert len(matching.missed) <= 1
    assert len(matching.extra) <= 1
    assert {q.lead for h in hops for q in h.qrs if q.time_s > HEALS_S + 11} == {0}
