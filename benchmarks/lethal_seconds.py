"""Seconds of a record by annotated and told rhythm: VF (flutter is one), VT, all else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agent.evaluate.reference import VF, Reference
from agent.rhythm.types import RhythmChange, RhythmEvent

KINDS = ("vf", "vt", "other")
Seconds = Counter[tuple[str, str]]
"""Seconds by annotated and told rhythm, each one of KINDS."""


def lethal_seconds(
    reference: Reference, events: Sequence[RhythmEvent], duration_s: float
) -> Seconds:
    """Each second's annotated rhythm against the one in force; annotated noise is left out."""
    changes = [event for event in events if isinstance(event, RhythmChange)]
    count: Seconds = Counter()
    for second in range(int(duration_s)):
        label = reference.label_at(second + 0.5)
        if label in ("", "NOISE"):
            continue
        true = "vf" if label in VF else "vt" if label == "VT" else "other"
        said = "other"
        for change in changes:
            if change.start_s <= second + 0.5:
                said = change.rhythm.value
        count[true, said if said in KINDS else "other"] += 1
    return count
