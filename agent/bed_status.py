"""What is known of a bed right now, and how the contract says it.

A number is shown only while it is true: when the samples stop, the rate is None and the rhythm
not analysed, whatever they were a moment ago.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from agent.alarms.types import Alarm
from agent.bed_messages import alarm_info, device_alarm_infos, device_info, numeric, rhythm
from agent.presence import Presence
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Beat, BeatClass, Rhythm, RhythmChange
from agent.signal.types import Hop, Rate, SignalState
from agent.stamps import Stamp
from drivers.samples import DeviceAlarms, LeadState, NumericReading, StreamInfo
from sync.contract import BedState, Limits, Vitals

PVC_WINDOW_S = 60.0


@dataclass(slots=True)
class BedStatus:
    """One bed's present; the bed keeps it, the messages are made from it."""

    unit: str
    bed: str
    address: str
    presence: Presence
    limits: RhythmLimits
    patient: str | None = None
    info: StreamInfo | None = None
    leads: tuple[LeadState, ...] = ()
    rate: Rate | None = None
    rhythm: RhythmChange | None = None
    state: SignalState = SignalState.NO_DATA
    p_usable: float = 0.0
    lag_ms: float = 0.0
    device_rate_bpm: float | None = None
    """Of a device that computes the rate itself and sends no wave."""
    device_rr_ms: float | None = None
    """Its newest RR interval."""
    device_alarms: DeviceAlarms | None = None
    """Of a bedside monitor, as it told them last."""
    _numerics: dict[str, NumericReading] = field(default_factory=dict)
    _pvc_s: deque[float] = field(default_factory=deque)
    _last_beat_s: float | None = None
    _now_s: float = 0.0

    def hop(self, hop: Hop) -> None:
        """Take what a hop says of the signal."""
        self._now_s = hop.end_s
        self.state = hop.state
        if hop.verdict is not None:
            self.p_usable = hop.verdict.p_usable
        if hop.rate is not None:
            self.rate = hop.rate
        while self._pvc_s and self._pvc_s[0] < hop.end_s - PVC_WINDOW_S:
            self._pvc_s.popleft()

    def beat(self, beat: Beat) -> None:
        """Count a beat."""
        self._last_beat_s = beat.time_s
        if beat.kind is BeatClass.V:
            self._pvc_s.append(beat.time_s)

    def own_rate(self, rate_bpm: float | None, rr_ms: tuple[float, ...]) -> None:
        """Take what a device without a wave tells."""
        self.device_rate_bpm = rate_bpm
        self.device_rr_ms = rr_ms[-1] if rr_ms and rate_bpm is not None else None

    def numeric(self, reading: NumericReading) -> None:
        """Take what a bedside monitor measured."""
        self._numerics[reading.name] = reading

    def silent(self) -> None:
        """Samples stopped coming: nothing that was known is true of now."""
        self.state = SignalState.NO_DATA
        self.rate = self.rhythm = self.device_rate_bpm = self.device_rr_ms = None
        self.device_alarms = None
        self._numerics.clear()
        self.p_usable = 0.0

    @property
    def rhythm_now(self) -> Rhythm:
        """The rhythm in force."""
        return Rhythm.NOT_ANALYSED if self.rhythm is None else self.rhythm.rhythm

    @property
    def rate_bpm(self) -> float | None:
        """The rate to be shown, None for ``--``."""
        if self.device_rate_bpm is not None:
            return self.device_rate_bpm
        return None if self.rate is None else self.rate.bpm

    def vitals(self, stamp: Stamp) -> Vitals:
        """The message of this second."""
        known = self.rate_bpm is not None and self.device_rate_bpm is None
        age_s = self._now_s - self._last_beat_s if known and self._last_beat_s is not None else None
        return Vitals(
            **stamp,
            unit=self.unit,
            bed=self.bed,
            rate_bpm=self.rate_bpm,
            rr_ms=self.rate.rr_ms if self.rate is not None else self.device_rr_ms,
            pvc_per_min=len(self._pvc_s) if self.rate is not None else None,
            quality=self.state.value,
            p_usable=self.p_usable,
            rhythm=rhythm(self.rhythm_now),
            rhythm_confidence=self.rhythm.confidence if self.rhythm is not None else 0.0,
            rate_age_s=age_s,
            lag_ms=self.lag_ms,
            numerics=tuple(numeric(reading) for reading in self._numerics.values()),
        )

    def message(
        self, stamp: Stamp, alarms: tuple[Alarm, ...], paused_until_ns: int | None
    ) -> BedState:
        """The retained state of the bed."""
        return BedState(
            **stamp,
            unit=self.unit,
            bed=self.bed,
            patient=self.patient,
            device=device_info(self.info, self.address, self.presence, self.leads),
            rhythm=rhythm(self.rhythm_now),
            rate_bpm=self.rate_bpm,
            quality=self.state.value,
            alarms=tuple(alarm_info(alarm) for alarm in alarms),
            device_alarms=device_alarm_infos(self.device_alarms),
            audio_paused_until=paused_until_ns,
            limits=to_contract(self.limits),
        )


def to_contract(limits: RhythmLimits) -> Limits:
    """The limits as the contract says them."""
    return Limits(
        hr_high=round(limits.hr_high),
        hr_low=round(limits.hr_low),
        asystole_s=limits.asystole_s,
        pause_s=limits.pause_s,
        pvc_per_min=limits.pvc_per_min,
    )


def from_contract(limits: Limits) -> RhythmLimits:
    """The limits a command asks for; ValueError names the one out of range."""
    return RhythmLimits(
        hr_high=float(limits.hr_high),
        hr_low=float(limits.hr_low),
        asystole_s=limits.asystole_s,
        pause_s=limits.pause_s,
        pvc_per_min=limits.pvc_per_min,
    )
