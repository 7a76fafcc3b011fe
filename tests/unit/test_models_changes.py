"""Installing, promoting, taking back and trying out bundles."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.bundles import damage, make_version

from models.changes import ChangeError, Changes
from models.durable import locked
from models.registry import ModelRefused, Registry
from models.selection import read_selection
from models.unpack import bundle_files


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


@pytest.fixture
def changes(registry: Registry) -> Changes:
    clock = iter(range(1, 1000))
    return Changes(registry, "nurse", lambda: next(clock))


def test_installed_bundle_runs_only_once_promoted(
    registry: Registry, changes: Changes, tmp_path: Path
) -> None:
    shipped = registry.in_use("quality").name
    changes.install(make_version(tmp_path, "quality", "9.0.0"))
    assert registry.in_use("quality").name == shipped
    changes.promote("quality", "9.0.0")
    assert registry.in_use("quality") == tmp_path / "models" / "quality" / "9.0.0"


def test_every_change_is_in_the_audit(registry: Registry, changes: Changes, tmp_path: Path) -> None:
    shipped = registry.in_use("quality").name
    card = changes.install(make_version(tmp_path, "quality", "9.0.0"))
    changes.shadow("quality", "9.0.0")
    changes.shadow("quality", "")
    changes.promote("quality", "9.0.0")
    changes.rollback("quality")
    audit = registry.selection().changes
    assert [(c.what, c.before, c.after) for c in audit] == [
        ("install", "", "9.0.0"),
        ("shadow", "", "9.0.0"),
        ("shadow", "9.0.0", ""),
        ("promote", shipped, "9.0.0"),
        ("rollback", "9.0.0", shipped),
    ]
    assert {c.who for c in audit} == {"nurse"}
    assert [c.at_ns for c in audit] == sorted({c.at_ns for c in audit})
    assert audit[3].sha256 == card.sha256


def test_rollback_goes_back_step_by_step_and_then_refuses(
    registry: Registry, changes: Changes, tmp_path: Path
) -> None:
    shipped = registry.in_use("quality").name
    for version in ("9.0.0", "9.1.0"):
        changes.install(make_version(tmp_path, "quality", version))
        changes.promote("quality", version)
    assert changes.rollback("quality").after == "9.0.0"
    assert changes.rollback("quality").after == shipped
    assert registry.in_use("quality").name == shipped
    with pytest.raises(ChangeError, match="nothing was promoted"):
        changes.rollback("quality")


def test_promoted_candidate_is_no_shadow_any_more(
    registry: Registry, changes: Changes, tmp_path: Path
) -> None:
    changes.install(make_version(tmp_path, "quality", "9.0.0"))
    changes.shadow("quality", "9.0.0")
    changes.promote("quality", "9.0.0")
    assert registry.shadow("quality") is None
    with pytest.raises(ChangeError, match="is in use"):
        changes.shadow("quality", "9.0.0")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"unit": "mV"}, "wants unit = 'mV'"),
        ({"sha256": "00" * 32}, "SHA-256"),
        ({"name": "weather"}, "none of"),
        ({"version": "9"}, "not of the form"),
    ],
)
def test_unfit_bundle_is_refused_and_leaves_nothing(
    registry: Registry, changes: Changes, tmp_path: Path, change: dict[str, str], complaint: str
) -> None:
    changed = make_version(tmp_path, "quality", "9.0.0", card=change)
    with pytest.raises(ModelRefused, match=complaint) as refusal:
        changes.install(changed)
    assert "\n" not in str(refusal.value)
    assert not list((tmp_path / "models").glob("quality/*"))
    assert read_selection(tmp_path / "models").changes == ()


def test_graph_of_another_kind_is_refused(changes: Changes, tmp_path: Path) -> None:
    wrong = make_version(tmp_path, "quality", "9.0.0", card={"name": "rhythm"})
    with pytest.raises(ModelRefused, match="no input 'second'"):
        changes.install(wrong)


def test_version_that_is_there_is_never_replaced(changes: Changes, tmp_path: Path) -> None:
    source = make_version(tmp_path, "quality", "9.0.0")
    changes.install(source)
    with pytest.raises(ModelRefused, match="never replaced"):
        changes.install(source)


def test_damaged_version_is_not_promoted(
    registry: Registry, changes: Changes, tmp_path: Path
) -> None:
    changes.install(make_version(tmp_path, "quality", "9.0.0"))
    damage(registry.find("quality", "9.0.0"))
    with pytest.raises(ModelRefused, match="SHA-256"):
        changes.promote("quality", "9.0.0")
    assert registry.in_use("quality").parent.parent == registry.shipped


def test_version_that_is_not_there_is_named_with_those_that_are(changes: Changes) -> None:
    with pytest.raises(ModelRefused, match=r"no bundle quality 9\.0\.0; there are: 1"):
        changes.promote("quality", "9.0.0")


def test_second_process_gets_a_clear_error(changes: Changes, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with (
        locked(tmp_path / "models" / ".lock"),
        pytest.raises(ChangeError, match="another process is changing the models"),
    ):
        changes.promote("quality", "1.0.0")


def test_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ChangeError, match="cannot be written"):
        Changes(Registry(tmp_path / "file" / "models"), "x").promote("quality", "1.0.0")


def packed(source: Path, archive: Path, prefix: str) -> Path:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as file:
            for path in source.iterdir():
                file.write(path, f"{prefix}{path.name}")
    else:
        with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as file:
            for path in source.iterdir():
                file.add(path, f"{prefix}{path.name}")
    return archive


@pytest.mark.parametrize("prefix", ["", "quality/9.0.0/", "../../../etc/", "/etc/x/"])
@pytest.mark.parametrize("name", ["b.zip", "b.tar", "b.tar.gz"])
def test_archive_gives_the_bundle_whatever_its_paths(
    changes: Changes, tmp_path: Path, name: str, prefix: str
) -> None:
    source = make_version(tmp_path, "quality", "9.0.0")
    archive = packed(source, tmp_path / name, prefix)
    before = set(tmp_path.rglob("*"))
    assert changes.install(archive).version == "9.0.0"
    new = set(tmp_path.rglob("*")) - before
    assert {path.relative_to(tmp_path).parts[0] for path in new} == {"models"}


def test_archive_of_links_gives_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "b.tar"
    with tarfile.open(archive, "w") as file:
        for name in ("card.toml", "model.onnx"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            file.addfile(link)
    with pytest.raises(ModelRefused, match=r"no card\.toml"):
        bundle_files(archive)


def test_archive_that_swells_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "b.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("card.toml", "x" * (300 * 1024))
        file.writestr("model.onnx", "")
    with pytest.raises(ModelRefused, match="larger than"):
        bundle_files(archive)


def test_archive_of_two_bundles_or_none_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "b.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a/card.toml", "")
        file.writestr("b/model.onnx", "")
    with pytest.raises(ModelRefused, match="several bundles"):
        bundle_files(archive)
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(ModelRefused, match="no bundle"):
        bundle_files(tmp_path / "text")
    with pytest.raises(ModelRefused, match="No such file"):
        bundle_files(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_damaged_archives_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    """Cut short or with wrong bytes, an archive is refused or read, never more."""
    source = make_version(tmp_path, "quality", "9.0.0")
    (source / "model.onnx").write_bytes(b"small")
    whole = packed(source, tmp_path / f"b.{kind}", "").read_bytes()
    for seed in range(60):
        data = bytearray(whole[: len(whole) - seed * len(whole) // 70])
        for place in range(seed % 7):
            data[(seed * 977 + place * 131) % len(data)] ^= 0x5A
        broken = tmp_path / f"broken.{kind}"
        broken.write_bytes(data)
        said = read_or_refused(broken)
        assert "\n" not in said
        assert said != ""


def read_or_refused(archive: Path) -> str:
    try:
        return " ".join(bundle_files(archive))
    except ModelRefused as refusal:
        return str(refusal)


def test_files_are_not_for_everybody(changes: Changes, tmp_path: Path) -> None:
    changes.install(make_version(tmp_path, "quality", "9.0.0"))
    for path in (tmp_path / "models").rglob("*"):
        assert path.stat().st_mode & 0o007 == 0, path


def test_reads_gzip_without_trusting_its_size(tmp_path: Path) -> None:
    archive = tmp_path / "b.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        info = tarfile.TarInfo("model.onnx")
        info.size = 65 * 2**20
        file.addfile(info, io.BytesIO(bytes(info.size)))
        card = tarfile.TarInfo("card.toml")
        file.addfile(card, io.BytesIO(b""))
    assert archive.stat().st_size < 2**20
    with pytest.raises(ModelRefused, match="larger than"):
        bundle_files(archive)
