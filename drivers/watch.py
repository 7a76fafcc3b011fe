"""A device's live figures in one line: rate, loss, lag, lead states, amplitude."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from drivers.samples import (
    BatteryReading,
    DeviceAlarms,
    Driver,
    DriverEvent,
    Gap,
    HeartRateReading,
    LeadState,
    LinkChange,
    NumericReading,
    SampleBlock,
    StreamInfo,
)

AMPLITUDE_S = 2.0
"""Long enough to hold a beat."""


class Watch:
    """Takes a driver's events and says how the device is doing."""

    def __init__(self) -> None:
        self.info: StreamInfo | None = None
        self.samples = 0
        self.lost = 0
        self.gaps = 0
        self._link: LinkChange | None = None
        self._blocks: deque[tuple[int, NDArray[np.float64]]] = deque()
        self._leads: tuple[LeadState, ...] = ()
        self._rate_bpm: int | None = None
        self._contact = LeadState.UNKNOWN
        self._battery: int | None = None
        self._numerics: dict[str, NumericReading] = {}
        self._alarms: tuple[str, ...] = ()
        self._last_ns = 0
        self._last_samples = 0
        self._last_frames = 0

    def emit(self, event: DriverEvent) -> None:
        """Take an event of the driver."""
        match event:
            case StreamInfo():
                self.info = event
                self._blocks.clear()
            case SampleBlock():
                self._contact = LeadState.UNKNOWN
                self.samples += len(event.counts)
                self._leads = event.leads
                self._keep(event)
            case Gap():
                self.gaps += 1
                self.lost += event.count
            case LinkChange():
                self._link = event
            case HeartRateReading():
                self._rate_bpm, self._contact = event.rate_bpm, event.contact
            case BatteryReading():
                self._battery = event.percent
            case NumericReading():
                self._numerics[event.name] = event
            case DeviceAlarms():
                self._alarms = tuple(alarm.text or str(alarm.code) for alarm in event.alarms)

    def _keep(self, block: SampleBlock) -> None:
        if self.info is None or not self.info.leads:
            return
        scale = np.array([lead.microvolts_per_count for lead in self.info.leads])
        self._blocks.append((block.end, block.counts * scale / 1000.0))
        oldest = block.end - round(AMPLITUDE_S * self.info.rate_hz)
        while self._blocks[0][0] < oldest:
            self._blocks.popleft()

    def line(self, driver: Driver, now_ns: int) -> str:
        """One line of what happened since the line before."""
        health = driver.health
        passed_s = (now_ns - self._last_ns) / 1e9 if self._last_ns else 0.0
        parts = [self._state()]
        if passed_s > 0:
            frames = (health.frames - self._last_frames) / passed_s
            rate = (self.samples - self._last_samples) / passed_s
            parts.append(f"{frames:.1f} frames/s")
            if self.info is not None and self.info.leads:
                parts.append(f"{rate:.1f} samples/s")
        parts += [
            f"lost {self.lost} in {self.gaps} gaps",
            f"damaged {health.damaged}",
            f"lag {health.lag_ms:.0f} ms",
            *self._signal(),
        ]
        self._last_ns = now_ns
        self._last_samples, self._last_frames = self.samples, health.frames
        return "  ".join(parts)

    def _state(self) -> str:
        if self._link is None:
            return "starting"
        reason = f": {self._link.reason}" if self._link.reason else ""
        return f"{self._link.state}{reason}"

    def _signal(self) -> list[str]:
        parts = []
        names = [lead.name for lead in self.info.leads] if self.info is not None else []
        if self._blocks:
            millivolts = np.concatenate([rows for _, rows in self._blocks])
            spans = np.ptp(millivolts, axis=0)
            states: list[LeadState | None] = list(self._leads) or [None] * len(names)
            for name, span, state in zip(names, spans, states, strict=False):
                parts.append(f"{name} {span:.2f} mV" + (f" {state}" if state else ""))
        if self._contact is not LeadState.UNKNOWN and not self._leads:
            parts.append(f"contact {self._contact}")
        if self._rate_bpm is not None:
            parts.append(f"{self._rate_bpm}/min")
        for numeric in self._numerics.values():
            shown = "-" if numeric.value is None else f"{numeric.value:g}"
            parts.append(f"{numeric.name} {shown} {numeric.unit}".rstrip())
        if self._battery is not None:
            parts.append(f"battery {self._battery} %")
        if self._alarms:
            parts.append("its alarms: " + ", ".join(self._alarms))
        return parts
