"""The signal chain as a whole: cuts change nothing, hops leave no hole, states and latency."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agent.signal.chain import SignalChain
from agent.signal.types import HOP, HOP_S, Hop, SignalState
from drivers.samples import Gap, GapCause, Lead, LeadState, SampleBlock, StreamInfo
from models.inference import ModelId, Signal

RATE_HZ = 360.0
COUNT_UV = 5.0
Event = SampleBlock | Gap
_WAVES = ((-0.17, 0.022, 120.0), (-0.03, 0.009, -120.0), (0.0, 0.011, 1100.0), (0.24, 0.05, 280.0))


def ecg(seconds: float, rr_s: float = 0.8, rate_hz: float = RATE_HZ, seed: int = 0) -> NDArray:
    """Sinus rhythm with R peaks at 0.5 + k * rr_s, and a little noise, microvolts."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    made = np.random.default_rng(seed).normal(0, 8, len(t)) + 200 * np.sin(2 * np.pi * 0.2 * t)
    for r_s in np.arange(0.5, seconds, rr_s):
        for centre, width, height in _WAVES:
            made += height * np.exp(-0.5 * ((t - r_s - centre) / width) ** 2)
    return made


def info(leads: int = 1, rate_hz: float = RATE_HZ, full: int | None = 2000) -> StreamInfo:
    rails = None if full is None else (-full, full)
    one = [Lead(name, COUNT_UV, 0.0, rails) for name in ("II", "V5", "I")]
    return StreamInfo("test", "here", rate_hz, tuple(one[:leads]))


def counts_of(*leads_uv: NDArray) -> NDArray[np.int32]:
    return np.rint(np.stack(leads_uv, axis=1) / COUNT_UV).astype(np.int32)


def block(first: int, counts: NDArray[np.int32], *states: LeadState) -> SampleBlock:
    return SampleBlock(first, counts, 0, RATE_HZ, states)


def lost(first: int, count: int) -> Gap:
    return Gap(first, count, GapCause.LOST_PACKETS, 0)


def run(stream: StreamInfo, events: list[Event], quality: object = None) -> list[Hop]:
    chain = SignalChain(stream, quality)  # type: ignore[arg-type]
    hops = [hop for event in events for hop in chain.push(event)]
    return hops + chain.flush()


def same(one: Hop, other: Hop) -> bool:
    fields = ("index", "state", "qrs", "settled_s", "verdict", "rate", "pulses")
    return np.array_equal(one.signal, other.signal, equal_nan=True) and all(
        getattr(one, name) == getattr(other, name) for name in fields
    )


def cut(event: Event, edges: list[int]) -> list[Event]:
    """The event in pieces at the edges that lie within it."""
    inner = sorted({e for e in edges if event.first < e < event.end})
    pieces: list[Event] = []
    for start, stop in pairwise([event.first, *inner, event.end]):
        if isinstance(event, Gap):
            pieces.append(lost(start, stop - start))
        else:
            part = event.counts[start - event.first : stop - event.first]
            pieces.append(SampleBlock(start, part, 0, RATE_HZ, event.leads))
    return pieces


class Judge:
    """A stand-in for stage 1 whose word depends on every sample it is given."""

    model = ModelId("judge", "1", "")
    context_s = 4.0

    def p_usable(self, signal: Signal) -> float:
        assert not np.isnan(signal).any()
        assert 250 <= len(signal) <= 1000
        return float(abs(np.float64(signal).sum() * 1e-3) % 1)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Event], list[int]]:
    """Two leads with gaps of any length, and where to cut."""
    seed = draw(st.integers(0, 1000))
    counts = counts_of(ecg(14, 0.7, seed=seed), -0.6 * ecg(14, 0.7, seed=seed + 1))
    if draw(st.booleans()):
        counts[1500:2600, 0] = 2000
    events: list[Event] = []
    at = 0
    for _ in range(draw(st.integers(0, 3))):
        if at > len(counts) - 2:
            break
        start = draw(st.integers(at, len(counts) - 2))
        length = draw(st.one_of(st.integers(1, 25), st.integers(1, 1500)))
        stop = min(start + length, len(counts) - 1)
        if start > at:
            events.append(block(at, counts[at:start]))
        events.append(lost(start, stop - start))
        at = stop
    events.append(block(at, counts[at:]))
    return events, draw(st.lists(st.integers(0, len(counts)), max_size=60))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(streams(), st.booleans())
def test_cuts_change_no_bit_of_any_hop(made: tuple[list[Event], list[int]], judged: bool) -> None:
    events, edges = made
    quality = Judge() if judged else None
    whole = run(info(2), events, quality)
    pieces = run(info(2), [piece for event in events for piece in cut(event, edges)], quality)
    assert len(whole) == len(pieces)
    assert all(same(one, other) for one, other in zip(whole, pieces, strict=True))


@settings(max_examples=30, deadline=None)
@given(streams())
def test_hops_have_no_hole_and_nothing_comes_before_what_is_settled(
    made: tuple[list[Event], list[int]],
) -> None:
    hops = run(info(2), made[0])
    assert [hop.index for hop in hops] == list(range(len(hops)))
    assert len(hops) == 70
    settled_s = 0.0
    last = -1.0
    for hop in hops:
        assert all(settled_s <= qrs.time_s <= hop.end_s for qrs in hop.qrs)
        assert hop.settled_s >= settled_s
        settled_s = hop.settled_s
        for qrs in hop.qrs:
            assert qrs.time_s - last >= 0.18
            last = qrs.time_s
        assert (hop.rate is not None) == ((hop.index + 1) % 5 == 0)
        assert (hop.verdict is not None) == ((hop.index + 1) % 5 == 0)


@pytest.mark.parametrize("rate_hz", [100.0, 130.0, 250.0, 360.0, 1000.0])
def test_every_beat_is_found_at_its_r_peak_within_10_ms(rate_hz: float) -> None:
    counts = counts_of(ecg(30, 0.8, rate_hz))
    hops = run(info(rate_hz=rate_hz), [block(0, counts)])
    found = [qrs.time_s for hop in hops for qrs in hop.qrs]
    assert found == pytest.approx(np.arange(0.5, 30, 0.8), abs=0.010)


def test_the_r_peak_stands_in_the_hops_signal_where_it_is_told() -> None:
    hops = run(info(), [block(0, counts_of(ecg(20)))])
    signal = np.concatenate([hop.signal for hop in hops])
    for qrs in [qrs for hop in hops for qrs in hop.qrs][2:-1]:
        k = round(qrs.time_s * 250)
        assert abs(int(signal[k - 25 : k + 26].argmax()) - 25) <= 1
        assert qrs.amplitude_uv == pytest.approx(1000, abs=200)


def test_a_beat_is_out_400_ms_after_its_r_peak_and_a_start_within_3_s() -> None:
    chain = SignalChain(info())
    counts = counts_of(ecg(20))
    out: dict[float, float] = {}
    for first in range(0, len(counts), 9):
        for hop in chain.push(block(first, counts[first : first + 9])):
            out.update({qrs.time_s: (first + 9) / RATE_HZ for qrs in hop.qrs})
    assert len(out) > 20
    assert min(out.values()) < 3.0
    assert all(known - r <= 0.45 for r, known in out.items() if r > 2.0)


def test_a_short_loss_is_told_but_does_not_start_the_filters_anew() -> None:
    counts = counts_of(ecg(12))
    whole = run(info(), [block(0, counts)])
    events = [block(0, counts[:2000]), lost(2000, 10), block(2010, counts[2010:])]
    hops = run(info(), events)
    signal = np.concatenate([hop.signal for hop in hops])
    missing = np.flatnonzero(np.isnan(signal))
    assert missing[0] == 1389
    assert missing[-1] == 1395
    after = np.concatenate([hop.signal for hop in whole])[1420:2900]
    assert np.abs(signal[1420:2900] - after).max() < 60
    assert {hop.state for hop in hops} == {SignalState.USABLE}
    assert [len(h.qrs) for h in hops] == [len(h.qrs) for h in whole]


def test_a_gap_is_no_data_and_its_end_rings_neither_in_signal_nor_in_beats() -> None:
    counts = counts_of(ecg(20) + 40_000)
    events = [block(0, counts[:3600]), lost(3600, 720), block(4320, counts[4320:])]
    hops = run(info(full=None), events)
    inside = [hop for hop in hops if hop.start_s >= 10.0 and hop.end_s <= 12.0]
    assert len(inside) == 10
    assert all(hop.state is SignalState.NO_DATA and np.isnan(hop.signal).all() for hop in inside)
    assert all(hop.rate is None or hop.rate.bpm is None for hop in inside)
    signal = np.concatenate([hop.signal for hop in hops if hop.start_s >= 12.0])
    assert np.nanmax(np.abs(signal)) < 1500
    found = [q.time_s for hop in hops for q in hop.qrs if q.time_s > 12]
    true = [r for r in np.arange(0.5, 20, 0.8) if r > 12.1]
    assert [f for f in found if f > 12.1] == pytest.approx(true, abs=0.01)


def test_the_rate_needs_usable_signal() -> None:
    counts = counts_of(ecg(20))
    events = [block(0, counts[:3600]), block(3600, counts[3600:4320], LeadState.OFF)]
    events.append(block(4320, counts[4320:], LeadState.ON))
    rates = {round(h.end_s): h.rate.bpm for h in run(info(), events) if h.rate is not None}
    assert rates[9] == pytest.approx(75, abs=1)
    assert rates[11] is None
    assert rates[12] is None
    assert rates[16] == pytest.approx(75, abs=1)


@pytest.mark.parametrize(
    ("signal", "state"),
    [
        (np.zeros(3600), SignalState.FLAT),
        (np.full(3600, 10_000.0), SignalState.LEAD_OFF),
        (np.random.default_rng(3).normal(0, 4, 3600), SignalState.USABLE),
    ],
)
def test_a_dead_constant_is_flat_but_a_standstill_is_usable(
    signal: NDArray[np.float64], state: SignalState
) -> None:
    hops = run(info(), [block(0, counts_of(signal))])
    assert hops[-2].state is state


def test_a_failed_lead_hands_over_to_the_other_and_no_beat_comes_twice() -> None:
    first, second = ecg(30), 0.5 * ecg(30, seed=9)
    first[5400:] = 10_000.0
    hops = run(info(2), [block(0, counts_of(first, second))])
    assert {qrs.lead for hop in hops for qrs in hop.qrs} == {0, 1}
    found = np.array([qrs.time_s for hop in hops for qrs in hop.qrs])
    assert np.diff(found) == pytest.approx(0.8, abs=0.03)
    assert hops[-2].state is SignalState.USABLE


def test_stage_1_is_asked_each_second_about_its_context() -> None:
    hops = run(info(), [block(0, counts_of(ecg(10)))], Judge())
    verdicts = [hop.verdict for hop in hops if hop.verdict is not None]
    assert [v.start_s for v in verdicts] == pytest.approx(range(10))
    assert {v.judged_by for v in verdicts} == {"judge 1"}


def test_a_driver_that_leaves_a_hole_is_told_so() -> None:
    chain = SignalChain(info())
    chain.push(block(0, counts_of(ecg(1))))
    with pytest.raises(ValueError, match="goes on at sample 400, not at 360"):
        chain.push(block(400, counts_of(ecg(1))))


def test_a_hop_is_the_time_it_says() -> None:
    hops = run(info(), [block(0, counts_of(ecg(2)))])
    assert all(len(hop.signal) == HOP for hop in hops)
    assert hops[-1].end_s == pytest.approx(len(hops) * HOP_S)
