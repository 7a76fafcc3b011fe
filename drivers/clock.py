"""Device time to host time: one stream's true rate, its drift, and stamps without jitter.

Packets reach the host late by a delay that is never negative and often nearly zero: the least
delayed ones lie on a straight line, device time against host time. The line through that lower
envelope is the clock. Its slope is found as Moon, Skelly and Towsley do for one-way network
delays ("Estimation and removal of clock skew from network delay measurements", INFOCOM 1999):
of all lines below every point, the one with the least sum of distances, which is the edge of the
lower convex hull that spans the mean device time. A late packet, or a thousand, cannot bend it.

Everything here is a value computed from arguments. Host times are those of a monotonic clock, so
a step of the wall clock has nothing to act on.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import islice
from typing import NamedTuple

SLEW_NS = 500_000
"""The most a stamp may be moved by one observation: small beside a sample at 250 Hz."""

BIN_NS = 1_000_000_000
"""One point, the least delayed, is kept per second: bursts of any packet size weigh alike."""

WINDOW_BINS = 120
"""Two minutes: long beside 16 ms of USB jitter (0.1 ms a minute is 2 ppm), short beside the
minutes in which a crystal warms."""

SETTLED_BINS, REFIT_BINS = 30, 5
"""The slope is found anew each second at first, later every five: it hardly changes any more."""

OFFSET_BINS = 32
"""The offset follows the least delayed packet of the last half minute or so."""

FIT_BINS = 4
"""A line touches two points anyway: two more tell how far it may be trusted."""

RATE_SD = 5e-3
"""How far off its nominal rate a device without a crystal is expected to run, as a fraction."""

DEVICE_CLOCK_SD = 1e-4
"""The same for a device's own clock, which a crystal drives (Polar H10: 60 ppm seen)."""

RATE_LIMIT = 0.03
"""A nominal rate further off than this is not drift but a wrong setting: it is not followed."""

DEVICE_CLOCK_LIMIT = 1e-3
"""A crystal is never further off: beyond this it is the link that delivers later and later."""

KEPT_RATE_SD = 2e-5
"""How far a rate learnt before a loss may have drifted when the device is back."""

NOISE_FLOOR_NS = 50_000.0
"""No host stamps an arrival better than this, so no fit is believed beyond it."""


class _Point(NamedTuple):
    device_ns: float
    host_ns: float


def _lower_hull_edge(points: list[_Point]) -> tuple[_Point, _Point]:
    """Edge of the lower convex hull that spans the mean device time; needs two points."""
    hull: list[_Point] = []
    for point in points:
        while len(hull) >= 2:
            a, b = hull[-2], hull[-1]
            turn = (b.device_ns - a.device_ns) * (point.host_ns - a.host_ns) - (
                b.host_ns - a.host_ns
            ) * (point.device_ns - a.device_ns)
            if turn > 0:
                break
            hull.pop()
        hull.append(point)
    mean = sum(point.device_ns for point in points) / len(points)
    for left, right in zip(hull, islice(hull, 1, None), strict=False):
        if right.device_ns >= mean:
            return left, right
    return hull[-2], hull[-1]


class _Envelope:
    """The line under the points (device time, arrival): host = offset + slope * device."""

    def __init__(self, slope: float, slope_sd: float, limit: float) -> None:
        self.slope = slope
        self.slope_sd = slope_sd
        self.offset = math.inf
        self._prior = slope
        self._prior_sd = slope_sd
        self._limit = limit
        self._closed: deque[_Point] = deque(maxlen=WINDOW_BINS)
        self._closed_offset = math.inf
        self._bins_closed = 0
        self._bin: int | None = None
        self._least: _Point | None = None

    def add(self, device_ns: float, host_ns: float) -> None:
        """Take one arrival; device times may repeat but do not go back."""
        point = _Point(device_ns, host_ns)
        bin_number = int(device_ns // BIN_NS)
        if self._least is None or bin_number != self._bin:
            if self._least is not None:
                self._closed.append(self._least)
                self._refit()
            self._bin, self._least = bin_number, point
        elif self._residual(point) < self._residual(self._least):
            self._least = point
        self.offset = min(self._closed_offset, self._residual(self._least))

    def _residual(self, point: _Point) -> float:
        return point.host_ns - self.slope * point.device_ns

    def _refit(self) -> None:
        self._bins_closed += 1
        settled = self._bins_closed > SETTLED_BINS
        if len(self._closed) >= FIT_BINS and not (settled and self._bins_closed % REFIT_BINS):
            self._fit_slope(list(self._closed))
        recent = islice(reversed(self._closed), OFFSET_BINS)
        self._closed_offset = min(self._residual(point) for point in recent)

    def _fit_slope(self, points: list[_Point]) -> None:
        span = points[-1].device_ns - points[0].device_ns
        left, right = _lower_hull_edge(points)
        slope = (right.host_ns - left.host_ns) / (right.device_ns - left.device_ns)
        offset = left.host_ns - slope * left.device_ns
        above = sum(point.host_ns - slope * point.device_ns - offset for point in points)
        noise = above / (len(points) - 2) + NOISE_FLOOR_NS
        # Of few points the noise itself is hardly known: four may lie in line by chance.
        doubt = 1.0 + 8.0 / (len(points) - 2)
        fit_sd = 2.0 * doubt * noise / (span * math.sqrt(len(points)))
        weight = self._prior_sd**2 / (self._prior_sd**2 + fit_sd**2)
        believed = self._prior + weight * (slope - self._prior)
        self.slope = min(max(believed, 1.0 - self._limit), 1.0 + self._limit)
        self.slope_sd = math.sqrt(weight) * fit_sd


class StreamClock:
    """Maps the stream axis of one device to the host's monotonic clock.

    Feed it one :meth:`observe` per packet (or per read of a port), then ask :meth:`host_ns` for
    the stamp of any sample near it. Stamps are continuous: one observation moves the mapping by
    at most 0.5 ms, and by at most half the stream time that has passed, so they never go back.

    ``rate_hz`` is the nominal rate. With ``device_clock`` each observation brings the device's
    own time too, and the true rate follows from that clock and its drift against the host's;
    without it the rate is learnt from arrivals alone.
    """

    def __init__(self, rate_hz: float, *, device_clock: bool = False) -> None:
        self._nominal_period = 1e9 / rate_hz
        self._device_clock = device_clock
        self._limit = DEVICE_CLOCK_LIMIT if device_clock else RATE_LIMIT
        slope_sd = DEVICE_CLOCK_SD if device_clock else RATE_SD
        self._envelope = _Envelope(1.0, slope_sd, self._limit)
        self._device_period = self._nominal_period
        self._device_marks: deque[tuple[int, float]] = deque(maxlen=WINDOW_BINS)
        self._host_origin: int | None = None
        self._device_origin = 0
        self._fit_last = 0
        self._fit_device = 0.0
        self._pivot_index = 0
        self._pivot_host = 0.0
        self._late_ns = 0.0
        self._least_delay = math.inf

    @property
    def started(self) -> bool:
        """False until the first observation: nothing can be stamped before it."""
        return self._host_origin is not None

    @property
    def rate_hz(self) -> float:
        """Present estimate of the device's true rate by the host's clock, samples per second."""
        return 1e9 / self._period

    @property
    def lag_ms(self) -> float:
        """How much later than the least delayed ones the last packet came, ms.

        A delay that grows slowly shows too, as soon as no clock could drift so far.
        """
        return max(0.0, self._late_ns) / 1e6

    @property
    def _period(self) -> float:
        return self._device_period * self._envelope.slope

    def observe(self, end: int, host_ns: int, device_ns: int | None = None) -> None:
        """Take the arrival, at ``host_ns``, of the packet whose last sample is ``end - 1``.

        ``device_ns`` is the device's own time of that last sample; it is needed with
        ``device_clock`` and must not go back until :meth:`forget` (see ``drivers.continuity``).
        """
        last = end - 1
        if self._host_origin is None:
            self._host_origin = host_ns
            self._pivot_index = last
        if math.isinf(self._envelope.offset):
            self._device_origin = device_ns if device_ns is not None else 0
        arrival = float(host_ns - self._host_origin)
        device = self._device_time(last, device_ns)
        self._envelope.add(device, arrival)
        self._fit_last, self._fit_device = last, device
        target = self._envelope.offset + self._envelope.slope * device
        delay = arrival - device
        self._least_delay = min(self._least_delay, delay)
        grown = delay - self._least_delay - self._limit * abs(device)
        self._late_ns = max(arrival - target, grown)
        self._slew(last, target)

    def host_ns(self, index: int) -> int:
        """Host monotonic time of sample ``index``, jitter removed, ns."""
        if self._host_origin is None:
            raise ValueError("no packet observed yet, so no sample has a time")
        ahead = (index - self._pivot_index) * self._period
        return self._host_origin + round(self._pivot_host + ahead)

    def index_at(self, host_ns: int) -> int:
        """Index of the sample that was due last at ``host_ns``; extrapolates over a silence.

        It reads the fit itself, not the slewed stamps, so a bound drawn from it is as good as
        the fit is.
        """
        if self._host_origin is None:
            raise ValueError("no packet observed yet, so no sample has a time")
        if math.isinf(self._envelope.offset):
            index, at = self._pivot_index, self._pivot_host
        else:
            index = self._fit_last
            at = self._envelope.offset + self._envelope.slope * self._fit_device
        return index + round((host_ns - self._host_origin - at) / self._period)

    def forget(self) -> None:
        """Drop the observations but keep rate and mapping: the device restarted or came back.

        Arrivals before and after do not lie on one line then; the next observation begins a new
        one, and the stamps slew over to it.
        """
        if not math.isinf(self._envelope.offset):
            slope_sd = max(self._envelope.slope_sd, KEPT_RATE_SD)
            self._envelope = _Envelope(self._envelope.slope, slope_sd, self._limit)
        self._device_marks.clear()
        self._least_delay = math.inf

    def _device_time(self, last: int, device_ns: int | None) -> float:
        if not self._device_clock:
            return last * self._nominal_period
        if device_ns is None:
            raise ValueError("a stream with a device clock needs device_ns in each observation")
        device = float(device_ns - self._device_origin)
        marks = self._device_marks
        if not marks or device - marks[-1][1] >= BIN_NS / 2:
            marks.append((last, device))
        samples = last - marks[0][0]
        if samples > 0:
            period = (device - marks[0][1]) / samples
            if abs(period / self._nominal_period - 1.0) <= RATE_LIMIT:
                self._device_period = period
        return device

    def _slew(self, last: int, target: float) -> None:
        passed = (last - self._pivot_index) * self._period
        present = self._pivot_host + passed
        most = max(0.0, min(float(SLEW_NS), passed / 2))
        step = min(max(target - present, -most), most)
        self._pivot_index = last
        self._pivot_host = present + step
