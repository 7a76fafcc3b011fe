"""Text exports whose columns are known from the tool that wrote them.

OpenBCI GUI: the EXG columns are µV (its documentation of the text format). OpenSignals: raw
counts of a BITalino; its ECG sensor gives mV = (ADC / 2^n - 0.5) * 3.3 V / 1100 (data sheet).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from drivers.files.csv_layout import Column, Layout

_BITALINO_SPAN_UV = 3.3 / 1100 * 1e6


def as_known_export(layout: Layout) -> Layout:
    """The layout with the names, units and scales that the tool's own header implies."""
    head = " ".join(layout.comments)
    if "OpenBCI" in head:
        columns = tuple(
            Column(c.name, "uV") if c.name.startswith("EXG") else Column(c.name, c.unit or "-")
            for c in layout.columns
        )
        return replace(layout, columns=columns)
    if "OpenSignals" in head:
        device = _open_signals_device(layout)
        if device is not None:
            return _open_signals(layout, device)
    return layout


def _open_signals_device(layout: Layout) -> Mapping[str, Any] | None:
    """The first device of the JSON line."""
    for line in layout.comments:
        if line.startswith("{"):
            try:
                devices = json.loads(line)
            except ValueError:
                return None
            first = next(iter(devices.values()), None) if isinstance(devices, dict) else None
            return first if isinstance(first, dict) else None
    return None


def _open_signals(layout: Layout, device: Mapping[str, Any]) -> Layout:
    names = [str(name) for name in device.get("column", ())]
    bits = list(device.get("resolution", ()))
    labels = [str(name) for name in device.get("label", ())]
    sensors = dict(zip(labels, device.get("sensor", ()), strict=False))
    columns = list(layout.columns)
    for index, name in enumerate(names[: len(columns)]):
        column = Column(name, "-")
        if name in labels and index < len(bits) and isinstance(bits[index], int):
            sensor = str(sensors.get(name, "RAW")).upper()
            unit = "uV" if sensor in ("RAW", "ECG") else "-"
            full = 2.0 ** bits[index]
            scale = (_BITALINO_SPAN_UV / full, full / 2)
            column = Column(f"ECG {name}" if sensor == "ECG" else name, unit, scale)
        columns[index] = column
    ignored = layout.ignored | {i for i, name in enumerate(names) if name == "nSeq"}
    return replace(layout, columns=tuple(columns), ignored=ignored, time_column=None)
