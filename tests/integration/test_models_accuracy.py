"""Floors under the shipped int8 networks, streamed over recordings they were not trained on.

The floors lie a little under what was measured when the bundles were made; they guard a change
of runtime, preprocessing or bundle, and the full figures stand in each card.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.record_rhythm import classify_record
from models.registry import load_quality, load_rhythm
from models.training import datasets
from models.training.measure import confidence_error, stream_quality, stream_rhythm
from models.training.scores import challenge_f1, runs

pytestmark = pytest.mark.shared

QUALITY = load_quality()
RHYTHM = load_rhythm()
HELD_OUT_RECORDS = 240


@pytest.fixture(scope="module")
def challenge(shared: Path) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Label and both stages' seconds of held-out CinC 2017 records."""
    folder = shared / "data" / "cinc2017"
    labels = dict(
        line.split(",") for line in (folder / "REFERENCE.csv").read_text().split() if line
    )
    held_out = [name for name in sorted(labels) if datasets.fold(name) == 0][:HELD_OUT_RECORDS]
    out = []
    for name in held_out:
        signal = datasets.read(folder, name).signals[0]
        out.append((labels[name], stream_quality(QUALITY, signal), stream_rhythm(RHYTHM, signal)))
    return out


def test_challenge_f1_of_held_out_records(
    challenge: list[tuple[str, np.ndarray, np.ndarray]],
) -> None:
    truth = [label for label, _, _ in challenge]
    said = [classify_record(p_usable, p) for _, p_usable, p in challenge]
    scores = challenge_f1(truth, said)
    assert scores["mean"] >= 0.81, scores
    assert scores["~"] >= 0.45, scores


def test_shown_confidence_is_calibrated(
    challenge: list[tuple[str, np.ndarray, np.ndarray]],
) -> None:
    named = [(label, p[10:]) for label, _, p in challenge if label != "~"]
    three = np.concatenate([np.c_[p[:, :2], p[:, 2:].sum(1)] for _, p in named])
    truth = np.concatenate([np.full(len(p), "NAO".index(label)) for label, p in named])
    assert confidence_error(three, truth) <= 0.05


def test_named_records_are_hardly_ever_silenced(
    challenge: list[tuple[str, np.ndarray, np.ndarray]],
) -> None:
    named = np.concatenate([p_usable for label, p_usable, _ in challenge if label != "~"])
    noise = np.concatenate([p_usable for label, p_usable, _ in challenge if label == "~"])
    assert (named < 0.5).mean() <= 0.06
    assert (noise < 0.5).mean() >= 0.5


def test_flutter_of_a_held_out_patient_is_usable(shared: Path) -> None:
    """Record 418: wrong silence over a lethal rhythm would be the worst failure of all."""
    record = datasets.read(shared / "data" / "vfdb", "418")
    rhythms = np.array(record.rhythm_per_second())
    first = int(np.flatnonzero(rhythms == "VFL")[0])
    part = record.signals[0][(first - 60) * 250 : (first + 60) * 250]
    p_usable = stream_quality(QUALITY, part)
    assert (p_usable >= 0.5).mean() >= 0.98
    lethal = stream_rhythm(RHYTHM, part)[:, 3:].sum(1) >= 0.5
    ended = 60 + int(np.flatnonzero(rhythms[first:] != "VFL")[0])
    assert lethal[60 + 4 : ended].all()
    assert not lethal[:50].any()  # the annotated onset is inexact by some seconds


def test_normal_rhythm_raises_no_lethal_alarm(shared: Path) -> None:
    """Ten minutes each of a normal, an AF, a bigeminal and a paced patient."""
    for name in ("101", "201", "119", "107"):
        part = datasets.read(shared / "data" / "mitdb", name).signals[0][: 600 * 250]
        p = stream_rhythm(RHYTHM, part)
        assert not runs(p[:, 4] >= 0.5, 3), name
        assert not runs(p[:, 3] >= 0.5, 3), name
