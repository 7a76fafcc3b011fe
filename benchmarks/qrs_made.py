"""What the recordings hold too little of: ventricular runs, tall P and T waves, pacing, standstill.

Runs and waves are made out of a record's own beats, so a fold that leaves it out has never seen
them. Strips are drawn from nothing but chance: wide complexes from the first beat on, runs, escape
rhythms, pacer pulses with and without a beat after them, P waves without one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.qrs_records import RATE, Ecg

Signal = NDArray[np.float64]
EVERY_S = (25.0, 70.0)
"""A run follows the one before after so long."""
RUN_BEATS = (5, 45)
RUN_RR_S = (0.26, 0.62)
SPREAD = 0.04
"""Of the RR intervals within a run, over their mean."""
LEAST_BEATS = 3
STRETCH_S = (20.0, 120.0)
"""A kind of tall waves lasts so long."""


def ventricular(ecg: Ecg) -> NDArray[np.int64]:
    """Samples of the record's own ventricular beats."""
    kinds = np.array([symbol in "VE" for symbol in ecg.symbols], bool)
    return ecg.beats[kinds]


def _run(
    signal: Signal, sources: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Signal, list[int]]:
    """Ventricular beats strung together, each cut to its RR and laid end to end."""
    mean = float(rng.uniform(*RUN_RR_S))
    source = int(rng.choice(sources))
    pieces, beats, done = [], [], 0
    for _ in range(int(rng.integers(*RUN_BEATS))):
        if rng.random() < 0.15:
            source = int(rng.choice(sources))
        length = max(int(mean * (1 + SPREAD * rng.normal()) * RATE), 50)
        before = int(0.35 * length)
        piece = signal[source - before : source - before + length].copy()
        piece *= 1 + 0.08 * rng.normal()
        # Each begins and ends at one level: no step where two meet.
        piece -= np.linspace(piece[0], piece[-1], length)
        pieces.append(piece)
        beats.append(done + before)
        done += length
    return np.concatenate(pieces), beats


def with_runs(
    signal: Signal, ecg: Ecg, rng: np.random.Generator
) -> tuple[Signal, NDArray[np.int64]]:
    """The signal with runs put in between its beats, and all beats."""
    sources = ventricular(ecg)
    sources = sources[(sources > RATE) & (sources < len(signal) - RATE)]
    if len(sources) < LEAST_BEATS:
        return signal, ecg.beats
    parts: list[Signal] = []
    beats: list[NDArray[np.int64]] = []
    start = done = 0
    while start < len(signal):
        stop = start + int(rng.uniform(*EVERY_S) * RATE)
        later = np.searchsorted(ecg.beats, stop)
        if later + 1 >= len(ecg.beats):
            stop = len(signal)
        else:  # two thirds of an RR after a beat: after its T wave, before the next P
            stop = int(ecg.beats[later] + 0.6 * (ecg.beats[later + 1] - ecg.beats[later]))
        inside = ecg.beats[(ecg.beats >= start) & (ecg.beats < stop)]
        parts.append(signal[start:stop])
        beats.append(inside - start + done)
        done += stop - start
        if stop < len(signal):
            run, times = _run(signal, sources, rng)
            level = float(signal[stop - 1])
            parts.append(run + level)
            beats.append(np.array(times) + done)
            done += len(run)
        start = stop
    return np.concatenate(parts), np.concatenate(beats)


def _bump(width_s: float, biphasic: bool) -> Signal:
    half = int(3 * width_s * RATE)
    t = np.arange(-half, half + 1) / RATE / width_s
    bump: Signal = np.exp(-0.5 * t**2)
    return -t * bump * np.exp(0.5) if biphasic else bump


def with_waves(signal: Signal, beats: NDArray[np.int64], rng: np.random.Generator) -> Signal:
    """The signal with tall P waves, tall T waves, both or none, for a while each."""
    out = signal.copy()
    half = round(0.05 * RATE)
    heights = np.array(
        [np.ptp(signal[max(b - half, 0) : b + half + 1]) if b > 0 else 0.0 for b in beats]
    )
    usual = float(np.median(heights)) if len(heights) else 0.0
    k = 0
    while k < len(beats):
        until = beats[k] + rng.uniform(*STRETCH_S) * RATE
        p_share = float(rng.uniform(0.2, 0.8)) * (rng.random() < 0.5)
        t_share = float(rng.uniform(0.2, 1.1)) * (rng.random() < 0.5)
        # Small complexes beside the waves, as in an unlucky lead: all that is told is relative.
        p_wave = (
            usual
            * p_share
            * rng.choice([-1, 1])
            * _bump(float(rng.uniform(0.020, 0.036)), bool(rng.random() < 0.3))
        )
        t_wave = (
            usual
            * t_share
            * rng.choice([-1, 1])
            * _bump(float(rng.uniform(0.035, 0.07)), bool(rng.random() < 0.2))
        )
        pr = int(rng.uniform(0.15, 0.24) * RATE)
        st = float(rng.uniform(0.24, 0.36))
        while k < len(beats) and beats[k] < until:
            rr = (beats[k] - beats[k - 1]) / RATE if k else 1.0
            if rr > 0.45:
                _add(out, beats[k] - pr, p_wave * (1 + 0.1 * rng.normal()))
            if k + 1 < len(beats):
                after = (beats[k + 1] - beats[k]) / RATE
                if after > 0.45:
                    at = beats[k] + int(st * min(after, 2.0) ** 0.5 * RATE)
                    _add(out, at, t_wave * (1 + 0.1 * rng.normal()))
            k += 1
    return out


def _add(out: Signal, at: int, wave: Signal) -> None:
    """Add a wave, its middle (for a beat's figure: the R peak) at the sample."""
    start = at - len(wave) // 2
    if start >= 0 and start + len(wave) <= len(out):
        out[start : start + len(wave)] += wave


STRIP_S = 180.0
PART_S = (8.0, 45.0)
_T = np.arange(-int(0.8 * RATE), int(0.8 * RATE) + 1) / RATE


def _bell(at_s: float, width_s: float) -> Signal:
    bell: Signal = np.exp(-0.5 * ((_T - at_s) / width_s) ** 2)
    return bell


def _t(height: float, rr_s: float, rng: np.random.Generator) -> Signal:
    """A T wave as late and as broad as the RR interval leaves it time to be."""
    late = min(rr_s, 2.0) ** 0.5
    at_s = float(rng.uniform(0.22, 0.42)) * late
    return height * _bell(at_s, float(rng.uniform(0.03, 0.065)) * max(late, 0.8))


def _narrow(height: float, rr_s: float, rng: np.random.Generator) -> Signal:
    """P, Q, R, S and T of a beat that came the usual way; R peak at 0."""
    wave = height * _bell(0.0, float(rng.uniform(0.008, 0.024)))
    wave -= height * float(rng.uniform(0.0, 0.3)) * _bell(-0.03, 0.010)
    wave -= height * float(rng.uniform(0.0, 0.6)) * _bell(0.03, 0.012)
    tall = 1.4 if rng.random() < 0.4 else 0.6
    wave += _t(height * float(rng.uniform(-0.3, tall)), rr_s, rng)
    return wave + _p(height, rng)


def _p(height: float, rng: np.random.Generator) -> Signal:
    pr_s = float(rng.uniform(0.12, 0.22))
    return height * float(rng.uniform(0.0, 0.25)) * _bell(-pr_s, float(rng.uniform(0.018, 0.03)))


def _wide(height: float, rr_s: float, rng: np.random.Generator) -> Signal:
    """A ventricular complex, 120 to 250 ms wide; T goes the other way where there is time."""
    width = float(rng.uniform(0.022, 0.055))
    height *= float(rng.uniform(0.5, 2.2)) * rng.choice([-1.0, 1.0])
    wave = height * _bell(0.0, width)
    if rng.random() < 0.5:
        wave -= height * float(rng.uniform(0.2, 0.7)) * _bell(1.8 * width, width)
    if rr_s > 1.0:
        return wave + _t(height * float(rng.uniform(-0.7, 0.3)), rr_s, rng)
    t_s = min(0.3, 0.55 * rr_s)
    return wave - height * float(rng.uniform(0.1, 0.6)) * _bell(t_s, min(0.07, 0.12 * rr_s))


def _spike(rng: np.random.Generator) -> Signal:
    """A pacer pulse as 250 samples a second show it."""
    size = float(rng.uniform(80.0, 2500.0)) * rng.choice([-1.0, 1.0])
    share = float(rng.uniform(0.0, 0.5))
    return size * np.array([-0.12, 1.0 - share, share, -0.12])


def strip(rng: np.random.Generator) -> tuple[Signal, NDArray[np.int64]]:
    """Three minutes of microvolts and the samples of their beats."""
    out = np.zeros(int(STRIP_S * RATE))
    beats: list[int] = []
    height = float(np.exp(rng.uniform(np.log(150.0), np.log(3000.0)))) * rng.choice([-1, 1, 1])
    at_s, end_s = 0.6, STRIP_S - 1.0
    while at_s < end_s:
        kind = rng.choice(
            [
                "sinus",
                "slow",
                "bigeminy",
                "bidirectional",
                "run",
                "escape",
                "paced",
                "still",
                "p only",
            ]
        )
        until = min(end_s, at_s + float(rng.uniform(*PART_S)))
        rr_s = 60.0 / float(
            {
                "run": rng.uniform(100, 250),
                "escape": rng.uniform(22, 60),
                "slow": rng.uniform(25, 55),
            }.get(kind, rng.uniform(45, 140))
        )
        wide = other = _wide(abs(height), rr_s, rng)
        if kind == "bidirectional":
            other = _wide(abs(height), rr_s, rng) * rng.choice([-1.0, 1.0])
        narrow = _narrow(height, rr_s, rng)
        lost = 0.15 if kind == "paced" and rng.random() < 0.4 else 0.0
        pulse, p_wave, step = _spike(rng), 4.0 * _p(height, rng), 0
        spread = float(rng.choice([0.0, 0.03, 0.12]))
        while at_s < until:
            at, step = round(at_s * RATE), step + 1
            if kind == "still" or kind == "paced":
                _add(out, at - int(0.04 * RATE), pulse)
            if kind == "p only":
                _add(out, at, p_wave)
            elif kind != "still":
                usual = narrow if kind in ("sinus", "slow", "bigeminy") else wide
                odd = wide if kind == "bigeminy" else other
                steady = kind in ("sinus", "slow")
                _add(out, at, odd if not steady and step % 2 == 0 else usual)
                if rng.random() < lost:  # a pulse that did not hear the beat: into its T wave
                    _add(out, at + int(float(rng.uniform(0.1, 0.45)) * RATE), pulse)
                beats.append(at)
            interval = rr_s * (1 + spread * rng.normal())
            if kind == "bigeminy":
                interval *= 0.7 if step % 2 else 1.3
            at_s += max(interval, 0.22)
    t = np.arange(len(out)) / RATE
    out += rng.normal(0.0, float(rng.uniform(2.0, 20.0)), len(out))
    out += float(rng.uniform(0, 300)) * np.sin(2 * np.pi * float(rng.uniform(0.05, 0.5)) * t)
    if rng.random() < 0.3:
        out += float(rng.uniform(0, 60)) * np.sin(2 * np.pi * float(rng.choice([50, 60])) * t)
    return out, np.array(beats, np.int64)
