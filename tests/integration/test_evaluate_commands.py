"""``wardbeat evaluate rhythm | alarms | noise`` as a user calls them, on a few recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.annotated import cut

from agent.analyze import analyse
from agent.evaluate.judging import Judge
from agent.evaluate.lethal import CHALLENGE
from benchmarks.rhythm_accuracy import Job, score
from drivers.files import open_record
from wardbeat import main


def evaluate(*arguments: str | Path) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def told(tmp_path: Path, *arguments: str | Path) -> tuple[dict[str, Any], str]:
    """The report of a run without faults, and its text."""
    written = tmp_path / "report.json"
    result = evaluate(*arguments, "--json", written)
    assert result.exit_code == 0, result.output
    wide = [line.strip() for line in result.output.splitlines() if len(line) > 80]
    assert set(wide) <= {str(arguments[1])}, "all but a long path, which is never broken"
    report: dict[str, Any] = json.loads(written.read_text())
    assert report["schema"] == 1
    assert report["command"] == f"evaluate {arguments[0]}"
    assert len(report["models"]) == 3
    assert "quality 1." in result.output, "which model versions judged"
    assert all(model["trained_on"] for model in report["models"])
    assert "whose figures flatter: quality: cinc2017" in result.output
    return report, result.output


def test_classes_of_the_challenge_of_2017(shared: Path, tmp_path: Path) -> None:
    names = "A00001,A00002,A00003,A00005,A00015"
    report, text = told(tmp_path, "rhythm", shared / "data" / "cinc2017", "--records", names)
    classes = report["classes"]
    assert classes["records"] == 5
    assert sum(n for row in classes["confusion"].values() for n in row.values()) == 5
    assert classes["f1"]["N"] >= 66.0
    right = [r for r in report["records"].values() if r["class"]["expert"] == r["class"]["found"]]
    assert len(right) + len(classes["misjudged"]) == 5
    assert report["rhythms"] is None
    assert "mean of N, A and O" in text


def test_rhythms_against_annotations(shared: Path, tmp_path: Path) -> None:
    cut(shared / "data" / "vfdb" / "426", tmp_path / "records", 900)
    report, text = told(tmp_path, "rhythm", tmp_path / "records")
    fibrillation = report["rhythms"]["VF"]["gross"]
    assert fibrillation["sensitivity"] >= 95.0
    assert fibrillation["specificity"] >= 95.0
    assert fibrillation["episode_sensitivity"] == 100.0
    assert report["classes"] is None
    assert 250.0 <= fibrillation["reference_s"] <= 260.0
    assert "\n426 " in text


def test_alarms_and_their_score(shared: Path, tmp_path: Path) -> None:
    data = shared / "data"
    names = ["a103l", "a142s", "b184s", "b220s", "f543l", "t106s", "v100s", "v131l"]
    report, text = told(tmp_path, "alarms", data / "cinc2015", "--records", ",".join(names))
    challenge = report["challenge"]
    whole = challenge["all"]
    assert whole["tp"] + whole["fn"] + whole["fp"] + whole["tn"] == len(names)
    right, wrong = whole["tp"] + whole["tn"], whole["fp"] + 5 * whole["fn"]
    assert whole["score"] == pytest.approx(100 * right / (right + wrong), abs=0.01)
    assert len(challenge["missed"]) == whole["fn"]
    assert "missed: " in text
    for name in names[:3]:
        row = report["records"][name]
        job = Job(data, "cinc2015", name, False, None, row["alarm"], row["true"])
        outcome = score(job).outcome
        assert bool(outcome.tp + outcome.fp) is row["raised"], "the benchmark says so, too"


def test_an_alarm_counted_as_raised_is_one_that_a_bed_raises(shared: Path) -> None:
    with open_record(shared / "data" / "cinc2015" / "a163l") as record:
        analysis = analyse(record, Judge().networks())
    found = {f.kind.value for f in analysis.findings} & {k.value for k in CHALLENGE.values()}
    raised = {alarm["code"] for alarm in analysis.alarms.values()}
    assert found <= raised


def test_alarms_in_headers_and_false_ones_of_long_records(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "published"
    folder.mkdir()
    for source in ("cinc2015/a103l", "mitdb/101"):
        path = shared / "data" / source
        for file in path.parent.glob(f"{path.name}.*"):
            (folder / file.name).symlink_to(file)
    (folder / "notes.hea").write_text("notes 1 250 250\nnotes.dat 16 200/mV 16 0 0 0 0 II\n")
    result = evaluate("alarms", folder, "--json", tmp_path / "out.json", "--jobs", "2")
    assert result.exit_code == 0, result.output
    assert "1 records tell neither alarm nor beats" in result.output
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["records"]["a103l"]["alarm"] == "Asystole"
    assert report["false_lethal"]["records"] == 1
    assert report["false_lethal"]["hours"] == pytest.approx(0.5, abs=0.01)
    assert report["false_lethal"]["per_24_h"] == 0.0


def test_beats_in_noise(shared: Path, tmp_path: Path) -> None:
    data = shared / "data"
    cut(data / "mitdb" / "118", tmp_path / "records", 480)
    report, text = told(
        tmp_path, "noise", tmp_path / "records", "--noise", data / "nstdb", "--lead", "0",
        "--snr", "12", "--snr", "-6",
    )  # fmt: skip
    f1 = {row["snr_db"]: row["qrs"]["gross"]["f1"] for row in report["levels"]}
    assert f1[None] >= f1[12.0] > f1[-6.0] > 50.0
    assert f1[None] > 99.0
    assert report["noise"] == "em"
    assert text.index("-6 dB") < text.index("+12 dB") < text.index("clean"), "weakest first"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("rhythm", "captures/wfdb_edf"), "neither classes"),
        (("alarms", "data/cinc2017", "--records", "A00001"), "neither alarms"),
        (("noise", "data/mitdb", "--records", "118", "--noise", "data"), "no noise record em"),
        (("alarms", "nowhere"), "no such folder"),
        (("rhythm", "data/vfdb", "--models", "nowhere"), "no such models folder"),
        (("rhythm", "data/vfdb", "--json", "nowhere/out.json"), "no such folder nowhere"),
    ],
)
def test_faults_are_one_line(shared: Path, arguments: tuple[str, ...], says: str) -> None:
    command, folder, *rest = arguments
    result = evaluate(command, shared / folder, *rest)
    assert result.exit_code == 2
    assert says in result.output
    assert all(line.startswith("wardbeat: ") for line in result.output.splitlines())
