"""What else electrodes bring: amplifier noise, muscle, mains hum, wander, moving electrodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from drivers.generator.chance import Wander
from drivers.generator.waves import Wave, add_waves

AMPLIFIER_UV = 4.0
"""rms of a good amplifier with gel electrodes on resting skin, in the monitor's band."""
_BREATHS_HZ = 0.25


class Artefacts:
    """Everything of a place's noise but its size, so that sizes may change.

    Bands and shares after the recordings of the MIT-BIH Noise Stress Test Database.
    """

    def __init__(self, seeds: np.random.SeedSequence, rate_hz: float, leads: int) -> None:
        rngs = [np.random.default_rng(seed) for seed in seeds.spawn(5)]
        self._rate_hz = rate_hz
        self._leads = leads
        self._amplifier = _Coloured(rngs[0], rate_hz, (0.5, 80.0), leads)
        self._muscle = _Coloured(rngs[1], rate_hz, (12.0, 48.0), leads)
        self._effort = Wander(rngs[2], 0.0, 0.5, leads)
        self._drift = Wander(rngs[3], 0.0, 0.9, leads)
        self._motion = _Motion(rngs[4], leads)

    def __call__(
        self,
        first: int,
        times_s: NDArray[np.float64],
        *,
        wander_uv: float,
        muscle_uv: float,
        motion_uv: float,
        hum_uv: float,
        hum_hz: float,
    ) -> NDArray[np.float64]:
        """µV, shape (n, leads), at consecutive samples; sizes are rms, of hum the amplitude.

        Every stream of chance is drawn on whether it is heard or not: what is heard later must
        not depend on how long it was silent.
        """
        count = len(times_s)
        noise = AMPLIFIER_UV * self._amplifier(count)
        breath = 25.0 * np.sin(2 * np.pi * _BREATHS_HZ * times_s)
        noise += breath[:, None]
        effort = np.exp(0.25 * self._effort(times_s))
        noise += (2.0 + muscle_uv) * effort * self._muscle(count)
        # A tense muscle moves the skin too.
        noise += (wander_uv + 0.4 * muscle_uv) * self._drift(times_s)
        moved = self._motion(first, count, self._rate_hz)
        if motion_uv:
            noise += motion_uv * moved
        if hum_uv:
            noise += hum_uv * np.sin(2 * np.pi * hum_hz * times_s)[:, None]
        return noise


class _Coloured:
    """Band-limited noise of rms 1, the same in its band at any sampling rate."""

    def __init__(
        self, rng: np.random.Generator, rate_hz: float, band_hz: tuple[float, float], leads: int
    ) -> None:
        self._rng = rng
        self._leads = leads
        low, high = band_hz
        self._sos = butter(
            2, (low, min(high, 0.45 * rate_hz)), "bandpass", fs=rate_hz, output="sos"
        )
        impulse = np.zeros(int(4 * rate_hz))
        impulse[0] = 1.0
        response = sosfilt(self._sos, impulse)
        # A rate that cannot carry the whole band carries its share of the power.
        share = (min(high, 0.45 * rate_hz) - low) / (high - low)
        self._gain = float((share / np.sum(response**2)) ** 0.5)
        self._state = np.zeros((len(self._sos), 2, leads))

    def __call__(self, count: int) -> NDArray[np.float64]:
        white = self._rng.standard_normal((count, self._leads))
        coloured, self._state = sosfilt(self._sos, white, axis=0, zi=self._state)
        return self._gain * coloured


class _Motion:
    """An electrode that is pulled: jolts of 50 ms to 0.5 s, two or three a second."""

    def __init__(self, rng: np.random.Generator, leads: int) -> None:
        self._rng = rng
        self._leads = leads
        self._next_s = 0.0
        self._waves: list[Wave] = []

    def __call__(self, first: int, count: int, rate_hz: float) -> NDArray[np.float64]:
        end_s = (first + count) / rate_hz
        while self._next_s < end_s:
            self._next_s += float(self._rng.exponential(0.4))
            rise = float(self._rng.uniform(0.008, 0.07))
            fall = float(self._rng.uniform(0.02, 0.20))
            height = float(self._rng.normal(0, 1.6))
            heights = height * self._rng.uniform(0.3, 1.2, self._leads)
            # It shows from REACH widths before its top on, so it lies behind what is out.
            self._waves.append(Wave(self._next_s + 0.4, rise, fall, tuple(heights.tolist())))
        moved = np.zeros((count, self._leads))
        add_waves(self._waves, first, rate_hz, moved)
        self._waves = [wave for wave in self._waves if wave.last_sample(rate_hz) >= first + count]
        return moved
