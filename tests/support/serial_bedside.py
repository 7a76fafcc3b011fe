"""The whole unit with an emulated serial device: unplugged, put back, and what the store holds."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from support.unit import Device, Unit, wait_for

from agent.store import Reader
from agent.store.wave_reader import WaveSegment
from drivers.samples import Gap

ALARM_WITHIN_NS = 2_000_000_000
SAMPLES_WITHIN_NS = 5_000_000_000
PULLED_S = 2.5
MATCH = 64
"""So many samples of an ECG with noise occur once in a minute."""


@dataclass(frozen=True)
class Bedside:
    """What a unit stored of a device that was pulled out and put back."""

    segment: WaveSegment
    sent: NDArray[np.int32]
    """Channel 1 of every sample that the device made, heard or not."""
    alarm_after_ns: int
    """From the pull to the technical alarm's onset."""
    samples_after_ns: int
    """From the return to the first sample stored after the gap."""

    @property
    def gap(self) -> Gap:
        """That of the pulled plug; a loaded machine may have lost a packet besides."""
        return max(self.segment.gaps, key=lambda gap: gap.count)

    def check_times(self) -> None:
        """Alarm within 2 s, samples again within 5 s."""
        assert 0 <= self.alarm_after_ns < ALARM_WITHIN_NS
        assert 0 <= self.samples_after_ns < SAMPLES_WITHIN_NS

    def check_samples(self) -> None:
        """Between the gaps, what is stored is what the device made, one for one."""
        edges = [edge for gap in self.segment.gaps for edge in (gap.first, gap.end)]
        bounds = [self.segment.first, *edges, self.segment.end]
        for first, end in zip(bounds[::2], bounds[1::2], strict=True):
            stored = self._stored(first, end)
            if len(stored) >= MATCH:
                at = self._place(stored)
                assert np.array_equal(stored, self.sent[at : at + len(stored)])

    def missing(self) -> int:
        """Samples that the device made while it was out and that the unit did not get."""
        before = self._stored(self.gap.first - MATCH, self.gap.first)
        after = self._stored(self.gap.end, self.gap.end + MATCH)
        return self._place(after) - self._place(before) - MATCH

    @property
    def before(self) -> NDArray[np.int32]:
        """Stored before the gap."""
        return self._stored(self.segment.first, self.gap.first)

    @property
    def after(self) -> NDArray[np.int32]:
        """Stored after the gap."""
        return self._stored(self.gap.end, self.segment.end)

    def _stored(self, first: int, end: int) -> NDArray[np.int32]:
        """Channel 1, by places on the stream axis."""
        return self.segment.counts[first - self.segment.first : end - self.segment.first, 0]

    def _place(self, stored: NDArray[np.int32]) -> int:
        """Where in all that was made it begins."""
        assert len(stored) >= MATCH
        windows = np.lib.stride_tricks.sliding_window_view(self.sent, MATCH)
        (at,) = np.flatnonzero((windows == stored[:MATCH]).all(axis=1))
        return int(at)


def unplug_and_replug(
    folder: Path, kind: str, *, options: str = "", emulator: tuple[str, ...] = ()
) -> Bedside:
    """Run unit and device until a heart rate, pull the plug, put it back, and read the store.

    ``options`` are lines for the bed's device, ``emulator`` further arguments of the emulator.
    """
    log = folder / "counts.bin"
    device = Device(folder, "--scenario", "sinus", "--log-counts", str(log), *emulator, kind=kind)
    unit = Unit(folder, driver=kind, more=options)
    try:
        process = unit.start()
        wait_for("a heart rate", lambda: unit.rows(
            "SELECT 1 FROM vitals WHERE rate_bpm IS NOT NULL"))  # fmt: skip
        pulled_ns = time.time_ns()
        device.send(signal.SIGUSR1)
        wait_for("the loss as an alarm", lambda: alarm_ns(unit, "start", pulled_ns))
        time.sleep(max(0.0, PULLED_S - (time.time_ns() - pulled_ns) / 1e9))
        back_ns = time.time_ns()
        device.send(signal.SIGUSR2)
        wait_for("the alarm's end", lambda: alarm_ns(unit, "end", back_ns))
        wait_for("the gap in the store", lambda: unit.rows(
            "SELECT 1 FROM gaps WHERE cause != 'lost_packets'"))  # fmt: skip
        time.sleep(1.0)
        assert process.stop() == 0, process.said()
    finally:
        if unit.process is not None:
            unit.process.stop()
        device.stop()
    (segment,) = Reader.open(unit.database).read_wave("1", 0, 2**62)
    gap = max(segment.gaps, key=lambda gap: gap.count)
    again_ns = segment.start_ns + round((gap.end - segment.first) / segment.true_rate_hz * 1e9)
    return Bedside(
        segment=segment,
        sent=np.fromfile(log, "<i4"),
        alarm_after_ns=alarm_ns(unit, "start", pulled_ns) - pulled_ns,
        samples_after_ns=again_ns - back_ns,
    )


def alarm_ns(unit: Unit, phase: str, since_ns: int) -> int:
    """When the device's loss first came to a phase since then, UTC; 0 while it has not."""
    ((at_ns,),) = unit.rows(
        "SELECT coalesce(min(at_ns), 0) FROM alarm_changes"
        " WHERE code IN ('device_lost', 'no_data') AND phase = ? AND at_ns >= ?", phase, since_ns,
    )  # fmt: skip
    return int(at_ns)
