"""Bundles for tests: other versions of the shipped networks, and a models folder to put them in."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from models import registry
from models.training.bundle import write_bundle


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


def own_rhythm(folder: Path, version: str, logits: Sequence[float]) -> Path:
    """A lab's own stage 2, written with nothing but ``onnx``: it counts seconds and says the same.

    ``logits`` are of normal, AF, other, VT, VF.
    """
    nodes = [
        helper.make_node("Add", ["count", "one"], ["next_count"]),
        helper.make_node("ReduceMean", ["second"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
        helper.make_node("Add", ["zero", "logits"], ["sum"]),
        helper.make_node("Softmax", ["sum"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "own",
        [_float("second", (1, 250)), _float("count", (1, 1))],
        [_float("probabilities", (1, 5)), _float("next_count", (1, 1))],
        [
            numpy_helper.from_array(np.array(value, np.float32), name)
            for name, value in (("one", [[1]]), ("nothing", [[0]]), ("logits", [logits]))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    network = folder / "own.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    network.write_bytes(model.SerializeToString())
    out = folder / "rhythm" / version
    write_bundle(
        out,
        network,
        summary="A lab's own",
        licence="the lab's",
        contract={"classes": ["normal", "af", "other", "vt", "vf"], "step_s": 1},
        calibration={"method": "none"},
        data={"trained_on": ["nothing"]},
        split={"rule": "none"},
        metrics={},
    )
    return out


def _float(name: str, shape: tuple[int, ...]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def damage(path: Path) -> None:
    """Turn one bit of a bundle's network."""
    model = path / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
