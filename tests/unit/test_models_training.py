"""What training rests on: readers, splits, figures of merit, bundles."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given
from hypothesis import strategies as st

from models.card import CARD_FILE
from models.preprocess import Conditioner
from models.training import datasets, fetch, layout
from models.training.augment import Ward, qrs_height
from models.training.bundle import write_bundle
from models.training.datasets import Recording
from models.training.scores import (
    calibration_error,
    challenge_f1,
    runs,
    sensitivity,
    temperature,
)


def test_challenge_f1_by_hand() -> None:
    scores = challenge_f1("NNNAAO~", "NNAAO~~")
    assert scores["N"] == pytest.approx(4 / 5)
    assert scores["A"] == pytest.approx(2 / 4)
    assert scores["O"] == 0.0
    assert scores["~"] == pytest.approx(2 / 3)
    assert scores["mean"] == pytest.approx((0.8 + 0.5 + 0.0) / 3)


def test_calibration_error_is_zero_where_confidence_is_honest() -> None:
    honest = np.full(1000, 0.7)
    right = np.arange(1000) < 700
    assert calibration_error(honest, right) == pytest.approx(0.0, abs=1e-9)
    assert calibration_error(np.full(1000, 1.0), right) == pytest.approx(0.3)


def test_temperature_cools_what_is_too_sure() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 4000)
    honest = rng.normal(0, 1, (4000, 3))
    honest[np.arange(4000), truth] += 1.0
    assert temperature(honest, truth) == pytest.approx(1.0, abs=0.1)
    assert temperature(honest * 2.5, truth) == pytest.approx(2.5, rel=0.1)


@given(flags=st.lists(st.booleans(), max_size=60), shortest=st.integers(1, 5))
def test_runs_are_whole_long_enough_and_all_of_them(flags: list[bool], shortest: int) -> None:
    found = runs(np.array(flags, bool), shortest)
    for begin, end in found:
        assert end - begin >= shortest
        assert all(flags[begin:end])
        assert begin == 0 or not flags[begin - 1]
        assert end == len(flags) or not flags[end]
    words = "".join("x" if flag else " " for flag in flags).split()
    assert len(found) == sum(len(word) >= shortest for word in words)


def test_sensitivity_of_nothing_is_no_number() -> None:
    assert np.isnan(sensitivity(np.zeros(4, bool), np.ones(4, bool)))
    assert sensitivity(np.array([True, True]), np.array([True, False])) == 0.5


def test_fold_of_a_record_never_moves() -> None:
    """A record that changed sides would be measured on what it was trained on."""
    assert [datasets.fold(name) for name in ("A00001", "A00002", "418", "207")] == [2, 1, 2, 2]
    share = np.mean([datasets.fold(f"A{i:05d}") == 0 for i in range(5000)])
    assert share == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("rate_hz", [125.0, 128.0, 250.0, 300.0, 360.0, 500.0, 1000.0])
def test_any_rate_becomes_the_networks_input(rate_hz: float) -> None:
    time = np.arange(int(12 * rate_hz)) / rate_hz
    tone = 5000.0 + 1000.0 * np.sin(2 * np.pi * 8 * time)
    reference = Conditioner().push(5000.0 + 1000.0 * np.sin(2 * np.pi * 8 * np.arange(3000) / 250))
    got = datasets.condition(tone, rate_hz)
    assert len(got) == pytest.approx(3000, abs=1)
    np.testing.assert_allclose(got[1000:2900], reference[1000:2900], atol=15.0)


def test_samples_that_are_missing_hold_the_last_level() -> None:
    signal = np.full(2500, 300.0)
    signal[:10] = signal[1000:1500] = np.nan
    np.testing.assert_allclose(datasets.condition(signal, 250.0), 0.0, atol=1e-3)
    assert not datasets.condition(np.full(500, np.nan), 250.0).any()


def test_noise_is_mixed_at_the_snr_that_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    noise = Recording("em", rng.normal(0, 40, (2, 100_000)).astype(np.float32))
    signal = np.zeros(5000, np.float32)
    signal[100::200] = 1000.0
    mixed, added = Ward([noise], np.random.default_rng(1)).mixed(signal, 6.0, "em")
    np.testing.assert_allclose(mixed, signal + added)
    power = qrs_height(signal) ** 2 / 8
    assert 10 * np.log10(power / (added**2).mean()) == pytest.approx(6.0, abs=0.3)


def test_bundle_is_read_back_as_written(tmp_path: Path) -> None:
    network = tmp_path / "some.onnx"
    network.write_bytes(b"\x00\x01")
    out = tmp_path / "quality" / "2.3.4"
    card = write_bundle(
        out,
        network,
        summary='Says "usable" or not',
        contract={"context_s": 5},
        calibration={"temperature": 1.23456},
        data={"trained_on": ["µ", "b"]},
        split={},
        metrics={"int8": {"f1": 0.5}},
    )
    assert (card.name, card.version, card.summary) == ("quality", "2.3.4", 'Says "usable" or not')
    assert card.contract["context_s"] == 5
    assert card.metrics == {"int8": {"f1": 0.5}}
    assert tomllib.loads((out / CARD_FILE).read_text("utf-8"))["data"]["trained_on"] == ["µ", "b"]
    assert sorted(path.name for path in out.iterdir()) == ["card.toml", "model.onnx"]


def test_kept_cache_gives_the_recordings_again(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "vfdb"
    folder.mkdir(parents=True)
    source = shared / "data" / "vfdb"
    for path in source.glob("610.*"):
        (folder / path.name).symlink_to(path)
    (folder / "RECORDS").write_text("610\n")
    (first,) = datasets.load(tmp_path / "data", "vfdb", tmp_path / "cache")
    (again,) = datasets.load(tmp_path / "data", "vfdb", tmp_path / "cache")
    np.testing.assert_array_equal(first.signals, again.signals)
    assert first.rhythms == again.rhythms
    assert {"N", "HGEA", "VT", "NOISE"} == set(again.rhythms)
    assert again.rhythm_per_second()[60] in ("N", "HGEA")


def published(folder: Path, path: str, notes: str = "", leads: str = "II V PLETH") -> None:
    """A record in the form of the challenges' ``.mat``: a header, 24 bytes, 16-bit samples."""
    at = folder / path
    at.parent.mkdir(parents=True, exist_ok=True)
    names = leads.split()
    samples = np.tile(np.arange(2500, dtype="<i2")[:, None], len(names))
    at.with_suffix(".mat").write_bytes(bytes(24) + samples.tobytes())
    lines = [f"{at.name} {len(names)} 250 2500"]
    for name in names:
        unit = "NU" if name == "PLETH" else "mV"
        lines.append(f"{at.name}.mat 16+24 1000/{unit} 16 0 0 0 0 {name}")
    at.with_suffix(".hea").write_text("\n".join(lines) + f"\n{notes}", encoding="ascii")


def test_reads_a_challenge_as_it_is_published(tmp_path: Path) -> None:
    """Records deep in folders, labels in another place, and no list: as fetched."""
    for name in ("A00001", "A00002", "A99999"):
        published(tmp_path / "cinc2017" / "training", f"{name[:3]}/{name}", leads="ECG")
    (tmp_path / "cinc2017" / "REFERENCE-v3.csv").write_text("A00001,N\nA00002,A\nA99999,O\n")
    found = datasets.load(tmp_path, "cinc2017", tmp_path / "cache")
    assert [(r.name, r.label) for r in found] == [("A00001", "N"), ("A00002", "A")]
    assert found[0].signals.shape == (1, 2500)


def test_an_alarms_truth_and_leads_are_read_from_its_header(tmp_path: Path) -> None:
    folder = tmp_path / "cinc2015" / "training"
    published(folder, "a103l", "#Asystole\n#False alarm\n")
    published(folder, "v131l", "#Ventricular_Tachycardia\n#True alarm\n")
    (folder / "RECORDS").write_text("a103l\nv131l\n", encoding="ascii")
    assert layout.labels(tmp_path, "cinc2015")["a103l"] == "Asystole 0"
    found = datasets.load(tmp_path, "cinc2015", tmp_path / "cache")
    assert {r.name: r.label for r in found}.items() >= {"a103l": "Asystole 0"}.items()
    assert found[0].signals.shape == (2, 2500), "a pleth wave is no ECG"


def test_reads_plain_wfdb_with_annotations_and_passes_over_what_is_kept_to_test_on(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "mitdb"
    folder.mkdir()
    signal = np.sin(np.arange(3600) / 20)[:, None]
    for name in ("101", "100"):
        wfdb.wrsamp(name, 360, ["mV"], ["MLII"], signal, fmt=["16"], write_dir=str(folder))
        wfdb.wrann(name, "atr", np.array([360, 720]), ["N", "V"], write_dir=str(folder))
    (recording,) = datasets.load(tmp_path, "mitdb", tmp_path / "cache")
    assert (recording.name, recording.beat_kinds) == ("101", "NV")
    np.testing.assert_array_equal(recording.beats, [250, 500])


def test_a_folder_without_records_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(layout.NoRecordsError, match=r"svdb.*models\.training\.fetch"):
        datasets.load(tmp_path, "svdb", tmp_path / "cache")
    (tmp_path / "cinc2017").mkdir()
    with pytest.raises(layout.NoRecordsError, match=r"REFERENCE\.csv"):
        layout.labels(tmp_path, "cinc2017")


def test_lists_of_records_are_spelt_out() -> None:
    counts = {name: len(layout.trained_on(name)) for name in fetch.PUBLISHED}
    assert counts == {
        "mitdb": 26,
        "svdb": 58,
        "vfdb": 11,
        "nstdb": 3,
        "cinc2015": 501,
        "cinc2017": 6528,
    }
    assert set(layout.trained_on("mitdb")) == {*datasets.DS1, *datasets.PACED}
    assert layout.trained_on("cinc2017")[-1] == "A08528"


def test_fetch_asks_for_the_trained_records_files_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, tuple[str, list[str]]] = {}
    monkeypatch.setattr(
        wfdb, "dl_files", lambda db, folder, files: asked.update({db: (folder, files)})
    )
    fetch.fetch(tmp_path, "cinc2017")
    fetch.fetch(tmp_path, "vfdb")
    folder, files = asked["challenge-2017"]
    assert folder == str(tmp_path / "cinc2017")
    assert files[:2] == ["REFERENCE-v3.csv", "training/A00/A00001.hea"]
    assert len(files) == 1 + 2 * 6528
    assert asked["vfdb"][1][:3] == ["418.hea", "418.dat", "418.atr"]
    assert "422.hea" not in asked["vfdb"][1]


def test_fetch_without_a_net_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_args: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(wfdb, "dl_files", fails)
    monkeypatch.setattr("sys.argv", ["fetch", "--data", str(tmp_path), "mitdb"])
    with pytest.raises(SystemExit):
        fetch.main()
    assert capsys.readouterr().err.splitlines() == [
        "mitdb: not fetched (no route to host); is there a way to physionet.org?"
    ]
