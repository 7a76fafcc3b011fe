"""How reports are written: shares, tables, JSON; and the tables of every report on made figures."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.evaluate import alarms, beats, noise, rhythm
from agent.evaluate.beats import BeatsOf
from agent.evaluate.durations import Agreement
from agent.evaluate.figures import WIDTH, cell, check_place, percent, rounded, wrapped, write_json
from agent.evaluate.folder import BedsideAlarm, Entry, EvaluateError
from agent.evaluate.judging import Failure, Judge, each
from agent.evaluate.spans import Episodes
from agent.scoring import Confusion
from drivers.files import RecordError

NAN = float("nan")
RULES = Judge(rules_only=True)


def one_beats(name: str, *, paced: bool = False, **counts: int) -> BeatsOf:
    """A record's figures; ``NV=3`` are three N called V."""
    pairs = {(key[0], key[1]): count for key, count in counts.items()}
    return BeatsOf(name, 1800.0, ("II",), Confusion(pairs), paced, (), 100, 400.0, 5, 18)


def test_shares_of_nothing_are_told_as_nothing() -> None:
    assert percent(NAN) is None
    assert percent(2 / 3) == 66.667
    assert rounded(float("inf")) is None
    assert cell(None, 6) == "     -"
    assert cell(7, 6) == "     7"
    assert cell(7.126, 6) == "  7.13"


@given(st.lists(st.text("abc10 -", min_size=1, max_size=20), max_size=40))
def test_lines_fit_the_terminal(words: list[str]) -> None:
    assert all(len(line) <= WIDTH for line in wrapped(" ".join(words)))


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_json({"a": None}, tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == {"a": None}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"a": NAN}, tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == {"a": None}
    for place in (tmp_path / "nowhere" / "out.json", tmp_path / "out.json" / "out.json"):
        with pytest.raises(EvaluateError, match="no such folder"):
            check_place(place)
    with pytest.raises(EvaluateError, match="name a file that can be written"):
        write_json({}, tmp_path)


def test_what_fails_is_named_and_the_rest_goes_on() -> None:
    def work(entry: Entry) -> str:
        if entry.name == "b":
            raise RecordError("is damaged", "b.dat", "copy it again")
        return entry.name.upper()

    told: list[int] = []
    todo = [Entry(name, Path(name)) for name in "abc"]
    good, failed = each(work, todo, progress=told.append)
    assert good == ["A", "C"]
    assert [(f.record, "damaged" in f.error) for f in failed] == [("b", True)]
    assert told == [1, 2, 3]


def test_beats_paced_records_stand_in_the_qrs_figures_only() -> None:
    found = [
        one_beats("good", NN=90, VV=10),
        one_beats("bad", NN=80, NV=5, VN=5, VV=5, NO=3, ON=2),
        one_beats("paced", paced=True, QN=50, QV=50, VV=4),
    ]
    report = beats.report(found, [Failure("gone", "gone: why")], Path("d"), RULES, 300.0)
    assert report["qrs"]["gross"]["tp"] == 90 + 10 + 80 + 15 + 104
    assert report["qrs"]["gross_unpaced"]["tp"] == 90 + 10 + 95
    assert report["VEB"]["gross"] == {
        "tp": 15, "fn": 5, "fp": 5, "sensitivity": 75.0, "predictivity": 75.0, "f1": 75.0
    }  # fmt: skip
    assert report["VEB"]["fpr"] == pytest.approx(100 * 5 / (90 + 80 + 2 + 5), abs=0.001)
    assert report["VEB"]["average"]["sensitivity"] == 75.0
    assert report["confusion"]["N"] == {"N": 170, "S": 0, "V": 5, "F": 0, "Q": 0, "O": 3}
    assert report["heart_rate"]["rms_error"] == 2.0
    lines = beats.text(report)
    assert all(len(line) <= WIDTH for line in lines)
    rows = [line.split()[0] for line in lines[lines.index("QRS") :] if line][2:5]
    assert rows == ["bad", "good", "paced"], "weakest first"
    json.dumps(report, allow_nan=False)


@given(
    st.dictionaries(
        st.tuples(st.sampled_from("NSVFQO"), st.sampled_from("NSVFQO")), st.integers(0, 99)
    ),
    st.booleans(),
)
def test_beats_of_any_counts_can_be_told(counts: dict[tuple[str, str], int], paced: bool) -> None:
    counts.pop(("O", "O"), None)
    one = BeatsOf("r", 600.0, ("II",), Confusion(counts), paced, ((1.0, 2.0),), 0, 0.0, 0, 0)
    report = beats.report([one], [], Path("d"), RULES, 0.0)
    json.dumps(report, allow_nan=False)
    assert all(len(line) <= WIDTH for line in beats.text(report))
    told = report["records"]["r"]["qrs"]
    assert told["tp"] + told["fn"] + told["fp"] == sum(counts.values())


def test_noise_the_strongest_first_and_clean_last() -> None:
    outcomes = [
        (noise.Task(Entry(name, Path(name)), snr_db), one_beats(name, NN=50, NO=lost))
        for name in ("118", "119")
        for snr_db, lost in ((None, 0), (24.0, 1), (-6.0, 30))
    ]
    report = noise.report(outcomes, [], Path("d"), RULES, Path("nstdb/em"))
    assert [row["snr_db"] for row in report["levels"]] == [None, 24.0, -6.0]
    assert report["levels"][2]["qrs"]["gross"]["sensitivity"] == 62.5
    assert report["levels"][0]["unusable"] == 1.0
    lines = noise.text(report)
    order = [line.split()[0] for line in lines if line.startswith(("-6 dB", "+24 dB", "clean"))]
    assert order == ["-6", "+24", "clean"]
    assert all(len(line) <= WIDTH for line in lines)
    json.dumps(report, allow_nan=False)


def test_rhythm_classes_and_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    agreed = dict.fromkeys(rhythm.KINDS, Agreement(Episodes(2, 1, 3, 1), 100.0, 80.0, 60.0, 600.0))
    never = dict.fromkeys(rhythm.KINDS, Agreement(counted_s=600.0))
    rows = {
        "a": rhythm.RhythmOf("a", 30.0, ("I",), "N", "N", {}),
        "b": rhythm.RhythmOf("b", 30.0, ("I",), "A", "O", {}),
        "c": rhythm.RhythmOf("c", 600.0, ("I",), "", "O", agreed),
        "d": rhythm.RhythmOf("d", 600.0, ("I",), "", "N", never),
    }
    monkeypatch.setattr(rhythm, "rhythm_of", lambda judge, task: rows[task.name])
    todo = [rhythm.Task(Entry(name, Path(name))) for name in rows]
    report = rhythm.evaluate(todo, Path("d"), RULES)
    assert report["classes"]["misjudged"] == ["b"]
    assert report["classes"]["f1"] == {"N": 100.0, "A": 0.0, "O": 0.0, "~": None}
    gross = report["rhythms"]["AF"]["gross"]
    assert (gross["sensitivity"], gross["predictivity"]) == (60.0, 75.0)
    assert gross["specificity"] == 98.182
    assert (gross["episode_sensitivity"], gross["episode_predictivity"]) == (50.0, 33.333)
    lines = rhythm.text(report)
    assert all(len(line) <= WIDTH for line in lines)
    assert any("misjudged: b A>O" in line for line in lines)
    json.dumps(report, allow_nan=False)


def test_alarms_score_and_false_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    asystole = [BedsideAlarm("Asystole", true) for true in (True, True, False, False)]
    raised = (True, False, True, False)
    rows = {
        name: alarms.AlarmsOf(name, 300.0, ("II",), alarm, said)
        for name, alarm, said in zip("abcd", asystole, raised, strict=True)
    }
    rows["long"] = alarms.AlarmsOf("long", 7200.0, ("II",), false=(("vt", 10.0), ("vt", 99.0)))
    monkeypatch.setattr(alarms, "alarms_of", lambda judge, task: rows[task.name])
    todo = [alarms.Task(Entry(name, Path(name))) for name in rows]
    report = alarms.evaluate(todo, Path("d"), RULES)
    assert report["challenge"]["all"]["score"] == 25.0, "a miss costs five"
    assert report["challenge"]["missed"] == ["b"]
    assert report["challenge"]["false"] == ["c"]
    assert report["false_lethal"]["per_24_h"] == 24.0
    assert report["false_lethal"]["kinds"] == {"asystole": 0, "vf": 0, "vt": 2}
    lines = alarms.text(report)
    assert "missed: Asystole b" in lines
    assert all(len(line) <= WIDTH for line in lines)
    assert Counter(line.split()[0] for line in lines if line)["long"] == 1
    json.dumps(report, allow_nan=False)
