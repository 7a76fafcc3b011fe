"""Waves of the heart's cycle as moving dipoles, their sum over time, and what each lead sees.

In the manner of McSharry et al. 2003 ("A dynamical model for generating synthetic
electrocardiogram signals", IEEE Trans Biomed Eng 50:289): P, Q, R, S and T are Gaussians along
the cycle, and the later ones move and widen with the square root of the RR interval. Instead of
integrating the model's equation its solution is summed wave by wave, so any rate costs the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REACH = 5.0
"""Widths to each side after which a wave is over (4e-6 of its height)."""

# Dower 1968: the leads out of Frank's X (left), Y (down) and Z (back).
_DOWER = {
    "II": (0.235, 1.066, -0.132),
    "V1": (-0.515, 0.157, -0.917),
    "V5": (1.125, 0.127, -0.086),
    "I": (0.632, -0.235, 0.059),
    "V2": (0.044, 0.164, -1.387),
    "V3": (0.882, 0.098, -1.277),
    "V4": (1.213, 0.127, -0.601),
    "V6": (0.831, 0.076, 0.230),
}
LEAD_NAMES = tuple(_DOWER)
"""In the order in which a monitor would choose them."""


def lead_matrix(leads: int) -> NDArray[np.float64]:
    """Shape (3, leads): dipole in Frank's X, Y, Z to the first ``leads`` of LEAD_NAMES."""
    if not 1 <= leads <= len(LEAD_NAMES):
        raise ValueError(f"leads must be 1 to {len(LEAD_NAMES)}, is {leads}")
    return np.array([_DOWER[name] for name in LEAD_NAMES[:leads]]).T


@dataclass(frozen=True, slots=True)
class Wave:
    """A Gaussian whose flanks may differ."""

    at_s: float
    before_s: float
    """Standard deviation of the rising flank."""
    after_s: float
    vector: tuple[float, ...]
    """Height, µV, per component (dipole X, Y, Z, or one per lead)."""

    def first_sample(self, rate_hz: float) -> int:
        """The first sample in which it shows."""
        return int(np.ceil((self.at_s - REACH * self.before_s) * rate_hz))

    def last_sample(self, rate_hz: float) -> int:
        """The last sample in which it shows."""
        return int(np.floor((self.at_s + REACH * self.after_s) * rate_hz))


def add_waves(waves: Sequence[Wave], first: int, rate_hz: float, into: NDArray[np.float64]) -> None:
    """Add waves to samples ``first`` … (at ``k / rate_hz`` seconds), shape (n, components).

    Each sample's value depends on nothing but its own number and the waves.
    """
    count = len(into)
    for wave in waves:
        low = max(0, wave.first_sample(rate_hz) - first)
        high = min(count, wave.last_sample(rate_hz) + 1 - first)
        if low >= high:
            continue
        distance = np.arange(first + low, first + high) / rate_hz - wave.at_s
        width = np.where(distance < 0, wave.before_s, wave.after_s)
        into[low:high] += np.exp(-0.5 * (distance / width) ** 2)[:, None] * wave.vector


@dataclass(frozen=True, slots=True)
class ShapeWave:
    """A wave of a beat's shape, in seconds from the R peak at an RR interval of 1 s."""

    at_s: float
    before_s: float
    after_s: float
    vector: tuple[float, float, float]
    """Dipole X, Y, Z in µV."""
    stretch: float = 0.0
    """Share of place and width that goes with the square root of the RR interval."""
    atrial: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """How a kind of beat looks."""

    waves: tuple[ShapeWave, ...]

    def at(
        self, time_s: float, rr_s: float, *, gain: float = 1.0, atrial: bool = True
    ) -> list[Wave]:
        """The beat's waves with its R peak at ``time_s``; without P waves unless ``atrial``."""
        root = min(1.3, max(0.28, rr_s)) ** 0.5
        made = []
        for wave in self.waves:
            if wave.atrial and not atrial:
                continue
            scale = 1 - wave.stretch + wave.stretch * root
            x, y, z = wave.vector
            made.append(
                Wave(
                    time_s + wave.at_s * scale,
                    wave.before_s * scale,
                    wave.after_s * scale,
                    (x * gain, y * gain, z * gain),
                )
            )
        return made


_P = ShapeWave(-0.165, 0.024, 0.022, (60, 115, -10), 0.6, atrial=True)
_QRS = (
    ShapeWave(-0.026, 0.008, 0.008, (-150, -60, -200)),
    ShapeWave(0.0, 0.0105, 0.0105, (1000, 880, 300)),
    ShapeWave(0.027, 0.010, 0.011, (-110, -150, 350)),
)
_T = ShapeWave(0.285, 0.062, 0.040, (300, 210, -110), 1.0)

NORMAL = Shape((_P, *_QRS, _T))
"""QRS 90 ms, PR 160 ms, QT 400 ms at 60/min."""

PREMATURE_ATRIAL = Shape(
    (ShapeWave(-0.135, 0.018, 0.018, (50, -70, -30), 0.35, atrial=True), *_QRS, _T)
)
"""From a low atrial focus: inverted P, short PR."""


def _ventricular(x: float, y: float, z: float, t: float) -> Shape:
    """A wide beat (150 ms) with a slurred onset and a T wave against its QRS."""

    def scaled(share: float) -> tuple[float, float, float]:
        return (x * share, y * share, z * share)

    return Shape(
        (
            ShapeWave(-0.036, 0.016, 0.016, scaled(0.36)),
            ShapeWave(0.0, 0.024, 0.028, scaled(1.0)),
            ShapeWave(0.062, 0.018, 0.022, scaled(-0.22)),
            ShapeWave(0.27, 0.085, 0.052, scaled(-t), 1.0),
        )
    )


PVC_LEFT = _ventricular(150, 1350, -750, 0.38)
"""From the left ventricle's outflow: up in II and V1."""
PVC_RIGHT = _ventricular(700, -1050, 600, 0.40)
"""From the right ventricle's apex: down in II and V1."""

TACHYCARDIA = Shape(
    (
        ShapeWave(-0.040, 0.014, 0.014, (25, 175, -65)),
        ShapeWave(0.0, 0.020, 0.020, (115, 870, -320)),
        ShapeWave(0.055, 0.018, 0.020, (-70, -520, 190)),
        ShapeWave(0.310, 0.080, 0.050, (-40, -305, 110), 1.0),
    )
)
"""Ventricular tachycardia: a wide R, a deep S, and a T wave that runs into the next beat."""

FLUTTER = Shape(
    (
        ShapeWave(0.0, 0.048, 0.048, (200, 900, -350)),
        ShapeWave(0.160, 0.052, 0.052, (-180, -800, 300), 1.0),
    )
)
"""Ventricular flutter: a sine without isoelectric line."""

PACED = Shape(
    (
        ShapeWave(0.0, 0.028, 0.032, (600, -1000, 500)),
        ShapeWave(0.065, 0.018, 0.022, (-120, 200, -90)),
        ShapeWave(0.29, 0.080, 0.055, (-230, 390, -190), 1.0),
    )
)
"""Captured from the right ventricle's apex."""

ATRIAL_ONLY = Shape((ShapeWave(0.0, 0.024, 0.022, (60, 115, -10), atrial=True),))
"""A P wave that is not conducted."""

TALL_T = Shape(
    (
        ShapeWave(0.0, 0.0185, 0.0185, (200, 894, 0)),
        ShapeWave(0.210, 0.036, 0.036, (240, 1073, 0)),
    )
)
"""QRS 1 mV and 100 ms, T 1.2 mV and 180 ms, QT 350 ms on lead II (IEC 60601-2-27's test)."""
