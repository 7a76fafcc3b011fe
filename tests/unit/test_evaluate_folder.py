"""What a folder of recordings holds, laid out in the ways it may come."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.evaluate.folder import (
    BedsideAlarm,
    EvaluateError,
    alarm_in_header,
    annotated,
    bedside_alarms,
    entries,
    rhythm_classes,
)


def record(path: Path, comments: str = "", *, atr: bool = False) -> None:
    """A second of nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".hea").write_text(
        f"{path.name} 1 250 250\n{path.name}.dat 16 200/mV 16 0 0 0 0 II\n{comments}"
    )
    path.with_suffix(".dat").write_bytes(bytes(500))
    if atr:
        path.with_suffix(".atr").write_bytes(b"\0\0")


def test_flat_listed_and_deep_folders(tmp_path: Path) -> None:
    for name in ("flat/a", "flat/b", "deep/training/x/a", "deep/y"):
        record(tmp_path / name)
    assert [e.name for e in entries(tmp_path / "flat")] == ["a", "b"]
    assert [e.name for e in entries(tmp_path / "deep")] == ["training/x/a", "y"]
    (tmp_path / "flat" / "RECORDS").write_text("b\ngone\n")
    assert [e.name for e in entries(tmp_path / "flat")] == ["b", "gone"], "told when it is read"
    (tmp_path / "deep" / "RECORDS").write_text("training/\ny\n")
    assert [e.name for e in entries(tmp_path / "deep")] == ["training/x/a", "y"], "names folders"
    assert [e.name for e in entries(tmp_path, ["y", "flat/a"])] == ["deep/y", "flat/a"]


@pytest.mark.parametrize(
    ("folder", "only", "says"),
    [
        ("nowhere", (), "no such folder"),
        ("empty", (), "no WFDB record"),
        ("flat", ("c",), "no record c; it holds a, b"),
    ],
)
def test_what_is_not_there_is_told(
    tmp_path: Path, folder: str, only: tuple[str, ...], says: str
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("flat/a", "flat/b"):
        record(tmp_path / name)
    with pytest.raises(EvaluateError, match=says) as told:
        entries(tmp_path / folder, only)
    assert str(tmp_path) in str(told.value)
    assert "\n" not in str(told.value)


def test_folders_without_annotations_are_left_out_and_told(tmp_path: Path) -> None:
    record(tmp_path / "with" / "a", atr=True)
    record(tmp_path / "with" / "b")
    record(tmp_path / "without" / "c")
    kept, told = annotated(entries(tmp_path), tmp_path, named=False)
    assert [e.name for e in kept] == ["with/a", "with/b"], "b is a fault of its own"
    assert len(told) == 1
    assert "without" in told[0]
    with pytest.raises(EvaluateError, match="no annotations"):
        annotated(entries(tmp_path / "without"), tmp_path / "without", named=False)


def test_labels_of_the_challenges(tmp_path: Path) -> None:
    assert rhythm_classes(tmp_path) == {}
    assert bedside_alarms(tmp_path) == {}
    (tmp_path / "REFERENCE-v3.csv").write_text("A1,N\nA2,~\n")
    (tmp_path / "ALARMS.csv").write_text("record,alarm,true\na1,Asystole,0\nv1,Bradycardia,1\n")
    assert rhythm_classes(tmp_path) == {"A1": "N", "A2": "~"}
    assert bedside_alarms(tmp_path) == {
        "a1": BedsideAlarm("Asystole", False),
        "v1": BedsideAlarm("Bradycardia", True),
    }


def test_an_alarm_in_the_header(tmp_path: Path) -> None:
    record(tmp_path / "v1", "# Ventricular_Tachycardia\n# True alarm\n")
    record(tmp_path / "r1", "# 65 M\n")
    silent, told = entries(tmp_path)
    assert alarm_in_header(told) == BedsideAlarm("Ventricular_Tachycardia", True)
    assert alarm_in_header(silent) is None
