"""Lines of numbers: separators, "!", damage, cuts and random bytes; gaps by the host's clock."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.axis import StreamAxis
from drivers.clock import StreamClock
from drivers.decoders.text_lines import LONGEST_LINE, TextLineDecoder
from drivers.samples import DriverError, DriverEvent, Gap, GapCause, SampleBlock
from drivers.text_lines import TextLines
from drivers.uncounted import RateCheck, UncountedStream


def values(text: bytes, decoder: TextLineDecoder | None = None) -> list[list[int] | None]:
    samples = (decoder or TextLineDecoder()).feed(b"rest of a line\n" + text)
    rows = zip(samples.counts.tolist(), samples.sampled.tolist(), strict=True)
    return [row if sampled else None for row, sampled in rows]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"512\r\n", [512, 0]),
        (b" 512 , 7 \n", [512, 7]),
        (b"512,7\n", [512, 7]),
        (b"512\t7\r\n", [512, 7]),
        (b"-1,5;+2,5e1\n", [-2, 25]),
        (b"1.0 2 3\n", [1, 2]),
    ],
)
def test_lines_as_sketches_write_them(line: bytes, expected: list[int]) -> None:
    columns = (1, 2) if len(line.split()) > 1 or b"," in line else (1,)
    assert values(line, TextLineDecoder(columns)) == [expected[: len(columns)]]


def test_an_exclamation_mark_and_a_lead_off_column_are_no_samples() -> None:
    assert values(b"512\r\n!\r\n513\r\n") == [[512], None, [513]]
    decoder = TextLineDecoder((1,), lead_off_column=2)
    assert values(b"512,0\n512,1\n", decoder) == [[512], None]


@pytest.mark.parametrize(
    "line", [b"ecg,time\n", b"5_1\n", b"nan\n", b"1e999\n", b"9999999999\n", b"\n", b"1,,2\t\n"]
)
def test_a_line_of_no_numbers_is_damage(line: bytes) -> None:
    decoder = TextLineDecoder()
    assert values(line + b"7\n", decoder) == [[7]]
    assert decoder.discarded == len(b"rest of a line\n") + len(line)


def test_digits_after_the_point_are_kept() -> None:
    assert values(b"0.1234\n", TextLineDecoder(decimals=3)) == [[123]]


def test_a_line_that_does_not_end_is_told_and_costs_no_memory() -> None:
    decoder = TextLineDecoder()
    for _ in range(50):
        decoder.feed(b"\xff" * 100)
        assert decoder.pending <= LONGEST_LINE
    assert decoder.overlong > 10
    assert decoder.feed(b"5\n6\n").counts.tolist() == [[6]]


@given(cuts=st.lists(st.integers(0, 500), max_size=30), seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_what_comes_out_does_not_depend_on_the_cuts(cuts: list[int], seed: int) -> None:
    draw = random.Random(seed)
    lines = [draw.choice([b"!", b"x", str(draw.randrange(1024)).encode()]) for _ in range(100)]
    text = b"\r\n".join(lines) + b"\r\n"
    whole, pieces = TextLineDecoder(), TextLineDecoder()
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parts = [pieces.feed(text[a:b]) for a, b in itertools.pairwise(edges)]
    expected = whole.feed(text).counts.tolist()
    assert np.concatenate([part.counts for part in parts]).tolist() == expected
    assert pieces.discarded == whole.discarded


@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from(["{}", " {},{}", "{},,{} ", "{} {}", "{}\t{}", "{};{}", "{}e2,{}", ""]),
            st.sampled_from(["\n", "\r\n", "\n\n"]),
            st.lists(
                st.sampled_from(["0", "7", "-12", "+3.5", "2.500", ".5", "4000000000", "12345678"]),
                min_size=2, max_size=2,
            ),
        ),
        max_size=12,
    ),
    same=st.booleans(),
    options=st.sampled_from(
        [{}, {"columns": (2,)}, {"decimals": 1}, {"lead_off_column": 2}, {"columns": (2, 1)}]
    ),
)  # fmt: skip
def test_plain_lines_read_at_once_are_those_read_one_by_one(
    lines: list[tuple[str, str, list[str]]], same: bool, options: dict[str, object]
) -> None:
    if same and lines:
        lines = [(lines[0][0], lines[0][1], numbers) for _, _, numbers in lines]
    text = "".join(form.format(*numbers) + end for form, end, numbers in lines).encode()
    at_once, each = TextLineDecoder(**options), TextLineDecoder(**options)  # type: ignore[arg-type]
    for decoder in (at_once, each):
        decoder.feed(b"rest of a line\n")
    quick = at_once.feed(text + b"4")
    # A line that says "!" makes it look at every line.
    slow = each.feed(b"!\n" + text + b"4").after(1)
    assert quick.counts.tolist() == slow.counts.tolist()
    assert quick.sampled.tolist() == slow.sampled.tolist()
    assert quick.lengths.tolist() == slow.lengths.tolist()
    assert at_once.pending == each.pending
    assert at_once.discarded == each.discarded


def test_random_bytes_never_raise_and_two_lines_bring_it_in_step() -> None:
    draw = random.Random(3)
    decoder = TextLineDecoder((1, 2))
    alphabet = b"0123456789,;.\t\r\n!-e \xff"
    for _ in range(2000):
        garbage = bytes(draw.choice(alphabet) for _ in range(draw.randrange(200)))
        decoder.feed(garbage if draw.random() < 0.5 else draw.randbytes(300))
        assert decoder.pending <= LONGEST_LINE
        after = decoder.feed(b"\n1,1\n2,2\n3,3\n").counts.tolist()
        assert after[-2:] == [[2, 2], [3, 3]]


class Bench:
    """A stream without a counter at 250 Hz, read every 40 ms."""

    def __init__(self, modulus: int = 1) -> None:
        self.events: list[DriverEvent] = []
        axis = StreamAxis(self.events.append, StreamClock(250.0))
        self.stream = UncountedStream(axis, 250.0, modulus=modulus)
        self.now_ns = 0

    def play(self, reads: int, *, lost: bool = False, late_ns: int = 0) -> None:
        for _ in range(reads):
            self.now_ns += 40_000_000
            if not lost:
                counts = np.zeros((10, 1), np.int32)
                self.stream.arrive([counts], self.now_ns + late_ns)

    @property
    def gaps(self) -> list[Gap]:
        return [event for event in self.events if isinstance(event, Gap)]


@pytest.mark.parametrize("modulus", [1, 16])
def test_a_silence_that_nothing_makes_up_for_is_a_gap(modulus: int) -> None:
    bench = Bench(modulus)
    bench.play(100)
    bench.play(20, lost=True)
    bench.play(100)
    (gap,) = bench.gaps
    assert (gap.first, gap.cause, gap.exact) == (1000, GapCause.LOST_PACKETS, False)
    assert abs(gap.count - 200) <= 8
    assert gap.count % modulus == 0


def test_a_backlog_delivered_late_is_none() -> None:
    bench = Bench()
    bench.play(100)
    bench.play(5, late_ns=150_000_000)
    bench.play(100)
    assert bench.gaps == []
    assert sum(len(e.counts) for e in bench.events if isinstance(e, SampleBlock)) == 2050


def test_after_a_restart_the_clock_bounds_the_gap() -> None:
    bench = Bench()
    bench.play(100)
    bench.stream.restart(GapCause.LINK_LOST)
    bench.play(25, lost=True)
    bench.play(10)
    (gap,) = bench.gaps
    assert gap.cause is GapCause.LINK_LOST
    assert abs(gap.count - 250) <= 5


def test_another_rate_than_configured_is_refused() -> None:
    check = RateCheck(250.0, "/dev/ttyUSB0", "lines")
    for read in range(200):
        check.observe(10, read * 50_000_000)
    with pytest.raises(DriverError, match=r"sends 200 lines a second, not 250; set rate_hz"):
        check.observe(10, 200 * 50_000_000)
    right = RateCheck(250.0, "/dev/ttyUSB0", "lines")
    for read in range(400):
        right.observe(10, read * 40_000_000 + (read > 200) * 1_000_000_000)


def test_scale_and_refused_options() -> None:
    (lead,) = TextLines("/dev/ttyUSB0").leads
    assert lead.microvolts_per_count == pytest.approx(2.93, abs=0.005)
    assert not lead.calibrated
    fine = TextLines("/dev/ttyUSB0", decimals=2, microvolts_per_unit=1.0, offset=0).leads[0]
    assert (fine.microvolts_per_count, fine.calibrated) == (0.01, True)
    options: list[dict[str, object]] = [
        {"rate_hz": 1.0},
        {"columns": [1, 2]},
        {"decimals": 9},
        {"full_scale": [5, 5]},
    ]
    for wrong in options:
        with pytest.raises(DriverError, match="correct the options"):
            TextLines("/dev/ttyUSB0", **wrong)  # type: ignore[arg-type]


class StockSketch:
    """SparkFun's AD8232 sketch at 9600 baud: the serial line alone paces it."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._left, self._state = 0, "on"
        self.at_s = 0.0
        self.taken: list[tuple[float, int]] = []
        """Time at which each line was complete, and its value; -1 for ``!``."""

    def line(self) -> bytes:
        if not self._left:
            self._state = self._draw.choice(["on", "on", "on", "off", "railed"])
            self._left = self._draw.randrange(100, 2000 if self._state == "on" else 600)
        self._left -= 1
        value = self._draw.randrange(200, 900)
        value = {"on": value, "off": -1, "railed": 1023 if value % 2 else 0}[self._state]
        text = b"!\r\n" if value < 0 else b"%d\r\n" % value
        self.at_s += len(text) / 960
        self.taken.append((self.at_s, value))
        return text


@pytest.mark.parametrize("rate_hz", [None, 192.0])
def test_a_stock_sketch_is_timed_by_the_bytes_of_its_lines(rate_hz: float | None) -> None:
    driver = TextLines("/dev/ttyUSB0", rate_hz=rate_hz)
    driver._begun = True
    if rate_hz is None:
        usual = driver._usual_rate(205.0, 958.0, Counter({5: 900, 6: 40, 4: 3}))
        assert usual == 192.0
        driver.rate_hz = usual
        driver._known = True
    asyncio.run(driver.set_up(None))  # type: ignore[arg-type]
    events: list[DriverEvent] = []
    stream = driver.stream_on(StreamAxis(events.append, StreamClock(driver.rate_hz)))
    sketch = StockSketch(3)
    driver.take(b"rest of a line\n", 0, stream)
    for _ in range(20):
        driver.take(b"500\r\n" * 4, round(sketch.at_s * 1e9), stream)
        sketch.at_s += 20 / 960
    begun_s = sketch.at_s
    while sketch.at_s < 600:
        read = b"".join(sketch.line() for _ in range(10))
        driver.take(read, round(sketch.at_s * 1e9), stream)
    laid = {
        first + k: int(value)
        for event in events
        if isinstance(event, SampleBlock)
        for first, value in ((event.first + i, v) for i, v in enumerate(event.counts[:, 0]))
        for k in (0,)
    }
    end = max(laid) + 1
    assert end / 192.0 == pytest.approx(sketch.at_s, abs=0.02), "ten minutes of lines, no drift"
    on = [(at, value) for at, value in sketch.taken if 200 <= value < 900 and at > begun_s]
    right = sum(laid.get(round(at * 192.0) - 1) == value for at, value in on)
    assert right > 0.95 * len(on), "each value stands where its time is"
    gaps = [event for event in events if isinstance(event, Gap)]
    assert {gap.cause for gap in gaps} == {GapCause.NOT_SAMPLED}


def test_a_sketch_that_only_says_lead_off_has_no_rate_yet() -> None:
    driver = TextLines("/dev/ttyUSB0")
    with pytest.raises(DriverError, match="electrode is off, so its rate can't be measured"):
        driver._usual_rate(320.0, 960.0, Counter())


def test_lines_before_the_first_sample_are_no_time() -> None:
    driver = TextLines("/dev/ttyUSB0", rate_hz=192.0)
    driver._begun = True
    asyncio.run(driver.set_up(None))  # type: ignore[arg-type]
    events: list[DriverEvent] = []
    stream = driver.stream_on(StreamAxis(events.append, StreamClock(192.0)))
    taken = driver.take(b"rest\n" + b"!\r\n" * 100, 0, stream)
    assert (taken.packets, taken.idle, events) == (100, "an electrode is off; put it back", [])
    driver.take(b"!\r\n512\r\n", 5_000_000, stream)
    assert [type(event) for event in events] == [SampleBlock]


@pytest.mark.parametrize(
    ("rate_hz", "said"),
    [(60.0, "60 lines a second: the rate is too low to analyse; let it send at least 100"),
     (5000.0, "5000 lines a second: the rate is too high to analyse; let it send at most 2000")],
)  # fmt: skip
def test_a_rate_that_nothing_can_analyse_is_a_fault_of_its_own(rate_hz: float, said: str) -> None:
    with pytest.raises(DriverError, match=said):
        TextLines("/dev/ttyUSB0")._usual_rate(rate_hz, 12.0, Counter({5: 100}))
    check = RateCheck(250.0, "/dev/ttyUSB0", "lines")

    def observe() -> None:
        for k in range(300):
            check.observe(round(rate_hz / 20), k * 50_000_000)

    with pytest.raises(DriverError, match=said):
        observe()


def test_a_measured_rate_that_moved_is_measured_anew() -> None:
    driver = TextLines("/dev/ttyUSB0", baud=115200)
    driver.rate_hz, driver._known, driver._begun = 250.0, True, True
    asyncio.run(driver.set_up(None))  # type: ignore[arg-type]
    stream = driver.stream_on(StreamAxis(lambda event: None, StreamClock(250.0)))

    def send() -> None:
        for k in range(1000):
            driver.take(b"512\r\n" * 11, k * 50_000_000, stream)

    with pytest.raises(DriverError, match="sends 220 lines a second, not 250; its rate is") as told:
        send()
    assert told.value.transient
    assert not driver._known
