"""Floors under the shipped int8 networks, streamed over recordings they were not trained on.

The floors lie a little under what was measured when the bundles were made; they guard a change
of runtime, preprocessing or bundle, and the full figures stand in each card.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from agent.analyze import analyse, report
from agent.chain import Chain
from agent.networks import load as load_networks
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Beat
from agent.scoring import Confusion, compare_beats, reference_beats
from benchmarks.networks import measured
from drivers.files import open_record
from drivers.files.annotations import read_annotations
from drivers.samples import SampleBlock, StreamInfo
from models.registry import load_quality, load_rhythm
from models.training import datasets, layout
from models.training.measure import confidence_error, stream_quality, stream_rhythm
from models.training.scores import challenge_f1, runs

pytestmark = pytest.mark.shared

QUALITY = load_quality()
RHYTHM = load_rhythm()
HELD_OUT_RECORDS = 160


@dataclass(frozen=True)
class Judged:
    """What the whole chain said of a record whose class is known."""

    label: str
    word: str
    p_usable: np.ndarray
    rhythm: np.ndarray


@pytest.fixture(scope="module")
def challenge(shared: Path) -> list[Judged]:
    """Held-out CinC 2017 records as ``wardbeat analyze`` sees them."""
    labels = layout.labels(shared / "data", "cinc2017")
    held_out = [
        (name, path)
        for name, path in layout.paths(shared / "data", "cinc2017").items()
        if datasets.fold(name) == 0
    ]
    networks, out = load_networks(), []
    for name, path in held_out[:HELD_OUT_RECORDS]:
        with open_record(path) as record:
            analysis = analyse(record, networks)
        said = report(analysis, networks)["rhythm"]
        p_usable = np.array([v.p_usable for v in analysis.verdicts], np.float64)
        rhythm = np.array([astuple(p) for p in analysis.probabilities]).reshape(-1, 5)
        out.append(Judged(labels[name], said, p_usable, rhythm))
    return out


def test_challenge_f1_of_held_out_records(challenge: list[Judged]) -> None:
    scores = challenge_f1([r.label for r in challenge], [r.word for r in challenge])
    assert scores["mean"] >= 0.81, scores
    assert scores["~"] >= 0.5, scores


def test_shown_confidence_is_calibrated(challenge: list[Judged]) -> None:
    named = [(r.label, r.rhythm[10:]) for r in challenge if r.label != "~"]
    three = np.concatenate([np.c_[p[:, :2], p[:, 2:].sum(1)] for _, p in named])
    truth = np.concatenate([np.full(len(p), "NAO".index(label)) for label, p in named])
    assert confidence_error(three, truth) <= 0.05


def test_named_records_are_hardly_ever_silenced(challenge: list[Judged]) -> None:
    named = np.concatenate([r.p_usable for r in challenge if r.label != "~"])
    noise = np.concatenate([r.p_usable for r in challenge if r.label == "~"])
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


def test_beats_of_a_bigeminal_record_are_named_by_the_network(shared: Path) -> None:
    """Ten minutes of 119 and 208, which the network was trained on: guards the way to it."""
    networks = replace(load_networks(), quality=None, rhythm=None)
    pooled = Confusion({})
    for name in ("119", "208"):
        path = shared / "data" / "mitdb" / name
        with open_record(path) as record:
            counts = record.read(0, 600 * 360).counts[:, :1]
            info = StreamInfo("file", name, record.rate_hz, record.leads[:1])
        chain = Chain(info, RhythmLimits(), networks)
        steps = chain.push(SampleBlock(0, counts, 0, info.rate_hz))
        beats = [e for step in steps for e in step.events if isinstance(e, Beat)]
        assert {beat.judged_by for beat in beats} <= {str(networks.beats.model), "rules"}
        marks = [m for m in read_annotations(path.with_suffix(".atr")) if m.sample < 599 * 360]
        reference = reference_beats([m.sample for m in marks], [m.symbol for m in marks], 360.0)
        said = [(b.time_s, b.kind.value) for b in beats if b.time_s < 599]
        confusion, _ = compare_beats(reference, [t for t, _ in said], [kind for _, kind in said])
        pooled += confusion
    veb = pooled.of_class("V")
    assert veb.found + veb.missed > 300
    assert veb.sensitivity >= 0.97
    assert veb.predictivity >= 0.97


def test_an_atrial_fibrillation_has_no_premature_and_few_ventricular_beats(shared: Path) -> None:
    """Ten minutes of 203, which the networks were trained on: guards the aberrant beats' rule."""
    path = shared / "data" / "mitdb" / "203"
    with open_record(path) as record:
        counts = record.read(0, 600 * 360).counts[:, :1]
        info = StreamInfo("file", "203", record.rate_hz, record.leads[:1])
    steps = Chain(info, RhythmLimits(), load_networks()).push(
        SampleBlock(0, counts, 0, info.rate_hz)
    )
    beats = [e for step in steps for e in step.events if isinstance(e, Beat)]
    marks = [m for m in read_annotations(path.with_suffix(".atr")) if m.sample < 599 * 360]
    reference = reference_beats([m.sample for m in marks], [m.symbol for m in marks], 360.0)
    said = [(b.time_s, b.kind.value) for b in beats if b.time_s < 599]
    confusion, _ = compare_beats(reference, [t for t, _ in said], [kind for _, kind in said])
    assert confusion.of_class("S").extra <= 20
    veb = confusion.of_class("V")
    assert veb.sensitivity >= 0.8
    assert veb.predictivity >= 0.9


def test_eight_bits_change_hardly_a_probability(shared: Path) -> None:
    for fp32, int8 in measured(shared / "data", 6):
        apart = np.abs(fp32.said - int8.said)
        assert int8.size < fp32.size, int8.name
        assert apart.mean() < 0.01, int8.name
        assert (fp32.said.round() != int8.said.round()).any(1).mean() < 0.02, int8.name
