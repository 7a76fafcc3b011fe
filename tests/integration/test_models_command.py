"""``wardbeat models`` and ``wardbeat export`` as a user calls them."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result
from support.bundles import damage, make_version

from models.registry import Registry
from wardbeat import main


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_install_promote_show_rollback(tmp_path: Path) -> None:
    folder = ("--folder", tmp_path / "models")
    shipped = Registry().in_use("quality").name
    bundle = make_version(tmp_path / "from", "quality", "9.0.0")
    assert "quality 9.0.0: installed" in call("models", "install", bundle, *folder).output
    listed = call("models", "list", *folder).output
    assert f"* quality    {shipped}" in listed
    assert "  quality    9.0.0" in listed
    said = call("models", "promote", "quality", "9.0.0", *folder).output
    assert f"promote quality {shipped} → 9.0.0  by " in said
    shown = call("models", "show", "quality", *folder).output
    assert "quality 9.0.0: Stage 1" in shown
    assert "install quality none → 9.0.0" in shown
    assert "9.0.0 → " + shipped in call("models", "rollback", "quality", *folder).output


def test_shadow_is_marked_and_ended(tmp_path: Path) -> None:
    folder = ("--folder", tmp_path / "models")
    call("models", "install", make_version(tmp_path / "from", "quality", "9.0.0"), *folder)
    assert call("models", "shadow", "quality", "9.0.0", *folder).exit_code == 0
    assert "~ quality    9.0.0" in call("models", "list", *folder).output
    assert call("models", "shadow", "quality", "--off", *folder).exit_code == 0
    refused = call("models", "shadow", "quality", *folder)
    assert refused.exit_code == 2
    assert "--off" in refused.output


def test_faults_are_one_line(tmp_path: Path) -> None:
    bundle = make_version(tmp_path / "from", "quality", "9.0.0")
    damage(bundle)
    for arguments in (
        ("install", bundle, "--folder", tmp_path / "models"),
        ("install", tmp_path / "nothing", "--folder", tmp_path / "models"),
        ("verify", bundle),
        ("promote", "quality", "9.9.9", "--folder", tmp_path / "models"),
        ("rollback", "quality"),
        ("show", "weather"),
    ):
        result = call("models", *arguments)
        assert result.exit_code == 2, arguments
        assert result.output.startswith("wardbeat: ")
        assert result.output.count("\n") == 1


def test_unit_configuration_names_folder_and_trust(tmp_path: Path) -> None:
    config = tmp_path / "unit.toml"
    config.write_text(
        f'[unit]\nsite = "s"\nname = "u"\ndata_dir = "{tmp_path}/data"\n'
        '[[bed]]\nname = "1"\n[bed.device]\ndriver = "cyton"\naddress = "x"\n'
    )
    bundle = make_version(tmp_path / "from", "quality", "9.0.0")
    assert call("models", "install", bundle, "--config", config).exit_code == 0
    assert (tmp_path / "data" / "models" / "quality" / "9.0.0" / "model.onnx").exists()
    config.write_text(config.read_text() + "[models]\nrequire_signed = true\n")
    result = call("models", "list", "--config", config)
    assert result.exit_code == 2
    assert "no key is trusted" in result.output


def test_export_of_no_store_is_one_line(tmp_path: Path) -> None:
    result = call("export", "feedback", tmp_path / "out", "--data", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "is not there" in result.output
