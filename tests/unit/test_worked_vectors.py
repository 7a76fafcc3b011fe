"""Every worked vector of a device that is read is some test's: none is passed over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
READ_BY = {
    "ble_hrs": "test_heart_rate.py",
    "polar_pmd": "test_polar_pmd.py",
    "bitalino": "test_bitalino.py",
    "olimex": "test_olimex.py",
    "openbci_cyton": "test_cyton.py",
    "openbci_ganglion": "test_ganglion.py",
    "healthypi_v4": "test_protocentral.py",
    "healthypi_5": "test_protocentral.py",
    "ads1292r": "test_protocentral.py",
    "max30003": "test_protocentral.py",
    "intellivue_rs232": "test_intellivue_frames.py",
    "shimmer3": "test_shimmer.py",
    "movesense": "test_movesense.py",
    "wfdb": "test_wfdb_formats.py",
}
NOT_READ = {"ge_s5", "draeger_medibus"}
"""Monitors that nobody asked for."""


def test_each_device_of_the_vectors_is_read_or_known_not_to_be(shared: Path) -> None:
    vectors = json.loads((shared / "captures" / "worked_vectors.json").read_text())
    assert {vector["device"] for vector in vectors} == set(READ_BY) | NOT_READ


@pytest.mark.parametrize("device", READ_BY)
def test_the_vectors_of_a_device_are_in_its_tests(shared: Path, device: str) -> None:
    """By its name in the file, or by its bytes written down."""
    vectors = json.loads((shared / "captures" / "worked_vectors.json").read_text())
    source = (TESTS / READ_BY[device]).read_text()
    taken_as_a_whole = f'"{device}"' in source and "worked_vectors.json" in source
    for vector in vectors:
        if vector["device"] == device:
            written = vector["hex"].lower() in source.lower().replace(" ", "")
            assert taken_as_a_whole or written, vector["name"]
