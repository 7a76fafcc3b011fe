"""Changing networks in a chain that runs: no hop, no beat and no second is lost or doubled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from support.bundles import make_version

from agent.chain import Chain, Step
from agent.networks import Networks, load
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Beat
from drivers.samples import Lead, LeadState, SampleBlock, StreamInfo
from models.registry import Registry

RATE = 250
BLOCK = 50
INFO = StreamInfo("test", "here", float(RATE), (Lead("II", 1.0),))


def ecg(seconds: int) -> np.ndarray:
    """A steady rhythm of 75/min with P, narrow QRS and T, in µV."""
    at = np.arange(seconds * RATE) / RATE % 0.8
    parts = ((0.14, 0.025, 120), (0.3, 0.012, 1000), (0.33, 0.012, -200), (0.55, 0.05, 250))
    return sum(h * np.exp(-(((at - t) / w) ** 2)) for t, w, h in parts)


def blocks(counts: np.ndarray) -> list[SampleBlock]:
    return [
        SampleBlock(
            first=start,
            counts=counts[start : start + BLOCK, None].astype(np.int32),
            host_ns=start * 10**9 // RATE,
            true_rate_hz=float(RATE),
            leads=(LeadState.ON,),
        )
        for start in range(0, len(counts), BLOCK)
    ]


def other_version(folder: Path) -> Networks:
    """The shipped networks, each under the version 9.0.0."""
    for name in ("quality", "rhythm", "beats"):
        make_version(folder, name, "9.0.0")
    return load(Registry(shipped=folder))


def run(chain: Chain, counts: np.ndarray, swap: dict[int, Networks]) -> list[Step]:
    steps = []
    for number, block in enumerate(blocks(counts)):
        if number in swap:
            assert chain.use(swap[number])
        steps += chain.push(block)
    return steps


def beats(steps: list[Step]) -> list[Beat]:
    return [event for step in steps for event in step.events if isinstance(event, Beat)]


def test_nothing_is_lost_around_a_change(tmp_path: Path) -> None:
    networks, other = load(), other_version(tmp_path)
    counts = ecg(40)
    plain = run(Chain(INFO, RhythmLimits(), networks), counts, {})
    changed = run(Chain(INFO, RhythmLimits(), networks), counts, {101: other, 120: networks})
    assert [step.hop.index for step in changed] == [step.hop.index for step in plain]
    for one, same in zip(changed, plain, strict=True):
        np.testing.assert_array_equal(one.hop.signal, same.hop.signal)
    anonymous = [
        [replace(beat, judged_by="") for beat in beats(steps)] for steps in (changed, plain)
    ]
    assert anonymous[0] == anonymous[1]
    assert len(anonymous[0]) >= 45


def test_findings_name_the_network_that_judged(tmp_path: Path) -> None:
    networks, other = load(), other_version(tmp_path)
    assert networks.beats is not None
    steps = run(Chain(INFO, RhythmLimits(), networks), ecg(40), {100: other})
    judges = [beat.judged_by for beat in beats(steps)]
    before = str(networks.beats.model)
    named = [judge for judge in judges if judge != "rules"]
    assert set(named) == {before, "beats 9.0.0"}
    assert named == sorted(named, key=[before, "beats 9.0.0"].index)
    verdicts = [step.hop.verdict for step in steps if step.hop.verdict is not None]
    assert {v.judged_by for v in verdicts[:15]} <= {"rules", str(networks.quality.model)}  # type: ignore[union-attr]
    assert verdicts[-1].judged_by in ("rules", "quality 9.0.0")


def test_stage_two_begins_anew_with_the_new_network(tmp_path: Path) -> None:
    networks, other = load(), other_version(tmp_path)
    assert other.rhythm is not None
    chain = Chain(INFO, RhythmLimits(), networks)
    steps = run(chain, ecg(30), {100: other})
    said = [step.probabilities for step in steps]
    plain = [s.probabilities for s in run(Chain(INFO, RhythmLimits(), networks), ecg(30), {})]
    assert [p is None for p in said] == [p is None for p in plain]
    assert said[:95] == plain[:95]
    assert said != plain


def test_a_place_that_is_missing_wants_a_new_chain() -> None:
    networks = load()
    chain = Chain(INFO, RhythmLimits(), Networks())
    assert not chain.use(networks)
    assert not Chain(INFO, RhythmLimits(), networks).use(replace(networks, rhythm=None))
