"""Loading the unit's networks: what is missing or refused stops nothing, and is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.bundles import damage, make_version

from agent import networks
from models.changes import Changes
from models.registry import BUNDLES, Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A copy of the shipped bundles that a test may damage, and a folder to install in."""
    copy = tmp_path / "bundles"
    shutil.copytree(BUNDLES, copy, copy_function=shutil.copyfile)
    return Registry(tmp_path / "models", shipped=copy)


def versions(loaded: networks.Networks) -> dict[str, str]:
    return {model.name: model.version for model in loaded.in_use}


def install(registry: Registry, folder: Path, name: str, version: str) -> Path:
    changes = Changes(registry, "test")
    changes.install(make_version(folder / "from", name, version))
    changes.promote(name, version)
    return registry.find(name, version)


def test_shipped_bundles_all_load(registry: Registry) -> None:
    loaded = networks.load(registry)
    assert loaded.refused == ()
    assert {"quality", "rhythm"} <= {model.name for model in loaded.in_use}


def test_damaged_bundle_is_refused_told_and_left_out(registry: Registry) -> None:
    for path in registry.versions("rhythm"):
        damage(path)
    loaded = networks.load(registry)
    assert loaded.rhythm is None
    assert loaded.quality is not None
    assert len(loaded.refused) == len(registry.versions("rhythm"))
    assert "rhythm" in loaded.refused[0]
    assert "\n" not in loaded.refused[0]


def test_no_beat_network_is_no_fault(registry: Registry) -> None:
    shutil.rmtree(registry.shipped / "beats", ignore_errors=True)
    loaded = networks.load(registry)
    assert loaded.beats is None
    assert loaded.refused == ()


def test_no_rhythm_network_is_told(registry: Registry) -> None:
    shutil.rmtree(registry.shipped / "rhythm")
    assert "install one" in networks.load(registry).refused[0]


def test_promoted_one_that_is_damaged_gives_way_to_the_last_good_one(
    registry: Registry, tmp_path: Path
) -> None:
    install(registry, tmp_path, "rhythm", "7.0.0")
    damage(install(registry, tmp_path, "rhythm", "8.0.0"))
    loaded = networks.load(registry)
    assert versions(loaded)["rhythm"] == "7.0.0"
    assert "8.0.0" in loaded.refused[0]


def test_promoted_one_that_is_gone_gives_way_too(registry: Registry, tmp_path: Path) -> None:
    shipped = registry.in_use("rhythm").name
    shutil.rmtree(install(registry, tmp_path, "rhythm", "7.0.0"))
    loaded = networks.load(registry)
    assert versions(loaded)["rhythm"] == shipped
    assert "is gone" in loaded.refused[0]


def test_hot_change_keeps_what_runs_when_the_new_one_is_unfit(
    registry: Registry, tmp_path: Path
) -> None:
    running = networks.load(registry)
    damage(install(registry, tmp_path, "rhythm", "7.0.0"))
    after = networks.load(registry, running)
    assert after.rhythm is running.rhythm
    assert after.quality is running.quality
    assert "7.0.0" in after.refused[0]


def test_hot_change_loads_only_what_changed(registry: Registry, tmp_path: Path) -> None:
    running = networks.load(registry)
    install(registry, tmp_path, "rhythm", "7.0.0")
    after = networks.load(registry, running)
    assert versions(after)["rhythm"] == "7.0.0"
    assert after.quality is running.quality
    assert after.refused == ()


def test_damaged_selection_is_told_and_the_shipped_ones_run(registry: Registry) -> None:
    assert registry.folder is not None
    registry.folder.mkdir()
    (registry.folder / "registry.json").write_text('{"use": {"rhythm": ')
    loaded = networks.load(registry)
    assert "registry.json" in loaded.refused[0]
    assert loaded.rhythm is not None
    again = networks.load(registry, loaded)
    assert again.rhythm is loaded.rhythm


def test_candidates_take_the_place_of_what_runs(registry: Registry, tmp_path: Path) -> None:
    running = networks.load(registry)
    assert networks.load_candidates(registry, running) == (None, [])
    changes = Changes(registry, "test")
    changes.install(make_version(tmp_path / "from", "rhythm", "7.0.0"))
    changes.shadow("rhythm", "7.0.0")
    candidates, refused = networks.load_candidates(registry, running)
    assert refused == []
    assert candidates is not None
    assert versions(candidates)["rhythm"] == "7.0.0"
    assert candidates.quality is running.quality
    assert versions(networks.load(registry))["rhythm"] != "7.0.0"
