"""The quality scale, checked: what each driver has to show for its level, and whether it is there.

The rules stand in docs/devices/quality_scale.md. What shows that one is met is a test by its name
``FOLDER/FILE::TEST``, a class ``PATH:CLASS``, or the name of a fuzz target or a benchmark's row.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.fuzz_targets import TARGETS

from benchmarks.decoding import FEEDS
from drivers import catalogue, overview, probe, scan
from drivers.samples import DriverError

ROOT: Final = Path(__file__).resolve().parents[2]
SERIAL: Final = "system/test_unit_serial.py::test_a_pulled_plug"
"""The test that has a row for each serial driver."""
HEADINGS: Final = (("Wiring", "Wearing", "A file as a device"), ("Settings",), ("Known troubles",))
TAKE_REAL_BYTES: Final = {"shared", "capture"}
"""Fixtures by which a test gets recordings of real devices."""


@dataclass(frozen=True)
class Evidence:
    """What one driver has to show."""

    fuzzed: tuple[str, ...]
    """Its decoders among the fuzz targets."""
    page: str = ""
    """Its page, where that isn't called as the driver."""
    emulated: str = ""
    whole_unit: str = ""
    examples: str = ""
    real: str = ""
    """Empty: no recording of a real device is at hand."""
    exact: str = ""
    """Empty: nothing numbers its samples."""


EVIDENCE: Final[dict[str, Evidence]] = {
    "cyton": Evidence(
        ("cyton",),
        emulated="drivers/emulated/cyton.py:EmulatedCyton",
        whole_unit=SERIAL,
        examples="unit/test_cyton.py::test_worked_vectors",
        exact="integration/test_serial_cyton.py::test_packets_lost_in_the_air_are_counted_exactly",
    ),
    "olimex": Evidence(
        ("olimex",),
        emulated="drivers/emulated/olimex.py:EmulatedOlimex",
        whole_unit=SERIAL,
        examples="unit/test_olimex.py::test_worked_vectors",
        real="unit/test_olimex.py::test_every_byte_of_a_capture_is_accounted_for",
        exact="unit/test_clock_gaps.py::"
        "test_losses_below_two_seconds_are_exact_whatever_the_jitter",
    ),
    "bitalino": Evidence(
        ("bitalino",),
        emulated="drivers/emulated/bitalino.py:EmulatedBitalino",
        whole_unit=SERIAL,
        examples="unit/test_bitalino.py::test_worked_vectors",
        exact="integration/test_serial_bitalino.py::test_frames_lost_are_counted",
    ),
    "protocentral": Evidence(
        ("protocentral",),
        emulated="drivers/emulated/protocentral.py:EmulatedProtocentral",
        whole_unit=SERIAL,
        examples="unit/test_protocentral.py::test_worked_vectors",
    ),
    "shimmer3": Evidence(
        ("shimmer",),
        emulated="drivers/emulated/shimmer.py:EmulatedShimmer3",
        whole_unit=SERIAL,
        examples="unit/test_shimmer.py::test_worked_vectors",
        real="unit/test_shimmer_file.py::test_the_real_log_is_the_vendors_export",
        exact="unit/test_shimmer.py::test_losses_within_and_between_reads_are_exact",
    ),
    "text_lines": Evidence(
        ("text_lines",),
        emulated="drivers/emulated/text_lines.py:EmulatedTextLines",
        whole_unit=SERIAL,
        examples="unit/test_text_lines.py::test_lines_as_sketches_write_them",
    ),
    "polar_h10": Evidence(
        ("polar_pmd", "polar_answers", "heart_rate"),
        emulated="tests/support/bluez.py:Strap",
        whole_unit="system/test_unit_polar.py::test_polar_from_strap_to_store",
        examples="unit/test_polar_pmd.py::test_every_worked_ecg_frame",
        real="unit/test_polar_pmd.py::test_whole_real_recording",
        exact="integration/test_ble_polar.py::"
        "test_streams_loses_the_link_and_recovers_with_an_exact_gap",
    ),
    "movesense": Evidence(
        ("movesense", "sbem"),
        emulated="drivers/emulated/movesense.py:EmulatedMovesense",
        whole_unit="system/test_unit_movesense.py::test_movesense_from_sensor_to_store",
        examples="unit/test_movesense.py::test_every_worked_vector",
        real="unit/test_movesense.py::test_real_logs_equal_the_expected_json",
        exact="integration/test_ble_movesense.py::"
        "test_streams_loses_the_link_and_recovers_with_an_exact_gap",
    ),
    "ganglion": Evidence(
        ("ganglion", "ganglion_2"),
        emulated="drivers/emulated/ganglion.py:EmulatedGanglion",
        whole_unit="system/test_unit_ganglion.py::test_ganglion_from_board_to_store",
        examples="unit/test_ganglion.py::test_every_worked_vector",
        exact="integration/test_ble_ganglion.py::test_losses_are_exact_and_a_lost_link_is_bounded",
    ),
    "heart_rate": Evidence(
        ("heart_rate",),
        emulated="tests/support/peripherals.py:HeartRateStrap",
        whole_unit="system/test_unit_heart_rate.py::test_a_strap_gives_rate_and_rhythm",
        examples="unit/test_heart_rate.py::test_real_packets",
    ),
    "intellivue": Evidence(
        ("intellivue", "intellivue_session", "intellivue_mib"),
        emulated="drivers/emulated/intellivue.py:EmulatedIntelliVue",
        whole_unit="system/test_unit_intellivue.py::"
        "test_silence_is_an_alarm_and_a_monitor_that_restarts_is_read_again",
        examples="unit/test_intellivue_frames.py::test_worked_vectors_of_the_serial_frames",
        real="unit/test_intellivue.py::test_every_data_message_of_the_capture_parses",
        exact="integration/test_intellivue_link.py::"
        "test_a_silent_network_is_an_exact_gap_by_the_monitors_clock",
    ),
    "replay": Evidence(
        ("wfdb_header", "edf_header", "csv_layout"),
        page="files",
        whole_unit="system/test_unit_files.py::test_real_time_and_a_file_that_comes_later",
        examples="unit/test_wfdb_formats.py::test_real_bytes",
        real="unit/test_wfdb.py::test_every_packed_format_as_wfdb_reads_it",
        exact="integration/test_replay_driver.py::test_every_count_once_and_in_order",
    ),
}

Check = Callable[[str, Evidence], str]
"""Kind and evidence → what is missing, "" where the rule is met."""


def described(kind: str, shown: Evidence) -> str:
    """Rule 1."""
    told = overview.describe(kind)
    return "" if told.transport and told.rate and told.note else f"it tells only {told}"


def documented(kind: str, shown: Evidence) -> str:
    """Rule 2."""
    page = ROOT / "docs" / "devices" / f"{shown.page or kind}.md"
    if not page.exists():
        return f"there is no {page}"
    text = page.read_text()
    found = set(re.findall(r"^## (.+)$", text, re.MULTILINE))
    missing = [names[0] for names in HEADINGS if not found & set(names)]
    if f'driver = "{kind}"' not in text:
        missing.append(f'driver = "{kind}"')
    return f"{page.name} lacks {', '.join(missing)}" if missing else ""


def refuses(kind: str, shown: Evidence) -> str:
    """Rule 3."""
    try:
        catalogue.create(kind, "/dev/null", {"no_such_option": 1})
    except DriverError as fault:
        return "" if "no_such_option" in str(fault) and "\n" not in str(fault) else str(fault)
    return "it takes an option that it doesn't have"


def fuzzed(kind: str, shown: Evidence) -> str:
    """Rule 4."""
    missing = [name for name in shown.fuzzed if name not in TARGETS]
    if missing or not shown.fuzzed:
        return f"no fuzz target {', '.join(missing)}"
    return ""


def emulated(kind: str, shown: Evidence) -> str:
    """Rule 5; files need none."""
    if _is_file(kind):
        return ""
    path, _, name = shown.emulated.partition(":")
    return "" if name and name in _defined(ROOT / path) else f"no emulated side {shown.emulated}"


def in_a_whole_unit(kind: str, shown: Evidence) -> str:
    """Rule 6."""
    if missing := _no_test(shown.whole_unit):
        return missing
    if shown.whole_unit == SERIAL:
        rows = (ROOT / "tests" / SERIAL.partition("::")[0]).read_text()
        return "" if f'Serial("{kind}"' in rows else f"no row for it in {SERIAL}"
    return ""


def found(kind: str, shown: Evidence) -> str:
    """Rule 7; files are chosen by their path."""
    hinted = {kind for *_, kinds in scan.USB for kind in kinds}
    hinted |= {kind for _, kind in scan.BLE_NAMES}
    hinted |= set(scan.ble_hint("", [scan.HEART_RATE_SERVICE]))
    hinted |= {signature.kind for signature in probe.SIGNATURES}
    return "" if kind in hinted or _is_file(kind) else "neither scan nor probe knows it"


def measured(kind: str, shown: Evidence) -> str:
    """Rule 8; what the rows cost is measured, not asserted."""
    return (
        "" if any(row.split()[0] == kind for row in FEEDS) else "no row in benchmarks/decoding.py"
    )


def worked(kind: str, shown: Evidence) -> str:
    """Rule 9."""
    return _no_test(shown.examples)


def real_bytes(kind: str, shown: Evidence) -> str:
    """Rule 10."""
    if missing := _no_test(shown.real):
        return missing
    path, _, name = shown.real.partition("::")
    takes = _defined(ROOT / "tests" / path)[name]
    return "" if takes & TAKE_REAL_BYTES else f"{shown.real} takes no recording"


def exact(kind: str, shown: Evidence) -> str:
    """Rule 11."""
    return _no_test(shown.exact)


RULES: Final[dict[str, tuple[Check, ...]]] = {
    "bronze": (described, documented, refuses, fuzzed),
    "silver": (emulated, in_a_whole_unit, found, measured, worked),
    "gold": (real_bytes, exact),
}
"""Level → what it asks beyond the levels before it, in the order of the page's numbers."""


def level(kind: str) -> tuple[str, str]:
    """The level that a driver has reached, and what the next one lacks."""
    shown = EVIDENCE.get(kind)
    reached = "none"
    if shown is None:
        return reached, "no row in tests/support/quality.py"
    for name, rules in RULES.items():
        for rule in rules:
            if missing := rule(kind, shown):
                return reached, f"{name}: {missing}"
        reached = name
    return reached, ""


def _is_file(kind: str) -> bool:
    return overview.describe(kind).transport == "file"


def _no_test(named: str) -> str:
    path, _, name = named.partition("::")
    if not name:
        return "no test is named"
    file = ROOT / "tests" / path
    return "" if file.exists() and name in _defined(file) else f"there is no {named}"


def _defined(path: Path) -> dict[str, set[str]]:
    """Functions and classes of a module, and what each function takes."""
    if not path.exists():
        return {}
    made: dict[str, set[str]] = {}
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                made[node.name] = {argument.arg for argument in node.args.args}
            case ast.ClassDef():
                made[node.name] = set()
            case _:
                pass
    return made
