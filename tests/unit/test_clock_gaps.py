"""Losses: counters judged with arrival times, device clocks, and the axis without holes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.axis import CountedStream, Missing, StreamAxis
from drivers.clock import StreamClock
from drivers.continuity import DeviceTime, Step
from drivers.samples import DriverEvent, Gap, GapCause, SampleBlock

RATE_HZ = 250.0
PERIOD_NS = 4_000_000
START_NS = 77_000_000_000


@dataclass
class Bench:
    """A counted stream whose samples carry their true index as their count."""

    events: list[SampleBlock | Gap] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.axis = StreamAxis(self.emit, StreamClock(RATE_HZ))
        self.stream = CountedStream(self.axis, RATE_HZ)

    def emit(self, event: DriverEvent) -> None:
        assert isinstance(event, SampleBlock | Gap)
        assert event.first == (self.events[-1].end if self.events else 0)
        self.events.append(event)

    def arrive(self, indices: np.ndarray, host_ns: int, *, counter_from: int = 0) -> None:
        counters = ((indices - counter_from) % 256).astype(np.uint8)
        self.stream.arrive(counters, indices.astype(np.int32)[:, None], host_ns)

    @property
    def gaps(self) -> list[Gap]:
        return [event for event in self.events if isinstance(event, Gap)]

    def offsets(self) -> set[int]:
        """True index less place on the axis, over all samples."""
        blocks = [event for event in self.events if isinstance(event, SampleBlock)]
        return {int(v) for b in blocks for v in b.counts[:, 0] - np.arange(b.first, b.end)}


def due_ns(index: int) -> int:
    return START_NS + index * PERIOD_NS


def play(bench: Bench, lost: set[int], total: int, reads: list[int], late_ns: list[int]) -> None:
    """Deliver samples 0 to total - 1 except ``lost``, ending reads at the given samples."""
    begin = 0
    for end, late in zip(reads, late_ns, strict=True):
        kept = np.array([i for i in range(begin, end) if i not in lost], dtype=np.int64)
        if len(kept):
            bench.arrive(kept, due_ns(end - 1) + late)
        begin = end
    bench.stream.settle()


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_losses_below_two_seconds_are_exact_whatever_the_jitter(data: st.DataObject) -> None:
    total = 6000
    runs = data.draw(
        st.lists(st.tuples(st.integers(300, total - 900), st.integers(1, 480)), max_size=4)
    )
    lost = {i for start, length in runs for i in range(start, start + length)}
    longest = run = 0
    for a, b in itertools.pairwise(sorted(lost)):
        run = run + 1 if b == a + 1 else 0
        longest = max(longest, run + 1)
    seed = data.draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    reads, late = [], []
    at = 0
    while at < total:
        at = min(total, at + int(rng.integers(5, 25)))
        reads.append(at)
        late.append(int(rng.exponential(10e6)))
    bench = Bench()
    play(bench, lost, total, reads, late)
    assert bench.offsets() == {0}
    if longest < 480:
        counted = sum(gap.count for gap in bench.gaps)
        assert counted == len([i for i in lost if i < bench.axis.next])
        assert all(gap.exact and gap.cause is GapCause.LOST_PACKETS for gap in bench.gaps)


@pytest.mark.parametrize("count", [255, 256, 257, 300, 400])
def test_a_whole_turn_of_the_counter_is_not_missed(count: int) -> None:
    bench = Bench()
    lost = set(range(1000, 1000 + count))
    reads = list(range(12, 3001, 12))
    play(bench, lost, 3000, reads, [0] * len(reads))
    assert [(gap.first, gap.count, gap.exact) for gap in bench.gaps] == [(1000, count, True)]


@pytest.mark.parametrize("stall_ms", [300, 600, 900, 1500])
def test_a_backlog_that_comes_late_invents_no_loss(stall_ms: int) -> None:
    """A host or hub that stalls and then delivers everything in small pieces lost nothing."""
    bench = Bench()
    stall = stall_ms * 1_000_000
    reads = list(range(10, 3001, 10))
    resumed = due_ns(1000) + stall
    trickled = [resumed + (i - 1000) * 1_000_000 for i in reads]
    late = [
        max(0, at - due_ns(i - 1)) if i > 1000 else 0 for i, at in zip(reads, trickled, strict=True)
    ]
    play(bench, set(), 3000, reads, late)
    assert bench.gaps == []
    assert bench.axis.next == 3000


def test_a_jump_of_the_counter_in_no_time_is_a_restart() -> None:
    bench = Bench()
    reads = list(range(10, 1001, 10))
    play(bench, set(), 1000, reads, [0] * len(reads))
    bench.arrive(np.arange(1000, 1010), due_ns(1009), counter_from=900)
    bench.arrive(np.arange(1010, 1020), due_ns(1019), counter_from=900)
    (gap,) = bench.gaps
    assert gap.cause is GapCause.DEVICE_RESTART
    assert not gap.exact
    assert gap.count == 1


@given(
    silence_s=st.floats(2.1, 600),
    late_ms=st.permutations([0.0, 3.0, 45.0, 120.0, 180.0, 200.0, 230.0]),
)
@settings(max_examples=40, deadline=None)
def test_a_lost_link_is_bounded_by_the_least_delayed_read(
    silence_s: float, late_ms: list[float]
) -> None:
    bench = Bench()
    reads = list(range(10, 2001, 10))
    play(bench, set(), 2000, reads, [0] * len(reads))
    resumed = 2000 + round(silence_s * RATE_HZ)
    bench.stream.restart(GapCause.LINK_LOST)
    arrived, least = 0, np.inf
    for n, late in enumerate(late_ms):
        begin, end = resumed + n * 12, resumed + n * 12 + 12
        arrived = max(arrived, due_ns(end - 1) + round(late * 1e6))
        if not bench.gaps:
            least = min(least, arrived - due_ns(end - 1))
        bench.arrive(np.arange(begin, end), arrived, counter_from=resumed)
    bench.stream.settle()
    (gap,) = bench.gaps
    assert gap.cause is GapCause.LINK_LOST
    assert not gap.exact
    assert -1 <= gap.count - (resumed - 2000) <= least / PERIOD_NS + 1
    assert gap.host_ns == pytest.approx(due_ns(2000), abs=1e6)


def test_the_first_samples_of_a_stream_begin_it() -> None:
    bench = Bench()
    bench.stream.restart(GapCause.LINK_LOST)
    bench.arrive(np.arange(5), START_NS)
    assert [type(event) for event in bench.events] == [SampleBlock]


def test_blocks_carry_the_time_of_their_first_sample_and_the_true_rate() -> None:
    bench = Bench()
    reads = list(range(12, 30_001, 12))
    play(bench, set(), 30_000, reads, [0] * len(reads))
    last = bench.events[-1]
    assert isinstance(last, SampleBlock)
    assert last.host_ns == pytest.approx(due_ns(last.first), abs=100_000)
    assert last.true_rate_hz == pytest.approx(RATE_HZ, rel=1e-6)


def test_losses_between_runs_keep_their_place() -> None:
    bench = Bench()
    samples = np.arange(3, dtype=np.int32)[:, None]
    bench.axis.arrive([samples, Missing(4), samples], START_NS)
    shape = [(event.first, event.end) for event in bench.events]
    assert shape == [(0, 3), (3, 7), (7, 10)]
    assert bench.axis.lost_samples == 4


FRAME_NS = 561_344_000
FRAME = 73


def judged(device: DeviceTime, frames: range) -> None:
    for n in frames:
        assert device.judge(n * FRAME_NS, FRAME, n * FRAME_NS + 1).step is Step.CONTINUES


@given(lost=st.integers(1, 6000))
@settings(max_examples=50)
def test_device_time_counts_lost_samples_exactly(lost: int) -> None:
    device = DeviceTime(130.0)
    judged(device, range(1, 40))
    at = (39 + lost + 1) * FRAME_NS
    judgement = device.judge(at, FRAME, at + 40_000_000, relinked=True)
    assert judgement.step is Step.CONTINUES
    assert judgement.missing == lost * FRAME


def test_a_repeated_packet_is_known_and_changes_nothing() -> None:
    device = DeviceTime(130.0)
    judged(device, range(1, 10))
    assert device.judge(9 * FRAME_NS, FRAME, 9 * FRAME_NS + 9).step is Step.REPEATED
    assert device.judge(8 * FRAME_NS, FRAME, 9 * FRAME_NS + 9).step is Step.REPEATED
    assert device.judge(10 * FRAME_NS, FRAME, 10 * FRAME_NS).missing == 0


@pytest.mark.parametrize(
    ("device_s", "host_s", "relinked"),
    [
        (1.0, 600.0, True),  # clock reset while the link was gone
        (605.0, 660.0, True),  # restarted during the outage, by chance ahead
        (-500.0, 1.0, False),  # clock set anew on a standing link
        (100.0, 0.6, False),  # and forward
    ],
)
def test_a_clock_that_begins_anew_is_a_restart(
    device_s: float, host_s: float, relinked: bool
) -> None:
    device = DeviceTime(130.0)
    judged(device, range(1, 900))
    last = 899 * FRAME_NS
    judgement = device.judge(
        last + round(device_s * 1e9), FRAME, last + round(host_s * 1e9), relinked=relinked
    )
    assert judgement.step is Step.RESTARTED
    after = last + round(device_s * 1e9) + FRAME_NS
    follows = device.judge(after, FRAME, last + round(host_s * 1e9) + FRAME_NS)
    assert (follows.step, follows.missing) == (Step.CONTINUES, 0)


def test_a_backlog_on_a_standing_link_is_no_restart() -> None:
    device = DeviceTime(130.0)
    judged(device, range(1, 50))
    judgement = device.judge(50 * FRAME_NS, FRAME, 50 * FRAME_NS + 20_000_000_000)
    assert (judgement.step, judgement.missing) == (Step.CONTINUES, 0)
