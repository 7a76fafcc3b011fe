"""How the rate answers to the standard test signals (clinical.md, IEC 60601-2-27 and EC13)."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from agent.signal.chain import SignalChain
from agent.signal.types import Hop
from drivers.samples import Lead, SampleBlock, StreamInfo
from drivers.scenario import Scenario, ScenarioSource, Step

RATE_HZ = 250


@cache
def played(
    *steps: Step, seconds: float, seed: int = 1
) -> tuple[tuple[Hop, ...], tuple[float, ...]]:
    """What the chain makes of a script, and when its beats were."""
    source = ScenarioSource(RATE_HZ, Scenario("", steps), seed=seed)
    chain = SignalChain(StreamInfo("test", "here", RATE_HZ, (Lead("II", 1.0),)))
    hops: list[Hop] = []
    at = 0
    while at < seconds * RATE_HZ:
        chunk = np.rint(source.read(RATE_HZ).microvolts).astype(np.int32)
        hops += chain.push(SampleBlock(at, chunk, 0, RATE_HZ))
        at += len(chunk)
    beats = tuple(b.time_s for b in source.beats if b.kind != "p" and b.time_s < seconds - 1)
    return tuple(hops), beats


def rates(hops: tuple[Hop, ...], from_s: float, to_s: float) -> list[float | None]:
    """The rate of each second."""
    return [h.rate.bpm for h in hops if h.rate is not None and from_s <= h.end_s <= to_s]


@pytest.mark.parametrize(
    ("rhythm", "bpm"),
    [
        ("bigeminy-80", 80),
        ("bigeminy-slow-alternating", 60),
        ("bigeminy-rapid-alternating", 120),
        ("bidirectional", 90),
    ],
)
@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_irregular_rhythms_after_20_s(rhythm: str, bpm: float, gain: float) -> None:
    hops, _ = played(Step(rhythm=rhythm, seconds=100, gain=gain), seconds=60)
    shown = rates(hops, 20, 59.9)
    assert len(shown) == 40
    assert all(one is not None and abs(one - bpm) <= 3 for one in shown), shown


@pytest.mark.parametrize(("rhythm", "bpm", "most_s"), [("80-120", 120, 8), ("80-40", 40, 8)])
def test_a_step_of_the_rate_shows_in_time(rhythm: str, bpm: float, most_s: float) -> None:
    hops, _ = played(Step(rhythm=f"step-{rhythm}", seconds=100), seconds=58)
    before, after = rates(hops, 20, 30), rates(hops, 30 + most_s, 57)
    assert all(one is not None and abs(one - 80) <= 1 for one in before)
    assert all(one is not None and abs(one - bpm) <= max(5, 0.1 * bpm) for one in after), after


DISTURBED = {
    "tall T waves": Step(rhythm="tall-t", seconds=100),
    "tall T waves, small": Step(rhythm="tall-t", seconds=100, gain=0.4),
    "50 Hz": Step(rhythm="steady", seconds=100, hum_uv=100, hum_hz=50),
    "60 Hz": Step(rhythm="steady", seconds=100, hum_uv=100, hum_hz=60),
    "drift": Step(rhythm="steady", seconds=100, wander_uv=1000),
    "low voltage": Step(rhythm="steady", seconds=100, gain=0.2),
    "high voltage": Step(rhythm="steady", seconds=100, gain=4),
    "paced": Step(rhythm="paced", seconds=100),
    "wide and slow": Step(rhythm="ventricular-rhythm", seconds=100),
    "VT 206": Step(rhythm="vt-206", seconds=100),
    "VT 206, half": Step(rhythm="vt-206", seconds=100, gain=0.5),
    "VT 195": Step(rhythm="vt-195", seconds=100),
}


@pytest.mark.parametrize("name", DISTURBED)
def test_each_beat_is_counted_once(name: str) -> None:
    hops, beats = played(DISTURBED[name], seconds=45)
    found = np.array([q.time_s for h in hops for q in h.qrs])
    true = np.array([b for b in beats if 1.0 < b < 43])
    near = np.abs(found[:, None] - true[None, :]) < 0.15
    # A T wave taller than a QRS of low voltage may hide one in fifty (docs/signal.md).
    hidden = 1 if name == "tall T waves, small" else 0
    assert np.count_nonzero(~near.any(axis=0)) <= hidden, true[~near.any(axis=0)]
    inner = (found > 1.2) & (found < 42.8)
    assert not inner[near.sum(axis=1) == 0].any(), found[near.sum(axis=1) == 0]
    assert (near.sum(axis=0) <= 1).all()


def test_pacer_pulses_without_capture_are_no_beats() -> None:
    hops, _ = played(Step(rhythm="pacer-no-capture", seconds=100), seconds=30)
    assert [q for h in hops for q in h.qrs if q.time_s > 5] == []


def test_p_waves_alone_are_no_beats() -> None:
    steps = (Step(rhythm="steady", seconds=20), Step(rhythm="p-waves-only", seconds=20))
    hops, _ = played(*steps, seconds=38)
    assert [q.time_s for h in hops for q in h.qrs if q.time_s > 20.6] == []


def test_a_rate_is_shown_within_5_s_of_the_first_beat() -> None:
    hops, beats = played(Step(rhythm="steady", seconds=60, bpm=80), seconds=20)
    first = next(h.end_s for h in hops if h.rate is not None and h.rate.bpm is not None)
    assert first <= beats[0] + 5.0
    assert min(h.end_s for h in hops if h.qrs) <= 3.0
