"""ProtoCentral HealthyPi v3, v4 and 5, ADS1292R and MAX30003 breakouts: one ECG lead, USB serial"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from drivers.axis import Missing, Part, StreamAxis
from drivers.decoders.framing import FixedFrames
from drivers.decoders.protocentral import (
    PRODUCTS,
    START,
    ProtocentralDecoder,
    ProtocentralPackets,
    recognise,
)
from drivers.samples import DriverError, Lead, LeadState
from drivers.serial_driver import SerialDevice, Taken, chosen_leads
from drivers.serial_link import SerialPort
from drivers.uncounted import (
    BEHIND_S,
    HIGHEST_RATE_HZ,
    LOWEST_RATE_HZ,
    RateCheck,
    UncountedStream,
)

BOOT_S = 12.0
"""Opening the port may reset the board. An Arduino is silent for two seconds then; a HealthyPi v4
writes text for some seconds before its first frame."""


class Protocentral(SerialDevice[UncountedStream]):
    """Driver of one ProtoCentral board.

    ``product`` is one of ``PRODUCTS``; ``leads`` names its one lead. ``microvolts_per_count`` is
    the scale where it was measured with a 1 mV pulse; without it that of the product's firmware
    is taken and the lead marked uncalibrated. ``rate_hz`` and ``baud`` are for changed sketches.
    Raises :class:`DriverError` on a choice the boards don't have.
    """

    device = "ProtoCentral"
    packet = "ProtoCentral frame"
    silence_remedy = "is it powered, its slide switch (v4) on USB, and the sketch one that streams?"

    def __init__(
        self,
        address: str,
        *,
        product: str = "healthypi_v4",
        leads: Sequence[str] = ("II",),
        microvolts_per_count: float | None = None,
        rate_hz: float | None = None,
        baud: int | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        _check(address, product, microvolts_per_count, rate_hz)
        names = tuple(leads)
        chosen_leads(address, names, None, available=1)
        made = PRODUCTS[product]
        self.device = made.title
        self.product = product
        self._decoder = ProtocentralDecoder(made)
        self._most_lost = max(BEHIND_S * made.rate_hz, made.samples)
        self._off = LeadState.UNKNOWN
        scale = microvolts_per_count or made.microvolts_per_count
        super().__init__(
            address,
            baud=baud or made.baud,
            rate_hz=rate_hz or made.rate_hz,
            leads=(
                Lead(
                    names[0],
                    scale,
                    full_scale_counts=made.full_scale,
                    calibrated=microvolts_per_count is not None,
                ),
            ),
            now_ns=now_ns,
        )
        self._check = RateCheck(self.rate_hz, address, "samples")

    async def set_up(self, port: SerialPort) -> str:
        """Nothing to say to it; wait until it has started, for opening may have reset it."""
        self._check.start()
        data = await port.read_until(START, BOOT_S)
        if START not in data:
            what = f"{'text but ' if data else ''}no {self.packet} in {BOOT_S:.0f} s"
            raise DriverError(f"{what} at {self.baud} baud", self.address, self.silence_remedy)
        self._decoder.feed(data)
        return ""

    def take(self, data: bytes, host_ns: int, stream: UncountedStream) -> Taken:
        """Frames to samples; bytes thrown away tell about how many frames they were."""
        packets = self._decoder.feed(data)
        count = len(packets.counts)
        if not count:
            self._refuse_other_product()
            return Taken(0)
        lost = 0
        for start, end, leads in self._stretches(packets):
            parts = self._parts(packets, start, end)
            lost += sum(part.count for part in parts if isinstance(part, Missing))
            arrived_ns = host_ns - round((count - end) / self.rate_hz * 1e9)
            stream.arrive(parts, arrived_ns, leads)
        self._check.observe(count + lost, host_ns)
        return Taken(len(packets.fields))

    def frames(self) -> FixedFrames:
        """The frames' framing."""
        return self._decoder.frames

    def stream_on(self, axis: StreamAxis) -> UncountedStream:
        """Losses by damaged bytes, and by the host's clock."""
        return UncountedStream(axis, self.rate_hz)

    def _stretches(
        self, packets: ProtocentralPackets
    ) -> list[tuple[int, int, tuple[LeadState, ...]]]:
        """Runs of frames (first, end) with one lead state each."""
        off, count = packets.leads_off, len(packets.counts)
        if off is None:
            return [(0, count, ())]
        edges = [0, *(np.flatnonzero(np.diff(off)) + 1).tolist(), count]
        return [
            (start, end, (LeadState.OFF if off[start] else LeadState.ON,))
            for start, end in itertools.pairwise(edges)
        ]

    def _parts(self, packets: ProtocentralPackets, start: int, end: int) -> list[Part]:
        parts: list[Part] = []
        for before, lost in packets.damage:
            if start <= before < end and 0 < lost <= self._most_lost:
                parts += [packets.counts[start:before], Missing(lost, exact=False)]
                start = before
        return [*parts, packets.counts[start:end]]

    def _refuse_other_product(self) -> None:
        """Say so where the frames are those of another product: none of them would ever fit."""
        found = recognise(self.frames().rubbish) if self.frames().discarded else None
        if found is not None and found.product != self.product:
            raise DriverError(
                f"sends frames of a {PRODUCTS[found.product].title}",
                self.address,
                f'set product = "{found.product}"',
                transient=False,
            )


def _check(
    address: str, product: str, microvolts_per_count: float | None, rate_hz: float | None
) -> None:
    fault, remedy = "", "correct the options"
    if product not in PRODUCTS:
        fault, remedy = (
            f"product {product!r} does not exist",
            f"choose one of {', '.join(PRODUCTS)}",
        )
    elif rate_hz is not None and not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        fault = f"rate_hz {rate_hz} is not {LOWEST_RATE_HZ:.0f} to {HIGHEST_RATE_HZ:.0f}"
    elif microvolts_per_count is not None and not 0 < microvolts_per_count < math.inf:
        fault = f"microvolts_per_count {microvolts_per_count} is no scale"
    if fault:
        raise DriverError(fault, address, remedy, transient=False)
