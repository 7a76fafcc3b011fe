"""One timeline of three clocks: drift that changes, host clock steps, a Pi without clock chip."""

from __future__ import annotations

import numpy as np
import pytest

import agent.stamps
from agent.clock import StreamTime, UnitClock
from agent.stamps import Stamper
from drivers.axis import StreamAxis
from drivers.clock import StreamClock
from drivers.samples import DriverEvent, Gap, GapCause, SampleBlock
from drivers.uncounted import UncountedStream

S = 1_000_000_000
BUILD_TIME = 1_700_000_000 * S
"""Where a Pi without a clock chip starts: the time of its last shutdown or of its image."""


@pytest.mark.parametrize("device_clock", [False, True])
def test_a_drift_that_changes_is_followed(device_clock: bool) -> None:
    """A strap put on warms by 15 K: 60 ppm in ten minutes, more than any crystal does."""
    rng = np.random.default_rng(8)
    clock = StreamClock(250.0, device_clock=device_clock)
    true_ns, end, errors_ms = 9e12, 0, []
    for n in range(20 * 60 * 10):
        ppm = 60 * min(1.0, n / 6000)
        true_ns += 25 * 4e6 / (1 + ppm * 1e-6)
        end += 25
        arrived = round(true_ns + rng.exponential(5e6))
        clock.observe(end, arrived, end * 4_000_000 if device_clock else None)
        errors_ms.append((clock.host_ns(end - 1) - true_ns) / 1e6)
    assert np.abs(errors_ms[3000:]).max() < 3.0
    assert clock.rate_hz == pytest.approx(250 * (1 + 60e-6), rel=2e-5)


def test_a_resonator_that_wanders_by_half_a_percent_loses_nothing() -> None:
    """No counter, no crystal: 190 samples a second that are 189 in the evening."""
    rng = np.random.default_rng(9)
    events: list[DriverEvent] = []
    axis = StreamAxis(events.append, StreamClock(190.0))
    stream = UncountedStream(axis, 190.0)
    at_ns, laid, errors_ms = 5e12, 0, []
    for n in range(30 * 60 * 20):
        rate_hz = 190.0 * (1 + 0.005 * np.sin(n / 7000))
        count = int(rng.integers(7, 13))
        at_ns += count / rate_hz * 1e9
        stream.arrive([np.full((count, 1), laid, np.int32)], round(at_ns + rng.exponential(8e6)))
        laid += count
        errors_ms.append((axis.clock.host_ns(axis.next - 1) - at_ns) / 1e6)
    assert not any(isinstance(event, Gap) for event in events)
    assert axis.next == laid
    assert np.abs(errors_ms[1000:]).max() < 100.0, "within what is taken for a late read"


def test_a_loss_without_a_counter_is_bounded_by_the_hosts_clock() -> None:
    rng = np.random.default_rng(10)
    events: list[DriverEvent] = []
    axis = StreamAxis(events.append, StreamClock(250.0))
    stream = UncountedStream(axis, 250.0)
    for n in range(4000):
        if 2000 <= n < 2100:
            continue
        at_ns = 7e12 + n * 10 * 4e6
        stream.arrive([np.zeros((10, 1), np.int32)], round(at_ns + rng.exponential(6e6)))
    gaps = [event for event in events if isinstance(event, Gap)]
    assert [(gap.cause, gap.exact) for gap in gaps] == [(GapCause.LOST_PACKETS, False)]
    assert sum(gap.count for gap in gaps) == pytest.approx(1000, abs=8)


class Host:
    """A host whose wall clock a test sets."""

    def __init__(self, wall: int) -> None:
        self.monotonic = 40 * S
        self.wall = wall

    def advance(self, ns: int) -> None:
        self.monotonic += ns
        self.wall += ns

    def clock(self) -> UnitClock:
        return UnitClock(lambda: self.monotonic, lambda: self.wall)


def test_a_step_of_the_hosts_clock_touches_no_sample_and_no_interval() -> None:
    host = Host(BUILD_TIME)
    clock = host.clock()
    events: list[DriverEvent] = []
    axis = StreamAxis(events.append, StreamClock(250.0))
    utc = []
    for n in range(1500):
        host.advance(40_000_000)
        if n in (500, 1000):
            host.wall += 3600 * S if n == 500 else -7200 * S
            clock.follow()
        axis.arrive([np.zeros((10, 1), np.int32)], host.monotonic)
        block = events[-1]
        assert isinstance(block, SampleBlock)
        time = StreamTime(250.0, block.first, block.host_ns, block.true_rate_hz)
        utc.append(clock.utc_ns(time.monotonic_ns(block.first / 250.0)))
    assert not any(isinstance(event, Gap) for event in events)
    stamps = np.diff([event.host_ns for event in events if isinstance(event, SampleBlock)])
    assert np.abs(stamps - 40_000_000).max() < 100_000, "the axis never saw the step"
    steps = np.diff(utc) - 40_000_000
    (jumps,) = np.nonzero(np.abs(steps) > S)
    assert jumps.tolist() == [499, 999]
    assert steps[jumps] == pytest.approx([3600 * S, -7200 * S], abs=1e6)


def test_what_a_pi_without_clock_chip_wrote_before_it_was_set_can_be_corrected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host, synced = Host(BUILD_TIME), [False]
    monkeypatch.setattr(agent.stamps, "is_synchronised", lambda: synced[0])
    clock = host.clock()
    ids = iter(range(1000))
    stamper = Stamper("boot-a", clock, lambda: str(next(ids)), trust_clock=False)
    host.advance(10 * S)
    beat_ns = host.monotonic
    before = stamper.stamp("vitals")
    assert (before["clock"], before["boot"], before["seq"]) == ("unsynced", "boot-a", 1)
    assert before["time"] == BUILD_TIME + 10 * S
    host.advance(90 * S)
    host.wall += 70_000_000 * S
    step = clock.follow()
    assert step is not None
    assert step.by_ns == 70_000_000 * S
    stamper.refresh()
    assert stamper.stamp("vitals")["clock"] == "unsynced", "set by hand is not synchronised"
    synced[0] = True
    assert stamper.stamp("vitals")["clock"] == "unsynced", "asked once a minute only"
    stamper.refresh()
    after = stamper.stamp("vitals")
    assert (after["clock"], after["boot"], after["seq"]) == ("synced", "boot-a", 4)
    assert after["time"] - before["time"] == step.by_ns + 90 * S
    assert before["time"] + step.by_ns == clock.utc_ns(beat_ns), "row + step = the true time"
    assert after["time"] == host.wall


def test_times_of_two_boots_are_told_apart_and_each_topic_counts_for_itself() -> None:
    first, second = Host(BUILD_TIME), Host(BUILD_TIME + 1000 * S)
    stamps = []
    for boot, host in (("boot-a", first), ("boot-b", second)):
        stamper = Stamper(boot, host.clock(), lambda: "id", trust_clock=True)
        assert stamper.synced
        stamps.append([stamper.stamp(topic) for topic in ("vitals", "vitals", "alarm")])
    assert first.monotonic == second.monotonic, "monotonic times alone could not tell"
    assert [[s["seq"] for s in run] for run in stamps] == [[1, 2, 1], [1, 2, 1]]
    assert {s["boot"] for s in stamps[0]} == {"boot-a"} != {s["boot"] for s in stamps[1]}
    assert {s["clock"] for run in stamps for s in run} == {"synced"}
