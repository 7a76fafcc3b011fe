"""Floors under the shown heart rate on recordings, and no rate while the gate says unusable.

The shipped scorer was trained on these records: the floors keep it from getting worse, and
docs/signal.md has the cross-validated figures.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.networks import load
from agent.scoring import ReferenceBeats
from agent.signal.scorer import shipped_scorer
from agent.signal.types import Hop, Rate, SignalState
from benchmarks.heart_rate import MUST, Shown, pooled, record_shown, shown, table
from benchmarks.qrs_accuracy import hops_of, stress_input


@pytest.mark.parametrize("name", ["mitdb/106", "mitdb/119", "mitdb/208", "svdb/800"])
def test_the_rate_is_the_experts(name: str, shared: Path) -> None:
    database, record = name.split("/")
    one = record_shown(shared / "data", database, record, None, shipped_scorer())
    median, high = one.figures
    assert median <= MUST[0]
    assert high <= MUST[1]
    assert len(one.errors) > 0.9 * one.seconds
    assert one.shown_unusable == 0


def test_no_rate_is_shown_where_noise_makes_the_signal_unusable(shared: Path) -> None:
    counts, rate_hz, leads, reference = stress_input(shared / "data", "118", -6.0)
    span = slice(round(290 * rate_hz), round(440 * rate_hz))
    hops = hops_of(counts[span], rate_hz, leads, load().quality)
    noisy = [hop for hop in hops if hop.end_s > 12 and hop.state is not SignalState.USABLE]
    assert noisy
    assert all(hop.rate is None or hop.rate.bpm is None for hop in noisy)
    assert shown(hops, reference).shown_unusable == 0


def hop(second: int, bpm: float | None, state: SignalState = SignalState.USABLE) -> Hop:
    """The hop that ends a second."""
    rate = Rate(second + 1.0, bpm, None)
    return Hop(5 * second + 4, np.zeros(50, np.float32), state, (), second + 0.8, None, rate)


def test_errors_are_counted_where_both_rates_are_known() -> None:
    reference = ReferenceBeats(np.arange(0.0, 20.0), ("N",) * 20)
    noisy = SignalState.NOISY
    hops = [hop(k, None) for k in range(10)] + [hop(10, 62.0), hop(11, None), hop(12, 59.0)]
    one = shown([*hops, hop(13, None, noisy), hop(14, 60.0, noisy)], reference)
    assert one.errors == pytest.approx([2.0, 1.0, 0.0])
    assert (one.seconds, one.withheld, one.unusable, one.shown_unusable) == (15, 11, 2, 1)


def test_the_worst_record_comes_first() -> None:
    good = Shown(np.zeros(10), 10, 0, 0, 0)
    bad = Shown(np.full(10, 5.0), 10, 0, 0, 0)
    rows = table({"good": good, "bad": bad}, 5).splitlines()
    assert [row.split()[0] for row in rows] == ["record", "bad", "good", "all"]
    assert pooled({"good": good, "bad": bad}).figures == (2.5, 5.0)
