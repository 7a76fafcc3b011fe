"""What is dropped when too much waits, and that nothing goes without a trace."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from support.store_making import ecg_counts, run

from agent.store.queue import DROPPED_RANGES, ROW_COST, BulkQueue, Row

SECOND_OF_WAVE = ecg_counts(250)
WAVE_COST = SECOND_OF_WAVE.nbytes + ROW_COST
PLENTY = 2**40


def row(number: int) -> Row:
    return Row("INSERT", (number,))


def test_everything_comes_out_in_the_order_it_came_in() -> None:
    queue = BulkQueue(PLENTY)
    for second in range(3):
        queue.put_wave(run(SECOND_OF_WAVE, 250 * second), now_s=second)
        queue.put_trend(row(second), now_s=second)
        queue.put_event(row(10 + second), now_s=second)
    assert queue.waiting_since == 0
    batch = queue.take(PLENTY)
    assert [wave.first for wave in batch.waves] == [0, 250, 500]
    assert batch.trends == [row(0), row(1), row(2)]
    assert batch.events == [row(10), row(11), row(12)]
    assert (queue.cost, queue.waiting_since) == (0, None)
    assert not queue.take(PLENTY)


def test_waves_are_dropped_first_and_the_oldest_of_them() -> None:
    queue = BulkQueue(3 * WAVE_COST)
    queue.put_trend(row(1), now_s=0.0)
    for second in range(5):
        queue.put_wave(run(SECOND_OF_WAVE, 250 * second), now_s=0.0)
    batch = queue.take(PLENTY)
    assert batch.trends == [row(1)]
    assert [wave.first for wave in batch.waves] == [750, 1000]
    (dropped,) = batch.dropped
    assert (dropped.first, dropped.count, dropped.start_ns) == (
        0,
        750,
        run(SECOND_OF_WAVE).start_ns,
    )
    assert queue.dropped_samples == 750


def test_trends_go_before_gaps_when_no_wave_is_left() -> None:
    queue = BulkQueue(3 * ROW_COST)
    queue.put_event(row(0), now_s=0.0)
    for number in range(1, 6):
        queue.put_trend(row(number), now_s=0.0)
    batch = queue.take(PLENTY)
    assert batch.events == [row(0)]
    assert batch.trends == [row(4), row(5)]
    assert queue.dropped_rows == 3


def test_what_was_dropped_on_both_sides_of_a_gap_is_told_apart() -> None:
    queue = BulkQueue(10)
    for first in (0, 250, 1000):
        queue.put_wave(run(SECOND_OF_WAVE, first), now_s=0.0)
    dropped = queue.take(PLENTY).dropped
    assert [(one.first, one.count) for one in dropped] == [(0, 500), (1000, 250)]


def test_a_stream_full_of_gaps_is_remembered_in_bounded_memory() -> None:
    queue = BulkQueue(10)
    for number in range(DROPPED_RANGES + 50):
        queue.put_wave(run(SECOND_OF_WAVE, 1000 * number), now_s=0.0)
    dropped = queue.take(PLENTY).dropped
    assert len(dropped) == DROPPED_RANGES
    assert dropped[-1].first + dropped[-1].count == 1000 * (DROPPED_RANGES + 49) + 250


def test_a_batch_that_could_not_be_written_comes_again_before_what_came_later() -> None:
    queue = BulkQueue(PLENTY)
    queue.put_wave(run(SECOND_OF_WAVE, 0), now_s=1.0)
    queue.put_trend(row(1), now_s=1.0)
    queue.put_event(row(2), now_s=1.0)
    failed = queue.take(PLENTY)
    queue.put_wave(run(SECOND_OF_WAVE, 250), now_s=2.0)
    queue.put_trend(row(3), now_s=2.0)
    queue.put_back(failed, now_s=3.0)
    assert queue.waiting_since == 1.0
    batch = queue.take(PLENTY)
    assert [wave.first for wave in batch.waves] == [0, 250]
    assert batch.trends == [row(1), row(3)]
    assert batch.events == [row(2)]


def test_what_was_dropped_stays_told_when_the_batch_comes_back() -> None:
    queue = BulkQueue(10)
    queue.put_wave(run(SECOND_OF_WAVE, 0), now_s=0.0)
    queue.put_back(queue.take(PLENTY), now_s=1.0)
    assert [one.count for one in queue.take(PLENTY).dropped] == [250]


def test_one_transaction_takes_only_so_much_wave() -> None:
    queue = BulkQueue(PLENTY)
    for second in range(5):
        queue.put_wave(run(SECOND_OF_WAVE, 250 * second), now_s=0.0)
    batch = queue.take(2 * WAVE_COST)
    assert [wave.first for wave in batch.waves] == [0, 250]
    assert queue.cost == 3 * WAVE_COST
    assert queue.waiting_since == 0.0


PUTS = st.lists(
    st.tuples(
        st.sampled_from(["wave", "trend", "event", "take", "fail"]),
        st.sampled_from(["a", "b"]),
        st.integers(1, 40),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(PUTS, st.integers(0, 6_000))
def test_every_sample_is_taken_or_told_as_dropped_within_the_limit(
    puts: list[tuple[str, str, int]], limit: int
) -> None:
    queue = BulkQueue(limit)
    at: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    dropped: Counter[str] = Counter()

    def take(*, fails: bool) -> None:
        batch = queue.take(1_000)
        if fails:
            queue.put_back(batch, 0.0)
            return
        for wave in batch.waves:
            taken[wave.stream] += len(wave.counts)
        for one in batch.dropped:
            dropped[one.stream] += one.count

    for kind, stream, size in puts:
        if kind == "wave":
            queue.put_wave(run(SECOND_OF_WAVE[:size], at[stream], stream=stream), 0.0)
            at[stream] += size
        elif kind in ("take", "fail"):
            take(fails=kind == "fail")
        else:
            (queue.put_trend if kind == "trend" else queue.put_event)(row(size), 0.0)
        assert queue.cost <= limit
    while queue.cost:
        take(fails=False)
    take(fails=False)
    assert taken + dropped == at
    assert queue.dropped_samples == dropped.total()
