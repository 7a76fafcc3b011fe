"""Scenarios: what the default passes through, any cut, scripts of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.generator import RHYTHMS
from drivers.samples import DriverError
from drivers.scenario import (
    SCENARIOS,
    Scenario,
    ScenarioSource,
    Step,
    load_scenario,
    parse_scenario,
    scenario_names,
)
from drivers.source import SourceChunk


def read_all(source: ScenarioSource, count: int, sizes: list[int]) -> list[SourceChunk]:
    """``count`` samples in reads of the given sizes over and over."""
    chunks: list[SourceChunk] = []
    left = count
    while left:
        chunk = source.read(min(left, sizes[len(chunks) % len(sizes)]))
        assert 1 <= len(chunk.microvolts) <= left
        chunks.append(chunk)
        left -= len(chunk.microvolts)
    return chunks


def states(chunks: list[SourceChunk]) -> list[tuple[str, bool, bool]]:
    return [(c.label, c.lead_off, c.unplugged) for c in chunks for _ in range(len(c.microvolts))]


def test_the_default_passes_through_everything_in_three_minutes() -> None:
    default = SCENARIOS["default"]
    assert default.duration_s <= 180
    rhythms = {step.rhythm for step in default.steps}
    assert rhythms >= {
        "sinus", "pvc", "bigeminy", "af", "vt", "vf", "asystole", "bradycardia", "tachycardia",
    }  # fmt: skip
    labels = {step.label for step in default.steps}
    assert labels >= {"baseline wander", "muscle noise", "lead off", "unplugged"}
    lasting = {step.rhythm: step.seconds for step in default.steps}
    assert lasting["af"] >= 35
    for lethal in ("vt", "vf", "asystole"):
        assert lasting[lethal] >= 10
        at = [step.rhythm for step in default.steps].index(lethal)
        assert default.steps[at - 1].rhythm == default.steps[at + 1].rhythm == "sinus"


def test_the_default_loops() -> None:
    source = ScenarioSource(50, "default")
    round_ = round(SCENARIOS["default"].duration_s * 50)
    chunks = read_all(source, 2 * round_, [997])
    told = states(chunks)
    assert told[:round_] == told[round_:]
    assert len({label for label, _, _ in told}) == 13


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=20),
    rate_hz=st.sampled_from([125.0, 250.0, 333.3]),
)
def test_any_cut_gives_the_same(sizes: list[int], rate_hz: float) -> None:
    steps = (
        Step(seconds=1.3),
        Step(rhythm="vf", seconds=0.7),
        Step(seconds=0.9, lead_off=True, label="lead off"),
        Step(rhythm="asystole", seconds=1.1, unplugged=True),
    )
    count = round(9 * rate_hz)
    whole = read_all(ScenarioSource(rate_hz, Scenario("", steps), leads=2), count, [count])
    cut = read_all(ScenarioSource(rate_hz, Scenario("", steps), leads=2), count, sizes)
    np.testing.assert_array_equal(
        np.concatenate([c.microvolts for c in cut]), np.concatenate([c.microvolts for c in whole])
    )
    assert states(cut) == states(whole)


def test_steps_keep_their_time_at_any_rate_for_hours() -> None:
    source = ScenarioSource(
        133.3, Scenario("", (Step(seconds=0.33), Step(seconds=0.34, label="x")))
    )
    told = states(read_all(source, round(133.3 * 670), [400]))
    changes = [k for k in range(1, len(told)) if told[k] != told[k - 1]]
    assert len(changes) == pytest.approx(2000, abs=1)
    assert abs(changes[-1] / 133.3 - (0.33 + 0.67 * 999)) < 0.02


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_scenario_plays_what_it_names(name: str) -> None:
    source = ScenarioSource(125, name)
    chunks = read_all(source, 125 * 45, [500])
    assert np.isfinite(np.concatenate([c.microvolts for c in chunks])).all()
    rhythms = {episode.rhythm for episode in source.episodes}
    assert rhythms >= {step.rhythm for step in source.scenario.steps[:2]}
    if name in RHYTHMS:
        assert name in rhythms
    labels = {(c.lead_off, c.unplugged) for c in chunks}
    assert ((True, False) in labels) == (name == "lead-off")
    assert ((False, True) in labels) == (name == "unplugged")


def test_every_rhythm_and_artefact_has_a_scenario() -> None:
    names = scenario_names()
    assert names.keys() >= RHYTHMS.keys()
    assert names.keys() >= {"wander", "drift", "muscle", "motion", "hum-50", "hum-60", "default"}
    assert all(text and "\n" not in text and len(text) < 70 for text in names.values())


@pytest.mark.parametrize(("bpm", "millivolts"), [(206, 1.0), (195, 2.0)])
@pytest.mark.parametrize(("size", "factor"), [("-half", 0.5), ("", 1.0), ("-double", 2.0)])
def test_the_sizes_of_the_vt_test_signals(
    bpm: int, millivolts: float, size: str, factor: float
) -> None:
    source = ScenarioSource(250, f"vt-{bpm}{size}")
    signal = np.concatenate([c.microvolts for c in read_all(source, 250 * 40, [5000])])
    height = np.ptp(signal[250 * 25 :, 0]) / 1000
    assert height == pytest.approx(millivolts * factor, rel=0.15)


def test_the_truth_is_told() -> None:
    source = ScenarioSource(250, "vt")
    read_all(source, 250 * 41, [250])
    told = [(e.start_s, e.rhythm) for e in source.episodes]
    assert told == [(0, "sinus"), (20, "vt"), (40, "sinus")]
    kinds = {b.kind for b in source.beats if 20.2 < b.time_s < 40}
    assert kinds == {"V", "p"}


def test_a_script_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'description = "a night"\n[[step]]\nseconds = 5\nbpm = 50\n'
        '[[step]]\nrhythm = "vf"\nseconds = 3\nlabel = "trouble"\nmuscle_uv = 40\n'
    )
    scenario = load_scenario(str(path))
    assert scenario.description == "a night"
    assert scenario.duration_s == 8
    source = ScenarioSource(100, str(path))
    told = states(read_all(source, 1000, [64]))
    assert [label for label, _, _ in told] == (
        ["sinus rhythm"] * 500 + ["trouble"] * 300 + ["sinus rhythm"] * 200
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "missing required field `step`"),
        ("step = []", "has no step; add one: [[step]]"),
        ('[[step]]\nrhythm = "vff"', "step 1 plays 'vff', which is no rhythm; choose one of: si"),
        ("[[step]]\nsecnds = 3", "unknown field `secnds`"),
        ("[[step]]\nseconds = 0", "step 1 lasts 0 s; give it 0.1 s or more"),
        ("[[step]]\nbpm = 4000", "step 1 plays 4000 beats a minute; give it 5 to 400"),
        ("[[step", "scenario: "),
    ],
)
def test_a_wrong_script_says_what_to_do(text: str, message: str) -> None:
    with pytest.raises(DriverError) as caught:
        parse_scenario(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_and_a_missing_file() -> None:
    with pytest.raises(DriverError, match="vff: is no scenario; choose one of: default, sinus"):
        load_scenario("vff")
    with pytest.raises(DriverError, match="No such file or directory; check the path"):
        load_scenario("missing.toml")
