"""Cutting doesn't matter: the whole chain, networks on, gives the same for any cuts of a signal."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.chain import Chain
from agent.networks import load
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import RhythmEvent
from agent.signal.types import Rate, SecondVerdict, SignalState
from drivers.files import open_record
from drivers.samples import Counts, Gap, GapCause, Lead, SampleBlock, StreamInfo
from drivers.scenario import ScenarioSource, parse_scenario

RATE_HZ = 250
SCRIPT = "".join(
    f'[[step]]\nrhythm = "{rhythm}"\nseconds = {seconds}\n'
    for rhythm, seconds in (("sinus", 12), ("bigeminy", 8), ("vt", 9), ("vf", 9), ("asystole", 9))
)
INFO = StreamInfo("test", "test", RATE_HZ, (Lead("II", 1.0),))

Outcome = tuple[list[RhythmEvent], list[SignalState], list[SecondVerdict], list[Rate]]


@cache
def signal() -> Counts:
    """Most of what can happen, in 47 s."""
    source = ScenarioSource(RATE_HZ, parse_scenario(SCRIPT, "test"), seed=3)
    pieces = []
    while sum(map(len, pieces)) < 47 * RATE_HZ:
        pieces.append(source.read(1000).microvolts)
    return np.rint(np.concatenate(pieces)).astype(np.int32)


def outcome(info: StreamInfo, events: list[SampleBlock | Gap]) -> Outcome:
    """What the chain says: rhythm events, states, verdicts, rates."""
    chain = Chain(info, RhythmLimits(), load())
    steps = [step for event in events for step in chain.push(event)]
    rest, last = chain.flush()
    steps += rest
    return (
        [event for step in steps for event in step.events] + last,
        [step.hop.state for step in steps],
        [step.hop.verdict for step in steps if step.hop.verdict is not None],
        [step.hop.rate for step in steps if step.hop.rate is not None],
    )


def cut(counts: Counts, lost: tuple[int, int] | None, at: list[int]) -> list[SampleBlock | Gap]:
    """The samples in blocks that end at ``at``, with one loss."""
    edges = sorted({0, len(counts), *(min(k, len(counts)) for k in at), *(lost or ())})
    events: list[SampleBlock | Gap] = []
    for first, end in pairwise(edges):
        if lost is not None and lost[0] <= first < lost[1]:
            events.append(Gap(first, end - first, GapCause.LOST_PACKETS, first * 4_000_000))
        else:
            events.append(SampleBlock(first, counts[first:end], first * 4_000_000, RATE_HZ))
    return events


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    cuts=st.lists(st.integers(1, 47 * RATE_HZ), max_size=60),
    lost=st.none() | st.integers(0, 46 * RATE_HZ).map(lambda k: (k, k + 170)),
)
def test_any_cuts_give_the_same(cuts: list[int], lost: tuple[int, int] | None) -> None:
    whole = outcome(INFO, cut(signal(), lost, []))
    assert whole[0], "the signal holds beats"
    assert outcome(INFO, cut(signal(), lost, cuts)) == whole


@pytest.mark.parametrize("block", [1, 7, 50, 333])
def test_blocks_of_one_size_give_the_same(block: int) -> None:
    counts = signal()[: 15 * RATE_HZ]
    whole = outcome(INFO, cut(counts, None, []))
    assert outcome(INFO, cut(counts, None, list(range(0, len(counts), block)))) == whole


def test_two_leads_of_a_recording_at_another_rate(shared: Path) -> None:
    with open_record(shared / "data" / "mitdb" / "208") as record:
        counts = record.read(0, 60 * 360).counts
        info = StreamInfo("WFDB", "208", record.rate_hz, record.leads)
    whole = outcome(info, cut(counts, (9000, 9500), []))
    rng = np.random.default_rng(1)
    for _ in range(3):
        cuts = rng.integers(1, len(counts), 40).tolist()
        assert outcome(info, cut(counts, (9000, 9500), cuts)) == whole
