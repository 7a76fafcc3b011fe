"""A ventricular tachycardia whose row of beats is broken: one misnamed, or one not detected.

Five V in a row is what the definition asks for, but a fast polymorphic run seldom reaches the
analysis so whole. Here the last beats are taken as a row of places: a beat of another name fills
one if it comes as early as its neighbours, and an interval of twice the run's own between two
ventricular beats holds one more. Bounds were chosen on the local recordings of CinC 2015.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.rhythm.beats import NamedBeat
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import BeatClass

EARLY = 0.8
"""A beat of another name belongs to the row only under this share of the patient's slow mean RR:
after a couplet the next sinus beat comes late."""
DOUBLE = (1.6, 2.4)
"""An interval so many times the run's own has one beat in it that the detector passed over."""
LIKELY = 0.6
"""Mean probability of V over the row's beats."""
SURE = 0.5
FEWEST = 3
"""Of the row's beats so many are named V or F."""

_VENTRICULAR = (BeatClass.V, BeatClass.F)


def broken_row(recent: Sequence[NamedBeat], limits: RhythmLimits) -> tuple[float, ...]:
    """Times of the beats that make a row of ``limits.vt_beats`` places up to the newest beat.

    ``recent`` holds reliable beats without a gap between them, newest last. Empty where there is
    no such row, or where it is slower than ``limits.vt_bpm``.
    """
    longest_s = 60.0 / limits.vt_bpm
    quick = sorted(
        named.beat.rr_s
        for named in recent
        if named.beat.rr_s is not None
        and named.beat.rr_s <= longest_s
        and named.ventricular >= SURE
    )
    usual_s = quick[len(quick) // 2] if quick else None
    row = [recent[-1]]
    places = 1
    for before in reversed(recent[:-1]):
        if places >= limits.vt_beats:
            break
        # One beat passed over, not two: every other interval doubled is a rhythm of its own.
        once = usual_s if places == len(row) else None
        step = _places(row[-1], before, longest_s, once)
        if not step:
            return ()
        places += step
        row.append(before)
    span_s = row[0].beat.time_s - row[-1].beat.time_s
    ventricular = sum(named.beat.kind in _VENTRICULAR for named in row)
    if (
        places < limits.vt_beats
        or row[-1].beat.kind not in _VENTRICULAR
        or span_s * limits.vt_bpm > 60.0 * (places - 1)
        or ventricular < FEWEST
        or sum(named.ventricular for named in row) < LIKELY * len(row)
    ):
        return ()
    return tuple(named.beat.time_s for named in reversed(row))


def _places(named: NamedBeat, before: NamedBeat, longest_s: float, usual_s: float | None) -> int:
    """How many places further back ``before`` stands; 0 where the row ends between them."""
    rr_s = named.beat.rr_s
    if rr_s is None:
        return 0
    own = named.beat.kind in _VENTRICULAR
    if rr_s <= longest_s and (own or rr_s <= EARLY * named.timing.slow_rr_s):
        return 1
    both = named.ventricular >= SURE and before.ventricular >= SURE
    if both and usual_s is not None and DOUBLE[0] <= rr_s / usual_s <= DOUBLE[1]:
        return 2
    return 0
