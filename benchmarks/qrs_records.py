"""Recordings as the QRS benchmarks use them: 250 Hz microvolts, beats, and noise by the book.

The noise stress test is that of ``agent.evaluate.stress``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from agent.evaluate.stress import noise_gain, noisy_spans, qrs_height
from agent.scoring import ReferenceBeats, compare_beats, reference_beats
from agent.signal.qrs import QrsDetector
from agent.signal.resample import Resampler
from agent.signal.scorer import Scorer
from drivers.files import microvolts, open_record
from drivers.files.annotations import read_annotations

Signal = NDArray[np.float64]
stress_fold = ("118", "119")
RATE = 250


@dataclass(frozen=True)
class Ecg:
    """One record at 250 Hz."""

    microvolts: Signal
    """Shape (n, leads)."""
    beats: NDArray[np.int64]
    """Samples of the annotated beats."""
    symbols: tuple[str, ...]
    flutter: tuple[tuple[int, int], ...]
    """Samples between [ and ]."""


def records(data: Path, database: str) -> list[str]:
    """Names of a database's records."""
    return (data / database / "RECORDS").read_text().split()


def at_250(path: Path) -> Signal:
    """A record's ECG leads at 250 Hz."""
    with open_record(path) as record:
        values = np.nan_to_num(microvolts(record.read(0, record.n_samples), record.leads))
        resampler = Resampler(record.rate_hz, len(record.leads))
    resampler.start(0)
    return np.concatenate([resampler.push(values).microvolts, resampler.finish().microvolts])


def load_ecg(data: Path, database: str, name: str) -> Ecg:
    """Signal and expert annotations."""
    path = data / database / name
    with open_record(path) as record:
        rate_hz, duration_s = record.rate_hz, record.duration_s
    marks = read_annotations(path.with_suffix(".atr"))
    reference = reference_beats(
        [m.sample for m in marks], [m.symbol for m in marks], rate_hz, duration_s
    )
    return Ecg(
        at_250(path),
        np.rint(reference.time_s * RATE).astype(np.int64),
        reference.symbols,
        tuple((round(a * RATE), round(b * RATE)) for a, b in reference.fibrillation),
    )


@lru_cache(maxsize=4)
def noise_at(data: Path, kind: str) -> Signal:
    """One of nstdb's noise records."""
    return at_250(data / "nstdb" / kind)


def stressed(signal: Signal, ecg: Ecg, noise: Signal, snr_db: float) -> Signal:
    """The noise stress test's signal at 250 Hz."""
    normal = ecg.beats[np.isin(ecg.symbols, list("NLR"))]
    gain = noise_gain(signal, normal, noise, snr_db)
    made = signal.copy()
    for start, stop in noisy_spans(len(signal)):
        made[start:stop] += gain * noise[start:stop]
    return made


def mixed(signal: Signal, ecg: Ecg, data: Path, rng: np.random.Generator, *, noisy: bool) -> Signal:
    """Training signal: stretches of noise of any kind and strength, changes of gain."""
    made = signal.copy()
    height = qrs_height(signal, ecg.beats)
    if noisy:
        start = 0
        while start < len(made):
            stop = min(start + int(rng.uniform(15, 90) * RATE), len(made))
            if rng.random() < 0.7 and stop - start > 2 * RATE:
                noise = _training_noise(stop - start, data, rng)
                noise = noise - noise.mean()
                windows = noise[: len(noise) // RATE * RATE].reshape(-1, RATE)
                rms = float(windows.std(axis=1).mean()) + 1e-9
                power = height**2 / 8 / 10 ** (rng.uniform(-8, 20) / 10)
                made[start:stop] += noise * np.sqrt(power) / rms
            start = stop
    if not noisy or rng.random() < 0.3:
        made = (made - np.median(made)) * _gains(len(made), rng)
        made += rng.normal(size=len(made)) * height * rng.uniform(0, 0.03)
    return made


def _gains(count: int, rng: np.random.Generator) -> Signal:
    gains, start, gain = np.ones(count), 0, 1.0
    while start < count:
        stop = min(start + int(rng.uniform(10, 60) * RATE), count)
        gain = float(np.clip(gain * np.exp(rng.normal() * 0.5), 0.3, 3))
        gains[start:stop] = gain
        start = stop
    return gains


def _training_noise(count: int, data: Path, rng: np.random.Generator) -> Signal:
    kind = rng.choice(["ma", "em", "bw", "motion", "white"], p=[0.2, 0.3, 0.1, 0.3, 0.1])
    if kind == "motion":
        return _motion(count, rng)
    if kind == "white":
        sos = butter(2, rng.uniform(10, 60), "lowpass", fs=RATE, output="sos")
        return np.asarray(sosfilt(sos, rng.normal(size=count)))
    noise = noise_at(data, str(kind))[:, rng.integers(2)]
    if kind == "em":
        noise = noise[225_000:]  # the stress test adds the first half
    start = int(rng.integers(0, max(len(noise) - count, 1)))
    cut = noise[start : start + count] * rng.choice([-1, 1])
    return np.pad(cut, (0, count - len(cut)), mode="wrap")


def _motion(count: int, rng: np.random.Generator) -> Signal:
    """Electrode motion: steps that decay, bumps, coloured noise."""
    made = np.zeros(count)
    for at in rng.integers(0, count, rng.poisson(count / RATE * rng.uniform(0.5, 3))):
        height = rng.normal() * rng.exponential(1)
        if rng.random() < 0.4:
            decay = rng.uniform(0.05, 0.8) * RATE
            t = np.arange(min(count - at, int(5 * decay)))
            made[at : at + len(t)] += (
                height * (1 - np.exp(-t / rng.uniform(2, 25))) * np.exp(-t / decay)
            )
        else:
            width = rng.uniform(0.015, 0.2) * RATE
            low, high = max(0, at - int(3 * width)), min(count, at + int(3 * width))
            t = np.arange(low, high) - at
            made[low:high] += height * np.exp(-(t**2) / 2 / width**2)
    middle = rng.uniform(1, 12)
    sos = butter(2, [middle * 0.4, middle * 2.0], "bandpass", fs=RATE, output="sos")
    coloured = np.asarray(sosfilt(sos, rng.normal(size=count)))
    return made + coloured / coloured.std() * rng.uniform(0, 0.6) * made.std()


def detected(signal: Signal, scorer: Scorer) -> NDArray[np.float64]:
    """R peaks of one lead, seconds."""
    detector = QrsDetector(scorer)
    detector.start(0)
    found = detector.push(signal) + detector.finish()
    return np.array([one.peak for one in found if one.is_qrs]) / RATE


def score_record(job: tuple[Path, str, str, Scorer]) -> tuple[int, int, int]:
    """(TP, FN, FP) on a record's first lead, no learning period, flutter left out."""
    data, database, name, scorer = job
    ecg = load_ecg(data, database, name)
    return _counts(detected(ecg.microvolts[:, 0], scorer), ecg)


def score_stress(data: Path, name: str, snr_db: float, scorer: Scorer) -> tuple[int, int, int]:
    """(TP, FN, FP) of the noise stress test, all beats counted."""
    ecg = load_ecg(data, "mitdb", name)
    signal = ecg.microvolts[:, 0]
    noise = noise_at(data, "em")[: len(signal), 0]
    return _counts(detected(stressed(signal, ecg, noise, snr_db), scorer), ecg)


def _counts(peaks_s: Signal, ecg: Ecg) -> tuple[int, int, int]:
    spans = tuple((begin / RATE, end / RATE) for begin, end in ecg.flutter)
    reference = ReferenceBeats(ecg.beats / RATE, ecg.symbols, spans)
    confusion, _ = compare_beats(reference, np.sort(peaks_s))
    counts = confusion.beats()
    return counts.found, counts.missed, counts.extra
