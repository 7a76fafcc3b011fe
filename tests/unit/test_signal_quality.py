"""The signal rules: what is certain without a network, and stage 1's hysteresis."""

import pytest

from agent.signal.quality import HopFacts, LeadRules, NoiseGate, rails_uv
from agent.signal.types import SignalState
from drivers.samples import Lead

GOOD = HopFacts(missing=0.0, railed=0.0, dead=0.0, off=False)
DEAD = HopFacts(missing=0.0, railed=0.0, dead=1.0, off=False)
RAILED = HopFacts(missing=0.0, railed=1.0, dead=1.0, off=False)


def after(*facts: HopFacts) -> SignalState:
    rules = LeadRules()
    for one in facts:
        rules.hop(one)
    return rules.state


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (GOOD, SignalState.USABLE),
        (HopFacts(1.0, 0.0, 0.0, False), SignalState.NO_DATA),
        (HopFacts(0.0, 0.0, 0.0, True), SignalState.LEAD_OFF),
        (HopFacts(0.0, 0.3, 0.0, False), SignalState.SATURATED),
        (RAILED, SignalState.SATURATED),
    ],
)
def test_one_hop_is_enough_where_it_is_certain(facts: HopFacts, state: SignalState) -> None:
    assert after(facts) is state


def test_an_input_that_stays_at_its_rail_is_an_electrode_off() -> None:
    assert after(RAILED, RAILED) is SignalState.LEAD_OFF


def test_a_constant_is_flat_after_two_seconds_only() -> None:
    assert after(*[DEAD] * 9) is SignalState.USABLE
    assert after(*[DEAD] * 10) is SignalState.FLAT
    assert after(*[DEAD] * 10, GOOD) is SignalState.USABLE


def test_rails_are_told_by_the_lead_or_unknown() -> None:
    low, high = rails_uv(Lead("II", 2.0, 10.0, (-100, 100)))
    assert -220.0 < low < -219.9
    assert 179.9 < high < 180.0
    assert rails_uv(Lead("II", 2.0)) == (float("-inf"), float("inf"))


def test_an_inverting_lead_has_its_rails_in_order() -> None:
    low, high = rails_uv(Lead("II", -2.0, 0.0, (-100, 50)))
    assert low < high


def test_stage_1_must_be_sure_to_change_the_word() -> None:
    gate = NoiseGate()
    said = []
    for p_usable in (0.5, 0.39, 0.5, 0.59, 0.61, 0.45, 0.3):
        gate.probability(p_usable)
        said.append(gate.noisy)
    assert said == [False, True, True, True, False, False, True]


def test_without_stage_1_only_what_no_heart_gives_is_noise() -> None:
    gate = NoiseGate()
    assert gate.swing(4000.0) == 1.0
    assert gate.swing(12_000.0) == 0.0
    assert gate.noisy
