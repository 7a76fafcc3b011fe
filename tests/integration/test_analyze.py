"""``wardbeat analyze`` as a user calls it: forms of output, formats of input, faults."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from drivers.files.annotations import read_annotations
from drivers.scenario import ScenarioSource, parse_scenario
from wardbeat import main

SCRIPT = "".join(
    f'[[step]]\nrhythm = "{rhythm}"\nseconds = {seconds}\n'
    for rhythm, seconds in (("sinus", 15), ("vf", 12), ("sinus", 10), ("asystole", 10))
)


def analyze(*arguments: str | Path) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["analyze", *map(str, arguments)])


def csv_record(folder: Path, seconds: int, rate_hz: int = 250, script: str = SCRIPT) -> Path:
    """A generated ECG as text."""
    source = ScenarioSource(rate_hz, parse_scenario(script, "test"), seed=5)
    pieces: list[np.ndarray] = []
    while sum(map(len, pieces)) < seconds * rate_hz:
        pieces.append(source.read(1000).microvolts[:, 0])
    values = np.concatenate(pieces)[: seconds * rate_hz]
    path = folder / "patient.csv"
    path.write_text("ecg\n" + "\n".join(f"{value:.0f}" for value in values) + "\n")
    return path


def test_report_and_annotations_of_a_lethal_record(tmp_path: Path) -> None:
    path = csv_record(tmp_path, 47)
    result = analyze(path, "--rate", "250", "--unit", "uV", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "patient.json").read_text())
    assert (report["record"], report["fs"], report["duration"]) == ("patient", 250, 47)
    codes = {alarm["code"]: alarm for alarm in report["alarms"]}
    assert {"vf", "asystole"} <= set(codes)
    assert 15 <= codes["vf"]["raised_s"] <= 22, "within 7 s of its onset"
    assert 37 + 2.5 <= codes["asystole"]["raised_s"] <= 37 + 5.2
    assert codes["asystole"]["priority"] == "high"
    assert [s["start"] for s in report["segments"]] == sorted(
        s["start"] for s in report["segments"]
    )
    assert {model["name"] for model in report["models"]} >= {"quality", "rhythm"}
    marks = read_annotations(tmp_path / "out" / "patient.wb")
    beats = [mark for mark in marks if mark.symbol in "NSVFQ"]
    assert len(beats) == report["counts"]["beats"]
    aux = {mark.aux for mark in marks if mark.symbol == "+"}
    assert {"(VFL", "(ASYS"} <= aux
    mode = stat.S_IMODE((tmp_path / "out" / "patient.wb").stat().st_mode)
    assert mode & 0o007 == 0, "patients' data are not for everybody"


def test_pacing_pulses_are_marked_and_no_beats(tmp_path: Path) -> None:
    script = "".join(
        f'[[step]]\nrhythm = "{rhythm}"\nseconds = {seconds}\n'
        for rhythm, seconds in (("paced", 20), ("pacer-no-capture", 20))
    )
    path = csv_record(tmp_path, 36, script=script)
    result = analyze(path, "--rate", "250", "--unit", "uV", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "patient.json").read_text())
    marks = read_annotations(tmp_path / "out" / "patient.wb")
    pulses = [mark.sample / 250 for mark in marks if mark.symbol == "^"]
    beats = [mark.sample / 250 for mark in marks if mark.symbol in "NSVFQ"]
    assert report["counts"]["pulses"] == len(pulses)
    assert sum(at > 20.5 for at in pulses) >= 17
    assert not [at for at in beats if at > 20.5]
    assert len(beats) >= 22
    assert "asystole" in {alarm["code"] for alarm in report["alarms"]}


def test_rules_alone_find_the_lethal_rhythms(tmp_path: Path) -> None:
    path = csv_record(tmp_path, 47)
    out = tmp_path / "out"
    options = ("--rate", "250", "--unit", "uV", "--rules-only", "--out", out)
    assert analyze(path, *options).exit_code == 0
    report = json.loads((out / "patient.json").read_text())
    assert report["models"] == []
    assert {"vf", "asystole"} <= {alarm["code"] for alarm in report["alarms"]}


def test_every_wfdb_format_edf_and_flac(tmp_path: Path, shared: Path) -> None:
    files = shared / "captures" / "wfdb_edf"
    record = shared / "data" / "mitdb" / "102"
    result = analyze(
        files / "binformats", files / "100_3chan", files / "test_generator_2.edf", record,
        "--out", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    edf = json.loads((tmp_path / "test_generator_2.json").read_text())
    assert edf["counts"]["beats"] == 600
    ramps = json.loads((tmp_path / "binformats.json").read_text())
    assert ramps["counts"]["beats"] <= 1  # a sawtooth's fall may pass for one complex
    assert {segment["label"] for segment in ramps["segments"]} <= {"not_analysed"}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: folder / "nowhere", "no such header file"),
        (lambda folder: csv_record(folder, 2), "--rate"),
        (lambda folder: slow_record(folder), "100 to 2000 Hz"),
    ],
)
def test_fault_is_one_line_that_says_what_to_do(tmp_path: Path, make: object, says: str) -> None:
    assert callable(make)
    result = analyze(make(tmp_path), "--out", tmp_path / "out")
    assert result.exit_code == 1
    lines = [line for line in result.output.splitlines() if "wardbeat:" in line]
    assert len(lines) == 1
    assert says in lines[0]
    assert "Traceback" not in result.output


def test_processes_write_what_one_would_and_go_on_after_a_fault(
    tmp_path: Path, shared: Path
) -> None:
    source = shared / "captures" / "wfdb_edf" / "100_3chan"
    for name in ("one", "two"):
        (tmp_path / f"{name}.hea").write_text(
            source.with_suffix(".hea").read_text().replace("100_3chan", name)
        )
        (tmp_path / f"{name}.dat").write_bytes(source.with_suffix(".dat").read_bytes())
    records = [tmp_path / name for name in ("one", "missing", "two")]
    alone = analyze(*records, "--out", tmp_path / "alone")
    several = analyze(*records, "--out", tmp_path / "several", "--jobs", "2")
    assert (alone.exit_code, several.exit_code) == (1, 1)
    assert several.output.count("missing.hea: no such header file") == 1
    assert several.output.index("one: rhythm") < several.output.index("two: rhythm")
    for file in ("one.json", "one.wb", "two.json", "two.wb"):
        assert (tmp_path / "several" / file).read_bytes() == (
            tmp_path / "alone" / file
        ).read_bytes()


def test_two_records_of_one_name_do_not_replace_each_other(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first, second = csv_record(tmp_path, 10), csv_record(tmp_path / "other", 10)
    options = ("--rate", "250", "--unit", "uV", "--rules-only", "--out", tmp_path / "out")
    result = analyze(first, second, *options)
    assert result.exit_code == 1
    assert f"{second}: {first} has the same name" in result.output
    assert (tmp_path / "out" / f"{first.stem}.json").exists()


def test_an_out_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    record = csv_record(tmp_path, 10)
    result = analyze(record, "--rate", "250", "--unit", "uV", "--out", tmp_path / "file")
    assert result.exit_code == 1
    assert "cannot be written" in result.output
    assert "choose another --out" in result.output


def slow_record(folder: Path) -> Path:
    """A record no ECG analysis can use."""
    (folder / "slow.hea").write_text("slow 1 25 50\nslow.dat 16 200/mV 16 0 0 0 0 II\n")
    (folder / "slow.dat").write_bytes(bytes(100))
    return folder / "slow"


def test_truncated_record_is_refused_and_read_when_asked(tmp_path: Path, shared: Path) -> None:
    source = shared / "captures" / "wfdb_edf" / "100_3chan"
    (tmp_path / "100_3chan.hea").write_bytes(source.with_suffix(".hea").read_bytes())
    (tmp_path / "100_3chan.dat").write_bytes(source.with_suffix(".dat").read_bytes()[:3000])
    refused = analyze(tmp_path / "100_3chan", "--out", tmp_path / "out")
    assert refused.exit_code == 1
    assert "--partial" in refused.output
    assert analyze(tmp_path / "100_3chan", "--partial", "--out", tmp_path / "out").exit_code == 0
