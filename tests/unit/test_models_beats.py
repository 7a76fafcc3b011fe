"""The beat network's making, on a handful of drawn beats: shapes, figures, calibration, bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the training extra")
pytest.importorskip("onnx", reason="needs the training extra")
pytest.importorskip("wfdb", reason="needs the training extra")

from models.beat_features import CONTEXT, FIGURES, WINDOW, R, deciles  # noqa: E402
from models.runtime import OnnxBeats  # noqa: E402
from models.training import beats as making  # noqa: E402
from models.training.augment import Ward  # noqa: E402
from models.training.beats_data import (  # noqa: E402
    Beats,
    Part,
    another_lead,
    copies_of,
    decoys,
    of_lead,
    r_peaks,
)
from models.training.beats_network import BeatNet, CalibratedBeatNet  # noqa: E402
from models.training.bundle import write_bundle  # noqa: E402
from models.training.datasets import Recording  # noqa: E402


def drawn(seconds: int) -> tuple[np.ndarray, np.ndarray]:
    """A lead with a beat each 0.8 s and a T wave after it, and the beats' samples."""
    spikes = np.zeros(seconds * 250)
    beats = np.arange(200, len(spikes) - 200, 200)
    spikes[beats] = 1.0
    t = np.arange(-120, 121)
    beat = 1000 * np.exp(-0.5 * (t / 3.0) ** 2) + 250 * np.exp(-0.5 * ((t - 70) / 12.0) ** 2)
    return np.convolve(spikes, beat, "same").astype(np.float32), beats


def some_beats(n: int = 400) -> Beats:
    rng = np.random.default_rng(2)
    contexts = rng.normal(0, 1, (n, CONTEXT))
    contexts[:, 0] = 1000.0
    contexts[:, FIGURES:] *= 300
    return Beats(
        rng.normal(0, 300, (n, WINDOW)).astype(np.float16),
        contexts.astype(np.float16),
        rng.integers(0, 5, n).astype(np.int8),
        np.array([f"mitdb/{100 + i % 7}" for i in range(n)]),
        np.zeros(n, np.int8),
    )


def test_annotations_move_to_the_extremum() -> None:
    signal, beats = drawn(20)
    moved = r_peaks(signal, beats + np.resize([-9, 7, 0], len(beats)))
    np.testing.assert_array_equal(moved, beats)


def test_decoys_lie_between_beats_and_are_called_no_beats() -> None:
    signal, beats = drawn(1200)
    false = decoys(signal, beats, np.random.default_rng(1))
    assert len(false) > 50
    assert np.abs(false[:, None] - beats[None, :]).min() >= 30
    recording = Recording("101", signal[None], beats=beats, beat_kinds="N" * len(beats))
    windows, contexts, kinds = of_lead(signal, recording, np.random.default_rng(1))
    assert (windows.shape[1], contexts.shape[1]) == (WINDOW, CONTEXT)
    assert (kinds == 0).sum() == len(beats)
    assert (kinds == 4).sum() > 50
    peak = np.abs(windows[kinds == 0].astype(float)).argmax(1)
    assert abs(np.median(peak) - R) <= 1, "a complex stands where the chain tells its R peak"


def test_rare_classes_are_drawn_as_often_as_their_roots_say() -> None:
    beats = some_beats()
    beats.kinds[:], beats.kinds[:4] = 0, 2
    beats.records[:] = "mitdb/101"
    chance = making.weights(beats, np.ones(400, bool))
    assert chance[:4].sum() / chance[4:].sum() == pytest.approx(2.0 / np.sqrt(396))


def test_a_fusion_beat_called_v_is_no_false_one() -> None:
    told = making.figures(np.array([2, 2, 3, 4, 0, 1]), np.array([2, 0, 2, 2, 2, 1]))
    assert (told["veb_se"], told["veb_ppv"], told["sveb_f1"]) == (0.5, 0.5, 1.0)


def test_calibration_cools_an_overconfident_network() -> None:
    rng = np.random.default_rng(3)
    kinds = rng.choice(4, 4000, p=[0.7, 0.1, 0.15, 0.05])
    logits = rng.normal(0, 1, (4000, 5)).astype(np.float32)
    logits[np.arange(4000), kinds] += 1.0
    logits[:, 4] -= 8
    temperature, offsets = making.calibrate(4.0 * logits, kinds)
    assert temperature > 2.0
    assert offsets[0] == 0.0
    assert offsets[3] < offsets[1] < 0.0


def test_the_int8_bundle_loads_and_says_nearly_what_the_network_said(tmp_path: Path) -> None:
    torch.manual_seed(1)
    beats = some_beats()
    net = CalibratedBeatNet(BeatNet().eval(), 1.5, [0.0, 0.1, 0.0, -0.2, 0.0])
    fp32, int8 = making.make_int8(net, beats, tmp_path / "work")
    assert int8.stat().st_size < fp32.stat().st_size
    bundle = tmp_path / "beats" / "9.9.9"
    write_bundle(bundle, int8, **making.about(1.5, [0.0] * 5), metrics={})
    which = np.arange(50)
    said = making.judge(OnnxBeats(bundle), beats, which)
    with torch.no_grad():
        meant = net(*making.tensors(beats, which)).numpy()
    np.testing.assert_allclose(said.sum(1), 1.0, atol=1e-4)
    assert np.abs(said - meant).max() < 0.05


def test_another_lead_keeps_beats_on_their_complexes() -> None:
    signal, beats = drawn(60)
    other = np.roll(signal, 3) * -0.4
    kinds = ("NNV" * len(beats))[: len(beats)]
    recording = Recording("101", np.stack([signal, other]), beats=beats, beat_kinds=kinds)
    rng = np.random.default_rng(4)
    for _ in range(8):
        seen = another_lead(recording, rng)
        assert seen.signals.shape[0] == 1
        assert len(seen.beats) == len(seen.beat_kinds)
        assert seen.beat_kinds == kinds[: len(seen.beats)]
        assert np.abs(r_peaks(seen.signals[0], seen.beats) - seen.beats).max() <= 5
        assert len(seen.signals[0]) / len(signal) == pytest.approx(
            np.diff(seen.beats).mean() / 200, abs=0.02
        )


def test_a_records_copies_are_its_leads_and_mixtures_drawn_by_its_name() -> None:
    signal, beats = drawn(200)
    recording = Recording(
        "101", np.stack([signal, signal]), beats=beats, beat_kinds="N" * len(beats)
    )
    noise = [Recording(kind, np.ones((2, 60_000), np.float32)) for kind in ("em", "ma", "bw")]

    def made(seed: int) -> list[Part]:
        ward = Ward(noise, np.random.default_rng(seed))
        return copies_of(recording, "mitdb/101", ward, 2)

    first, again = made(1), made(1)
    assert [(name, tag) for *_, name, tag in first] == [("mitdb/101", tag) for tag in range(4)]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
    assert len(first[2][2]) != len(beats) or not np.array_equal(first[0][0], first[2][0])


@given(rr=st.lists(st.floats(0.2, 2.5), min_size=8, max_size=40))
def test_deciles_are_intervals_in_order(rr: list[float]) -> None:
    found = deciles(rr)
    assert found is not None
    assert set(found) <= set(rr)
    assert list(found) == sorted(found)
    assert deciles(rr[:7]) is None
