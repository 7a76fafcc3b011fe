"""The generator: rhythms one after the other on one axis, seen by leads, with artefacts."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from drivers.generator.artefacts import Artefacts
from drivers.generator.rhythms import RHYTHMS, GeneratedBeat, Rhythm
from drivers.generator.waves import LEAD_NAMES, Wave, add_waves, lead_matrix

_AHEAD_S = 0.6
"""No wave of a beat begins earlier than this before its R peak."""
_ONSET_S = 0.14
"""A QRS complex shows this long before its R peak at most: then it comes, whatever follows."""
_P_WAVE_S = 0.32
"""A P wave begins this long before its R peak at most."""
_RECOVERY_S = (0.36, 1.2)
"""Bounds of the time from the last beat of one rhythm to the first of the next."""
_PULSE_S = 0.002
_PULSE_LEAD_S = 0.030
_REMEMBERED = 20_000


class Play(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the generator shall play: a rhythm and what disturbs it."""

    rhythm: str = "sinus"
    """A key of RHYTHMS."""
    bpm: float | None = None
    """Beats per minute, the rhythm's own without it."""
    gain: float = 1.0
    """Factor on the heart's signal."""
    wander_uv: float = 12.0
    """Baseline wander, rms."""
    muscle_uv: float = 0.0
    """Muscle noise, rms."""
    motion_uv: float = 0.0
    """Jolts of moving electrodes, about their height."""
    hum_uv: float = 0.0
    """Mains hum, amplitude."""
    hum_hz: float = 50.0


@dataclass(frozen=True, slots=True)
class Episode:
    """From ``start_s`` on this is played, until the next episode."""

    start_s: float
    rhythm: str
    label: str


class EcgGenerator:
    """An endless ECG; the same seed and plays give the same samples however they are read.

    ``beats`` and ``episodes`` are the truth of what has been read so far (the newest 20,000),
    in seconds from the first sample; a beat may be told up to 0.6 s ahead.
    """

    def __init__(self, rate_hz: float, *, leads: int = 1, seed: int = 1) -> None:
        if rate_hz < 50:
            raise ValueError(f"an ECG needs 50 Hz at least, not {rate_hz:g}")
        self.rate_hz = rate_hz
        self.lead_names = LEAD_NAMES[:leads]
        self.beats: deque[GeneratedBeat] = deque(maxlen=_REMEMBERED)
        self.episodes: deque[Episode] = deque(maxlen=_REMEMBERED)
        self._matrix = lead_matrix(leads)
        self._seed = seed
        self._artefacts = Artefacts(np.random.SeedSequence((seed, 0)), rate_hz, leads)
        self._at = 0
        self._plays = 0
        self._waves: list[Wave] = []
        self._pulses: list[tuple[float, float]] = []
        self._ahead: list[GeneratedBeat] = []
        self._pulled_s = 0.0
        self._spent = False
        self._play = Play()
        self._rhythm: Rhythm
        self.play(self._play)

    @property
    def now_s(self) -> float:
        """Time of the next sample."""
        return self._at / self.rate_hz

    def play(self, play: Play) -> None:
        """Play this from the next sample on. Raises KeyError for an unknown rhythm."""
        now_s = self.now_s
        kind = RHYTHMS[play.rhythm]
        if self._at == 0:
            self.episodes.clear()
        same = self.episodes and (play.rhythm, play.bpm) == (self._play.rhythm, self._play.bpm)
        self._play = play
        if same:
            return
        self.episodes.append(Episode(now_s, play.rhythm, kind.label))
        self._call_off(now_s)
        self._plays += 1
        rng = np.random.default_rng((self._seed, self._plays))
        bpm = kind.bpm and (play.bpm or kind.bpm)
        last_s = self.beats[-1].time_s if self.beats else -2.0
        recovery_s = float(np.clip(0.8 * 60 / bpm if bpm else 0.0, *_RECOVERY_S))
        start_s = max(now_s + _P_WAVE_S, last_s + recovery_s)
        self._rhythm = kind.make(rng, start_s, bpm=bpm) if bpm else kind.make(rng, start_s)
        self._pulled_s = now_s
        self._spent = False

    def _call_off(self, now_s: float) -> None:
        """Take back the beats that have not begun; of a P wave that has, let it be blocked."""
        late = [beat for beat in self._ahead if beat.time_s - _ONSET_S >= now_s]
        dropped = {
            id(wave)
            for beat in late
            for wave in beat.waves
            if wave.first_sample(self.rate_hz) >= self._at
        }
        self._waves = [wave for wave in self._waves if id(wave) not in dropped]
        self._pulses = [pulse for pulse in self._pulses if pulse[0] < now_s]
        for _ in late:
            self.beats.pop()
        self._ahead = []

    def read(self, count: int) -> NDArray[np.float64]:
        """The next ``count`` samples, µV, shape (count, leads)."""
        if count <= 0:
            return np.empty((0, len(self.lead_names)))
        first, play = self._at, self._play
        times_s = np.arange(first, first + count) / self.rate_hz
        self._pull((first + count) / self.rate_hz + _AHEAD_S)
        heart = np.zeros((count, 3))
        add_waves(self._waves, first, self.rate_hz, heart)
        background = self._rhythm.background(times_s)
        if background is not None:
            heart += background
        # Not a matrix product: its rounding depends on how many samples there are.
        signal: NDArray[np.float64] = sum(
            heart[:, axis, None] * (play.gain * self._matrix[axis]) for axis in range(3)
        )
        self._add_pulses(first, signal)
        signal += self._artefacts(
            first,
            times_s,
            wander_uv=play.wander_uv,
            muscle_uv=play.muscle_uv,
            motion_uv=play.motion_uv,
            hum_uv=play.hum_uv,
            hum_hz=play.hum_hz,
        )
        self._at += count
        self._waves = [wave for wave in self._waves if wave.last_sample(self.rate_hz) >= self._at]
        self._pulses = [pulse for pulse in self._pulses if pulse[0] > self.now_s - 1]
        self._ahead = [beat for beat in self._ahead if beat.time_s > self.now_s]
        return signal

    def _pull(self, until_s: float) -> None:
        """Take beats from the rhythm until one lies behind ``until_s``."""
        while not self._spent and self._pulled_s < until_s:
            beat = self._rhythm.next_beat()
            if beat is None:
                self._spent = True
                return
            self._pulled_s = beat.time_s
            self._waves.extend(beat.waves)
            if beat.pulse_uv:
                self._pulses.append((beat.time_s - _PULSE_LEAD_S, beat.pulse_uv))
            self._ahead.append(beat)
            self.beats.append(replace(beat, waves=()))

    def _add_pulses(self, first: int, signal: NDArray[np.float64]) -> None:
        """A pacer's pulse as a converter sees it: each sample the mean over its own time."""
        for start_s, height_uv in self._pulses:
            begin, end = start_s * self.rate_hz, (start_s + _PULSE_S) * self.rate_hz
            for sample in range(int(np.floor(begin)), int(np.floor(end)) + 1):
                share = min(end, sample + 1) - max(begin, sample)
                if 0 <= sample - first < len(signal) and share > 0:
                    signal[sample - first] += height_uv * share
