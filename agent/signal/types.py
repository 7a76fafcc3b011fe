"""What the signal chain gives to rhythm, alarms and the screen.

All times are *stream seconds*: sample index on the device's stream axis divided by its nominal
rate. The chain works at ``RATE_HZ`` on the same axis: its sample ``k`` stands at ``k / RATE_HZ``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 250
"""The chain's internal rate."""
HOP = 50
"""Samples in a hop: 200 ms, the step in which rhythm and alarms advance."""
HOP_S = HOP / RATE_HZ

Signal: TypeAlias = NDArray[np.float32]
"""Microvolts at RATE_HZ; NaN where there was no sample."""


class SignalState(StrEnum):
    """What the signal is good for, judged each second."""

    USABLE = "usable"
    NOISY = "noisy"
    FLAT = "flat"
    SATURATED = "saturated"
    LEAD_OFF = "lead_off"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True)
class Qrs:
    """One QRS complex, at its R peak."""

    time_s: float
    """R peak, stream seconds (R = the extremum of the complex on the lead in use)."""
    amplitude_uv: float
    """Signed height of the R peak over the isoelectric line."""
    lead: int
    """Index of the lead it was found on."""
    strength: float
    """Detector output over its threshold at this complex (1 = just found)."""


@dataclass(frozen=True, slots=True)
class SecondVerdict:
    """Stage 1 and the signal rules on one whole second ``[start_s, start_s + 1)``."""

    start_s: float
    state: SignalState
    p_usable: float
    """Stage 1's calibrated probability, or the rules' 0 or 1 where no network runs."""
    judged_by: str
    """``name version`` of the network, or ``rules``."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The heart rate a monitor shows (clinical.md: averaging rule), updated each second."""

    time_s: float
    bpm: float | None
    """None while the signal is unusable or too few RR intervals are known: shown as ``--``."""
    rr_ms: float | None
    """The last RR interval."""


@dataclass(frozen=True, slots=True)
class Hop:
    """200 ms of the bed's timeline after all signal work, in order and without a hole.

    Hop ``index`` covers chain samples ``[index * HOP, (index + 1) * HOP)``.
    """

    index: int
    signal: Signal
    """Shape (HOP,): the lead in use, microvolts, wander and mains removed (0.5-40 Hz)."""
    state: SignalState
    """The state in force at the hop's end (rules at once, stage 1 with its second)."""
    qrs: tuple[Qrs, ...]
    """Complexes confirmed in this hop; they lie a little (<= 400 ms) before its end."""
    settled_s: float
    """Every QRS before this time is out: no later hop brings one."""
    verdict: SecondVerdict | None = None
    """Present in the hop that brings a second's verdict."""
    rate: Rate | None = None
    """Present in the hop that ends a second."""
    pulses: tuple[float, ...] = ()
    """Pacing pulses found in this hop on any lead, stream seconds; no QRS is counted for them."""

    @property
    def start_s(self) -> float:
        """Stream time of the hop's first sample."""
        return self.index * HOP / RATE_HZ

    @property
    def end_s(self) -> float:
        """Stream time just after the hop's last sample."""
        return (self.index + 1) * HOP / RATE_HZ
