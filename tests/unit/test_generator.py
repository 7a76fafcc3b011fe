"""The generated ECG: the same however it is read, and each rhythm what its name says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt, welch

from drivers.generator import RHYTHMS, EcgGenerator, Play

RATE = 250


def played(
    play: Play, seconds: float, *, rate_hz: float = RATE, seed: int = 1, leads: int = 1
) -> tuple[EcgGenerator, NDArray[np.float64]]:
    generator = EcgGenerator(rate_hz, seed=seed, leads=leads)
    generator.play(play)
    return generator, generator.read(round(seconds * rate_hz))


def times(generator: EcgGenerator, kinds: str = "NSVQ") -> NDArray[np.float64]:
    now = generator.now_s
    return np.array([b.time_s for b in generator.beats if b.kind in kinds and b.time_s < now])


def in_monitor_band(signal: NDArray[np.float64], rate_hz: float = RATE) -> NDArray[np.float64]:
    sos = butter(2, (0.5, 40), "bandpass", fs=rate_hz, output="sos")
    return np.asarray(sosfiltfilt(sos, signal, axis=0))


@pytest.mark.parametrize("rhythm", sorted(RHYTHMS))
def test_any_cut_gives_the_same_samples(rhythm: str) -> None:
    rng = np.random.default_rng(len(rhythm))
    whole, cut = (EcgGenerator(RATE, seed=7, leads=2) for _ in range(2))
    for name in (rhythm, "sinus", rhythm, "vf"):
        for generator in (whole, cut):
            generator.play(Play(rhythm=name, muscle_uv=100, motion_uv=300))
        count = int(rng.integers(1, 1200))
        expected = whole.read(count)
        ends = [*np.unique(rng.integers(0, count + 1, 25)), count]
        got = [cut.read(int(b - a)) for a, b in pairwise([0, *ends])]
        np.testing.assert_array_equal(np.concatenate(got), expected)
    assert [b.time_s for b in whole.beats] == [b.time_s for b in cut.beats]
    assert list(whole.episodes) == list(cut.episodes)


def test_seeds_differ_and_repeat() -> None:
    first, again, other = (played(Play(), 3, seed=seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 100


@pytest.mark.parametrize("rhythm", ["sinus", "pvc", "af", "vt"])
def test_beats_do_not_depend_on_the_rate(rhythm: str) -> None:
    beats = [times(played(Play(rhythm=rhythm), 20, rate_hz=rate)[0]) for rate in (125, 500, 1000)]
    np.testing.assert_array_equal(beats[0], beats[1])
    np.testing.assert_array_equal(beats[0], beats[2])


@pytest.mark.parametrize("rhythm", sorted(RHYTHMS))
@pytest.mark.parametrize("rate_hz", [125, 1000])
def test_every_rhythm_is_a_finite_signal_of_the_size_of_an_ecg(rhythm: str, rate_hz: int) -> None:
    _, signal = played(Play(rhythm=rhythm), 8, rate_hz=rate_hz, leads=8)
    assert signal.shape == (8 * rate_hz, 8)
    assert np.isfinite(signal).all()
    assert np.abs(signal).max() < 5000


@pytest.mark.parametrize(
    ("rhythm", "per_minute"),
    [
        ("sinus", 72), ("bradycardia", 32), ("tachycardia", 150), ("extreme-tachycardia", 170),
        ("svt", 185), ("bigeminy-80", 80), ("bigeminy-slow-alternating", 60),
        ("bigeminy-rapid-alternating", 120), ("bidirectional", 90), ("af", 96), ("vt", 190),
        ("vt-206", 206), ("vt-195", 195), ("paced", 72), ("ventricular-rhythm", 42),
    ],
)  # fmt: skip
def test_rates(rhythm: str, per_minute: float) -> None:
    beats = times(played(Play(rhythm=rhythm), 120)[0])
    rate = 60 * (len(beats) - 1) / (beats[-1] - beats[0])
    assert rate == pytest.approx(per_minute, rel=0.05)


def test_a_chosen_rate_outranks_the_rhythm_s_own() -> None:
    beats = times(played(Play(rhythm="sinus", bpm=100), 60)[0])
    assert 60 / np.diff(beats).mean() == pytest.approx(100, rel=0.03)


def test_rate_steps() -> None:
    beats = times(played(Play(rhythm="step-80-120"), 61)[0])
    intervals = np.diff(beats)
    np.testing.assert_allclose(intervals[beats[1:] < 30], 0.75)
    np.testing.assert_allclose(intervals[beats[:-1] > 31], 0.5)


def test_sinus_rhythm_varies_as_hearts_do() -> None:
    rr_ms = 1000 * np.diff(times(played(Play(), 300)[0]))
    assert 15 < rr_ms.std() < 60
    spectrum_hz, power = welch(
        np.interp(np.arange(0, 280, 0.25), np.cumsum(rr_ms) / 1000, rr_ms), 4, nperseg=512
    )
    breathing = power[(spectrum_hz > 0.2) & (spectrum_hz < 0.3)].max()
    assert breathing > 10 * np.median(power)


@pytest.mark.parametrize("lead", range(2))
def test_r_peaks_are_where_the_truth_says(lead: int) -> None:
    generator, signal = played(Play(wander_uv=0), 30, rate_hz=1000, leads=2)
    clean = in_monitor_band(signal, 1000)[:, lead]
    for at in times(generator)[1:-1]:
        around = slice(round((at - 0.06) * 1000), round((at + 0.06) * 1000))
        offset_ms = int(np.argmax(np.abs(clean[around]))) - 60
        assert abs(offset_ms) <= 12


def test_a_pvc_comes_early_wide_without_p_and_with_a_compensatory_pause() -> None:
    generator, signal = played(Play(rhythm="trigeminy", wander_uv=0), 60)
    beats = [b for b in generator.beats if b.time_s < 58]
    ventricular = [i for i, b in enumerate(beats) if b.kind == "V" and 0 < i < len(beats) - 1]
    assert len(ventricular) > 20
    for i in ventricular:
        before, pause = (
            beats[i].time_s - beats[i - 1].time_s,
            beats[i + 1].time_s - beats[i].time_s,
        )
        assert before < 0.65 * 0.75
        assert before + pause == pytest.approx(2 * 0.75, rel=0.12)

    def width_ms(kind: str) -> float:
        at = next(b.time_s for b in beats[2:] if b.kind == kind)
        part = signal[round((at - 0.12) * RATE) : round((at + 0.12) * RATE), 0]
        return float(np.sum(np.abs(part) > 0.3 * np.abs(part).max())) * 1000 / RATE

    assert width_ms("V") > 1.7 * width_ms("N")


def test_an_atrial_premature_beat_resets_the_sinus_node() -> None:
    beats = [b for b in played(Play(rhythm="pac"), 60)[0].beats if b.time_s < 58]
    early = [i for i, b in enumerate(beats) if b.kind == "S" and 0 < i < len(beats) - 1]
    assert len(early) > 8
    for i in early:
        assert beats[i + 1].time_s - beats[i - 1].time_s < 1.85 * 60 / 72


@pytest.mark.parametrize(
    ("rhythm", "kinds"),
    [
        ("bigeminy", "NVNVNVNV"),
        ("trigeminy", "NNVNNVNN"),
        ("couplets", "NNNNNVVN"),
        ("nsvt", "NNNNNNNNNNVVVVN"),
    ],
)
def test_patterns(rhythm: str, kinds: str) -> None:
    beats = list(played(Play(rhythm=rhythm), 20)[0].beats)
    assert "".join(b.kind for b in beats)[: len(kinds)] == kinds


def test_pauses() -> None:
    longest = np.diff(times(played(Play(rhythm="pause"), 60)[0])).max()
    assert 2.2 < longest < 3.0


def test_atrial_fibrillation_is_irregular_without_a_rule_and_without_p_waves() -> None:
    generator, signal = played(Play(rhythm="af", wander_uv=0), 240, leads=2)
    beats = times(generator)
    rr = np.diff(beats)
    assert 0.17 < rr.std() / rr.mean() < 0.32
    assert abs(np.corrcoef(rr[1:], rr[:-1])[0, 1]) < 0.2
    assert rr.min() > 0.28
    # What is left between T and the next Q in V1: f waves of 4 to 9 Hz.
    quiet = [
        signal[round((a + 0.5) * RATE) : round((b - 0.08) * RATE), 1]
        for a, b in pairwise(beats)
        if b - a > 0.95
    ]
    spectrum_hz, power = welch(quiet[0] - quiet[0].mean(), RATE, nperseg=len(quiet[0]), nfft=2000)
    assert 4 <= spectrum_hz[power.argmax()] <= 9
    assert 20 < np.median([part.std() for part in quiet]) < 150


@pytest.mark.parametrize("seed", range(4))
def test_ventricular_fibrillation_looks_like_recorded_one(seed: int) -> None:
    """Bounds from coarse fibrillation in the MIT-BIH Malignant Ventricular Ectopy Database."""
    generator, signal = played(Play(rhythm="vf"), 122, seed=seed)
    assert not generator.beats
    clean = in_monitor_band(signal[2 * RATE :, 0])
    windows = clean.reshape(-1, 4 * RATE)
    peaks, shares = [], []
    for window in windows:
        spectrum_hz, power = welch(window, RATE, nperseg=4 * RATE, nfft=8 * RATE)
        peaks.append(spectrum_hz[power.argmax()])
        shares.append(power[np.abs(spectrum_hz - peaks[-1]) <= 1].sum() / power.sum())
    assert 3.8 <= np.median(peaks) <= 6.0
    assert np.percentile(peaks, 10) > 3.0
    assert max(peaks) < 8.0
    assert 0.5 < np.median(shares) < 0.85
    assert 150 < np.median(windows.std(axis=1)) < 450
    per_second = clean.reshape(-1, RATE)
    assert np.ptp(per_second, axis=1).min() > 150, "it never looks like asystole"


@pytest.mark.parametrize("rhythm", ["asystole", "p-waves-only"])
def test_asystole_has_no_qrs(rhythm: str) -> None:
    generator, signal = played(Play(rhythm=rhythm), 30)
    assert not len(times(generator))
    assert np.abs(in_monitor_band(signal)).max() < 180
    assert (len(times(generator, "p")) > 25) == (rhythm == "p-waves-only")
    if rhythm == "asystole":
        assert np.abs(in_monitor_band(signal)).max() < 80


def test_pacer_pulses_have_the_same_area_at_any_rate() -> None:
    areas = []
    for rate_hz in (250, 1000, 2000):
        generator, signal = played(Play(rhythm="pacer-no-capture"), 10, rate_hz=rate_hz)
        start = times(generator, "^")[3] - 0.030
        part = signal[round((start - 0.02) * rate_hz) : round((start + 0.03) * rate_hz), 0]
        areas.append(float(np.sum(part - np.median(part))) / rate_hz)
    np.testing.assert_allclose(areas, 3000 * 0.002, rtol=0.15)


def test_artefacts_have_their_sizes() -> None:
    silent = played(Play(rhythm="asystole"), 60)[1][:, 0]
    muscle = played(Play(rhythm="asystole", muscle_uv=500), 60)[1][:, 0]
    assert 350 < (muscle - silent).std() < 700
    drift = played(Play(rhythm="asystole", wander_uv=600), 200)[1][:, 0]
    assert 300 < drift.std() < 900
    assert in_monitor_band(drift).std() < 0.4 * drift.std(), "wander is slow"
    hum = played(Play(rhythm="asystole", hum_uv=500, hum_hz=60), 10)[1][:, 0]
    spectrum_hz, power = welch(hum, RATE, nperseg=RATE)
    assert spectrum_hz[power.argmax()] == 60
    moved = played(Play(rhythm="asystole", motion_uv=900), 60)[1][:, 0]
    assert np.abs(moved).max() > 800


def test_muscle_noise_is_the_same_in_its_band_at_any_rate() -> None:
    sizes = []
    for rate_hz in (250, 500, 1000):
        signal = played(Play(rhythm="asystole", muscle_uv=500), 60, rate_hz=rate_hz)[1]
        sizes.append(in_monitor_band(signal[:, 0], rate_hz).std())
    np.testing.assert_allclose(sizes, sizes[0], rtol=0.15)


def test_a_change_of_rhythm_leaves_whole_beats() -> None:
    """Each beat of the truth has its R wave, and no R wave lacks its beat."""
    generator = EcgGenerator(RATE, seed=5)
    parts = []
    for round_ in range(40):
        generator.play(Play(rhythm=("sinus", "steady")[round_ % 2], bpm=70 + round_, wander_uv=0))
        parts.append(generator.read(180 + 7 * round_))
    clean = in_monitor_band(np.concatenate(parts)[:, 0])
    found = [
        k / RATE
        for k in range(25, len(clean) - 25)
        if clean[k] > 500 and clean[k] == clean[k - 25 : k + 26].max()
    ]
    expected = times(generator)
    expected = expected[(expected > 0.1) & (expected < len(clean) / RATE - 0.1)]
    np.testing.assert_allclose(found, expected, atol=0.013)
    assert np.diff(expected).min() > 0.35


def test_episodes_tell_what_was_played() -> None:
    generator = EcgGenerator(RATE)
    for rhythm in ("sinus", "sinus", "vf", "asystole"):
        generator.play(Play(rhythm=rhythm))
        generator.read(500)
    told = [(e.start_s, e.rhythm, e.label) for e in generator.episodes]
    assert told == [(0, "sinus", "sinus rhythm"), (4, "vf", "VF"), (6, "asystole", "asystole")]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="leads must be 1 to 8"):
        EcgGenerator(RATE, leads=9)
    with pytest.raises(ValueError, match="needs 50 Hz at least"):
        EcgGenerator(10)
