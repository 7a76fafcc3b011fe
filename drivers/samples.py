"""What every device driver gives: timed samples, gaps, link and lead states.

A driver lays its samples on one *stream axis*: sample ``k`` stands at ``k / rate_hz`` seconds
of stream time, and a lost sample keeps its place on the axis. So a gap is never filled in, and
one sample always keeps one time step. How the stream axis maps to the host's clock is told
block by block (``host_ns``), because a device's true rate is never quite its nominal one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Counts: TypeAlias = NDArray[np.int32]
"""Samples as the device's own integers, shape (samples, leads)."""


@dataclass(frozen=True, slots=True)
class Lead:
    """One ECG lead and its scale: µV = (count - offset_counts) * microvolts_per_count."""

    name: str
    microvolts_per_count: float
    offset_counts: float = 0.0
    full_scale_counts: tuple[int, int] | None = None
    """(lowest, highest) count the converter can give; a count at or beyond either is railed."""
    calibrated: bool = True
    """False where the scale is a guess (a shield with a gain trimmer)."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a stream is, known before its first sample; a new one begins at each agent start."""

    device: str
    """Maker and model as people say it: ``OpenBCI Cyton``, ``Polar H10``."""
    address: str
    """Where it is attached: ``/dev/serial/by-id/…``, a Bluetooth address, a file."""
    rate_hz: float
    """Nominal sampling rate; it defines the stream axis."""
    leads: tuple[Lead, ...]
    """Empty for a device that gives rate and RR only (Heart Rate Service)."""
    serial_number: str = ""
    firmware: str = ""


class GapCause(StrEnum):
    """Why samples are missing."""

    LOST_PACKETS = "lost_packets"
    LINK_LOST = "link_lost"
    DEVICE_RESTART = "device_restart"
    NOT_SAMPLED = "not_sampled"
    """The device or file says "no sample here" (WFDB's invalid value, AD8232's ``!``)."""
    ANALYSIS_LATE = "analysis_late"
    """Stored, but not analysed: the unit was overloaded and shed it."""
    NOT_STORED = "not_stored"
    """Analysed, but not kept: the disk was full or too slow, or a crash came first."""


class LeadState(StrEnum):
    """What the device itself says of its electrodes (the chain judges the signal besides)."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class LinkState(StrEnum):
    """The link to a device, as the nurse is told it; walks only between these."""

    SEARCHING = "searching"
    CONNECTING = "connecting"
    WAITING_FOR_DATA = "waiting_for_data"
    STREAMING = "streaming"
    LOST = "lost"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """Consecutive samples, none missing; ``counts[i]`` is sample ``first + i`` of the axis."""

    first: int
    counts: Counts
    host_ns: int
    """Host monotonic time of sample ``first`` (jitter removed by the clock model), ns."""
    true_rate_hz: float
    """The clock model's present estimate of the device's true rate."""
    leads: tuple[LeadState, ...] = ()
    """One per lead as the device tells it, empty when it tells nothing; constant over the block."""

    @property
    def end(self) -> int:
        """Index of the sample after the last one."""
        return self.first + len(self.counts)


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples ``first`` to ``first + count - 1`` of the stream axis are missing."""

    first: int
    count: int
    cause: GapCause
    host_ns: int
    """Host monotonic time at which the first missing sample was due, ns."""
    exact: bool = True
    """True where a counter gave the count, False where it was bounded by time."""

    @property
    def end(self) -> int:
        """Index of the first sample after the gap."""
        return self.first + self.count


@dataclass(frozen=True, slots=True)
class LinkChange:
    """The link walked to another state."""

    state: LinkState
    host_ns: int
    reason: str = ""
    """One line for a person: what happened, where, what to do."""


@dataclass(frozen=True, slots=True)
class HeartRateReading:
    """A rate and RR intervals that the device itself computed (Heart Rate Service)."""

    host_ns: int
    rate_bpm: int | None
    """None where the device says 0: no value yet."""
    rr_ms: tuple[float, ...] = ()
    contact: LeadState = LeadState.UNKNOWN


@dataclass(frozen=True, slots=True)
class BatteryReading:
    """The device's battery."""

    host_ns: int
    percent: int


@dataclass(frozen=True, slots=True)
class NumericReading:
    """A value that a bedside monitor measured and shows (SpO2, blood pressure, its own rate)."""

    host_ns: int
    name: str
    """``HR``, ``SpO2``, ``NBP systolic``: the same whatever language the monitor speaks."""
    value: float | None
    """None where the monitor has none to show."""
    unit: str = ""
    code: int = 0
    """The device's own number for what is measured."""
    label: str = ""
    """As on the monitor's screen, in its language."""
    usable: bool = True
    """False where the monitor itself calls the value questionable."""
    demo: bool = False
    """The monitor is in its demonstration mode: this is no patient's."""


@dataclass(frozen=True, slots=True)
class DeviceAlarm:
    """An alarm that a bedside monitor raised itself; never merged with those computed here."""

    code: int
    source: int
    technical: bool
    priority: str
    """``low``, ``medium`` or ``high``."""
    text: str
    """In the monitor's language; code and source are what identifies it."""
    silenced: bool = False
    latched: bool = False
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class DeviceAlarms:
    """All alarms that the monitor has just now; sent when they changed."""

    host_ns: int
    alarms: tuple[DeviceAlarm, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkHealth:
    """Counters since the driver started, for ``wardbeat devices watch`` and the unit message."""

    bytes_read: int = 0
    frames: int = 0
    damaged: int = 0
    """Frames or bytes thrown away while getting back in step."""
    lost_samples: int = 0
    reconnects: int = 0
    lag_ms: float = 0.0
    """How old the newest sample was when it arrived."""


DriverEvent: TypeAlias = (
    StreamInfo
    | SampleBlock
    | Gap
    | LinkChange
    | HeartRateReading
    | BatteryReading
    | NumericReading
    | DeviceAlarms
)
"""A stream begins with its StreamInfo; blocks and gaps then follow each other without a hole."""

Emit: TypeAlias = Callable[[DriverEvent], None]
"""Takes an event without blocking; called on the event loop's thread only."""


class Driver(Protocol):
    """One device. It owns its port, finds it again after a loss and never gives up by itself."""

    health: LinkHealth

    async def run(self, emit: Emit) -> None:
        """Connect, stream and reconnect until cancelled; on cancel leave the device stopped."""


class DriverError(Exception):
    """A fault a person must mend: names what happened, where, and what to do.

    ``str()`` is the one line shown at the bed and in the log. ``transient`` tells whether trying
    again can help.
    """

    def __init__(self, what: str, where: str, remedy: str, transient: bool = True) -> None:
        super().__init__(f"{where}: {what}; {remedy}")
        self.what = what
        self.where = where
        self.remedy = remedy
        self.transient = transient
