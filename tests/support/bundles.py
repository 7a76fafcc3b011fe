"""Bundles for tests: other versions of the shipped networks, and a models folder to put them in."""

from __future__ import annotations

import shutil
from pathlib import Path

from models import registry


def make_version(
    folder: Path,
    name: str,
    version: str,
    *,
    source: Path | None = None,
    card: dict[str, str] | None = None,
) -> Path:
    """A copy of the shipped bundle under another version at ``folder/name/version``.

    ``card`` replaces texts: ``{"unit": "mV"}`` sets ``unit = "mV"``.
    """
    source = registry.in_use(name)
    path = folder / name / version
    shutil.copytree(source, path, copy_function=shutil.copyfile)
    written = path / "card.toml"
    lines = []
    for line in written.read_text().splitlines():
        key = line.split(" = ")[0]
        value = {"version": version, **(card or {})}.get(key) if " = " in line else None
        lines.append(line if value is None else f'{key} = "{value}"')
    written.write_text("\n".join(lines) + "\n")
    return path


def damage(path: Path) -> None:
    """Turn one bit of a bundle's network."""
    model = path / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
