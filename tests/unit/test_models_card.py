"""A bundle runs only when its hash and its input contract fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.card import CARD_FILE, MODEL_FILE, ModelRefused, read_card
from models.registry import BUNDLES, in_use, listing, load_quality, load_rhythm, verify


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of stage 1 as shipped, free to be spoiled."""
    shipped = in_use("quality")
    copy = tmp_path / "quality" / shipped.name
    shutil.copytree(shipped, copy)
    return copy


def edit(bundle: Path, old: str, new: str) -> None:
    card = bundle / CARD_FILE
    text = card.read_text()
    assert old in text
    card.write_text(text.replace(old, new))


def refusal(bundle: Path) -> str:
    with pytest.raises(ModelRefused) as caught:
        verify(bundle)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_shipped_bundles_are_fit_to_run() -> None:
    names = {found.name for found in listing()}
    assert {"quality", "rhythm"} <= names
    assert [found.refused for found in listing() if found.name in ("quality", "rhythm")] == [
        "" for found in listing() if found.name in ("quality", "rhythm")
    ]


def test_shipped_bundles_are_small() -> None:
    """All bundles together stay under 3 MB."""
    assert sum(path.stat().st_size for path in BUNDLES.glob(f"*/*/{MODEL_FILE}")) < 3_000_000


def test_card_tells_what_the_network_is(bundle: Path) -> None:
    card = verify(bundle)
    assert (card.name, card.version) == ("quality", bundle.name)
    assert card.contract["rate_hz"] == 250
    assert card.metrics["int8"]["noise_f1"] > 0


def test_one_changed_byte_of_the_network_is_refused(bundle: Path) -> None:
    content = bytearray((bundle / MODEL_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / MODEL_FILE).write_bytes(content)
    assert "SHA-256" in refusal(bundle)
    with pytest.raises(ModelRefused):
        load_quality(bundle)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("rate_hz = 250", "rate_hz = 360", "rate_hz"),
        ("pass_band_hz = [0.5, 40.0]", "pass_band_hz = [0.05, 150.0]", "pass_band_hz"),
        ('unit = "uV"', 'unit = "mV"', "unit"),
        ("[contract]", "[kontract]", "[contract]"),
        ("licence = ", "license = ", "licence"),
        ('name = "quality"', 'name = "rhythm"', "rhythm/"),
        ('name = "quality"', "name = 7", "name"),
        ('version = "', 'version = "v', "version"),
        ("[data]", "[data", "TOML"),
    ],
)
def test_unfit_card_is_refused_with_its_reason(
    bundle: Path, old: str, new: str, named: str
) -> None:
    edit(bundle, old, new)
    assert named in refusal(bundle)


@pytest.mark.parametrize("missing", [CARD_FILE, MODEL_FILE])
def test_half_a_bundle_is_refused(bundle: Path, missing: str) -> None:
    (bundle / missing).unlink()
    assert missing in refusal(bundle)


def test_rhythm_does_not_take_a_quality_network(bundle: Path) -> None:
    with pytest.raises(ModelRefused, match="second"):
        load_rhythm(bundle)


def test_bytes_that_are_no_network_are_refused(bundle: Path) -> None:
    import hashlib

    (bundle / MODEL_FILE).write_bytes(b"not a network")
    edit(bundle, read_card(bundle).sha256, hashlib.sha256(b"not a network").hexdigest())
    with pytest.raises(ModelRefused, match="onnxruntime"):
        load_quality(bundle)


def test_highest_version_is_in_use(bundle: Path) -> None:
    bundles = bundle.parent.parent
    newer = bundle.parent / "1.10.0"
    shutil.copytree(bundle, newer)
    edit(newer, f'version = "{bundle.name}"', 'version = "1.10.0"')
    (bundle.parent / "1.9.0").mkdir()
    (bundle.parent / "notes").mkdir()
    assert in_use("quality", bundles) == newer
    found = {item.version: item for item in listing(bundles)}
    assert found["1.10.0"].in_use
    assert not found["1.10.0"].refused
    assert found["1.9.0"].card is None
    assert CARD_FILE in found["1.9.0"].refused
    assert load_quality(bundles=bundles).model.version == "1.10.0"


def test_name_without_a_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="no bundle named 'rhythm'"):
        load_rhythm(bundles=tmp_path)
