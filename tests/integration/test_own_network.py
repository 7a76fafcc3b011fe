"""A lab brings its own ONNX file (docs/own_network.md): written, installed, in use, named."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result
from support.bundles import own_rhythm
from support.ecg import sinus

from wardbeat import main

SURE_OF_AF = (-9.0, 9.0, -9.0, -9.0, -9.0)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def recording(path: Path, seconds: int) -> Path:
    """A steady rhythm as CSV, 250 Hz, millivolts."""
    rows = [f"{k / 250:.3f},{v / 1000:.4f}" for k, v in enumerate(sinus(0.0, seconds))]
    path.write_text("time_s,II\n" + "\n".join(rows) + "\n")
    return path


def test_own_file_is_installed_and_judges(tmp_path: Path) -> None:
    bundle = own_rhythm(tmp_path / "lab", "7.0.0", SURE_OF_AF)
    folder = tmp_path / "models"
    assert call("models", "verify", bundle).exit_code == 0
    assert call("models", "install", bundle, "--folder", folder).exit_code == 0
    assert call("models", "promote", "rhythm", "7.0.0", "--folder", folder).exit_code == 0
    record = recording(tmp_path / "steady.csv", 60)
    done = call("analyze", record, "--unit", "mV", "--models", folder, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "out" / "steady.json").read_text())
    assert {"name": "rhythm", "version": "7.0.0"}.items() <= told["models"][1].items()
    # AF needs uneven RR intervals too, which no network can talk them into: "other" is its word.
    assert told["segments"][-1]["label"] == "other"


def test_other_shape_is_refused_in_one_line(tmp_path: Path) -> None:
    bundle = own_rhythm(tmp_path / "lab", "1.0.0", (0.0, 0.0, 0.0, 0.0))
    refused = call("models", "install", bundle, "--folder", tmp_path / "models")
    assert refused.exit_code == 2
    assert refused.output.count("\n") == 1
    assert "probabilities" in refused.output
