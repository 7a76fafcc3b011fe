"""Movesense sensor: ECG in microvolts at 125 to 512 Hz over GSP; rate and RR beside it.

Each packet bears the sensor's own milliseconds, so losses are exact, also over a lost link as
long as the sensor did not boot meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from drivers.axis import Missing, Part, StreamAxis
from drivers.ble_driver import BleDevice
from drivers.ble_link import BleConnection
from drivers.clock import StreamClock
from drivers.continuity import DeviceTime, Step
from drivers.decoders import movesense as gsp
from drivers.decoders.heart_rate import decode_battery
from drivers.samples import (
    BatteryReading,
    DriverError,
    Emit,
    GapCause,
    HeartRateReading,
    Lead,
    StreamInfo,
)

ANSWER_S = 5.0
CLOCK_TURN = 1 << 32
"""The sensor's milliseconds begin anew after 49.7 days."""
LAST_REFERENCE = 255


Take = Callable[[bytes, int], bool]


@dataclass
class Session:
    """What holds for one link: nothing of it survives a disconnect."""

    takes: dict[int, Take] = field(default_factory=dict)
    """Reference of a subscription → who takes its packets."""
    open: dict[int, asyncio.Future[gsp.Answer]] = field(default_factory=dict)
    """Reference of a command → who waits for its answer."""


class _NotThereError(DriverError):
    """This firmware has no such resource."""


class _SlotsError(DriverError):
    """The sensor can take no further request."""


class Movesense(BleDevice):
    """Driver of a Movesense sensor, by its address, its name or its serial number.

    ``rate_hz``: one of 125, 128, 200, 250, 256, 500, 512; above 200 a slow link loses packets.
    """

    device = "Movesense"

    def __init__(
        self,
        address: str,
        *,
        lead: str = "I",
        rate_hz: int = 200,
        now_ns: Callable[[], int] = time.monotonic_ns,
        utc_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if rate_hz not in gsp.RATES_HZ:
            raise DriverError(
                f"has no ECG of {rate_hz} Hz",
                address,
                f"choose rate_hz out of {', '.join(map(str, gsp.RATES_HZ))}",
                transient=False,
            )
        super().__init__(address, now_ns=now_ns)
        self._utc_ns = utc_ns
        self._lead_name = lead
        self._rate_hz = int(rate_hz)
        self._raw = False
        self._assembler = gsp.Assembler()
        self._torn = 0
        self._session = Session()
        self._reference = 0
        self._axis: StreamAxis | None = None
        self._time = DeviceTime(rate_hz)
        self._last_ms: int | None = None
        self._relinked = False
        self._rebooted = False
        self._emit: Emit = lambda event: None

    async def set_up(self, ble: BleConnection, emit: Emit) -> None:
        """Notifications first, then the greeting, the clock, and both subscriptions."""
        if not ble.has(gsp.COMMAND):
            raise DriverError(
                "has no GSP service",
                self.address,
                "firmware 2.3 or newer is needed; rate and RR alone: driver heart_rate",
                transient=False,
            )
        self._emit = emit
        self._session = Session()
        self._assembler.forget()
        await ble.notify(gsp.DATA, self._arrived)
        hello = await self._hello(ble)
        await self._ask(ble, gsp.Code.PUT_UTC_TIME, gsp.utc(self._utc_ns() // 1000))
        await self._battery(ble, emit)
        await self._start_ecg(ble)
        self._begin(hello, emit)
        with suppress(DriverError):
            await self._start(ble, gsp.HEART_RATE_PATH, None, self._take_heart_rate)

    async def stop(self, ble: BleConnection) -> None:
        """Give both request slots back: only a reboot would free them."""
        for reference in self._session.takes:
            await self._ask(ble, gsp.Code.UNSUBSCRIBE, reference=reference)

    def lost_samples(self) -> int:
        """Samples missing so far."""
        return self._axis.lost_samples if self._axis is not None else 0

    def lag_ms(self) -> float:
        """How late the newest packet came."""
        started = self._axis is not None and self._axis.clock.started
        return self._axis.clock.lag_ms if self._axis is not None and started else 0.0

    def _begin(self, hello: gsp.Hello, emit: Emit) -> None:
        if self._axis is None:
            clock = StreamClock(float(self._rate_hz), device_clock=True)
            self._axis = StreamAxis(emit, clock)
            limit = gsp.RAW_FULL_SCALE if self._raw else (-32_768, gsp.CLAMP_MICROVOLTS)
            scale = gsp.RAW_MICROVOLTS if self._raw else 1.0
            emit(
                StreamInfo(
                    self.device,
                    self.address,
                    float(self._rate_hz),
                    (Lead(self._lead_name, scale, full_scale_counts=limit),),
                    serial_number=hello.serial_number,
                    firmware=f"{hello.application} {hello.version}".strip(),
                )
            )
        self._relinked = self._axis.next > 0

    async def _hello(self, ble: BleConnection) -> gsp.Hello:
        answer = await self._ask(ble, gsp.Code.HELLO)
        try:
            return gsp.decode_hello(answer.body)
        except gsp.GspError:
            return gsp.Hello(0, "", "", "", "")

    async def _battery(self, ble: BleConnection, emit: Emit) -> None:
        answer = await self._ask(ble, gsp.Code.GET, gsp.path(gsp.BATTERY_PATH))
        percent = decode_battery(answer.value) if answer.ok else None
        if percent is not None:
            emit(BatteryReading(self.now_ns(), percent))

    async def _start_ecg(self, ble: BleConnection) -> None:
        """In microvolts; by a firmware without that path in counts."""
        try:
            if self._axis is None:
                try:
                    path = gsp.ecg_path(self._rate_hz)
                    return await self._start(ble, path, gsp.ecg_bytes(), self._take_ecg)
                except _NotThereError:
                    self._raw = True
            path = gsp.ecg_path(self._rate_hz, raw=self._raw)
            await self._start(ble, path, gsp.ecg_bytes(raw=self._raw), self._take_ecg)
        except _SlotsError as fault:
            raise await self._slots_used_up(ble) from fault

    async def _start(self, ble: BleConnection, path: str, length: int | None, take: Take) -> None:
        """Subscribe to a resource whose packets are ``length`` bytes long."""
        reference = self._next_reference()
        self._assembler.expect(reference, length)
        self._session.takes[reference] = take
        answer = await self._ask(ble, gsp.Code.SUBSCRIBE, gsp.path(path), reference)
        if answer.ok:
            return
        del self._session.takes[reference]
        faults = {gsp.NOT_FOUND: _NotThereError, gsp.SLOTS_USED_UP: _SlotsError}
        raise faults.get(answer.status, DriverError)(
            f"refused {path}: {answer.said}",
            self.address,
            "close other apps, update its firmware; it is tried again",
        )

    async def _slots_used_up(self, ble: BleConnection) -> DriverError:
        """Only a boot frees them; once, then a person must look."""
        what = "its request slots are used up (status 429)"
        if self._rebooted:
            return DriverError(what, self.address, "take it off its studs for a minute")
        self._rebooted = True
        reference = self._next_reference()
        mode = bytes([gsp.APPLICATION_MODE])
        with suppress(DriverError):
            await ble.write(gsp.COMMAND, gsp.command(gsp.Code.PUT_SYSTEM_MODE, reference, mode))
        return DriverError(what, self.address, "it is being rebooted")

    async def _ask(
        self,
        ble: BleConnection,
        code: gsp.Code,
        payload: bytes = b"",
        reference: int | None = None,
    ) -> gsp.Answer:
        """Write one command and wait for its answer; never a second one meanwhile."""
        number = self._next_reference() if reference is None else reference
        answer: asyncio.Future[gsp.Answer] = asyncio.get_running_loop().create_future()
        self._session.open[number] = answer
        try:
            async with asyncio.timeout(ANSWER_S):
                await ble.write(gsp.COMMAND, gsp.command(code, number, payload))
                return await answer
        except TimeoutError:
            # Its slot stays used in the sensor: asking again would use up the next.
            raise DriverError(
                f"no answer to {code.name} in {ANSWER_S:.0f} s",
                self.address,
                "is the sensor near and charged? it is tried again",
            ) from None
        finally:
            self._session.open.pop(number, None)

    def _next_reference(self) -> int:
        self._reference = self._reference % LAST_REFERENCE + 1
        return self._reference

    def _arrived(self, data: bytes) -> None:
        """A notification: an answer goes to who waits, a packet waits for its turn."""
        before = self._assembler.damaged
        item = self._assembler.feed(data)
        self.damaged += self._assembler.damaged - before
        match item:
            case gsp.Answer():
                waiting = self._session.open.get(item.reference)
                if waiting is not None and not waiting.done():
                    waiting.set_result(item)
            case gsp.Packet():
                take = self._session.takes.get(item.reference)
                if take is not None:
                    self.queue(take, item.payload)

    def _take_heart_rate(self, payload: bytes, host_ns: int) -> bool:
        """The sensor's own rate and RR intervals; no proof that the ECG flows."""
        try:
            found = gsp.decode_heart_rate(payload)
        except gsp.GspError:
            self.damaged += 1
            return False
        rate = None if found.rate_bpm is None else round(found.rate_bpm)
        rr_ms = tuple(float(rr) for rr in found.rr_ms)
        self._emit(HeartRateReading(host_ns, rate, rr_ms))
        return False

    def _take_ecg(self, payload: bytes, host_ns: int) -> bool:
        """One ECG packet onto the axis; whether it was one."""
        try:
            packet = gsp.decode_ecg(payload, raw=self._raw)
        except gsp.GspError:
            self.damaged += 1
            return False
        axis = self._axis
        if axis is None:
            return False
        # The stamp is that of the first sample; the axis wants the last one's.
        last_ns = self._unwrapped(packet.first_ms) * 1_000_000 + round(
            (gsp.SAMPLES - 1) * 1e9 / self._rate_hz
        )
        judged = self._time.judge(last_ns, gsp.SAMPLES, host_ns, relinked=self._relinked)
        if judged.step is Step.REPEATED:
            self.damaged += 1
            return True
        cause = GapCause.LINK_LOST if self._relinked else GapCause.LOST_PACKETS
        self._relinked = self._rebooted = False
        parts: Sequence[Part] = [packet.counts]
        if judged.step is Step.RESTARTED:
            axis.rejoin(parts, host_ns, GapCause.DEVICE_RESTART, device_ns=last_ns)
            return True
        if judged.missing:
            parts = [Missing(judged.missing, cause), *parts]
        axis.arrive(parts, host_ns, device_ns=last_ns)
        return True

    def _unwrapped(self, stamp_ms: int) -> int:
        """Milliseconds that go on past the clock's turn; a boot shows as a step back."""
        if self._last_ms is None:
            self._last_ms = stamp_ms
        step = (stamp_ms - self._last_ms) % CLOCK_TURN
        self._last_ms += step if step < CLOCK_TURN // 2 else step - CLOCK_TURN
        return self._last_ms
