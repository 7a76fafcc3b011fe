"""Polar H10: ECG in microvolts at about 130 Hz over PMD; contact and RR over the HRS.

Losses are told by the sensor's own clock, which survives a short loss of the link: then the gap is
exact to the sample. A strap that was off the skin begins its clock anew, and the gap is bounded
by the host's time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from drivers.axis import Missing, Part, StreamAxis
from drivers.ble_driver import BleDevice
from drivers.ble_link import BleConnection
from drivers.clock import StreamClock
from drivers.continuity import DeviceTime, Step
from drivers.decoders import polar_pmd as pmd
from drivers.decoders.heart_rate import MEASUREMENT
from drivers.samples import DriverError, Emit, GapCause, Lead, LeadState, StreamInfo

ANSWER_S = 5.0
START_S = 30.0
"""Polar's SDK waits so long for a start."""
RESTART_PAUSE_S = 0.35
"""Between stopping a stream that a lost link left running and starting it anew."""


class PolarH10(BleDevice):
    """Driver of the H10, by its address, its name or the eight digits printed on it."""

    device = "Polar H10"

    def __init__(
        self,
        address: str,
        *,
        lead: str = "I",
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__(address, now_ns=now_ns)
        self._lead = Lead(lead, 1.0)
        self._axis: StreamAxis | None = None
        self._time = DeviceTime(pmd.RATE_HZ)
        self._relinked = False
        self._answer: asyncio.Future[pmd.Response] | None = None

    async def set_up(self, ble: BleConnection, emit: Emit) -> None:
        """Both subscriptions, then settings, then the start: the order the sensor wants."""
        if not ble.has(pmd.CONTROL_POINT):
            raise self._no_ecg("has no PMD service")
        if not pmd.has_ecg(await ble.read(pmd.CONTROL_POINT)):
            raise self._no_ecg("offers no ECG")
        await ble.notify(pmd.CONTROL_POINT, self._answered)
        await self.subscribe(ble, pmd.DATA, self._take)
        if ble.has(MEASUREMENT):
            await self.heart_rate(ble, emit)
        answer = await self._ask(ble, pmd.get_settings(), ANSWER_S)
        offered = pmd.settings(answer.parameters) if answer.ok else {}
        if self._axis is None:
            clock = StreamClock(pmd.RATE_HZ, device_clock=True)
            self._axis = StreamAxis(emit, clock)
            emit(
                StreamInfo(
                    self.device, self.address, pmd.RATE_HZ, (self._lead,), firmware=self.firmware
                )
            )
        self._relinked = self._axis.next > 0
        await self._start(ble, pmd.start_ecg(offered))

    async def stop(self, ble: BleConnection) -> None:
        """A running ECG keeps the strap awake for hours: always stop it."""
        await self._ask(ble, pmd.stop_ecg(), ANSWER_S)

    def lost_samples(self) -> int:
        """Samples missing so far."""
        return self._axis.lost_samples if self._axis is not None else 0

    def lag_ms(self) -> float:
        """How late the newest packet came: an ECG delay that grows is a known trouble."""
        started = self._axis is not None and self._axis.clock.started
        return self._axis.clock.lag_ms if self._axis is not None and started else 0.0

    async def _start(self, ble: BleConnection, command: bytes) -> None:
        answer = await self._ask(ble, command, START_S)
        if answer.error in (pmd.ALREADY, pmd.WRONG_STATE):
            # The stream of a lost link still runs, perhaps with other settings.
            await self._ask(ble, pmd.stop_ecg(), ANSWER_S)
            await asyncio.sleep(RESTART_PAUSE_S)
            answer = await self._ask(ble, command, START_S)
        if not answer.ok:
            raise DriverError(
                f"refused to start the ECG: {answer.said}",
                self.address,
                "take the strap off for a minute; it is tried again",
            )

    async def _ask(self, ble: BleConnection, command: bytes, timeout_s: float) -> pmd.Response:
        """Write a command and wait for its indication."""
        self._answer = asyncio.get_running_loop().create_future()
        await ble.write(pmd.CONTROL_POINT, command)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._answer
        except TimeoutError:
            raise DriverError(
                f"no answer to command {command[0]} in {timeout_s:.0f} s",
                self.address,
                "is the strap near and worn? it is tried again",
            ) from None
        finally:
            self._answer = None

    def _answered(self, data: bytes) -> None:
        try:
            response = pmd.decode_response(data)
        except pmd.PmdError:
            self.damaged += 1
            return
        if response is not None and self._answer is not None and not self._answer.done():
            self._answer.set_result(response)

    def _take(self, data: bytes, host_ns: int) -> bool:
        """One ECG packet onto the axis; whether it was one."""
        try:
            frame = pmd.decode_ecg(data)
        except pmd.PmdError:
            self.damaged += 1
            return False
        axis = self._axis
        if axis is None:
            return False
        judged = self._time.judge(
            frame.last_ns, len(frame.microvolts), host_ns, relinked=self._relinked
        )
        cause = GapCause.LINK_LOST if self._relinked else GapCause.LOST_PACKETS
        if judged.step is Step.REPEATED:
            self.damaged += 1
            return True
        self._relinked = False
        leads = () if self.contact is LeadState.UNKNOWN else (self.contact,)
        parts: Sequence[Part] = [frame.microvolts]
        if judged.step is Step.RESTARTED:
            axis.rejoin(
                parts, host_ns, GapCause.DEVICE_RESTART, device_ns=frame.last_ns, leads=leads
            )
            return True
        if judged.missing:
            parts = [Missing(judged.missing, cause), *parts]
        axis.arrive(parts, host_ns, device_ns=frame.last_ns, leads=leads)
        return True

    def _no_ecg(self, what: str) -> DriverError:
        return DriverError(
            what,
            self.address,
            "an H10 with firmware 3 or newer is needed; a strap without ECG: driver heart_rate",
            transient=False,
        )
