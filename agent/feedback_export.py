"""``wardbeat export feedback``: judged alarms as WFDB records, to look at and to train on.

Each alarm becomes ``<bed>-<alarm id>.hea/.dat/.atr``: the ECG around it as the device's own
integers, with the judgement as a note at the alarm's onset and the rhythm as a rhythm change.
``RECORDS`` lists them, ``feedback.csv`` holds what a header has no place for. Form of the files:
WFDB Applications Guide, header(5), signal(5), annot(5). Who judged is left out, dates too.
"""

from __future__ import annotations

import csv
import io
import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.analyze import RHYTHM_AUX
from agent.rhythm.types import Rhythm
from agent.stamps import Stamp
from agent.store import Reader, StoredFeedback, WaveSegment
from agent.store.judgements import feedback
from agent.strips import AFTER_NS, BEFORE_NS, strip_of
from drivers.files.annotations import Annotation, write_annotations
from sync.contract import Strip

ANNOTATOR = "atr"
"""What readers of databases, ours included, take for the reference."""
FORMATS: tuple[tuple[int, str], ...] = ((16, "<i2"), (32, "<i4"))
"""WFDB formats and their numpy types; the lowest value of each says "no sample"."""
CODE_RHYTHM = {"vf": Rhythm.VF, "vt": Rhythm.VT, "asystole": Rhythm.ASYSTOLE, "af": Rhythm.AF}
"""What a true alarm of that code says of the rhythm, where the person named none."""
COLUMNS = ("record", "alarm", "judgement", "rhythm", "judged_by", "models", "note")


class ExportError(RuntimeError):
    """The export was not made: one line with what, where and what to do."""


def export_feedback(store: Path, out: Path) -> int:
    """Write every judged alarm of a store to the folder ``out``; returns how many.

    ``store`` is the database or the unit's data folder. A second export replaces the first.

    Raises:
        StoreError: no store, or one that cannot be read.
        ExportError: the folder cannot be written.
    """
    database = store / "wardbeat.db" if store.is_dir() else store
    rows: list[dict[str, str]] = []
    with Reader.open(database) as reader:
        try:
            out.mkdir(mode=0o750, parents=True, exist_ok=True)
            for one in feedback(reader):
                strip = _longest(one, reader)
                if strip is not None:
                    rows.append(_write(one, strip, out))
            _replace(out / "RECORDS", "".join(f"{row['record']}\n" for row in rows).encode())
            _replace(out / "feedback.csv", _table(rows))
        except OSError as error:
            raise ExportError(
                f"{error.filename or out}: cannot be written ({error.strerror})"
            ) from error
    return len(rows)


def _longest(one: StoredFeedback, reader: Reader) -> Strip | None:
    """The strip kept at the judgement, or the store's where that has more by now."""
    kept, raised_ns = one.strip, one.alarm.raised_ns
    found = reader.read_wave(one.bed, raised_ns - BEFORE_NS, raised_ns + AFTER_NS)
    best: WaveSegment | None = max(found, key=lambda piece: len(piece.counts), default=None)
    if best is None or (kept is not None and kept.samples >= len(best.counts)):
        return kept
    nowhere = Stamp(id="", time=0, boot="", seq=0, clock="synced")
    return strip_of(best, nowhere, "", one.bed, one.alarm.id)


def _write(one: StoredFeedback, strip: Strip, out: Path) -> dict[str, str]:
    bed = re.sub(r"[^A-Za-z0-9_]", "_", one.bed)  # header(5) allows no more in a record's name
    name = f"{bed}_{one.alarm.id.replace('-', '_')}"
    rhythm = _rhythm(one)
    models = " ".join(f"{model.name} {model.version}" for model in one.models)
    header, data = signal_files(name, strip)
    comments = (
        f"alarm {one.alarm.code}", f"judgement {one.judgement}",
        f"rhythm {rhythm.value if rhythm else 'not said'}", f"judged_by {one.alarm.judged_by}",
        f"models {models}",
    )  # fmt: skip
    _replace(out / f"{name}.dat", data)
    _replace(out / f"{name}.hea", (header + "".join(f"# {c}\n" for c in comments)).encode())
    onset = round((one.alarm.onset_ns - strip.start) / 1e9 * strip.rate_hz)
    onset = min(max(onset, 0), strip.samples - 1)
    said = f"alarm={one.alarm.code} judgement={one.judgement}"
    marks = [Annotation(onset, '"', aux=said)]
    if rhythm is not None:
        marks.append(Annotation(onset, "+", aux=RHYTHM_AUX[rhythm]))
    write_annotations(out / f"{name}.{ANNOTATOR}", marks, strip.rate_hz)
    return {
        "record": name, "alarm": one.alarm.code, "judgement": one.judgement,
        "rhythm": rhythm.value if rhythm else "", "judged_by": one.alarm.judged_by,
        "models": models, "note": one.note,
    }  # fmt: skip


def _rhythm(one: StoredFeedback) -> Rhythm | None:
    """What the person saw, or what a true alarm says by itself."""
    if one.rhythm is not None:
        seen = Rhythm(one.rhythm)
        return seen if seen in RHYTHM_AUX else None
    return CODE_RHYTHM.get(one.alarm.code) if one.judgement == "true" else None


def signal_files(name: str, strip: Strip) -> tuple[str, bytes]:
    """Header and signal file of a strip; a missing sample is the format's lowest value."""
    leads = len(strip.leads)
    counts = np.frombuffer(strip.counts, "<i4").reshape(strip.samples, leads)
    there = np.ones(strip.samples, bool)
    for first, count in strip.gaps:
        there[first : first + count] = False
    code, kind = next((f for f in FORMATS if _fits(counts[there], f[1])), FORMATS[-1])
    written = np.where(there[:, None], counts, np.iinfo(kind).min).astype(kind)
    lines = [f"{name} {leads} {strip.rate_hz:.6g} {strip.samples}"]
    for at, lead in enumerate(strip.leads):
        gain, baseline, unit = _scale(strip.microvolts_per_count[at], strip.offset_counts[at])
        first = int(written[0, at]) if strip.samples else 0
        checksum = int(written[:, at].sum(dtype=np.int64)) & 0xFFFF
        checksum -= (checksum & 0x8000) << 1
        lines.append(
            f"{name}.dat {code} {gain:.12g}({baseline})/{unit} {code} 0 {first} {checksum} 0 {lead}"
        )
    return "\n".join(lines) + "\n", written.tobytes()


def _fits(counts: NDArray[np.int32], kind: str) -> bool:
    limits = np.iinfo(kind)
    return not counts.size or bool(counts.min() > limits.min and counts.max() <= limits.max)


def _scale(microvolts_per_count: float, offset: float) -> tuple[float, int, str]:
    """Gain in counts per mV, and the count of 0 mV."""
    return 1000.0 / microvolts_per_count, round(offset), "mV"


def _table(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS)
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode()


def _replace(path: Path, data: bytes) -> None:
    unfinished = path.with_name(f"{path.name}.part")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    unfinished.replace(path)
