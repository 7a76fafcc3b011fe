"""Beats, rhythms and findings: what the rhythm analysis says of the signal.

Times are stream seconds, as in ``agent.signal.types``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BeatClass(StrEnum):
    """AAMI EC57 classes."""

    N = "N"
    S = "S"
    V = "V"
    F = "F"
    Q = "Q"


class Rhythm(StrEnum):
    """The rhythm in force."""

    NORMAL = "normal"
    AF = "af"
    OTHER = "other"
    VT = "vt"
    VF = "vf"
    """Ventricular fibrillation or flutter."""
    ASYSTOLE = "asystole"
    NOT_ANALYSED = "not_analysed"


class FindingKind(StrEnum):
    """Everything the analysis can find; the alarm catalogue says which raise what."""

    ASYSTOLE = "asystole"
    VF = "vf"
    VT = "vt"
    EXTREME_TACHYCARDIA = "extreme_tachycardia"
    EXTREME_BRADYCARDIA = "extreme_bradycardia"
    HR_HIGH = "hr_high"
    HR_LOW = "hr_low"
    PAUSE = "pause"
    AF = "af"
    NSVT = "nsvt"
    VENTRICULAR_RHYTHM = "ventricular_rhythm"
    PVC_RUN = "pvc_run"
    COUPLET = "couplet"
    BIGEMINY = "bigeminy"
    TRIGEMINY = "trigeminy"
    R_ON_T = "r_on_t"
    PVC_RATE_HIGH = "pvc_rate_high"
    MULTIFORM_PVC = "multiform_pvc"
    SVT = "svt"
    IRREGULAR = "irregular"
    MISSED_BEAT = "missed_beat"


@dataclass(frozen=True, slots=True)
class Beat:
    """One classified beat."""

    time_s: float
    kind: BeatClass
    rr_s: float | None
    """RR interval to the beat before; None at a start or after a gap."""
    confidence: float
    judged_by: str
    """``name version`` of the network, or ``rules``."""
    amplitude_uv: float = 0.0


@dataclass(frozen=True, slots=True)
class RhythmChange:
    """From ``start_s`` on, this rhythm is in force."""

    start_s: float
    rhythm: Rhythm
    confidence: float
    judged_by: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition began, went on with a new value, or ended.

    The same ``(kind, onset_s)`` names the same condition from its begin to its end.
    """

    kind: FindingKind
    onset_s: float
    """When the condition began in the signal (for a run: its first beat)."""
    found_s: float
    """Stream time at which the analysis could know it."""
    ended_s: float | None = None
    """Set once, when it is over."""
    value: float | None = None
    """The measured figure behind it (beats/min, seconds, beats per minute of PVCs)."""
    limit: float | None = None
    confidence: float = 1.0
    judged_by: str = "rules"
    beats: tuple[float, ...] = ()
    """Times of the beats that made it."""


RhythmEvent = Beat | RhythmChange | Finding
