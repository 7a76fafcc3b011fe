"""Which lethal alarms an expert's annotations bear out, and what CinC 2015's alarms are to us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from agent.evaluate.reference import VF, Reference, ventricular_runs
from agent.evaluate.spans import Span, spans
from agent.rhythm.types import FindingKind, RhythmEvent

CHALLENGE: Mapping[str, FindingKind] = {
    "Asystole": FindingKind.ASYSTOLE,
    "Bradycardia": FindingKind.EXTREME_BRADYCARDIA,
    "Tachycardia": FindingKind.EXTREME_TACHYCARDIA,
    "Ventricular_Tachycardia": FindingKind.VT,
    "Ventricular_Flutter_Fib": FindingKind.VF,
}
"""The challenge's alarms; a finding of these kinds always raises its alarm."""
LETHAL = (FindingKind.ASYSTOLE, FindingKind.VF, FindingKind.VT)
STANDSTILL_S = 3.5
"""No annotated beat for so long: an asystole told there is not called false."""
SHORT_RUN = 3
"""So many annotated ventricular beats in a row: a VT told there is not called false."""


def false_lethal(
    reference: Reference, events: Sequence[RhythmEvent]
) -> list[tuple[FindingKind, float]]:
    """Kind and onset of each asystole, VF and VT told where nothing of the kind is annotated."""
    flutter = [*reference.labelled(*VF), *reference.fibrillation]
    runs = [run.span for run in ventricular_runs(reference) if run.beats >= SHORT_RUN]
    silent = [Span(a, b) for (a, _), (b, _) in pairwise(reference.beats) if b - a >= STANDSTILL_S]
    borne_out = {
        FindingKind.ASYSTOLE: [*silent, *flutter, *reference.labelled("ASYS")],
        FindingKind.VF: [*flutter, *runs, *reference.labelled("VT")],
        FindingKind.VT: [*runs, *flutter, *reference.labelled("VT", "IVR")],
    }
    return [
        (kind, span.start_s)
        for kind in LETHAL
        for span in spans(events, kind)
        if not any(span.meets(true) for true in borne_out[kind])
    ]
