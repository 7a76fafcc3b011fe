"""Pieces of recordings with the experts' annotations, for tests that need no more."""

from __future__ import annotations

from pathlib import Path

from drivers.files import open_record
from drivers.files.annotations import read_annotations, write_annotations


def cut(source: Path, folder: Path, seconds: int) -> None:
    """The first seconds of a shared record with its annotations."""
    with open_record(source) as record:
        counts = record.read(0, round(seconds * record.rate_hz)).counts
        rate_hz, leads = record.rate_hz, record.leads
    name = source.name
    lines = [f"{name} {len(leads)} {rate_hz:g} {len(counts)}"]
    for lead in leads:
        scale = f"{1000 / lead.microvolts_per_count:g}({round(lead.offset_counts)})/mV"
        lines.append(f"{name}.dat 16 {scale} 16 0 0 0 0 {lead.name}")
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    (folder / f"{name}.dat").write_bytes(counts.astype("<i2").tobytes())
    kept = [m for m in read_annotations(source.with_suffix(".atr")) if m.sample < len(counts)]
    write_annotations(folder / f"{name}.atr", kept, rate_hz)
