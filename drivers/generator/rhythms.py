"""Rhythms as streams of beats: when the next one comes, of what kind, and how it looks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from drivers.generator.fibrillation import AtrialFibrillation, VentricularFibrillation
from drivers.generator.waves import (
    ATRIAL_ONLY,
    FLUTTER,
    NORMAL,
    PACED,
    PREMATURE_ATRIAL,
    PVC_LEFT,
    PVC_RIGHT,
    TACHYCARDIA,
    TALL_T,
    Shape,
    Wave,
)

_RSA_HZ = 0.25
_LF_HZ = 0.1
_ONSET_S = 0.5
"""Fibrillation takes hold within about this time."""
_EARLY_S = 1.0
"""How long before its first beat a rhythm may be asked for its background."""


@dataclass(frozen=True, slots=True)
class GeneratedBeat:
    """One event of the heart, as the truth that tests compare with."""

    time_s: float
    kind: str
    """``N``, ``S``, ``V`` (AAMI EC57), ``Q`` paced; ``p`` a P wave alone, ``^`` a pulse alone."""
    waves: tuple[Wave, ...] = ()
    pulse_uv: float = 0.0
    """Height of a pacer's pulse of 2 ms, 30 ms before ``time_s``."""


class Rhythm(ABC):
    """Events in the order of time, and what there is besides beats."""

    def __init__(self, rng: np.random.Generator, start_s: float) -> None:
        self._rng = rng
        self._start_s = start_s

    @abstractmethod
    def next_beat(self) -> GeneratedBeat | None:
        """The next event; None where none will ever come."""

    def background(self, times_s: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Dipole in µV, shape (n, 3), at consecutive times; None where the heart is silent."""
        return None

    def _grown(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """0 to 1 over the onset, shape (n, 1)."""
        return np.clip((times_s - self._start_s) / _ONSET_S, 0.0, 1.0)[:, None]


class Sinus(Rhythm):
    """Sinus rhythm with its variability, and ectopic beats after a pattern or by chance.

    The RR interval goes with breathing (respiratory sinus arrhythmia, 0.25 Hz), with blood
    pressure (0.1 Hz) and with chance. A PVC doesn't reset the sinus node, so its pause is
    compensatory; an atrial premature beat does.

    ``pattern`` repeats: N conducted, V and W PVCs of two origins, S atrial premature beat,
    ``-`` a beat that fails. ``pvc_share`` makes single PVCs by chance.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        start_s: float,
        *,
        bpm: float,
        variability: float = 1.0,
        pattern: str = "N",
        pvc_share: float = 0.0,
        coupling: tuple[float, ...] = (0.56,),
        run_rr_s: float = 0.36,
        shape: Shape = NORMAL,
        p_waves: bool = True,
    ) -> None:
        super().__init__(rng, start_s)
        self._rr_s = 60.0 / bpm
        self._variability = variability
        self._pattern = cycle(pattern)
        self._pvc_share = pvc_share
        self._coupling = cycle(coupling)
        self._run_rr_s = run_rr_s
        self._shape = shape
        self._p_waves = p_waves
        self._angles = rng.uniform(0, 2 * np.pi, 2)
        self._fires_s = start_s
        self._last: GeneratedBeat | None = None

    def _interval_s(self) -> float:
        """From this firing of the sinus node to the next."""
        now = 2 * np.pi * self._fires_s
        swing = 0.035 * np.sin(_RSA_HZ * now + self._angles[0])
        swing += 0.022 * np.sin(_LF_HZ * now + self._angles[1])
        swing += 0.008 * self._rng.standard_normal()
        return float(self._rr_s * (1 + self._variability * swing))

    def next_beat(self) -> GeneratedBeat | None:
        """As Rhythm's."""
        while True:
            kind = next(self._pattern)
            by_chance = kind == "N" and self._rng.random() < self._pvc_share
            if by_chance and self._last is not None and self._last.kind == "N":
                kind = "V"
            if kind == "-":
                self._fires_s += self._interval_s()
                continue
            beat = self._beat(kind)
            self._last = beat
            return beat

    def _beat(self, kind: str) -> GeneratedBeat:
        last = self._last
        if last is None or kind == "N":
            return self._conducted()
        if kind == "S":
            time_s = last.time_s + 0.62 * self._rr_s
            self._fires_s = time_s + 1.04 * self._interval_s()
            waves = PREMATURE_ATRIAL.at(time_s, self._rr_s, atrial=self._p_waves)
            return GeneratedBeat(time_s, "S", tuple(waves))
        jitter = 1 + 0.02 * self._rng.standard_normal() * self._variability
        step_s = self._run_rr_s if last.kind == "V" else next(self._coupling) * self._rr_s
        time_s = last.time_s + step_s * float(jitter)
        # The firing after a conducted beat is lost in it: the pause is compensatory.
        if last.kind != "V":
            self._fires_s += self._interval_s()
        while self._fires_s < time_s + 0.4 * self._rr_s:
            self._fires_s += self._interval_s()
        shape = PVC_RIGHT if kind == "W" else PVC_LEFT
        return GeneratedBeat(time_s, "V", tuple(shape.at(time_s, min(1.0, self._rr_s))))

    def _conducted(self) -> GeneratedBeat:
        time_s = self._fires_s
        if self._last is not None and self._last.kind == "V":
            time_s = max(time_s, self._last.time_s + 0.4 * self._rr_s)
        self._fires_s = time_s + self._interval_s()
        breath = np.sin(2 * np.pi * _RSA_HZ * time_s + self._angles[0])
        gain = float(1 + self._variability * (0.03 * breath + 0.008 * self._rng.standard_normal()))
        waves = self._shape.at(time_s, self._rr_s, gain=gain, atrial=self._p_waves)
        return GeneratedBeat(time_s, "N", tuple(waves))


class RateSteps(Rhythm):
    """A regular rhythm whose rate jumps: ``(seconds, beats per minute)`` one after the other."""

    def __init__(
        self, rng: np.random.Generator, start_s: float, steps: tuple[tuple[float, float], ...]
    ) -> None:
        super().__init__(rng, start_s)
        self._steps = steps
        self._next_s = start_s

    def next_beat(self) -> GeneratedBeat | None:
        """As Rhythm's."""
        time_s = self._next_s
        since_s = (time_s - self._start_s) % sum(seconds for seconds, _ in self._steps)
        ends_s = np.cumsum([seconds for seconds, _ in self._steps])
        rr_s = 60.0 / self._steps[int(np.searchsorted(ends_s, since_s, side="right"))][1]
        self._next_s = time_s + rr_s
        return GeneratedBeat(time_s, "N", tuple(NORMAL.at(time_s, rr_s)))


class AtrialFibrillationRhythm(Rhythm):
    """No P waves, f waves, and RR intervals without a rule.

    RR intervals are a refractory time plus a gamma-distributed wait (coefficient of variation
    about 0.24, hardly any memory), as atrial impulses at random through an AV node give them.
    """

    def __init__(self, rng: np.random.Generator, start_s: float, *, bpm: float) -> None:
        super().__init__(rng, start_s)
        mean_s = 60.0 / bpm
        self._refractory_s = 0.52 * mean_s
        self._scale_s = 0.12 * mean_s
        self._next_s = start_s
        self._waves = AtrialFibrillation(rng.spawn(1)[0], start_s - _EARLY_S)

    def next_beat(self) -> GeneratedBeat | None:
        """As Rhythm's."""
        time_s = self._next_s
        rr_s = self._refractory_s + float(self._rng.gamma(4.0, self._scale_s))
        self._next_s = time_s + min(1.9, rr_s)
        gain = float(1 + 0.04 * self._rng.standard_normal())
        waves = NORMAL.at(time_s, 0.9 * rr_s, gain=gain, atrial=False)
        return GeneratedBeat(time_s, "N", tuple(waves))

    def background(self, times_s: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """f waves."""
        return self._waves(times_s) * self._grown(times_s)


class Ventricular(Rhythm):
    """Beats of one ventricular origin in a row: tachycardia, flutter, escape rhythm."""

    def __init__(
        self,
        rng: np.random.Generator,
        start_s: float,
        *,
        bpm: float,
        shape: Shape = TACHYCARDIA,
        unrest: float = 0.012,
        dissociated_p: bool = False,
    ) -> None:
        super().__init__(rng, start_s)
        self._rr_s = 60.0 / bpm
        self._shape = shape
        self._unrest = unrest
        self._next_s = start_s
        self._next_p_s = start_s + 0.3 if dissociated_p else np.inf

    def next_beat(self) -> GeneratedBeat | None:
        """As Rhythm's."""
        if self._next_p_s < self._next_s:
            time_s = self._next_p_s
            self._next_p_s = time_s + 0.78 + 0.03 * float(self._rng.standard_normal())
            return GeneratedBeat(time_s, "p", tuple(ATRIAL_ONLY.at(time_s, 1.0)))
        time_s = self._next_s
        self._next_s = time_s + self._rr_s * float(1 + self._unrest * self._rng.standard_normal())
        gain = float(1 + 3 * self._unrest * self._rng.standard_normal())
        return GeneratedBeat(time_s, "V", tuple(self._shape.at(time_s, self._rr_s, gain=gain)))


class Alternating(Rhythm):
    """Systoles of two opposite axes by turns (bidirectional), at a fixed rate."""

    def __init__(self, rng: np.random.Generator, start_s: float, *, bpm: float) -> None:
        super().__init__(rng, start_s)
        self._rr_s = 60.0 / bpm
        self._next_s = start_s
        self._shapes = cycle((PVC_LEFT, PVC_RIGHT))

    def next_beat(self) -> GeneratedBeat | None:
        """As Rhythm's."""
        time_s = self._next_s
        self._next_s += self._rr_s
        return GeneratedBeat(time_s, "V", tuple(next(self._shapes).at(time_s, self._rr_s)))


class Paced(Rhythm):
    """A ventricular pacer at a fixed rate, with or without capture."""

    def __init__(
        self,
        rng: np.random.Generator,
        start_s: float,
        *,
        bpm: float,
        capture: bool = True,
        pulse_uv: float = 3000.0,
    ) -> None:
        super().__init__(rng, start_s)
        self._rr_s = 60.0 / bpm
        self._capture = capture
        self._pulse_uv = pulse_uv
        self._next_s = start_s

    def next_beat(self) -> GeneratedBeat | None:
        """As Rhythm's."""
        time_s = self._next_s
        self._next_s += self._rr_s
        if not self._capture:
            return GeneratedBeat(time_s, "^", pulse_uv=self._pulse_uv)
        waves = PACED.at(time_s, self._rr_s)
        return GeneratedBeat(time_s, "Q", tuple(waves), pulse_uv=self._pulse_uv)


class Fibrillating(Rhythm):
    """Ventricular fibrillation: no beats at all."""

    def __init__(self, rng: np.random.Generator, start_s: float, *, rms_uv: float = 300.0) -> None:
        super().__init__(rng, start_s)
        self._waves = VentricularFibrillation(rng, start_s - _EARLY_S, rms_uv)

    def next_beat(self) -> GeneratedBeat | None:
        """None."""
        return None

    def background(self, times_s: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """The fibrillation."""
        return self._waves(times_s) * self._grown(times_s)


class Asystole(Rhythm):
    """Nothing, or P waves that are never conducted."""

    def __init__(
        self, rng: np.random.Generator, start_s: float, *, p_bpm: float | None = None
    ) -> None:
        super().__init__(rng, start_s)
        self._rr_s = None if p_bpm is None else 60.0 / p_bpm
        self._next_s = start_s

    def next_beat(self) -> GeneratedBeat | None:
        """A P wave, or None."""
        if self._rr_s is None:
            return None
        time_s = self._next_s
        self._next_s = time_s + self._rr_s * float(1 + 0.02 * self._rng.standard_normal())
        return GeneratedBeat(time_s, "p", tuple(ATRIAL_ONLY.at(time_s, 1.0)))


@dataclass(frozen=True, slots=True)
class Kind:
    """A rhythm that a scenario can name."""

    label: str
    """What is shown of it."""
    make: Callable[..., Rhythm]
    """``make(rng, start_s)``, and ``bpm=`` where the rhythm has a rate."""
    bpm: float | None = None
    """Its own beats per minute; None where it has no rate to choose."""


def _bigeminy(coupling: tuple[float, ...] = (0.56,)) -> Callable[..., Rhythm]:
    return partial(Sinus, variability=0.0, pattern="NV", coupling=coupling)


RHYTHMS: dict[str, Kind] = {
    "sinus": Kind("sinus rhythm", Sinus, 72),
    "bradycardia": Kind("bradycardia", partial(Sinus, variability=0.5), 32),
    "tachycardia": Kind("tachycardia", partial(Sinus, variability=0.3), 150),
    "extreme-tachycardia": Kind("extreme tachycardia", partial(Sinus, variability=0.3), 170),
    "svt": Kind("SVT", partial(Sinus, variability=0.1, p_waves=False), 185),
    "pvc": Kind("PVCs", partial(Sinus, pvc_share=0.22), 76),
    "multiform-pvc": Kind("multiform PVCs", partial(Sinus, pattern="NNNVNNNNWNN"), 76),
    "bigeminy": Kind("bigeminy", partial(Sinus, pattern="NV"), 80),
    "trigeminy": Kind("trigeminy", partial(Sinus, pattern="NNV"), 80),
    "couplets": Kind("couplets", partial(Sinus, pattern="NNNNNVV"), 76),
    "nsvt": Kind("non-sustained VT", partial(Sinus, pattern="NNNNNNNNNNVVVV"), 76),
    "r-on-t": Kind("R-on-T PVCs", partial(Sinus, pattern="NNNNNV", coupling=(0.36,)), 70),
    "pac": Kind("atrial premature beats", partial(Sinus, pattern="NNNNS"), 72),
    "pause": Kind("sinus pauses", partial(Sinus, variability=0.5, pattern="NNNNNNNN--"), 70),
    "missed-beat": Kind("missed beats", partial(Sinus, variability=0.5, pattern="NNNNNNN-"), 75),
    "af": Kind("AF", AtrialFibrillationRhythm, 96),
    "vt": Kind("VT", partial(Ventricular, dissociated_p=True), 190),
    "vfl": Kind("ventricular flutter", partial(Ventricular, shape=FLUTTER, unrest=0.02), 270),
    "ventricular-rhythm": Kind(
        "ventricular escape rhythm", partial(Ventricular, shape=PVC_RIGHT), 42
    ),
    "vf": Kind("VF", Fibrillating),
    "fine-vf": Kind("fine VF", partial(Fibrillating, rms_uv=110.0)),
    "asystole": Kind("asystole", Asystole),
    "p-waves-only": Kind("asystole", partial(Asystole, p_bpm=70)),
    "paced": Kind("paced rhythm", Paced, 72),
    "pacer-no-capture": Kind("asystole", partial(Paced, capture=False), 72),
    "steady": Kind("sinus rhythm", partial(Sinus, variability=0.0), 60),
    "tall-t": Kind(
        "sinus rhythm", partial(Sinus, variability=0.0, shape=TALL_T, p_waves=False), 80
    ),
    "bigeminy-80": Kind("bigeminy", _bigeminy(), 80),
    "bigeminy-slow-alternating": Kind("bigeminy", _bigeminy((0.44, 0.72)), 60),
    "bigeminy-rapid-alternating": Kind("bigeminy", _bigeminy((0.66, 0.80)), 120),
    "bidirectional": Kind("bidirectional systoles", Alternating, 90),
    "vt-206": Kind("VT", partial(Ventricular, unrest=0.0), 206),
    "vt-195": Kind("VT", partial(Ventricular, unrest=0.0), 195),
    "step-80-120": Kind("sinus rhythm", partial(RateSteps, steps=((30.0, 80.0), (30.0, 120.0)))),
    "step-80-40": Kind("sinus rhythm", partial(RateSteps, steps=((30.0, 80.0), (30.0, 40.0)))),
}
"""Every rhythm by its name in a scenario."""
