"""Every row of the alarm catalogue and its codes, against the sheets they were taken from."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.alarms.catalogue import CATALOGUE
from agent.alarms.table import inserted
from agent.alarms.types import AlarmKind, Priority
from agent.rhythm.types import FindingKind

# ISO/IEEE 11073-10101 and SNOMED CT codes by the concept they stand for. 71908006 is VF
# (a trap: public code labels it VT or AF), 25569003 VT, 49436004 AF.
CODES = {
    "asystole": (199684, 397829000),
    "vf": (None, 71908006),
    "vt": (199832, 25569003),
    "extreme_bradycardia": (199694, 48867003),
    "extreme_tachycardia": (199730, 3424008),
    "pause": (199716, None),
    "hr_low": (196674, None),
    "hr_high": (None, None),
    "nsvt": (199834, None),
    "ventricular_rhythm": (199828, None),
    "pvc_run": (199820, None),
    "couplet": (199818, None),
    "r_on_t": (199814, None),
    "bigeminy": (199690, None),
    "trigeminy": (199844, None),
    "multiform_pvc": (199816, None),
    "pvc_rate_high": (148066, 427172004),
    "af": (199736, 49436004),
    "svt": (199800, None),
    "irregular": (199766, None),
    "missed_beat": (199686, None),
    "lead_off": (196680, None),
}


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_codes_of_every_row(code: str) -> None:
    row = CATALOGUE[code]
    assert (row.mdc, row.snomed) == CODES.get(code, (None, None))


def test_every_finding_has_a_row() -> None:
    assert {kind.value for kind in FindingKind} <= set(CATALOGUE)


def test_lethal_rows_are_high_latch_and_stay_on() -> None:
    for code in ("asystole", "vf", "vt"):
        row = CATALOGUE[code]
        assert row.priority is Priority.HIGH
        assert row.latching
        assert row.enabled
    assert not CATALOGUE["asystole"].can_switch_off
    assert not CATALOGUE["vf"].can_switch_off


def test_technical_rows_say_what_to_do() -> None:
    for row in CATALOGUE.values():
        if row.kind is AlarmKind.TECHNICAL:
            assert row.remedy, f"{row.code} leaves the nurse alone"


def test_ranks_within_a_family_are_distinct_and_follow_priority() -> None:
    for family in {row.family for row in CATALOGUE.values()}:
        rows = sorted((r for r in CATALOGUE.values() if r.family == family), key=lambda r: r.rank)
        assert [row.rank for row in rows] == list(range(len(rows)))
        if family not in ("signal", "storage"):
            ranks = [row.priority.rank for row in rows]
            assert ranks == sorted(ranks), f"{family}: a worse priority stands below a milder one"


def test_documented_table_is_current() -> None:
    page = (Path(__file__).parents[2] / "docs" / "alarms.md").read_text()
    assert inserted(page) == page, "run python -m agent.alarms.table docs/alarms.md"
