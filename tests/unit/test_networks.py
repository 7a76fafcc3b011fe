"""Loading the unit's networks: what is missing or refused stops nothing, and is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent import networks
from models import registry


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped bundles that a test may damage."""
    copy = tmp_path / "bundles"
    shutil.copytree(registry.BUNDLES, copy)
    monkeypatch.setattr(registry, "BUNDLES", copy)
    for loader in (registry.load_quality, registry.load_rhythm, registry.load_beats):
        assert loader.__kwdefaults__ is not None
        monkeypatch.setitem(loader.__kwdefaults__, "bundles", copy)
    return copy


def test_shipped_bundles_all_load(bundles: Path) -> None:
    loaded = networks.load()
    assert loaded.refused == ()
    assert {"quality", "rhythm"} <= {model.name for model in loaded.in_use}


def test_damaged_bundle_is_refused_told_and_left_out(bundles: Path) -> None:
    model = next((bundles / "rhythm").glob("*/model.onnx"))
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.chmod(0o644)
    model.write_bytes(data)
    loaded = networks.load()
    assert loaded.rhythm is None
    assert loaded.quality is not None
    assert len(loaded.refused) == 1
    assert "rhythm" in loaded.refused[0]
    assert "\n" not in loaded.refused[0]


def test_no_beat_network_is_no_fault(bundles: Path) -> None:
    shutil.rmtree(bundles / "beats", ignore_errors=True)
    loaded = networks.load()
    assert loaded.beats is None
    assert loaded.refused == ()
