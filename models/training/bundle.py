"""Writing a bundle: the network and its card, hash last, so that a half-written one is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.card import CARD_FILE, MODEL_FILE, UNIT, Card, verified_model
from models.preprocess import PASS_BAND_HZ, RATE_HZ

LICENCE = "Apache-2.0; trained on PhysioNet data under ODC-By 1.0, attribution in the table [data]"


def write_bundle(
    out: Path,
    network: Path,
    *,
    summary: str,
    contract: Mapping[str, Any],
    calibration: Mapping[str, Any],
    data: Mapping[str, Any],
    split: Mapping[str, Any],
    metrics: Mapping[str, Any],
    licence: str = LICENCE,
) -> Card:
    """Write ``out`` (``…/<name>/<version>``) and read it back as the run time will.

    ``contract`` holds what the kind of network adds (``classes``, ``context_s``, …); rate, band
    and unit are this version's own. Tables hold texts, numbers, lists of these, or tables.
    """
    out.mkdir(parents=True, exist_ok=True)
    part = out / f"{MODEL_FILE}.part"
    shutil.copyfile(network, part)
    digest = hashlib.sha256(part.read_bytes()).hexdigest()
    part.replace(out / MODEL_FILE)
    own = {"rate_hz": RATE_HZ, "pass_band_hz": list(PASS_BAND_HZ), "unit": UNIT}
    tables = {
        "contract": {**own, **contract},
        "calibration": calibration,
        "data": data,
        "split": split,
        "metrics": metrics,
    }
    head = {
        "name": out.parent.name,
        "version": out.name,
        "summary": summary,
        "licence": licence,
        "sha256": digest,
    }
    lines = [f"{key} = {_value(value)}" for key, value in head.items()]
    for name, table in tables.items():
        lines += _table(name, table)
    card = out / f"{CARD_FILE}.part"
    card.write_text("\n".join(lines) + "\n", encoding="utf-8")
    card.replace(out / CARD_FILE)
    checked, _content = verified_model(out)
    return checked


def _table(name: str, table: Mapping[str, Any]) -> list[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    lines = ["", f"[{name}]", *(f"{key} = {_value(value)}" for key, value in plain.items())]
    for key, value in inner.items():
        lines += _table(f"{name}.{key}", value)
    return lines


def _value(value: Any) -> str:
    """TOML of a text, number, truth or list; JSON writes these the same way."""
    if isinstance(value, float):
        value = round(value, 4)
    return json.dumps(value, ensure_ascii=False)
