"""Any device that writes numbers as text, one line per sample: AD8232 sketches, CSV, plotters."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from drivers.axis import StreamAxis, runs
from drivers.decoders.text_lines import TextLineDecoder, TextSamples
from drivers.line_pace import BITS_PER_BYTE, LinePace, line_is_full
from drivers.samples import DriverError, Emit, HeartRateReading, Lead, LeadState, StreamInfo
from drivers.serial_driver import SerialDevice, Taken
from drivers.serial_link import SerialPort
from drivers.uncounted import (
    HIGHEST_RATE_HZ,
    LOWEST_RATE_HZ,
    RATE_CHECK_S,
    RateCheck,
    UncountedStream,
    check_analysable,
)

BAUD = 9600
"""Of SparkFun's AD8232 sketch."""

MICROVOLTS_PER_UNIT = 3.3e6 / 1024 / 1100
"""AD8232 board, gain 1100, on a 10-bit converter of 3.3 V: 2.93 µV; 4.44 µV on a 5 V Uno."""
MIDDLE = 512.0
"""Where 1.65 V lies there; 338 on a 5 V Uno."""

BOOT_S = 2.0
"""An Arduino that opening resets is silent or writes boot text for so long."""
OFF_S = TELL_OFF_S = 1.0
"""A lead that is off for so long is told of, and again each so often."""
OFF = "an electrode is off; put it back"
MEASURE_S = 5.0
MEASURED_CHECK_S = 30.0
"""A loop without a timer is slower for seconds at a time; half a minute evens that out."""
SNAP = 0.015
USUAL_RATES_HZ: Final = (100, 125, 128, 200, 250, 256, 360, 400, 500, 512, 1000)
"""A measured rate this near one of these is that one."""


class TextLines(SerialDevice[UncountedStream]):
    """Driver of a device that writes lines of numbers.

    ``leads`` names the leads and ``columns`` their columns, from 1. ``rate_hz`` is measured over
    5 s where it is not given, and anew when it moved away; a sketch that fills its serial line is
    timed by its bytes. µV = (value - ``offset``) *
    ``microvolts_per_unit``, a guess where the latter is not given; ``decimals`` digits after the
    point are kept. ``full_scale`` is the lowest and highest value, where clipping begins.
    A line ``!``, or another number than 0 in ``lead_off_column``, means "electrode off": a gap, and
    after a second of it a reading that says so. Before the first sample, when there is no stream
    that could have a gap, the reading is all there is.
    """

    device = "text lines"
    packet = "line of numbers"
    silence_remedy = "is it powered, and its sketch's baud rate the same?"
    dtr = False

    def __init__(
        self,
        address: str,
        *,
        baud: int = BAUD,
        rate_hz: float | None = None,
        leads: Sequence[str] = ("II",),
        columns: Sequence[int] | None = None,
        lead_off_column: int | None = None,
        decimals: int = 0,
        microvolts_per_unit: float | None = None,
        offset: float = MIDDLE,
        full_scale: Sequence[float] = (0, 1023),
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        numbers = list(columns) if columns else list(range(1, len(leads) + 1))
        all_columns = numbers if lead_off_column is None else [*numbers, lead_off_column]
        fault = ""
        if rate_hz is not None and not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
            fault = f"rate_hz {rate_hz} is not {LOWEST_RATE_HZ:.0f} to {HIGHEST_RATE_HZ:.0f}"
        elif not leads or len(numbers) != len(leads) or min(all_columns) < 1:
            fault = f"{len(leads)} leads but columns {numbers}, counted from 1"
        elif not 0 <= decimals <= 6:
            fault = f"decimals {decimals} is not 0 to 6"
        elif len(full_scale) != 2 or full_scale[0] >= full_scale[1]:
            fault = f"full_scale {list(full_scale)} is no lowest and highest value"
        if fault:
            raise DriverError(fault, address, "correct the options", transient=False)
        self._decoder = TextLineDecoder(numbers, decimals=decimals, lead_off_column=lead_off_column)
        self._given = self._known = rate_hz is not None
        self._check: RateCheck | None = None
        self._pace: LinePace | None = None
        self._sampled = False
        self._begun = False
        self._told_off_ns: int | None = None
        self._off_from_ns: int | None = None
        self._emit: Emit = lambda event: None
        factor = 10**decimals
        scale = MICROVOLTS_PER_UNIT if microvolts_per_unit is None else microvolts_per_unit
        limits = (round(full_scale[0] * factor), round(full_scale[1] * factor))
        calibrated = microvolts_per_unit is not None
        super().__init__(
            address,
            baud=baud,
            rate_hz=rate_hz or LOWEST_RATE_HZ,
            leads=tuple(
                Lead(name, scale / factor, offset * factor, limits, calibrated) for name in leads
            ),
            now_ns=now_ns,
        )

    async def run(self, emit: Emit) -> None:
        """As every serial device, and it can tell of a lead before there is a stream."""
        self._emit = emit
        await super().run(emit)

    async def set_up(self, port: SerialPort) -> str:
        """Nothing to say to it; wait for its first sample, measure its rate if it isn't known."""
        if not self._begun:
            await self._first_sample(port)
        if not self._known:
            self.rate_hz = await self._measure(port)
            self._known = True
        over_s = RATE_CHECK_S if self._given else MEASURED_CHECK_S
        self._check = RateCheck(
            self.rate_hz, self.address, "lines", over_s=over_s, measured=not self._given
        )
        self._pace = LinePace(self.rate_hz, self.baud)
        self._sampled = False
        self._begun = True
        return ""

    def take(self, data: bytes, host_ns: int, stream: UncountedStream) -> Taken:
        """Lines to samples, and to gaps where the device says that there is none."""
        samples = self._decoder.feed(data)
        self._refuse_overlong()
        lines = len(samples.counts)
        idle = self._judge_leads(samples, host_ns)
        if not self._sampled:
            # Before its first sample nothing tells how long a line without one is.
            first = int(samples.sampled.argmax()) if samples.sampled.any() else lines
            samples = samples.after(first)
            self._sampled = len(samples.counts) > 0
            if not self._sampled:
                return Taken(lines, OFF if lines else "")
        if self._pace:
            samples = self._pace.place(samples)
        stream.arrive(runs(samples.counts, samples.sampled), host_ns)
        if lines and self._check:
            self._observe(self._check, len(samples.counts), host_ns)
        return Taken(lines, idle)

    def _judge_leads(self, samples: TextSamples, host_ns: int) -> str:
        """Why there are only gaps, where the lead has been off for a second."""
        if samples.sampled.any():
            self._off_from_ns = None
        elif len(samples.counts) and self._off_from_ns is None:
            self._off_from_ns = host_ns
        if self._off_from_ns is None or host_ns - self._off_from_ns < OFF_S * 1e9:
            return ""
        self._tell_off(host_ns)
        return OFF

    def frames(self) -> TextLineDecoder:
        """The lines' decoder, which counts what it threw away."""
        return self._decoder

    def stream_on(self, axis: StreamAxis) -> UncountedStream:
        """Losses by the host's clock alone."""
        return UncountedStream(axis, self.rate_hz)

    def _observe(self, check: RateCheck, samples: int, host_ns: int) -> None:
        try:
            check.observe(samples, host_ns)
        except DriverError:
            self._known = self._given
            raise

    async def _first_sample(self, port: SerialPort) -> None:
        """Wait for it, telling that a lead is off while the device says nothing else.

        A rate can't be measured so, and without one there is no axis: a stream without leads
        stands for it until then.
        """
        heard_ns, bytes_then = self.now_ns(), port.bytes_read
        while True:
            samples = self._decoder.feed(await port.read(BOOT_S))
            self._refuse_overlong()
            if samples.sampled.any():
                return
            if len(samples.counts):
                heard_ns, bytes_then = port.arrived_ns, port.bytes_read
                if self._told_off_ns is None:
                    self._emit(StreamInfo(self.device, self.address, 0.0, ()))
                self.link.waiting_for_data(f"{self.address}: {OFF}")
                self._tell_off(heard_ns)
            elif (self.now_ns() - heard_ns) / 1e9 >= BOOT_S:
                raise self._silent(port.bytes_read - bytes_then)

    def _tell_off(self, host_ns: int) -> None:
        """A reading that the lead is off, once a second."""
        if self._told_off_ns is None or host_ns - self._told_off_ns >= TELL_OFF_S * 1e9:
            self._told_off_ns = host_ns
            self._emit(HeartRateReading(host_ns, None, contact=LeadState.OFF))

    async def _measure(self, port: SerialPort) -> float:
        self.link.waiting_for_data(f"{self.address}: its rate is measured for {MEASURE_S:.0f} s")
        arrivals: list[tuple[int, int]] = []
        lines, size = 0, 0
        lengths: Counter[int] = Counter()
        opened_ns = self.now_ns()
        while not arrivals or port.arrived_ns - arrivals[0][0] < MEASURE_S * 1e9:
            data = await port.read(BOOT_S)
            samples = self._decoder.feed(data)
            self._refuse_overlong()
            if arrivals:
                lines += len(samples.counts)
                size += int(samples.lengths.sum())
                lengths.update(samples.lengths[samples.sampled].tolist())
            if len(samples.counts):
                arrivals.append((port.arrived_ns, lines))
            waited_s = (self.now_ns() - (arrivals[0][0] if arrivals else opened_ns)) / 1e9
            if not data or waited_s > BOOT_S + MEASURE_S:
                what = f"no {self.packet} in {BOOT_S:.0f} s at {self.baud} baud"
                raise DriverError(what, self.address, self.silence_remedy)
        rate_hz = _lines_per_s(arrivals)
        return self._usual_rate(rate_hz, rate_hz * size / max(lines, 1), lengths)

    def _usual_rate(self, rate_hz: float, bytes_per_s: float, lengths: Counter[int]) -> float:
        """The rate that was meant, from lines and bytes a second and the lines' lengths."""
        if not lengths:
            raise DriverError(
                "says that an electrode is off, so its rate can't be measured",
                self.address,
                "put the electrodes on, or set rate_hz",
            )
        if line_is_full(bytes_per_s, self.baud):
            (usual, _), *_ = lengths.most_common(1)
            rate_hz = self.baud / BITS_PER_BYTE / usual
        check_analysable(rate_hz, self.address, "lines")
        nearest = min(USUAL_RATES_HZ, key=lambda usual: abs(usual / rate_hz - 1))
        return float(nearest if abs(nearest / rate_hz - 1) <= SNAP else round(rate_hz))

    def _refuse_overlong(self) -> None:
        if self._decoder.overlong:
            raise DriverError(
                f"no end of line in 256 bytes at {self.baud} baud",
                self.address,
                "correct the baud rate or the kind of device",
            )


def _lines_per_s(arrivals: Sequence[tuple[int, int]]) -> float:
    """Slope of the lines read over their arrival, ns: one late read bends it little."""
    if len(arrivals) < 2:
        return 0.0
    at_ns, lines = np.array(arrivals, float).T
    at_s = (at_ns - at_ns.mean()) / 1e9
    return float(at_s @ lines / (at_s @ at_s))
