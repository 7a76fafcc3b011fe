"""The noise stress test: where the noise lies, how strong it is, how a record is read with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.evaluate.folder import EvaluateError
from agent.evaluate.noise import noise_folder
from agent.evaluate.stress import NoisyRecord, noise_gain, noise_rms, noisy_spans, qrs_height
from drivers.files import RecordError, microvolts, open_record
from drivers.files.record import Record

RATE_HZ = 100
MINUTE = 60 * RATE_HZ
BEATS = np.arange(RATE_HZ, 12 * MINUTE - RATE_HZ, RATE_HZ)


def clean_record(folder: Path) -> Record:
    """Twelve minutes of spikes, 1 mV on the first lead and 2 mV on the second."""
    values = np.zeros((12 * MINUTE, 2), "<i2")
    values[BEATS] = (200, 400)
    (folder / "r.dat").write_bytes(values.tobytes())
    lines = "r.dat 16 200/mV 16 0 0 0 0 MLII\nr.dat 16 200/mV 16 0 0 0 0 V5\n"
    (folder / "r.hea").write_text(f"r 2 {RATE_HZ} {len(values)}\n{lines}")
    return open_record(folder / "r")


def noise() -> np.ndarray:
    """Three minutes of it, two signals."""
    return np.random.default_rng(1).normal(size=(3 * MINUTE, 2)) * (50.0, 10.0)


def test_two_of_four_minutes_after_the_first_five() -> None:
    spans = noisy_spans(12 * MINUTE, RATE_HZ)
    assert spans == [(5 * MINUTE, 7 * MINUTE), (9 * MINUTE, 11 * MINUTE)]
    assert noisy_spans(5 * MINUTE, RATE_HZ) == []


@pytest.mark.parametrize("snr_db", [24.0, 6.0, -6.0])
def test_the_ratio_is_as_asked_for_on_each_lead(tmp_path: Path, snr_db: float) -> None:
    with clean_record(tmp_path) as clean:
        made = NoisyRecord(clean, BEATS, noise(), snr_db)
        before = microvolts(clean.read(0, clean.n_samples), clean.leads)
        after = microvolts(made.read(0, made.n_samples), made.leads)
    added = after - before
    noisy = np.zeros(len(added), bool)
    for start, stop in noisy_spans(len(added), RATE_HZ):
        noisy[start:stop] = True
    assert not added[~noisy].any()
    for lead in range(2):
        signal_power = qrs_height(before[:, lead], BEATS, RATE_HZ) ** 2 / 8
        ratio = 10 * np.log10(signal_power / noise_rms(added[noisy, lead], RATE_HZ) ** 2)
        assert ratio == pytest.approx(snr_db, abs=0.3)


def test_blocks_of_any_size_read_the_same(tmp_path: Path) -> None:
    with clean_record(tmp_path) as clean:
        made = NoisyRecord(clean, BEATS, noise(), 0.0)
        whole = made.read(0, made.n_samples).counts
        rng, at, pieces = np.random.default_rng(2), 0, []
        while at < made.n_samples:
            pieces.append(made.read(at, int(rng.integers(1, 5000))).counts)
            at += len(pieces[-1])
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_without_a_normal_beat_there_is_no_ratio(tmp_path: Path) -> None:
    with clean_record(tmp_path) as clean, pytest.raises(RecordError, match="no annotated normal"):
        NoisyRecord(clean, BEATS[:0], noise(), 0.0)


def test_six_decibels_are_half_the_amplitude() -> None:
    signal = np.zeros(30 * RATE_HZ)
    signal[RATE_HZ::RATE_HZ] = 1000.0
    beats = np.arange(RATE_HZ, 29 * RATE_HZ, RATE_HZ)
    gains = [noise_gain(signal, beats, noise()[:, 0], db, RATE_HZ) for db in (0.0, 20.0)]
    assert gains[0] / gains[1] == pytest.approx(10.0)


def test_where_the_noise_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "mitdb").mkdir()
    with pytest.raises(EvaluateError, match="no noise record em; name its folder by --noise"):
        noise_folder(tmp_path / "mitdb", None, "em")
    (tmp_path / "nstdb").mkdir()
    (tmp_path / "nstdb" / "em.hea").write_text("em 0 360 0\n")
    assert noise_folder(tmp_path / "mitdb", None, "em") == tmp_path / "nstdb"
    assert noise_folder(tmp_path, None, "em") == tmp_path / "nstdb"
    with pytest.raises(EvaluateError, match="elsewhere"):
        noise_folder(tmp_path, tmp_path / "elsewhere", "em")
