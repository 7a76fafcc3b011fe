"""``wardbeat evaluate beats`` as a user calls it, and its agreement with wfdb's comparison."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import wfdb
from click.testing import CliRunner, Result
from support.annotated import cut
from wfdb.processing import compare_annotations

from agent.analyze import analyse, marks
from agent.evaluate.judging import Judge
from agent.scoring import compare_beats, reference_beats
from drivers.files import open_record
from drivers.files.annotations import write_annotations
from wardbeat import main


def evaluate(*arguments: str | Path) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["evaluate", "beats", *map(str, arguments)])


@pytest.mark.parametrize("name", ["mitdb/203", "svdb/800"])
def test_our_comparison_agrees_with_wfdb_on_real_records(
    name: str, shared: Path, tmp_path: Path
) -> None:
    path = shared / "data" / name
    cut(path, tmp_path, 400)
    with open_record(tmp_path / path.name) as record:
        analysis = analyse(record, Judge(rules_only=True).networks())
        rate_hz = record.rate_hz
    write_annotations(tmp_path / f"{path.name}.wb", marks(analysis), rate_hz)
    reference = wfdb.rdann(str(tmp_path / path.name), "atr")
    found = wfdb.rdann(str(tmp_path / path.name), "wb")
    beats = np.isin(reference.symbol, list("NLRejnBAaJSVErF/fQ?"))
    theirs = compare_annotations(
        reference.sample[beats],
        found.sample[np.isin(found.symbol, list("NSVFQ"))],
        int(0.150 * rate_hz) + 1,  # wfdb's window is open, EC57's closed
    )
    ours, _ = compare_beats(
        reference_beats(reference.sample, reference.symbol, rate_hz),
        [m.sample / rate_hz for m in marks(analysis) if m.symbol in "NSVFQ"],
    )
    counts = ours.beats()
    assert counts.found > 400
    assert (counts.found, counts.missed, counts.extra) == (theirs.tp, theirs.fn, theirs.fp)


def test_report_of_text_and_json(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "records"
    for name in ("119", "102"):
        cut(shared / "data" / "mitdb" / name, folder, 360)
    written = tmp_path / "beats.json"
    result = evaluate(folder, "--json", written, "--lead", "0")
    assert result.exit_code == 0, result.output
    wide = [line.strip() for line in result.output.splitlines() if len(line) > 80]
    assert set(wide) <= {str(folder)}, "all but a long path, which is never broken"
    assert "paced records are left out: 102" in result.output
    report = json.loads(written.read_text())
    assert (report["schema"], report["command"]) == (1, "evaluate beats")
    assert {model["name"] for model in report["models"]} == {"quality", "rhythm", "beats"}
    assert all(len(model["sha256"]) == 64 for model in report["models"])
    assert report["thresholds"]["learning_s"] == 300.0
    assert report["thresholds"]["limits"]["asystole_s"] == 4.0
    assert report["paced"] == ["102"]
    assert report["records"]["119"]["leads"] == ["MLII"]
    assert report["qrs"]["gross"]["sensitivity"] > 99.0
    assert report["VEB"]["gross"]["tp"] == report["records"]["119"]["VEB"]["tp"], "102 left out"
    assert report["heart_rate"]["rms_error"] < 2.0
    row, column = report["confusion"]["V"], [r["V"] for r in report["confusion"].values()]
    gross = report["VEB"]["gross"]
    assert sum(row.values()) == gross["tp"] + gross["fn"]
    assert sum(column) >= gross["tp"] + gross["fp"]


def test_whole_records_and_rules(shared: Path, tmp_path: Path) -> None:
    cut(shared / "data" / "mitdb" / "119", tmp_path, 60)
    short = evaluate(tmp_path, "--rules-only")
    assert short.exit_code == 2
    assert "--whole" in short.output
    whole = evaluate(tmp_path, "--rules-only", "--whole", "--jobs", "2")
    assert whole.exit_code == 0, whole.output
    assert "rules alone" in whole.output


def test_one_bad_record_is_named_and_the_others_go_on(shared: Path, tmp_path: Path) -> None:
    for name in ("119", "118", "116"):
        cut(shared / "data" / "mitdb" / name, tmp_path, 30)
    (tmp_path / "118.dat").write_bytes(b"12")
    (tmp_path / "116.atr").unlink()
    result = evaluate(tmp_path, "--whole", "--rules-only")
    assert result.exit_code == 1
    lines = [line for line in result.output.splitlines() if line.startswith("wardbeat: ")]
    assert sum("118" in line for line in lines) == 2
    assert "2 of 3 records failed: 116, 118" in lines[-1]
    assert "\n119 " in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere",), "no such folder"),
        (("data/mitdb", "--records", "119,999"), "no record 999"),
        (("data/cinc2017", "--records", "A00001"), "no annotations"),
        (("data/mitdb", "--records", "119", "--lead", "aVR"), "aVR"),
    ],
)
def test_faults_are_one_line(shared: Path, arguments: tuple[str, ...], says: str) -> None:
    result = evaluate(shared / arguments[0], *arguments[1:])
    assert result.exit_code == 2
    lines = result.output.splitlines()
    assert says in lines[0]
    assert all(line.startswith("wardbeat: ") for line in lines)
