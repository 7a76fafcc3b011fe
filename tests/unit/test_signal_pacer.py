"""Pacing pulses: seen, not counted, and never an R wave."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agent.rhythm.analyser import RhythmAnalyser
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Finding, FindingKind
from agent.signal.chain import SignalChain
from agent.signal.pacer import PulseDetector, PulseRemover
from agent.signal.resample import Resampler
from agent.signal.types import Hop
from drivers.samples import Gap, GapCause, Lead, SampleBlock, StreamInfo
from drivers.scenario import Scenario, ScenarioSource, Step

RATES = (250.0, 360.0, 500.0, 1000.0, 2000.0)
Microvolts = NDArray[np.float64]


def bell(t: Microvolts, at_s: float, width_s: float) -> Microvolts:
    """A bump whose width at half its height is 2.35 times ``width_s``."""
    made: Microvolts = np.exp(-0.5 * ((t - at_s) / width_s) ** 2)
    return made


def add_pulse(
    signal: Microvolts, rate_hz: float, at_s: float, height_uv: float, width_s: float
) -> None:
    """A pulse as a converter shows it: each sample the mean over three sample times (sinc)."""
    fine = 40
    start = int((at_s - 0.05) * rate_hz)
    t = start / rate_hz + np.arange(int(0.1 * rate_hz) * fine) / (rate_hz * fine)
    pulse = np.where((t >= at_s) & (t < at_s + width_s), height_uv, 0.0)
    for _ in range(3):
        pulse = np.convolve(pulse, np.ones(fine) / fine, "same")
    sampled = pulse[::fine]
    signal[start : start + len(sampled)] += sampled


def still(seconds: float, rate_hz: float, seed: int = 0) -> Microvolts:
    """Amplifier noise of 4 µV on a breathing baseline."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    noise: Microvolts = np.random.default_rng(seed).normal(0, 4, len(t))
    return noise + 150 * np.sin(2 * np.pi * 0.25 * t)


def ecg(beats: Microvolts, seconds: float, rate_hz: float, wide: bool = False) -> Microvolts:
    """Beats at their R peaks: narrow with P and T, or 140 ms wide as a pacer makes them."""
    out = still(seconds, rate_hz)
    t = np.arange(len(out)) / rate_hz
    for at in beats:
        if wide:
            out += -1200 * bell(t, at + 0.03, 0.030) + 500 * bell(t, at + 0.30, 0.06)
        else:
            out += 1000 * bell(t, at, 0.011) - 200 * bell(t, at + 0.028, 0.010)
            out += 120 * bell(t, at - 0.17, 0.022) + 260 * bell(t, at + 0.26, 0.05)
    return out


def analysed(signal: Microvolts, rate_hz: float, block: int = 100) -> list[Hop]:
    chain = SignalChain(StreamInfo("test", "here", rate_hz, (Lead("II", 1.0),)))
    counts = np.rint(signal).astype(np.int32)[:, None]
    hops: list[Hop] = []
    for first in range(0, len(counts), block):
        hops += chain.push(SampleBlock(first, counts[first : first + block], 0, rate_hz))
    return hops + chain.flush()


def beats_of(hops: list[Hop]) -> Microvolts:
    return np.array([q.time_s for hop in hops for q in hop.qrs])


def pulses_of(hops: list[Hop]) -> Microvolts:
    return np.array([pulse for hop in hops for pulse in hop.pulses])


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("millivolts", [2.0, -2.0, 20.0, 200.0])
@pytest.mark.parametrize("width_s", [0.001, 0.002])
def test_pulses_are_seen_and_never_beats(rate_hz: float, millivolts: float, width_s: float) -> None:
    signal = ecg(np.arange(0.6, 10, 0.8), 20, rate_hz)
    signal[round(10 * rate_hz) :] = still(10, rate_hz, 1)
    paced = np.arange(10.7, 19.5, 0.83)
    for at in paced:
        add_pulse(signal, rate_hz, at, 1000 * millivolts, width_s)
    hops = analysed(signal, rate_hz)
    pulses = pulses_of(hops)
    assert len(pulses) == len(paced)
    assert np.abs(pulses - paced).max() < 0.012
    beats = beats_of(hops)
    assert len(beats[beats < 10.2]) == 12
    assert not len(beats[beats >= 10.2]), beats


@pytest.mark.parametrize("rate_hz", RATES)
def test_pulses_with_capture_leave_one_beat_each(rate_hz: float) -> None:
    paced = np.arange(0.6, 19, 0.85)
    signal = ecg(paced + 0.04, 20, rate_hz, wide=True)
    for at in paced:
        add_pulse(signal, rate_hz, at, 3000.0, 0.001)
    hops = analysed(signal, rate_hz)
    assert len(pulses_of(hops)) == len(paced)
    beats = beats_of(hops)
    assert len(beats) == len(paced)
    assert np.abs(beats - paced - 0.07).max() < 0.04


def test_atrial_and_ventricular_pulses_are_both_told() -> None:
    paced = np.arange(0.9, 19, 0.85)
    signal = ecg(paced + 0.04, 20, 500.0, wide=True)
    for at in paced:
        add_pulse(signal, 500.0, at, 2500.0, 0.001)
        add_pulse(signal, 500.0, at - 0.16, 2000.0, 0.001)
    hops = analysed(signal, 500.0)
    assert len(pulses_of(hops)) == 2 * len(paced)
    assert len(beats_of(hops)) == len(paced)


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("late_s", [0.2, 0.26, 0.34])
def test_a_pulse_on_the_t_wave_is_no_second_beat(rate_hz: float, late_s: float) -> None:
    beats = np.arange(0.6, 19, 0.8)
    signal = ecg(beats, 20, rate_hz)
    for at in beats[4:]:
        add_pulse(signal, rate_hz, at + late_s, 4000.0, 0.001)
    hops = analysed(signal, rate_hz)
    assert len(pulses_of(hops)) == len(beats[4:])
    found = beats_of(hops)
    assert len(found) == len(beats)
    assert np.abs(found - beats).max() < 0.02


@pytest.mark.parametrize("rate_hz", [128.0, *RATES])
@pytest.mark.parametrize("height_uv", [1000.0, 3000.0, -3000.0])
@pytest.mark.parametrize("width_s", [0.0055, 0.0085, 0.011])
def test_a_narrow_tall_r_is_no_pulse(rate_hz: float, height_uv: float, width_s: float) -> None:
    """A child's QRS of 40 ms (R 13 ms wide at half its height) and more, nothing around it."""
    beats = np.arange(0.6, 19, 0.43)
    signal = still(20, rate_hz)
    t = np.arange(len(signal)) / rate_hz
    for at in beats:
        signal += height_uv * bell(t, at, width_s) - 0.15 * height_uv * bell(t, at + 0.02, 0.006)
    hops = analysed(signal, rate_hz)
    assert not len(pulses_of(hops))
    assert len(beats_of(hops)) == len(beats)


def test_below_200_hz_only_what_no_r_wave_reaches_is_told() -> None:
    signal = ecg(np.arange(0.6, 19, 0.8), 20, 125.0)
    for at in (5, 9, 13):
        signal[round((at + 0.3) * 125)] += 3000.0
        signal[round((at + 1.1) * 125)] += 40000.0
    pulses = pulses_of(analysed(signal, 125.0))
    assert np.allclose(pulses, [6.1, 10.1, 14.1], atol=0.005)


@pytest.mark.parametrize("rate_hz", [250.0, 500.0])
def test_an_asystole_under_a_pacer_is_found(rate_hz: float) -> None:
    steps = (Step(rhythm="paced", seconds=15), Step(rhythm="pacer-no-capture", seconds=20))
    source = ScenarioSource(rate_hz, Scenario("", steps), seed=1)
    chain = SignalChain(StreamInfo("test", "here", rate_hz, (Lead("II", 1.0),)))
    analyser = RhythmAnalyser(RhythmLimits(), None, None)
    told, at = [], 0
    pulses = 0
    while at < 30 * rate_hz:
        counts = np.rint(source.read(100).microvolts).astype(np.int32)
        for hop in chain.push(SampleBlock(at, counts, 0, rate_hz)):
            pulses += len(hop.pulses)
            told += analyser.push(hop)
        at += len(counts)
    findings = [one for one in told if isinstance(one, Finding)]
    asystole = [one for one in findings if one.kind is FindingKind.ASYSTOLE]
    assert asystole
    assert min(one.found_s for one in asystole) < 21
    assert pulses > 25


@cache
def paced_signal(rate_hz: float) -> Microvolts:
    """Everything that is an edge: QRS, pulses with and without capture, noise, steps."""
    rng = np.random.default_rng(5)
    signal = ecg(np.arange(0.6, 11, 0.8), 12, rate_hz)
    for at in np.arange(1.0, 11, 0.53):
        add_pulse(signal, rate_hz, at, float(rng.choice([-1, 1]) * rng.uniform(500, 9000)), 0.001)
    at = round(5 * rate_hz)
    signal[at : at + round(rate_hz)] += rng.normal(0, 400, round(rate_hz))
    signal[round(8 * rate_hz) :] += 700
    return np.rint(signal)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([250.0, 360.0, 500.0, 1000.0]), st.lists(st.integers(1, 12000), max_size=80))
def test_cuts_change_no_bit(rate_hz: float, cuts: list[int]) -> None:
    signal = paced_signal(rate_hz)
    edges = sorted({0, len(signal), *(c for c in cuts if c < len(signal))})
    outcomes = []
    for at in ([0, len(signal)], edges):
        resampler = Resampler(rate_hz, 1)
        remover = PulseRemover(rate_hz, resampler)
        resampler.start(0)
        remover.start(0, 0)
        cleaned = []
        for first, end in pairwise(at):
            raw = signal[first:end]
            chain = resampler.push(raw[:, None]).microvolts[:, 0]
            cleaned.append(remover.push(raw, chain))
        cleaned += [remover.push(raw[:0], resampler.finish().microvolts[:, 0]), remover.finish()]
        told = [(one.time_s, one.decided) for one in remover.told]
        outcomes.append((np.concatenate(cleaned).tobytes(), told))
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0][1]) > 5


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([250.0, 500.0]),
    st.lists(st.integers(1, 6000), max_size=60),
    st.none() | st.integers(300, 2500),
)
def test_cuts_change_no_hop(rate_hz: float, cuts: list[int], lost: int | None) -> None:
    counts = paced_signal(rate_hz).astype(np.int32)[:, None]
    outcomes = []
    for at in ([], cuts):
        chain = SignalChain(StreamInfo("test", "here", rate_hz, (Lead("II", 1.0),)))
        gap = (lost, lost + 60) if lost is not None else ()
        edges = sorted({0, len(counts), *gap, *(c for c in at if c < len(counts))})
        hops: list[Hop] = []
        for first, end in pairwise(edges):
            if gap and gap[0] <= first < gap[1]:
                hops += chain.push(Gap(first, end - first, GapCause.LOST_PACKETS, 0))
            else:
                hops += chain.push(SampleBlock(first, counts[first:end], 0, rate_hz))
        hops += chain.flush()
        outcomes.append([(hop.index, hop.qrs, hop.settled_s, hop.rate, hop.pulses) for hop in hops])
    assert outcomes[0] == outcomes[1]


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 400))
def test_no_qrs_comes_before_what_is_settled(block: int) -> None:
    settled = -1.0
    for hop in analysed(paced_signal(250.0), 250.0, block):
        assert all(q.time_s >= settled for q in hop.qrs)
        settled = hop.settled_s


def test_what_the_remover_gives_is_the_signal_where_no_pulse_is() -> None:
    for rate_hz in RATES:
        plain = ecg(np.arange(0.6, 9, 0.8), 10, rate_hz)
        paced = plain.copy()
        times = np.arange(1.0, 9, 0.8)
        for at in times:
            add_pulse(paced, rate_hz, at, 5000.0, 0.001)
        given_back = []
        for signal in (plain, paced):
            resampler = Resampler(rate_hz, 1)
            remover = PulseRemover(rate_hz, resampler)
            resampler.start(0)
            remover.start(0, 0)
            chain = resampler.push(signal[:, None]).microvolts[:, 0]
            given_back.append(np.concatenate([remover.push(signal, chain), remover.finish()]))
        assert len(remover.told) == len(times)
        # The line is no better than the wave under it is straight.
        assert np.abs(given_back[0] - given_back[1]).max() < 100


def test_a_lead_that_is_all_noise_gives_no_row_of_pulses() -> None:
    noise = np.random.default_rng(3).normal(0, 300, 120_000)
    looked = PulseDetector(500.0).push(noise)
    assert len(looked.pulses) <= 4


def test_the_shown_wave_keeps_its_pulse() -> None:
    """Only the detector is spared the pulse: the hop's wave keeps it."""
    signal = still(12, 500.0)
    add_pulse(signal, 500.0, 6.0, 5000.0, 0.001)
    wave = np.concatenate([hop.signal for hop in analysed(signal, 500.0)])
    assert np.nanmax(np.abs(wave[1450:1550])) > 300


@pytest.mark.parametrize(("calibrated", "counted"), [(True, 0), (False, 12)])
def test_a_guessed_scale_loses_no_beat_to_its_size(calibrated: bool, counted: int) -> None:
    """12 µV is amplifier noise, unless nobody knows what a count is worth."""
    signal = np.rint(ecg(np.arange(0.6, 10, 0.8), 10, 250.0)).astype(np.int32)[:, None]
    lead = Lead("shield", 0.012, calibrated=calibrated)
    chain = SignalChain(StreamInfo("test", "here", 250.0, (lead,)))
    hops = chain.push(SampleBlock(0, signal, 0, 250.0)) + chain.flush()
    assert len(beats_of(hops)) == counted
