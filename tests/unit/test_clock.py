"""The clock model: stamps against a simulated device whose true times are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.clock import SLEW_NS, StreamClock

START_NS = 5_000_000_000_000


@dataclass
class Run:
    """What a simulated stream did: per packet its end, arrival and stamp of its last sample."""

    ends: list[int]
    true_ns: list[float]
    stamps: list[int]
    clock: StreamClock


def simulate(
    *,
    rate_hz: float,
    ppm: float,
    seconds: float,
    samples: int = 10,
    jitter_ms: float = 8.0,
    burst_every: int = 0,
    burst_ms: float = 0.0,
    seed: int = 0,
    device_clock: bool = False,
) -> Run:
    """Packets of ``samples`` from a device ``ppm`` fast, each late by random jitter."""
    rng = np.random.default_rng(seed)
    clock = StreamClock(rate_hz, device_clock=device_clock)
    period = 1e9 / (rate_hz * (1 + ppm * 1e-6))
    run = Run([], [], [], clock)
    arrived = 0.0
    for n in range(int(seconds * rate_hz / samples)):
        end = (n + 1) * samples
        true = START_NS + (end - 1) * period
        delay = rng.exponential(jitter_ms * 1e6)
        if burst_every and n % burst_every < burst_every // 2:
            delay += burst_ms * 1e6 * (1 - (n % burst_every) / (burst_every // 2))
        arrived = max(arrived, true + delay)
        device = round((end - 1) * 1e9 / rate_hz) + 599_616_000_000_000_000
        clock.observe(end, round(arrived), device if device_clock else None)
        run.ends.append(end)
        run.true_ns.append(true)
        run.stamps.append(clock.host_ns(end - 1))
    return run


@given(
    ppm=st.floats(-500, 500),
    jitter_ms=st.floats(0.1, 15),
    rate_hz=st.sampled_from([125.0, 250.0, 256.0]),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=25, deadline=None)
def test_jitter_is_removed_and_drift_followed(
    ppm: float, jitter_ms: float, rate_hz: float, seed: int
) -> None:
    run = simulate(rate_hz=rate_hz, ppm=ppm, seconds=180, jitter_ms=jitter_ms, seed=seed)
    settled = slice(len(run.ends) // 2, None)
    errors_ms = (np.array(run.stamps, float) - np.array(run.true_ns))[settled] / 1e6
    assert np.abs(errors_ms).max() < 0.5 + 0.1 * jitter_ms
    assert run.clock.rate_hz == pytest.approx(rate_hz * (1 + ppm * 1e-6), rel=4e-5)


@given(ppm=st.floats(-500, 500), seed=st.integers(0, 2**16), samples=st.integers(1, 80))
@settings(max_examples=25, deadline=None)
def test_stamps_never_go_back_and_never_jump(ppm: float, seed: int, samples: int) -> None:
    rate_hz = 130.0
    run = simulate(rate_hz=rate_hz, ppm=ppm, seconds=60, samples=samples, jitter_ms=20, seed=seed)
    steps = np.diff(np.array(run.stamps, float))
    usual = samples * 1e9 / rate_hz
    assert steps.min() > 0
    assert np.abs(steps - usual).max() <= SLEW_NS + usual * 0.01


@pytest.mark.parametrize("burst_ms", [30.0, 400.0, 1000.0])
def test_bursts_do_not_bend_the_line(burst_ms: float) -> None:
    run = simulate(
        rate_hz=250, ppm=120, seconds=180, jitter_ms=2, burst_every=50, burst_ms=burst_ms
    )
    errors_ms = (np.array(run.stamps, float) - np.array(run.true_ns))[len(run.ends) // 2 :] / 1e6
    assert np.abs(errors_ms).max() < 1.0
    assert run.clock.rate_hz == pytest.approx(250 * (1 + 120e-6), rel=2e-5)


def test_a_slow_shield_of_one_percent_is_followed() -> None:
    run = simulate(rate_hz=256, ppm=-10_000, seconds=120, jitter_ms=4)
    assert run.clock.rate_hz == pytest.approx(256 * 0.99, rel=1e-4)


def test_lost_samples_keep_their_place_so_the_line_holds() -> None:
    clock, period, rng = StreamClock(250.0), 1e9 / 250.02, np.random.default_rng(3)
    end = 0
    for _ in range(3000):
        end += 10 + int(rng.integers(0, 300)) * (rng.random() < 0.02)
        clock.observe(end, round(START_NS + (end - 1) * period + rng.exponential(5e6)))
    assert clock.rate_hz == pytest.approx(250.02, rel=2e-5)
    true_ns = START_NS + (end - 1) * period
    assert clock.host_ns(end - 1) == pytest.approx(true_ns, abs=1e6)


@given(ppm=st.floats(-500, 500), silence_s=st.floats(1, 3600))
@settings(max_examples=25, deadline=None)
def test_a_silence_is_bounded_by_time(ppm: float, silence_s: float) -> None:
    run = simulate(rate_hz=250, ppm=ppm, seconds=150, jitter_ms=3)
    rate_hz = 250 * (1 + ppm * 1e-6)
    at = run.true_ns[-1] + silence_s * 1e9
    expected = run.ends[-1] - 1 + silence_s * rate_hz
    allowed = 2 + silence_s * rate_hz * 4e-5
    assert abs(run.clock.index_at(round(at)) - expected) <= allowed


def test_forgetting_keeps_the_rate_and_slews_to_the_new_line() -> None:
    run = simulate(rate_hz=250, ppm=300, seconds=150, jitter_ms=1)
    clock, end, period = run.clock, run.ends[-1] + 5000, 1e9 / (250 * (1 + 300e-6))
    restart_ns = run.true_ns[-1] + 5000 * period + 20e6
    clock.forget()
    stamps = []
    for n in range(400):
        clock.observe(end + n * 10, round(restart_ns + n * 10 * period))
        stamps.append(clock.host_ns(end + n * 10 - 1))
    assert clock.rate_hz == pytest.approx(250 * (1 + 300e-6), rel=3e-5)
    assert np.abs(np.diff(stamps) - 10 * period).max() <= SLEW_NS * 1.01
    assert stamps[-1] == pytest.approx(restart_ns + 3990 * period, abs=1e6)


@pytest.mark.parametrize("ppm", [-400.0, 60.0, 400.0])
def test_a_device_clock_gives_rate_and_drift(ppm: float) -> None:
    run = simulate(rate_hz=130, ppm=ppm, seconds=240, samples=73, jitter_ms=15, device_clock=True)
    assert run.clock.rate_hz == pytest.approx(130 * (1 + ppm * 1e-6), rel=5e-5)
    errors_ms = (np.array(run.stamps, float) - np.array(run.true_ns))[len(run.ends) // 2 :] / 1e6
    assert np.abs(errors_ms).max() < 3.0


def test_a_delay_that_grows_for_minutes_shows_as_lag() -> None:
    clock = StreamClock(130.0, device_clock=True)
    for n in range(1, 4000):
        device_ns = n * 561_538_462
        clock.observe(n * 73, START_NS + device_ns + round(device_ns * 0.01), device_ns)
    delay_ms = 4000 * 561.5 * 0.01
    assert clock.lag_ms > 0.8 * delay_ms


def test_the_rate_of_a_device_clock_is_measured_not_assumed() -> None:
    clock = StreamClock(130.0, device_clock=True)
    for n in range(1, 300):
        device_ns = round(n * 73 / 130.17 * 1e9)
        clock.observe(n * 73, START_NS + device_ns + 30_000_000, device_ns)
    assert clock.rate_hz == pytest.approx(130.17, rel=1e-5)


def test_a_stream_not_started_has_no_times() -> None:
    clock = StreamClock(250.0)
    assert not clock.started
    with pytest.raises(ValueError, match="no packet"):
        clock.host_ns(0)
