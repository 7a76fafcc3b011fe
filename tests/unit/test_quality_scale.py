"""Each driver has the level it declares, the page says so too, and no decoder goes unfuzzed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import fuzz_files, fuzz_intellivue, fuzz_targets
from support.quality import EVIDENCE, ROOT, RULES, Evidence, level

from drivers import catalogue, overview
from drivers.commands import list_kinds

PAGE = ROOT / "docs" / "devices" / "quality_scale.md"


@pytest.mark.parametrize("kind", catalogue.KINDS)
def test_a_driver_has_the_level_it_declares(kind: str) -> None:
    reached, lacking = level(kind)
    assert catalogue.QUALITY.get(kind) == reached, f"{kind} is {reached}; {lacking or 'no more'}"


def test_nothing_is_declared_of_drivers_that_are_none() -> None:
    assert set(catalogue.QUALITY) == set(catalogue.KINDS)
    assert set(EVIDENCE) == set(catalogue.KINDS)


def test_the_page_tells_each_level_and_each_rule() -> None:
    page = PAGE.read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", page, re.MULTILINE))
    assert rows == catalogue.QUALITY
    numbered = re.findall(r"^(\d+)\. \*\*", page, re.MULTILINE)
    assert len(numbered) == sum(map(len, RULES.values()))


def test_a_rule_that_is_not_met_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = EVIDENCE["olimex"]
    told = {
        "no row in tests/support/quality.py": None,
        "no fuzz target olimexx": Evidence(("olimexx",)),
        "lacks Wiring, Settings, Known troubles": Evidence(("olimex",), page="README"),
        "there is no ": Evidence(("olimex",), page="none"),
        "silver: no emulated side": Evidence(("olimex",), emulated="drivers/olimex.py:None"),
        "silver: there is no system/none.py::test": Evidence(
            ("olimex",), emulated=shown.emulated, whole_unit="system/none.py::test"
        ),
        "gold: no test is named": Evidence(
            ("olimex",), "", shown.emulated, shown.whole_unit, shown.examples
        ),
        "takes no recording": Evidence(
            ("olimex",), "", shown.emulated, shown.whole_unit, shown.examples,
            "unit/test_olimex.py::test_an_impossible_rate_is_refused",
        ),
    }  # fmt: skip
    for said, evidence in told.items():
        changed = {} if evidence is None else {"olimex": evidence}
        monkeypatch.setattr("support.quality.EVIDENCE", changed)
        assert said in level("olimex")[1]


def test_every_decoder_is_fuzzed() -> None:
    sources = (fuzz_targets, fuzz_files, fuzz_intellivue)
    imported = " ".join(Path(str(module.__file__)).read_text() for module in sources)
    decoders = {path.stem for path in (ROOT / "drivers" / "decoders").glob("[a-z]*.py")}
    # What these hold is reached through the decoders that use them.
    reached = {"framing", "intellivue_names", "intellivue_wire", "intellivue_values"}
    unfuzzed = {name for name in decoders - reached if not re.search(rf"\b{name}\b", imported)}
    assert not unfuzzed


def test_the_list_shows_the_level() -> None:
    lines: list[str] = []
    list_kinds(lines.append)
    shown = {line.split()[0]: line.split()[1] for line in lines if "BROKEN" not in line}
    assert {kind: shown[kind] for kind in catalogue.KINDS} == catalogue.QUALITY
    assert {one.quality for one in overview.kinds() if one.package} <= {catalogue.CUSTOM}
