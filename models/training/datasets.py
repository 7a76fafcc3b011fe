"""The recordings as the networks see them: microvolts, 250 Hz, conditioned, with their labels.

Reading and resampling 6,500 records takes minutes, so each database is read once and kept as
``.npz`` in a cache folder. Splits are by record or patient and depend on the name alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray
from scipy.signal import resample_poly

from models.preprocess import RATE_HZ, Conditioner
from models.training.layout import labels, paths

# De Chazal's training half: the only records of mitdb that anything here is trained on.
DS1 = tuple(
    str(name)
    for name in (
        *(101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122, 124),
        *(201, 203, 205, 207, 208, 209, 215, 220, 223, 230),
    )
)
PACED = ("102", "104", "107", "217")

HELD_OUT_FOLD = 0

# ANSI/AAMI EC57 mapping of beat annotations.
BEAT_KINDS = {
    **dict.fromkeys("NLRej", "N"),
    **dict.fromkeys("AaJS", "S"),
    **dict.fromkeys("VE", "V"),
    "F": "F",
    **dict.fromkeys("/fQ", "Q"),
}


MICROVOLTS = {"mV": 1000.0, "uV": 1.0}
"""An ECG lead's unit; what else a record holds has others …"""
NO_ECG = ("RESP", "PLETH", "ABP", "ART", "CVP", "PAP")
"""… or such a name."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One record as the networks see it."""

    name: str
    signals: NDArray[np.float32]
    """Shape (leads, samples): conditioned microvolts at 250 Hz."""
    beats: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Sample (at 250 Hz) of each beat annotation."""
    beat_kinds: str = ""
    """EC57 class of each beat."""
    rhythm_starts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Sample (at 250 Hz) at which each annotated rhythm begins."""
    rhythms: tuple[str, ...] = ()
    """The annotation's own words without the bracket: N, AFIB, VT, VFL, NOISE, …"""
    label: str = ""
    """The whole record's class (cinc2017: N A O ~; cinc2015: alarm type and truth)."""

    def rhythm_per_second(self) -> list[str]:
        """The rhythm in force in the middle of each whole second; empty before the first."""
        seconds = self.signals.shape[1] // RATE_HZ
        middle = np.arange(seconds) * RATE_HZ + RATE_HZ // 2
        at = np.searchsorted(self.rhythm_starts, middle, side="right") - 1
        return [self.rhythms[i] if i >= 0 else "" for i in at]


def condition(microvolts: NDArray[np.float64], rate_hz: float) -> NDArray[np.float32]:
    """One lead at its own rate → the networks' input. NaN holds the last good sample."""
    good = np.isfinite(microvolts)
    if not good.any():
        return np.zeros(int(len(microvolts) * RATE_HZ / rate_hz), np.float32)
    last = np.maximum.accumulate(np.where(good, np.arange(len(good)), 0))
    filled = np.where(good[last], microvolts[last], microvolts[np.argmax(good)])
    ratio = Fraction(RATE_HZ / rate_hz).limit_denominator(1000)
    level = filled[0]  # taken off first: the resampler's edges would ring at an offset
    at_rate = level + resample_poly(filled - level, ratio.numerator, ratio.denominator)
    return Conditioner().push(at_rate)


def read(folder: Path, name: str, *, label: str = "") -> Recording:
    """Read a WFDB record's ECG leads with its ``.atr``, where there is one."""
    record = wfdb.rdrecord(str(folder / name))
    signals = np.stack(
        [
            condition(record.p_signal[:, lead] * MICROVOLTS[unit], record.fs)
            for lead, unit in enumerate(record.units)
            if unit in MICROVOLTS and record.sig_name[lead].upper() not in NO_ECG
        ]
    )
    if not (folder / f"{name}.atr").exists():
        return Recording(name, signals, label=label)
    notes = wfdb.rdann(str(folder / name), "atr")
    at = np.round(notes.sample * (RATE_HZ / record.fs)).astype(np.int64)
    is_beat = np.array([symbol in BEAT_KINDS for symbol in notes.symbol], bool)
    rhythm = [
        (int(sample), text.strip("\0")[1:])
        for sample, text in zip(at, notes.aux_note, strict=True)
        if text.startswith("(")
    ]
    return Recording(
        name,
        signals,
        beats=at[is_beat],
        beat_kinds="".join(BEAT_KINDS[symbol] for symbol in notes.symbol if symbol in BEAT_KINDS),
        rhythm_starts=np.array([start for start, _ in rhythm], np.int64),
        rhythms=tuple(text for _, text in rhythm),
        label=label,
    )


def load(data: Path, database: str, cache: Path) -> list[Recording]:
    """All records of ``data/database``, from ``cache`` after the first time."""
    kept = cache / f"{database}.npz"
    if kept.exists():
        return list(_unpack(kept))
    words = labels(data, database)
    recordings = [
        read(path.parent, name, label=words.get(name, ""))
        for name, path in paths(data, database).items()
    ]
    cache.mkdir(parents=True, exist_ok=True)
    _pack(kept, recordings)
    return recordings


def _pack(path: Path, recordings: list[Recording]) -> None:
    """All leads one after another in one array: loads in a second, without pickle."""
    fields: dict[str, NDArray[np.generic]] = {
        "names": np.array([r.name for r in recordings]),
        "labels": np.array([r.label for r in recordings]),
        "leads": np.array([r.signals.shape[0] for r in recordings]),
        "samples": np.array([r.signals.shape[1] for r in recordings]),
        "signals": np.concatenate([r.signals.ravel() for r in recordings]),
        "beats_each": np.array([len(r.beats) for r in recordings]),
        "beats": np.concatenate([r.beats for r in recordings]),
        "beat_kinds": np.array(["".join(r.beat_kinds for r in recordings)]),
        "rhythms_each": np.array([len(r.rhythms) for r in recordings]),
        "rhythm_starts": np.concatenate([r.rhythm_starts for r in recordings]),
        "rhythms": np.array(["\n".join(text for r in recordings for text in r.rhythms)]),
    }
    part = path.with_suffix(".part.npz")
    np.savez(part, **fields)
    part.replace(path)


def _unpack(path: Path) -> Iterator[Recording]:
    with np.load(path) as kept:
        fields = {key: kept[key] for key in kept.files}
    words = str(fields["rhythms"][0]).split("\n")
    kinds = str(fields["beat_kinds"][0])
    signal_at = beat_at = rhythm_at = 0
    for i, name in enumerate(fields["names"]):
        leads, samples = int(fields["leads"][i]), int(fields["samples"][i])
        beats, rhythms = int(fields["beats_each"][i]), int(fields["rhythms_each"][i])
        yield Recording(
            str(name),
            fields["signals"][signal_at : signal_at + leads * samples].reshape(leads, samples),
            beats=fields["beats"][beat_at : beat_at + beats],
            beat_kinds=kinds[beat_at : beat_at + beats],
            rhythm_starts=fields["rhythm_starts"][rhythm_at : rhythm_at + rhythms],
            rhythms=tuple(words[rhythm_at : rhythm_at + rhythms]),
            label=str(fields["labels"][i]),
        )
        signal_at += leads * samples
        beat_at += beats
        rhythm_at += rhythms


def fold(name: str, folds: int = 5) -> int:
    """The fold of a record: of its name alone, so it stays when records are added."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % folds


def is_held_out(name: str) -> bool:
    """Never trained on by the quality and rhythm networks, in any database."""
    return fold(name) == HELD_OUT_FOLD
