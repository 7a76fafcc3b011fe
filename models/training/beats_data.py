"""Beats as the beat network sees them: window, context and EC57 class, record by record.

Positions are the annotations moved to the extremum of the complex, as the chain's detector sets
R, with its scatter added. Context runs causally through each record, so a copy with noise goes
through it again. Both leads of a record are taken, as two patients' worth of shapes.
"""

from __future__ import annotations

import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from models.beat_features import CONTEXT, WINDOW, BeatContext, R
from models.preprocess import RATE_HZ
from models.training.augment import Ward, qrs_height
from models.training.datasets import DS1, Recording, fold, load

CLASSES = "NSVFQ"
MINUTE = 60 * RATE_HZ
LOWEST_DB = 6.0
"""Noisier, the gate calls the signal unusable and no beat counts."""
TAKEN_FOR_BEATS = 0.15
"""Share of what is no beat that the network is assumed to take for one."""
DELAY = 0.5
"""Samples by which the extremum still lags the R peak that the chain tells, on average."""
SCATTER = 1.2
"""Standard deviation, in samples, of the chain's R peak about that …"""
STRAY, STRAY_SHARE = 6.0, 0.12
"""… and of the share that is set on another wave of the complex."""


Part: TypeAlias = tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.int8], str, int]
"""Windows, contexts, classes, record and copy of one lead."""


@dataclass(slots=True)
class Beats:
    """Beats of many records."""

    windows: NDArray[np.float16]
    """Shape (n, WINDOW), microvolts."""
    contexts: NDArray[np.float16]
    """Shape (n, CONTEXT)."""
    kinds: NDArray[np.int8]
    """Index into CLASSES."""
    records: NDArray[np.str_]
    """Database and record of each beat, ``mitdb/101``."""
    copies: NDArray[np.int8]
    """0 and 1 are the record's own leads, 2 and on mixtures of them with noise."""

    def folds(self, folds: int = 5) -> NDArray[np.int8]:
        """The fold of each beat: its record's."""
        of = {name: fold(name.split("/")[1], folds) for name in np.unique(self.records)}
        return np.array([of[name] for name in self.records], np.int8)


def r_peaks(signal: NDArray[np.float32], beats: NDArray[np.int64]) -> NDArray[np.int64]:
    """Annotated positions moved to the extremum within 80 ms; the annotator's are near it."""
    level = np.convolve(np.pad(signal, 75, "edge"), np.ones(151) / 151, "valid")
    size = np.abs(signal - level)
    reach = np.arange(-20, 21)
    at = np.clip(beats[:, None] + reach, 0, len(signal) - 1)
    # Of two peaks of like height the one nearer to the annotation.
    near = size[at] * (1.0 - 0.01 * np.abs(reach))
    return at[np.arange(len(beats)), near.argmax(1)]


def decoys(
    signal: NDArray[np.float32], peaks: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """What a detector takes for beats: T waves for minutes on end, now and then any other wave.

    They are Q to the network: no run, rate or standstill shall rest on them.
    """
    found: list[int] = []
    for start in range(0, len(signal), 2 * MINUTE):
        mode = rng.choice(["none", "t", "any"], p=[0.6, 0.25, 0.15])
        inside = np.flatnonzero((peaks[:-1] >= start) & (peaks[:-1] < start + 2 * MINUTE))
        if mode == "none":
            continue
        for i in inside[rng.random(len(inside)) < (0.8 if mode == "t" else 0.2)]:
            first = peaks[i] + int((0.18 if mode == "t" else 0.14) * RATE_HZ)
            last = peaks[i + 1] - int(0.16 * RATE_HZ)
            if mode == "t":
                last = min(last, peaks[i] + int(0.45 * RATE_HZ))
            if last - first < 12:
                continue
            if mode == "any":
                first = int(rng.integers(first, last - 10))
                last = min(last, first + 25)
            part = signal[first:last]
            found.append(first + int(np.argmax(np.abs(part - np.median(part)))))
    return np.array(found, np.int64)


def of_lead(
    signal: NDArray[np.float32], recording: Recording, rng: np.random.Generator
) -> tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.int8]]:
    """Windows, contexts and classes of one lead's beats, in order."""
    peaks = r_peaks(signal, recording.beats)
    truth = np.array([CLASSES.index(kind) for kind in recording.beat_kinds], np.int8)
    false = decoys(signal, peaks, rng)
    kinds = np.concatenate([truth, np.full(len(false), CLASSES.index("Q"), np.int8)])
    peaks = np.concatenate([peaks, false])
    order = np.argsort(peaks, kind="stable")
    peaks, kinds = peaks[order], kinds[order]
    scatter = np.where(rng.random(len(peaks)) < STRAY_SHARE, STRAY, SCATTER)
    peaks = np.round(peaks - DELAY + rng.normal(0.0, scatter)).astype(np.int64)
    context = BeatContext()
    windows = np.zeros((len(peaks), WINDOW), np.float16)
    contexts = np.zeros((len(peaks), CONTEXT), np.float16)
    padded = np.pad(signal, (WINDOW, WINDOW + 40))
    for i, peak in enumerate(peaks):
        window = padded[peak + WINDOW - R : peak + 2 * WINDOW - R]
        _, _, contexts[i] = context.look(peak / RATE_HZ, window)
        windows[i] = window
        if kinds[i] != CLASSES.index("Q") or rng.random() < TAKEN_FOR_BEATS:
            context.count()
    return windows, contexts, kinds


def disturbed(signal: NDArray[np.float32], ward: Ward) -> NDArray[np.float32]:
    """The signal with noise in two of three minutes, another kind and strength in each."""
    out = signal.copy()
    for start in range(0, len(signal), MINUTE):
        part = signal[start : start + MINUTE]
        if len(part) >= RATE_HZ and ward.rng.random() < 0.67:
            snr_db = float(ward.rng.uniform(LOWEST_DB, 30.0))
            kind = str(ward.rng.choice(["em", "ma", "bw"]))
            out[start : start + MINUTE], _noise = ward.mixed(part, snr_db, kind)
    return out


def tachycardia_beats(recording: Recording, signal: NDArray[np.float32]) -> Recording:
    """vfdb has no beats: those of its annotated VT are found here, each of them a V.

    One per wave of the slope's energy, 0.1 s wide, as high as half of its neighbours'.
    """
    kinds = np.array(recording.rhythm_per_second())
    energy = np.convolve(np.abs(np.diff(signal, prepend=signal[:1])), np.ones(25) / 25, "same")
    around = np.convolve(energy, np.ones(500) / 500, "same")
    peaks, _ = find_peaks(energy, distance=55, height=1.2 * around)
    peaks = peaks[peaks < len(kinds) * RATE_HZ]
    peaks = peaks[kinds[peaks // RATE_HZ] == "VT"]
    return replace(recording, beats=peaks, beat_kinds="V" * len(peaks))


def another_lead(recording: Recording, rng: np.random.Generator) -> Recording:
    """The patient seen by an electrode elsewhere, at another pace: one lead.

    A mixture of the two leads at any angle is what a third one would show; all is played up to
    15 % faster or slower.
    """
    leads = recording.signals
    heights = np.array([max(50.0, qrs_height(lead)) for lead in leads])
    angle = rng.uniform(0.0, 2 * np.pi)
    shares = np.array([np.cos(angle), np.sin(angle)])[: len(leads)]
    mixed = (shares / heights) @ leads * heights.mean()
    pace = float(rng.uniform(0.87, 1.15))
    samples = int(len(mixed) / pace)
    mixed = np.interp(np.arange(samples) * pace, np.arange(len(mixed)), mixed)
    beats = np.round(recording.beats / pace).astype(np.int64)
    rhythm_starts = np.round(recording.rhythm_starts / pace).astype(np.int64)
    inside = beats < samples
    return replace(
        recording,
        signals=mixed[None].astype(np.float32),
        rhythm_starts=rhythm_starts,
        beats=beats[inside],
        beat_kinds="".join(k for k, ok in zip(recording.beat_kinds, inside, strict=True) if ok),
    )


def copies_of(recording: Recording, name: str, ward: Ward, copies: int) -> list[Part]:
    """One record's beats: each lead as it was, then ``copies`` other leads of it, disturbed.

    vfdb has no annotated beats: those of its tachycardias are found in each lead alone.
    """
    found = []
    for tag in range(2 + copies):
        if tag < 2 and tag >= len(recording.signals):
            continue
        if tag < 2:
            seen = replace(recording, signals=recording.signals[tag : tag + 1])
            seen = told(seen, name)
        else:
            seen = told(another_lead(recording, ward.rng), name)
            seen = replace(seen, signals=disturbed(seen.signals[0], ward)[None])
        if len(seen.beats):
            windows, contexts, kinds = of_lead(seen.signals[0], seen, ward.rng)
            found.append((windows, contexts, kinds, name, tag))
    return found


def told(seen: Recording, name: str) -> Recording:
    """With its beats: vfdb's are found here."""
    return tachycardia_beats(seen, seen.signals[0]) if name.startswith("vfdb") else seen


def _job(job: tuple[Path, Path, str, str, int, int]) -> list[Part]:
    data, cache, database, record, copies, seed = job
    recording = next(r for r in load(data, database, cache) if r.name == record)
    name = f"{database}/{record}"
    ward = Ward(
        load(data, "nstdb", cache), np.random.default_rng([seed, zlib.crc32(name.encode())])
    )
    return copies_of(recording, name, ward, copies)


def make(data: Path, cache: Path, copies: int = 4, seed: int = 7, processes: int = 1) -> Beats:
    """All beats of DS1, svdb and vfdb's tachycardias, with ``copies`` other leads of each record.

    What is drawn for a record depends on its name alone, not on how many processes share it out.
    """
    jobs = [
        (data, cache, database, recording.name, copies, seed)
        for database in ("mitdb", "svdb", "vfdb")
        for recording in load(data, database, cache)
        if database != "mitdb" or recording.name in DS1
    ]
    with ProcessPoolExecutor(processes) as pool:
        parts = [part for record in pool.map(_job, jobs) for part in record]
    counts = [len(part[2]) for part in parts]
    return Beats(
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
        np.repeat([part[3] for part in parts], counts),
        np.repeat(np.array([part[4] for part in parts], np.int8), counts),
    )


def cached(data: Path, cache: Path, copies: int = 4, processes: int = 1) -> Beats:
    """``make``, kept in the cache folder."""
    kept = cache / f"beats_v4_{copies}.npz"
    if not kept.exists():
        beats = make(data, cache, copies, processes=processes)
        part = kept.with_suffix(".part.npz")
        np.savez(part, **{name: getattr(beats, name) for name in Beats.__slots__})
        part.replace(kept)
    with np.load(kept) as fields:
        return Beats(**{name: fields[name] for name in fields.files})
